// What the program says is said when the run is over, in its order, by functions that see the
// stack of the program as it was.
#include "frontend/output.h"

#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/later.h"
#include "frontend/opaque_sites.h"
#include "frontend/pointers.h"
#include "frontend/stacked_items.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace bifront {
namespace {

PyRef ofModule(const char *module, const char *name) {
  return checked(PyObject_GetAttrString(checked(PyImport_ImportModule(module)).get(), name));
}

// Of bifront._output, the same object each time; borrowed.
PyObject *outputFunction(const char *name) {
  static PyObject *const module = PyImport_ImportModule("bifront._output");
  return PyDict_GetItemString(PyModule_GetDict(module), name);
}

PyRef nameOfStream(PyObject *stream) {
  return checked(PyObject_GetAttrString(stream, "stream_name"));
}

// Also one that is made when the run is over.
bool isText(PyObject *value) {
  return PyUnicode_CheckExact(value) || (isLater(value) && laterType(value) == &PyUnicode_Type);
}

bool isSize(PyObject *value) { return std::string_view(Py_TYPE(value)->tp_name) == "torch.Size"; }

// A stream of C that the program has opened itself; writing to it runs no other code.
bool isStreamOfC(PyObject *object) {
  std::string_view type = Py_TYPE(object)->tp_name;
  return type == "_io.StringIO" || type == "_io.TextIOWrapper";
}

} // namespace

const void *outputSite() {
  static const char site = 0;
  return &site;
}

bool isStandardStream(PyObject *object) {
  static auto *const type = reinterpret_cast<PyTypeObject *>(
      ofModule("bifront._trace_hooks", "StandardStream").release());
  return Py_TYPE(object) == type;
}

void refuseStream(PyObject *object) {
  if (isStandardStream(object))
    throw CannotInterpret("sys.stdout or sys.stderr is looked at");
}

bool Interpreter::outputWaits() const {
  return !host_.policies || policyOf(outputSite()) != Policy::OneWay;
}

void Interpreter::sayLater(PyObject *function, const std::vector<PyRef> &values, PyObject *names) {
  std::vector<PyObject *> borrowed;
  for (const PyRef &value : values)
    borrowed.push_back(value.get());
  size_t named = names ? PyTuple_GET_SIZE(names) : 0;
  log_.postpone(function, borrowed.data(), borrowed.size() - named, names);
}

// What is shown at the end of the run of a value as it is now.
PyRef Interpreter::shown(PyObject *value, int depth) {
  if (isPlain(value) || isGraphNumber(value) || isLater(value))
    return PyRef::share(value);
  if (stackedItems(value))
    refuseStacked(value);
  if (isTensor(value)) {
    if (checked(PyObject_GetAttrString(value, "requires_grad")).get() == Py_True ||
        !(isProxyTensor(value) || isExactTensor(value)))
      throw CannotInterpret("prints a tensor that requires grad, or of a subclass");
    return checked(PyObject_CallMethod(value, "clone", nullptr));
  }
  if (isSize(value))
    return PyRef::share(value);
  bool isList = PyList_CheckExact(value), isDict = PyDict_CheckExact(value);
  constexpr int kDeepest = 8;
  if ((!isList && !isDict && !PyTuple_CheckExact(value)) || depth > kDeepest)
    throw CannotInterpret(std::string("prints a ") + Py_TYPE(value)->tp_name);
  if (!PyTuple_CheckExact(value))
    log_.readContainer(value);
  PyRef keys = isDict ? checked(PyDict_Keys(value)) : PyRef();
  PyRef items = isDict ? checked(PyDict_Values(value)) : PyRef::share(value);
  PyRef copy = checked(isDict ? PyDict_New() : PyList_New(0));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); ++i) {
    PyRef item = shown(PySequence_Fast_GET_ITEM(items.get(), i), depth + 1);
    if (isDict && !isPlain(PyList_GET_ITEM(keys.get(), i)))
      throw CannotInterpret("prints a dict with keys that are no plain values");
    checked(isDict ? PyDict_SetItem(copy.get(), PyList_GET_ITEM(keys.get(), i), item.get())
                   : PyList_Append(copy.get(), item.get()));
  }
  if (!isList && !isDict)
    copy = checked(PyList_AsTuple(copy.get()));
  log_.noteFresh(copy.get());
  return copy;
}

//===- Streams -----------------------------------------------------------------------------===//

PyRef Interpreter::methodOfStream(PyObject *stream, PyObject *name) {
  for (const char *known : {"write", "writelines", "flush"})
    if (PyUnicode_CompareWithASCIIString(name, known) == 0)
      return checked(PyMethod_New(typeAttribute(Py_TYPE(stream), known), stream));
  throw CannotInterpret("sys.stdout or sys.stderr is looked at");
}

