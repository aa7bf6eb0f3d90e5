#include "speculate/choices.h"

#include "support/plain_constant.h"

namespace bifront {

bool isChoice(PyObject *value) {
  return isPlainConstant(value) || PyFunction_Check(value) || PyCFunction_Check(value) ||
         PyType_Check(value);
}

std::optional<int64_t> Choices::find(PyObject *value) const {
  for (size_t i = 0; i < values_.size(); ++i)
    if (sameValue(values_[i].get(), value))
      return static_cast<int64_t>(i);
  return std::nullopt;
}

int64_t Choices::numberOf(PyObject *value) {
  if (auto known = find(value))
    return *known;
  values_.push_back(PyRef::share(value));
  return static_cast<int64_t>(values_.size()) - 1;
}

int Choices::traverse(visitproc visit, void *arg) const {
  for (const PyRef &value : values_)
    Py_VISIT(value.get());
  return 0;
}

} // namespace bifront
