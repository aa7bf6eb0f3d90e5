// The graph under construction and what capture knows of its values: which sizes are the same,
// which tensors from outside are inputs, and whether something happened that no graph can express.
#pragma once

#include "capture/capture_cost.h"
#include "capture/extent.h"
#include "capture/listed_tensors.h"
#include "ir/graph_recorder.h"
#include "support/py_ref.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Scalar.h>
#include <c10/core/SymInt.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace bifront {

class MergedHistory;
class SizeQuestion;

// The id of a value that is not recorded: of a proxy made in a dry run, or behind the recording's
// end.
constexpr ValueId kNoValue = ~0u;

class Recording : public std::enable_shared_from_this<Recording> {
public:
  explicit Recording(GraphRecorder &graph) : graph_(&graph) {}
  virtual ~Recording() = default;

  // An operand is a node, by its address, or a constant, by its kind and bits.
  using OperandKey = std::pair<int, uint64_t>;
  using ExpressionKey = std::tuple<int, OperandKey, OperandKey>;

  GraphRecorder &graph();
  bool isOpen() const { return graph_ != nullptr; }
  // No value of this recording can be used any more, though proxies and sizes of it may live on.
  void close();

  // The value of a tensor that is not a proxy of this recording.
  virtual ValueId outsideTensor(const at::Tensor &tensor) = 0;
  // Python asks a tensor that is not a proxy for its size, its dtype, ... .
  virtual void noteAsked(const at::Tensor &) {}

  // The value of a Python object that is the same at each run.
  virtual ValueId heldObject(PyObject *object) = 0;
  // The object that comes in as `value`, or null.
  virtual PyObject *objectAt(ValueId value) const = 0;

  // Python needs to know this size: by its values in the two worlds, those that it would have to
  // know for this.
  void noteNeededSize(int64_t first, int64_t second) {
    if (first != second)
      neededSizes_.emplace(first, second);
  }
  const std::set<std::pair<int64_t, int64_t>> &neededSizes() const { return neededSizes_; }
  // Of all that Python would have to know of the sizes, this truth: the last that was asked for.
  void noteSizeQuestion(std::shared_ptr<const SizeQuestion> question) {
    sizeQuestion_ = std::move(question);
  }
  const std::shared_ptr<const SizeQuestion> &sizeQuestion() const { return sizeQuestion_; }

  // During a dry run ops are inferred, so that autograd sees what it would see, but not recorded.
  bool isDry() const { return dry_; }
  class DryRun {
  public:
    explicit DryRun(Recording &recording) : recording_(recording), before_(recording.dry_) {
      recording.dry_ = true;
    }
    ~DryRun() { recording_.dry_ = before_; }
    DryRun(const DryRun &) = delete;
    DryRun &operator=(const DryRun &) = delete;

  private:
    Recording &recording_;
    bool before_;
  };

  // While PyTorch infers a shape: what it runs for that, in Python too, is not the program's.
  class Inference {
  public:
    explicit Inference(Recording &recording) : recording_(recording), before_(recording.infers_) {
      recording.infers_ = true;
    }
    ~Inference() { recording_.infers_ = before_; }
    Inference(const Inference &) = delete;
    Inference &operator=(const Inference &) = delete;

  private:
    Recording &recording_;
    bool before_;
  };
  bool infers() const { return infers_; }

  // While it lives, what is recorded may not be run, or be run more than once: what it teaches of
  // sizes and numbers, and how it fails, is forgotten with it.
  class Scope {
  public:
    explicit Scope(Recording &recording);
    ~Scope();
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

  private:
    Recording &recording_;
    std::map<ExpressionKey, c10::SymNode> expressions_;
    std::map<std::pair<int64_t, int64_t>, c10::SymNode> sizes_;
    std::vector<c10::SymNode> asserted_;
    ValueId absent_;
    std::optional<std::string> failure_;
    ValueId first_;
  };
  bool isConditional() const { return scopes_ > 0; }
  // Whether the memory of `tensor` came to be in the innermost scope.
  bool isOfScope(const at::Tensor &tensor) const;
  // For what a branch or a loop cannot have in it.
  void refuseInScope(const char *what);
  // The assertion of `number` holds from here on, in this scope.
  void noteAsserted(c10::SymNode number) { asserted_.push_back(std::move(number)); }

  // Remembers the first failure, so that a capture whose program swallowed the exception fails too.
  void noteFailure(const std::string &message);
  [[noreturn]] void fail(const std::string &message);
  const std::optional<std::string> &failure() const { return failure_; }

