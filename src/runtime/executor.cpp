#include "runtime/executor.h"

#include "runtime/below_autograd.h"
#include "runtime/frame.h"
#include "runtime/idle_frames.h"

#include <c10/util/SmallVector.h>

#include <map>

namespace bifront {
namespace {

// Instead of a class of equal dimensions.
constexpr int32_t kFixed = -1;
constexpr int32_t kAny = -2; // a `?` of hand-written IR, which is known to equal no other

// Ends the frame's run whatever happens, while its allocation scope still stands.
class FrameRun {
public:
  FrameRun(Frame &frame, AllocationScope &scope) : frame(frame) { frame.begin(scope); }
  ~FrameRun() { frame.end(failed); }
  bool failed = true;

private:
  Frame &frame;
};

} // namespace

Executor::Executor(std::shared_ptr<const Program> program)
    : linked(std::make_unique<LinkedProgram>(std::move(program))) {
  ordinaryAllocator(); // installs ours
  const Program &of = *linked->program;
  TORCH_CHECK(of.inputPlaces.size() == of.inputs.size(),
              "the program does not place all its inputs");
  std::map<std::pair<int64_t, int64_t>, int32_t> classes;
  for (const InputSpec &input : of.inputs) {
    InputCheck check;
    check.device = c10::Device(input.type.tensor.device);
    for (const Dim &dim : input.type.tensor.dims) {
      if (!dim.isDynamic())
        check.dynamicClass.push_back(kFixed);
      else if (dim.world[0] < 0)
        check.dynamicClass.push_back(kAny);
      else
        check.dynamicClass.push_back(
            classes.try_emplace({dim.world[0], dim.world[1]}, classes.size()).first->second);
    }
    checks.push_back(std::move(check));
  }
  numClasses = classes.size();
}

Executor::~Executor() = default;

const Program &Executor::program() const { return *linked->program; }

uint64_t Executor::shadowedBytes() const { return linked->shadowedBytes; }
uint64_t Executor::tapeBytes() const { return linked->tapeBytes; }

size_t Executor::numFrames() const {
  std::lock_guard lock(mutex);
  return frames;
}

std::unique_ptr<Frame> Executor::takeFrame() {
  std::unique_ptr<Frame> frame = takeIdleFrame();
  IdleFrames::instance().wake(*frame);
  return frame;
}

std::unique_ptr<Frame> Executor::takeIdleFrame() {
  std::lock_guard lock(mutex);
  if (idle.empty()) {
    ++frames;
    idle.reserve(frames); // so that giving it back cannot throw
    return std::make_unique<Frame>(*linked);
  }
  std::unique_ptr<Frame> frame = std::move(idle.back());
  idle.pop_back();
  return frame;
}

void Executor::bindTensor(Frame &frame, size_t input, const at::Tensor &tensor,
                          std::span<int64_t> dynamicSizes) const {
  const InputSpec &spec = program().inputs[input];
  const TensorType &type = spec.type.tensor;
  if (spec.type.kind == ValueType::Kind::Tape) {
    frame.slots[program().inputPlaces[input].index] = tensor;
    return;
  }
  TORCH_CHECK(tensor.defined() && tensor.layout() == at::kStrided, spec.name,
              " must be an ordinary dense tensor");
  TORCH_CHECK(tensor.scalar_type() == static_cast<c10::ScalarType>(type.dtype), spec.name,
              " must be ", static_cast<c10::ScalarType>(type.dtype), ", not ",
              tensor.scalar_type());
  TORCH_CHECK(tensor.device() == checks[input].device, spec.name, " must be on ",
              checks[input].device, ", not on ", tensor.device());
  TORCH_CHECK(static_cast<size_t>(tensor.dim()) == type.dims.size(), spec.name, " must have ",
              type.dims.size(), " dimensions, not ", tensor.dim());
  for (size_t dim = 0; dim < type.dims.size(); ++dim) {
    int64_t size = tensor.size(dim);
    int32_t dynamic = checks[input].dynamicClass[dim];
    if (dynamic == kAny)
      continue;
    if (dynamic == kFixed) {
      TORCH_CHECK(size == type.dims[dim].world[0], spec.name, ": dimension ", dim, " must be ",
                  type.dims[dim].world[0], ", not ", size);
    } else {
      int64_t &common = dynamicSizes[dynamic];
      TORCH_CHECK(common < 0 || common == size, spec.name, ": dimension ", dim, " must be ", common,
                  " as in the inputs before, not ", size);
      common = size;
    }
  }
  frame.slots[program().inputPlaces[input].index] = tensor;
}

void Executor::bind(Frame &frame, std::span<const c10::IValue> inputs) const {
  const Program &of = program();
  TORCH_CHECK(inputs.size() == of.inputs.size(), "the graph takes ", of.inputs.size(),
              " inputs, not ", inputs.size());
  c10::SmallVector<int64_t, 16> dynamicSizes(numClasses, -1);
  bool isWhole = true;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const OperandRef &place = of.inputPlaces[i];
    if (inputs[i].isNone()) {
      isWhole = false;
      if (place.kind != OperandRef::Kind::Tensor)
        frame.scalars[place.index].i = 0;
      continue;
    }
    if (place.kind == OperandRef::Kind::Tensor) {
      TORCH_CHECK(inputs[i].isTensor(), of.inputs[i].name, " must be a tensor");
      bindTensor(frame, i, inputs[i].toTensor(), {dynamicSizes.data(), dynamicSizes.size()});
      continue;
    }
    TORCH_CHECK(inputs[i].isScalar(), of.inputs[i].name, " must be a number");
    Scalar64 &scalar = frame.scalars[place.index];
    if (place.kind == OperandRef::Kind::Float)
      scalar.f = inputs[i].toScalar().toDouble();
    else
      scalar.i = inputs[i].toScalar().toLong();
  }
  for (size_t i = 0; !isWhole && i < inputs.size(); ++i)
    if (const OperandRef &place = of.inputPlaces[i];
        inputs[i].isNone() && place.kind == OperandRef::Kind::Tensor)
      frame.slots[place.index] = blank(i, {dynamicSizes.data(), dynamicSizes.size()});
}

