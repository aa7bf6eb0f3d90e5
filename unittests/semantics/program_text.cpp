#include "program_text.h"

#include <utility>

namespace bifront {
namespace {

const std::string kWhole = "tensor<2x3xf32>", kRow = "tensor<3xf32>", kFlipped = "tensor<3x2xf32>";
const std::string kGrown = "tensor<?x3xf32>"; // of two rows or more

} // namespace

std::string ProgramText::whole(const Scope &scope) { return pick(scope.tensors.at(kWhole)); }

std::string ProgramText::typeIn(const Scope &scope) {
  if (chance(50))
    return kWhole;
  auto found = scope.tensors.begin();
  std::advance(found, random() % scope.tensors.size());
  return found->first;
}

std::string ProgramText::handed(Scope &scope) {
  std::string tensor = whole(scope);
  return features.writes && chance(60) ? aten("neg", tensor, {kWhole}, kWhole) : tensor;
}

void ProgramText::addMerged(Scope &scope, const std::string &type, const std::string &name) {
  scope.tensors[type].push_back(name);
  scope.merged.insert(name);
}

std::string ProgramText::define(const std::string &value) {
  std::string name = fresh();
  line(name, " = ", value);
  return name;
}

std::string ProgramText::aten(const std::string &name, const std::string &args,
                              const std::vector<std::string> &operands, const std::string &type) {
  std::string types;
  for (const std::string &operand : operands)
    types += (types.empty() ? "" : ", ") + operand;
  return define("bf.aten \"aten::" + name + "\"(" + args + ") : (" + types + ") -> " + type);
}

std::string ProgramText::make() {
  for (size_t count = random() % 3; functions < count; ++functions)
    function(functions);
  std::string callees = std::exchange(text, std::ostringstream()).str();
  entry();
  return text.str() + callees;
}

void ProgramText::function(size_t number) {
  current = number;
  callsLeft = 2;
  line("func.func private @f", number, "(%n: i64, %x: ", kWhole, ") -> (i64, ", kWhole, ") {");
  ++depth;
  Scope scope;
  scope.ints = {"%n"};
  scope.tensors[kWhole] = {"%x"};
  std::string end = define("arith.constant 0 : i64"), stop = fresh(), left = fresh();
  line(stop, " = arith.cmpi sle, %n, ", end, " : i64");
  line(left, ":2 = scf.if ", stop, " -> (i64, ", kWhole, ") {");
  line("  scf.yield ", end, ", %x : i64, ", kWhole);
  line("} else {");
  ++depth;
  block(scope, 3);
  std::string below = handed(scope);
  line("scf.yield ", pick(scope.ints), ", ", below, " : i64, ", kWhole);
  --depth;
  line("}");
  line("return ", left, "#0, ", left, "#1 : i64, ", kWhole);
  --depth;
  line("}");
  current.reset();
}

void ProgramText::entry() {
  callsLeft = 4;
  line("func.func @step(%x: ", kWhole, ", %y: ", kWhole, ", %n: i64, %c: i1) -> (", kWhole,
       ", i64, f64, i1, ", kWhole, ") {");
  ++depth;
  Scope scope;
  scope.tensors[kWhole] = {"%x", "%y"};
  scope.ints = {"%n"};
  scope.bools = {"%c"};
  scope.floats.push_back(define("arith.constant 0.5 : f64"));
  if (features.writes)
    for (const char *input : {"%x", "%y"})
      scope.tensors[kWhole].push_back(
          aten("clone", std::string(input) + ", none", {kWhole}, kWhole));
  block(scope, 10);
  if (!features.writes && chance(40))
    line("bf.store ", whole(scope), " to %x : ", kWhole, " to ", kWhole);
  std::string first = handed(scope), second = handed(scope);
  line("return ", first, ", ", pick(scope.ints), ", ", pick(scope.floats), ", ", pick(scope.bools),
       ", ", second, " : ", kWhole, ", i64, f64, i1, ", kWhole);
  --depth;
  line("}");
}

void ProgramText::block(Scope &scope, int statements) {
  if (scope.bools.empty())
    scope.bools.push_back(define("arith.constant true"));
  if (scope.floats.empty())
    scope.floats.push_back(define("arith.constant 1.5 : f64"));
  for (int i = 0; i < statements; ++i)
    statement(scope);
}

void ProgramText::statement(Scope &scope) {
  if (features.prints && chance(15))
    print(scope);
  if (features.writes && chance(40))
    return chance(50) ? view(scope) : write(scope);
  bool mayNest = depth < 5;
  switch (random() % (mayNest ? 14 : 8)) {
  case 0:
  case 1:
  case 2:
  case 3: return computation(scope);
  case 4:
  case 5:
  case 6: return number(scope);
  case 7: return assertion(scope);
  case 8:
  case 9:
  case 10: return branch(scope);
  case 11: return loop(scope);
  case 12: return features.writes && chance(40) ? growingLoop(scope) : loop(scope);
  default: return call(scope);
  }
}

void ProgramText::computation(Scope &scope) {
  static const char *const any[] = {"sin", "relu", "neg", "tanh"};
  static const char *const exact[] = {"abs", "relu", "neg", "clone"};
  std::string type = typeIn(scope), a = pick(scope.tensors[type]);
  Names &into = scope.tensors[type];
  switch (random() % 4) {
  case 0:
  case 1: {
    std::string name = (features.writes ? exact : any)[random() % 4];
    return into.push_back(aten(name, a + (name == "clone" ? ", none" : ""), {type}, type));
  }
  case 2: {
    // Two tensors that grew need not have one size.
    std::string b = type == kGrown ? a : pick(into);
    return into.push_back(
        aten(chance(50) ? "maximum" : "minimum", a + ", " + b, {type, type}, type));
  }
  default:
    return into.push_back(aten("mul.Tensor", a + ", " + pick(scope.floats), {type, "f64"}, type));
  }
}

void ProgramText::number(Scope &scope) {
  switch (random() % 3) {
  case 0: {
    std::string type = typeIn(scope), a = pick(scope.tensors[type]);
    std::string one = features.writes ? aten("amax", a + ", [], false", {type}, "tensor<f32>")
                                      : aten("sum", a + ", none", {type}, "tensor<f32>");
    scope.floats.push_back(aten("_local_scalar_dense", one, {"tensor<f32>"}, "f64"));
    std::string zero = define("arith.constant 0.0 : f64");
    return scope.bools.push_back(
        define("arith.cmpf olt, " + scope.floats.back() + ", " + zero + " : f64"));
  }
  case 1: {
    std::string one = define("arith.constant " + std::to_string(random() % 3) + " : i64");
    const char *op = chance(50) ? "arith.addi " : "arith.subi ";
    return scope.ints.push_back(define(op + pick(scope.ints) + ", " + one + " : i64"));
  }
  default:
    return scope.bools.push_back(
        define("arith.cmpi slt, " + pick(scope.ints) + ", " + pick(scope.ints) + " : i64"));
  }
}

void ProgramText::assertion(Scope &scope) {
  std::string other = chance(3) ? pick(scope.bools) : define("arith.constant true");
  std::string holds = define("arith.ori " + other + ", " + pick(scope.bools) + " : i1");
  line("bf.assert ", holds, ", \"holds\"");
}

void ProgramText::print(Scope &scope) {
  std::string type = typeIn(scope);
  line("bf.print \"{} {} {}\", ", pick(scope.ints), ", ", pick(scope.floats), ", ",
       pick(scope.tensors[type]), " : i64, f64, ", type);
}

//===- Views and writes --------------------------------------------------------------------===//

void ProgramText::view(Scope &scope) {
  std::string type = typeIn(scope), a = pick(scope.tensors[type]);
  auto put = [&](const std::string &name, const std::string &args, Names operands,
                 const std::string &result) {
    operands.insert(operands.begin(), type);
    std::string made = aten(name, a + args, operands, result);
    scope.tensors[result].push_back(made);
    if (scope.merged.count(a))
      scope.merged.insert(made);
  };
  if (chance(15))
    return put("detach", "", {}, type);
  if (type == kGrown)
    return put("slice.Tensor", ", 0, 0, 2, 1", {}, kWhole);
  if (type == kRow)
    return put("slice.Tensor", ", 0, 0, 3, 1", {}, kRow);
  if (type == kFlipped || chance(30))
    return put("transpose.int", ", 0, 1", {}, type == kFlipped ? kWhole : kFlipped);
  if (chance(50))
    return put("select.int", ", 0, " + std::to_string(random() % 2), {}, kRow);
  std::string two = define("arith.constant 2 : i64");
  std::string index = define("arith.remsi " + pick(scope.ints) + ", " + two + " : i64");
  put("select.int", ", 0, " + index, {"i64"}, kRow);
}

void ProgramText::write(Scope &scope) {
  std::string type = typeIn(scope), a = pick(scope.tensors[type]);
  for (int tries = 0; tries < 3 && scope.merged.count(a); ++tries)
    a = pick(scope.tensors[type]);
  auto put = [&](const std::string &name, const std::string &args, Names operands) {
    operands.insert(operands.begin(), type);
    std::string result = aten(name, a + args, operands, type);
    if (chance(50))
      scope.merged.count(a) ? addMerged(scope, type, result)
                            : scope.tensors[type].push_back(result);
  };
  switch (random() % 8) {
  case 0: return put("mul_.Tensor", ", " + pick(scope.floats), {"f64"});
  case 1: return put("zero_", "", {});
  case 2: return put("relu_", "", {});
  case 3: return put("fill_.Scalar", ", " + pick(scope.floats), {"f64"});
  case 4: return put("normal_", ", 0.0, 1.0, none", {});
  default: {
    // Not from a tensor that may overlap: eager's answer would depend on its loop order.
    std::string from = type == kGrown ? a : pick(scope.tensors[type]);
    std::string copy = aten("clone", from + ", none", {type}, type);
    return chance(50) ? put("add_.Tensor", ", " + copy + ", 1", {type})
                      : put("copy_", ", " + copy + ", false", {type});
  }
  }
}

//===- Control flow ------------------------------------------------------------------------===//

void ProgramText::branch(Scope &scope) {
  std::string result = fresh(), types = kWhole + ", i64, f64, i1, " + kWhole;
  line(result, ":5 = scf.if ", pick(scope.bools), " -> (", types, ") {");
  for (int side = 0; side < 2; ++side) {
    ++depth;
    Scope inner = scope;
    block(inner, static_cast<int>(random() % 4));
    std::string first = handed(inner), second = handed(inner);
    line("scf.yield ", first, ", ", pick(inner.ints), ", ", pick(inner.floats), ", ",
         pick(inner.bools), ", ", second, " : ", types);
    --depth;
    line(side == 0 ? "} else {" : "}");
  }
  addMerged(scope, kWhole, result + "#0");
  scope.ints.push_back(result + "#1");
  scope.floats.push_back(result + "#2");
  scope.bools.push_back(result + "#3");
  if (chance(50))
    addMerged(scope, kWhole, result + "#4");
}

// Carries a counter, a number, two tensors and a bool; the bool may end it early.
void ProgramText::loop(Scope &scope) {
  std::string zero = define("arith.constant 0 : i64"), one = define("arith.constant 1 : i64");
  std::string limit =
      define("arith.constant " + std::to_string(random() % (current ? 3 : 5)) + " : i64");
  std::string result = fresh(), i = fresh(), t = fresh(), u = fresh(), f = fresh(), b = fresh();
  std::string types = "i64, " + kWhole + ", " + kWhole + ", f64, i1";
  std::string first = handed(scope), second = handed(scope);
  line(result, ":5 = scf.while (", i, " = ", zero, ", ", t, " = ", first, ", ", u, " = ", second,
       ", ", f, " = ", pick(scope.floats), ", ", b, " = ", pick(scope.bools), ") : (", types,
       ") -> (", types, ") {");
  ++depth;
  Scope before = scope;
  addMerged(before, kWhole, t);
  addMerged(before, kWhole, u);
  before.floats.push_back(f);
  before.bools.push_back(b);
  block(before, static_cast<int>(random() % 2));
  std::string less = define("arith.cmpi slt, " + i + ", " + limit + " : i64");
  if (chance(30))
    less = define("arith.andi " + less + ", " + b + " : i1");
  std::string goesOn = chance(50) ? t : handed(before);
  line("scf.condition(", less, ") ", i, ", ", goesOn, ", ", chance(70) ? u : t, ", ",
       pick(before.floats), ", ", b, " : ", types);
  --depth;
  std::string ai = fresh(), at = fresh(), au = fresh(), af = fresh(), ab = fresh();
  line("} do {");
  line("^bb0(", ai, ": i64, ", at, ": ", kWhole, ", ", au, ": ", kWhole, ", ", af, ": f64, ", ab,
       ": i1):");
  ++depth;
  Scope after = scope;
  for (const std::string &name : {at, au, at, au})
    addMerged(after, kWhole, name);
  after.ints.push_back(ai);
  after.floats.push_back(af);
  after.bools.push_back(ab);
  block(after, 1 + static_cast<int>(random() % 4));
  std::string more = define("arith.addi " + ai + ", " + one + " : i64");
  // Sometimes the two tensors change places, or stay.
  bool swaps = chance(30), stays = chance(30);
  std::string nextFirst = swaps ? au : stays ? at : handed(after);
  std::string nextSecond = swaps ? at : handed(after);
  line("scf.yield ", more, ", ", nextFirst, ", ", nextSecond, ", ", pick(after.floats), ", ",
       pick(after.bools), " : ", types);
  --depth;
  line("}");
  scope.ints.push_back(result + "#0");
  addMerged(scope, kWhole, result + "#1");
  addMerged(scope, kWhole, result + "#2");
  scope.floats.push_back(result + "#3");
  scope.bools.push_back(result + "#4");
}

// Carries a counter and a tensor that has more rows in each iteration.
void ProgramText::growingLoop(Scope &scope) {
  auto joined = [&](const std::string &a, const std::string &type, const std::string &b) {
    return aten("cat", "[" + a + ", " + b + "], 0", {type, kWhole}, kGrown);
  };
  std::string zero = define("arith.constant 0 : i64"), one = define("arith.constant 1 : i64");
  std::string limit = define("arith.constant " + std::to_string(random() % 3) + " : i64");
  std::string start = joined(whole(scope), kWhole, whole(scope));
  std::string result = fresh(), i = fresh(), t = fresh(), ai = fresh(), at = fresh();
  std::string types = "i64, " + kGrown;
  line(result, ":2 = scf.while (", i, " = ", zero, ", ", t, " = ", start, ") : (", types, ") -> (",
       types, ") {");
  ++depth;
  std::string less = define("arith.cmpi slt, " + i + ", " + limit + " : i64");
  line("scf.condition(", less, ") ", i, ", ", t, " : ", types);
  --depth;
  line("} do {");
  line("^bb0(", ai, ": i64, ", at, ": ", kGrown, "):");
  ++depth;
  Scope after = scope;
  after.ints.push_back(ai);
  addMerged(after, kGrown, at);
  block(after, 1 + static_cast<int>(random() % 4));
  std::string more = define("arith.addi " + ai + ", " + one + " : i64");
  std::string grown = pick(after.tensors[kGrown]);
  if (chance(70))
    grown = joined(grown, kGrown, whole(after));
  line("scf.yield ", more, ", ", grown, " : ", types);
  --depth;
  line("}");
  scope.ints.push_back(result + "#0");
  addMerged(scope, kGrown, result + "#1");
}

void ProgramText::call(Scope &scope) {
  if (callsLeft == 0 || (!current && functions == 0))
    return;
  --callsLeft;
  bool recurses = current && (*current == 0 || chance(60));
  size_t callee = recurses ? *current : random() % (current ? *current : functions);
  std::string one = define("arith.constant 1 : i64");
  std::string number = recurses ? define("arith.subi %n, " + one + " : i64") : one;
  std::string result = fresh();
  line(result, ":2 = func.call @f", callee, "(", number, ", ", whole(scope), ") : (i64, ", kWhole,
       ") -> (i64, ", kWhole, ")");
  scope.ints.push_back(result + "#0");
  addMerged(scope, kWhole, result + "#1");
}

} // namespace bifront
