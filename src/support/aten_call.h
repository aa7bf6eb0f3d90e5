// One call of an ATen operator: its schema's name and, for each argument, a constant or an operand.
// The graph's `bf.aten`, the native program and the reference interpreter all describe calls so.
#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace bifront {

struct AtenArg {
  struct None {
    bool operator==(const None &) const = default;
  };
  // The call's next operand; operands are numbered in the order in which they occur.
  struct Operand {
    uint32_t index;
    bool operator==(const Operand &) const = default;
  };
  // Dtypes, layouts and memory formats are ints, as in ATen's schemas; a device is a string.
  using List = std::vector<AtenArg>;
  std::variant<None, Operand, bool, int64_t, double, std::complex<double>, std::string, List> value;
  bool operator==(const AtenArg &) const = default;
};

struct AtenCall {
  std::string schema; // "aten::add.Tensor", "aten::relu"
  std::vector<AtenArg> args;
  // The operands' numbers of the arguments that the schema writes, when the call is functional: the
  // call then works on copies and returns the new contents as results behind its own, in this
  // order.
  std::vector<uint32_t> written;
  bool operator==(const AtenCall &) const = default;
};

} // namespace bifront
