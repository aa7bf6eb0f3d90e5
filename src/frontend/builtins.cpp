// Functions of C that lead back to the program, or see what it has to be told of: `getattr`,
// `sorted` with a key, `dict.get`, `list.append`.
#include "frontend/callbacks.h"
#include "frontend/grown_lists.h"
#include "frontend/kinds.h"
#include "frontend/later.h"
#include "frontend/pointers.h"
#include "frontend/stacked_items.h"
#include "frontend/walked_helpers.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace bifront {

using namespace syntax;

namespace {

PyRef keywordOf(const CallArguments &arguments, std::string_view name) {
  for (const auto &[key, value] : arguments.keywords)
    if (name == PyUnicode_AsUTF8(key.get()))
      return value;
  return {};
}

bool isOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool allPlain(PyObject *list) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i)
    if (!isPlain(PyList_GET_ITEM(list, i)))
      return false;
  return true;
}

} // namespace

//===- Builtin functions -------------------------------------------------------------------===//

struct Interpreter::Builtins {
  using Result = std::optional<PyRef>;
  using Handler = Result (*)(Interpreter &, CallArguments &);
  using Args = CallArguments;

  static PyObject *at(const Args &arguments, size_t i) { return arguments.positional[i].get(); }

  static Result isInstance(Interpreter &in, Args &args) {
    if (args.positional.size() != 2)
      return std::nullopt;
    if (pointerOf(at(args, 0)))
      return in.pointerIsInstance(at(args, 0), at(args, 1));
    return PyRef::share(in.isInstance(at(args, 0), at(args, 1)) ? Py_True : Py_False);
  }

  static Result identity(Interpreter &in, Args &args) {
    if (args.positional.size() == 1 &&
        (isProxyTensor(at(args, 0)) || (in.host_.isCopy && in.host_.isCopy(at(args, 0)))))
      throw CannotInterpret("asks for the address of an object that differs from call to call");
    return asIs(in, args);
  }

  static Result asIs(Interpreter &in, Args &args) { // issubclass, callable
    if (!args.positional.empty())
      in.log_.readTypeOf(at(args, 0));
    if (args.positional.size() == 2)
      in.readInstanceChecks(at(args, 1));
    return std::nullopt;
  }

  static Result length(Interpreter &in, Args &args) {
    if (args.positional.size() != 1)
      return std::nullopt;
    if (pointerOf(at(args, 0)))
      return in.pointerLength(at(args, 0));
    if (auto result = in.ownLength(at(args, 0)))
      return result;
    if (isProxyTensor(at(args, 0))) { // may vary
      PyRef shape = checked(PyObject_GetAttrString(at(args, 0), "shape"));
      if (PyTuple_GET_SIZE(shape.get()) > 0)
        return PyRef::share(PyTuple_GET_ITEM(shape.get(), 0));
    }
    if (PyRef length = in.lengthOfList(at(args, 0)))
      return length;
    auto size = [&] {
      return checked(PyLong_FromSsize_t(checkedSize(PyObject_Size(at(args, 0)))));
    };
    if (isMutableContainer(at(args, 0))) { // C's own, which does not look at the items
      in.log_.readContainer(at(args, 0));
      return size();
    }
    return PyTuple_CheckExact(at(args, 0)) ? size() : in.natively("__len__", {at(args, 0)}, size);
  }

  static Py_ssize_t checkedSize(Py_ssize_t size) {
    if (size < 0 && PyErr_Occurred())
      throw PythonError();
    return size;
  }

  static Result getAttribute(Interpreter &in, Args &args) {
    size_t count = args.positional.size();
    if (count < 2 || count > 3 || !PyUnicode_Check(at(args, 1)))
      return std::nullopt;
    if (count == 2)
      return in.attribute(at(args, 0), at(args, 1));
    PyRef value = in.attributeOrAbsent(at(args, 0), at(args, 1));
    return value ? value : args.positional[2];
  }

  static Result hasAttribute(Interpreter &in, Args &args) {
    if (args.positional.size() != 2 || !PyUnicode_Check(at(args, 1)))
      return std::nullopt;
    return PyRef::share(in.attributeOrAbsent(at(args, 0), at(args, 1)) ? Py_True : Py_False);
  }

