#include "speculate/path_sizes.h"

#include "capture/symbolic.h"
#include "speculate/convert.h"

#include <algorithm>
#include <set>

namespace bifront {

void PathSizes::answer(const std::map<uint32_t, uint32_t> &inputs) {
  std::vector<c10::SymNode> truths;
  for (const AskedSizes &asked : arguments_.questions()) {
    std::vector<c10::SymNode> nodes;
    std::vector<size_t> sizes;
    for (const auto &[leaf, dim] : arguments_.dimensionsOf(asked)) {
      Dim worlds = arguments_.dimsOf(leaf)[dim];
      ValueId tensor = capture_.inputs()[inputs.at(leaf)].value;
      nodes.push_back(SymbolicScalar::ofDim(capture_.recording().shared_from_this(),
                                            worlds.world[0], worlds.world[1], tensor, dim,
                                            Recording::SizeOrigin::Input));
      int64_t size = arguments_.tensor(leaf).size(dim);
      auto known = std::ranges::find(now_, size);
      sizes.push_back(known - now_.begin());
      if (known == now_.end())
        now_.push_back(size);
    }
    c10::SymNode truth = nodes.empty() ? nullptr : asked.question->ask(nodes);
    if (!truth || truth->constant_bool()) // known ahead, of sizes that are decided
      continue;
    maker_ = nodes[0];
    questions_.push_back({*asked.question, std::move(sizes), knownAnswer(truth)});
    truths.push_back(truth);
  }
  for (size_t i = 0; i < truths.size(); ++i)
    questions_[i].answer = answerTo(*SymbolicScalar::of(truths[i]), questions_[i]);
  if (!questions_.empty())
    fit();
}

FittingSizes PathSizes::fitting() const {
  std::set<int64_t> others; // not to be taken for them
  for (uint32_t leaf = 0; leaf < arguments_.numArgumentLeaves; ++leaf)
    if (arguments_.isTensor(leaf))
      others.insert(arguments_.tensor(leaf).sizes().begin(), arguments_.tensor(leaf).sizes().end());
  for (int64_t size : now_)
    others.erase(size);
  FittingSizes fitting(maker_, now_, std::move(others));
  for (const FittingSizes::Question &question : questions_)
    fitting.add(question);
  return fitting;
}

// What an earlier call has decided by it, here or further on.
std::optional<bool> PathSizes::knownAnswer(const c10::SymNode &truth) const {
  if (!forced_)
    return std::nullopt;
  std::string what = SymbolicScalar::of(truth)->nameOnPaths();
  auto known = std::ranges::find(*forced_, what, &Decision::what);
  return known == forced_->end() ? std::nullopt : std::optional(known->outcome != 0);
}

bool PathSizes::answerTo(SymbolicScalar &truth, FittingSizes::Question &question) {
  Decision decision{":0", truth.nameOnPaths(), 0, /*isTruth=*/true};
  size_t number = path_.size();
  bool isThere = forced_ && number < forced_->size() && (*forced_)[number].asks(decision);
  if (forced_ && !isThere) {
    decision.outcome = question.answer ? *question.answer : earlierAnswer(question);
    forced_->insert(forced_->begin() + static_cast<ptrdiff_t>(number), decision);
  }
  return capture_.decide(truth.value(), decision.what) != 0;
}

// Of a call from before the question came up: it is taken to answer it otherwise than this call,
// for which it came up, if there are sizes for that.
bool PathSizes::earlierAnswer(FittingSizes::Question &question) {
  bool here = fitting().truth(question, now_);
  question.answer = !here;
  return fitting().find(now_, {}, FittingSizes::From::AwayFromEdges) ? !here : here;
}

void PathSizes::failForSizes() {
  throw ConversionError(ExitReason::CaptureFailed, "no sizes are known that go this way",
                        arguments_.withSizesOf(now_));
}

void PathSizes::fit() {
  using From = FittingSizes::From;
  FittingSizes fitting = this->fitting();
  std::vector<int64_t> other;
  for (int64_t size : now_)
    other.push_back(arguments_.otherWorld(size));
  // The same for all paths with these answers.
  auto first = fitting.find(now_, {}, fitting.fits(now_) ? From::Call : From::AwayFromEdges);
  auto second = first ? fitting.find(other, *first, From::AwayFromEdges) : std::nullopt;
  bool isPinned = second && *first == *second;
  bool isSpecial = std::ranges::any_of(questions_, [](const FittingSizes::Question &question) {
    return question.asked.isEquality() && *question.answer;
  });
  // Where no other size has these answers, it is as well to know it.
  if (!first && forced_)
    capture_.fail(kOtherWay);
  if (!second || (isPinned && !isSpecial && !forced_ && !arguments_.mayPinSizes())) {
    if (second && arguments_.asksPinned())
      pinned_ = askedOfPinned();
    failForSizes();
  }
  for (size_t i = 0; i < now_.size(); ++i)
    bySize_.emplace(now_[i], Dim{{(*first)[i], (*second)[i]}});
}

std::vector<Dim> PathSizes::of(uint32_t leaf, uint32_t input) {
  Recording &recording = capture_.recording();
  std::vector<Dim> dims = arguments_.dimsOf(leaf);
  for (size_t d = 0; d < dims.size(); ++d)
    if (arguments_.isOpen(leaf, static_cast<int64_t>(d)))
      dims[d] = onPath(leaf, d);
  for (const DecidedDim &dim : arguments_.decidedDims(leaf)) {
    auto free = recording.decidesSizes() ? std::nullopt : arguments_.freeSize(leaf, dim.index);
    if (free) {
      recording.freeInputSize(*free, capture_.inputs()[input].value, dim.index);
      dims[dim.index] = *free;
    } else if (auto size = decided(input, dim)) {
      dims[dim.index] = Dim::fixed(*size);
    }
  }
  return dims;
}

std::optional<AskedSizes> PathSizes::asked() {
  if (pinned_)
    return pinned_;
  std::shared_ptr<const SizeQuestion> question = capture_.recording().sizeQuestion();
  if (!question)
    return std::nullopt;
  SizeQuestion followed = *question;
  AskedSizes asked;
  for (size_t i = 0; i < followed.sizes().size(); ++i) {
    Dim size = followed.sizes()[i];
    if (!placeOf(size)) {
      auto base = size.world[0] < 2 || size.world[1] < 2 ? std::nullopt : baseOf(size);
      if (!base)
        return askedOfSpecial(size);
      followed.follow(i, *base);
      size = *base;
    }
    asked.of.push_back(*placeOf(size));
  }
  asked.question = std::make_shared<SizeQuestion>(std::move(followed));
  return asked;
}

// The size of an argument that `size` is a constant away from, as that of `x[1:]` is.
std::optional<Dim> PathSizes::baseOf(const Dim &size) const {
  for (const Dim &open : openSizes())
    if (size.world[0] - open.world[0] == size.world[1] - open.world[1])
      return open;
  return std::nullopt;
}

std::vector<Dim> PathSizes::openSizes() const {
  std::vector<Dim> open;
  for (uint32_t leaf = 0; leaf < arguments_.numArgumentLeaves; ++leaf)
    for (size_t d = 0; arguments_.isTensor(leaf) && d < arguments_.dimsOf(leaf).size(); ++d)
      if (arguments_.isOpen(leaf, static_cast<int64_t>(d)))
        open.push_back(onPath(leaf, d));
  return open;
}

// `size` follows from sizes of arguments in a way that nobody knows, and is 0 or 1 in one world:
// then what is asked for is whether the size that arguments have there is that one.
std::optional<AskedSizes> PathSizes::askedOfSpecial(const Dim &size) {
  std::set<std::pair<int64_t, int64_t>> open;
  for (const Dim &dim : openSizes())
    open.emplace(dim.world[0], dim.world[1]);
  int world = size.world[0] < 2 ? 0 : 1;
  if (size.world[world] >= 2 || open.size() != 1)
    return std::nullopt;
  return askedIfIs({{open.begin()->first, open.begin()->second}}, world);
}

// A text of 1,025 words is neither one that a window of 1,024 and the word behind it are cut from,
// nor one with a second window: whether the size is that one makes a path beside those of the
// others.
std::optional<AskedSizes> PathSizes::askedOfPinned() const {
  for (const Dim &size : openSizes())
    if (std::ranges::count(now_, size.world[0]) != 0)
      return askedIfIs(size, 0);
  return std::nullopt;
}

// Whether an argument's size is the one that it has in that world.
AskedSizes PathSizes::askedIfIs(const Dim &size, int world) const {
  return {std::make_shared<SizeQuestion>(SizeQuestion::isEqual(size, size.world[world])),
          {*placeOf(size)}};
}

Dim PathSizes::onPath(uint32_t leaf, size_t d) const {
  auto known = bySize_.find(arguments_.tensor(leaf).size(static_cast<int64_t>(d)));
  return known == bySize_.end() ? arguments_.dimsOf(leaf)[d] : known->second;
}

// The first dimension of an argument that is of this size.
std::optional<Varying::Dimension> PathSizes::placeOf(const Dim &size) const {
  for (uint32_t leaf = 0; leaf < arguments_.numArgumentLeaves; ++leaf)
    for (size_t d = 0; arguments_.isTensor(leaf) && d < arguments_.dimsOf(leaf).size(); ++d)
      if (arguments_.isOpen(leaf, static_cast<int64_t>(d)) && size == onPath(leaf, d))
        return Varying::Dimension{arguments_.placeOf(leaf), static_cast<int64_t>(d)};
  return std::nullopt;
}

// The size, or nothing where it is not decided.
std::optional<int64_t> PathSizes::decided(uint32_t input, const DecidedDim &dim) {
  decideAny_ = true;
  const CapturedInput &captured = capture_.inputs()[input];
  GraphRecorder &graph = capture_.recording().graph();
  std::string what = "size " + std::to_string(dim.index) + " of " + captured.name;
  ValueId size = graph.dim(captured.value, dim.index);
  if (dim.onlySmall) {
    ValueId operands[] = {size, graph.constantInt(2)};
    if (!capture_.decide(graph.scalar(ScalarOp::Lt, operands), what + " < 2"))
      return std::nullopt;
  }
  return capture_.decide(size, what);
}

} // namespace bifront
