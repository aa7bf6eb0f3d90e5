#include "frontend/generator.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "frontend/counting.h"
#include "frontend/kinds.h"
#include "support/pending_exception.h"

#include <algorithm>
#include <new>

namespace bifront {

// A stack of its own for a piece of C++ that may wait in the middle.
class Generator::Fiber {
public:
  explicit Fiber(std::function<void()> body) : body_(std::move(body)) {
    stack_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack_ == MAP_FAILED)
      throw std::bad_alloc();
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_;
    inside_.uc_stack.ss_size = kStackBytes;
    inside_.uc_link = &outside_;
    auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&inside_, reinterpret_cast<void (*)()>(start), 2, static_cast<uint32_t>(self),
                static_cast<uint32_t>(self >> 32));
  }
  ~Fiber() { munmap(stack_, kStackBytes); }
  Fiber(const Fiber &) = delete;

  void enter() { swapcontext(&outside_, &inside_); } // until it waits or ends
  void wait() { swapcontext(&inside_, &outside_); }

private:
  static void start(uint32_t low, uint32_t high) {
    reinterpret_cast<Fiber *>(uintptr_t{high} << 32 | low)->body_();
  }

  static constexpr size_t kStackBytes = size_t{8} << 20; // touched pages alone cost memory
  void *stack_;
  ucontext_t inside_, outside_;
  std::function<void()> body_;
};

Generator::Generator(Interpreter &interpreter, std::unique_ptr<PythonFrame> frame,
                     std::shared_ptr<const syntax::Function> syntax, PyRef function, Body body)
    : interpreter_(interpreter), frame_(std::move(frame)), syntax_(std::move(syntax)),
      function_(std::move(function)), body_(std::move(body)) {
  frame_->generator = this;
}

Generator::~Generator() { end(); }

// On the fiber. No C++ exception leaves it.
void Generator::walk() {
  try {
    if (raised_) // thrown in before the first value
      throw PythonError();
    if (body_)
      body_(*frame_);
    else
      interpreter_.run(*frame_, frame_->syntax.body);
    outwards_ = frame_->returned ? frame_->returned : PyRef::share(Py_None);
    raised_ = false;
  } catch (const PythonError &) {
    if (!PyErr_ExceptionMatches(PyExc_GeneratorExit))
      interpreter_.refuseWaiting(*frame_);
    raised_ = true;
  } catch (const Abandoned &) {
    raised_ = false;
    outwards_ = PyRef::share(Py_None);
  } catch (...) {
    interpreter_.refuse(std::current_exception());
    raised_ = true;
  }
  finished_ = true;
}

PyObject *Generator::resume(PyObject *sent) {
  if (running_) {
    PyErr_SetString(PyExc_ValueError, "generator already executing");
    return nullptr;
  }
  if (finished_) {
    if (!raised_)
      PyErr_SetNone(PyExc_StopIteration);
    return nullptr;
  }
  if (!fiber_)
    fiber_ = std::make_unique<Fiber>([this] { walk(); });
  Interpreter::Walking walking(interpreter_);
  started_ = true;
  inwards_ = PyRef::share(sent);
  PyRef outerHandled = PyRef::steal(PyErr_GetHandledException());
  PyErr_SetHandledException(handled_ ? handled_.get() : Py_None);
  PythonFrame *outerFrame = interpreter_.frame_;
  frame_->caller = outerFrame;
  running_ = true;
  fiber_->enter();
  running_ = false;
  interpreter_.frame_ = outerFrame;
  handled_ = PyRef::steal(PyErr_GetHandledException());
  PyErr_SetHandledException(outerHandled ? outerHandled.get() : Py_None);
  if (!finished_)
    return outwards_.release();
  fiber_.reset();
  if (raised_) {
    if (PyErr_ExceptionMatches(PyExc_StopIteration))
      PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
    raised_ = false;
    return nullptr;
  }
  if (outwards_.get() == Py_None) {
    PyErr_SetNone(PyExc_StopIteration);
  } else {
    PyRef stop = PyRef::steal(PyObject_CallOneArg(PyExc_StopIteration, outwards_.get()));
    if (stop)
      PyErr_SetObject(PyExc_StopIteration, stop.get());
  }
  return nullptr;
}

