#include "capture/proxy.h"

#include "capture/capture_error.h"
#include "capture/symbolic.h"

#include <typeinfo>

namespace bifront {
namespace {

c10::DispatchKeySet keysOf(c10::Device device) {
  return c10::DispatchKeySet(c10::computeDispatchKey(std::nullopt, std::nullopt, device));
}

} // namespace

ProxyImpl::Shape ProxyImpl::Shape::fixed(Extent extent, c10::Device device) {
  Shape shape;
  shape.world[0] = std::move(extent);
  shape.device = device;
  return shape;
}

ProxyImpl::Shape ProxyImpl::Shape::of(Extent first, Extent second, c10::Device device) {
  if (first.dim() != second.dim() || first.dtype != second.dtype)
    throw CaptureError("a tensor has another rank or dtype for other sizes");
  Shape shape = fixed(std::move(first), device);
  shape.dynamic = shape.world[0].sizes != second.sizes || shape.world[0].strides != second.strides;
  if (shape.dynamic)
    shape.world[1] = std::move(second);
  return shape;
}

// What a graph value's strides are is not known before it runs; these are eager's, or the usual
// ones.
ProxyImpl::Shape ProxyImpl::Shape::of(const TensorType &type) {
  Dims sizes[2];
  for (const Dim &dim : type.dims)
    for (int world : {0, 1})
      sizes[world].push_back(dim.world[world]);
  at::ScalarType dtype = torchDType(type.dtype);
  return of(Extent::inOrder(sizes[0], dtype, type.order),
            Extent::inOrder(sizes[1], dtype, type.order), c10::Device(type.device));
}

TensorType ProxyImpl::Shape::type() const {
  TensorType type;
  type.dtype = graphDType(world[0].dtype);
  for (int64_t d = 0; d < world[0].dim(); ++d)
    type.dims.push_back({{in(0).sizes[d], in(1).sizes[d]}});
  type.device = device.str();
  type.order = world[0].order();
  return type;
}

ProxyImpl::ProxyImpl(std::shared_ptr<Recording> recording, ValueId value, Shape shape,
                     bool fromInput)
    : TensorImpl(keysOf(shape.device), c10::scalarTypeToTypeMeta(shape.world[0].dtype),
                 shape.device),
      recording_(std::move(recording)), value_(value), shape_(std::move(shape)) {
  set_storage_access_should_throw();
  showShape(fromInput);
  ++recording_->liveProxies;
}

ProxyImpl::~ProxyImpl() { --recording_->liveProxies; }

ProxyImpl *ProxyImpl::of(const at::Tensor &tensor) {
  c10::TensorImpl *impl = tensor.unsafeGetTensorImpl();
  return typeid(*impl) == typeid(ProxyImpl) ? static_cast<ProxyImpl *>(impl) : nullptr;
}

at::Tensor ProxyImpl::make(std::shared_ptr<Recording> recording, ValueId value, Shape shape,
                           bool fromInput) {
  return at::detail::make_tensor<ProxyImpl>(std::move(recording), value, std::move(shape),
                                            fromInput);
}

const at::Tensor &ProxyImpl::meta(int world) {
  at::Tensor &meta = meta_[shape_.dynamic ? world : 0];
  if (!meta.defined())
    meta = shape_.in(world).onMeta();
  return meta;
}

c10::IntArrayRef ProxyImpl::known(c10::SymIntArrayRef sizes, std::vector<int64_t> &ints) {
  ints.clear();
  for (const c10::SymInt &size : sizes)
    ints.push_back(size.guard_int(__FILE__, __LINE__));
  return ints;
}

c10::SymBool ProxyImpl::sym_is_contiguous_custom(at::MemoryFormat format) const {
  const Extent &first = shape_.in(0), &second = shape_.in(1);
  bool isPlain = format == at::MemoryFormat::Contiguous && shape_.dynamic;
  if (!isPlain || first.isContiguous() || second.isContiguous())
    return TensorImpl::sym_is_contiguous_custom(format);
  Extent withOnes = first;
  for (int64_t d = 0; d < first.dim(); ++d)
    if (first.sizes[d] != second.sizes[d])
      withOnes.sizes[d] = 1;
  if (first.strides != second.strides || withOnes.isContiguous())
    for (const c10::SymInt &size : sym_sizes())
      if (auto symbol = SymbolicScalar::of(size))
        symbol->assumeMany();
  return false;
}

// What lies row by row is like no format with channels last, whichever of its sizes is one.
bool ProxyImpl::is_strides_like_custom(at::MemoryFormat format) const {
  if (shape_.dynamic && shape_.isContiguous())
    return false;
  return TensorImpl::is_strides_like_custom(format);
}

void ProxyImpl::showShape(bool fromInput) {
  const Extent &first = shape_.in(0), &second = shape_.in(1);
  if (!shape_.dynamic) {
    set_sizes_and_strides(first.sizes, first.strides);
    return;
  }
  using Origin = Recording::SizeOrigin;
  Origin origin = fromInput ? Origin::Input : shape_.byValues ? Origin::Values : Origin::Sizes;
  c10::SmallVector<c10::SymInt, 5> sizes, strides;
  for (int64_t d = 0; d < first.dim(); ++d)
    sizes.push_back(recording_->size(first.sizes[d], second.sizes[d], value_, d, origin));
  for (int64_t d = 0; d < first.dim(); ++d)
    strides.push_back(recording_->stride(first.strides[d], second.strides[d], sizes));
  set_sizes_and_strides(sizes, strides, c10::SymInt(0));
}

void ProxyImpl::become(ValueId value, Shape shape) {
  value_ = value;
  shape_ = std::move(shape);
  meta_[0] = meta_[1] = at::Tensor();
  showShape(false);
}

template <typename Version>
c10::intrusive_ptr<c10::TensorImpl> ProxyImpl::copy(Version &&version, bool allowChange) const {
  auto made = c10::make_intrusive<ProxyImpl>(recording_, value_, shape_, false);
  copy_tensor_metadata(this, made.get(), std::forward<Version>(version), allowChange);
  return made;
}

c10::intrusive_ptr<c10::TensorImpl>
ProxyImpl::shallow_copy_and_detach(const c10::VariableVersion &version, bool allowChange) const {
  return copy(version, allowChange);
}

c10::intrusive_ptr<c10::TensorImpl>
ProxyImpl::shallow_copy_and_detach(c10::VariableVersion &&version, bool allowChange) const {
  return copy(std::move(version), allowChange);
}

void ProxyImpl::shallow_copy_from(const c10::intrusive_ptr<c10::TensorImpl> &source) {
  auto *proxy = dynamic_cast<ProxyImpl *>(source.get());
  if (!proxy)
    recording_->fail("a captured tensor's `.data` is set to a tensor from outside");
  TensorImpl::shallow_copy_from(source);
  value_ = proxy->value_;
  shape_ = proxy->shape_;
  meta_[0] = proxy->meta_[0], meta_[1] = proxy->meta_[1];
}

} // namespace bifront