  static Result setAttribute(Interpreter &in, Args &args) {
    if (args.positional.size() != 3 || !PyUnicode_Check(at(args, 1)))
      return std::nullopt;
    in.setAttribute(at(args, 0), at(args, 1), at(args, 2));
    return PyRef::share(Py_None);
  }

  static Result deleteAttribute(Interpreter &in, Args &args) {
    if (args.positional.size() != 2 || !PyUnicode_Check(at(args, 1)))
      return std::nullopt;
    in.setAttribute(at(args, 0), at(args, 1), nullptr);
    return PyRef::share(Py_None);
  }

  static Result iterator(Interpreter &in, Args &args) {
    if (args.positional.size() != 1)
      return std::nullopt;
    return in.iterate(at(args, 0));
  }

  static Result next(Interpreter &in, Args &args) {
    if (args.positional.empty() || args.positional.size() > 2)
      return std::nullopt;
    if (PyRef value = in.nextOrStop(at(args, 0)))
      return value;
    if (args.positional.size() == 2) {
      PyErr_Clear(); // the end
      return args.positional[1];
    }
    throw PythonError();
  }

  static Result type(Interpreter &in, Args &args) {
    if (args.positional.size() != 1 || !args.keywords.empty())
      throw CannotInterpret("a class is made by type()");
    if (pointerOf(at(args, 0)))
      return in.pointerType(at(args, 0));
    in.log_.readTypeOf(at(args, 0));
    PyTypeObject *type = isGraphNumber(at(args, 0)) ? numberType(at(args, 0))
                         : isLater(at(args, 0))     ? laterType(at(args, 0))
                                                    : Py_TYPE(at(args, 0));
    return PyRef::share(reinterpret_cast<PyObject *>(type));
  }

  static Result boolean(Interpreter &in, Args &args) {
    return args.positional.size() == 1 ? Result(in.conditionOrTruth(at(args, 0))) : std::nullopt;
  }

  static Result real(Interpreter &in, Args &args) {
    PyRef number = args.positional.size() == 1 ? in.scalarOf(at(args, 0)) : PyRef();
    return number ? Result(in.toFloat(number.get())) : std::nullopt;
  }

  static Result whole(Interpreter &in, Args &args) {
    bool isOne = args.positional.size() == 1 && args.keywords.empty();
    PyRef number = isOne ? in.scalarOf(at(args, 0)) : PyRef();
    return number ? Result(in.toInt(number.get())) : std::nullopt;
  }

  static Result text(Interpreter &in, Args &args) {
    if (args.positional.size() != 1 || PyUnicode_CheckExact(at(args, 0)))
      return std::nullopt;
    if (isLater(at(args, 0)) && laterType(at(args, 0)) == &PyUnicode_Type)
      return args.positional[0];
    auto *type = reinterpret_cast<PyObject *>(&PyUnicode_Type);
    if (auto text = in.textOf(type, args.positional))
      return text;
    return in.callSpecial(at(args, 0), "__str__", {});
  }

  static Result representation(Interpreter &in, Args &args) {
    if (args.positional.size() != 1)
      return std::nullopt;
    if (auto text = in.textOf(builtinFunction("repr"), args.positional))
      return text;
    return in.callSpecial(at(args, 0), "__repr__", {});
  }

  static Result ascii(Interpreter &in, Args &args) {
    return args.positional.size() == 1 ? in.textOf(builtinFunction("ascii"), args.positional)
                                       : std::nullopt;
  }

  static Result format(Interpreter &in, Args &args) {
    if (args.positional.empty() || args.positional.size() > 2 || !args.keywords.empty())
      return std::nullopt;
    return in.formatted(at(args, 0), args.positional.size() > 1 ? at(args, 1) : nullptr);
  }

  static Result rounded(Interpreter &in, Args &args) { // to digits
    if (args.positional.size() != 2 || !isGraphNumber(at(args, 0)) ||
        !PyLong_CheckExact(at(args, 1)))
      return std::nullopt;
    return in.textOf(builtinFunction("round"), args.positional);
  }

  //--- Over iterables --------------------------------------------------------------------//

  static Result list(Interpreter &in, Args &args) {
    if (args.positional.size() != 1)
      return std::nullopt;
    return in.listOf(at(args, 0));
  }

  static Result tuple(Interpreter &in, Args &args) {
    if (args.positional.size() != 1 || PyTuple_CheckExact(at(args, 0)))
      return std::nullopt;
    return checked(PyList_AsTuple(in.listOf(at(args, 0)).get()));
  }

