// The `match` statement.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/pointers.h"

namespace bifront {

using namespace syntax;

Completion Interpreter::run(PythonFrame &frame, const Match &stmt) {
  PyRef subject = eval(frame, *stmt.subject);
  for (const MatchCase &alternative : stmt.cases)
    if (matches(frame, *alternative.pattern, subject.get()) &&
        (!alternative.guard || truth(eval(frame, *alternative.guard).get())))
      return run(frame, alternative.body);
  return Completion::Normal;
}

bool Interpreter::matches(PythonFrame &frame, const Pattern &pattern, PyObject *subject) {
  bool looksAtObject = std::holds_alternative<SingletonPattern>(pattern.node) ||
                       std::holds_alternative<SequencePattern>(pattern.node) ||
                       std::holds_alternative<MappingPattern>(pattern.node);
  if (looksAtObject && pointerOf(subject))
    throw CannotInterpret("an object that differs from call to call is matched");
  return std::visit([&](const auto &node) { return matches(frame, node, subject); }, pattern.node);
}

bool Interpreter::matches(PythonFrame &frame, const ValuePatternNode &pattern, PyObject *subject) {
  PyRef value = eval(frame, *pattern.value);
  return truth(compare(CompareOp::Eq, subject, value.get()).get());
}

bool Interpreter::matches(PythonFrame &, const SingletonPattern &pattern, PyObject *subject) {
  return subject == pattern.value.get();
}

bool Interpreter::matches(PythonFrame &frame, const SequencePattern &pattern, PyObject *subject) {
  if (!(Py_TYPE(subject)->tp_flags & Py_TPFLAGS_SEQUENCE))
    return false;
  PyRef items = listOf(subject);
  size_t size = PyList_GET_SIZE(items.get()), star = pattern.patterns.size();
  for (size_t i = 0; i < pattern.patterns.size(); ++i)
    if (std::holds_alternative<StarPattern>(pattern.patterns[i]->node))
      star = i;
  bool starred = star < pattern.patterns.size();
  size_t needed = pattern.patterns.size() - (starred ? 1 : 0);
  if (starred ? size < needed : size != needed)
    return false;
  for (size_t i = 0, from = 0; i < pattern.patterns.size(); ++i) {
    if (i != star) {
      if (!matches(frame, *pattern.patterns[i], PyList_GET_ITEM(items.get(), from++)))
        return false;
      continue;
    }
    PyRef rest = checked(PyList_GetSlice(items.get(), from, from + size - needed));
    log_.noteFresh(rest.get());
    from += size - needed;
    if (const auto &name = std::get<StarPattern>(pattern.patterns[i]->node).name)
      store(frame, *name, std::move(rest));
  }
  return true;
}

bool Interpreter::matches(PythonFrame &, const StarPattern &, PyObject *) {
  throw CannotInterpret("a star pattern stands where none can");
}

bool Interpreter::matches(PythonFrame &frame, const MappingPattern &pattern, PyObject *subject) {
  if (!(Py_TYPE(subject)->tp_flags & Py_TPFLAGS_MAPPING))
    return false;
  if (!PyDict_Check(subject))
    throw CannotInterpret("a mapping that is no dict is matched");
  PyRef rest = pattern.rest ? checked(PyDict_New()) : PyRef();
  if (rest) {
    log_.readContainer(subject);
    log_.noteFresh(rest.get());
    checked(PyDict_Update(rest.get(), subject));
  }
  for (size_t i = 0; i < pattern.keys.size(); ++i) {
    PyRef key = eval(frame, *pattern.keys[i]);
    PyObject *value = checkedOrAbsent(PyDict_GetItemWithError(subject, key.get()));
    PyRef read = found(Slot::Kind::DictItem, subject, key.get(), value);
    if (!read || !matches(frame, *pattern.patterns[i], read.get()))
      return false;
    if (rest)
      checked(PyDict_DelItem(rest.get(), key.get()));
  }
  if (rest)
    store(frame, *pattern.rest, std::move(rest));
  return true;
}

namespace {

// Types that take a positional pattern as the value itself.
bool matchesItself(PyObject *cls) {
  for (PyTypeObject *type :
       {&PyBool_Type, &PyByteArray_Type, &PyBytes_Type, &PyDict_Type, &PyFloat_Type,
        &PyFrozenSet_Type, &PyLong_Type, &PyList_Type, &PySet_Type, &PyUnicode_Type, &PyTuple_Type})
    if (cls == reinterpret_cast<PyObject *>(type))
      return true;
  return false;
}

} // namespace

bool Interpreter::matches(PythonFrame &frame, const ClassPattern &pattern, PyObject *subject) {
  PyRef cls = eval(frame, *pattern.cls);
  if (!PyType_Check(cls.get()))
    raise(PyExc_TypeError, "called match pattern must be a class");
  log_.readTypeOf(subject);
  if (!checked(isInstanceOf(subject, cls.get())))
    return false;
  std::vector<PyRef> names;
  if (!pattern.positional.empty()) {
    if (pattern.positional.size() == 1 && matchesItself(cls.get())) {
      if (!matches(frame, *pattern.positional[0], subject))
        return false;
    } else {
      PyRef order = checked(PyObject_GetAttrString(cls.get(), "__match_args__"));
      log_.readType(reinterpret_cast<PyTypeObject *>(cls.get()));
      if (!PyTuple_Check(order.get()) ||
          PyTuple_GET_SIZE(order.get()) < static_cast<Py_ssize_t>(pattern.positional.size()))
        throw CannotInterpret("a class pattern has more patterns than __match_args__ names");
      for (size_t i = 0; i < pattern.positional.size(); ++i)
        names.push_back(PyRef::share(PyTuple_GET_ITEM(order.get(), i)));
    }
  }
  auto attributeMatches = [&](PyObject *name, const Pattern &wanted) {
    PyRef value = attributeOrAbsent(subject, name);
    return value && matches(frame, wanted, value.get());
  };
  for (size_t i = 0; i < names.size(); ++i)
    if (!attributeMatches(names[i].get(), *pattern.positional[i]))
      return false;
  for (size_t i = 0; i < pattern.names.size(); ++i)
    if (!attributeMatches(pattern.names[i].get(), *pattern.keywords[i]))
      return false;
  return true;
}

bool Interpreter::matches(PythonFrame &frame, const AsPattern &pattern, PyObject *subject) {
  if (pattern.pattern && !matches(frame, *pattern.pattern, subject))
    return false;
  if (pattern.name)
    store(frame, *pattern.name, PyRef::share(subject));
  return true;
}

bool Interpreter::matches(PythonFrame &frame, const OrPattern &pattern, PyObject *subject) {
  for (const PatternPtr &alternative : pattern.patterns)
    if (matches(frame, *alternative, subject))
      return true;
  return false;
}

} // namespace bifront
