// What an operator of ATen is in the executor's own way, and what such functions ask of their
// arguments.
#pragma once

#include "runtime/plain_memory.h"

#include <ATen/core/ivalue.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace bifront {

class PackedRight;

// Does what the operator does to the stack of its arguments, or leaves the stack as it is and
// returns false: for other kinds of tensors, where ATen is as fast, and for whatever raises.
using OwnFunction = bool (*)(std::vector<c10::IValue> &stack, PackedRight *packed);

// Null where the operator is none of them.
inline OwnFunction
functionNamed(const std::string &schema,
              std::initializer_list<std::pair<const char *, OwnFunction>> functions) {
  for (const auto &[name, function] : functions)
    if (schema == name)
      return function;
  return nullptr;
}

// Whether the machine has AVX-512, and the user wants what is made with it.
bool hasOwnVectors();

template <typename... Results>
void giveResults(std::vector<c10::IValue> &stack, Results &&...results) {
  stack.clear();
  (stack.emplace_back(std::forward<Results>(results)), ...);
}

inline bool isThere(const c10::IValue &value) {
  return value.isTensor() && value.toTensor().defined();
}

// Plain floats in order, of so many dimensions.
inline bool areFloatsInOrder(const c10::IValue &value, int64_t dims) {
  return isThere(value) && isPlainMemory(value.toTensor(), at::kFloat) &&
         value.toTensor().dim() == dims && liesInOrder(value.toTensor());
}

// Null where there are none.
inline const float *valuesOf(const c10::IValue &value) {
  return isThere(value) ? value.toTensor().const_data_ptr<float>() : nullptr;
}
inline float *placeOf(const c10::IValue &value) {
  return isThere(value) ? value.toTensor().mutable_data_ptr<float>() : nullptr;
}

} // namespace bifront
