#include "capture/shape_rules.h"

#include <unordered_map>

namespace bifront {
namespace {

// (self); a row for each element, columns apart.
bool nonzero(RuleCall &call) {
  const Extent *self = call.tensor(0);
  call.returns(Extent::inOrder({call.byValues(), self->dim()}, at::kLong, {1, 0}));
  return true;
}

// (self, mask)
bool maskedSelect(RuleCall &call) {
  call.returns(Extent::contiguous({call.byValues()}, call.tensor(0)->dtype));
  return true;
}

// (self, sorted, inverse, counts) of all elements; what is not asked for is empty.
bool unique(RuleCall &call) {
  const Extent *self = call.tensor(0);
  bool hasCounts = call.size() > 3;
  // Counts come with the inverse.
  bool inverse = call.flag(2) || (hasCounts && call.flag(3));
  call.returns(Extent::contiguous({call.byValues()}, self->dtype));
  call.returns(Extent::contiguous(inverse ? self->sizes : Dims{0}, at::kLong));
  if (hasCounts)
    call.returns(Extent::contiguous(call.flag(3) ? Dims{call.byValues()} : Dims{0}, at::kLong));
  return true;
}

// (self, inverse, counts, dim)
bool uniqueConsecutive(RuleCall &call) {
  const Extent *self = call.tensor(0);
  Dims sizes{call.byValues()};
  Dims inverse = self->sizes;
  if (!call.isNone(3)) {
    int64_t dim = call.integer(3) + (call.integer(3) < 0 ? self->dim() : 0);
    if (dim < 0 || dim >= self->dim())
      return false;
    sizes = self->sizes;
    inverse = {sizes[dim]};
    sizes[dim] = call.byValues();
  }
  call.returns(Extent::contiguous(sizes, self->dtype));
  call.returns(Extent::contiguous(call.flag(1) ? inverse : Dims{0}, at::kLong));
  call.returns(Extent::contiguous(call.flag(2) ? Dims{call.byValues()} : Dims{0}, at::kLong));
  return true;
}

// (repeats, output_size)
bool repeatInterleave(RuleCall &call) {
  int64_t size = call.isNone(1) ? call.byValues() : call.integer(1);
  call.returns(Extent::contiguous({size}, call.tensor(0)->dtype));
  return true;
}

// (self, weights, minlength)
bool bincount(RuleCall &call) {
  const Extent *weights = call.tensor(1);
  at::ScalarType dtype = !weights                       ? at::kLong
                         : weights->dtype == at::kFloat ? at::kFloat
                                                        : at::kDouble;
  call.returns(Extent::contiguous({call.byValues()}, dtype));
  return true;
}

// (log_probs, targets, ...): the losses, and what the backward reads, which the longest target
// decides.
bool ctcLoss(RuleCall &call) {
  const Extent *self = call.tensor(0);
  if (self->dim() != 3)
    return false;
  int64_t batch = self->sizes[1];
  call.returns(Extent::contiguous({batch}, self->dtype));
  call.returns(Extent::contiguous({batch, self->sizes[0], call.byValues()}, self->dtype));
  return true;
}

} // namespace

ShapeRule valueShapeRule(std::string_view name) {
  static const std::unordered_map<std::string_view, ShapeRule> table = {
      {"aten::nonzero", nonzero},
      {"aten::masked_select", maskedSelect},
      {"aten::_unique2", unique},
      {"aten::_unique", unique},
      {"aten::unique_consecutive", uniqueConsecutive},
      {"aten::repeat_interleave.Tensor", repeatInterleave},
      {"aten::bincount", bincount},
      {"aten::_ctc_loss.Tensor", ctcLoss},
  };
  auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

} // namespace bifront
