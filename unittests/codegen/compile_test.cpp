// Whole graphs: the native entry runs the steps in order, computes numbers in between, and stops
// where a step or an assertion says so. The runtime is a recorder.
#include "codegen/compile.h"
#include "codegen/native_symbols.h"
#include "ir/bf_dialect.h"
#include "ir/schema.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

using namespace bifront;

// What the tests' native code runs in; the first field is the one that native code knows.
struct bifront::Frame {
  Scalar64 *scalars;
  const Program *program;
  std::vector<std::string> log;
  int32_t failCall = -1;
  std::vector<int64_t> dims;
};

namespace {

int32_t recordCall(Frame *frame, uint32_t call) {
  const CallStep &step = frame->program->calls[call];
  std::string text = step.call.schema;
  for (const OperandRef &operand : step.operands)
    if (operand.kind == OperandRef::Kind::Int || operand.kind == OperandRef::Kind::Bool)
      text += " " + std::to_string(frame->scalars[operand.index].i);
    else if (operand.kind == OperandRef::Kind::Float)
      text += " " + std::to_string(frame->scalars[operand.index].f);
  frame->log.push_back(text);
  // A number that a call gives is 2.5, or 2.
  for (const OperandRef &result : step.results)
    if (result.kind == OperandRef::Kind::Float)
      frame->scalars[result.index].f = 2.5;
    else if (result.kind == OperandRef::Kind::Int)
      frame->scalars[result.index].i = 2;
  return static_cast<int32_t>(call) == frame->failCall ? kThrew : 0;
}
int32_t recordKernel(Frame *frame, uint32_t kernel) {
  frame->log.push_back("kernel " + std::to_string(kernel));
  return 0;
}
int32_t recordStore(Frame *frame, uint32_t store) {
  frame->log.push_back("store " + std::to_string(store));
  return 0;
}
int32_t recordFailure(Frame *frame, uint32_t assertion) {
  frame->log.push_back("failed: " + frame->program->asserts[assertion].message);
  return kAssertionFailed;
}
int64_t answerDim(Frame *frame, uint32_t, int64_t index) { return frame->dims[index]; }

const char *schemaOf(std::string_view name) {
  if (name == "aten::relu")
    return "aten::relu(Tensor self) -> Tensor";
  if (name == "aten::item")
    return "aten::item(Tensor self) -> Scalar";
  if (name == "aten::mul.Scalar")
    return "aten::mul.Scalar(Tensor self, Scalar other) -> Tensor";
  if (name == "aten::full")
    return "aten::full(SymInt[] size, Scalar fill_value) -> Tensor";
  return nullptr;
}

class Compile : public testing::Test {
protected:
  Compile() : context(mlir::MLIRContext::Threading::DISABLED) {
    loadDialects(context);
    setSchemaProvider([](std::string_view name) -> std::optional<std::string> {
      const char *text = schemaOf(name);
      return text ? std::optional<std::string>(text) : std::nullopt;
    });
    registerSymbol("bf_rt_call", reinterpret_cast<void *>(&recordCall));
    registerSymbol("bf_rt_kernel", reinterpret_cast<void *>(&recordKernel));
    registerSymbol("bf_rt_store", reinterpret_cast<void *>(&recordStore));
    registerSymbol("bf_rt_assert_failed", reinterpret_cast<void *>(&recordFailure));
    registerSymbol("bf_rt_dim", reinterpret_cast<void *>(&answerDim));
  }

  void load(const std::string &text) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    program = compile(*module, {});
    scalars.assign(program->numScalars + 1, Scalar64{0});
    frame.scalars = scalars.data();
    frame.program = program.get();
    frame.log.clear();
  }
  int32_t run() { return program->entry(&frame); }

  mlir::MLIRContext context;
  std::shared_ptr<Program> program;
  std::vector<Scalar64> scalars;
  Frame frame{};
};

using Log = std::vector<std::string>;

} // namespace

TEST_F(Compile, NumbersGoBetweenCallsThroughTheFrame) {
  load(R"(func.func @f(%x: tensor<4xf32>, %k: i64) -> (f64, i64) {
    %a = bf.aten "aten::item"(%x) : (tensor<4xf32>) -> f64
    %kf = arith.sitofp %k : i64 to f64
    %b = arith.mulf %a, %kf : f64
    %c = math.exp %b : f64
    %y = bf.aten "aten::mul.Scalar"(%x, %b) : (tensor<4xf32>, f64) -> tensor<4xf32>
    %one = arith.constant 1 : i64
    %n = arith.addi %k, %one : i64
    return %c, %n : f64, i64
  })");
  scalars[program->inputPlaces[1].index].i = 3;
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(frame.log, (Log{"aten::item", "aten::mul.Scalar 7.500000"}));
  EXPECT_DOUBLE_EQ(scalars[program->returns[0].index].f, std::exp(7.5));
  EXPECT_EQ(scalars[program->returns[1].index].i, 4);
}

