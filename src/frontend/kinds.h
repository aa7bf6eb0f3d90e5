// What kind of Python object the interpreter has before it.
#pragma once

#include "support/py_ref.h"
#include "support/tensor_type.h"

#include <c10/core/SymNodeImpl.h>

#include <optional>
#include <string>
#include <vector>

namespace bifront {

class ProxyImpl;

bool isTensor(PyObject *object);
bool isExactTensor(PyObject *object); // of no subclass
// A tensor of the graph, or within vmap a batch of these.
bool isProxyTensor(PyObject *object);
// A tensor that is one or another, as the run takes one way of a branch or the other.
bool isEitherTensor(PyObject *object);
// Null for other objects.
ProxyImpl *proxyOf(PyObject *value);
bool isOfNoDimension(PyObject *tensor);
// A torch.SymInt, SymFloat or SymBool.
bool isGraphNumber(PyObject *object);
// One of which nothing is known until the graph runs.
bool isUnknownNumber(PyObject *object);
// Of a plain number: not an int beyond 64 bits, which graphs have.
bool fitsGraph(PyObject *number);
// The type of the graph that all of these have, which are no values of the graph yet: of a number
// or a tensor that a run can read; nothing where they have none.
std::optional<ValueType> graphTypeOf(const std::vector<PyRef> &objects);
// What Python would say that it is: int, float or bool.
PyTypeObject *numberType(PyObject *number);
// As PyObject_IsInstance; a number of the graph is of Python's type.
int isInstanceOf(PyObject *object, PyObject *cls);
// What such an object holds; null where it is none of bifront's.
c10::SymNode symbolicNumber(PyObject *number);
// A torch.SymInt, SymFloat or SymBool with this node.
PyRef numberForPython(const c10::SymNode &node);
// Whether `value` is true, where only the run of the graph knows: a torch.SymBool. Null for a value
// whose truth is known, or is not that of one number.
PyRef graphCondition(PyObject *value);
// The plain number that a number of the graph is, which Python has to know: asserted, or what parts
// this path of the function from others. Throws where nobody can tell.
PyRef knownNumber(PyObject *number);
// `not number`, as a number of the graph; a new reference, or null with an exception set.
PyObject *negatedNumber(PyObject *number);
// A list or a tuple, of no subclass.
inline bool isSequence(PyObject *object) {
  return PyList_CheckExact(object) || PyTuple_CheckExact(object);
}
// Or a torch.Size, which is a tuple.
bool isMadeOfItems(PyObject *object);
// Borrowed.
PyObject *builtinFunction(const char *name);
PyRef tupleOf(const std::vector<PyRef> &values);
PyRef keywordDict(const std::vector<std::pair<PyRef, PyRef>> &items);
// What a types.MappingProxyType shows.
PyRef mappingOf(PyObject *proxy);
// A list, dict, set, deque or bytearray, or of a subclass.
bool isMutableContainer(PyObject *object);
// None, numbers, strings, dtypes, types of C, ... : nothing of it can change.
bool isImmutable(PyObject *object);
// Whether native comparison and arithmetic on it run neither the program's code nor the graph's.
bool isPlain(PyObject *object);

// What the type or a base of it has under that name; borrowed, null where there is nothing. Never
// an exception.
PyObject *typeAttribute(PyTypeObject *type, const char *name);
PyObject *typeAttribute(PyTypeObject *type, PyObject *name);
// Objects whose attributes are found by the ordinary rules, `__getattr__` among them.
bool hasOrdinaryLookup(PyTypeObject *type);
// A method of C and the object that it is bound to, as a function and its first argument, which is
// added: those are the same objects whenever they are asked for. Other callables as they are.
PyRef unbound(PyObject *callee, std::vector<PyRef> &positional);
// The text that an attribute of the object is; empty where it has none.
std::string attributeText(PyObject *object, const char *name);
// Of a function or a class, for people: "numpy.linspace".
std::string nameOf(PyObject *callee);
// Whether the special method `name` of the object is a Python function that is to be walked:
// tensors' and graph numbers' own are not.
bool hasWalkedMethod(PyObject *object, const char *name);

} // namespace bifront
