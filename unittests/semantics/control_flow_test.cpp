// Branches, loops, calls and recursion as machine code against the reference interpreter, on random
// programs.
#include "codegen/compile.h"
#include "codegen/native_symbols.h"
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "reference/interpreter.h"
#include "runtime/executor.h"
#include "runtime/graph_allocator.h"

#include "program_text.h"

#include "mlir/Parser/Parser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace bifront {
namespace {

std::vector<at::Tensor> tensorsOf(const std::vector<c10::IValue> &results,
                                  const std::vector<c10::IValue> &inputs) {
  std::vector<at::Tensor> tensors;
  for (const auto *values : {&results, &inputs})
    for (const c10::IValue &value : *values)
      tensors.push_back(value.isTensor() ? value.toTensor()
                                         : at::scalar_tensor(value.toScalar(), at::kDouble));
  return tensors;
}

class ControlFlow : public testing::Test {
protected:
  static void SetUpTestSuite() {
    installSchemaTable();
    for (const RuntimeFunction &function : runtimeFunctions())
      registerSymbol(function.name, function.address);
    ordinaryAllocator();
  }
  ControlFlow() : context(mlir::MLIRContext::Threading::DISABLED) { loadDialects(context); }

  mlir::MLIRContext context;
};

TEST_F(ControlFlow, RandomPrograms) {
  unsigned failedAssertions = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::string text = ProgramText(seed).make();
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    Executor native(compile(*module, {}));
    for (int round = 0; round < 3; ++round) {
      auto inputs = [&]() -> std::vector<c10::IValue> {
        at::manual_seed(seed + round);
        return {at::randn({2, 3}), at::randn({2, 3}), int64_t{round}, round == 1};
      };
      std::vector<c10::IValue> expectedInputs = inputs(), actualInputs = inputs(), actual, expected;
      bool fails = false;
      try {
        expected = interpret(*module, expectedInputs);
      } catch (const AssertionFailed &) {
        fails = true;
        ++failedAssertions;
      }
      RunResult result = native.run(actualInputs, actual);
      ASSERT_EQ(result.status,
                fails ? RunResult::Status::AssertionFailed : RunResult::Status::Done);
      std::vector<at::Tensor> a = tensorsOf(actual, actualInputs),
                              e = tensorsOf(expected, expectedInputs);
      ASSERT_EQ(a.size(), e.size());
      for (size_t i = 0; i < a.size(); ++i)
        ASSERT_TRUE(at::equal(a[i].nan_to_num(), e[i].nan_to_num())) << "value " << i << "\n"
                                                                     << a[i] << "\nexpected\n"
                                                                     << e[i];
    }
  }
  EXPECT_GT(failedAssertions, 5u) << "the programs show nothing";
}

} // namespace
} // namespace bifront
