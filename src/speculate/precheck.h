// What must hold of each input tensor before a graph may run.
#pragma once

#include "support/tensor_type.h"

#include <ATen/core/Tensor.h>
#include <c10/core/DispatchKeySet.h>

#include <optional>
#include <vector>

namespace bifront {

// Strided, dense, on the CPU, not a subclass's wrapper: what capture and the executor understand.
bool isOrdinaryTensor(const at::Tensor &tensor);

class TensorPrecheck {
public:
  // `dynamic[d]`: dimension d may have any size of at least two.
  TensorPrecheck(const at::Tensor &tensor, const std::vector<bool> &dynamic);
  bool holds(const at::Tensor &tensor) const;
  // How a tensor that does not hold differs: in the sizes of these dimensions, which could be
  // dynamic, and in nothing else if `wholly`. Nothing where relaxing sizes does not help.
  struct Sizes {
    std::vector<int64_t> dimensions;
    bool wholly = true;
  };
  std::optional<Sizes> differsInSizes(const at::Tensor &tensor) const;

private:
  bool sameApartFromSizes(const at::Tensor &tensor) const;
  bool sameLayout(const at::Tensor &tensor) const;

  c10::DispatchKeySet keys_;
  at::ScalarType dtype_;
  bool requiresGrad_, leaf_, contiguous_, hooked_;
  std::vector<int64_t> sizes_;   // -1: dynamic
  std::vector<int64_t> strides_; // compared when the tensor was not contiguous
  std::vector<int64_t> order_;   // dimensions from the innermost out
};

} // namespace bifront
