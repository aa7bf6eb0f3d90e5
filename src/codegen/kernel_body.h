// What a pointwise kernel computes, as plain data: the body of a bf.pointwise.
#pragma once

#include "codegen/element_op.h"
#include "ir/bf_dialect.h"
#include "runtime/program.h"

#include <string>
#include <vector>

namespace bifront {

// Values are numbered: tensor inputs, then numbers, then ops.
struct KernelBody {
  std::vector<ElementType> inputs;
  std::vector<ElementType> numbers; // I64, F64 or I1
  std::vector<ElementOp> ops;
  struct Output {
    uint32_t value;
    ElementType type;
    bool operator==(const Output &) const = default;
  };
  std::vector<Output> outputs;

  size_t numOperands() const { return inputs.size() + outputs.size(); }
  uint32_t firstOp() const { return inputs.size() + numbers.size(); }
  ElementType typeOf(uint32_t value) const;
  bool operator==(const KernelBody &) const = default;
};

// Ops that no result needs are left out. Throws CodegenError for an op without native code.
KernelBody kernelBodyOf(bf::PointwiseOp op);

// Equal for kernels that are the same code, and only for those.
std::string kernelKey(const KernelBody &body, const std::vector<InnerAccess> &access);

} // namespace bifront
