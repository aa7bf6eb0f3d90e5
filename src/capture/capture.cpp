#include "capture/capture.h"

#include "capture/merged_history.h"
#include "capture/proxy.h"
#include "capture/symbolic.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

namespace bifront {
namespace {

thread_local Capture *currentCapture = nullptr;

const char *whyNoInput(const at::Tensor &tensor) {
  if (tensor.layout() != at::kStrided)
    return "a sparse tensor is used";
  if (tensor.is_nested())
    return "a nested tensor is used";
  if (tensor.is_quantized())
    return "a quantised tensor is used";
  if (tensor.unsafeGetTensorImpl()->is_python_dispatch())
    return "a tensor subclass with its own dispatch is used";
  if (tensor.unsafeGetTensorImpl()->key_set().has(c10::DispatchKey::Functionalize) ||
      !tensor.has_storage())
    return "a tensor without memory of its own is used";
  if (tensor.is_conj() || tensor.is_neg())
    return "a tensor with a pending conjugation or negation is used";
  if (!tensor.device().is_cpu())
    return "a tensor on another device than the CPU is used";
  if (tensor.unsafeGetTensorImpl()->has_symbolic_sizes_strides())
    return "a tensor of another tracer is used";
  return nullptr;
}

// The strides in the second world of a tensor that is dense in the first.
Extent inOtherWorld(const Extent &first, std::span<const Dim> dims) {
  Extent second = first;
  for (size_t d = 0; d < dims.size(); ++d)
    second.sizes[d] = dims[d].world[1];
  Dims order(first.dim());
  std::iota(order.begin(), order.end(), 0);
  // From the inside out; of dimensions with one stride the size-1 ones lie inside.
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (first.strides[a] != first.strides[b])
      return first.strides[a] < first.strides[b];
    return first.sizes[a] == 1 && first.sizes[b] != 1 ? true : a > b && first.sizes[b] != 1;
  });
  int64_t firstStride = 1, secondStride = 1;
  for (int64_t d : order) {
    second.strides[d] = first.strides[d] == firstStride ? secondStride : first.strides[d];
    firstStride *= first.sizes[d];
    secondStride *= second.sizes[d];
  }
  return second;
}

// The history of an argument, from outside.
struct OutsideHistory final : torch::autograd::Node {
  torch::autograd::variable_list apply(torch::autograd::variable_list &&) override { return {}; }
  std::string name() const override { return "OutsideHistory"; }
};

} // namespace

//===- Inputs ------------------------------------------------------------------------------===//

class Capture::Inputs final : public Recording {
public:
  Inputs(GraphRecorder &graph, Namer namer) : Recording(graph), namer_(std::move(namer)) {}

  ValueId outsideTensor(const at::Tensor &tensor) override {
    return inputs[inputOfOutside(tensor)].value;
  }

  void noteAsked(const at::Tensor &tensor) override { outside.note(tensor).asked = true; }

  uint32_t inputOfOutside(const at::Tensor &tensor) {
    if (auto found = byTensor.find(tensor.unsafeGetTensorImpl()); found != byTensor.end())
      return found->second;
    outside.note(tensor);
    if (tensor.requires_grad() && !tensor.is_leaf())
      outsideHistories.emplace_back(tensor, tensor.grad_fn());
    CapturedInput input{CapturedInput::Kind::State, tensor, 0, {}, kNoValue};
    if (auto *owner = outside.ownerOfGrad(tensor)) {
      input.kind = CapturedInput::Kind::Grad;
      input.owner = inputOfOutside(at::Tensor(owner->tensor));
      input.name = inputs[input.owner].name + ".grad";
    } else if (argumentGrads.contains(tensor.unsafeGetTensorImpl())) {
      input.kind = CapturedInput::Kind::Grad;
      input.owner = argumentGrads.at(tensor.unsafeGetTensorImpl());
      input.name = inputs[input.owner].name + ".grad";
    } else {
      if (namer_)
        input.name = namer_(tensor);
      if (input.name.empty())
        input.name = "state" + std::to_string(inputs.size());
    }
    return add(std::move(input), ProxyImpl::Shape::fixed(Extent::of(tensor), tensor.device()),
               tensor.requires_grad());
  }

