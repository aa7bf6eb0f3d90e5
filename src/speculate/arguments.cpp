#include "speculate/arguments.h"

#include "capture/recording.h"

namespace bifront {

namespace {

bool isTensorLeaf(PyObject *value) {
  if (!THPVariable_Check(value))
    return false;
  if (!THPVariable_CheckExact(value) || !isOrdinaryTensor(THPVariable_Unpack(value)))
    fail(ExitReason::UnsupportedTensor, "an argument is not an ordinary dense CPU tensor");
  return true;
}

} // namespace

Arguments::Arguments(const ConversionRequest &request) : request_(request) {
  // In a slot other tensors are what the program's state holds.
  leaves_.isTensor = [this](PyObject *value) {
    return described_ ? isPlainTensor(value) : isTensorLeaf(value);
  };
  leaves_.varies = [this](const ValuePath &path) {
    LeafPlace place{path, described_};
    return (described_ && path.empty()) || request_.varying.has(place) ||
           request_.varying.hasChoice(place);
  };
  leaves_.isChoice = [this](const ValuePath &path) {
    bool isOne = request_.varying.hasChoice(LeafPlace{path, described_});
    if (isOne)
      choices_.insert(leaves_.objects.size());
    return isOne;
  };
  for (uint32_t i = 0; i < request.total(); ++i)
    patterns.push_back(ValuePattern::describe(request.args[i], {i}, leaves_));
  numArgumentLeaves = leaves_.objects.size();
  for (uint32_t leaf = 0; leaf < numArgumentLeaves; ++leaf)
    readRelaxed(leaf);
  for (const auto &[argument, dimension] : request.options.dynamic)
    markDynamic(argument, dimension);
}

std::optional<uint32_t> Arguments::add(const Slot &slot, PyObject *value) {
  for (uint32_t i = 0; i < slots.size(); ++i)
    if (sameSlot(slots[i].slot, slot))
      return i;
  if (!isNumberOrTensor(value) && !isNest(value))
    return std::nullopt;
  Leaves before = leaves_;
  leaves_.ofSlot();
  described_ = slot;
  ValuePattern pattern = ValuePattern::describe(value, {}, leaves_);
  described_.reset();
  if (leaves_.full) {
    leaves_ = std::move(before);
    return std::nullopt;
  }
  for (uint32_t leaf = before.objects.size(); leaf < leaves_.objects.size(); ++leaf) {
    slotOf_.emplace(leaf, slot);
    readRelaxed(leaf);
  }
  held_.push_back(PyRef::share(value));
  slots.push_back({slot, std::move(pattern)});
  return slots.size() - 1;
}

LeafPlace Arguments::placeOf(uint32_t leaf) const {
  auto slot = slotOf_.find(leaf);
  return {leaves_.paths[leaf], slot == slotOf_.end() ? std::nullopt : std::optional(slot->second)};
}

Varying Arguments::asVarying(size_t leaf) const {
  Varying varying;
  LeafPlace place = placeOf(leaf);
  bool varies = isNumber(leaf) || isPointer(leaf);
  if (varies && request_.varying.hasChoice(place))
    varying.choices.push_back(std::move(place.path));
  else if (varies)
    varying.values.push_back(std::move(place));
  else if (place.slot)
    varying.values.push_back({{}, std::move(place.slot)});
  return varying;
}

std::optional<DecidedDim> Arguments::decision(size_t leaf, int64_t d) const {
  for (const DecidedDim &dim : decided_[leaf])
    if (dim.index == d)
      return dim;
  return std::nullopt;
}

std::vector<std::pair<uint32_t, int64_t>> Arguments::dimensionsOf(const AskedSizes &asked) const {
  std::vector<std::pair<uint32_t, int64_t>> dimensions;
  for (const Varying::Dimension &dimension : asked.of)
    for (uint32_t leaf = 0; leaf < numArgumentLeaves; ++leaf)
      if (isTensor(leaf) && dimension.dimension < tensor(leaf).dim() &&
          samePlace(dimension.place, placeOf(leaf)) && isOpen(leaf, dimension.dimension))
        dimensions.emplace_back(leaf, dimension.dimension);
  if (dimensions.size() != asked.of.size())
    dimensions.clear();
  return dimensions;
}

std::vector<DecidedDim> Arguments::decidedDims(size_t leaf) const { return decided_[leaf]; }

std::vector<Dim> Arguments::dimsOf(size_t leaf) {
  std::vector<Dim> dims;
  for (int64_t d = 0; d < tensor(leaf).dim(); ++d) {
    int64_t size = tensor(leaf).size(d);
    auto decides = decision(leaf, d);
    if (decides && !decides->onlySmall) // nothing is inferred of these sizes
      dims.push_back({{size, size + 1}});
    else if (auto free = freeSize(leaf, d))
      dims.push_back({{largeSize(size), free->world[1]}});
    else if (isDynamic(leaf, d))
      dims.push_back({{largeSize(size), otherWorld(largeSize(size))}});
    else
      dims.push_back(Dim::fixed(size));
  }
  return dims;
}

bool Arguments::standsFor(const std::pair<int64_t, int64_t> &size) const {
  return std::ranges::any_of(free_, [&](const auto &known) {
    return std::pair(known.second.world[0], known.second.world[1]) == size;
  });
}

// With 4 and 5 dimensions, which order in memory is the usual one is not the same for one row.
bool Arguments::isFree(size_t leaf, int64_t d) const {
  constexpr int64_t kMostDimensions = 3;
  const at::Tensor &tensor = this->tensor(leaf);
  auto decides = decision(leaf, d);
  return decides && decides->onlySmall && !decides->parts && tensor.is_contiguous() &&
         !tensor.requires_grad() && tensor.dim() <= kMostDimensions;
}

std::optional<Dim> Arguments::freeSize(size_t leaf, int64_t d) {
  constexpr uint64_t kFirst = uint64_t{1} << 32; // no recording gets there
  if (!isFree(leaf, d))
    return std::nullopt;
  return free_
      .try_emplace({tensor(leaf).size(d), decision(leaf, d)->history},
                   Recording::freeSizeOf(kFirst + free_.size()))
      .first->second;
}

// On a path on which a small size is not: one that no other dimension has.
int64_t Arguments::largeSize(int64_t size) {
  if (size > 1)
    return size;
  std::set<int64_t> known;
  for (uint32_t leaf = 0; leaf < leaves().size(); ++leaf)
    if (isTensor(leaf))
      known.insert(tensor(leaf).sizes().begin(), tensor(leaf).sizes().end());
  int64_t unused = 2;
  while (known.contains(unused) || unused % 2 != size)
    ++unused;
  return unused;
}

Varying Arguments::withSizes(const std::set<std::pair<int64_t, int64_t>> &sizes) {
  Varying named, all;
  for (uint32_t leaf = 0; leaf < leaves().size(); ++leaf) {
    if (!isTensor(leaf))
      continue;
    std::vector<Dim> dims = dimsOf(leaf);
    for (int64_t d = 0; d < tensor(leaf).dim(); ++d) {
      if (auto free = freeSize(leaf, d)) {
        if (sizes.contains({free->world[0], free->world[1]}))
          named.dimensions.push_back({placeOf(leaf), d});
        continue;
      }
      auto decides = decision(leaf, d);
      if (!isDynamic(leaf, d) || (decides && !decides->onlySmall))
        continue;
      if (sizes.contains({dims[d].world[0], dims[d].world[1]}))
        named.dimensions.push_back({placeOf(leaf), d});
      all.dimensions.push_back({placeOf(leaf), d});
    }
  }
  // A size that is none of theirs follows from some of them.
  return sizes.empty() || !named.empty() ? named : all;
}

Varying Arguments::withSizesOf(const std::vector<int64_t> &sizes) const {
  Varying varying;
  for (uint32_t leaf = 0; leaf < leaves().size(); ++leaf)
    for (int64_t d = 0; isTensor(leaf) && d < tensor(leaf).dim(); ++d)
      if (isOpen(leaf, d) && std::ranges::count(sizes, tensor(leaf).size(d)) > 0)
        varying.dimensions.push_back({placeOf(leaf), d});
  return varying;
}

std::vector<std::vector<std::pair<uint32_t, int64_t>>> Arguments::equalDims() const {
  using Dimensions = std::vector<std::pair<uint32_t, int64_t>>;
  std::map<std::pair<int64_t, std::optional<uint64_t>>, Dimensions> bySize; // and history
  for (uint32_t leaf = 0; leaf < leaves().size(); ++leaf)
    for (int64_t d = 0; isTensor(leaf) && d < tensor(leaf).dim(); ++d)
      if (auto decides = decision(leaf, d); isDynamic(leaf, d) && (!decides || decides->onlySmall))
        bySize[{tensor(leaf).size(d),
                isFree(leaf, d) ? std::optional(decides->history) : std::nullopt}]
            .emplace_back(leaf, d);
  std::vector<std::vector<std::pair<uint32_t, int64_t>>> groups;
  for (auto &[size, group] : bySize)
    if (group.size() > 1)
      groups.push_back(std::move(group));
  return groups;
}

std::vector<TensorPrecheck::Size> Arguments::sizeChecks(size_t leaf) const {
  using Size = TensorPrecheck::Size;
  std::vector<Size> checks;
  for (int64_t d = 0; d < tensor(leaf).dim(); ++d)
    checks.push_back(decision(leaf, d)    ? Size::Any
                     : isDynamic(leaf, d) ? Size::AtLeastTwo
                                          : Size::Same);
  return checks;
}

void Arguments::readRelaxed(uint32_t leaf) {
  std::vector<bool> &dims = dynamic_.emplace_back();
  decided_.emplace_back();
  if (!isTensor(leaf))
    return;
  dims.resize(tensor(leaf).dim());
  for (const Varying::Dimension &varies : request_.varying.dimensions) {
    int64_t d = varies.dimension;
    if (d >= static_cast<int64_t>(dims.size()) || !samePlace(varies.place, placeOf(leaf)))
      continue;
    dims[d] = true;
    bool isDecided = request_.decided.has(varies);
    if (isDecided || varies.small)
      decided_[leaf].push_back({d, !isDecided, varies.parts, varies.history});
  }
}

void Arguments::markDynamic(const std::variant<int64_t, std::string> &argument, int64_t dimension) {
  size_t position = patterns.size();
  if (auto *index = std::get_if<int64_t>(&argument))
    position = *index;
  else
    for (Py_ssize_t k = 0; request_.keywordNames && k < PyTuple_GET_SIZE(request_.keywordNames);
         ++k)
      if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(request_.keywordNames, k),
                                           std::get<std::string>(argument).c_str()) == 0)
        position = request_.count + k;
  if (position >= patterns.size() || patterns[position].kind() != ValuePattern::Kind::Tensor)
    return; // this call does not pass it, or not as a tensor
  auto &dims = dynamic_[patterns[position].index()];
  int64_t d = dimension < 0 ? dimension + static_cast<int64_t>(dims.size()) : dimension;
  if (d < 0 || d >= static_cast<int64_t>(dims.size()))
    fail(ExitReason::CaptureFailed, "dynamic=: dimension " + std::to_string(dimension) +
                                        " is out of range for a tensor of " +
                                        std::to_string(dims.size()));
  dims[d] = true;
}

// A multiple, so that what divides the one size divides the other.
int64_t Arguments::otherWorld(int64_t size) {
  static constexpr int64_t factors[] = {3, 5, 7, 11, 13, 17, 19, 23};
  auto [entry, fresh] = factors_.try_emplace(size, factors[factors_.size() % std::size(factors)]);
  return size * entry->second;
}

} // namespace bifront
