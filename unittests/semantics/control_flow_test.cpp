// Branches, loops, calls and recursion as machine code against the reference interpreter, on random
// programs.
#include "codegen/compile.h"
#include "codegen/native_symbols.h"
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "reference/interpreter.h"
#include "runtime/executor.h"
#include "runtime/graph_allocator.h"

#include "mlir/Parser/Parser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <sstream>

namespace bifront {
namespace {

constexpr const char *kTensor = "tensor<2x3xf32>";

// Functions call those before them, or themselves with a smaller first number.
class ProgramText {
public:
  explicit ProgramText(uint32_t seed) : random(seed) {}

  std::string make() {
    for (size_t count = random() % 3; functions < count; ++functions)
      function(functions);
    std::string callees = std::exchange(text, std::ostringstream()).str();
    entry();
    return text.str() + callees;
  }

private:
  using Names = std::vector<std::string>;
  struct Scope {
    Names tensors, ints, bools, floats;
  };

  std::string fresh() { return "%v" + std::to_string(next++); }
  template <typename... Parts> void line(Parts &&...parts) {
    text << std::string(2 * depth, ' ');
    (text << ... << parts) << "\n";
  }
  std::string pick(const Names &names) { return names[random() % names.size()]; }
  bool chance(unsigned percent) { return random() % 100 < percent; }

  std::string define(const std::string &value) {
    std::string name = fresh();
    line(name, " = ", value);
    return name;
  }

  void function(size_t number) {
    current = number;
    callsLeft = 2;
    line("func.func private @f", number, "(%n: i64, %x: ", kTensor, ") -> (i64, ", kTensor, ") {");
    ++depth;
    Scope scope;
    scope.ints = {"%n"};
    scope.tensors = {"%x"};
    std::string end = define("arith.constant 0 : i64"), stop = fresh(), left = fresh();
    line(stop, " = arith.cmpi sle, %n, ", end, " : i64");
    line(left, ":2 = scf.if ", stop, " -> (i64, ", kTensor, ") {");
    line("  scf.yield ", end, ", %x : i64, ", kTensor);
    line("} else {");
    ++depth;
    block(scope, 3);
    line("scf.yield ", pick(scope.ints), ", ", pick(scope.tensors), " : i64, ", kTensor);
    --depth;
    line("}");
    line("return ", left, "#0, ", left, "#1 : i64, ", kTensor);
    --depth;
    line("}");
    current.reset();
  }

  void entry() {
    callsLeft = 4;
    line("func.func @step(%x: ", kTensor, ", %y: ", kTensor, ", %n: i64, %c: i1) -> (", kTensor,
         ", i64, f64, i1, ", kTensor, ") {");
    ++depth;
    Scope scope{{"%x", "%y"}, {"%n"}, {"%c"}, {}};
    scope.floats.push_back(define("arith.constant 0.5 : f64"));
    block(scope, 10);
    if (chance(40))
      line("bf.store ", pick(scope.tensors), " to %x : ", kTensor, " to ", kTensor);
    line("return ", pick(scope.tensors), ", ", pick(scope.ints), ", ", pick(scope.floats), ", ",
         pick(scope.bools), ", ", pick(scope.tensors), " : ", kTensor, ", i64, f64, i1, ", kTensor);
    --depth;
    line("}");
  }

  void block(Scope &scope, int statements) {
    if (scope.bools.empty())
      scope.bools.push_back(define("arith.constant true"));
    if (scope.floats.empty())
      scope.floats.push_back(define("arith.constant 1.5 : f64"));
    for (int i = 0; i < statements; ++i)
      statement(scope);
  }

  void statement(Scope &scope) {
    bool mayNest = depth < 5;
    switch (random() % (mayNest ? 14 : 8)) {
    case 0:
    case 1: {
      static const char *const ops[] = {"aten::sin", "aten::relu", "aten::neg", "aten::tanh"};
      scope.tensors.push_back(define("bf.aten \"" + std::string(ops[random() % 4]) + "\"(" +
                                     pick(scope.tensors) + ") : (" + kTensor + ") -> " + kTensor));
      return;
    }
    case 2: {
      std::string a = pick(scope.tensors), b = pick(scope.tensors);
      const char *op = chance(50) ? "aten::maximum" : "aten::minimum";
      scope.tensors.push_back(define("bf.aten \"" + std::string(op) + "\"(" + a + ", " + b +
                                     ") : (" + kTensor + ", " + kTensor + ") -> " + kTensor));
      return;
    }
    case 3: {
      std::string a = pick(scope.tensors), f = pick(scope.floats);
      scope.tensors.push_back(define("bf.aten \"aten::mul.Tensor\"(" + a + ", " + f + ") : (" +
                                     kTensor + ", f64) -> " + kTensor));
      return;
    }
    case 4: {
      std::string sum = define("bf.aten \"aten::sum\"(" + pick(scope.tensors) + ", none) : (" +
                               kTensor + ") -> tensor<f32>");
      scope.floats.push_back(
          define("bf.aten \"aten::_local_scalar_dense\"(" + sum + ") : (tensor<f32>) -> f64"));
      std::string zero = define("arith.constant 0.0 : f64");
      scope.bools.push_back(
          define("arith.cmpf olt, " + scope.floats.back() + ", " + zero + " : f64"));
      return;
    }
    case 5: {
      std::string one = define("arith.constant " + std::to_string(random() % 3) + " : i64");
      const char *op = chance(50) ? "arith.addi " : "arith.subi ";
      scope.ints.push_back(define(op + pick(scope.ints) + ", " + one + " : i64"));
      return;
    }
    case 6:
      scope.bools.push_back(
          define("arith.cmpi slt, " + pick(scope.ints) + ", " + pick(scope.ints) + " : i64"));
      return;
    case 7: {
      std::string other = chance(3) ? pick(scope.bools) : define("arith.constant true");
      std::string holds = define("arith.ori " + other + ", " + pick(scope.bools) + " : i1");
      line("bf.assert ", holds, ", \"holds\"");
      return;
    }
    case 8:
    case 9:
    case 10: return branch(scope);
    case 11:
    case 12: return loop(scope);
    default: return call(scope);
    }
  }