// Nobody reads what is in it. But its sizes may be asked for in the place of equal ones.
at::Tensor Executor::blank(size_t input, std::span<const int64_t> dynamicSizes) const {
  const TensorType &type = program().inputs[input].type.tensor;
  c10::SmallVector<int64_t, 8> sizes;
  for (size_t dim = 0; dim < type.dims.size(); ++dim) {
    int32_t dynamic = checks[input].dynamicClass[dim];
    int64_t common = dynamic >= 0 ? dynamicSizes[dynamic] : -1;
    sizes.push_back(common >= 0 ? common : std::max<int64_t>(type.dims[dim].world[0], 0));
  }
  return at::empty(
      sizes, at::device(checks[input].device).dtype(static_cast<c10::ScalarType>(type.dtype)));
}

void Executor::collect(const Frame &frame, std::vector<c10::IValue> &outputs) const {
  for (const OperandRef &place : program().returns) {
    switch (place.kind) {
    case OperandRef::Kind::Tensor:
      outputs.emplace_back(place.index == kNoSlot ? at::Tensor() : frame.slots[place.index]);
      break;
    case OperandRef::Kind::Int: outputs.emplace_back(frame.scalars[place.index].i); break;
    case OperandRef::Kind::Float: outputs.emplace_back(frame.scalars[place.index].f); break;
    case OperandRef::Kind::Bool: outputs.emplace_back(frame.scalars[place.index].i != 0); break;
    }
  }
}

RunResult Executor::run(std::span<const c10::IValue> inputs, std::vector<c10::IValue> &outputs) {
  RunResult result;
  outputs.clear();
  std::unique_ptr<Frame> frame = takeFrame();
  try {
    BelowAutograd belowAutograd;
    AllocationScope scope(frame->allocationPool());
    FrameRun run(*frame, scope);
    bind(*frame, inputs);
    int32_t status = program().entry(frame.get());
    if (status == 0) {
      collect(*frame, outputs);
      run.failed = false;
    } else {
      result.status = status == kAssertionFailed ? RunResult::Status::AssertionFailed
                                                 : RunResult::Status::Threw;
      result.exception = std::exchange(frame->run.exception, nullptr);
      result.assertion = frame->run.failedAssertion;
      result.location = frame->run.location;
    }
  } catch (...) {
    result.status = RunResult::Status::Threw;
    result.exception = std::current_exception();
  }
  IdleFrames::instance().add(*frame);
  std::lock_guard lock(mutex);
  idle.push_back(std::move(frame));
  return result;
}

} // namespace bifront
