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
#include <gtest/gtest.h>

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
      said += result.reason;
    } else {
      ok = mlir::succeeded(expandGradients(*graph, source)) && mlir::succeeded(mlir::verify(*graph));
    }
    if (ok)
      return graph;
    bool isRefused = said.find("a gradient flows out of") != std::string::npos;
    EXPECT_TRUE(isRefused) << said;
    ++refused;
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
    mlir::OwningOpRef<mlir::ModuleOp> graph = expanded(*recorded, false),
                                      whole = expanded(*recorded, true);
    ASSERT_EQ(bool(graph), bool(whole));
    if (!graph)
      return;
    mlir::OwningOpRef<mlir::ModuleOp> compiled = whole->clone();
    Executor native(compile(*compiled, {}));
    for (int round = 0; round < 3; ++round) {
      auto inputs = [&] { return inputsOf(seed, round, dynamic ? round + 1 : 2); };
      std::optional<Values> eager = interpreted(*recorded, inputs());
      failures += !eager;
      {
        SCOPED_TRACE("in the reference");
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
    for (uint32_t seed = first; seed < last && !HasFailure(); ++seed)
      check(DifferentiableText(seed, features).make(), seed, features.dynamic);
    EXPECT_LT(refused, (last - first) / 2) << "the programs show little";
  }

  mlir::MLIRContext context;
  ElementaryDerivatives source;
  unsigned failures = 0, refused = 0;
};

// BIFRONT_PROGRAMS: how many of each kind, for a longer search.
uint32_t programs(uint32_t usual) {
  const char *wanted = std::getenv("BIFRONT_PROGRAMS");
  return wanted ? static_cast<uint32_t>(std::atoi(wanted)) : usual;
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
