// The `match` statement.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/pointers.h"

#include <algorithm>

namespace bifront {

using namespace syntax;

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

bool bindsNames(const PatternPtr &pattern) {
  if (auto *named = std::get_if<AsPattern>(&pattern->node))
    return named->name || bindsNames(named->pattern);
  if (auto *any = std::get_if<OrPattern>(&pattern->node))
    return std::any_of(any->patterns.begin(), any->patterns.end(), bindsNames);
  return !std::holds_alternative<ValuePatternNode>(pattern->node) &&
         !std::holds_alternative<SingletonPattern>(pattern->node);
}

} // namespace

Completion Interpreter::run(PythonFrame &frame, const Match &stmt) {
  PyRef subject = eval(frame, *stmt.subject);
  if (pointerOf(subject.get()))
    return runCases(frame, stmt, subject.get(), 0);
  for (const MatchCase &alternative : stmt.cases)
    if (matches(frame, *alternative.pattern, subject.get()) &&
        (!alternative.guard || truth(eval(frame, *alternative.guard).get())))
      return run(frame, alternative.body);
  return Completion::Normal;
}

//===- Objects that differ from call to call -----------------------------------------------===//

// Whether one fits is a bool of the graph, so that the cases are ways of branches. Names are bound
// on the way that is taken.
Completion Interpreter::runCases(PythonFrame &frame, const Match &stmt, PyObject *subject,
                                 size_t first) {
  if (first == stmt.cases.size())
    return Completion::Normal;
  const MatchCase &alternative = stmt.cases[first];
  PyRef holds = fitsPattern(frame, *alternative.pattern, subject);
  auto then = [&] { return runCase(frame, stmt, subject, first); };
  auto otherwise = [&] { return runCases(frame, stmt, subject, first + 1); };
  if (isGraphNumber(holds.get()))
    if (auto completion = forkStatement(frame, &alternative, holds.get(), then, otherwise))
      return *completion;
  return truth(holds.get()) ? then() : otherwise();
}

Completion Interpreter::runCase(PythonFrame &frame, const Match &stmt, PyObject *subject,
                                size_t index) {
  const MatchCase &alternative = stmt.cases[index];
  bind(frame, *alternative.pattern, subject);
  auto then = [&] { return run(frame, alternative.body); };
  if (!alternative.guard)
    return then();
  PyRef holds = condition(frame, *alternative.guard);
  auto otherwise = [&] { return runCases(frame, stmt, subject, index + 1); };
  if (isGraphNumber(holds.get()))
    if (auto completion =
            forkStatement(frame, alternative.guard.get(), holds.get(), then, otherwise))
      return *completion;
  return truth(holds.get()) ? then() : otherwise();
}

PyRef Interpreter::bothFit(PythonFrame &frame, const void *site, const PyRef &first,
                           const std::function<PyRef()> &rest) {
  if (isGraphNumber(first.get()))
    if (auto both =
            forkValue(frame, site, first.get(), rest, [] { return PyRef::share(Py_False); }))
      return *both;
  return truth(first.get()) ? rest() : PyRef::share(Py_False);
}

PyRef Interpreter::fitsPattern(PythonFrame &frame, const Pattern &pattern, PyObject *subject) {
  if (auto *value = std::get_if<ValuePatternNode>(&pattern.node)) {
    PyRef is = compare(CompareOp::Eq, subject, eval(frame, *value->value).get());
    PyRef number = conditionOf(is.get());
    return number ? number : PyRef::share(truth(is.get()) ? Py_True : Py_False);
  }
  if (auto *constant = std::get_if<SingletonPattern>(&pattern.node))
    return sameObject(subject, constant->value.get());
  if (auto *ofClass = std::get_if<ClassPattern>(&pattern.node))
    return fitsClass(frame, *ofClass, subject);
  if (auto *named = std::get_if<AsPattern>(&pattern.node))
    return named->pattern ? fitsPattern(frame, *named->pattern, subject) : PyRef::share(Py_True);
  if (auto *any = std::get_if<OrPattern>(&pattern.node))
    return fitsAny(frame, *any, subject, 0);
  return PyRef::share(matches(frame, pattern, subject) ? Py_True : Py_False);
}

