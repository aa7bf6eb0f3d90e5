#include "ir/bf_dialect.h"
#include "reference/interpreter.h"

#include "mlir/Parser/Parser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace bifront {
namespace {

class Interpret : public testing::Test {
protected:
  Interpret() { loadDialects(context); }

  std::vector<c10::IValue> run(llvm::StringRef text, std::vector<c10::IValue> inputs,
                               InterpretOptions options = {}) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    if (!module)
      throw std::logic_error("the test's module does not parse");
    return interpret(*module, inputs, options);
  }

  // One pointwise group of two operands with this body, on tensors of this type.
  at::Tensor group(const std::string &type, const std::string &body, at::Tensor a, at::Tensor b,
                   std::string result = "") {
    if (result.empty())
      result = type;
    std::string t = "tensor<?x" + type + ">", r = "tensor<?x" + result + ">";
    std::string element = type == "ui8" ? "i8" : type;
    return run("func.func @f(%a: " + t + ", %b: " + t + ") -> " + r + " {\n" +
                   "%0 = bf.pointwise(%a, %b) : (" + t + ", " + t + ") -> " + r + " {\n" +
                   "^bb0(%x: " + element + ", %y: " + element + "):\n" + body + "\n}\n" +
                   "return %0 : " + r + "\n}",
               {a, b})[0]
        .toTensor();
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

TEST_F(Interpret, RunsCallsAndSizes) {
  at::Tensor x = at::randn({3, 4}), w = at::randn({5, 4});
  auto results = run(R"(
    func.func @f(%x: tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>, %w: tensor<5x4xf32>)
        -> (tensor<?x5xf32, #bf.tensor<worlds = [[3, 5]]>>, i64) {
      %wt = bf.aten "aten::t"(%w) : (tensor<5x4xf32>) -> tensor<4x5xf32>
      %0 = bf.aten "aten::mm"(%x, %wt) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>, tensor<4x5xf32>) -> tensor<?x5xf32, #bf.tensor<worlds = [[3, 5]]>>
      %n = bf.dim %0, 0 : tensor<?x5xf32, #bf.tensor<worlds = [[3, 5]]>> -> i64
      %two = arith.constant 2 : i64
      %m = arith.muli %n, %two : i64
      return %0, %m : tensor<?x5xf32, #bf.tensor<worlds = [[3, 5]]>>, i64
    })",
                     {x, w});
  EXPECT_TRUE(at::equal(results[0].toTensor(), x.mm(w.t())));
  EXPECT_EQ(results[1].toInt(), 6);
}

TEST_F(Interpret, EvaluatesBodies) {
  at::Tensor a = at::randn({50}), b = at::randn({50});
  EXPECT_TRUE(at::equal(group("f32", R"(
    %0 = arith.mulf %x, %y : f32
    %1 = math.tanh %0 : f32
    %c = arith.constant 0.0 : f32
    %p = arith.cmpf ogt, %x, %c : f32
    %2 = arith.select %p, %1, %y : f32
    bf.yield %2 : f32)",
                              a, b),
                        at::where(a > 0, at::tanh(a * b), b)));
  EXPECT_TRUE(at::equal(
      group("f32", "%0 = arith.cmpf ult, %x, %y : f32\nbf.yield %0 : i1", a, b, "i1"), a < b));
  at::Tensor h = a.to(at::kHalf);
  EXPECT_TRUE(at::equal(group("f16", R"(
    %0 = arith.extf %x : f16 to f32
    %1 = math.exp %0 : f32
    %2 = arith.truncf %1 : f32 to f16
    bf.yield %2 : f16)",
                              h, h),
                        at::exp(h.to(at::kFloat)).to(at::kHalf)));
}

TEST_F(Interpret, TreatsIntegersAsMachinesDo) {
  at::Tensor a = at::arange(-128, 128).to(at::kChar), b = a.flip(0).contiguous();
  EXPECT_TRUE(at::equal(group("i8", "%0 = arith.addi %x, %y : i8\nbf.yield %0 : i8", a, b), a + b));
  EXPECT_TRUE(
      at::equal(group("i8", "%0 = arith.cmpi ult, %x, %y : i8\nbf.yield %0 : i1", a, b, "i1"),
                a.view(at::kByte) < b.view(at::kByte)));
  at::Tensor u = at::arange(0, 256).to(at::kByte), v = u.flip(0).contiguous();
  EXPECT_TRUE(
      at::equal(group("ui8", "%0 = arith.uitofp %x : i8 to f32\nbf.yield %0 : f32", u, v, "f32"),
                u.to(at::kFloat)));
  EXPECT_TRUE(at::equal(group("ui8", "%0 = arith.maxui %x, %y : i8\nbf.yield %0 : i8", u, v),
                        at::maximum(u, v)));
  at::Tensor p = at::rand({20}) > 0.5, q = at::rand({20}) > 0.5;
  EXPECT_TRUE(at::equal(group("i1", "%0 = arith.xori %x, %y : i1\nbf.yield %0 : i1", p, q), p ^ q));
  EXPECT_TRUE(
      at::equal(group("i1", "%0 = arith.extui %x : i1 to i64\nbf.yield %0 : i64", p, q, "i64"),
                p.to(at::kLong)));
  EXPECT_TRUE(
      at::equal(group("i1", "%0 = arith.extsi %x : i1 to i64\nbf.yield %0 : i64", p, q, "i64"),
                -p.to(at::kLong)));
}

