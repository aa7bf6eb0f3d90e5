#include "speculate/walk.h"

#include "frontend/interpreter.h"
#include "speculate/array_writer.h"
#include "speculate/call_log.h"
#include "speculate/logged_caller.h"
#include "speculate/python_state.h"
#include "speculate/slot_reader.h"
#include "speculate/written_attributes.h"
#include "support/options.h"
#include "support/pending_exception.h"

#include <iostream>

namespace bifront {
namespace {

// Calls what CPython runs. Where the places change they are put back, and there is no result.
PyRef callUnchanged(PyObject *places, const std::function<PyRef()> &call) {
  PythonState before;
  if (!before.remember(places))
    throw PythonError();
  struct Undo {
    const PythonState &state;
    ~Undo() { state.restore(); }
  } undo{before};
  PyRef result = call();
  return before.restore() ? PyRef() : result;
}

// While a module is read other threads run: not in the middle of a walk.
void importWhatWalksUse() {
  static const bool isImported = [] {
    for (const char *name :
         {"bifront._autograd", "bifront._call_sites", "bifront._generated_code",
          "bifront._light_inference", "bifront._output", "bifront._reachable_state",
          "bifront._trace_hooks", "bifront._unwalked", "bifront._walked", "inspect", "linecache",
          "logging", "torch.utils.checkpoint"})
      checked(PyImport_ImportModule(name));
    return true;
  }();
  static_cast<void>(isImported);
}

CallArguments argumentsOf(const WalkRequest &request) {
  CallArguments arguments;
  size_t keywords = request.keywordNames ? PyTuple_GET_SIZE(request.keywordNames) : 0;
  size_t count = request.arguments.size() - keywords;
  for (size_t i = 0; i < count; ++i)
    arguments.positional.push_back(PyRef::share(request.arguments[i]));
  for (size_t i = 0; i < keywords; ++i)
    arguments.keywords.emplace_back(PyRef::share(PyTuple_GET_ITEM(request.keywordNames, i)),
                                    PyRef::share(request.arguments[count + i]));
  return arguments;
}

SourceLine lineOf(const PythonFrame *frame) {
  SourceLine line;
  if (!frame)
    return line;
  auto *code = reinterpret_cast<PyCodeObject *>(frame->syntax.code.get());
  const char *file = PyUnicode_AsUTF8(code->co_filename);
  line.file = file ? file : "";
  line.line = frame->line;
  return line;
}

} // namespace

Interpretation walk(Capture &capture, const WalkRequest &request) {
  importWhatWalksUse();
  Interpretation interpretation;
  InterpreterHost host{
      .recording = &capture.recording(),
      .note =
          [&](const std::string &note) {
            if (options().log)
              std::cerr << "bifront: " + note + "\n" << std::flush;
            interpretation.notes.push_back(note);
          },
      .policies = request.policies,
      .unrollsAll = request.unrollsAll,
      .reachable =
          [&](PyObject *function, PyObject *arguments) {
            return checked(
                PyObject_CallFunctionObjArgs(request.reachable, function, arguments, nullptr));
          },
      .unchanged = callUnchanged,
      .inputFor = request.inputFor,
      .isReplaced = request.isReplaced,
      .isCopy = request.isCopy,
      .exampleOf = request.exampleOf,
      .sites = request.sites,
      .numDecided = request.numDecided,
      .reroutes = Rerouted::canBe,
      .logged = [](const CallPlace &place, const OpaqueSite &site,
                   const std::vector<LoggedFrame> &frames,
                   bool grad) { return makeLoggedCaller(place, site, frames, grad); },
      .attributeWriter = attributeWriter(),
      .calledFrom = makeCallerFrom,
      .writer = makeArrayWriter,
      .apart = makeApart,
      .slotReader = makeSlotReader,
      .reachedByCall =
          [&](PyObject *objects) {
            PyRef module = checked(PyImport_ImportModule("bifront._reachable_state"));
            return checked(PyObject_CallMethod(module.get(), "reached_by_call", "O", objects));
          }};
  Interpreter interpreter(host);
  capture.recording().walkedLine = [&] { return lineOf(interpreter.programFrame()); };
  capture.recording().refusesAssumption = [&] {
    return interpreter.isInLongLoop() ||
           (request.policies && !request.assumesInBranches && capture.recording().isConditional() &&
            interpreter.isInBranch());
  };
  struct Reset {
    Capture &capture;
    ~Reset() {
      capture.recording().walkedLine = nullptr;
      capture.recording().refusesAssumption = nullptr;
    }
  } reset{capture};
  try {
    interpreter.standIn(request.varying);
    interpretation.result = interpreter.run(request.function, argumentsOf(request));
  } catch (const PythonError &) { // the exception stays pending
  } catch (...) {
    interpreter.finish();
    throw;
  }
  {
    PendingException ofTheProgram;
    interpretation.effects = interpreter.finish();
  }
  if (interpretation.result && interpreter.readsWhatItWrites(interpretation.effects))
    throw CannotInterpret("an object that is written may be one that a pointer leads to");
  interpretation.framesPerCall = interpreter.framesPerCall();
  interpretation.reached = interpreter.reachedByCalls();
  for (const PyRef &reached : interpretation.reached) // behind the call too, in an iteration before
    for (const PythonWrite &write : interpretation.effects.writes)
      if (!write.isOutput && isSeen(write, reached.get())) {
        interpreter.wantWriterOf(write);
        throw CannotInterpret("an opaque call may see what the function changes");
      }
  if (interpretation.result && interpreter.endedWithEffects())
    throw CannotInterpret("a generator that is left half way changes something as it ends");
  return interpretation;
}

} // namespace bifront