  // set, frozenset, deque: given a list instead.
  static Result collection(Interpreter &in, Args &args) {
    if (!args.positional.empty() && !isMutableContainer(at(args, 0)))
      args.positional[0] = in.listOf(at(args, 0));
    return std::nullopt;
  }

  // For a dict of that type: a mapping says what its keys are. An ordered one asks for an item
  // ahead of the next key.
  static PyRef pairsOf(Interpreter &in, PyObject *items, PyTypeObject *type) {
    PyRef keys = checked(PyUnicode_InternFromString("keys"));
    if (!in.attributeOrAbsent(items, keys.get()))
      return in.listOf(items);
    bool isOrdered = PyType_IsSubtype(type, &PyODict_Type);
    return walked(in, "items_of_mapping",
                  {PyRef::share(items), PyRef::share(isOrdered ? Py_False : Py_True)});
  }

  static Result anyTrue(Interpreter &in, Args &args) { return until(in, args, true); }
  static Result allTrue(Interpreter &in, Args &args) { return until(in, args, false); }
  static Result until(Interpreter &in, Args &args, bool wanted) {
    if (args.positional.size() != 1)
      return std::nullopt;
    PyRef iterator = in.iterate(at(args, 0));
    while (PyRef value = in.next(iterator.get()))
      if (in.truth(value.get()) == wanted)
        return PyRef::share(wanted ? Py_True : Py_False);
    return PyRef::share(wanted ? Py_False : Py_True);
  }

