#include "differentiable_text.h"

#include <algorithm>
#include <utility>

namespace bifront {

namespace {
const std::string kMatrix = "tensor<3x3xf64>", kNumber = "tensor<f64>";
}

DifferentiableText::DifferentiableText(uint32_t seed, DifferentiableFeatures features)
    : random(seed), features(features),
      tensor(features.dynamic ? "tensor<?x3xf64, #bf.tensor<worlds = [[4, 7]]>>"
                              : "tensor<2x3xf64>") {}

std::string DifferentiableText::make() {
  functions = random() % 3;
  entry();
  for (size_t number = 0; number < functions; ++number)
    function(number);
  return text.str();
}

std::string DifferentiableText::define(const std::string &value) {
  std::string name = fresh();
  line(name, " = ", value);
  return name;
}

std::string DifferentiableText::recent(const Names &names) {
  size_t last = std::min<size_t>(names.size(), 3);
  return chance(70) ? names[names.size() - 1 - random() % last] : pick(names);
}

std::string DifferentiableText::unary(const std::string &name, const std::string &a,
                                      const std::string &more) {
  return define("bf.aten \"aten::" + name + "\"(" + a + more + ") : (" + tensor + ") -> " + tensor);
}

std::string DifferentiableText::binary(const std::string &name, const std::string &a,
                                       const std::string &b, const std::string &more) {
  return define("bf.aten \"aten::" + name + "\"(" + a + ", " + b + more + ") : (" + tensor + ", " +
                tensor + ") -> " + tensor);
}

std::string DifferentiableText::sum(const std::string &a) {
  return define("bf.aten \"aten::sum\"(" + a + ", none) : (" + tensor + ") -> " + kNumber);
}

//===- Functions ---------------------------------------------------------------------------===//

// Ends when its number reaches 0.
void DifferentiableText::function(size_t number) {
  inFunction = true;
  current = number;
  callsLeft = 2;
  line("func.func private @f", number, "(%n: i64, %x: ", tensor, ", %w: ", kMatrix, ") -> (",
       tensor, ", ", tensor, ") {");
  ++depth;
  Scope scope{{"%x"}, {"%w"}, {"%n"}, {}};
  std::string zero = define("arith.constant 0 : i64");
  std::string stop = define("arith.cmpi sle, %n, " + zero + " : i64");
  std::string result = fresh();
  line(result, ":2 = scf.if ", stop, " -> (", tensor, ", ", tensor, ") {");
  for (int side = 0; side < 2; ++side) {
    ++depth;
    Scope inner = scope;
    if (side == 0)
      chance(50) ? computation(inner) : void();
    else
      block(inner, 3), call(inner);
    std::string first = recent(inner.tensors), second = recent(inner.tensors);
    line("scf.yield ", first, ", ", second, " : ", tensor, ", ", tensor);
    --depth;
    line(side == 0 ? "} else {" : "}");
  }
  line("return ", result, "#0, ", chance(70) ? result + "#1" : "%x", " : ", tensor, ", ", tensor);
  --depth;
  line("}");
}

void DifferentiableText::entry() {
  inFunction = false;
  callsLeft = 3;
  std::string returned = kNumber + ", " + tensor + ", " + tensor + ", " + kMatrix + ", " + kMatrix +
                         ", " + tensor;
  line("func.func @step(%x: ", tensor, ", %y: ", tensor, ", %w: ", kMatrix, ", %u: ", kMatrix,
       ", %n: i64, %c: i1) -> (", returned, ") {");
  ++depth;
  Scope scope{{"%x", "%y"}, {"%w", "%u"}, {"%n"}, {"%c"}};
  block(scope, 7);
  std::string all = binary("add.Tensor", recent(scope.tensors), "%x", ", 1");
  std::string loss = sum(all);
  auto gradients = [&] {
    std::string made = fresh(), types = tensor + ", " + tensor + ", " + kMatrix + ", " + kMatrix;
    line(made, ":4 = bf.grad outputs(", loss, ") seeds() wrt(%x, %y, %w, %u) : (", kNumber,
         "), (), (", types, ") -> (", types, ")");
    return made;
  };
  std::string made = gradients(), kept = recent(scope.tensors);
  // Once more through the same ops, and some that came later.
  if (chance(30)) {
    block(scope, 2);
    loss = sum(binary("add.Tensor", recent(scope.tensors), all, ", 1"));
    std::string again = gradients();
    kept = binary("add.Tensor", made + "#0", again + "#1", ", 1");
    made = again;
  }
  line("return ", loss, ", ", made, "#0, ", made, "#1, ", made, "#2, ", made, "#3, ", kept, " : ",
       returned);
  --depth;
  line("}");
}

//===- Statements --------------------------------------------------------------------------===//

void DifferentiableText::block(Scope &scope, int statements) {
  for (int i = 0; i < statements; ++i)
    statement(scope);
}

void DifferentiableText::statement(Scope &scope) {
  if (features.innerGradients && depth > 1 && !inFunction && chance(15))
    return gradient(scope);
  if (features.failures && chance(10)) {
    std::string other = condition(scope), holds = define("arith.constant true");
    if (chance(4))
      holds = other;
    return line("bf.assert ", holds, ", \"holds\"");
  }
  switch (random() % (depth < 5 ? 10 : 5)) {
  default: return computation(scope);
  case 4: return number(scope);
  case 5:
  case 6: return branch(scope);
  case 7:
  case 8: return loop(scope);
  case 9: return call(scope);
  }
}

void DifferentiableText::computation(Scope &scope) {
  static const char *const names[] = {"tanh", "sigmoid", "sin", "neg", "square"};
  std::string a = recent(scope.tensors);
  Names &into = scope.tensors;
  switch (random() % 9) {
  case 0:
  case 1: {
    std::string name = names[random() % 5];
    // Squares of squares grow out of all bounds.
    return into.push_back(unary(name, name == "square" ? unary("sin", a) : a));
  }
  case 2: return into.push_back(binary("mul.Tensor", unary("sin", a), recent(into)));
  case 3: return into.push_back(binary("add.Tensor", a, recent(into), ", 1"));
  case 4:
  case 5: {
    std::string product = define("bf.aten \"aten::mm\"(" + a + ", " + pick(scope.matrices) +
                                 ") : (" + tensor + ", " + kMatrix + ") -> " + tensor);
    return into.push_back(unary("tanh", product));
  }
  case 6: {
    if (!features.draws)
      return into.push_back(unary("sigmoid", a));
    std::string mask = tensor, made = fresh();
    mask.replace(mask.find("f64"), 3, "i1");
    line(made, ":2 = bf.aten \"aten::native_dropout\"(", a, ", 0.5, true) : (", tensor, ") -> (",
         tensor, ", ", mask, ")");
    return into.push_back(made + "#0");
  }
  case 7:
    if (chance(50))
      return into.push_back(unary("detach", a));
    return into.push_back(define("bf.aten \"aten::sin\"(" + a + ") {no_grad} : (" + tensor +
                                 ") -> " + tensor));
  default: {
    std::string one = define("bf.aten \"aten::sin\"(" + pick(scope.matrices) + ") : (" + kMatrix +
                             ") -> " + kMatrix);
    return scope.matrices.push_back(one);
  }
  }
}

void DifferentiableText::number(Scope &scope) {
  if (chance(50)) {
    std::string one = define("arith.constant " + std::to_string(random() % 3) + " : i64");
    return scope.ints.push_back(define("arith.subi " + pick(scope.ints) + ", " + one + " : i64"));
  }
  scope.bools.push_back(condition(scope));
}

std::string DifferentiableText::condition(Scope &scope) {
  if (!scope.bools.empty() && chance(30))
    return pick(scope.bools);
  if (chance(50)) {
    std::string value = define("bf.aten \"aten::_local_scalar_dense\"(" +
                               sum(recent(scope.tensors)) + ") : (" + kNumber + ") -> f64");
    std::string limit = define("arith.constant 0.1 : f64");
    return define("arith.cmpf olt, " + value + ", " + limit + " : f64");
  }
  std::string limit = define("arith.constant 1 : i64");
  return define("arith.cmpi slt, " + pick(scope.ints) + ", " + limit + " : i64");
}

//===- Control flow ------------------------------------------------------------------------===//

void DifferentiableText::branch(Scope &scope) {
  std::string holds = condition(scope), result = fresh();
  std::string types = tensor + ", i64, " + tensor + ", " + kMatrix;
  line(result, ":4 = scf.if ", holds, " -> (", types, ") {");
  for (int side = 0; side < 2; ++side) {
    ++depth;
    Scope inner = scope;
    block(inner, static_cast<int>(random() % 4));
    line("scf.yield ", recent(inner.tensors), ", ", pick(inner.ints), ", ", recent(inner.tensors),
         ", ", recent(inner.matrices), " : ", types);
    --depth;
    line(side == 0 ? "} else {" : "}");
  }
  scope.tensors.push_back(result + "#0");
  scope.ints.push_back(result + "#1");
  if (chance(50))
    scope.tensors.push_back(result + "#2");
  if (chance(50))
    scope.matrices.push_back(result + "#3");
}

// Carries a bool, a counter, two tensors and a matrix.
void DifferentiableText::loop(Scope &scope) {
  std::string zero = define("arith.constant 0 : i64"), one = define("arith.constant 1 : i64");
  std::string limit = define("arith.constant " + std::to_string(random() % 4) + " : i64");
  std::string result = fresh(), go = fresh(), i = fresh(), t = fresh(), u = fresh(), m = fresh();
  std::string types = "i64, " + tensor + ", " + tensor + ", " + kMatrix;
  // As the front end makes it, or with ops in the condition.
  bool isPlain = chance(60);
  std::string start = chance(20) ? one : zero;
  std::string first = define("arith.cmpi slt, " + start + ", " + limit + " : i64");
  line(result, ":4 = scf.while (", go, " = ", first, ", ", i, " = ", start, ", ", t, " = ",
       recent(scope.tensors), ", ", u, " = ", recent(scope.tensors), ", ", m, " = ",
       pick(scope.matrices), ") : (i1, ", types, ") -> (", types, ") {");
  ++depth;
  std::string goesOn = go, handed = t, other = chance(70) ? u : chance(50) ? t : pick(scope.tensors);
  if (!isPlain) {
    Scope before = scope;
    before.tensors.insert(before.tensors.end(), {t, u});
    before.matrices.push_back(m);
    block(before, static_cast<int>(random() % 2));
    std::string less = define("arith.cmpi slt, " + i + ", " + limit + " : i64");
    goesOn = define("arith.andi " + less + ", " + go + " : i1");
    handed = recent(before.tensors);
  }
  line("scf.condition(", goesOn, ") ", i, ", ", handed, ", ", other, ", ", m, " : ", types);
  --depth;
  std::string ai = fresh(), at = fresh(), au = fresh(), am = fresh();
  line("} do {");
  line("^bb0(", ai, ": i64, ", at, ": ", tensor, ", ", au, ": ", tensor, ", ", am, ": ", kMatrix,
       "):");
  ++depth;
  Scope after = scope;
  after.tensors.insert(after.tensors.end(), {at, au});
  after.matrices.push_back(am);
  after.ints.push_back(ai);
  block(after, 1 + static_cast<int>(random() % 3));
  std::string more = define("arith.addi " + ai + ", " + one + " : i64");
  std::string again = define("arith.cmpi slt, " + more + ", " + limit + " : i64");
  if (chance(25))
    again = define("arith.andi " + again + ", " + condition(after) + " : i1");
  // Sometimes the two tensors change places, or stay.
  bool swaps = chance(20), stays = chance(20);
  std::string nextFirst = swaps ? au : stays ? at : recent(after.tensors);
  std::string nextSecond = swaps ? at : recent(after.tensors);
  line("scf.yield ", again, ", ", more, ", ", nextFirst, ", ", nextSecond, ", ",
       chance(70) ? am : recent(after.matrices), " : i1, ", types);
  --depth;
  line("}");
  scope.ints.push_back(result + "#0");
  scope.tensors.push_back(result + "#1");
  scope.tensors.push_back(result + "#2");
  if (chance(30))
    scope.matrices.push_back(result + "#3");
}

void DifferentiableText::call(Scope &scope) {
  if (callsLeft == 0 || functions == 0)
    return;
  --callsLeft;
  bool recurses = inFunction && (current == 0 || chance(60));
  size_t callee = recurses ? current : random() % (inFunction ? current : functions);
  std::string number;
  if (recurses) {
    std::string one = define("arith.constant 1 : i64");
    number = define("arith.subi %n, " + one + " : i64");
  } else {
    number = define("arith.constant " + std::to_string(random() % 4) + " : i64");
  }
  std::string result = fresh();
  line(result, ":2 = func.call @f", callee, "(", number, ", ", recent(scope.tensors), ", ",
       pick(scope.matrices), ") : (i64, ", tensor, ", ", kMatrix, ") -> (", tensor, ", ", tensor,
       ")");
  scope.tensors.push_back(result + "#0");
  scope.tensors.push_back(result + "#1");
}

// Of what is made right here from the program's inputs.
void DifferentiableText::gradient(Scope &scope) {
  Scope inner{{"%x", "%y"}, {"%w", "%u"}, scope.ints, scope.bools};
  bool featured = std::exchange(features.innerGradients, false);
  block(inner, 3);
  features.innerGradients = featured;
  std::string loss = sum(binary("add.Tensor", recent(inner.tensors), "%x", ", 1")), made = fresh();
  std::string types = tensor + ", " + tensor + ", " + kMatrix + ", " + kMatrix;
  line(made, ":4 = bf.grad outputs(", loss, ") seeds() wrt(%x, %y, %w, %u) : (", kNumber,
       "), (), (", types, ") -> (", types, ")");
  scope.tensors.push_back(made + "#0");
  scope.matrices.push_back(made + "#2");
}

} // namespace bifront