  uint32_t add(CapturedInput input, const ProxyImpl::Shape &shape, bool requiresGrad) {
    if (const char *reason = whyNoInput(input.tensor))
      fail(std::string(reason) + ": " + input.name);
    input.value = graph().addInput(ValueType::ofTensor(shape.type()), input.name, requiresGrad);
    noteMemory(input.value, Memory::Outside);
    uint32_t index = inputs.size();
    if (input.tensor.numel() > 0) {
      auto [first, fresh] =
          byMemory.try_emplace(input.tensor.storage().unsafeGetStorageImpl(), index);
      if (!fresh)
        graph().aliasInput(input.value, inputs[first->second].value);
    }
    byTensor.emplace(input.tensor.unsafeGetTensorImpl(), index);
    inputs.push_back(std::move(input));
    return index;
  }

  ValueId addObject(PyObject *object, std::string_view name) {
    ValueId value =
        graph().addInput(ValueType::scalar(ValueType::Kind::Object), name, /*requiresGrad=*/false);
    CapturedInput input{CapturedInput::Kind::Object, {}, 0, std::string(name), value};
    input.number = static_cast<int64_t>(reinterpret_cast<intptr_t>(object));
    objects_.emplace(value, object);
    inputs.push_back(std::move(input));
    return value;
  }

  ValueId heldObject(PyObject *object) override {
    if (auto found = held_.find(object); found != held_.end())
      return found->second;
    ValueId value =
        addObject(object, PyType_Check(object) ? reinterpret_cast<PyTypeObject *>(object)->tp_name
                                               : Py_TYPE(object)->tp_name);
    inputs.back().held = PyRef::share(object);
    held_.emplace(object, value);
    return value;
  }

  PyObject *objectAt(ValueId value) const override {
    auto found = objects_.find(value);
    return found == objects_.end() ? nullptr : found->second;
  }

  std::vector<CapturedInput> inputs;
  std::unordered_map<const c10::TensorImpl *, uint32_t> byTensor; // inputs and arguments' proxies
  std::unordered_map<const c10::TensorImpl *, uint32_t> argumentGrads;
  // Tensors whose `.grad` the program has set, maybe to what was there in this call.
  std::unordered_set<const c10::TensorImpl *> gradsSet;
  std::vector<std::pair<uint32_t, at::Tensor>> arguments; // inputs and their proxies
  std::vector<std::pair<at::Tensor, NodePointer>> outsideHistories;
  OutsideTensors outside;

private:
  Namer namer_;
  std::unordered_map<PyObject *, ValueId> held_;
  std::unordered_map<ValueId, PyObject *> objects_;
  std::unordered_map<const c10::StorageImpl *, uint32_t> byMemory;
};

//===- Capture -----------------------------------------------------------------------------===//

Capture::Capture(GraphRecorder &graph, Namer namer)
    : recording_(std::make_shared<Inputs>(graph, std::move(namer))) {}

Capture::~Capture() { unwind(); }

Capture *Capture::current() {
  return currentCapture && !currentCapture->recording_->infers() ? currentCapture : nullptr;
}

bool Capture::infers() { return currentCapture && currentCapture->recording_->infers(); }

at::Tensor Capture::addInput(const at::Tensor &real, std::string_view name,
                             std::span<const Dim> dims) {
  return proxyOf(declareInput(real, name, dims), dims, dims);
}

namespace {

ProxyImpl::Shape shapeOf(const at::Tensor &real, std::span<const Dim> dims) {
  Extent first = Extent::of(real);
  first.wrappedNumber = false;
  bool dynamic =
      std::any_of(dims.begin(), dims.end(), [](const Dim &dim) { return dim.isDynamic(); });
  return dynamic ? ProxyImpl::Shape::of(first, inOtherWorld(first, dims), real.device())
                 : ProxyImpl::Shape::fixed(first, real.device());
}

} // namespace

uint32_t Capture::declareInput(const at::Tensor &real, std::string_view name,
                               std::span<const Dim> dims) {
  if (const char *reason = whyNoInput(real))
    fail(std::string(reason) + ": " + std::string(name));
  ProxyImpl::Shape shape = shapeOf(real, dims);
  if (shape.dynamic && !shape.in(0).isNonOverlappingAndDense())
    fail(std::string(name) + " has dynamic dimensions and is not dense");
  CapturedInput input{CapturedInput::Kind::Argument, real, 0, std::string(name), kNoValue};
  return recording_->add(std::move(input), shape, real.requires_grad());
}