  static Result sum(Interpreter &in, Args &args) {
    if (args.positional.empty())
      return std::nullopt;
    PyRef start = args.positional.size() > 1 ? args.positional[1] : keywordOf(args, "start");
    if (addsInAnotherWay(at(args, 0)) && holdsStacked(at(args, 0)))
      return std::nullopt; // refused
    if (holdsStacked(at(args, 0)) || goesThrough(in, at(args, 0), "sum_of"))
      return walked(in, "sum_of",
                    {args.positional[0], start ? start : checked(PyLong_FromLong(0))});
    PyRef items = in.listOf(at(args, 0));
    if (allPlain(items.get()) && (!start || isPlain(start.get()))) {
      args.positional[0] = items;
      return std::nullopt;
    }
    PyRef total = start ? start : checked(PyLong_FromLong(0));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i)
      total = in.binary(BinaryOp::Add, total.get(), PyList_GET_ITEM(items.get(), i));
    return total;
  }

  static Result least(Interpreter &in, Args &args) { return extreme(in, args, CompareOp::Lt); }
  static Result greatest(Interpreter &in, Args &args) { return extreme(in, args, CompareOp::Gt); }
  static Result extreme(Interpreter &in, Args &args, CompareOp better) {
    if (args.positional.empty())
      return std::nullopt;
    PyRef all = args.positional.size() == 1 ? args.positional[0] : tupleOf(args.positional);
    if (args.keywords.empty() && goesThrough(in, all.get(), "extreme_of")) {
      PyRef first = in.itemOfGrown(all.get(), checked(PyLong_FromLong(0)).get());
      return walked(in, "extreme_of",
                    {all, first, PyRef::share(better == CompareOp::Lt ? Py_True : Py_False)});
    }
    if (args.keywords.empty() && holdsNumbers(all.get())) {
      in.assertHasItems(all.get()); // or it raises
      return walked(in, "extreme_of",
                    {all, in.item(all.get(), checked(PyLong_FromLong(0)).get()),
                     PyRef::share(better == CompareOp::Lt ? Py_True : Py_False)});
    }
    PyRef items = in.listOf(all.get());
    PyRef key = keywordOf(args, "key"), fallback = keywordOf(args, "default");
    if (PyList_GET_SIZE(items.get()) == 0) {
      if (!fallback)
        return std::nullopt; // raises
      return fallback;
    }
    bool isPlain = (!key || key.get() == Py_None) && PyList_GET_SIZE(items.get()) == 2;
    if (isPlain)
      if (PyRef number = in.extremeNumber(PyList_GET_ITEM(items.get(), 0),
                                          PyList_GET_ITEM(items.get(), 1), better))
        return number;
    PyRef best, bestKey;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i) {
      PyRef item = PyRef::share(PyList_GET_ITEM(items.get(), i));
      PyRef itemKey = key && key.get() != Py_None ? in.callWith(key.get(), item) : item;
      PyRef isBetter = best ? in.compare(better, itemKey.get(), bestKey.get()) : PyRef();
      if (isBetter && isGraphNumber(isBetter.get())) {
        best = walked(in, "chosen", {isBetter, item, best});
        bestKey = walked(in, "chosen", {isBetter, itemKey, bestKey});
        continue;
      }
      if (isBetter && !in.truth(isBetter.get()))
        continue;
      best = item;
      bestKey = itemKey;
    }
    return best;
  }

  // CPython 3.12 adds floats up in another way than `+` does.
  static bool addsInAnotherWay(PyObject *list) {
    return PY_VERSION_HEX >= 0x030C0000 && PyList_Check(list) && PyList_GET_SIZE(list) > 0 &&
           (PyFloat_Check(PyList_GET_ITEM(list, 0)) || holdsNumbers(list));
  }

  // Whether such a function goes through a list that grows from call to call.
  static bool goesThrough(Interpreter &in, PyObject *list, const char *helper) {
    if (std::string_view(helper) == "sum_of" && addsInAnotherWay(list))
      return false;
    return in.grownList(list, walkedHelper(helper).get()).has_value();
  }

  // What a function of bifront._walked gives.
  static PyRef walked(Interpreter &in, const char *name, std::vector<PyRef> values) {
    CallArguments arguments;
    arguments.positional = std::move(values);
    return in.call(walkedHelper(name).get(), std::move(arguments));
  }

  static Result sorted(Interpreter &in, Args &args) {
    if (args.positional.size() != 1)
      return std::nullopt;
    return in.sorted(in.listOf(at(args, 0)), keywordOf(args, "key"), keywordOf(args, "reverse"));
  }

  // So that the program's own are walked, and what is in a list is not looked into.
  static void asIterator(Interpreter &in, PyRef &iterable) {
    if (isSequence(iterable.get()))
      iterable = in.iterate(iterable.get());
    else if (hasWalkedMethod(iterable.get(), "__iter__") ||
             hasWalkedMethod(iterable.get(), "__next__"))
      iterable = in.listOf(iterable.get());
  }

  // zip, enumerate
  static Result overIterators(Interpreter &in, Args &args) {
    for (PyRef &argument : args.positional)
      asIterator(in, argument);
    return std::nullopt;
  }

  // map, filter, functools.reduce
  static Result overFunction(Interpreter &in, Args &args) {
    if (args.positional.empty())
      return std::nullopt;
    for (size_t i = 1; i < args.positional.size(); ++i)
      asIterator(in, args.positional[i]);
    if (PyRef function = args.positional[0]; makesNumbers(function.get()))
      args.positional[0] = in.wrapCall([&in, function](CallArguments given) {
        return in.call(function.get(), std::move(given));
      });
    else if (function.get() != Py_None)
      args.positional[0] = in.wrapCallable(function.get());
    return std::nullopt;
  }

  // Functions of numbers, which C would ask what they are.
  static bool makesNumbers(PyObject *function) {
    for (PyTypeObject *type : {&PyLong_Type, &PyFloat_Type, &PyBool_Type})
      if (function == reinterpret_cast<PyObject *>(type))
        return true;
    return PyCFunction_Check(function) && attributeText(function, "__module__") == "math";
  }

  static Result reversed(Interpreter &in, Args &args) {
    return args.positional.size() == 1 ? in.callSpecial(at(args, 0), "__reversed__", {})
                                       : std::nullopt;
  }

  static Result variables(Interpreter &in, Args &args) {
    if (args.positional.size() != 1 || PyType_Check(at(args, 0)) || PyModule_Check(at(args, 0)))
      return std::nullopt;
    if (isProxyTensor(at(args, 0)))
      throw CannotInterpret("the `__dict__` of a tensor is looked at");
    PyObject *dict = in.dictOf(at(args, 0));
    return dict ? Result(PyRef::share(dict)) : std::nullopt;
  }

  // What collections.Counter counts with.
  static Result countElements(Interpreter &in, Args &args) {
    if (args.positional.size() != 2 || !PyDict_Check(at(args, 0)))
      return std::nullopt;
    PyRef iterator = in.iterate(at(args, 1)), one = checked(PyLong_FromLong(1));
    while (PyRef item = in.next(iterator.get())) {
      item = in.keyOf(item.get());
      PyRef count = PyRef::share(checkedOrAbsent(PyDict_GetItemWithError(at(args, 0), item.get())));
      in.log_.read(Slot::Kind::DictItem, at(args, 0), item.get(), count.get());
      PyRef more = count ? in.binary(BinaryOp::Add, count.get(), one.get()) : one;
      in.log_.write(Slot::Kind::DictItem, at(args, 0), item.get(), more.get());
    }
    return PyRef::share(Py_None);
  }

  static Result tensorOfData(Interpreter &in, Args &args) { return in.tensorOfData(args); }
  static Result stack(Interpreter &in, Args &args) { return in.stackOrCat(args, true); }
  static Result cat(Interpreter &in, Args &args) { return in.stackOrCat(args, false); }
  static Result equal(Interpreter &in, Args &args) { return in.equalTensors(args); }
  static Result close(Interpreter &in, Args &args) { return in.closeTensors(args); }
  static Result nonzero(Interpreter &in, Args &args) {
    bool isMine = args.positional.size() == 1 && isProxyTensor(at(args, 0));
    PyRef condition = isMine ? in.conditionOf(at(args, 0)) : PyRef();
    return condition ? Result(condition) : std::nullopt;
  }

  // sys.exc_info() where nothing is handled, by the program or by who calls it.
  static Result handledException(Interpreter &in, CallArguments &) {
    PyRef handled = PyRef::steal(PyErr_GetHandledException());
    if (handled && handled.get() != Py_None)
      throw CannotInterpret("asks for an exception that is handled");
    in.log_.readAnswer(walkedHelper("is_nothing_handled").get(), Py_None, Py_True);
    return checked(PyTuple_Pack(3, Py_None, Py_None, Py_None));
  }

  static const std::unordered_map<PyObject *, Handler> &table() {
    static const auto handlers = [] {
      std::unordered_map<PyObject *, Handler> made;
      const std::pair<const char *, Handler> named[] = {
          {"isinstance", isInstance},
          {"issubclass", asIs},
          {"callable", asIs},
          {"id", identity},
          {"len", length},
          {"getattr", getAttribute},
          {"hasattr", hasAttribute},
          {"setattr", setAttribute},
          {"delattr", deleteAttribute},
          {"iter", iterator},
          {"next", next},
          {"type", type},
          {"bool", boolean},
          {"float", real},
          {"int", whole},
          {"str", text},
          {"repr", representation},
          {"ascii", ascii},
          {"format", format},
          {"round", rounded},
          {"list", list},
          {"tuple", tuple},
          {"set", collection},
          {"frozenset", collection},
          {"any", anyTrue},
          {"all", allTrue},
          {"sum", sum},
          {"min", least},
          {"max", greatest},
          {"sorted", sorted},
          {"zip", overIterators},
          {"enumerate", overIterators},
          {"map", overFunction},
          {"filter", overFunction},
          {"reversed", reversed},
          {"vars", variables},
      };
      for (const auto &[name, handler] : named)
        made.emplace(builtinFunction(name), handler);
      PyRef sys = PyRef::steal(PyImport_ImportModule("sys"));
      made.emplace(PyObject_GetAttrString(sys.get(), "exc_info"), handledException);
      PyRef collections = PyRef::steal(PyImport_ImportModule("_collections"));
      made.emplace(PyObject_GetAttrString(collections.get(), "_count_elements"), countElements);
      PyRef functools = PyRef::steal(PyImport_ImportModule("_functools"));
      made.emplace(PyObject_GetAttrString(functools.get(), "reduce"), overFunction);
      PyRef torch = PyRef::steal(PyImport_ImportModule("torch"));
      for (const char *name : {"tensor", "as_tensor"})
        made.emplace(PyObject_GetAttrString(torch.get(), name), tensorOfData);
      made.emplace(PyObject_GetAttrString(torch.get(), "stack"), stack);
      for (const char *name : {"cat", "concat", "concatenate"})
        made.emplace(PyObject_GetAttrString(torch.get(), name), cat);
      made.emplace(PyObject_GetAttrString(torch.get(), "equal"), equal);
      made.emplace(PyObject_GetAttrString(torch.get(), "allclose"), close);
      made.emplace(PyObject_GetAttrString(torch.get(), "is_nonzero"), nonzero);
      return made;
    }();
    return handlers;
  }
};