  // Where a size comes from: the prechecks hold those of inputs to at least two; what depends on
  // values is told by no input.
  enum class SizeOrigin : uint8_t { Input, Sizes, Values };
  // A size with the given values in the two worlds, read from dimension `dim` of `tensor` unless
  // the same size is known already.
  c10::SymInt size(int64_t first, int64_t second, ValueId tensor, int64_t dim, SizeOrigin origin);
  // The size of these values that is known already.
  std::optional<c10::SymInt> knownSize(int64_t first, int64_t second) const;
  // Sizes that stand in the two worlds for one that values decide: those of no other size.
  virtual Dim freeSize();
  // Such a size before there is a recording; of the same number the same.
  static Dim freeSizeOf(uint64_t number);
  // What the op that is recorded next returns, where a derivative of it is made; null elsewhere.
  virtual const std::vector<ValueType> *expectedResults() const { return nullptr; }
  // Of an op's derivative: what is asked of its sizes was asked where the op was recorded.
  virtual bool isOfDerivative() const { return false; }
  // How many elements a mask selects: the same for each use of it. Null where that is not known
  // yet, or the mask cannot be told from a later one.
  Dim *countOf(const at::Tensor &mask, ValueId value);
  // A call that makes a bool tensor of values, each with the version that it reads: equal calls
  // make equal masks.
  using Operands = std::vector<std::pair<ValueId, uint32_t>>;
  void noteMask(const AtenCall &call, Operands operands, ValueId made);
  // Versions say nothing of what is written through `.data`.
  void noteWrite(bool toMask);
  // `number` has these sizes in the worlds.
  void noteSize(const Dim &worlds, c10::SymNode number);
  // Python decides what the sizes are that depend on values, so that they are sizes of one path.
  void decideSizes() { decidesSizes_ = true; }
  bool decidesSizes() const { return decidesSizes_; }
  bool hasFreeSizes() const { return numFreeSizes_ > 0; }
  // A size of an input is to be as one that values decide: nothing is taken for granted of it.
  void freeInputSize(const Dim &size, ValueId tensor, int64_t dim);
  bool isOfValues(const Dim &size) const;
  // A stride, as a multiple of sizes.
  c10::SymInt stride(int64_t first, int64_t second, c10::ArrayRef<c10::SymInt> ownSizes);

  // One node for each expression, so that a guard is asserted once. Filled by symbolic.cpp.
  std::map<ExpressionKey, c10::SymNode> expressions;

  // From here on the strides of proxies are guesses: ops that go by strides are recorded in the
  // form that does not (`reshape` for `view`).
  void assumeLayouts() { layoutsAssumed_ = true; }
  bool layoutsAssumed() const { return layoutsAssumed_; }

  // A value of type `none`, which stands for an undefined tensor.
  void noteAbsent(ValueId value) { absent_ = value; }
  ValueId absent() const { return absent_; }

  // What the memory of a value is to those outside: an input's, which they can see, or that in some
  // runs only; Found: of a tensor that the run finds in an object.
  enum class Memory : uint8_t { Own, Outside, Either, Found };
  void noteMemory(ValueId value, Memory memory) {
    memory_[value] = memory;
    finds_ = finds_ || memory == Memory::Found;
  }
  // What the graph would write may be a tensor that it has found, of which nothing else is known.
  void refuseWrite(ValueId value) {
    Memory memory = memoryOf(value);
    writesOutside_ = writesOutside_ || memory != Memory::Own;
    written_.push_back(lists_.baseOf(value));
    if (memory == Memory::Found || (memory == Memory::Either && finds_))
      fail("a tensor that a pointer leads to is written");
    if (!lists_.mayWrite(value, memory == Memory::Outside, isMerged(lists_.baseOf(value)),
                         isConditional() && lists_.baseOf(value) < scopeStart_))
      fail("a tensor is written that may be an item of a list of the graph");
  }
  // Whether it shares its memory with no other value of the graph.
  bool isAlone(ValueId value) const { return lists_.isAlone(value); }
  // A list of the graph takes a copy of this tensor, which therefore nobody may write. False where
  // somebody may have.
  bool keepInList(ValueId value) { return lists_.keep(value, isMerged(lists_.baseOf(value))); }
  // One of several tensors that all are kept.
  void noteOneOfKept(ValueId value) {
    noteMerged(value);
    lists_.keep(value, /*isMerged=*/false);
  }
  // An item of such a list, which is a copy too.
  void noteItem(ValueId value) {
    noteMerged(value);
    lists_.noteItem(value);
  }
  bool hasLists() const { return lists_.any(); }
  bool isItem(ValueId value) const { return lists_.isItem(value); }
  Memory memoryOf(ValueId value) const {
    auto found = memory_.find(value);
    return found == memory_.end() ? Memory::Own : found->second;
  }
  // A tensor from outside is written, so that what the graph has of it is another one.
  void noteOutsideWrite() { writesOutside_ = true; }
  bool writesOutside() const { return writesOutside_; }
  size_t numWrites() const { return written_.size(); }
  // Whether one of the writes but the first `before` may have been to this tensor, by any name.
  bool mayHaveWritten(ValueId value, size_t before) const;
  // A value that is one tensor or another.
  void noteMerged(ValueId value) { merged_.insert(value); }
  bool isMerged(ValueId value) const { return merged_.contains(value); }
  void noteViews(ValueId of, const std::vector<ValueId> &views) {
    lists_.noteViews(of, views);
    if (Memory memory = memoryOf(of); memory != Memory::Own)
      for (ValueId view : views)
        noteMemory(view, memory);
  }