at::Tensor Capture::proxyOf(uint32_t index, std::span<const Dim> dims,
                            std::span<const Dim> onPath) {
  const at::Tensor real = recording_->inputs[index].tensor;
  bool asDeclared = true;
  for (size_t d = 0; d < dims.size(); ++d)
    asDeclared = asDeclared && onPath[d].world[0] == real.size(static_cast<int64_t>(d)) &&
                 onPath[d].world[1] == dims[d].world[1];
  at::Tensor proxy = asDeclared ? ProxyImpl::make(recording_, recording_->inputs[index].value,
                                                  shapeOf(real, dims), true)
                                : viewOnPath(index, Extent::of(real), onPath);
  recording_->byTensor.emplace(proxy.unsafeGetTensorImpl(), index);
  recording_->arguments.emplace_back(index, proxy);
  if (real.requires_grad() && real.is_leaf()) {
    proxy.set_requires_grad(true);
  } else if (real.requires_grad()) {
    NodePointer history = makeNode<OutsideHistory>();
    history->add_input_metadata(proxy);
    torch::autograd::impl::set_gradient_edge(proxy, {history, 0});
    recording_->outsideHistories.emplace_back(proxy, history);
  }
  if (real.is_leaf() && real.grad().defined()) {
    recording_->argumentGrads.emplace(real.grad().unsafeGetTensorImpl(), index);
    proxy.mutable_grad() = real.grad();
  }
  return proxy;
}

// The input under the sizes that its path knows, as a view of it.
at::Tensor Capture::viewOnPath(uint32_t input, const Extent &real, std::span<const Dim> onPath) {
  const CapturedInput &captured = recording_->inputs[input];
  if (!real.isContiguous() || captured.tensor.requires_grad())
    fail("sizes of " + captured.name + " decide, and it is not contiguous or has gradients");
  GraphRecorder &graph = recording_->graph();
  Dims sizes[2];
  AtenCall view{"aten::view", {{AtenArg::Operand{0}}}, {}};
  AtenArg::List list;
  std::vector<ValueId> operands{captured.value};
  bool byValues = false;
  for (size_t d = 0; d < onPath.size(); ++d) {
    byValues = byValues || recording_->isOfValues(onPath[d]);
    for (int world : {0, 1})
      sizes[world].push_back(onPath[d].world[world]);
    if (!onPath[d].isDynamic()) {
      list.push_back({onPath[d].world[0]});
      continue;
    }
    list.push_back({AtenArg::Operand{static_cast<uint32_t>(operands.size())}});
    operands.push_back(graph.dim(captured.value, static_cast<int64_t>(d)));
  }
  view.args.push_back({std::move(list)});
  c10::Device device = captured.tensor.device();
  Extent first = Extent::contiguous(sizes[0], real.dtype);
  ProxyImpl::Shape shape =
      sizes[0] == sizes[1]
          ? ProxyImpl::Shape::fixed(first, device)
          : ProxyImpl::Shape::of(first, Extent::contiguous(sizes[1], real.dtype), device);
  shape.byValues = byValues;
  ValueType type = ValueType::ofTensor(shape.type());
  ValueId value = graph.aten(view, operands, {&type, 1}, /*noGrad=*/true)[0];
  recording_->noteMemory(value, Recording::Memory::Outside);
  return ProxyImpl::make(recording_, value, shape, /*fromInput=*/!byValues);
}

int64_t Capture::decide(ValueId number, const std::string &what) {
  auto outcome = recording_->mayDecide() ? recording_->decide(number, what) : std::nullopt;
  if (!outcome)
    fail(what + " is not known ahead");
  return *outcome;
}

c10::SymNode Capture::addNumber(const c10::Scalar &number, std::string_view name) {
  using Kind = SymbolicScalar::Kind;
  Kind kind = number.isBoolean() ? Kind::Bool : number.isFloatingPoint() ? Kind::Float : Kind::Int;
  ValueId value = recording_->graph().addInput(typeOf(kind), name, false);
  recording_->inputs.push_back(
      {CapturedInput::Kind::Number, {}, 0, std::string(name), value, number});
  return SymbolicScalar::ofValue(recording_, kind, value);
}

ValueId Capture::addObject(PyObject *object, std::string_view name) {
  return recording_->addObject(object, name);
}

at::Tensor Capture::addSeed(const at::Tensor &output) {
  std::string name = "seed" + std::to_string(recording_->inputs.size());
  const ProxyImpl::Shape &shape = ProxyImpl::of(output)->shape();
  ValueId value = recording_->graph().addInput(ValueType::ofTensor(shape.type()), name, false);
  recording_->inputs.push_back({CapturedInput::Kind::Seed, {}, 0, name, value});
  return ProxyImpl::make(recording_, value, shape, true);
}

void Capture::begin() {
  // Entries of autocast's cache are tensors that nobody can name.
  at::autocast::clear_cache();
  mode_.emplace(recording_);
  outer_ = currentCapture;
  currentCapture = this;
}