//===- Methods of containers and objects ---------------------------------------------------===//

namespace {

// A C method with the object that it is of: `d.get`, or `dict.get` and d.
struct MethodCall {
  PyObject *self = nullptr;
  std::string_view name;
  PyRef function; // that takes the object first
};

// The C method of that name, where the class itself has a Python one too: `super().append`.
PyObject *ownMethod(PyTypeObject *type, PyObject *name) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type->tp_mro); ++i) {
    auto *base = reinterpret_cast<PyTypeObject *>(PyTuple_GET_ITEM(type->tp_mro, i));
    PyObject *found = base->tp_dict ? PyDict_GetItemWithError(base->tp_dict, name) : nullptr;
    if (found &&
        (Py_IS_TYPE(found, &PyMethodDescr_Type) || Py_IS_TYPE(found, &PyWrapperDescr_Type)))
      return found;
  }
  return nullptr;
}

std::optional<MethodCall> methodCall(PyObject *callee, CallArguments &arguments) {
  PyTypeObject *type = Py_TYPE(callee);
  if (type == &PyMethodDescr_Type || type == &PyWrapperDescr_Type) {
    if (arguments.positional.empty() ||
        !PyObject_TypeCheck(arguments.positional[0].get(), PyDescr_TYPE(callee)))
      return std::nullopt;
    return MethodCall{arguments.positional[0].get(), PyUnicode_AsUTF8(PyDescr_NAME(callee)),
                      PyRef::share(callee)};
  }
  PyRef self;
  if (PyCFunction_Check(callee) && PyCFunction_GET_SELF(callee))
    self = PyRef::share(PyCFunction_GET_SELF(callee));
  else if (type == &_PyMethodWrapper_Type)
    self = checked(PyObject_GetAttrString(callee, "__self__"));
  if (!self || PyModule_Check(self.get()) || PyType_Check(self.get()))
    return std::nullopt;
  PyRef name = checked(PyObject_GetAttrString(callee, "__name__"));
  PyObject *descriptor = ownMethod(Py_TYPE(self.get()), name.get());
  if (!descriptor)
    return std::nullopt;
  arguments.positional.insert(arguments.positional.begin(), self);
  return MethodCall{self.get(), PyUnicode_AsUTF8(PyDescr_NAME(descriptor)),
                    PyRef::share(descriptor)}; // whose name lives as long
}

