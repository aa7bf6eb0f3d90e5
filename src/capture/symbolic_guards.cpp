// What Python and PyTorch decide by numbers of the graph: taken to be so, and asserted.
#include "capture/program_asks.h"
#include "capture/symbolic.h"

#include <cmath>

namespace bifront {

std::optional<int64_t> SymbolicScalar::decide() {
  if (kind_ == Kind::Float || known_ || decided() || !recording_->mayDecide())
    return decided_;
  return decided_ = recording_->decide(value(), nameOnPaths());
}

c10::Scalar SymbolicScalar::assumed(const char *what) {
  if (auto number = decide())
    return kind_ == Kind::Bool ? c10::Scalar(*number != 0) : c10::Scalar(*number);
  if (recording_->refusesAssumption && recording_->refusesAssumption())
    recording_->refuseInScope(what);
  if (!foreseen_ && recording_->isDry() && kind_ == Kind::Bool && inferStandIns() && !truthVaries())
    return ints_[0] != 0; // what autograd asks of a size, of which a derivative asks it again
  if (!foreseen_ && recording_->foresee && !recording_->isDry())
    foreseen_ = recording_->foresee(value());
  // Of sizes that nobody foresees: as most are.
  if (!foreseen_ && kind_ == Kind::Bool && !ProgramAsks::now() && inferStandIns() && !truthVaries())
    foreseen_ = ints_[0] != 0;
  if (!foreseen_)
    recording_->fail(std::string(what) + " depends on a tensor's value");
  c10::Scalar number = *foreseen_;
  if (kind_ == Kind::Bool)
    assertHolds(number.toBool());
  else if (kind_ == Kind::Int)
    of(eq(wrap_int(number.toLong())))->assertHolds(true);
  else if (std::isnan(number.toDouble()))
    recording_->fail(std::string(what) + " depends on a number that is NaN");
  else
    of(eq(wrap_float(number.toDouble())))->assertHolds(true);
  return number;
}

void SymbolicScalar::assertHolds(bool expected) {
  if (asserted_ || form_ == Form::Constant || recording_->isDry())
    return;
  GraphRecorder &graph = recording_->graph();
  ValueId condition = value();
  if (!expected) {
    ValueId operands[] = {condition};
    condition = graph.scalar(ScalarOp::Not, operands);
  }
  graph.assertTrue(condition, expected ? text() : "not " + text());
  asserted_ = true;
  recording_->noteAsserted(clone());
}

bool SymbolicScalar::guard_bool(const char *, int64_t) {
  if (!known_ && kind_ != Kind::Bool) // not the number, only whether it is one
    return of(ne(kind_ == Kind::Float ? wrap_float(0) : wrap_int(0)))->guard_bool("", 0);
  if (!known_)
    return assumed("a branch").toBool();
  bool truth = kind_ == Kind::Float ? floats_[0] != 0 : ints_[0] != 0;
  if (truthVaries())
    needSizes("a branch goes another way for other sizes: ");
  if (kind_ == Kind::Bool)
    assertHolds(truth);
  else if (form_ != Form::Constant)
    return of(ne(kind_ == Kind::Float ? wrap_float(0) : wrap_int(0)))->guard_bool("", 0);
  return truth;
}

// Python decides by it, where PyTorch only wants to be sure.
bool SymbolicScalar::bool_() {
  bool isOpen = known_ && kind_ == Kind::Bool && form_ != Form::Constant && !asserted_;
  if (!isOpen || truthVaries() || !recording_->mayDecide())
    return guard_bool("", 0);
  if (!decided_)
    decided_ = recording_->decide(value(), nameOnPaths());
  if (!decided_)
    return guard_bool("", 0);
  if (*decided_ != ints_[0]) // what follows is inferred for other sizes
    noteNeeded();
  return *decided_ != 0;
}

int64_t SymbolicScalar::guard_int(const char *, int64_t) {
  if (kind_ == Kind::Float)
    recording_->fail("a float of the graph is used as an int");
  if (!known_)
    return assumed("a number that Python needs").toLong();
  if (ints_[0] != ints_[1])
    needSizes("Python needs the value of a dynamic size: ");
  if (form_ != Form::Constant)
    of(eq(wrap_int(ints_[0])))->guard_bool("", 0);
  return ints_[0];
}

double SymbolicScalar::guard_float(const char *, int64_t) {
  if (!known_)
    return assumed("a number that Python needs").toDouble();
  if (floats_[0] != floats_[1])
    needSizes("Python needs a number that follows from a dynamic size: ");
  if (form_ != Form::Constant)
    of(eq(wrap_float(floats_[0])))->guard_bool("", 0);
  return floats_[0];
}

bool SymbolicScalar::guard_or_false(const char *file, int64_t line) {
  // Whether a gradient is to be summed: the call that it is of has said so with its own sizes.
  bool isSaid = recording_->isOfDerivative() && form_ != Form::Constant;
  if (isSaid && known_ && ints_[0] == 0 && ints_[1] == 0)
    return false;
  return known_ && ints_[0] == ints_[1] && guard_bool(file, line);
}

bool SymbolicScalar::guard_or_true(const char *file, int64_t line) {
  return !known_ || ints_[0] != ints_[1] || guard_bool(file, line);
}

bool SymbolicScalar::statically_known_true(const char *, int64_t) {
  return form_ == Form::Constant && ints_[0] != 0;
}

bool SymbolicScalar::expect_true(const char *file, int64_t line) {
  if (known_)
    return guard_bool(file, line);
  assertHolds(true);
  return true;
}

void SymbolicScalar::assumeMany() {
  if (!known_ && isSize_ && differsByWorld() && !recording_->isDry() &&
      !of(ge(wrap_int(2)))->guard_bool("", 0)) {
    noteNeeded();
    recording_->fail("a size that values decide is less than two");
  }
}

void SymbolicScalar::assumeNotOne() {
  if (!known_)
    assumeMany();
  else if (differsByWorld() && !recording_->isDry())
    of(eq(wrap_int(1)))->guard_bool("", 0);
}

} // namespace bifront
