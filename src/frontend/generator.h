// A generator of the program: its frame is walked on a stack of its own, and waits there between
// two values.
#pragma once

#include "frontend/callbacks.h"
#include "frontend/interpreter.h"

#include <functional>
#include <memory>
#include <optional>

namespace bifront {

class Generator final : public Callback {
public:
  // Walks the frame of an expression; null for a function's.
  using Body = std::function<void(PythonFrame &)>;
  Generator(Interpreter &interpreter, std::unique_ptr<PythonFrame> frame,
            std::shared_ptr<const syntax::Function> syntax, PyRef function, Body body);
  ~Generator() override;

  PyObject *next() override { return resume(Py_None); }
  PyObject *send(PyObject *value) override;
  PyObject *raiseInside(PyObject *exception) override;
  PyObject *close() override;
  void dropped() override;
  bool waits() const override { return started_ && !finished_; }
  void end() override;

  // Whether it can be walked from its first value to its last: a function that has not begun, and
  // of which no `try` or `with` sees how a yield ends.
  bool canBeWalkedThrough() const {
    return !body_ && !started_ && !finished_ && !frame_->syntax.guardsYields;
  }
  // Walks it here, with `take` called for each value. What it returns.
  PyRef walkThrough(PythonFrame &consumer, const PythonFrame::Take &take);

  // Inside: hands `value` out and waits. What is sent back; throws what is raised inside.
  PyRef yield(PyRef value);

private:
  class Fiber;
  struct Abandoned {}; // unwinds a generator that nobody waits for

  PyObject *resume(PyObject *sent);
  void walk();

  Interpreter &interpreter_;
  std::unique_ptr<PythonFrame> frame_;
  std::shared_ptr<const syntax::Function> syntax_; // what the frame refers to
  PyRef function_;
  Body body_;
  std::unique_ptr<Fiber> fiber_; // from the first value to the last
  bool started_ = false, finished_ = false, running_ = false, abandoned_ = false;
  PyRef handled_; // the exception that was handled where it waits
  PyRef outwards_, inwards_;
  bool raised_ = false; // the frame ended by an exception, which is pending
};

} // namespace bifront
