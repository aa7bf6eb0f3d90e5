// Gradients through branches, loops and recursion: what the autodiff pass makes of random programs,
// in the reference and as machine code, against PyTorch's own autograd on the same programs.
#include "codegen/compile.h"
#include "codegen/native_symbols.h"
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "passes/autodiff.h"
#include "passes/functionalise.h"
#include "passes/pipeline.h"
#include "reference/interpreter.h"
#include "runtime/executor.h"
#include "runtime/graph_allocator.h"

#include "differentiable_text.h"
#include "elementary_derivatives.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include <ATen/ATen.h>
#include <chrono>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <tuple>
#include <unistd.h>

namespace bifront {
namespace {

using Values = std::vector<c10::IValue>;

Values inputsOf(uint32_t seed, int round, int64_t rows) {
  at::manual_seed(seed + round);
  Values inputs;
  for (int64_t size : {rows, rows, int64_t{3}, int64_t{3}})
    inputs.emplace_back(at::randn({size, 3}, at::kDouble).set_requires_grad(true));
  inputs.emplace_back(int64_t{round});
  inputs.emplace_back(round == 1);
  at::manual_seed(seed + round);
  return inputs;
}

// For a longer search: how many of each kind, and how many to leave out before.
uint32_t number(const char *variable, uint32_t usual) {
  const char *wanted = std::getenv(variable);
  return wanted ? static_cast<uint32_t>(std::atoi(wanted)) : usual;
}
uint32_t programs(uint32_t usual) { return number("BIFRONT_PROGRAMS", usual); }

// Returns, behind its results, which gradients the graph's backward passes come to.
void askWhatIsReached(mlir::ModuleOp module) {
  auto function = *module.getOps<mlir::func::FuncOp>().begin();
  llvm::SmallVector<bf::GradOp> grads(function.getOps<bf::GradOp>());
  mlir::Operation *end = function.front().getTerminator();
  for (bf::GradOp grad : grads) {
    mlir::OpBuilder builder(grad);
    llvm::SmallVector<mlir::Type> types(grad.getWrt().size(), builder.getI1Type());
    auto reached =
        bf::ReachedOp::create(builder, grad.getLoc(), types, grad.getOutputs(), grad.getWrt());
    end->insertOperands(end->getNumOperands(), reached.getResults());
  }
  function.setType(mlir::FunctionType::get(module.getContext(), function.getArgumentTypes(),
                                           end->getOperandTypes()));
}

class RegionGradients : public testing::Test {
protected:
  static void SetUpTestSuite() {
    installSchemaTable();
    for (const RuntimeFunction &function : runtimeFunctions())
      registerSymbol(function.name, function.address);
    ordinaryAllocator();
  }
  RegionGradients() : context(mlir::MLIRContext::Threading::DISABLED) { loadDialects(context); }

  mlir::OwningOpRef<mlir::ModuleOp> parsed(const std::string &text) {
    return mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  }

  // The graph after autodiff alone, or after the whole pipeline. Null where that is refused.
  mlir::OwningOpRef<mlir::ModuleOp> expanded(mlir::ModuleOp recorded, bool wholePipeline) {
    mlir::OwningOpRef<mlir::ModuleOp> graph = recorded.clone();
    std::string said;
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
      said += diagnostic.str();
      return mlir::success();
    });
    bool ok = true;
    if (wholePipeline) {
      PipelineOptions options;
      options.verify = true;
      PipelineResult result = runPipeline(*graph, options, &source);
      ok = result.ok;
      said += result.failedPass + ": " + result.reason;
    } else {
      ok =
          mlir::succeeded(expandGradients(*graph, source)) && mlir::succeeded(mlir::verify(*graph));
    }
    if (ok)
      return graph;
    bool isRefused = said.find("a gradient flows out of") != std::string::npos ||
                     said.find("takes gradients of what it calls itself") != std::string::npos;
    EXPECT_TRUE(isRefused) << said;
    return {};
  }

  // Nothing where an assertion fails.
  std::optional<Values> interpreted(mlir::ModuleOp module, const Values &inputs) {
    try {
      return interpret(module, inputs);
    } catch (const AssertionFailed &) {
      return std::nullopt;
    }
  }

  std::optional<Values> executed(Executor &native, const Values &inputs) {
    Values outputs;
    RunResult result = native.run(inputs, outputs);
    if (result.status == RunResult::Status::Threw)
      std::rethrow_exception(result.exception);
    if (result.status == RunResult::Status::AssertionFailed)
      return std::nullopt;
    return outputs;
  }