PyRef Generator::walkThrough(PythonFrame &consumer, const PythonFrame::Take &take) {
  started_ = finished_ = true;
  PyRef ofLoop; // the exception that has come from there
  PythonFrame::Take taking = [&](PythonFrame &yielding, PyRef value) {
    try {
      take(yielding, std::move(value));
    } catch (const PythonError &) {
      ofLoop = takeException();
      setException(ofLoop);
      throw;
    }
  };
  frame_->generator = consumer.generator; // whose fiber this is
  frame_->consumer = &consumer;
  frame_->take = &taking;
  try {
    return interpreter_.runBody(*frame_);
  } catch (const PythonError &) {
    PyRef exception = takeException();
    setException(exception);
    if (exception.get() == ofLoop.get())
      throw;
    interpreter_.refuseWaiting(*frame_);
    if (PyErr_ExceptionMatches(PyExc_StopIteration))
      PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
    throw;
  }
}

PyRef Generator::yield(PyRef value) {
  outwards_ = std::move(value);
  PythonFrame *mine = interpreter_.frame_;
  fiber_->wait();
  interpreter_.frame_ = mine;
  if (abandoned_)
    throw Abandoned();
  if (raised_) {
    raised_ = false;
    throw PythonError();
  }
  return std::move(inwards_);
}

PyObject *Generator::send(PyObject *value) {
  if (!started_ && value != Py_None) {
    PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started generator");
    return nullptr;
  }
  return resume(value);
}

PyObject *Generator::raiseInside(PyObject *exception) {
  PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(exception)), exception);
  if (finished_ || running_)
    return nullptr;
  raised_ = true;
  return resume(Py_None);
}

PyObject *Generator::close() {
  if (!started_)
    finished_ = true;
  if (finished_)
    Py_RETURN_NONE;
  PyRef exit = PyRef::steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  PyRef value = PyRef::steal(exit ? raiseInside(exit.get()) : nullptr);
  if (value) {
    PyErr_SetString(PyExc_RuntimeError, "generator ignored GeneratorExit");
    return nullptr;
  }
  if (!PyErr_ExceptionMatches(PyExc_GeneratorExit) && !PyErr_ExceptionMatches(PyExc_StopIteration))
    return nullptr;
  PyErr_Clear(); // as it should end
  Py_RETURN_NONE;
}

// As CPython ends a generator that nobody refers to: what it does in its `finally` is the
// program's. The object is being freed, and an exception may be pending.
void Generator::dropped() {
  if (!fiber_ || finished_ || running_)
    return;
  PendingException ofTheProgram;
  if (!PyRef::steal(close())) {
    PyErr_Clear(); // CPython would print it
    interpreter_.refuse(
        std::make_exception_ptr(CannotInterpret("a generator raises while it is closed")));
    PyErr_Clear();
  }
}

void Generator::end() {
  if (fiber_ && !finished_ && !running_) {
    Interpreter::Walking walking(interpreter_);
    abandoned_ = true;
    fiber_->enter();
  }
  fiber_.reset();
  finished_ = true;
}

//===- In the interpreter ------------------------------------------------------------------===//

PyRef Interpreter::makeGenerator(std::unique_ptr<PythonFrame> frame, PyRef function,
                                 std::shared_ptr<const syntax::Function> syntax,
                                 std::function<void(PythonFrame &)> body) {
  auto made = std::make_shared<Generator>(*this, std::move(frame), std::move(syntax),
                                          std::move(function), std::move(body));
  callbacks_.push_back(made);
  PyRef iterator = checked(makeIterator(std::move(made)));
  log_.noteFresh(iterator.get());
  return iterator;
}

// An exception of its own leaves the function: its traceback keeps CPython's frame, and with it
// what waits there, until nobody knows the exception any more.
void Interpreter::refuseWaiting(const PythonFrame &left) {
  auto waits = [](const PyRef &variable) {
    Callback *callback = variable ? callbackOf(variable.get()) : nullptr;
    return callback && callback->waits();
  };
  if (std::ranges::any_of(left.slots, waits))
    refuse(std::make_exception_ptr(
        CannotInterpret("an exception leaves a function in which a generator waits")));
}