// dict, deque and their kin, which take a container or an iterable first.
bool makesContainer(PyObject *type) {
  std::string_view name = reinterpret_cast<PyTypeObject *>(type)->tp_name;
  return isOf(name, {"dict", "collections.deque", "collections.OrderedDict"});
}

// Methods that do the same whatever the container holds, and return nothing.
bool changesBlindly(std::string_view name) {
  return isOf(name, {"append", "extend", "insert", "clear", "add", "discard", "update",
                     "appendleft", "extendleft"});
}

bool changesContainer(std::string_view name) {
  return changesBlindly(name) || isOf(name, {"pop",
                                             "popleft",
                                             "remove",
                                             "sort",
                                             "reverse",
                                             "setdefault",
                                             "popitem",
                                             "rotate",
                                             "move_to_end",
                                             "difference_update",
                                             "intersection_update",
                                             "symmetric_difference_update",
                                             "__setitem__",
                                             "__delitem__",
                                             "__iadd__",
                                             "__imul__",
                                             "__ior__",
                                             "__iand__",
                                             "__isub__",
                                             "__ixor__"});
}

} // namespace

std::optional<PyRef> Interpreter::callKnown(PyObject *callee, CallArguments &arguments) {
  for (const PyRef &argument : arguments.positional)
    refuseChoice(argument.get());
  for (const auto &[name, argument] : arguments.keywords)
    refuseChoice(argument.get());
  const auto &known = Builtins::table();
  if (auto found = known.find(callee); found != known.end())
    return found->second(*this, arguments);
  if (PyType_Check(callee) && makesContainer(callee)) {
    auto *type = reinterpret_cast<PyTypeObject *>(callee);
    bool isGiven = !arguments.positional.empty() && !isMutableContainer(Builtins::at(arguments, 0));
    if (isGiven && PyType_IsSubtype(type, &PyDict_Type))
      arguments.positional[0] = Builtins::pairsOf(*this, Builtins::at(arguments, 0), type);
    return Builtins::collection(*this, arguments);
  }
  if (auto result = callOfCallable(callee, arguments))
    return result;
  if (auto result = mathCall(callee, arguments))
    return result;
  auto method = methodCall(callee, arguments);
  if (!method)
    return std::nullopt;
  if (isMutableContainer(method->self))
    return callOfContainer(method->self, method->name, method->function.get(), arguments);
  if (PyUnicode_CheckExact(method->self) && method->name == "format" && arguments.keywords.empty())
    if (auto text = textOf(method->function.get(), arguments.positional))
      return text;
  if (auto result = callOfObject(method->self, method->name, arguments))
    return result;
  return callNative(method->function.get(), arguments);
}