struct Interpreter::Output {
  using Result = std::optional<PyRef>;
  using Handler = Result (*)(Interpreter &, PyObject *function, CallArguments &);
  using Args = CallArguments;

  static PyObject *at(const Args &arguments, size_t i) { return arguments.positional[i].get(); }

  static Result print(Interpreter &in, PyObject *print, Args &args) {
    std::vector<PyRef> values;
    PyRef original = checked(PyObject_GetAttrString(print, "__wrapped__"));
    for (const PyRef &argument : args.positional)
      values.push_back(in.shown(argument.get()));
    std::vector<PyRef> names;
    for (const auto &[name, value] : args.keywords) {
      bool isFile = PyUnicode_CompareWithASCIIString(name.get(), "file") == 0;
      if (isFile && isStandardStream(value.get())) {
        original = PyRef::share(outputFunction("print_to"));
        values.insert(values.begin(), nameOfStream(value.get()));
        continue;
      }
      bool isOpen = isFile && isStreamOfC(value.get()) && !in.log_.isFresh(value.get());
      if (!isPlain(value.get()) && !isOpen)
        throw CannotInterpret("prints to another file");
      names.push_back(name);
    }
    for (const auto &[name, value] : args.keywords)
      if (!isStandardStream(value.get()))
        values.push_back(value);
    in.sayLater(original.get(), values, names.empty() ? nullptr : tupleOf(names).get());
    return PyRef::share(Py_None);
  }

