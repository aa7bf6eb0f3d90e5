// Records what a piece of PyTorch code does as a graph: between begin() and end() every ATen op of
// this thread becomes an op of the recorder, on proxies for the arguments, and nothing is computed.
#pragma once

#include "capture/autograd_node.h"
#include "capture/capture_error.h"
#include "capture/dispatch_mode.h"
#include "capture/outside_tensors.h"
#include "capture/recording.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/function.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace bifront {

struct CapturedInput {
  enum class Kind : uint8_t {
    Argument, // given by addInput
    State,    // a tensor that the program reached on its own
    Grad,     // the `.grad` of input `owner`
    Number,   // given by addNumber
    Object,   // given by addObject, or the same at each run: then it is `held`
    Seed,     // given by addSeed
  } kind;
  at::Tensor tensor; // the tensor itself, of Grad too; of a Number and a Seed undefined
  uint32_t owner = 0;
  std::string name;
  ValueId value = kNoValue;
  c10::Scalar number = {}; // of an Object its address
  PyRef held = {};
  // What it is in this call.
  c10::IValue now() const { return isTensor() ? c10::IValue(tensor) : c10::IValue(number); }
  bool isTensor() const { return kind != Kind::Number && kind != Kind::Object; }
};

class Capture {
public:
  // A name for a tensor that the program reached on its own ("model.conv1.weight"); may be empty.
  using Namer = std::function<std::string(const at::Tensor &)>;

  explicit Capture(GraphRecorder &graph, Namer namer = {});
  ~Capture();
  Capture(const Capture &) = delete;
  Capture &operator=(const Capture &) = delete;

  // The capture that runs on this thread, or null.
  static Capture *current();
  // Whether one runs that asks PyTorch what an op returns: `current` is null then.
  static bool infers();

  // An input of the graph. Returns the proxy that stands for `real`. `dims`: the sizes in both
  // worlds; empty where all are fixed. Throws CaptureError for a tensor that graphs do not know.
  at::Tensor addInput(const at::Tensor &real, std::string_view name,
                      std::span<const Dim> dims = {});
  // Its two halves. `onPath`: `dims` as the path that is captured knows them, which may have been
  // decided in between.
  uint32_t declareInput(const at::Tensor &real, std::string_view name, std::span<const Dim> dims);
  at::Tensor proxyOf(uint32_t input, std::span<const Dim> dims, std::span<const Dim> onPath);

  // The same for an int, a float or a bool, of which the graph knows no more than its type.
  c10::SymNode addNumber(const c10::Scalar &number, std::string_view name);
  // What an int or a bool is on the path that is captured.
  int64_t decide(ValueId number, const std::string &what);

  // The same for a Python object, which the caller keeps alive.
  ValueId addObject(PyObject *object, std::string_view name);
  // The gradient that will come for `output`, a proxy.
  at::Tensor addSeed(const at::Tensor &output);

  // Needs the GIL.
  void begin();
  // The program is over: records how `.grad` of the tensors changed.
  void endProgram();
  // Ends the mode, puts all tensors back as they were. Throws CaptureError if something happened
  // that the graph does not say, also where the program swallowed the exception. The destructor
  // ends without recording.
  void end();

  // Between begin() and end(): values for the graph's returns. A tensor from outside becomes an
  // input.
  ValueId valueOf(const at::Tensor &tensor);
  ValueId valueOf(const c10::SymNode &number);
  bool isProxy(const at::Tensor &tensor) const;
  // Whether backward could still go through the history that the function gave `tensor`.
  bool isTrainable(const at::Tensor &tensor) const;
  // The input that `tensor` is (the real tensor, or the proxy of an argument as it was given).
  std::optional<uint32_t> inputOf(const at::Tensor &tensor) const;

  const std::vector<CapturedInput> &inputs() const;
  // Of which inputs the program looked whether they have a `.grad`, and whether they had at the
  // start.
  const std::vector<std::pair<uint32_t, bool>> &gradPresence() const { return gradPresence_; }
  // Of which inputs the program looked at a `.grad` that it has met elsewhere too: as which input.
  const std::vector<std::pair<uint32_t, uint32_t>> &sharedGrads() const { return sharedGrads_; }
  // Inputs whose .grad, which was there, the program drops before it does anything else.
  const std::vector<uint32_t> &gradsDroppedFirst() const { return gradsDroppedFirst_; }
  // Leaves from outside of which the program has set requires_grad, and to what; arguments by their
  // proxies.
  std::vector<std::pair<at::Tensor, bool>> requiresGradSet() const;
  bool drawsRandomNumbers() const;
  CaptureCost cost() const;
  // Proxies that are alive: behind end(), with all results dropped, more than the arguments'
  // proxies means that the program kept a tensor somewhere.
  int64_t liveProxies() const;

  // For the hooks in Python. `tensor` is about to change in a way that no op tells of.
  void note(const at::Tensor &tensor);
  void noteGradRead(const at::Tensor &tensor);
  void noteGradSet(const at::Tensor &tensor, bool isDropped);
  [[noreturn]] void fail(const std::string &message);

  Recording &recording();
  // The program asks what is not the same on all ways to `history`; null: it is the same.
  void requireSure(const MergedHistory *history, const std::string &why);
  // What these histories come from can be no branches and no loops of the graph.
  void requireOneWay(std::span<const MergedHistory *const> histories, const std::string &why);
  // What decides whether the tensor requires grad; null: all ways agree.
  const MergedHistory *unsureHistory(const at::Tensor &tensor) const;
  // What autograd saves goes through Python code, here and in backward.
  void noteSavedHooks() { savesWithHooks_ = true; }
  bool savesWithHooks() const { return savesWithHooks_; }
  // Backward has gone through `node` and freed what it had saved.
  void noteSpent(const NodePointer &node) { spent_.insert(node); }
  // The tensors from outside that bring an autograd history, made by ops that the graph does not
  // have: proxies for arguments, others themselves; and the histories.
  const std::vector<std::pair<at::Tensor, NodePointer>> &outsideHistories() const;
  bool hasOutsideHistory(const torch::autograd::Node *node) const;

private:
  class Inputs;
  void unwind();
  void noteSharedGrads();
  at::Tensor viewOnPath(uint32_t input, const Extent &real, std::span<const Dim> onPath);

  std::shared_ptr<Inputs> recording_;
  std::optional<CaptureMode> mode_;
  std::vector<std::pair<uint32_t, bool>> gradPresence_;
  std::vector<std::pair<uint32_t, uint32_t>> sharedGrads_;
  std::vector<uint32_t> gradsDroppedFirst_;
  std::unordered_set<NodePointer> spent_;
  Capture *outer_ = nullptr;
  bool savesWithHooks_ = false;
};

} // namespace bifront