void Capture::unwind() {
  if (mode_) {
    mode_.reset();
    currentCapture = outer_;
    at::autocast::clear_cache();
  }
  recording_->outside.restore();
  recording_->arguments.clear();
  recording_->outsideHistories.clear();
  spent_.clear();
  recording_->close();
}

void Capture::end() {
  if (!mode_)
    return;
  struct Unwind {
    Capture &capture;
    ~Unwind() { capture.unwind(); }
  } unwindAfterwards{*this};
  if (recording_->failure())
    throw CaptureError(*recording_->failure());
}

void Capture::endProgram() {
  Inputs &recording = *recording_;
  auto isSet = [&](const at::Tensor &tensor) {
    return recording.gradsSet.contains(tensor.unsafeGetTensorImpl());
  };
  auto record = [&](uint32_t input, const at::Tensor &before, const at::Tensor &now, bool set) {
    if (before.is_same(now) && !set)
      return;
    std::optional<ValueId> value;
    if (now.defined())
      value = valueOf(now);
    recording.graph().storeAttr(recording.inputs[input].value, "grad", value);
  };
  // By index: an owner that is met here first is noted, and so grows the list.
  for (size_t i = 0; i < recording.outside.all().size(); ++i) {
    OutsideTensors::Snapshot snapshot = recording.outside.all()[i];
    auto *meta = torch::autograd::impl::get_autograd_meta(snapshot.tensor);
    at::Tensor now = meta ? meta->grad_ : at::Tensor();
    if (meta && !snapshot.gradFn && meta->grad_fn_)
      recording.fail("a tensor from outside becomes part of the function's autograd history");
    // What has been asked is checked before each run, as of every input. Of a tensor that nobody
    // has but the snapshots, as `.data` gives out, what it came from was asked.
    constexpr int64_t kOfSnapshots = 2;
    if (snapshot.asked && snapshot.tensor.use_count() > kOfSnapshots)
      recording.inputOfOutside(snapshot.tensor);
    bool set = isSet(snapshot.tensor);
    if (snapshot.gradLookedAt || set || !now.is_same(snapshot.grad)) {
      uint32_t input = recording.inputOfOutside(snapshot.tensor);
      if (snapshot.gradLookedAt)
        gradPresence_.emplace_back(input, snapshot.grad.defined());
      if (snapshot.gradDroppedFirst &&
          !recording.byTensor.contains(snapshot.grad.unsafeGetTensorImpl()))
        gradsDroppedFirst_.push_back(input);
      record(input, snapshot.grad, now, set);
    }
  }
  for (auto &[input, proxy] : recording.arguments) {
    const at::Tensor &real = recording.inputs[input].tensor;
    if (proxy.grad_fn() && !hasOutsideHistory(proxy.grad_fn().get()))
      recording.fail("an argument becomes part of the function's autograd history");
    if (!real.is_leaf())
      continue;
    if (real.requires_grad() || proxy.requires_grad())
      gradPresence_.emplace_back(input, real.grad().defined());
    record(input, real.grad(), proxy.grad(), isSet(proxy));
  }
  noteSharedGrads();
}

void Capture::noteSharedGrads() {
  auto note = [&](uint32_t owner, const at::Tensor &grad) {
    auto known = recording_->byTensor.find(grad.unsafeGetTensorImpl());
    if (known == recording_->byTensor.end())
      return;
    const CapturedInput &input = recording_->inputs[known->second];
    if (input.kind != CapturedInput::Kind::Grad || input.owner != owner)
      sharedGrads_.emplace_back(owner, known->second);
  };
  for (const OutsideTensors::Snapshot &snapshot : recording_->outside.all())
    if (snapshot.gradLookedAt && snapshot.grad.defined())
      note(recording_->byTensor.at(snapshot.tensor.unsafeGetTensorImpl()), snapshot.grad);
  for (const auto &[input, proxy] : recording_->arguments)
    if (const at::Tensor &real = recording_->inputs[input].tensor;
        real.is_leaf() && real.grad().defined())
      note(input, real.grad());
}

std::vector<std::pair<at::Tensor, bool>> Capture::requiresGradSet() const {
  std::vector<std::pair<at::Tensor, bool>> set;
  for (const OutsideTensors::Snapshot &snapshot : recording_->outside.all()) {
    auto *meta = torch::autograd::impl::get_autograd_meta(snapshot.tensor);
    if (meta && meta->requires_grad_ != snapshot.requiresGrad)
      set.emplace_back(snapshot.tensor, meta->requires_grad_);
  }
  for (const auto &[input, proxy] : recording_->arguments)
    if (!proxy.grad_fn() &&
        proxy.requires_grad() != recording_->inputs[input].tensor.requires_grad())
      set.emplace_back(proxy, proxy.requires_grad());
  return set;
}