// `object`'s own ways to attributes, which classes that override them call.
std::optional<PyRef> Interpreter::callOfObject(PyObject *self, std::string_view name,
                                               CallArguments &arguments) {
  size_t count = arguments.positional.size();
  if (isTensor(self))
    return name == "equal"      ? equalTensors(arguments)
           : name == "allclose" ? closeTensors(arguments)
                                : std::nullopt;
  if (PyType_Check(self))
    return std::nullopt;
  if (auto result = callOfContext(self, name, arguments))
    return result;
  if (name == "__setattr__" && count == 3) {
    setGenericAttribute(self, arguments.positional[1].get(), arguments.positional[2].get());
    return PyRef::share(Py_None);
  }
  if (name == "__delattr__" && count == 2) {
    setGenericAttribute(self, arguments.positional[1].get(), nullptr);
    return PyRef::share(Py_None);
  }
  if (name == "__getattribute__" && count == 2) {
    if (PyRef value = genericAttribute(self, arguments.positional[1].get()))
      return value;
    return std::nullopt; // raises
  }
  if (name == "__init__" && count == 1)
    return PyRef::share(Py_None);
  if (name == "send" || name == "throw" || name == "close" || name == "__next__")
    return callDirectlyOn(self, name, arguments);
  return std::nullopt;
}

PyRef Interpreter::callDirectlyOn(PyObject *self, std::string_view name, CallArguments &arguments) {
  if (!log_.isFresh(self) && !callbackOf(self))
    throw UnknownEffects("a generator from outside moves on");
  if (!forks_.empty() && !log_.isFreshSince(forks_.back().mark, self))
    throw CannotInterpret("an iterator from outside of a branch moves on in it");
  arguments.positional.erase(arguments.positional.begin());
  PyRef method = checked(PyObject_GetAttrString(self, std::string(name).c_str()));
  return callDirectly(method.get(), arguments);
}

PyRef Interpreter::callOfContainer(PyObject *self, std::string_view name, PyObject *function,
                                   CallArguments &arguments) {
  auto &positional = arguments.positional;
  checkStacked(self, name, positional);
  if (PyDict_Check(self))
    if (auto result = callOfDict(self, name, positional))
      return *result;
  if (name == "sort") {
    PyRef sortedItems =
        sorted(listOf(self), keywordOf(arguments, "key"), keywordOf(arguments, "reverse"));
    PyRef all = checked(PySlice_New(nullptr, nullptr, nullptr));
    setItem(self, all.get(), sortedItems.get());
    return PyRef::share(Py_None);
  }
  bool finds = PyDict_Check(self) || PyAnySet_Check(self);
  for (size_t i = 1; i < positional.size() && finds; ++i)
    positional[i] = keyOf(positional[i].get());
  if (!changesContainer(name)) {
    log_.readContainer(self);
    bool isView = PyDict_Check(self) && isOf(name, {"keys", "values", "items"});
    return isView ? callDirectly(function, arguments) : callReading(function, arguments);
  }
  // An iterator would be spent when the call is made again.
  if (isOf(name, {"extend", "extendleft", "update", "__iadd__"}) && positional.size() == 2)
    positional[1] = PyDict_Check(self) && PyDict_Check(positional[1].get())
                        ? checked(PyDict_Copy(positional[1].get()))
                    : PyDict_Check(self)
                        ? Builtins::pairsOf(*this, positional[1].get(), Py_TYPE(self))
                        : listOf(positional[1].get());
  if (positional.size() == 2 && PyDict_CheckExact(positional[1].get()))
    log_.noteFresh(positional[1].get());
  if (!changesBlindly(name))
    log_.readContainer(self);
  if (!arguments.keywords.empty() && name == "update" && PyDict_Check(self)) {
    std::vector<std::pair<PyRef, PyRef>> keywords = std::move(arguments.keywords);
    arguments.keywords.clear();
    if (positional.size() > 1)
      callOfContainer(self, name, function, arguments);
    for (const auto &[key, value] : keywords)
      setItem(self, key.get(), value.get());
    return PyRef::share(Py_None);
  }
  std::vector<PyObject *> values;
  for (const PyRef &value : positional)
    values.push_back(value.get());
  PyRef names;
  if (!arguments.keywords.empty())
    names = checked(PyTuple_New(static_cast<Py_ssize_t>(arguments.keywords.size())));
  for (size_t i = 0; i < arguments.keywords.size(); ++i) { // `last=` of an ordered dict
    const auto &[key, value] = arguments.keywords[i];
    if (!isPlain(value.get()))
      throw CannotInterpret("a container is changed with keywords");
    PyTuple_SET_ITEM(names.get(), static_cast<Py_ssize_t>(i), Py_NewRef(key.get()));
    values.push_back(value.get());
  }
  auto mutate = [&] {
    return log_.mutate(self, function, values.data(), positional.size(), names.get());
  };
  if (changesBlindly(name))
    return mutate();
  // `remove` and their kin compare.
  return comparing("a change of a container", self, positional.back().get(), mutate);
}

