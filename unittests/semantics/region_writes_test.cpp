// Random programs with control flow, views, in-place ops and draws, as capture records them: what
// the pipeline makes of them does what eager does, as machine code and in the reference.
#include "codegen/compile.h"
#include "codegen/native_symbols.h"
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "passes/pipeline.h"
#include "reference/interpreter.h"
#include "runtime/executor.h"
#include "runtime/graph_allocator.h"

#include "program_text.h"

#include "mlir/Parser/Parser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace bifront {
namespace {

using Values = std::vector<c10::IValue>;

Values inputsOf(uint32_t seed, int round) {
  at::manual_seed(seed + round);
  return {at::randn({2, 3}), at::randn({2, 3}), int64_t{round}, round == 1};
}

struct Outcome {
  bool fails = false; // an assertion does
  Values results, inputs;
  std::string printed;

  std::vector<at::Tensor> tensors() const {
    std::vector<at::Tensor> found;
    for (const Values *values : {&results, &inputs})
      for (const c10::IValue &value : *values)
        if (value.isTensor())
          found.push_back(value.toTensor());
    return found;
  }
};

Outcome interpreted(mlir::ModuleOp module, uint32_t seed, int round) {
  Outcome outcome;
  outcome.inputs = inputsOf(seed, round);
  testing::internal::CaptureStdout();
  try {
    outcome.results = interpret(module, outcome.inputs);
  } catch (const AssertionFailed &) {
    outcome.fails = true;
  }
  outcome.printed = testing::internal::GetCapturedStdout();
  return outcome;
}

Outcome executed(Executor &native, uint32_t seed, int round) {
  Outcome outcome;
  outcome.inputs = inputsOf(seed, round);
  RunResult result = native.run(outcome.inputs, outcome.results);
  outcome.fails = result.status == RunResult::Status::AssertionFailed;
  if (result.status == RunResult::Status::Threw)
    std::rethrow_exception(result.exception);
  return outcome;
}

void expectEqual(const c10::IValue &actual, const c10::IValue &expected, const char *what,
                 size_t number) {
  if (!expected.isTensor()) {
    at::Tensor a = at::scalar_tensor(actual.toScalar(), at::kDouble),
               e = at::scalar_tensor(expected.toScalar(), at::kDouble);
    EXPECT_TRUE(at::equal(a.nan_to_num(), e.nan_to_num()))
        << what << " " << number << " is " << actual << ", not " << expected;
    return;
  }
  const at::Tensor &a = actual.toTensor(), &e = expected.toTensor();
  ASSERT_EQ(a.sizes(), e.sizes()) << what << " " << number;
  EXPECT_TRUE(at::equal(a.nan_to_num(), e.nan_to_num())) << what << " " << number << "\n"
                                                         << a << "\nexpected\n"
                                                         << e;
}

// What eager calls one tensor, one is here; what shares memory there does here, and nothing else.
void expectSameSharing(const Outcome &actual, const Outcome &eager) {
  std::vector<at::Tensor> a = actual.tensors(), e = eager.tensors();
  for (size_t i = 0; i < e.size(); ++i)
    for (size_t k = 0; k < i; ++k) {
      EXPECT_EQ(a[i].is_same(a[k]), e[i].is_same(e[k])) << "tensors " << k << " and " << i;
      EXPECT_EQ(a[i].is_alias_of(a[k]), e[i].is_alias_of(e[k])) << "tensors " << k << " and " << i;
    }
}

void expectLikeEager(const Outcome &actual, const Outcome &eager, uint32_t seed, int round) {
  ASSERT_EQ(actual.fails, eager.fails);
  // Nothing has happened where an assertion fails.
  Values untouched = inputsOf(seed, round);
  const Values &inputs = eager.fails ? untouched : eager.inputs;
  for (size_t i = 0; i < inputs.size(); ++i)
    expectEqual(actual.inputs[i], inputs[i], "input", i);
  ASSERT_EQ(actual.results.size(), eager.fails ? 0 : eager.results.size());
  for (size_t i = 0; i < actual.results.size(); ++i)
    expectEqual(actual.results[i], eager.results[i], "result", i);
  if (!eager.fails)
    expectSameSharing(actual, eager);
}

// What a value cannot say; the caller leaves such a function to CPython.
bool isRefused(const PipelineResult &result) {
  for (const char *reason :
       {"a view of one of several written tensors is returned", "on one path and another on others",
        "reads a tensor that may have been written as another",
        "which may share memory with its argument"})
    if (result.failedPass == "functionalise" && result.reason.find(reason) != std::string::npos)
      return true;
  return false;
}

class RegionWrites : public testing::Test {
protected:
  static void SetUpTestSuite() {
    installSchemaTable();
    for (const RuntimeFunction &function : runtimeFunctions())
      registerSymbol(function.name, function.address);
    ordinaryAllocator();
  }
  RegionWrites() : context(mlir::MLIRContext::Threading::DISABLED) { loadDialects(context); }

  // Null where the pipeline refuses the program.
  mlir::OwningOpRef<mlir::ModuleOp> graphOf(mlir::ModuleOp recorded) {
    mlir::OwningOpRef<mlir::ModuleOp> graph = recorded.clone();
    PipelineOptions options;
    options.verify = true;
    PipelineResult result = runPipeline(*graph, options, nullptr);
    if (result.ok)
      return graph;
    EXPECT_TRUE(isRefused(result)) << result.failedPass << ": " << result.reason;
    return {};
  }

  void compare(mlir::ModuleOp recorded, mlir::ModuleOp graph, bool prints, uint32_t seed) {
    std::unique_ptr<Executor> native;
    if (!prints) {
      mlir::OwningOpRef<mlir::ModuleOp> compiled = graph.clone();
      native = std::make_unique<Executor>(compile(*compiled, {}));
    }
    for (int round = 0; round < 3; ++round) {
      Outcome eager = interpreted(recorded, seed, round);
      failures += eager.fails;
      Outcome reference = interpreted(graph, seed, round);
      reference.results.resize(eager.fails ? 0 : reference.results.size());
      {
        SCOPED_TRACE("in the reference");
        expectLikeEager(reference, eager, seed, round);
        EXPECT_EQ(reference.printed, eager.printed);
      }
      if (native) {
        SCOPED_TRACE("as machine code");
        expectLikeEager(executed(*native, seed, round), eager, seed, round);
      }
    }
  }

  // Programs `first` to `last`; stops at the first that goes wrong.
  void check(uint32_t first, uint32_t last, bool prints) {
    unsigned refused = 0;
    for (uint32_t seed = first; seed < last && !HasFailure(); ++seed) {
      std::string text = ProgramText(seed, {.writes = true, .prints = prints}).make();
      SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
      auto recorded = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
      ASSERT_TRUE(recorded);
      mlir::OwningOpRef<mlir::ModuleOp> graph = graphOf(*recorded);
      if (graph)
        compare(*recorded, *graph, prints, seed);
      else
        ++refused;
    }
    EXPECT_LT(refused, (last - first) / 2) << "the programs show little";
  }

  mlir::MLIRContext context;
  unsigned failures = 0; // of assertions
};

TEST_F(RegionWrites, RandomPrograms) {
  check(0, 5000, /*prints=*/false);
  EXPECT_GT(failures, 50u) << "the programs show nothing of assertions";
}

TEST_F(RegionWrites, PrintsStayInOrder) { check(100000, 101000, /*prints=*/true); }

} // namespace
} // namespace bifront