  void expectClose(const std::optional<Values> &actual, const std::optional<Values> &expected) {
    ASSERT_EQ(actual.has_value(), expected.has_value());
    if (!expected)
      return;
    ASSERT_EQ(actual->size(), expected->size());
    for (size_t i = 0; i < expected->size(); ++i) {
      if ((*expected)[i].isBool()) {
        EXPECT_EQ((*actual)[i].toBool(), (*expected)[i].toBool()) << "result " << i;
        reached[(*expected)[i].toBool()] += 1;
        continue;
      }
      at::Tensor a = (*actual)[i].toTensor(), e = (*expected)[i].toTensor();
      EXPECT_TRUE(at::allclose(a, e, 1e-9, 1e-9)) << "result " << i << "\n"
                                                  << a << "\nexpected\n"
                                                  << e;
    }
  }

  void check(const std::string &text, uint32_t seed, bool dynamic) {
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    mlir::OwningOpRef<mlir::ModuleOp> recorded = parsed(text);
    ASSERT_TRUE(recorded);
    askWhatIsReached(*recorded);
    mlir::OwningOpRef<mlir::ModuleOp> graph = expanded(*recorded, false),
                                      whole = expanded(*recorded, true);
    // Names that functionalisation unites make a few more possible.
    if (!whole)
      return void(++refused);
    mlir::OwningOpRef<mlir::ModuleOp> compiled = whole->clone();
    Executor native(compile(*compiled, {}));
    for (int round = 0; round < 3; ++round) {
      auto inputs = [&] { return inputsOf(seed, round, dynamic ? round + 1 : 2); };
      std::optional<Values> eager;
      try {
        eager = interpreted(*recorded, inputs());
      } catch (const c10::Error &error) {
        // Some function was given what does not require gradients, and takes some.
        ASSERT_NE(std::string(error.what()).find("require grad"), std::string::npos)
            << error.what();
        ++raised;
        continue;
      }
      failures += !eager;
      {
        SCOPED_TRACE("in the reference");
        if (graph)
          expectClose(interpreted(*graph, inputs()), eager);
        expectClose(interpreted(*whole, inputs()), eager);
      }
      SCOPED_TRACE("as machine code");
      // The second run finds what the first has left.
      for (int run = 0; run < 2; ++run)
        expectClose(executed(native, inputs()), eager);
      if (HasFailure())
        break;
    }
  }

  void checkAll(uint32_t first, uint32_t last, DifferentiableFeatures features) {
    first += number("BIFRONT_FIRST_PROGRAM", 0), last += number("BIFRONT_FIRST_PROGRAM", 0);
    for (uint32_t seed = first; seed < last && !HasFailure(); ++seed)
      check(DifferentiableText(seed, features).make(), seed, features.dynamic);
    EXPECT_LT(refused, (last - first) / 2) << "the programs show little";
    EXPECT_LT(raised, last - first) << "a third of the runs shows nothing";
    EXPECT_GT(reached[true], 0U);
  }

  mlir::MLIRContext context;
  ElementaryDerivatives source;
  unsigned failures = 0, refused = 0, raised = 0;
  unsigned reached[2] = {}; // no, yes
};

const char *kRecursion = R"(
func.func @step(%x: tensor<2x3xf64>, %w: tensor<3x3xf64>, %n: i64)
    -> (tensor<f64>, tensor<2x3xf64>, tensor<3x3xf64>) {
  %y = func.call @f(%n, %x, %w) : (i64, tensor<2x3xf64>, tensor<3x3xf64>) -> tensor<2x3xf64>
  %loss = bf.aten "aten::sum"(%y, none) : (tensor<2x3xf64>) -> tensor<f64>
  %g:2 = bf.grad outputs(%loss) seeds() wrt(%x, %w)
      : (tensor<f64>), (), (tensor<2x3xf64>, tensor<3x3xf64>) -> (tensor<2x3xf64>, tensor<3x3xf64>)
  return %loss, %g#0, %g#1 : tensor<f64>, tensor<2x3xf64>, tensor<3x3xf64>
}
func.func private @f(%n: i64, %x: tensor<2x3xf64>, %w: tensor<3x3xf64>) -> tensor<2x3xf64> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %stop = arith.cmpi sle, %n, %zero : i64
  %y = scf.if %stop -> (tensor<2x3xf64>) {
    scf.yield %x : tensor<2x3xf64>
  } else {
    %p = bf.aten "aten::mm"(%x, %w) : (tensor<2x3xf64>, tensor<3x3xf64>) -> tensor<2x3xf64>
    %t = bf.aten "aten::tanh"(%p) : (tensor<2x3xf64>) -> tensor<2x3xf64>
    %less = arith.subi %n, %one : i64
    %r = func.call @f(%less, %t, %w) : (i64, tensor<2x3xf64>, tensor<3x3xf64>) -> tensor<2x3xf64>
    scf.yield %r : tensor<2x3xf64>
  }
  return %y : tensor<2x3xf64>
})";

