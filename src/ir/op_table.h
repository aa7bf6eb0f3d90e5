// What the compiler knows of each ATen operator beyond its schema: one row of one table.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bifront {

struct Schema;

enum class OpKind : uint8_t {
  Opaque,      // no row: correct, but nothing is known
  Pointwise,   // each element of the result from the same element of the broadcast operands
  Reduction,   // sums, means, norms, softmax: elements meet along dimensions
  View,        // shares memory with its first argument
  Contraction, // matrix products and convolutions
  Random,      // draws from the random stream
  Factory,     // makes a tensor from sizes and numbers
  Data,        // moves elements: gather, scatter, cat, index
  HostOnly,    // gives the host a value, or looks at more than its arguments
  Assert,      // checks a value, may throw
};

struct OpRow {
  OpKind kind = OpKind::Opaque;
  // Tensor arguments that the kernel writes though the schema does not say so, where `writesIf` (a
  // bool argument; null: always) is true.
  std::vector<const char *> hiddenWrites = {};
  const char *writesIf = nullptr;
};

// The row of "aten::add.Tensor": its own, or that of "aten::add". For "aten::add_" that of
// "aten::add".
const OpRow &opRow(std::string_view schemaName);

const char *nameOf(OpKind kind);

} // namespace bifront
