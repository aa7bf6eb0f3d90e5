#include "capture/recording.h"

#include "capture/python_values.h"

#include "capture/capture_error.h"
#include "capture/proxy.h"
#include "capture/symbolic.h"

#include <algorithm>

namespace bifront {

GraphRecorder &Recording::graph() {
  if (!graph_)
    throw CaptureError("a value of a captured function was used after the capture");
  return *graph_;
}

void Recording::close() {
  graph_ = nullptr;
  sizes_.clear(); // the nodes own this recording
  forgetMasks();
  expressions.clear();
  asserted_.clear();
}

//===- Scopes ------------------------------------------------------------------------------===//

Recording::Scope::Scope(Recording &recording)
    : recording_(recording), expressions_(recording.expressions), sizes_(recording.sizes_),
      asserted_(std::move(recording.asserted_)), absent_(recording.absent_),
      failure_(recording.failure_), first_(recording.scopeStart_) {
  recording.asserted_.clear();
  recording.forgetMasks(); // a loop may have changed one by its next iteration
  recording.scopeStart_ = recording.graph().numValues();
  ++recording.scopes_;
}

Recording::Scope::~Scope() {
  for (const c10::SymNode &number : recording_.asserted_)
    SymbolicScalar::of(number)->forgetAssertion();
  recording_.asserted_ = std::move(asserted_);
  recording_.forgetMasks();
  recording_.expressions = std::move(expressions_);
  recording_.sizes_ = std::move(sizes_);
  recording_.absent_ = absent_;
  recording_.failure_ = std::move(failure_);
  --recording_.scopes_;
  recording_.scopeStart_ = first_;
}

bool Recording::isOfScope(const at::Tensor &tensor) const {
  ProxyImpl *proxy = ProxyImpl::of(tensor.is_view() ? at::Tensor(tensor._base()) : tensor);
  return proxy && proxy->value() >= scopeStart_;
}

void Recording::refuseInScope(const char *what) {
  if (isConditional())
    fail(std::string(what) + " in a branch or a loop of the graph");
}

//===- Failures ----------------------------------------------------------------------------===//

void Recording::noteFailure(const std::string &message) {
  if (!failure_)
    failure_ = message;
}

void Recording::fail(const std::string &message) {
  noteFailure(message);
  throw CaptureError(message);
}

c10::SymInt Recording::size(int64_t first, int64_t second, ValueId tensor, int64_t dim,
                            SizeOrigin origin) {
  if (first == second)
    return first;
  auto found = sizes_.find({first, second});
  if (found != sizes_.end())
    return c10::SymInt(found->second);
  auto node = SymbolicScalar::ofDim(shared_from_this(), first, second, tensor, dim, origin);
  if (!dry_)
    sizes_.emplace(std::pair(first, second), node);
  return c10::SymInt(node);
}

std::optional<c10::SymInt> Recording::knownSize(int64_t first, int64_t second) const {
  auto found = sizes_.find({first, second});
  return found == sizes_.end() ? std::nullopt : std::optional(c10::SymInt(found->second));
}

// Multiples of what sizes are commonly divided by, and drawn at random: that an expression of one
// size has the value of another in both worlds would be a chance of one in ten million.
Dim Recording::freeSizeOf(uint64_t number) {
  constexpr int64_t kDivisible = 240, kLeast = 50, kRange = 4000;
  auto draw = [](uint64_t seed) { // splitmix64
    seed = (seed + 1) * 0x9e3779b97f4a7c15;
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111eb;
    return seed ^ (seed >> 31);
  };
  auto drawSize = [&](uint64_t seed) {
    return kDivisible * (kLeast + static_cast<int64_t>(draw(seed) % kRange));
  };
  return {{drawSize(2 * number), drawSize(2 * number + 1)}};
}

Dim Recording::freeSize() {
  while (true) {
    Dim size = freeSizeOf(numFreeSizes_++);
    if (size.isDynamic() && !sizes_.contains({size.world[0], size.world[1]}))
      return size;
  }
}

void Recording::freeInputSize(const Dim &size, ValueId tensor, int64_t dim) {
  ++numFreeSizes_;
  this->size(size.world[0], size.world[1], tensor, dim, SizeOrigin::Values);
}

bool Recording::isOfValues(const Dim &size) const {
  auto known = sizes_.find({size.world[0], size.world[1]});
  return known != sizes_.end() && !SymbolicScalar::of(known->second)->isKnown();
}

void Recording::forgetMasks() {
  counts_.clear();
  maskCalls_.clear();
  firstMasks_.clear();
}

void Recording::noteWrite(bool toMask) {
  maskCalls_.clear();
  if (toMask)
    forgetMasks();
}

bool Recording::mayHaveWritten(ValueId value, size_t before) const {
  ValueId base = lists_.baseOf(value);
  return std::any_of(
      written_.begin() + static_cast<ptrdiff_t>(before), written_.end(),
      [&](ValueId written) { return written == base || isMerged(written) || isMerged(base); });
}

void Recording::noteMask(const AtenCall &call, Operands operands, ValueId made) {
  for (auto &[value, version] : operands)
    value = firstOf(value, version);
  auto known = std::find_if(maskCalls_.begin(), maskCalls_.end(), [&](const MaskCall &other) {
    return other.operands == operands && other.call == call;
  });
  if (known == maskCalls_.end())
    maskCalls_.push_back({call, std::move(operands), made});
  else
    firstMasks_.emplace(made, known->made);
}

// What has been written since is itself.
ValueId Recording::firstOf(ValueId mask, uint32_t version) const {
  auto known = version == 0 ? firstMasks_.find(mask) : firstMasks_.end();
  return known == firstMasks_.end() ? mask : known->second;
}

Dim *Recording::countOf(const at::Tensor &mask, ValueId value) {
  if (value == kNoValue || mask.is_inference()) // which has no version
    return nullptr;
  auto version = static_cast<uint32_t>(mask._version());
  return &counts_.try_emplace({firstOf(value, version), version}, Dim{{0, 0}}).first->second;
}

void Recording::noteSize(const Dim &worlds, c10::SymNode number) {
  if (!dry_)
    sizes_.try_emplace({worlds.world[0], worlds.world[1]}, std::move(number));
}

c10::SymInt Recording::stride(int64_t first, int64_t second, c10::ArrayRef<c10::SymInt> ownSizes) {
  if (first == second)
    return first;
  struct Factor {
    int64_t first, second;
    c10::SymInt size;
  };
  std::vector<Factor> factors;
  auto addFactor = [&](const c10::SymInt &size) {
    if (auto *node = SymbolicScalar::of(size); node && node->hasWorlds())
      factors.push_back({node->intIn(0), node->intIn(1), size});
  };
  for (const c10::SymInt &size : ownSizes)
    addFactor(size);
  // Sizes that the tensor itself no longer has: x.transpose(0, 1)[0] steps over the dimension it
  // lost.
  size_t own = factors.size();
  for (const auto &[sizes, node] : sizes_)
    addFactor(c10::SymInt(node));
  auto tryProduct = [&](const std::vector<size_t> &chosen) -> std::optional<c10::SymInt> {
    int64_t product[2] = {1, 1};
    for (size_t k : chosen) {
      product[0] *= factors[k].first;
      product[1] *= factors[k].second;
    }
    if (product[0] == 0 || product[1] == 0 || first % product[0] || second % product[1] ||
        first / product[0] != second / product[1])
      return std::nullopt;
    c10::SymInt stride = first / product[0];
    for (size_t k : chosen)
      stride = stride * factors[k].size;
    return stride;
  };
  for (uint64_t mask = 1; own <= 16 && mask < (uint64_t{1} << own); ++mask) {
    std::vector<size_t> chosen;
    for (size_t k = 0; k < own; ++k)
      if (mask >> k & 1)
        chosen.push_back(k);
    if (auto stride = tryProduct(chosen))
      return *stride;
  }
  for (size_t a = 0; a < factors.size(); ++a)
    if (auto stride = tryProduct({a}))
      return *stride;
  constexpr size_t kMostInPairs = 64;
  for (size_t a = 0; a < std::min(factors.size(), kMostInPairs); ++a)
    for (size_t b = a + 1; b < std::min(factors.size(), kMostInPairs); ++b)
      if (auto stride = tryProduct({a, b}))
        return *stride;
  fail("how a tensor's strides follow from the dynamic sizes is not known");
}

SourceLine Recording::sourceLine() const { return walkedLine ? walkedLine() : currentSourceLine(); }

} // namespace bifront