TEST_F(Compile, AnAssertionEndsTheRun) {
  load(R"(func.func @f(%x: tensor<?xf32>) {
    %d = bf.dim %x, 0 : tensor<?xf32> -> i64
    %two = arith.constant 2 : i64
    %ok = arith.cmpi sgt, %d, %two : i64
    %y = bf.aten "aten::relu"(%x) : (tensor<?xf32>) -> tensor<?xf32>
    bf.assert %ok, "more than two rows"
    bf.store %y to %x : tensor<?xf32> to tensor<?xf32>
    return
  })");
  frame.dims = {3};
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(frame.log, (Log{"aten::relu", "store 0"}));
  frame.log.clear();
  frame.dims = {2};
  EXPECT_EQ(run(), kAssertionFailed);
  EXPECT_EQ(frame.log, (Log{"aten::relu", "failed: more than two rows"}));
}

TEST_F(Compile, AFailedStepEndsTheRunWhereverItStands) {
  std::string text = "func.func @f(%x0: tensor<4xf32>) -> tensor<4xf32> {\n";
  for (int i = 0; i < 6; ++i)
    text += "%x" + std::to_string(i + 1) + " = bf.aten \"aten::relu\"(%x" + std::to_string(i) +
            ") : (tensor<4xf32>) -> tensor<4xf32>\n";
  load(text + "return %x6 : tensor<4xf32>\n}");
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(frame.log.size(), 6u);
  for (int fail = 0; fail < 6; ++fail) {
    frame.log.clear();
    frame.failCall = fail;
    EXPECT_EQ(run(), kThrew);
    EXPECT_EQ(frame.log.size(), static_cast<size_t>(fail + 1));
  }
}

TEST_F(Compile, EqualKernelsOfOneGraphAreOneFunction) {
  load(R"(func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
    %a = bf.pointwise(%x) : (tensor<4xf32>) -> tensor<4xf32> {
    ^bb0(%p: f32):
      %q = arith.addf %p, %p : f32
      bf.yield %q : f32
    }
    %b = bf.pointwise(%a) : (tensor<4xf32>) -> tensor<4xf32> {
    ^bb0(%p: f32):
      %q = arith.addf %p, %p : f32
      bf.yield %q : f32
    }
    return %a, %b : tensor<4xf32>, tensor<4xf32>
  })");
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(frame.log, (Log{"kernel 0", "kernel 1"}));
  ASSERT_NE(program->kernels[0].fn, nullptr);
  EXPECT_EQ(program->kernels[0].fn, program->kernels[1].fn);
  EXPECT_EQ(program->kernels[0].symbol, program->kernels[1].symbol);
  // Other strides than codegen expected get code of their own.
  KernelFn strided = program->kernels[0].variant({InnerAccess::Strided, InnerAccess::Contiguous});
  ASSERT_NE(strided, nullptr);
  EXPECT_NE(strided, program->kernels[0].fn);
  float in[] = {1, 0, 2, 0, 3, 0}, out[3] = {};
  char *pointers[] = {reinterpret_cast<char *>(in), reinterpret_cast<char *>(out)};
  int64_t strides[] = {0, 0, 8, 4};
  strided(pointers, strides, 3, 1, nullptr);
  EXPECT_EQ(out[2], 6);
}

TEST_F(Compile, KernelsOfGraphsThatAreGoneAreMadeAgain) {
  const char *text = R"(func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
    %a = bf.pointwise(%x) : (tensor<4xf32>) -> tensor<4xf32> {
    ^bb0(%p: f32):
      %q = arith.mulf %p, %p : f32
      bf.yield %q : f32
    }
    return %a : tensor<4xf32>
  })";
  load(text);
  std::shared_ptr<Program> first = program;
  load(text);
  EXPECT_EQ(first->kernels[0].fn, program->kernels[0].fn);
  KernelVariant variant = first->kernels[0].variant;
  first = program = nullptr;
  EXPECT_EQ(variant({InnerAccess::Strided, InnerAccess::Contiguous}), nullptr);
  load(text);
  EXPECT_NE(program->kernels[0].fn, nullptr);
}

// Printed, for people; nothing is asserted of time.
TEST_F(Compile, LatencyOfAThousandCalls) {
  std::string text = "func.func @f(%x0: tensor<1xf32>) -> tensor<1xf32> {\n";
  for (int i = 0; i < 1000; ++i)
    text += "%x" + std::to_string(i + 1) + " = bf.aten \"aten::relu\"(%x" + std::to_string(i) +
            ") : (tensor<1xf32>) -> tensor<1xf32>\n";
  text += "return %x1000 : tensor<1xf32>\n}";
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  auto start = std::chrono::steady_clock::now();
  program = compile(*module, {});
  std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  std::printf("1000 calls: %.1f ms\n", spent.count());
}