// While it lives, the process gets no more than that much more memory.
class LittleMemory {
public:
  explicit LittleMemory(rlim_t more) {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &before_);
    rlimit little = before_;
    little.rlim_cur = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + more;
    setrlimit(RLIMIT_AS, &little);
  }
  ~LittleMemory() { setrlimit(RLIMIT_AS, &before_); }
  LittleMemory(const LittleMemory &) = delete;

private:
  rlimit before_{};
};

// Where there is no memory for more stack, a run ends as one that throws, and the next one is as
// good as the first.
TEST_F(RegionGradients, RecursionThatIsTooDeep) {
  mlir::OwningOpRef<mlir::ModuleOp> recorded = parsed(kRecursion);
  ASSERT_TRUE(recorded);
  mlir::OwningOpRef<mlir::ModuleOp> graph = expanded(*recorded, true);
  ASSERT_TRUE(graph);
  mlir::OwningOpRef<mlir::ModuleOp> compiled = graph->clone();
  Executor native(compile(*compiled, {}));
  auto inputs = [](int64_t depth) {
    at::manual_seed(depth);
    return Values{at::randn({2, 3}, at::kDouble).set_requires_grad(true),
                  at::randn({3, 3}, at::kDouble).set_requires_grad(true), depth};
  };
  for (int64_t depth : {3, 3000}) {
    Values deep = inputs(int64_t{10'000'000}), outputs;
    {
      LittleMemory limited(rlim_t{256} << 20);
      EXPECT_EQ(native.run(deep, outputs).status, RunResult::Status::Threw);
    }
    EXPECT_THROW(interpret(*graph, deep), c10::Error);
    Values usual = inputs(depth);
    expectClose(executed(native, usual), interpreted(*recorded, usual));
  }
  for (int64_t depth = 1000; depth < 1'000'000 && std::getenv("BIFRONT_TIMES"); depth += 1000) {
    Values deep = inputs(depth), outputs;
    if (native.run(deep, outputs).status == RunResult::Status::Done)
      continue;
    std::cout << "as deep as the stack: less than " << depth << "\n";
    break;
  }
}