TEST_F(Interpret, BroadcastsGroupsAndPassesNumbers) {
  at::Tensor a = at::randn({4, 3}), b = at::randn({3});
  auto results = run(R"(
    func.func @f(%a: tensor<4x3xf32>, %b: tensor<3xf32>, %k: f64) -> (tensor<4x3xf32>, tensor<4x3xf32>) {
      %0:2 = bf.pointwise(%a, %b, %k) : (tensor<4x3xf32>, tensor<3xf32>, f64) -> (tensor<4x3xf32>, tensor<4x3xf32>) {
      ^bb0(%x: f32, %y: f32, %s: f64):
        %1 = arith.truncf %s : f64 to f32
        %2 = arith.mulf %y, %1 : f32
        %3 = arith.addf %x, %2 : f32
        bf.yield %3, %2 : f32, f32
      }
      return %0#0, %0#1 : tensor<4x3xf32>, tensor<4x3xf32>
    })",
                     {a, b, 0.5});
  EXPECT_TRUE(at::equal(results[0].toTensor(), a + b * 0.5f));
  EXPECT_TRUE(at::equal(results[1].toTensor(), (b * 0.5f).expand({4, 3})));
}

TEST_F(Interpret, StoresAtTheEnd) {
  at::Tensor p = at::ones({2}).requires_grad_(), q = at::zeros({2});
  auto results = run(R"(
    func.func @f(%p: tensor<2xf32>, %q: tensor<2xf32>) -> tensor<2xf32> {
      bf.store %q to %p : tensor<2xf32> to tensor<2xf32>
      bf.store %p to %q : tensor<2xf32> to tensor<2xf32>
      %0 = bf.aten "aten::add.Tensor"(%p, %p, 1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      bf.store_attr %p, "grad", %0 : tensor<2xf32>, tensor<2xf32>
      return %0 : tensor<2xf32>
    })",
                     {p, q});
  EXPECT_TRUE(at::equal(p.detach(), at::zeros({2})));
  EXPECT_TRUE(at::equal(q, at::ones({2})));
  EXPECT_TRUE(at::equal(p.grad(), at::full({2}, 2.0f)));
  EXPECT_TRUE(p.requires_grad());
}

TEST_F(Interpret, TakesFailedAssertionsForWhatTheyAre) {
  const char *text = R"(
    func.func @f(%k: i64) {
      %0 = arith.constant 3 : i64
      %1 = arith.cmpi slt, %k, %0 : i64
      bf.assert %1, "k is below 3"
      return
    })";
  run(text, {2});
  EXPECT_THROW(run(text, {3}), AssertionFailed);
}

TEST_F(Interpret, CallsFunctions) {
  auto results = run(R"(
    func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %0 = call @twice(%x) : (tensor<2xf32>) -> tensor<2xf32>
      %1 = call @twice(%0) : (tensor<2xf32>) -> tensor<2xf32>
      return %1 : tensor<2xf32>
    }
    func.func private @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
      %0 = bf.aten "aten::mul.Scalar"(%x, 2) : (tensor<2xf32>) -> tensor<2xf32>
      return %0 : tensor<2xf32>
    })",
                     {at::ones({2})});
  EXPECT_TRUE(at::equal(results[0].toTensor(), at::full({2}, 4.0f)));
}

TEST_F(Interpret, DifferentiatesWithAutograd) {
  at::Tensor x = at::randn({3, 4}), w = at::randn({4, 2}).requires_grad_();
  auto results = run(R"(
    func.func @f(%x: tensor<3x4xf32>, %w: tensor<4x2xf32>) -> tensor<4x2xf32> {
      %0 = bf.aten "aten::mm"(%x, %w) : (tensor<3x4xf32>, tensor<4x2xf32>) -> tensor<3x2xf32>
      %1 = bf.aten "aten::tanh"(%0) : (tensor<3x2xf32>) -> tensor<3x2xf32>
      %2 = bf.aten "aten::sum"(%1, none) : (tensor<3x2xf32>) -> tensor<f32>
      %g = bf.grad outputs(%2) seeds() wrt(%w) : (tensor<f32>), (), (tensor<4x2xf32>) -> (tensor<4x2xf32>)
      return %g : tensor<4x2xf32>
    })",
                     {x, w});
  x.mm(w).tanh().sum().backward();
  EXPECT_TRUE(at::equal(results[0].toTensor(), w.grad()));
}

TEST_F(Interpret, NoticesValuesThatBreakTheirTypes) {
  const char *text = R"(
    func.func @f(%x: tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>, %y: tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?x1xf32, #bf.tensor<worlds = [[3, 5]]>> {
      %0 = bf.aten "aten::unsqueeze"(%x, 0) : (tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?x1xf32, #bf.tensor<worlds = [[3, 5]]>>
      return %0 : tensor<?x1xf32, #bf.tensor<worlds = [[3, 5]]>>
    })";
  EXPECT_THROW(run(text, {at::ones({4}), at::ones({4})}), std::runtime_error)
      << "a wrong shape rule";
  EXPECT_THROW(run(text, {at::ones({4}), at::ones({3})}), std::runtime_error)
      << "unequal dimensions";
  EXPECT_THROW(run(text, {at::ones({4}, at::kLong), at::ones({4})}), std::runtime_error);
  EXPECT_THROW(run(text, {at::ones({4})}), std::runtime_error);
}

} // namespace
} // namespace bifront