// A frame of its own: what the expression takes from around it is in cells.
PyRef Interpreter::generatorOf(PythonFrame &frame, const syntax::Comprehension &comprehension,
                               PyObject *iterable) {
  PyRef first = iterate(iterable);
  auto own =
      std::make_unique<PythonFrame>(PythonFrame{.syntax = frame.syntax,
                                                .function = frame.function,
                                                .globals = frame.globals,
                                                .builtins = frame.builtins,
                                                .slots = std::vector<PyRef>(frame.slots.size()),
                                                .cells = frame.cells});
  return makeGenerator(std::move(own), PyRef::share(frame.function), frame.owner,
                       [this, &comprehension, first](PythonFrame &inside) {
                         makeCells(inside, comprehension);
                         comprehend(inside, comprehension, 0, first, [&] {
                           PyRef value = eval(inside, *comprehension.element);
                           inside.generator->yield(std::move(value));
                         });
                       });
}

namespace {

// What a finished generator returned; clears StopIteration.
PyRef stopValue() {
  if (!PyErr_Occurred())
    return PyRef::share(Py_None);
  if (!PyErr_ExceptionMatches(PyExc_StopIteration))
    throw PythonError();
  return checked(PyObject_GetAttrString(takeException().get(), "value"));
}

} // namespace

PyRef Interpreter::eval(PythonFrame &frame, const syntax::Yield &expression) {
  if (frame.take)
    return giveToLoop(frame, expression);
  if (!forks_.empty() && forks_.back().generator == frame.generator)
    throw CannotInterpret("a generator yields in a branch");
  if (!frame.generator)
    throw CannotInterpret("a yield stands outside of a generator");
  if (!expression.from)
    return frame.generator->yield(evalOrNone(frame, expression.value));
  PyRef inner = iterate(eval(frame, *expression.value).get());
  PyRef value = sendTo(inner.get(), Py_None);
  while (value) {
    PyRef sent;
    try {
      sent = frame.generator->yield(std::move(value));
    } catch (const PythonError &) {
      value = throwInto(inner.get());
      continue;
    }
    value = sendTo(inner.get(), sent.get());
  }
  return stopValue();
}

// In a generator that is walked within the loop over it, to which nobody sends anything.
PyRef Interpreter::giveToLoop(PythonFrame &frame, const syntax::Yield &expression) {
  if (!expression.from) {
    (*frame.take)(frame, evalOrNone(frame, expression.value));
    return PyRef::share(Py_None);
  }
  Iterable iterable;
  if (auto counting = Counting::find(*this, frame, *expression.value, &expression, iterable)) {
    PyRef item;
    auto give = [&] {
      (*frame.take)(frame, std::move(item));
      return Completion::Normal;
    };
    auto begin = [&](PyRef next) { item = std::move(next); };
    runCounting(frame, {&expression, expression.value.get(), *counting, begin, give});
    return PyRef::share(Py_None);
  }
  Generator *inner = iterable.first ? nullptr : ownGenerator(iterable.object);
  if (inner)
    return inner->walkThrough(frame, *frame.take);
  PyRef iterator = iterate(iterable.object.get());
  iterable = {};
  while (PyRef value = sendTo(iterator.get(), Py_None))
    (*frame.take)(frame, std::move(value));
  return stopValue();
}

// The iterator's next value; null where it has raised.
PyRef Interpreter::sendTo(PyObject *iterator, PyObject *value) {
  if (value == Py_None && !hasWalkedMethod(iterator, "__next__"))
    return PyRef::steal(Py_TYPE(iterator)->tp_iternext(iterator));
  CallArguments arguments;
  if (value != Py_None)
    arguments.positional.push_back(PyRef::share(value));
  return callOrNull(iterator, value == Py_None ? "__next__" : "send", std::move(arguments));
}

// What is thrown into a generator where it waits for another iterator goes on to that one, but for
// what closes both: the other one first.
PyRef Interpreter::throwInto(PyObject *iterator) {
  PyRef exception = takeException();
  bool closes = PyErr_GivenExceptionMatches(exception.get(), PyExc_GeneratorExit) != 0;
  const char *name = closes ? "close" : "throw";
  bool isTold = typeAttribute(Py_TYPE(iterator), name) != nullptr;
  if (isTold && !closes) {
    CallArguments arguments;
    arguments.positional.push_back(exception);
    return callOrNull(iterator, name, std::move(arguments));
  }
  if (isTold && !callOrNull(iterator, name, {}))
    throw PythonError();
  setException(exception);
  throw PythonError();
}

// Null where the method has raised.
PyRef Interpreter::callOrNull(PyObject *object, const char *method, CallArguments arguments) {
  PyRef name = checked(PyUnicode_FromString(method));
  try {
    return call(attribute(object, name.get()).get(), std::move(arguments));
  } catch (const PythonError &) {
    return {};
  }
}

} // namespace bifront