//===- Sorting -----------------------------------------------------------------------------===//

PyRef Interpreter::callWith(PyObject *callee, PyRef argument) {
  CallArguments arguments;
  arguments.positional.push_back(std::move(argument));
  return call(callee, std::move(arguments));
}

// A new list. Keys are compared natively, but for those that the program orders itself.
PyRef Interpreter::sorted(PyRef items, const PyRef &key, const PyRef &reverse) {
  constexpr Py_ssize_t kMostOrdered = 63; // CPython merges runs of more
  PyRef keys = items;
  if (key && key.get() != Py_None) {
    keys = checked(PyList_New(0));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i)
      checked(PyList_Append(
          keys.get(), callWith(key.get(), PyRef::share(PyList_GET_ITEM(items.get(), i))).get()));
  }
  bool isReversed = reverse && truth(reverse.get());
  bool isOrdered = false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys.get()); ++i)
    isOrdered = isOrdered || hasWalkedMethod(PyList_GET_ITEM(keys.get(), i), "__lt__");
  if (isOrdered && PyList_GET_SIZE(keys.get()) > kMostOrdered)
    throw CannotInterpret("many objects of the program are sorted by their own order");
  // The order of the places, so that equal keys stay in order.
  PyRef order;
  if (isOrdered) {
    CallArguments arguments;
    arguments.positional = {checked(PyList_AsTuple(keys.get())),
                            PyRef::share(isReversed ? Py_True : Py_False)};
    order = call(walkedHelper("sorted_places").get(), std::move(arguments));
  } else {
    order = checked(PyList_New(0));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i)
      checked(PyList_Append(order.get(), checked(PyLong_FromSsize_t(i)).get()));
    PyRef sort = checked(PyObject_GetAttrString(order.get(), "sort"));
    PyRef options = checked(PyDict_New());
    PyRef keyOf = checked(PyObject_GetAttrString(keys.get(), "__getitem__"));
    checked(PyDict_SetItemString(options.get(), "key", keyOf.get()));
    checked(PyDict_SetItemString(options.get(), "reverse", isReversed ? Py_True : Py_False));
    checked(PyObject_Call(sort.get(), checked(PyTuple_New(0)).get(), options.get()));
  }
  checkNotStacked(order.get());
  PyRef result = checked(PyList_New(0));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(order.get()); ++i) {
    PyRef place = PyRef::share(PyList_GET_ITEM(order.get(), i));
    if (isGraphNumber(place.get())) // the program's order is decided in the graph
      place = knownNumber(place.get());
    checked(
        PyList_Append(result.get(), PyList_GET_ITEM(items.get(), PyLong_AsSsize_t(place.get()))));
  }
  log_.noteFresh(result.get());
  return result;
}

} // namespace bifront
