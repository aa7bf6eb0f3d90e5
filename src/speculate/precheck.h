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

// What the program has put on it (`tensor.name = value`).
bool hasAttributes(PyObject *tensor);

class TensorPrecheck {
public:
  enum class Size : uint8_t { Same, AtLeastTwo, Any };
  // What the size of each dimension must be; all the same where there is no more said.
  TensorPrecheck(const at::Tensor &tensor, std::vector<Size> checks);
  bool holds(const at::Tensor &tensor) const;
  // How a tensor that does not hold differs: in the sizes of these dimensions, which could be
  // dynamic. Nothing where relaxing sizes does not help.
  struct Difference {
    int64_t dimension;
    bool isSmall; // one of the two sizes is 0 or 1
  };
  std::optional<std::vector<Difference>> differsInSizes(const at::Tensor &tensor) const;

private:
  bool sameApartFromSizes(const at::Tensor &tensor) const;
  bool sameLayout(const at::Tensor &tensor) const;
  bool fits(size_t dimension, int64_t size) const;

  c10::DispatchKeySet keys_;
  at::ScalarType dtype_;
  bool requiresGrad_, leaf_, contiguous_, hooked_;
  std::vector<Size> checks_;     // by dimension
  std::vector<int64_t> sizes_;   // where they must be the same
  std::vector<int64_t> strides_; // compared when the tensor was not contiguous
  std::vector<int64_t> order_;   // dimensions from the innermost out
};

} // namespace bifront
