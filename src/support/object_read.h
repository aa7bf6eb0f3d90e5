// What a graph reads of Python objects, as plain data. An object is the address of one that
// somebody keeps alive.
#pragma once

#include "support/tensor_type.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace bifront {

using ObjectAddress = int64_t;

constexpr size_t kMostObjectOperands = 8;

// The ops of the same names, where they are described (ir/bf_ops.td). Operands are in the op's
// order.
struct ObjectRead {
  enum class Kind : uint8_t {
    Attribute,
    Item,
    HasItem,
    ItemUnder, // an object as the key
    HasItemUnder,
    Length,
    Unbox,
    IsMethod,
    IsClass,
    IsEqual,
  } kind = Kind::Attribute;
  std::string name = {}; // of the attribute
  ValueType type = {};   // of the result
};

} // namespace bifront
