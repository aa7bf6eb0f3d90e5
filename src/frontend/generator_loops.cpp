// Loops over generators that nothing else goes through: the generator is walked where the loop
// stands, and the loop's body where it yields. So its own loops and branches can be those of the
// graph, with the body in them.
#include "frontend/generator_loops.h"
#include "frontend/generator.h"
#include "frontend/kinds.h"
#include "frontend/left_at.h"
#include "frontend/merge.h"
#include "frontend/pending.h"

#include <algorithm>
#include <exception>

namespace bifront {

using namespace syntax;

namespace {

// By `break` or `return`: it ends the generator, so that no branch or loop of the graph around its
// yield can go on.
struct LoopLeft : CannotMerge {
  LoopLeft(const Generator *generator, Completion completion)
      : CannotMerge("a loop over a generator is left"), generator(generator),
        completion(completion) {}
  const Generator *generator;
  Completion completion;
};

// The loop that the body is walked in: the innermost of the generator's, or of those whose values
// it yields.
PendingBody loopAround(const PythonFrame *yielding, const PythonFrame &consumer, const void *site) {
  for (; yielding != &consumer; yielding = yielding->consumer) {
    const std::vector<PendingBody> &pending = yielding->pending;
    auto loop = std::find_if(pending.rbegin(), pending.rend(), [](const PendingBody &body) {
      return body.kind == PendingBody::Kind::LoopBody ||
             body.kind == PendingBody::Kind::UnrolledLoop;
    });
    if (loop != pending.rend())
      return *loop;
  }
  return {.kind = PendingBody::Kind::UnrolledLoop, .site = site};
}

} // namespace

// Null where the object is none (it may be null), or others may go on with it.
Generator *Interpreter::ownGenerator(const PyRef &object) const {
  constexpr Py_ssize_t kReferences = 2; // this one, and the log's of what is fresh
  constexpr int kDeep = 60;             // a body deeper in the stack has its generator on a fiber
  if (!object || depth_ > kDeep || Py_REFCNT(object.get()) != kReferences)
    return nullptr;
  auto *generator = dynamic_cast<Generator *>(callbackOf(object.get()));
  return generator && generator->canBeWalkedThrough() ? generator : nullptr;
}

Completion Interpreter::runThrough(PythonFrame &frame, Generator &generator,
                                   const GeneratorLoop &loop) {
  // While it lives, the loop's frame is the one that runs.
  struct Resumed {
    Interpreter &interpreter;
    PythonFrame &frame;
    PythonFrame *yielding = std::exchange(interpreter.frame_, &frame);
    int line = frame.line;
    const syntax::Expr *expression = frame.expression;
    int exceptions = std::uncaught_exceptions();
    ~Resumed() {
      frame.expression = expression;
      interpreter.frame_ = yielding;
      if (std::uncaught_exceptions() > exceptions)
        noteRaisedIn(frame);
      else
        frame.line = line;
    }
  };
  AddedSlots number(frame); // of the next iteration
  if (loop.first)
    frame.slots.push_back(loop.first);
  auto take = [&](PythonFrame &yielding, PyRef value) {
    Resumed resumed{*this, frame};
    if (loop.first) {
      PyRef now = frame.slots[number.first];
      frame.slots[number.first] =
          binary(BinaryOp::Add, now.get(), checked(PyLong_FromLong(1)).get());
      value = tupleOf({now, value});
    }
    loop.begin(std::move(value));
    PendingBody around = loopAround(&yielding, frame, loop.site);
    Completion completion = [&] {
      Pending end(frame, around);
      return loop.body();
    }();
    if (completion == Completion::LoopBodyEnd) {
      PyRef breaks = frame.breaks;
      bool isOfGraph = around.kind == PendingBody::Kind::LoopBody && !around.site;
      if (isOfGraph && !PyBool_Check(breaks.get()))
        throw CannotMerge("a loop over a generator is left on one way of a branch");
      completion = truth(breaks.get()) ? Completion::Break : Completion::Normal;
    }
    if (completion == Completion::Break || completion == Completion::Return)
      throw LoopLeft(&generator, completion);
  };
  try {
    generator.walkThrough(frame, take);
  } catch (const LoopLeft &left) {
    if (left.generator != &generator)
      throw;
    return left.completion;
  }
  return Completion::Normal;
}

} // namespace bifront
