#include "frontend/number_arithmetic.h"

#include "frontend/kinds.h"
#include "frontend/python_error.h"

#include "capture/symbolic.h"

#include <string_view>

namespace bifront {

using namespace syntax;

namespace {

SymbolicScalar *scalarOf(PyObject *number) { return SymbolicScalar::of(symbolicNumber(number)); }

bool isNumber(PyObject *object) {
  return isGraphNumber(object) || PyBool_Check(object) || PyFloat_CheckExact(object) ||
         (PyLong_CheckExact(object) && fitsGraph(object));
}

// As a number of the graph that `like` is one of.
c10::SymNode nodeOf(PyObject *number, SymbolicScalar &like) {
  if (isGraphNumber(number))
    return scalarOf(number)->clone();
  return PyFloat_Check(number) ? like.wrap_float(PyFloat_AS_DOUBLE(number))
                               : like.wrap_int(PyLong_AsLongLong(number));
}

struct Operands {
  c10::SymNode left, right;
};

std::optional<Operands> operandsOf(PyObject *left, PyObject *right) {
  PyObject *ofGraph = isGraphNumber(left) ? left : right;
  if (!isGraphNumber(ofGraph) || !isNumber(left) || !isNumber(right))
    return std::nullopt;
  SymbolicScalar &like = *scalarOf(ofGraph);
  return Operands{nodeOf(left, like), nodeOf(right, like)};
}

// An int to a negative power is a float.
c10::SymNode powerOf(const Operands &of) {
  auto exponent = SymbolicScalar::of(of.right)->maybe_as_int();
  bool isFloat = of.left->is_float() || of.right->is_float() || (exponent && *exponent < 0);
  return isFloat ? of.left->sym_float()->pow(of.right->sym_float()) : of.left->pow(of.right);
}

// Borrowed for good.
struct Functions {
  PyObject *magnitude = builtinFunction("abs"), *divide = builtinFunction("divmod");
  PyObject *power = builtinFunction("pow");
  PyObject *isWhole = methodOf(PyFloat_Type, "is_integer");
  PyObject *ofFloat = methodOf(PyFloat_Type, "conjugate");
  PyObject *ofInt = methodOf(PyLong_Type, "conjugate");

  static PyObject *methodOf(PyTypeObject &type, const char *name) {
    return PyDict_GetItemString(type.tp_dict, name);
  }
};

// The sum makes zero of minus zero.
PyRef magnitudeOf(SymbolicScalar &number) {
  c10::SymNode magnitude = number.sym_max(number.neg());
  return numberForPython(number.is_float() ? magnitude->add(number.wrap_float(0)) : magnitude);
}

// Neither the infinities nor NaN leave a rest that is zero.
PyRef isWhole(SymbolicScalar &number) {
  return numberForPython(number.mod(number.wrap_float(1))->eq(number.wrap_float(0)));
}

std::optional<PyRef> quotientAndRest(PyObject *left, PyObject *right) {
  std::optional<Operands> of = operandsOf(left, right);
  if (!of)
    return std::nullopt;
  PyRef quotient = numberForPython(of->left->floordiv(of->right));
  PyRef rest = numberForPython(of->left->mod(of->right));
  return checked(PyTuple_Pack(2, quotient.get(), rest.get()));
}

PyTypeObject *typeOf(PyObject *number) {
  return isGraphNumber(number) ? numberType(number) : Py_TYPE(number);
}

} // namespace

std::optional<PyRef> numberArithmetic(BinaryOp op, PyObject *left, PyObject *right) {
  std::optional<Operands> of = operandsOf(left, right);
  if (!of)
    return std::nullopt;
  switch (op) {
  case BinaryOp::Add: return numberForPython(of->left->add(of->right));
  case BinaryOp::Subtract: return numberForPython(of->left->sub(of->right));
  case BinaryOp::Multiply: return numberForPython(of->left->mul(of->right));
  case BinaryOp::TrueDivide: return numberForPython(of->left->truediv(of->right));
  case BinaryOp::FloorDivide: return numberForPython(of->left->floordiv(of->right));
  case BinaryOp::Remainder: return numberForPython(of->left->mod(of->right));
  case BinaryOp::Power: return numberForPython(powerOf(*of));
  default: return std::nullopt;
  }
}

std::optional<PyRef> numberFunction(PyObject *function, const std::vector<PyRef> &arguments) {
  static const Functions functions;
  if (arguments.size() == 2 && function == functions.divide)
    return quotientAndRest(arguments[0].get(), arguments[1].get());
  if (arguments.size() == 2 && function == functions.power)
    return numberArithmetic(BinaryOp::Power, arguments[0].get(), arguments[1].get());
  if (arguments.size() != 1 || !isGraphNumber(arguments[0].get()))
    return std::nullopt;
  PyObject *number = arguments[0].get();
  bool isFloat = numberType(number) == &PyFloat_Type, isInt = numberType(number) == &PyLong_Type;
  if (function == functions.magnitude && (isFloat || isInt))
    return magnitudeOf(*scalarOf(number));
  if (function == functions.isWhole && isFloat)
    return isWhole(*scalarOf(number));
  bool isItself =
      (function == functions.ofFloat && isFloat) || (function == functions.ofInt && isInt);
  return isItself ? std::optional(PyRef::share(number)) : std::nullopt;
}

std::optional<PyRef> extremeOfNumbers(PyObject *one, PyObject *other, bool isLeast) {
  auto isUnknown = [](PyObject *number) {
    return isGraphNumber(number) && !scalarOf(number)->isKnown();
  };
  PyTypeObject *type = typeOf(one);
  bool isOfOneKind = (type == &PyFloat_Type || type == &PyLong_Type) && typeOf(other) == type;
  std::optional<Operands> of = isOfOneKind ? operandsOf(one, other) : std::nullopt;
  if (!of || (!isUnknown(one) && !isUnknown(other)))
    return std::nullopt;
  return numberForPython(isLeast ? of->left->sym_min(of->right) : of->left->sym_max(of->right));
}

PyRef attributeOfNumber(PyObject *number, PyObject *name) {
  PyTypeObject *type = numberType(number);
  bool isInt = type == &PyLong_Type, isBool = type == &PyBool_Type;
  std::string_view text = PyUnicode_AsUTF8(name);
  if (text == "__class__")
    return PyRef::share(reinterpret_cast<PyObject *>(type));
  if (!isBool && (text == "real" || (isInt && text == "numerator")))
    return PyRef::share(number);
  if (!isBool && text == "imag")
    return checked(isInt ? PyLong_FromLong(0) : PyFloat_FromDouble(0));
  if (isInt && text == "denominator")
    return checked(PyLong_FromLong(1));
  // What C could not do with ints and bools it does with what they are.
  bool isKnown = type != &PyFloat_Type || text == "is_integer" || text == "conjugate";
  PyObject *method = isKnown && !text.starts_with("__") ? typeAttribute(type, name) : nullptr;
  bool isMethod = method && Py_IS_TYPE(method, &PyMethodDescr_Type);
  return isMethod ? checked(PyMethod_New(method, number)) : PyRef();
}

} // namespace bifront
