// Arrays and scalars of numpy, which the program computes with beside its tensors.
#pragma once

#include "support/py_ref.h"

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace bifront {

struct CallArguments;

// Of exactly a class of numpy's.
bool isNumpyArray(PyObject *object);
bool isNumpyScalar(PyObject *object);
// An array of bools; null is none.
bool isMask(PyObject *data);
inline bool isNumpyData(PyObject *object) { return isNumpyArray(object) || isNumpyScalar(object); }

// Of such data: an array of objects would call their code. Throws PythonError.
bool holdsObjects(PyObject *data);

// The array that a view is one of, in the end; the array itself where it is none.
PyRef ownerOfMemory(PyObject *array);

// Whether all that this C function does with data of numpy is to return what follows from it.
bool isPureOfNumpy(PyObject *function);
bool isUfuncOfNumpy(PyObject *function);
// Of Python, in the module `numpy`: what it returns may be new to each call.
bool isFunctionOfNumpy(PyObject *function);
// Whether numpy may warn in a call that is given its data.
bool mayWarn(PyObject *function);
// Whether what such a function returns shares no memory with what it is given.
bool makesNewData(PyObject *function);

// How deep lists and tuples may be nested that an opaque call is given.
constexpr int kDeepestSequence = 3;

// Whether one of these arguments may be what it writes to.
bool writesToArgument(PyObject *function, const CallArguments &arguments);

// Where a C function finds the array that it writes to.
struct WrittenOperand {
  size_t position = 0;
  bool isOut = false; // or by the name `out`
  auto operator<=>(const WrittenOperand &) const = default;
};
// Nothing where the function is not known to change that array alone.
std::optional<WrittenOperand> writtenOperand(PyObject *function, const CallArguments &arguments);

// While it lives, what numpy warns of in this thread is dealt with so: "ignore", or "raise". Needs
// the GIL; throws PythonError.
class NumpyErrors {
public:
  explicit NumpyErrors(const char *inPlaceOfWarnings);
  ~NumpyErrors();
  NumpyErrors(const NumpyErrors &) = delete;

private:
  PyRef state_; // null where there is nothing to change
};

// A function of the module `operator`; borrowed.
PyObject *operatorFunction(const char *name);

// What a module has under that name; borrowed, null where nobody has imported the module, too.
PyObject *ofModule(const char *module, const std::string &name);

} // namespace bifront