  void branch(Scope &scope) {
    std::string result = fresh();
    line(result, ":4 = scf.if ", pick(scope.bools), " -> (", kTensor, ", i64, f64, i1) {");
    for (int side = 0; side < 2; ++side) {
      ++depth;
      Scope inner = scope;
      block(inner, static_cast<int>(random() % 4));
      line("scf.yield ", pick(inner.tensors), ", ", pick(inner.ints), ", ", pick(inner.floats),
           ", ", pick(inner.bools), " : ", kTensor, ", i64, f64, i1");
      --depth;
      line(side == 0 ? "} else {" : "}");
    }
    addResults(scope, result);
  }

  void addResults(Scope &scope, const std::string &result) {
    scope.tensors.push_back(result + "#0");
    scope.ints.push_back(result + "#1");
    scope.floats.push_back(result + "#2");
    scope.bools.push_back(result + "#3");
  }

  // Carries a counter, a number, two tensors and a bool; the bool may end it early.
  void loop(Scope &scope) {
    std::string zero = define("arith.constant 0 : i64"), one = define("arith.constant 1 : i64");
    std::string limit =
        define("arith.constant " + std::to_string(random() % (current ? 3 : 5)) + " : i64");
    std::string result = fresh(), i = fresh(), t = fresh(), u = fresh(), f = fresh(), b = fresh();
    std::string types = std::string("i64, ") + kTensor + ", " + kTensor + ", f64, i1";
    line(result, ":5 = scf.while (", i, " = ", zero, ", ", t, " = ", pick(scope.tensors), ", ", u,
         " = ", pick(scope.tensors), ", ", f, " = ", pick(scope.floats), ", ", b, " = ",
         pick(scope.bools), ") : (", types, ") -> (", types, ") {");
    ++depth;
    Scope before = scope;
    before.tensors.insert(before.tensors.end(), {t, u});
    before.floats.push_back(f);
    before.bools.push_back(b);
    block(before, static_cast<int>(random() % 2));
    std::string less = define("arith.cmpi slt, " + i + ", " + limit + " : i64");
    if (chance(30))
      less = define("arith.andi " + less + ", " + b + " : i1");
    line("scf.condition(", less, ") ", i, ", ", pick(before.tensors), ", ", chance(70) ? u : t,
         ", ", pick(before.floats), ", ", b, " : ", types);
    --depth;
    std::string ai = fresh(), at = fresh(), au = fresh(), af = fresh(), ab = fresh();
    line("} do {");
    line("^bb0(", ai, ": i64, ", at, ": ", kTensor, ", ", au, ": ", kTensor, ", ", af, ": f64, ",
         ab, ": i1):");
    ++depth;
    Scope after = scope;
    after.tensors.insert(after.tensors.end(), {at, au, at, au});
    after.ints.push_back(ai);
    after.floats.push_back(af);
    after.bools.push_back(ab);
    block(after, 1 + static_cast<int>(random() % 4));
    std::string more = define("arith.addi " + ai + ", " + one + " : i64");
    // Sometimes the two tensors change places.
    bool swaps = chance(30);
    line("scf.yield ", more, ", ", swaps ? au : pick(after.tensors), ", ",
         swaps ? at : pick(after.tensors), ", ", pick(after.floats), ", ", pick(after.bools), " : ",
         types);
    --depth;
    line("}");
    scope.ints.push_back(result + "#0");
    scope.tensors.insert(scope.tensors.end(), {result + "#1", result + "#2"});
    scope.floats.push_back(result + "#3");
    scope.bools.push_back(result + "#4");
  }

  void call(Scope &scope) {
    if (callsLeft == 0 || (!current && functions == 0))
      return;
    --callsLeft;
    bool recurses = current && (*current == 0 || chance(60));
    size_t callee = recurses ? *current : random() % (current ? *current : functions);
    std::string one = define("arith.constant 1 : i64");
    std::string number = recurses ? define("arith.subi %n, " + one + " : i64") : one;
    std::string result = fresh();
    line(result, ":2 = func.call @f", callee, "(", number, ", ", pick(scope.tensors), ") : (i64, ",
         kTensor, ") -> (i64, ", kTensor, ")");
    scope.ints.push_back(result + "#0");
    scope.tensors.push_back(result + "#1");
  }

  std::mt19937 random;
  std::ostringstream text;
  unsigned depth = 0, next = 0;
  size_t functions = 0;
  std::optional<size_t> current; // the function whose body is written
  int callsLeft = 0;
};

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
