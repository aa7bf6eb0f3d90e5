#include "capture/size_question.h"

#include <algorithm>

namespace bifront {

std::optional<SizeQuestion> SizeQuestion::of(const SymbolicScalar &asked) {
  SizeQuestion question;
  if (asked.kind() != SymbolicScalar::Kind::Bool || !question.append(asked))
    return std::nullopt;
  return question;
}

SizeQuestion SizeQuestion::isEqual(const Dim &size, int64_t number) {
  SizeQuestion question;
  question.sizes_.push_back(size);
  question.steps_ = {{.kind = Step::Kind::Size},
                     {.kind = Step::Kind::Int, .number = number},
                     {.kind = Step::Kind::Op, .op = ScalarOp::Eq, .isBinary = true}};
  return question;
}

bool SizeQuestion::append(const SymbolicScalar &number) {
  constexpr size_t kMostSteps = 32;
  using Form = SymbolicScalar::Form;
  if (steps_.size() >= kMostSteps || !number.isKnown())
    return false;
  switch (number.form_) {
  case Form::Constant:
    if (number.kind_ == SymbolicScalar::Kind::Float)
      steps_.push_back({.kind = Step::Kind::Float, .real = number.floats_[0]});
    else
      steps_.push_back({.kind = Step::Kind::Int, .number = number.ints_[0]});
    return true;
  case Form::Dim: {
    Dim size{{number.ints_[0], number.ints_[1]}};
    auto known = std::find(sizes_.begin(), sizes_.end(), size);
    steps_.push_back(
        {.kind = Step::Kind::Size, .size = static_cast<size_t>(known - sizes_.begin())});
    if (known == sizes_.end())
      sizes_.push_back(size);
    return true;
  }
  case Form::Expression: {
    bool isBinary = number.operands_[1].defined();
    if (!append(*number.operands_[0]) || (isBinary && !append(*number.operands_[1])))
      return false;
    steps_.push_back({.kind = Step::Kind::Op, .op = number.op_, .isBinary = isBinary});
    return true;
  }
  case Form::Recorded: return false;
  }
  return false;
}

void SizeQuestion::follow(size_t size, const Dim &base) {
  int64_t distance = sizes_[size].world[0] - base.world[0];
  sizes_[size] = base;
  std::vector<Step> steps;
  for (const Step &step : steps_) {
    steps.push_back(step);
    if (step.kind != Step::Kind::Size || step.size != size)
      continue;
    steps.push_back({.kind = Step::Kind::Int, .number = distance});
    steps.push_back({.kind = Step::Kind::Op, .op = ScalarOp::Add, .isBinary = true});
  }
  steps_ = std::move(steps);
}

c10::SymNode SizeQuestion::ask(std::span<const c10::SymNode> sizes) const {
  std::vector<c10::SymNode> stack;
  for (const Step &step : steps_) {
    switch (step.kind) {
    case Step::Kind::Size: stack.push_back(sizes[step.size]); break;
    case Step::Kind::Int: stack.push_back(sizes[0]->wrap_int(step.number)); break;
    case Step::Kind::Float: stack.push_back(sizes[0]->wrap_float(step.real)); break;
    case Step::Kind::Op: {
      c10::SymNode right = step.isBinary ? stack.back() : nullptr;
      if (step.isBinary)
        stack.pop_back();
      SymbolicScalar &left = *SymbolicScalar::of(stack.back());
      c10::SymNode result = step.isBinary ? left.binary(step.op, right) : left.unary(step.op);
      stack.back() = result;
    }
    }
  }
  return stack.back();
}

int64_t SizeQuestion::largestNumber() const {
  int64_t largest = 0;
  for (const Step &step : steps_)
    if (step.kind == Step::Kind::Int)
      largest = std::max(largest, step.number);
  return largest;
}

} // namespace bifront
