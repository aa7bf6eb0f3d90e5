#include "runtime/chosen_rows.h"

#include "runtime/parallel.h"
#include "support/options.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace bifront {
namespace {

// The numbers of rows, if there are no other indices.
at::Tensor onlyNumbers(const c10::IValue &indices) {
  c10::ArrayRef<c10::IValue> list = indices.toListRef();
  bool isAlone =
      !list.empty() && list[0].isTensor() && std::none_of(list.begin() + 1, list.end(), isThere);
  return isAlone ? list[0].toTensor() : at::Tensor();
}

// index(self, indices)
bool index(std::vector<c10::IValue> &stack, PackedRight *) {
  constexpr int64_t kGrain = 1 << 16; // bytes for a thread
  const at::Tensor &from = stack[0].toTensor();
  at::Tensor numbers = onlyNumbers(stack[1]);
  if (!isPlainMemory(from, from.scalar_type()) || from.is_quantized() || from.dim() == 0 ||
      !liesInOrder(from) || !isPlainMemory(numbers, at::kLong) || !liesInOrder(numbers))
    return false;
  int64_t count = numbers.numel(), rows = from.size(0);
  const int64_t *chosen = numbers.const_data_ptr<int64_t>();
  // Others count from the end, or raise.
  if (!std::all_of(chosen, chosen + count, [&](int64_t row) { return row >= 0 && row < rows; }))
    return false;
  std::vector<int64_t> sizes(numbers.sizes().begin(), numbers.sizes().end());
  sizes.insert(sizes.end(), from.sizes().begin() + 1, from.sizes().end());
  at::Tensor result = at::empty(sizes, from.options());
  size_t size = from.nbytes() / static_cast<size_t>(rows);
  const char *source = static_cast<const char *>(from.const_data_ptr());
  char *to = static_cast<char *>(result.mutable_data_ptr());
  auto copy = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(to + static_cast<size_t>(i) * size,
                  source + static_cast<size_t>(chosen[i]) * size, size);
  };
  parallelFor(count, std::max<int64_t>(1, kGrain / static_cast<int64_t>(size)), copy);
  giveResults(stack, std::move(result));
  return true;
}

} // namespace

OwnFunction ownRows(const std::string &schema) {
  return options().ownProducts ? functionNamed(schema, {{"aten::index.Tensor", index}}) : nullptr;
}

} // namespace bifront
