// Tensors of the graph as PyTorch sees them during capture: a shape, a dtype, a device and an
// autograd history, but no memory.
#pragma once

#include "capture/extent.h"
#include "capture/recording.h"

#include <ATen/core/Tensor.h>
#include <c10/core/TensorImpl.h>

#include <vector>

namespace bifront {

class ProxyImpl final : public c10::TensorImpl {
public:
  struct Shape {
    Extent world[2]; // the second only where the shape is dynamic
    bool dynamic = false;
    bool byValues = false; // a size may depend on a tensor's values
    c10::Device device = c10::Device(c10::kCPU);

    const Extent &in(int which) const { return world[dynamic ? which : 0]; }
    bool isContiguous() const { return in(0).isContiguous() && in(1).isContiguous(); }
    static Shape fixed(Extent extent, c10::Device device);
    static Shape of(Extent first, Extent second, c10::Device device);
    static Shape of(const TensorType &type);
    TensorType type() const;
  };

  ProxyImpl(std::shared_ptr<Recording> recording, ValueId value, Shape shape, bool fromInput);
  ~ProxyImpl() override;

  // Null unless `tensor` is a proxy.
  static ProxyImpl *of(const at::Tensor &tensor);
  static at::Tensor make(std::shared_ptr<Recording> recording, ValueId value, Shape shape,
                         bool fromInput = false);

  ValueId value() const { return value_; }
  const Shape &shape() const { return shape_; }
  const std::shared_ptr<Recording> &recording() const { return recording_; }
  // A meta tensor of this shape; made when a meta kernel first wants it.
  const at::Tensor &meta(int world);
  // An in-place op that changed the shape: `value` is the tensor's new value, `shape` its shape.
  void become(ValueId value, Shape shape);

  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(const c10::VariableVersion &version,
                                                              bool allowChange) const override;
  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(c10::VariableVersion &&version,
                                                              bool allowChange) const override;
  void shallow_copy_from(const c10::intrusive_ptr<c10::TensorImpl> &source) override;

protected:
  // What C++ asks for that knows of no dynamic sizes: PyTorch would ask a mode of Python.
  c10::IntArrayRef sizes_custom() const override { return known(sym_sizes(), knownSizes_); }
  c10::IntArrayRef strides_custom() const override { return known(sym_strides(), knownStrides_); }
  int64_t numel_custom() const override { return sym_numel().guard_int(__FILE__, __LINE__); }
  // Whether PyTorch copies or gives the same memory. What has one row lies in many ways at once.
  c10::SymBool sym_is_contiguous_custom(at::MemoryFormat format) const override;

  // As memory formats are told from strides.
  bool is_strides_like_custom(at::MemoryFormat format) const override;

private:
  static c10::IntArrayRef known(c10::SymIntArrayRef sizes, std::vector<int64_t> &ints);
  template <typename Version>
  c10::intrusive_ptr<c10::TensorImpl> copy(Version &&version, bool allowChange) const;
  void showShape(bool fromInput);
  // What PyTorch says when somebody looks for the memory.
  const char *tensorimpl_type_name() const override {
    return "a tensor of a captured function, which has no memory";
  }

  std::shared_ptr<Recording> recording_;
  ValueId value_;
  Shape shape_;
  at::Tensor meta_[2];
  mutable std::vector<int64_t> knownSizes_, knownStrides_;
};

} // namespace bifront