  // What an ordinary stream returns.
  static Result write(Interpreter &in, PyObject *, Args &args) {
    if (args.positional.size() != 2 || !args.keywords.empty())
      return std::nullopt;
    PyObject *stream = at(args, 0), *text = at(args, 1);
    if (!isText(text))
      return std::nullopt;
    say(in, stream, "write", {args.positional[1]});
    return isLater(text) ? in.later(builtinFunction("len"), {args.positional[1]})
                         : checked(PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text)));
  }

  static Result writeLines(Interpreter &in, PyObject *, Args &args) {
    if (args.positional.size() != 2 || !args.keywords.empty())
      return std::nullopt;
    PyRef lines = in.listOf(at(args, 1));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines.get()); ++i)
      if (!isText(PyList_GET_ITEM(lines.get(), i)))
        return std::nullopt;
    say(in, at(args, 0), "writelines", {in.shown(lines.get())});
    return PyRef::share(Py_None);
  }

  static Result flush(Interpreter &in, PyObject *, Args &args) {
    if (args.positional.size() != 1 || !args.keywords.empty())
      return std::nullopt;
    say(in, at(args, 0), "flush", {});
    return PyRef::share(Py_None);
  }

  static void say(Interpreter &in, PyObject *stream, const char *method,
                  const std::vector<PyRef> &values) {
    PyRef name = nameOfStream(stream);
    if (!answers(in, "is_stream_of_library", name.get()))
      throw CannotInterpret("sys.stdout or sys.stderr is an object of the program");
    std::vector<PyRef> all = {name, checked(PyUnicode_FromString(method))};
    all.insert(all.end(), values.begin(), values.end());
    in.sayLater(outputFunction("call_stream"), all);
  }

  //--- Logging and warnings --------------------------------------------------------------//

  // Whether a function of bifront._output says so, now and before each run.
  static bool answers(Interpreter &in, const char *question, PyObject *about) {
    PyObject *function = outputFunction(question);
    if (checked(PyObject_CallOneArg(function, about)).get() != Py_True)
      return false;
    in.log_.readAnswer(function, about, Py_True);
    return true;
  }

  // Whether the program may look into one of these containers, in which what it says is kept.
  static bool mayBeRead(Interpreter &in, const PyRef &containers) {
    if (PyList_GET_SIZE(containers.get()) == 0)
      return false;
    std::vector<PyRef> reaching;
    auto add = [&](PyObject *object) {
      if (object && !isTensor(object) && !isGraphNumber(object) && !isLater(object) &&
          !pointerOf(object))
        reaching.push_back(PyRef::share(object));
    };
    for (const PythonFrame *frame = in.frame_; frame; frame = frame->caller) {
      add(frame->function);
      for (const PyRef &value : frame->slots)
        add(value.get());
      for (const PyRef &cell : frame->cells)
        add(cell ? PyCell_GET(cell.get()) : nullptr);
    }
    PyRef places;
    try {
      places = in.host_.reachable(Py_None, tupleOf(reaching).get());
    } catch (const PythonError &) { // nobody can tell
      PyErr_Clear();
      return true;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(containers.get()); ++i) {
      PyObject *container = PyList_GET_ITEM(containers.get(), i);
      if (in.log_.isFresh(container) || (in.host_.isReplaced && in.host_.isReplaced(container)))
        return true;
      for (Py_ssize_t k = 0; k < PyList_GET_SIZE(places.get()); ++k)
        if (PyList_GET_ITEM(places.get(), k) == container)
          return true;
    }
    return false;
  }

  // Nothing where it is to be walked.
  static Result log(Interpreter &in, PyObject *function, Args &args) {
    if (args.positional.size() < 2 || !args.keywords.empty() || in.log_.isFresh(at(args, 0)) ||
        (in.host_.isReplaced &&
         (in.host_.isReplaced(at(args, 0)) || in.host_.isCopy(at(args, 0)))) ||
        !answers(in, "logs_by_library", at(args, 0)) ||
        mayBeRead(in, checked(PyObject_CallOneArg(outputFunction("keeps_records"), at(args, 0)))))
      return std::nullopt;
    return sayFromHere(in, function, {args.positional[0]}, args);
  }

  static Result warn(Interpreter &in, PyObject *function, Args &args) {
    if (args.positional.empty() || !isText(at(args, 0)))
      return std::nullopt;
    std::vector<PyRef> others(args.positional.begin() + 1, args.positional.end());
    for (const auto &[name, value] : args.keywords)
      others.push_back(value);
    PyObject *category = PyExc_UserWarning;
    // How far up the stack, None, a category: any other value may have code of its own.
    for (const PyRef &value : others) {
      if (isPlain(value.get()))
        continue;
      PyRef isCategory =
          checked(PyObject_CallOneArg(outputFunction("is_plain_category"), value.get()));
      if (isCategory.get() != Py_True)
        return std::nullopt;
      category = value.get();
    }
    if (!answers(in, "warns_without_raising", category) ||
        mayBeRead(in, checked(PyObject_CallNoArgs(outputFunction("keeps_warnings")))))
      return std::nullopt;
    return sayFromHere(in, function, {}, args);
  }

  static Result noteFilters(Interpreter &in, PyObject *function, Args &args) {
    if (!args.positional.empty() || !args.keywords.empty())
      return std::nullopt;
    in.sayLater(function, {});
    return PyRef::share(Py_None);
  }

  // Behind `first`, the rest of the arguments as they are now.
  static Result sayFromHere(Interpreter &in, PyObject *function, std::vector<PyRef> first,
                            const Args &args) {
    std::vector<PyRef> values = {PyRef::share(function)}, names;
    size_t given = first.size();
    std::ranges::move(first, std::back_inserter(values));
    try {
      for (size_t i = given; i < args.positional.size(); ++i)
        values.push_back(shownOrType(in, at(args, i)));
      for (const auto &[name, value] : args.keywords) {
        names.push_back(name);
        values.push_back(shownOrType(in, value.get()));
      }
    } catch (const CannotInterpret &) { // it may yet be an opaque call
      return std::nullopt;
    }
    PyRef caller = in.host_.calledFrom(in.framesAt(*in.frame_));
    in.sayLater(caller.get(), values, names.empty() ? nullptr : tupleOf(names).get());
    return PyRef::share(Py_None);
  }

  static PyRef shownOrType(Interpreter &in, PyObject *value) {
    return PyType_Check(value) ? PyRef::share(value) : in.shown(value);
  }

  static bool mayBeOpaque(PyObject *callee) {
    Handler handler = table().at(callee);
    return handler == log || handler == warn;
  }

  static const std::unordered_map<PyObject *, Handler> &table() {
    static const auto handlers = [] {
      std::unordered_map<PyObject *, Handler> made;
      auto add = [&](const PyRef &owner, const char *name, Handler handler) {
        made.emplace(checked(PyObject_GetAttrString(owner.get(), name)).release(), handler);
      };
      PyRef stream = ofModule("bifront._trace_hooks", "StandardStream");
      add(stream, "write", write);
      add(stream, "writelines", writeLines);
      add(stream, "flush", flush);
      PyRef logger = ofModule("logging", "Logger");
      for (const char *name : {"debug", "info", "warning", "error", "critical", "log"})
        add(logger, name, log);
      PyRef warnings = checked(PyImport_ImportModule("_warnings"));
      add(warnings, "warn", warn);
      add(warnings, "_filters_mutated", noteFilters);
      return made;
    }();
    return handlers;
  }
};

// Nothing for other functions, and where what it does is not known to be no more than output.
std::optional<PyRef> Interpreter::callOfOutput(PyObject *callee, CallArguments &arguments) {
  auto found = Output::table().find(callee);
  bool prints = callee == print_.get();
  if (!prints && found == Output::table().end())
    return std::nullopt;
  // On one way of a branch of the graph it can be an opaque call, but not wait.
  bool isOnOneWay = !forks_.empty() || !functions_.empty();
  if (!prints && isOnOneWay && Output::mayBeOpaque(callee))
    return std::nullopt;
  if (outputWaits() && frame_)
    return prints ? Output::print(*this, callee, arguments)
                  : found->second(*this, callee, arguments);
  if (prints)
    throw UnknownEffects("prints where opaque calls follow");
  return std::nullopt;
}

} // namespace bifront
