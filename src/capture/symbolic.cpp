#include "capture/symbolic.h"

#include "capture/capture_error.h"
#include "capture/python_values.h"
#include "capture/size_question.h"

#include <bit>
#include <cmath>
#include <limits>

namespace bifront {
namespace {

using Kind = SymbolicScalar::Kind;

bool isComparison(ScalarOp op) {
  switch (op) {
  case ScalarOp::Eq:
  case ScalarOp::Ne:
  case ScalarOp::Lt:
  case ScalarOp::Le:
  case ScalarOp::Gt:
  case ScalarOp::Ge: return true;
  default: return false;
  }
}

Kind resultKind(ScalarOp op, Kind a, Kind b) {
  if (isComparison(op))
    return Kind::Bool;
  switch (op) {
  case ScalarOp::And:
  case ScalarOp::Or:
  case ScalarOp::Not:
  case ScalarOp::ToBool: return Kind::Bool;
  case ScalarOp::TrueDiv:
  case ScalarOp::Sqrt:
  case ScalarOp::Exp:
  case ScalarOp::Log:
  case ScalarOp::Sin:
  case ScalarOp::Cos:
  case ScalarOp::Tanh:
  case ScalarOp::ToFloat: return Kind::Float;
  case ScalarOp::ToInt:
  case ScalarOp::Floor:
  case ScalarOp::Ceil:
  case ScalarOp::Round:
  case ScalarOp::Trunc: return Kind::Int;
  default: return a == Kind::Float || b == Kind::Float ? Kind::Float : Kind::Int;
  }
}

int64_t floorDivide(int64_t a, int64_t b) {
  int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

// Of the divisor's sign, as in Python.
double restOf(double a, double b) {
  double rest = std::fmod(a, b);
  return rest == 0 ? std::copysign(0.0, b) : (rest < 0) != (b < 0) ? rest + b : rest;
}

double floorDivide(double a, double b) {
  double quotient = (a - restOf(a, b)) / b;
  return quotient == 0 ? std::copysign(0.0, a / b) : std::round(quotient);
}

int64_t intPower(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(result, base, &result))
      throw CaptureError("an int power of sizes leaves 64 bits");
  return result;
}

template <typename Number> bool compare(ScalarOp op, Number a, Number b) {
  switch (op) {
  case ScalarOp::Eq: return a == b;
  case ScalarOp::Ne: return a != b;
  case ScalarOp::Lt: return a < b;
  case ScalarOp::Le: return a <= b;
  case ScalarOp::Gt: return a > b;
  default: return a >= b;
  }
}

int64_t evaluateInts(ScalarOp op, int64_t a, int64_t b) {
  bool overflows = false;
  int64_t result = 0;
  switch (op) {
  case ScalarOp::Add: overflows = __builtin_add_overflow(a, b, &result); break;
  case ScalarOp::Sub: overflows = __builtin_sub_overflow(a, b, &result); break;
  case ScalarOp::Mul: overflows = __builtin_mul_overflow(a, b, &result); break;
  case ScalarOp::FloorDiv:
  case ScalarOp::Mod:
    if (b == 0)
      throw CaptureError("a size is divided by zero");
    result = op == ScalarOp::FloorDiv ? floorDivide(a, b) : a - floorDivide(a, b) * b;
    break;
  case ScalarOp::Pow:
    if (b < 0)
      throw CaptureError("a negative power of a size");
    result = intPower(a, b);
    break;
  case ScalarOp::Min: result = std::min(a, b); break;
  case ScalarOp::Max: result = std::max(a, b); break;
  case ScalarOp::Neg: overflows = __builtin_sub_overflow(int64_t{0}, a, &result); break;
  default: result = a; // rounding an int
  }
  if (overflows)
    throw CaptureError("arithmetic on sizes leaves 64 bits");
  return result;
}

double evaluateFloats(ScalarOp op, double a, double b) {
  switch (op) {
  case ScalarOp::Add: return a + b;
  case ScalarOp::Sub: return a - b;
  case ScalarOp::Mul: return a * b;
  case ScalarOp::TrueDiv: return a / b;
  case ScalarOp::FloorDiv: return floorDivide(a, b);
  case ScalarOp::Mod: return restOf(a, b);
  case ScalarOp::Pow: return std::pow(a, b);
  case ScalarOp::Min: return b < a ? b : a;
  case ScalarOp::Max: return b > a ? b : a;
  case ScalarOp::Neg: return -a;
  case ScalarOp::Sqrt: return std::sqrt(a);
  case ScalarOp::Exp: return std::exp(a);
  case ScalarOp::Log: return std::log(a);
  case ScalarOp::Sin: return std::sin(a);
  case ScalarOp::Cos: return std::cos(a);
  case ScalarOp::Tanh: return std::tanh(a);
  default: return a;
  }
}

const char *symbolOf(ScalarOp op) {
  static constexpr const char *symbols[] = {
      "+",    "-",     "*",    "/",     "//",    "%",   "**",  "-",   "sqrt", "min", "max",
      "==",   "!=",    "<",    "<=",    ">",     ">=",  "and", "or",  "not",  "int", "float",
      "bool", "floor", "ceil", "round", "trunc", "exp", "log", "sin", "cos",  "tanh"};
  return symbols[static_cast<size_t>(op)];
}

} // namespace

//===- Making nodes ------------------------------------------------------------------------===//

c10::SymNode SymbolicScalar::ofDim(std::shared_ptr<Recording> recording, int64_t first,
                                   int64_t second, ValueId tensor, int64_t dim,
                                   Recording::SizeOrigin origin) {
  auto node = c10::make_intrusive<SymbolicScalar>(std::move(recording), Kind::Int);
  node->form_ = Form::Dim;
  node->ints_[0] = first, node->ints_[1] = second;
  node->floats_[0] = static_cast<double>(first), node->floats_[1] = static_cast<double>(second);
  node->tensor_ = tensor, node->dim_ = dim;
  node->atLeastTwo_ = origin == Recording::SizeOrigin::Input;
  node->known_ = origin != Recording::SizeOrigin::Values;
  node->standsIn_ = node->isSize_ = !node->known_;
  return node;
}

c10::SymNode SymbolicScalar::ofValue(std::shared_ptr<Recording> recording, Kind kind,
                                     ValueId value) {
  auto node = c10::make_intrusive<SymbolicScalar>(std::move(recording), kind);
  node->form_ = Form::Recorded;
  node->value_ = node->recorded_ = value;
  node->known_ = false;
  node->floats_[0] = node->floats_[1] = std::numeric_limits<double>::quiet_NaN();
  return node;
}

c10::SymNode SymbolicScalar::ofInt(std::shared_ptr<Recording> recording, ValueId value,
                                   int64_t first, int64_t second) {
  c10::SymNode node =
      ofDim(std::move(recording), first, second, kNoValue, 0, Recording::SizeOrigin::Sizes);
  auto *scalar = of(node);
  scalar->form_ = Form::Recorded;
  scalar->value_ = scalar->recorded_ = value;
  return node;
}

c10::SymNode SymbolicScalar::ofSize(std::shared_ptr<Recording> recording, ValueId number,
                                    const Dim &standIns) {
  c10::SymNode node = ofValue(std::move(recording), Kind::Int, number);
  auto *scalar = of(node);
  for (int world : {0, 1}) {
    scalar->ints_[world] = standIns.world[world];
    scalar->floats_[world] = static_cast<double>(standIns.world[world]);
  }
  scalar->value_ = kNoValue; // which says what stands for it
  scalar->standsIn_ = scalar->isSize_ = true;
  return node;
}

SymbolicScalar *SymbolicScalar::of(const c10::SymNode &node) {
  if (auto *scalar = dynamic_cast<SymbolicScalar *>(node.get()))
    return scalar;
  // The Python object keeps what it holds alive for as long as `node` lives.
  return dynamic_cast<SymbolicScalar *>(nodeFromPython(node).get());
}

SymbolicScalar *SymbolicScalar::of(const c10::SymInt &value) {
  return value.is_heap_allocated() ? dynamic_cast<SymbolicScalar *>(value.toSymNodeImplUnowned())
                                   : nullptr;
}

c10::SymNode SymbolicScalar::constant(Kind kind, int64_t number, double real) const {
  auto node = c10::make_intrusive<SymbolicScalar>(recording_, kind);
  for (int world : {0, 1}) {
    node->ints_[world] = number;
    node->floats_[world] = real;
  }
  return node;
}

c10::SymNode SymbolicScalar::wrap_int(int64_t number) {
  return constant(Kind::Int, number, static_cast<double>(number));
}
c10::SymNode SymbolicScalar::wrap_float(double number) { return constant(Kind::Float, 0, number); }
c10::SymNode SymbolicScalar::wrap_bool(bool number) { return constant(Kind::Bool, number, number); }
c10::SymNode SymbolicScalar::clone() {
  return c10::intrusive_ptr<SymbolicScalar>::reclaim_copy(this);
}

c10::intrusive_ptr<SymbolicScalar> SymbolicScalar::own(const c10::SymNode &node) {
  if (auto *scalar = of(node))
    return c10::intrusive_ptr<SymbolicScalar>::reclaim_copy(scalar);
  c10::SymNode made;
  if (auto number = node->constant_bool(); node->is_bool() && number)
    made = wrap_bool(*number);
  else if (auto number = node->maybe_as_int())
    made = wrap_int(*number);
  else
    recording_->fail("a symbolic number of another tracer meets the captured function's");
  return own(made);
}

Recording::OperandKey SymbolicScalar::key() const {
  if (form_ != Form::Constant)
    return {-1, reinterpret_cast<uintptr_t>(this)};
  return {static_cast<int>(kind_), kind_ == Kind::Float ? std::bit_cast<uint64_t>(floats_[0])
                                                        : static_cast<uint64_t>(ints_[0])};
}

//===- Arithmetic --------------------------------------------------------------------------===//

void SymbolicScalar::evaluate(ScalarOp op, const SymbolicScalar &a, const SymbolicScalar *b,
                              SymbolicScalar &result, int world) {
  bool floats = a.kind_ == Kind::Float || (b && b->kind_ == Kind::Float);
  int64_t i = a.ints_[world], j = b ? b->ints_[world] : 0;
  double x = a.floats_[world], y = b ? b->floats_[world] : 0;
  switch (result.kind_) {
  case Kind::Bool: {
    bool truth = false;
    if (isComparison(op))
      truth = floats ? compare(op, x, y) : compare(op, i, j);
    else if (op == ScalarOp::And || op == ScalarOp::Or)
      truth = op == ScalarOp::And ? x != 0 && y != 0 : x != 0 || y != 0;
    else
      truth = op == ScalarOp::Not ? x == 0 : x != 0;
    result.ints_[world] = truth;
    result.floats_[world] = truth;
    return;
  }
  case Kind::Int:
    if (floats) {
      double whole = op == ScalarOp::Floor   ? std::floor(x)
                     : op == ScalarOp::Ceil  ? std::ceil(x)
                     : op == ScalarOp::Round ? std::nearbyint(x)
                                             : std::trunc(x);
      if (!(std::abs(whole) < 9e18))
        throw CaptureError("a float that fits no int");
      result.ints_[world] = static_cast<int64_t>(whole);
    } else {
      result.ints_[world] = evaluateInts(op, i, j);
    }
    result.floats_[world] = static_cast<double>(result.ints_[world]);
    return;
  case Kind::Float: result.floats_[world] = evaluateFloats(op, x, y);
  }
}

std::optional<bool> SymbolicScalar::settled(ScalarOp op, const SymbolicScalar &a,
                                            const SymbolicScalar &b) {
  if (!isComparison(op) || a.kind_ != Kind::Int || b.kind_ != Kind::Int)
    return std::nullopt;
  if (!a.known_ || !b.known_)
    return settledOfSizes(op, a, b);
  // Sizes of tensors that agree in both worlds are one size: the run checks that.
  bool areSizes = a.form_ != Form::Expression && b.form_ != Form::Expression;
  bool same = &a == &b || (areSizes && a.differsByWorld() && a.ints_[0] == b.ints_[0] &&
                           a.ints_[1] == b.ints_[1]);
  bool beyond = (a.atLeastTwo_ && b.form_ == Form::Constant && b.ints_[0] < 2) ||
                (b.atLeastTwo_ && a.form_ == Form::Constant && a.ints_[0] < 2);
  bool constants = a.form_ == Form::Constant && b.form_ == Form::Constant;
  if (!same && !beyond && !constants)
    return std::nullopt;
  return compare(op, a.ints_[0], b.ints_[0]);
}

// Of sizes that are not known: they are what they are, and not negative.
std::optional<bool> SymbolicScalar::settledOfSizes(ScalarOp op, const SymbolicScalar &a,
                                                   const SymbolicScalar &b) {
  if (&a == &b || (a.isSize_ && b.isSize_ && a.differsByWorld() && a.ints_[0] == b.ints_[0] &&
                   a.ints_[1] == b.ints_[1]))
    return compare(op, 0, 0);
  bool isSide = op != ScalarOp::Eq && op != ScalarOp::Ne;
  constexpr int64_t kLarge = std::numeric_limits<int64_t>::max();
  if (a.isCount() && b.form_ == Form::Constant && (isSide ? b.ints_[0] <= 0 : b.ints_[0] < 0) &&
      compare(op, int64_t{0}, b.ints_[0]) == compare(op, kLarge, b.ints_[0]))
    return compare(op, int64_t{0}, b.ints_[0]);
  return std::nullopt;
}

bool SymbolicScalar::isCount() const {
  if (form_ == Form::Constant)
    return kind_ == Kind::Int && ints_[0] >= 0;
  if (form_ == Form::Dim || isSize_)
    return ints_[0] >= 0 && ints_[1] >= 0;
  bool staysCount = op_ == ScalarOp::Add || op_ == ScalarOp::Mul || op_ == ScalarOp::Min;
  return form_ == Form::Expression && kind_ == Kind::Int && staysCount && operands_[0]->isCount() &&
         operands_[1]->isCount();
}

bool SymbolicScalar::isLinear() const {
  if (form_ != Form::Expression)
    return true;
  bool isArithmetic =
      op_ == ScalarOp::Add || op_ == ScalarOp::Sub || op_ == ScalarOp::Mul || op_ == ScalarOp::Neg;
  return kind_ == Kind::Int && isArithmetic && operands_[0]->isLinear() &&
         (!operands_[1] || operands_[1]->isLinear());
}

bool SymbolicScalar::inferStandIns() {
  if (hasWorlds() || form_ != Form::Expression)
    return hasWorlds();
  for (const auto &operand : operands_)
    if (operand && !operand->inferStandIns())
      return false;
  try {
    for (int world : {0, 1})
      evaluate(op_, *operands_[0], operands_[1].get(), *this, world);
  } catch (const CaptureError &) { // stand-ins that the program's arithmetic is not made for
    return false;
  }
  return standsIn_ = true;
}

bool SymbolicScalar::becomeSize() {
  constexpr int64_t kLeast = 1000; // smaller ones may be other sizes' by chance
  if (known_ || isSize_)
    return true;
  if (kind_ != Kind::Int || recording_->decidesSizes() || decided())
    return false;
  if (!isCount())
    of(ge(wrap_int(0)))->assertHolds(true); // the op that would raise may be one that nobody needs
  bool hasOwn = inferStandIns();
  if (hasOwn && ints_[0] == ints_[1] && ints_[0] >= 0 && isLinear()) {
    of(eq(wrap_int(ints_[0])))->assertHolds(true); // as in x[i : i + 3]
    return isSize_ = true;
  }
  if (!hasOwn || ints_[0] == ints_[1] || std::min(ints_[0], ints_[1]) < kLeast) {
    Dim size = recording_->freeSize();
    for (int world : {0, 1}) {
      ints_[world] = size.world[world];
      floats_[world] = static_cast<double>(ints_[world]);
    }
    standsIn_ = true;
  }
  value_ = kNoValue;
  isSize_ = true;
  recording_->noteSize({{ints_[0], ints_[1]}}, clone());
  return true;
}

c10::SymNode SymbolicScalar::binary(ScalarOp op, const c10::SymNode &otherNode) {
  c10::intrusive_ptr<SymbolicScalar> other = own(otherNode);
  if (auto truth = settled(op, *this, *other))
    return wrap_bool(*truth);
  Recording::ExpressionKey key{static_cast<int>(op), this->key(), other->key()};
  if (auto found = recording_->expressions.find(key); found != recording_->expressions.end())
    return found->second;
  auto result =
      c10::make_intrusive<SymbolicScalar>(recording_, resultKind(op, kind_, other->kind_));
  result->known_ = known_ && other->known_;
  if (result->known_)
    for (int world : {0, 1})
      evaluate(op, *this, other.get(), *result, world);
  else
    result->floats_[0] = result->floats_[1] = std::numeric_limits<double>::quiet_NaN();
  if (form_ == Form::Constant && other->form_ == Form::Constant)
    return result;
  result->form_ = Form::Expression;
  result->op_ = op;
  result->operands_[0] = c10::intrusive_ptr<SymbolicScalar>::reclaim_copy(this);
  result->operands_[1] = other;
  auto positive = [](const SymbolicScalar &factor) {
    return factor.atLeastTwo_ || (factor.form_ == Form::Constant && factor.ints_[0] > 0);
  };
  result->atLeastTwo_ =
      op == ScalarOp::Mul && result->kind_ == Kind::Int && positive(*this) && positive(*other);
  if (recording_->isOpen() && !recording_->isDry())
    recording_->expressions.emplace(key, result);
  // Python would raise here (a division by a zero that came from a tensor): assert it here.
  if (!result->known_ && recording_->isOpen() && !recording_->isDry())
    result->value();
  return result;
}

c10::SymNode SymbolicScalar::unary(ScalarOp op) {
  Recording::ExpressionKey key{static_cast<int>(op), this->key(), {}};
  if (auto found = recording_->expressions.find(key); found != recording_->expressions.end())
    return found->second;
  auto result = c10::make_intrusive<SymbolicScalar>(recording_, resultKind(op, kind_, kind_));
  result->known_ = known_;
  if (known_)
    for (int world : {0, 1})
      evaluate(op, *this, nullptr, *result, world);
  else
    result->floats_[0] = result->floats_[1] = std::numeric_limits<double>::quiet_NaN();
  if (form_ == Form::Constant)
    return result;
  result->form_ = Form::Expression;
  result->op_ = op;
  result->operands_[0] = c10::intrusive_ptr<SymbolicScalar>::reclaim_copy(this);
  if (recording_->isOpen() && !recording_->isDry())
    recording_->expressions.emplace(key, result);
  if (!result->known_ && recording_->isOpen() && !recording_->isDry())
    result->value();
  return result;
}

ValueId SymbolicScalar::value() {
  if (recording_->isDry())
    return value_;
  GraphRecorder &graph = recording_->graph();
  if (graph.isUsable(value_)) // it may be of a branch that is over
    return value_;
  value_ = record(graph);
  if (isSize_ && form_ != Form::Dim && differsByWorld())
    value_ = graph.size(value_, {{ints_[0], ints_[1]}});
  return value_;
}

ValueId SymbolicScalar::record(GraphRecorder &graph) {
  switch (form_) {
  case Form::Constant:
    return kind_ == Kind::Int    ? graph.constantInt(ints_[0])
           : kind_ == Kind::Bool ? graph.constantBool(ints_[0] != 0)
                                 : graph.constantFloat(floats_[0]);
  case Form::Dim:
    if (tensor_ == kNoValue)
      recording_->fail("a size of a gradient's intermediate value is not in the graph");
    return graph.dim(tensor_, dim_);
  case Form::Expression: {
    ValueId operands[2] = {operands_[0]->value(), operands_[1] ? operands_[1]->value() : kNoValue};
    return graph.scalar(op_, {operands, operands_[1] ? size_t{2} : size_t{1}});
  }
  case Form::Recorded:
    if (!graph.isUsable(recorded_))
      recording_->fail("a number of a gradient's intermediate value is not in the graph");
  }
  return recorded_;
}

c10::SymNode SymbolicScalar::add(const c10::SymNode &other) { return binary(ScalarOp::Add, other); }
c10::SymNode SymbolicScalar::sub(const c10::SymNode &other) { return binary(ScalarOp::Sub, other); }
c10::SymNode SymbolicScalar::mul(const c10::SymNode &other) { return binary(ScalarOp::Mul, other); }
c10::SymNode SymbolicScalar::truediv(const c10::SymNode &other) {
  return binary(ScalarOp::TrueDiv, other);
}
c10::SymNode SymbolicScalar::pow(const c10::SymNode &other) { return binary(ScalarOp::Pow, other); }
c10::SymNode SymbolicScalar::floordiv(const c10::SymNode &other) {
  return binary(ScalarOp::FloorDiv, other);
}
c10::SymNode SymbolicScalar::mod(const c10::SymNode &other) { return binary(ScalarOp::Mod, other); }
c10::SymNode SymbolicScalar::eq(const c10::SymNode &other) { return binary(ScalarOp::Eq, other); }
c10::SymNode SymbolicScalar::ne(const c10::SymNode &other) { return binary(ScalarOp::Ne, other); }
c10::SymNode SymbolicScalar::gt(const c10::SymNode &other) { return binary(ScalarOp::Gt, other); }
c10::SymNode SymbolicScalar::lt(const c10::SymNode &other) { return binary(ScalarOp::Lt, other); }
c10::SymNode SymbolicScalar::le(const c10::SymNode &other) { return binary(ScalarOp::Le, other); }
c10::SymNode SymbolicScalar::ge(const c10::SymNode &other) { return binary(ScalarOp::Ge, other); }
c10::SymNode SymbolicScalar::ceil() { return unary(ScalarOp::Ceil); }
c10::SymNode SymbolicScalar::floor() { return unary(ScalarOp::Floor); }
c10::SymNode SymbolicScalar::neg() { return unary(ScalarOp::Neg); }
c10::SymNode SymbolicScalar::sym_min(const c10::SymNode &other) {
  return binary(ScalarOp::Min, other);
}
c10::SymNode SymbolicScalar::sym_max(const c10::SymNode &other) {
  return binary(ScalarOp::Max, other);
}
c10::SymNode SymbolicScalar::sym_or(const c10::SymNode &other) {
  return binary(ScalarOp::Or, other);
}
c10::SymNode SymbolicScalar::sym_and(const c10::SymNode &other) {
  return binary(ScalarOp::And, other);
}
c10::SymNode SymbolicScalar::sym_not() { return unary(ScalarOp::Not); }
c10::SymNode SymbolicScalar::sym_float() {
  return kind_ == Kind::Float ? clone() : unary(ScalarOp::ToFloat);
}
c10::SymNode SymbolicScalar::sqrt() { return unary(ScalarOp::Sqrt); }
c10::SymNode SymbolicScalar::real(ScalarOp function) { return unary(function); }
c10::SymNode SymbolicScalar::trunc() { return unary(ScalarOp::Trunc); }
c10::SymNode SymbolicScalar::round() { return unary(ScalarOp::Round); }

//===- Questions that Python or PyTorch decide by ------------------------------------------===//

void SymbolicScalar::noteNeeded() const {
  if (form_ == Form::Dim || (form_ == Form::Recorded && known_))
    recording_->noteNeededSize(ints_[0], ints_[1]);
  for (const auto &operand : operands_)
    if (operand)
      operand->noteNeeded();
}

void SymbolicScalar::needSizes(const std::string &why) const {
  noteNeeded();
  if (auto question = SizeQuestion::of(*this))
    recording_->noteSizeQuestion(std::make_shared<SizeQuestion>(std::move(*question)));
  recording_->fail(why + text());
}

std::optional<int64_t> SymbolicScalar::decided() {
  if (decided_ || known_ || kind_ == Kind::Float || form_ != Form::Expression)
    return decided_;
  SymbolicScalar operands[2] = {{recording_, Kind::Int}, {recording_, Kind::Int}};
  for (int i = 0; i < 2 && operands_[i]; ++i) {
    SymbolicScalar &from = *operands_[i];
    auto number = from.form_ == Form::Constant && from.kind_ != Kind::Float
                      ? std::optional(from.ints_[0])
                      : from.decided();
    if (!number && (from.form_ != Form::Constant || !isComparison(op_)))
      return std::nullopt;
    constexpr int64_t kExact = int64_t{1} << 53; // as a double
    bool besideFloat = operands_[1] && operands_[1 - i]->kind_ == Kind::Float;
    if (number && besideFloat && (*number > kExact || *number < -kExact))
      return std::nullopt;
    operands[i].kind_ = from.kind_;
    operands[i].ints_[0] = number.value_or(0);
    operands[i].floats_[0] = number ? static_cast<double>(*number) : from.floats_[0];
  }
  SymbolicScalar result(recording_, kind_);
  evaluate(op_, operands[0], operands_[1] ? &operands[1] : nullptr, result, 0);
  return decided_ = result.ints_[0];
}

std::optional<int64_t> SymbolicScalar::constant_int() {
  return form_ == Form::Constant && kind_ == Kind::Int ? std::optional(ints_[0]) : std::nullopt;
}

std::optional<bool> SymbolicScalar::constant_bool() {
  return form_ == Form::Constant && kind_ == Kind::Bool ? std::optional(ints_[0] != 0)
                                                        : std::nullopt;
}

std::string SymbolicScalar::str() {
  if (auto number = recording_->isOpen() ? decide() : std::nullopt)
    return kind_ == Kind::Int ? std::to_string(*number) : *number ? "True" : "False";
  bool isKnown = form_ == Form::Constant && kind_ != Kind::Float;
  if (recording_->isOpen() && !isKnown)
    needSizes("a number of the graph becomes text: ");
  return text();
}

std::string SymbolicScalar::text(bool withSizes) const {
  std::string text;
  appendText(text, withSizes);
  return text;
}

// What is used twice stands there twice, and so does what that is computed from: up to a length.
void SymbolicScalar::appendText(std::string &text, bool withSizes) const {
  constexpr size_t kLongest = 400;
  switch (form_) {
  case Form::Constant:
    text += kind_ == Kind::Float  ? std::to_string(floats_[0])
            : kind_ == Kind::Bool ? (ints_[0] ? "True" : "False")
                                  : std::to_string(ints_[0]);
    return;
  case Form::Dim:
    text += !known_     ? "a size that values decide"
            : withSizes ? "size " + std::to_string(ints_[0])
                        : "a size";
    return;
  case Form::Recorded: text += "a tensor's value"; return;
  case Form::Expression: break;
  }
  if (text.size() > kLongest) {
    text += "...";
    return;
  }
  if (!operands_[1])
    text += symbolOf(op_);
  text += "(";
  operands_[0]->appendText(text, withSizes);
  if (operands_[1]) {
    text += std::string(" ") + symbolOf(op_) + " ";
    operands_[1]->appendText(text, withSizes);
  }
  text += ")";
}

//===- Layouts -----------------------------------------------------------------------------===//

// Not asserted: the prechecks fix the layout of the inputs, and each op's layout follows from
// those.
template <typename Predicate>
c10::SymNode SymbolicScalar::layoutIs(Nodes sizes, Nodes strides, const char *what,
                                      Predicate predicate) {
  bool answers[2];
  auto numberOf = [&](const c10::SymNode &node, int world) {
    auto number = own(node);
    number->inferStandIns();
    return number->intIn(world);
  };
  for (int world : {0, 1}) {
    Extent extent;
    for (const c10::SymNode &size : sizes)
      extent.sizes.push_back(numberOf(size, world));
    for (const c10::SymNode &stride : strides)
      extent.strides.push_back(numberOf(stride, world));
    answers[world] = predicate(extent);
  }
  if (answers[0] != answers[1])
    recording_->fail(std::string("whether a tensor is ") + what + " depends on the dynamic sizes");
  if (!answers[0]) // few elements lie in many ways at once
    for (const c10::SymNode &size : sizes)
      own(size)->assumeMany();
  return wrap_bool(answers[0]);
}

c10::SymNode SymbolicScalar::is_contiguous(Nodes sizes, Nodes strides) {
  return layoutIs(sizes, strides, "contiguous", [](const Extent &e) { return e.isContiguous(); });
}
c10::SymNode SymbolicScalar::is_channels_last_contiguous_2d(Nodes sizes, Nodes strides) {
  return layoutIs(sizes, strides, "channels-last",
                  [](const Extent &e) { return e.isChannelsLast(); });
}
c10::SymNode SymbolicScalar::is_channels_last_contiguous_3d(Nodes sizes, Nodes strides) {
  return layoutIs(sizes, strides, "channels-last",
                  [](const Extent &e) { return e.isChannelsLast3d(); });
}
c10::SymNode SymbolicScalar::is_channels_last_strides_2d(Nodes sizes, Nodes strides) {
  return layoutIs(sizes, strides, "channels-last", [](const Extent &e) {
    return e.dim() == 4 && suggestedFormat(e) == at::MemoryFormat::ChannelsLast;
  });
}
c10::SymNode SymbolicScalar::is_channels_last_strides_3d(Nodes sizes, Nodes strides) {
  return layoutIs(sizes, strides, "channels-last", [](const Extent &e) {
    return e.dim() == 5 && suggestedFormat(e) == at::MemoryFormat::ChannelsLast3d;
  });
}
c10::SymNode SymbolicScalar::is_non_overlapping_and_dense(Nodes sizes, Nodes strides) {
  return layoutIs(sizes, strides, "dense",
                  [](const Extent &e) { return e.isNonOverlappingAndDense(); });
}

ValueType typeOf(SymbolicScalar::Kind kind) {
  using Kind = SymbolicScalar::Kind;
  return ValueType::scalar(kind == Kind::Int     ? ValueType::Kind::Int
                           : kind == Kind::Float ? ValueType::Kind::Float
                                                 : ValueType::Kind::Bool);
}

SymbolicScalar::Kind kindOf(const ValueType &number) {
  using Kind = SymbolicScalar::Kind;
  return number.kind == ValueType::Kind::Int     ? Kind::Int
         : number.kind == ValueType::Kind::Float ? Kind::Float
                                                 : Kind::Bool;
}

std::optional<int64_t> decidedSize(const c10::SymInt &value) {
  auto *node = SymbolicScalar::of(value);
  return node && !node->isKnown() ? node->decide() : std::nullopt;
}

std::optional<int64_t> sizeIn(const c10::SymInt &value, int world) {
  if (auto number = value.maybe_as_int())
    return *number;
  auto *node = SymbolicScalar::of(value);
  if (!node || !node->becomeSize())
    return std::nullopt;
  return node->intIn(world);
}

} // namespace bifront