PyRef Interpreter::fitsAny(PythonFrame &frame, const OrPattern &pattern, PyObject *subject,
                           size_t first) {
  PyRef here = fitsPattern(frame, *pattern.patterns[first], subject);
  if (first + 1 == pattern.patterns.size())
    return here;
  auto rest = [&] { return fitsAny(frame, pattern, subject, first + 1); };
  if (isGraphNumber(here.get()))
    if (auto any = forkValue(
            frame, pattern.patterns[first].get(), here.get(), [] { return PyRef::share(Py_True); },
            rest))
      return *any;
  return truth(here.get()) ? PyRef::share(Py_True) : rest();
}

PyRef Interpreter::fitsClass(PythonFrame &frame, const ClassPattern &pattern, PyObject *subject) {
  PyRef cls = eval(frame, *pattern.cls);
  if (!PyType_Check(cls.get()))
    raise(PyExc_TypeError, "called match pattern must be a class");
  Parts parts = partsOf(pattern, cls.get());
  PyRef is;
  if (pointerOf(subject)) {
    is = pointerIsInstance(subject, cls.get());
  } else {
    is = PyRef::share(isInstance(subject, cls.get()) ? Py_True : Py_False);
  }
  std::function<PyRef(size_t)> from = [&](size_t i) {
    if (i == parts.size())
      return PyRef::share(Py_True);
    const auto &[name, wanted] = parts[i];
    PyRef value = name ? attributeOrAbsent(subject, name.get()) : PyRef::share(subject);
    if (!value)
      return PyRef::share(Py_False);
    return bothFit(frame, wanted, fitsPattern(frame, *wanted, value.get()),
                   [&] { return from(i + 1); });
  };
  return bothFit(frame, &pattern, is, [&] { return from(0); });
}

// Of a subject that fits.
void Interpreter::bind(PythonFrame &frame, const Pattern &pattern, PyObject *subject) {
  if (auto *ofClass = std::get_if<ClassPattern>(&pattern.node)) {
    for (const auto &[name, part] : partsOf(*ofClass, eval(frame, *ofClass->cls).get()))
      bind(frame, *part, name ? attribute(subject, name.get()).get() : subject);
  } else if (auto *named = std::get_if<AsPattern>(&pattern.node)) {
    if (named->pattern)
      bind(frame, *named->pattern, subject);
    if (named->name)
      store(frame, *named->name, PyRef::share(subject));
  } else if (auto *any = std::get_if<OrPattern>(&pattern.node)) {
    if (std::any_of(any->patterns.begin(), any->patterns.end(), bindsNames))
      throw CannotInterpret(
          "one of several patterns binds names of what differs from call to call");
  } else if (!std::holds_alternative<ValuePatternNode>(pattern.node) &&
             !std::holds_alternative<SingletonPattern>(pattern.node)) {
    matches(frame, pattern, subject);
  }
}

//===- All others --------------------------------------------------------------------------===//

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

bool Interpreter::matches(PythonFrame &frame, const ClassPattern &pattern, PyObject *subject) {
  PyRef cls = eval(frame, *pattern.cls);
  if (!PyType_Check(cls.get()))
    raise(PyExc_TypeError, "called match pattern must be a class");
  if (!isInstance(subject, cls.get()))
    return false;
  for (const auto &[name, wanted] : partsOf(pattern, cls.get())) {
    PyRef value = name ? attributeOrAbsent(subject, name.get()) : PyRef::share(subject);
    if (!value || !matches(frame, *wanted, value.get()))
      return false;
  }
  return true;
}

// The attributes that a class pattern names, and what each is to match; null: the value itself.
Interpreter::Parts Interpreter::partsOf(const ClassPattern &pattern, PyObject *cls) {
  Parts parts;
  bool itself = pattern.positional.size() == 1 && matchesItself(cls);
  if (!pattern.positional.empty() && !itself) {
    PyRef order = checked(PyObject_GetAttrString(cls, "__match_args__"));
    log_.readType(reinterpret_cast<PyTypeObject *>(cls));
    if (!PyTuple_Check(order.get()) ||
        PyTuple_GET_SIZE(order.get()) < static_cast<Py_ssize_t>(pattern.positional.size()))
      throw CannotInterpret("a class pattern has more patterns than __match_args__ names");
    for (size_t i = 0; i < pattern.positional.size(); ++i)
      parts.emplace_back(PyRef::share(PyTuple_GET_ITEM(order.get(), i)),
                         pattern.positional[i].get());
  } else if (itself) {
    parts.emplace_back(PyRef(), pattern.positional[0].get());
  }
  for (size_t i = 0; i < pattern.names.size(); ++i)
    parts.emplace_back(pattern.names[i], pattern.keywords[i].get());
  return parts;
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
