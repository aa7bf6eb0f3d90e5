// `return` in the body of a loop of the graph: it ends the loop, which carries the number of the
// statement, and what it returns is evaluated behind the loop. So nothing need be there to be
// carried before a return is met.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"

#include <algorithm>

namespace bifront {

using namespace syntax;

namespace {

// What a `with` or a `try` sees end is evaluated in it.
void collectReturns(const Body &body, std::vector<const Stmt *> &returns);

struct CollectReturns {
  const Stmt &stmt;
  std::vector<const Stmt *> &returns;

  void operator()(const Return &) const { returns.push_back(&stmt); }
  void operator()(const If &branch) const {
    collectReturns(branch.then, returns);
    collectReturns(branch.otherwise, returns);
  }
  void operator()(const While &loop) const { ofLoop(loop); }
  void operator()(const For &loop) const { ofLoop(loop); }
  void operator()(const Match &match) const {
    for (const MatchCase &one : match.cases)
      collectReturns(one.body, returns);
  }
  void operator()(const auto &) const {}

private:
  void ofLoop(const auto &loop) const {
    collectReturns(loop.body, returns);
    collectReturns(loop.otherwise, returns);
  }
};

void collectReturns(const Body &body, std::vector<const Stmt *> &returns) {
  for (const auto &stmt : body)
    std::visit(CollectReturns{*stmt, returns}, stmt->node);
}

bool breaks(const Body &body);

struct Breaks { // the loop that it stands in
  bool operator()(const Break &) const { return true; }
  bool operator()(const If &branch) const {
    return breaks(branch.then) || breaks(branch.otherwise);
  }
  bool operator()(const While &loop) const { return breaks(loop.otherwise); }
  bool operator()(const For &loop) const { return breaks(loop.otherwise); }
  bool operator()(const Match &match) const {
    return std::ranges::any_of(match.cases, [](const MatchCase &one) { return breaks(one.body); });
  }
  bool operator()(const With &with) const { return breaks(with.body); }
  bool operator()(const Try &stmt) const {
    return breaks(stmt.body) || breaks(stmt.otherwise) || breaks(stmt.finally) ||
           std::ranges::any_of(stmt.handlers,
                               [](const Handler &handler) { return breaks(handler.body); });
  }
  bool operator()(const auto &) const { return false; }
};

bool breaks(const Body &body) {
  return std::ranges::any_of(body,
                             [](const auto &stmt) { return std::visit(Breaks(), stmt->node); });
}

// Whether a loop that has ended normally has met a `return`.
bool endsByReturnAlone(const While &loop) {
  auto *condition = std::get_if<Constant>(&loop.condition->node);
  return condition && PyObject_IsTrue(condition->value.get()) == 1 && !breaks(loop.body);
}
bool endsByReturnAlone(const For &) { return false; }

// While it lives, the frame has a slot for the number of the return that ends the loop.
class Numbered {
public:
  Numbered(PythonFrame &frame, const LoopReturns *returns)
      : frame_(frame), outer_(std::exchange(frame.returns, returns)), size_(frame.slots.size()) {
    if (returns)
      frame.slots.push_back(checked(PyLong_FromLong(0)));
  }
  ~Numbered() {
    frame_.slots.resize(size_);
    frame_.returns = outer_;
  }
  Numbered(const Numbered &) = delete;

  // What stands behind the loop belongs to the one around it.
  void leave() { frame_.returns = outer_; }

private:
  PythonFrame &frame_;
  const LoopReturns *outer_;
  size_t size_;
};

} // namespace

template <class Loop> Completion Interpreter::runReturning(PythonFrame &frame, const Loop &loop) {
  LoopReturns returns{{}, frame.slots.size()};
  if (host_.policies)
    collectReturns(loop.body, returns.statements);
  bool hasReturns = !returns.statements.empty();
  Numbered numbered(frame, hasReturns ? &returns : nullptr);
  Completion completion = runLoop(frame, loop);
  numbered.leave();
  if (!hasReturns || completion != Completion::Normal)
    return completion;
  return returnFrom(frame, returns, 0, endsByReturnAlone(loop));
}

Completion Interpreter::run(PythonFrame &frame, const While &stmt) {
  return runReturning(frame, stmt);
}

Completion Interpreter::run(PythonFrame &frame, const For &stmt) {
  return runReturning(frame, stmt);
}

// Whether the innermost loop is one of the graph, which is to end then.
bool Interpreter::returnsBehindLoop(PythonFrame &frame, const Return &stmt) const {
  auto around =
      std::find_if(frame.pending.rbegin(), frame.pending.rend(), [](const PendingBody &body) {
        return body.kind != PendingBody::Kind::Statements;
      });
  bool isInLoop = around != frame.pending.rend() && around->kind == PendingBody::Kind::LoopBody;
  if (!isInLoop || !frame.returns)
    return false;
  const std::vector<const Stmt *> &all = frame.returns->statements;
  auto found = std::ranges::find_if(
      all, [&](const Stmt *other) { return std::get_if<Return>(&other->node) == &stmt; });
  if (found == all.end())
    return false;
  frame.slots[frame.returns->slot] = checked(PyLong_FromSsize_t(found - all.begin() + 1));
  return true;
}

// The statement from the `first` on that has ended the loop, if one has.
Completion Interpreter::returnFrom(PythonFrame &frame, const LoopReturns &returns, size_t first,
                                   bool isOneOfThem) {
  if (first == returns.statements.size())
    return Completion::Normal;
  const Stmt &stmt = *returns.statements[first];
  auto then = [&] { return run(frame, stmt); };
  auto otherwise = [&] { return returnFrom(frame, returns, first + 1, isOneOfThem); };
  if (isOneOfThem && first + 1 == returns.statements.size())
    return then();
  PyRef number = checked(PyLong_FromSize_t(first + 1));
  PyRef isThis = compare(CompareOp::Eq, frame.slots[returns.slot].get(), number.get());
  if (isGraphNumber(isThis.get()))
    if (auto completion = forkStatement(frame, &stmt, isThis.get(), then, otherwise))
      return *completion;
  return truth(isThis.get()) ? then() : otherwise();
}

} // namespace bifront
