#include "runtime/tape.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <unordered_set>

namespace bifront {

// To tell memory that lies there twice takes time: only where there may be more than ever.
void Tapes::measure() {
  auto forMemory = [&](auto visit) {
    for (const Tape *tape : tapes)
      for (const at::Tensor &tensor : tape->tensors)
        if (tensor.has_storage())
          visit(tensor.storage());
  };
  uint64_t sum = 0, bytes = 0;
  forMemory([&](const c10::Storage &storage) { sum += storage.nbytes(); });
  if (sum <= peakSum)
    return;
  peakSum = sum;
  std::unordered_set<const void *> counted;
  for (const at::Tensor &input : leftOut)
    if (input.defined() && input.has_storage())
      counted.insert(input.storage().data());
  forMemory([&](const c10::Storage &storage) {
    if (counted.insert(storage.data()).second)
      bytes += storage.nbytes();
  });
  peak = std::max(peak, bytes);
}

void Tapes::forget() {
  if (!tapes.empty())
    measure(); // what goes on to a backward pass of its own
  for (Tape *tape : tapes)
    tape->all = nullptr;
  tapes.clear();
}

// No kernel is meant to see it: it has no dispatch key.
Tape::Tape(Tapes *all)
    : TensorImpl(c10::DispatchKeySet(), caffe2::TypeMeta(), std::nullopt), all(all) {
  if (all)
    all->tapes.push_back(this);
}

Tape::~Tape() {
  if (all)
    std::erase(all->tapes, this);
}

void Tape::noteTurn() {
  if (hasGrown && all)
    all->measure();
  hasGrown = false;
}

at::Tensor Tape::make(Tapes &all) { return at::detail::make_tensor<Tape>(&all); }

at::Tensor Tape::copyOf(const at::Tensor &tape) {
  at::Tensor copy = at::detail::make_tensor<Tape>(nullptr);
  in(copy).tensors = in(tape).tensors;
  in(copy).numbers = in(tape).numbers;
  return copy;
}

bool Tape::is(const c10::IValue &value) {
  return value.isTensor() && dynamic_cast<Tape *>(value.toTensor().unsafeGetTensorImpl());
}

Tape &Tape::in(const at::Tensor &slot) { return static_cast<Tape &>(*slot.unsafeGetTensorImpl()); }

at::Tensor Tape::popTensor() {
  noteTurn();
  TORCH_CHECK(!tensors.empty(), "a tape is at its end");
  at::Tensor last = std::move(tensors.back());
  tensors.pop_back();
  return last;
}

Scalar64 Tape::popNumber() {
  TORCH_CHECK(!numbers.empty(), "a tape is at its end");
  Scalar64 last = numbers.back();
  numbers.pop_back();
  return last;
}

std::vector<at::Tensor> Tape::popRows(std::span<const TensorType> types) {
  noteTurn();
  TORCH_CHECK(tensors.size() % types.size() == 0, "a tape has other pushes on it");
  std::vector<at::Tensor> results;
  for (size_t number = 0; number < types.size(); ++number) {
    std::vector<at::Tensor> parts;
    for (size_t i = number; i < tensors.size(); i += types.size())
      parts.push_back(std::move(tensors[i]));
    results.push_back(rowsOf(parts, types[number]));
  }
  tensors.clear();
  return results;
}

at::Tensor rowsOf(std::span<const at::Tensor> tensors, const TensorType &type) {
  if (!tensors.empty())
    return at::cat(at::TensorList(tensors.data(), tensors.size()));
  std::vector<int64_t> sizes{0};
  for (size_t dim = 1; dim < type.dims.size(); ++dim)
    sizes.push_back(type.dims[dim].world[0]);
  return at::empty(sizes, at::device(type.device).dtype(static_cast<c10::ScalarType>(type.dtype)));
}

} // namespace bifront