  // A tensor has one of several histories.
  void noteMergedHistory() { mergesHistories_ = true; }
  bool mergesHistories() const { return mergesHistories_; }
  // By an output and a target: the bool of the graph that says whether the history leads there.
  std::map<std::pair<ValueId, ValueId>, ValueId> reached;
  // Hears that the program needs to know whether a tensor's history is the one or the other.
  std::function<void(const MergedHistory &history, const std::string &why)> unsure;
  // Hears that the branch or the loop at `site` can be none of the graph.
  std::function<void(const void *site, const std::string &why)> oneWay;

  // The program has computed something.
  void noteOp() { hasOps_ = hasOps_ || !dry_; }
  bool hasOps() const { return hasOps_; }

  void noteRandom() { drawsRandomNumbers_ = drawsRandomNumbers_ || !dry_; }
  bool drawsRandomNumbers() const { return drawsRandomNumbers_; }
  CaptureCost cost;
  // What the run of the graph will find a recorded number to be, for the tensors that this call
  // was given; empty where nobody can tell.
  std::function<std::optional<c10::Scalar>(ValueId)> foresee;
  // Python has to know an int or a bool that only the run of the graph knows: what it is on the
  // path that is captured, which is asserted by it. Nothing where nobody can tell; empty where
  // there is one path. `what` says which number it is, the same for each path.
  std::function<std::optional<int64_t>(ValueId, const std::string &what)> decide;
  // Whether a branch of the graph with an assumption in it is to decide the path in its place.
  std::function<bool()> refusesAssumption;
  // Whether that may be asked here: a branch of the graph has a path of its own.
  bool mayDecide() const { return decide && !isConditional() && !isDry() && isOpen(); }
  // The line of the program that is running, where it is not CPython that runs it.
  std::function<SourceLine()> walkedLine;
  SourceLine sourceLine() const;
  // A callable that walks all hooks of a dict as PyTorch calls them, given what is hooked; empty
  // where CPython runs the program.
  std::function<PyRef(PyObject *hooks)> walkedHooks;
  // Proxies of this recording that are alive.
  int64_t liveProxies = 0;

private:
  GraphRecorder *graph_;
  bool dry_ = false;
  bool infers_ = false;
  bool hasOps_ = false;
  bool layoutsAssumed_ = false;
  ValueId absent_ = kNoValue;
  bool drawsRandomNumbers_ = false;
  std::optional<std::string> failure_;
  std::map<std::pair<int64_t, int64_t>, c10::SymNode> sizes_;
  std::set<std::pair<int64_t, int64_t>> neededSizes_;
  std::shared_ptr<const SizeQuestion> sizeQuestion_;
  bool decidesSizes_ = false;
  uint64_t numFreeSizes_ = 0;
  struct MaskCall {
    AtenCall call;
    Operands operands;
    ValueId made;
  };
  // Values are the same only as long as nothing is run again or not at all: forgotten with scopes.
  void forgetMasks();
  ValueId firstOf(ValueId mask, uint32_t version) const;
  std::vector<MaskCall> maskCalls_;
  std::unordered_map<ValueId, ValueId> firstMasks_; // of those that an equal call has made before
  std::map<std::pair<ValueId, uint32_t>, Dim> counts_; // by the mask and its version; or 0, 0
  std::unordered_map<ValueId, Memory> memory_;
  std::unordered_set<ValueId> merged_;
  ListedTensors lists_;
  std::vector<ValueId> written_; // by the tensor whose memory it is
  bool finds_ = false, writesOutside_ = false, mergesHistories_ = false;
  size_t scopes_ = 0;
  ValueId scopeStart_ = 0;             // the innermost scope's first value
  std::vector<c10::SymNode> asserted_; // in the innermost scope
};

} // namespace bifront