ValueId Capture::valueOf(const at::Tensor &tensor) {
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  if (!proxy)
    return recording_->outsideTensor(tensor);
  if (proxy->recording() != recording_ || proxy->value() == kNoValue)
    fail("a value that is not in the graph is used");
  if (recording_->isItem(proxy->value()))
    fail("an item of a list that grows is returned or kept");
  // Where nothing is written the run has the very tensor, and gives that.
  Recording::Memory memory = recording_->memoryOf(proxy->value());
  bool mayBeOutside = memory == Recording::Memory::Either || memory == Recording::Memory::Found;
  bool mayBeWritten = memory == Recording::Memory::Either && recording_->writesOutside();
  if (mayBeWritten || (mayBeOutside && tensor.requires_grad()))
    fail("what the function returns or keeps is a tensor from outside in some calls only");
  return proxy->value();
}

ValueId Capture::valueOf(const c10::SymNode &number) {
  auto *symbol = SymbolicScalar::of(number);
  if (!symbol)
    fail("a symbolic number of another tracer is used");
  return symbol->value();
}

bool Capture::isProxy(const at::Tensor &tensor) const {
  ProxyImpl *proxy = ProxyImpl::of(tensor);
  return proxy && proxy->recording() == recording_;
}

bool Capture::isTrainable(const at::Tensor &tensor) const {
  return tensor.requires_grad() && !spent_.contains(tensor.grad_fn());
}

std::optional<uint32_t> Capture::inputOf(const at::Tensor &tensor) const {
  auto found = recording_->byTensor.find(tensor.unsafeGetTensorImpl());
  return found == recording_->byTensor.end() ? std::nullopt : std::optional(found->second);
}

const std::vector<CapturedInput> &Capture::inputs() const { return recording_->inputs; }

void Capture::note(const at::Tensor &tensor) {
  recording_->refuseInScope("a tensor is changed by no op");
  if (tensor.defined() && !ProxyImpl::of(tensor))
    recording_->outside.note(tensor);
}

void Capture::noteGradRead(const at::Tensor &tensor) {
  if (tensor.defined() && !ProxyImpl::of(tensor))
    recording_->outside.note(tensor).gradLookedAt = true;
}

void Capture::noteGradSet(const at::Tensor &tensor, bool isDropped) {
  recording_->refuseInScope("a .grad is set");
  if (!tensor.defined())
    return;
  recording_->gradsSet.insert(tensor.unsafeGetTensorImpl());
  if (ProxyImpl::of(tensor))
    return;
  OutsideTensors::Snapshot &snapshot = recording_->outside.note(tensor);
  if (isDropped && snapshot.grad.defined() && !recording_->hasOps())
    snapshot.gradDroppedFirst = true;
}

void Capture::requireSure(const MergedHistory *history, const std::string &why) {
  if (!history)
    return;
  if (recording_->unsure && history->origin.site)
    recording_->unsure(*history, why);
  fail(why);
}

// Loops first: they may be what the branches lie in.
void Capture::requireOneWay(std::span<const MergedHistory *const> histories,
                            const std::string &why) {
  if (histories.empty())
    return;
  for (bool loops : {true, false})
    for (const MergedHistory *history : histories)
      if (recording_->oneWay && history->origin.oneWay && history->origin.loops == loops)
        recording_->oneWay(history->origin.oneWay, why);
  fail(why);
}

const MergedHistory *Capture::unsureHistory(const at::Tensor &tensor) const {
  return recording_->mergesHistories() ? findUnsure(tensor) : nullptr;
}

bool Capture::drawsRandomNumbers() const { return recording_->drawsRandomNumbers(); }
CaptureCost Capture::cost() const { return recording_->cost; }
int64_t Capture::liveProxies() const { return recording_->liveProxies; }
void Capture::fail(const std::string &message) { recording_->fail(message); }
Recording &Capture::recording() { return *recording_; }

bool Capture::hasOutsideHistory(const torch::autograd::Node *node) const {
  const auto &histories = recording_->outsideHistories;
  return std::any_of(histories.begin(), histories.end(),
                     [&](const auto &known) { return known.second.get() == node; });
}

const std::vector<std::pair<at::Tensor, NodePointer>> &Capture::outsideHistories() const {
  return recording_->outsideHistories;
}

} // namespace bifront