// The steps of an LSTM: in a loop over the first dimension of %xs, or one after the other.
std::string lstm(int64_t steps, bool inLoop) {
  const std::string row = "tensor<20x64xf64>", matrix = "tensor<64x64xf64>";
  std::string rows = "tensor<" + std::to_string(steps) + "x20x64xf64>", text;
  text = "func.func @step(%xs: " + rows + ", %h0: " + row + ", %c0: " + row;
  for (int gate = 0; gate < 8; ++gate)
    text += ", %w" + std::to_string(gate) + ": " + matrix;
  text += ") -> (tensor<f64>, " + row;
  for (int gate = 0; gate < 8; ++gate)
    text += ", " + matrix;
  text += ") {\n";
  int next = 0;
  auto aten = [&](const std::string &call, const std::string &types) {
    std::string name = "%v" + std::to_string(next++);
    text += name + " = bf.aten \"aten::" + call + " : " + types + "\n";
    return name;
  };
  auto binary = [&](const std::string &op, const std::string &a, const std::string &b) {
    return aten(op + ".Tensor\"(" + a + ", " + b + (op == "add" ? ", 1)" : ")"),
                "(" + row + ", " + row + ") -> " + row);
  };
  auto unary = [&](const std::string &op, const std::string &a) {
    return aten(op + "\"(" + a + ")", "(" + row + ") -> " + row);
  };
  auto step = [&](const std::string &x, const std::string &h, const std::string &c) {
    std::string gates[4];
    for (int gate = 0; gate < 4; ++gate) {
      std::string products[2];
      for (int side : {0, 1})
        products[side] =
            aten("mm\"(" + (side ? h : x) + ", %w" + std::to_string(2 * gate + side) + ")",
                 "(" + row + ", " + matrix + ") -> " + row);
      gates[gate] = unary(gate == 3 ? "tanh" : "sigmoid", binary("add", products[0], products[1]));
    }
    std::string cell = binary("add", binary("mul", gates[0], c), binary("mul", gates[1], gates[3]));
    return std::pair(binary("mul", gates[2], unary("tanh", cell)), cell);
  };
  std::string h = "%h0", c = "%c0";
  if (inLoop) {
    std::string types = "i64, " + row + ", " + row;
    text +=
        "%zero = arith.constant 0 : i64\n%one = arith.constant 1 : i64\n%end = arith.constant " +
        std::to_string(steps) + " : i64\n%first = arith.cmpi slt, %zero, %end : i64\n" +
        "%r:3 = scf.while (%go = %first, %i = %zero, %a = %h0, %b = %c0) : (i1, " + types +
        ") -> (" + types + ") {\nscf.condition(%go) %i, %a, %b : " + types +
        "\n} do {\n^bb0(%i: i64, %a: " + row + ", %b: " + row + "):\n";
    std::string x = aten("select.int\"(%xs, 0, %i)", "(" + rows + ", i64) -> " + row);
    auto [nextH, nextC] = step(x, "%a", "%b");
    text += "%more = arith.addi %i, %one : i64\n%again = arith.cmpi slt, %more, %end : i64\n"
            "scf.yield %again, %more, " +
            nextH + ", " + nextC + " : i1, " + types + "\n}\n";
    h = "%r#1";
  } else {
    for (int64_t i = 0; i < steps; ++i) {
      std::string x =
          aten("select.int\"(%xs, 0, " + std::to_string(i) + ")", "(" + rows + ") -> " + row);
      std::tie(h, c) = step(x, h, c);
    }
  }
  std::string loss = aten("sum\"(" + h + ", none)", "(" + row + ") -> tensor<f64>");
  std::string wrt = "%h0", types = row;
  for (int gate = 0; gate < 8; ++gate) {
    wrt += ", %w" + std::to_string(gate);
    types += ", " + matrix;
  }
  text += "%g:9 = bf.grad outputs(" + loss + ") seeds() wrt(" + wrt + ") : (tensor<f64>), (), (" +
          types + ") -> (" + types + ")\nreturn " + loss +
          ", %g#0, %g#1, %g#2, %g#3, %g#4, %g#5, %g#6, %g#7, %g#8 : tensor<f64>, " + types + "\n}";
  return text;
}

TEST_F(RegionGradients, AnLstmInALoopIsTheUnrolledOne) {
  constexpr int64_t kSteps = 35;
  at::manual_seed(0);
  Values inputs = {at::randn({kSteps, 20, 64}, at::kDouble), at::randn({20, 64}, at::kDouble),
                   at::randn({20, 64}, at::kDouble)};
  for (int gate = 0; gate < 8; ++gate)
    inputs.emplace_back(at::randn({64, 64}, at::kDouble) / 8);
  std::optional<Values> results[2];
  for (bool inLoop : {false, true}) {
    mlir::OwningOpRef<mlir::ModuleOp> recorded = parsed(lstm(kSteps, inLoop));
    ASSERT_TRUE(recorded);
    mlir::OwningOpRef<mlir::ModuleOp> graph = expanded(*recorded, true);
    ASSERT_TRUE(graph);
    Executor native(compile(*graph, {}));
    for (int run = 0; run < 3; ++run)
      results[inLoop] = executed(native, inputs);
    auto start = std::chrono::steady_clock::now();
    for (int run = 0; run < 20; ++run)
      executed(native, inputs);
    std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
    if (std::getenv("BIFRONT_TIMES"))
      std::cout << (inLoop ? "in a loop: " : "unrolled: ") << spent.count() / 20 << " ms\n";
  }
  expectClose(results[1], results[0]);
}

TEST_F(RegionGradients, RandomPrograms) { checkAll(0, programs(200), {}); }

TEST_F(RegionGradients, SizesThatAreNotKnown) {
  checkAll(100000, 100000 + programs(100), {.dynamic = true});
}

TEST_F(RegionGradients, DrawsAreNotDrawnAgain) {
  checkAll(200000, 200000 + programs(60), {.draws = true});
}

TEST_F(RegionGradients, GradientsInRegions) {
  checkAll(300000, 300000 + programs(100), {.innerGradients = true});
}

TEST_F(RegionGradients, AssertionsFailHalfway) {
  checkAll(400000, 400000 + programs(150), {.failures = true});
  EXPECT_GT(failures, 5u) << "the programs show nothing of assertions";
}

} // namespace
} // namespace bifront
