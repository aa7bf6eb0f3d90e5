#include "runtime/small_calls.h"

#include "runtime/plain_memory.h"
#include "support/options.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace bifront {
namespace {

// Above, ATen's vectors win what its setting up has lost.
constexpr int64_t kMostElements = 512;

bool isSmall(const c10::IValue &value, c10::ScalarType type) {
  if (!value.isTensor())
    return false;
  const at::Tensor &tensor = value.toTensor();
  return isPlainMemory(tensor, type) && tensor.is_contiguous() && tensor.numel() > 0 &&
         tensor.numel() <= kMostElements;
}

template <typename Element> Element *dataOf(const at::Tensor &tensor) {
  return tensor.mutable_data_ptr<Element>();
}

// Rows of a tensor that become one element each.
struct Rows {
  int64_t count, size;
  std::vector<int64_t> results; // sizes of what comes out
};

// Nothing where it is not the last dimension.
std::optional<Rows> rowsOf(const at::Tensor &tensor, int64_t dim, bool keepsDim) {
  if (tensor.dim() == 0 || (dim != -1 && dim != tensor.dim() - 1))
    return std::nullopt;
  Rows rows{tensor.numel() / tensor.size(-1), tensor.size(-1), tensor.sizes().vec()};
  rows.results.pop_back();
  if (keepsDim)
    rows.results.push_back(1);
  return rows;
}

// The greatest, or the first that is not a number.
int64_t greatest(const float *from, int64_t size) {
  int64_t best = 0;
  for (int64_t i = 1; i < size && !std::isnan(from[best]); ++i)
    if (from[i] > from[best] || std::isnan(from[i]))
      best = i;
  return best;
}

// logsumexp(self, dim, keepdim)
bool logSumExp(std::vector<c10::IValue> &stack, PackedRight *) {
  if (!isSmall(stack[0], at::kFloat))
    return false;
  const at::Tensor &self = stack[0].toTensor();
  std::vector<int64_t> dims = stack[1].toIntVector();
  auto rows = dims.size() == 1 ? rowsOf(self, dims[0], stack[2].toBool()) : std::nullopt;
  if (!rows)
    return false;
  at::Tensor result = at::detail::empty_cpu(rows->results, at::kFloat);
  const float *from = self.const_data_ptr<float>();
  for (int64_t row = 0; row < rows->count; ++row, from += rows->size) {
    float most = from[greatest(from, rows->size)], sum = 0;
    if (std::isinf(most))
      most = 0;
    for (int64_t i = 0; i < rows->size; ++i)
      sum += std::exp(from[i] - most);
    dataOf<float>(result)[row] = std::log(sum) + most;
  }
  giveResults(stack, std::move(result));
  return true;
}

// all.dim(self, dim, keepdim)
bool allAlong(std::vector<c10::IValue> &stack, PackedRight *) {
  if (!isSmall(stack[0], at::kBool))
    return false;
  const at::Tensor &self = stack[0].toTensor();
  auto rows = rowsOf(self, stack[1].toInt(), stack[2].toBool());
  if (!rows)
    return false;
  at::Tensor result = at::detail::empty_cpu(rows->results, at::kBool);
  const bool *from = self.const_data_ptr<bool>();
  for (int64_t row = 0; row < rows->count; ++row, from += rows->size)
    dataOf<bool>(result)[row] = std::all_of(from, from + rows->size, [](bool is) { return is; });
  giveResults(stack, std::move(result));
  return true;
}

// _is_all_true(self)
bool isAllTrue(std::vector<c10::IValue> &stack, PackedRight *) {
  if (!isSmall(stack[0], at::kBool))
    return false;
  const at::Tensor &self = stack[0].toTensor();
  const bool *from = self.const_data_ptr<bool>();
  at::Tensor result = at::detail::empty_cpu(at::IntArrayRef{}, at::kBool);
  *dataOf<bool>(result) = std::all_of(from, from + self.numel(), [](bool is) { return is; });
  giveResults(stack, std::move(result));
  return true;
}

// What ATen asks of the probabilities of one distribution.
bool isDistribution(const float *from, int64_t size) {
  bool isValid =
      std::all_of(from, from + size, [](float each) { return each >= 0 && !std::isinf(each); });
  return isValid && std::any_of(from, from + size, [](float each) { return each > 0; });
}

// multinomial(self, num_samples, replacement, generator): of one draw, as ATen makes it.
bool multinomial(std::vector<c10::IValue> &stack, PackedRight *) {
  if (!isSmall(stack[0], at::kFloat) || stack[1].toInt() != 1 || !stack[3].isNone())
    return false;
  const at::Tensor &self = stack[0].toTensor();
  auto rows = self.dim() <= 2 ? rowsOf(self, -1, /*keepsDim=*/true) : std::nullopt;
  const float *from = self.const_data_ptr<float>();
  for (int64_t row = 0; rows && row < rows->count; ++row)
    if (!isDistribution(from + row * rows->size, rows->size))
      return false; // raises
  if (!rows)
    return false;
  at::Tensor waits = at::detail::empty_cpu(self.sizes(), at::kFloat);
  waits.exponential_(1);
  auto *wait = dataOf<float>(waits);
  for (int64_t i = 0; i < self.numel(); ++i)
    wait[i] = from[i] / wait[i];
  at::Tensor result = at::detail::empty_cpu(rows->results, at::kLong);
  for (int64_t row = 0; row < rows->count; ++row)
    dataOf<int64_t>(result)[row] = greatest(wait + row * rows->size, rows->size);
  giveResults(stack, std::move(result));
  return true;
}

} // namespace

OwnFunction ownSmallCall(const std::string &schema) {
  if (!options().ownProducts)
    return nullptr;
  return functionNamed(schema, {{"aten::logsumexp", logSumExp},
                                {"aten::all.dim", allAlong},
                                {"aten::_is_all_true", isAllTrue},
                                {"aten::multinomial", multinomial}});
}

} // namespace bifront
