#include "runtime/frame.h"

#include "runtime/call_depth.h"
#include "runtime/idle_frames.h"
#include "runtime/plain_memory.h"
#include "runtime/stack_room.h"
#include "runtime/tape.h"
#include "support/fail_nth.h"
#include "support/heap.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>

#include <atomic>
#include <utility>

namespace bifront {
namespace {

std::atomic<InterruptHook> interruptHook{nullptr};
constexpr uint32_t kStepsBetweenPolls = 64;

const void *storageOf(const at::Tensor &tensor) {
  return tensor.has_storage()
             ? tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl()
             : nullptr;
}

// The bytes from a tensor's first element to the end of its last.
int64_t spanOf(const at::Tensor &tensor) {
  int64_t last = 0;
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
    if (tensor.size(dim) == 0)
      return 0;
    last += (tensor.size(dim) - 1) * tensor.stride(dim);
  }
  return (last + 1) * static_cast<int64_t>(tensor.element_size());
}

bool isSameView(const at::Tensor &a, const at::Tensor &b) {
  return storageOf(a) && storageOf(a) == storageOf(b) && a.storage_offset() == b.storage_offset() &&
         a.sizes() == b.sizes() && a.strides() == b.strides() && a.scalar_type() == b.scalar_type();
}

} // namespace

void setInterruptHook(InterruptHook hook) { interruptHook.store(hook); }

LinkedProgram::LinkedProgram(std::shared_ptr<const Program> from) : program(std::move(from)) {
  for (const std::shared_ptr<const Program> &function : program->functions)
    functions.push_back(std::make_unique<LinkedProgram>(function));
  for (const CallStep &step : program->calls) {
    calls.emplace_back(step.call);
    TORCH_CHECK(calls.back().numOperands() == step.operands.size(), step.call.schema, " takes ",
                calls.back().numOperands(), " operands, but the program gives ",
                step.operands.size());
  }
}

Frame::Frame(const LinkedProgram &linked)
    : program(*linked.program), slots(program.slots.size()), run(*new RunState), linked(linked),
      ownedRun(&run), root(*this), headers(program.slots.size()) {
  prepareSteps();
  for (const auto &function : linked.functions)
    functions.push_back(std::unique_ptr<Frame>(new Frame(*function, *this)));
}

Frame::Frame(const LinkedProgram &linked, Frame &root)
    : program(*linked.program), run(root.run), linked(linked), root(root),
      headers(program.slots.size()), placing(false) {
  prepareSteps();
}

void Frame::prepareSteps() {
  scalarStorage.resize(std::max<size_t>(program.numScalars, 1));
  scalars = scalarStorage.data();
  packedRights.resize(program.numPackedRights);
  calls.resize(program.calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    calls[i].operands.resize(program.calls[i].operands.size());
    calls[i].allocations.plan(program, program.calls[i]);
  }
  kernels.resize(program.kernels.size());
  for (size_t i = 0; i < kernels.size(); ++i) {
    const KernelStep &step = program.kernels[i];
    kernels[i].inputs.resize(step.inputs.size());
    kernels[i].sizes.resize(step.sizes.size());
    kernels[i].copies.resize(step.inputs.size());
    kernels[i].outputs.resize(step.outputs.size());
    kernels[i].pointers.resize(step.inputs.size() + step.outputs.size());
    kernels[i].scalars.resize(std::max<size_t>(step.scalars.size(), 1));
  }
}

Frame::~Frame() {
  IdleFrames::instance().remove(*this);
  functions.clear();
  slots.clear();
  headers.clear();
  calls.clear();
  kernels.clear();
  if (arena)
    arena->release();
}

std::vector<int64_t> Frame::plannedOffsets() const {
  std::vector<int64_t> offsets;
  for (const TensorSlot &slot : program.slots)
    if (slot.offset >= 0)
      offsets.push_back(slot.offset);
  return offsets;
}

Arena *Frame::giveUpArena() {
  for (at::Tensor &header : headers)
    header.reset();
  return std::exchange(arena, nullptr);
}

size_t Frame::keptBytes() const {
  return run.pool->cachedBytes() + (arena ? static_cast<size_t>(arena->size()) : 0);
}

size_t Frame::neededBytes() const {
  return run.pool->mostUsedBytes() + static_cast<size_t>(program.arenaBytes);
}

void Frame::takeOver(Frame &idle) {
  bool hasEnough = ranBefore && run.pool->cachedBytes() >= run.pool->mostUsedBytes();
  if (!hasEnough)
    run.pool->takeFrom(*idle.run.pool);
  if (arena || !idle.arena || static_cast<size_t>(program.arenaBytes) < kLargeMemory)
    return;
  Arena *given = idle.giveUpArena();
  arena = Arena::createOver(given, program.arenaBytes, plannedOffsets());
  if (!arena)
    given->release(); // it may have a larger one when it runs again
}

void Frame::begin(AllocationScope &runScope) {
  run.scope = &runScope;
  placing = program.arenaBytes > 0;
  if (placing && !arena) {
    // The arena takes over from what eager steps have left free in the heap.
    if (!ranBefore && static_cast<size_t>(program.arenaBytes) >= kLargeMemory)
      returnFreeMemory();
    arena = Arena::create(ordinaryAllocator(), program.arenaBytes, plannedOffsets());
  }
  ranBefore = true;
  for (PackedRight &packed : packedRights)
    packed.forget();
  run.scope->useArena(arena);
  run.tapes.leaveOut({slots.data(), program.inputs.size()});
  stored = false;
  run.calls = run.newCalls = 0;
  run.mayBeEnded = true;
  run.exception = nullptr;
  run.location = {};
}

void Frame::forgetSteps() {
  for (CallState &state : calls) {
    state.scratch = {};
    for (c10::IValue &operand : state.operands)
      operand = {};
    state.results.clear();
  }
  for (KernelState &state : kernels) {
    for (at::Tensor &copy : state.copies)
      copy.reset();
    for (at::Tensor &output : state.outputs)
      output.reset();
  }
}

void Frame::end(bool failed) {
  run.tapes.forget();
  for (at::Tensor &slot : slots)
    slot.reset();
  oldContents.clear();
  if (failed) {
    forgetSteps();
    for (const auto &function : functions)
      function->forgetSteps();
  }
  // Somebody who still holds a piece of the arena keeps all of it; the next run gets another.
  bool kept = arena && arena->leased() != 0;
  for (const at::Tensor &header : headers)
    kept |= header.defined() && (header.use_count() > 1 || header.storage().use_count() > 1);
  if (kept)
    giveUpArena()->release();
  if (!run.held.empty())
    objectReads().release(run.held);
  if (uint64_t most = run.tapes.peakBytes(); most > linked.tapeBytes)
    linked.tapeBytes = most; // of two runs at once, that of one
  run.pool->endRun();
  if (2 * run.newCalls > run.calls)
    run.pool->shrink(); // the next run has other places for most of it
  run.scope->useArena(nullptr);
  run.scope = nullptr;
}

void Frame::poll() {
  // What the outside sees is changed as a whole or not at all.
  if (!run.mayBeEnded)
    return;
  if (++run.steps % kStepsBetweenPolls == 0)
    if (InterruptHook hook = interruptHook.load(std::memory_order_relaxed))
      hook();
}

// ---- Calls ----

void Frame::takeResult(const OperandRef &place, c10::IValue &&value) {
  if (place.index == kNoSlot)
    return;
  Scalar64 &scalar = scalars[place.kind == OperandRef::Kind::Tensor ? 0 : place.index];
  switch (place.kind) {
  case OperandRef::Kind::Tensor:
    slots[place.index] = value.isTensor() ? std::move(value).toTensor() : at::Tensor();
    break;
  case OperandRef::Kind::Int: scalar.i = value.toScalar().toLong(); break;
  case OperandRef::Kind::Float: scalar.f = value.toScalar().toDouble(); break;
  case OperandRef::Kind::Bool: scalar.i = value.toScalar().toBool(); break;
  }
}

bool Frame::isOwn(SlotId slot, const at::Tensor &tensor, size_t owners) const {
  owners += headers[slot].is_same(tensor) ? 1 : 0;
  return tensor.use_count() == owners && tensor.storage().use_count() == 1;
}

const std::vector<bool> &Frame::reusedBy(const CallStep &step, CallState &state) const {
  if (step.reuseOwn.empty())
    return step.reuse;
  state.reuse = step.reuse;
  for (size_t k = 0; k < step.reuseOwn.size(); ++k) {
    if (!step.reuseOwn[k])
      continue;
    uint32_t number = step.call.written[k];
    const at::Tensor &tensor = state.operands[number].toTensor();
    // The slot has it, and the operand.
    state.reuse[k] =
        tensor.is_non_overlapping_and_dense() && isOwn(step.operands[number].index, tensor, 2);
  }
  return state.reuse;
}

void Frame::call(uint32_t index) {
  const CallStep &step = program.calls[index];
  CallState &state = calls[index];
  run.location = step.location;
  poll();
  for (size_t i = 0; i < step.operands.size(); ++i) {
    const OperandRef &operand = step.operands[i];
    switch (operand.kind) {
    case OperandRef::Kind::Tensor: state.operands[i] = slots[operand.index]; break;
    case OperandRef::Kind::Int: state.operands[i] = scalars[operand.index].i; break;
    case OperandRef::Kind::Float: state.operands[i] = scalars[operand.index].f; break;
    case OperandRef::Kind::Bool: state.operands[i] = scalars[operand.index].i != 0; break;
    }
  }
  ++run.calls;
  run.newCalls += state.allocations.isNew();
  state.allocations.begin(*run.scope, placing ? arena : nullptr, run.scratch);
  throwOnPurpose(Failure::Call);
  linked.calls[index].invoke(state.operands, reusedBy(step, state), state.scratch, state.results,
                             step.packedRight < 0 ? nullptr : &packedRights[step.packedRight]);
  for (c10::IValue &operand : state.operands)
    operand = {};
  placing &= state.allocations.end(*run.scope, arena, run.scratch, state.results);
  TORCH_CHECK(state.results.size() == step.results.size(), step.call.schema, " gave ",
              state.results.size(), " results where the graph expects ", step.results.size());
  for (size_t k = 0; k < step.results.size(); ++k)
    takeResult(step.results[k], std::move(state.results[k]));
  state.results.clear();
  release(step.release);
}

// ---- Kernels ----

void Frame::plan(const KernelStep &step, KernelState &state) {
  state.plan.make(step, program.slots, state.inputs, state.sizes);
  state.spans.clear();
  for (const at::Tensor *input : state.inputs)
    state.spans.push_back(spanOf(*input));
  state.headersFit = false;
}

// Writing [at, at + bytes) while the kernel reads its inputs is right if what overlaps is read at
// the very place it is written to.
bool Frame::isFreeToWrite(const KernelState &state, const char *at, int64_t bytes,
                          int64_t elementSize) const {
  for (size_t k = 0; k < state.inputs.size(); ++k) {
    const char *input = state.pointers[k];
    if (input + state.spans[k] <= at || at + bytes <= input)
      continue;
    bool elementwise = input == at && state.plan.likeOutput(k) &&
                       static_cast<int64_t>(state.inputs[k]->element_size()) == elementSize;
    if (!elementwise)
      return false;
  }
  return true;
}

bool Frame::mayOverwrite(const KernelStep &step, const KernelState &state, size_t input,
                         DType type) const {
  const at::Tensor &tensor = *state.inputs[input];
  SlotId slot = step.inputs[input];
  if (state.copies[input].defined() || !state.plan.likeOutput(input) ||
      tensor.scalar_type() != static_cast<c10::ScalarType>(type))
    return false;
  // An input of the graph is overwritten because a store to it follows; others must be ours alone.
  if (!isInput(slot) && !isOwn(slot, tensor, 1))
    return false;
  int64_t elementSize = static_cast<int64_t>(tensor.element_size());
  return isFreeToWrite(state, state.pointers[input], state.plan.numel() * elementSize, elementSize);
}

at::Tensor Frame::headerFor(SlotId slot, const KernelState &state, c10::ScalarType type) {
  at::Tensor &header = headers[slot];
  if (header.defined() && state.headersFit && header.use_count() == 1)
    return header;
  auto bytes = static_cast<int64_t>(c10::elementSize(type)) * state.plan.numel();
  auto storage = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes,
                                                       arena->hold(program.slots[slot].offset),
                                                       /*allocator=*/nullptr, /*resizable=*/false);
  header = at::detail::make_tensor<c10::TensorImpl>(std::move(storage),
                                                    c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                    c10::scalarTypeToTypeMeta(type));
  header.unsafeGetTensorImpl()->set_sizes_and_strides(state.plan.outputSizes(),
                                                      state.plan.outputStrides());
  return header;
}

at::Tensor Frame::outputOf(const KernelStep &step, KernelState &state, size_t output) {
  if (output < step.inPlace.size() && step.inPlace[output] >= 0) {
    size_t input = step.inPlace[output];
    if (mayOverwrite(step, state, input, step.outputTypes[output])) {
      if (isInput(step.inputs[input]))
        run.mayBeEnded = false; // there are new contents of an input in its place
      return *state.inputs[input];
    }
  }
  SlotId id = step.outputs[output];
  const TensorSlot &slot = program.slots[id];
  auto type = static_cast<c10::ScalarType>(step.outputTypes[output]);
  auto elementSize = static_cast<int64_t>(c10::elementSize(type));
  int64_t bytes = state.plan.numel() * elementSize;
  if (placing && slot.offset >= 0 && bytes <= slot.bytes && bytes > 0 &&
      isFreeToWrite(state, arena->at(slot.offset), bytes, elementSize))
    return headerFor(id, state, type);
  return at::detail::empty_strided_cpu(state.plan.outputSizes(), state.plan.outputStrides(), type);
}

void Frame::kernel(uint32_t index) {
  const KernelStep &step = program.kernels[index];
  KernelState &state = kernels[index];
  run.location = step.location;
  poll();
  size_t inputs = step.inputs.size();
  for (size_t k = 0; k < inputs; ++k) {
    const at::Tensor &input = slots[step.inputs[k]];
    state.inputs[k] = &input;
    TORCH_CHECK(input.defined(), step.symbol, ": input ", k, " has no value");
    if (!isResolved(input)) {
      state.copies[k] = at::clone(input, at::MemoryFormat::Preserve);
      state.copies[k] = state.copies[k].resolve_conj().resolve_neg();
      state.inputs[k] = &state.copies[k];
    }
  }
  for (size_t k = 0; k < step.sizes.size(); ++k)
    state.sizes[k] = scalars[step.sizes[k].index].i;
  if (!state.plan.matches(state.inputs, state.sizes))
    plan(step, state);
  for (size_t k = 0; k < inputs; ++k)
    state.pointers[k] = static_cast<char *>(const_cast<void *>(state.inputs[k]->const_data_ptr()));
  if (state.plan.anyCopies()) {
    for (size_t k = 0; k < inputs; ++k) {
      if (!state.plan.copyFirst(k))
        continue;
      at::Tensor copy = at::detail::empty_strided_cpu(
          state.plan.outputSizes(), state.plan.outputStrides(), state.inputs[k]->scalar_type());
      copy.copy_(*state.inputs[k]);
      state.copies[k] = std::move(copy);
      state.pointers[k] = static_cast<char *>(const_cast<void *>(state.copies[k].const_data_ptr()));
    }
  }
  for (size_t k = 0; k < step.outputs.size(); ++k) {
    state.outputs[k] = outputOf(step, state, k);
    state.pointers[inputs + k] = static_cast<char *>(state.outputs[k].mutable_data_ptr());
  }
  state.headersFit = true;
  for (size_t k = 0; k < step.scalars.size(); ++k)
    state.scalars[k] = scalars[step.scalars[k].index];
  state.plan.run(state.pointers.data(), state.scalars.data());
  for (size_t k = 0; k < inputs; ++k)
    state.copies[k].reset();
  for (size_t k = 0; k < step.outputs.size(); ++k)
    slots[step.outputs[k]] = std::move(state.outputs[k]);
  release(step.release);
}

// ---- Moves ----

void Frame::move(uint32_t index) {
  const MoveStep &step = program.moves[index];
  for (const MoveStep::Pair &pair : step.pairs)
    moving.push_back(slots[pair.from]);
  for (size_t k = 0; k < step.pairs.size(); ++k)
    slots[step.pairs[k].to] = std::move(moving[k]);
  moving.clear();
  release(step.release);
}

// ---- Tapes ----

void Frame::tape(uint32_t index) {
  const TapeStep &step = program.tapeSteps[index];
  if (step.action == TapeStep::Action::Start)
    slots[step.tape] = Tape::make(run.tapes);
  Tape &tape = Tape::in(slots[step.tape]);
  if (step.action == TapeStep::Action::Push) {
    for (const OperandRef &value : step.values)
      if (value.kind == OperandRef::Kind::Tensor)
        tape.push(slots[value.index]);
      else
        tape.push(scalars[value.index]);
  } else if (step.action == TapeStep::Action::PopRows) {
    std::vector<at::Tensor> rows = tape.popRows(step.rows);
    for (size_t number = 0; number < rows.size(); ++number)
      if (uint32_t slot = step.values[number].index; slot != kNoSlot)
        slots[slot] = std::move(rows[number]);
  } else {
    for (auto value = step.values.rbegin(); value != step.values.rend(); ++value)
      if (value->kind != OperandRef::Kind::Tensor)
        scalars[value->index] = tape.popNumber();
      else if (at::Tensor popped = tape.popTensor(); value->index != kNoSlot)
        slots[value->index] = std::move(popped);
  }
  release(step.release);
}

// ---- Functions ----

Frame::Activation Frame::newActivation() {
  if (spare.empty())
    return {std::vector<at::Tensor>(program.slots.size()),
            std::vector<Scalar64>(std::max<size_t>(program.numScalars, 1))};
  Activation activation = std::move(spare.back());
  spare.pop_back();
  return activation;
}

void Frame::exchange(Activation &with) {
  slots.swap(with.slots);
  scalarStorage.swap(with.scalars); // does not move them: native code has their address
  scalars = scalarStorage.data();
}

Frame::Activation Frame::argumentsFor(Frame &callee, const FunctionStep &step) {
  Activation made = callee.newActivation();
  for (size_t k = 0; k < step.operands.size(); ++k) {
    const OperandRef &from = step.operands[k], &to = callee.program.inputPlaces[k];
    if (from.kind == OperandRef::Kind::Tensor)
      made.slots[to.index] = slots[from.index];
    else
      made.scalars[to.index] = scalars[from.index];
  }
  return made;
}

int32_t Frame::callFunction(uint32_t index) {
  const FunctionStep &step = program.functionCalls[index];
  run.location = step.location;
  poll();
  CallInProgress inProgress;
  Frame &callee = *root.functions[step.function];
  Activation values = argumentsFor(callee, step);
  release(step.release); // so that the callee may write over what it is given
  callee.exchange(values);
  auto enter = [](void *frame) {
    return static_cast<Frame *>(frame)->program.entry(static_cast<Frame *>(frame));
  };
  int32_t status = 0;
  try {
    status = callWithStackRoom(enter, &callee);
  } catch (...) { // it has not been called
    callee.exchange(values);
    throw;
  }
  callee.exchange(values);
  for (size_t k = 0; status == 0 && k < step.results.size(); ++k) {
    const OperandRef &from = callee.program.returns[k], &to = step.results[k];
    if (to.index == kNoSlot)
      continue;
    if (from.kind == OperandRef::Kind::Tensor)
      slots[to.index] = values.slots[from.index];
    else
      scalars[to.index] = values.scalars[from.index];
  }
  for (at::Tensor &slot : values.slots)
    slot.reset();
  callee.spare.push_back(std::move(values));
  release(step.release); // results that nobody wants
  return status;
}

void Frame::noteFailure(uint32_t assertion) {
  run.failedAssertion = assertion;
  run.location = root.program.asserts[assertion].location;
}

// ---- Stores ----

// A value may be (a view of) an input that an earlier store overwrites, as in `a, b = b, a`: such
// values are copied before the first store.
void Frame::keepOldContents() {
  oldContents.assign(program.stores.size(), {});
  for (size_t k = 0; k < program.stores.size(); ++k) {
    const StoreStep &later = program.stores[k];
    if (later.value == kNoSlot || !slots[later.value].has_storage())
      continue;
    const at::Tensor &value = slots[later.value];
    if (isOwn(later.value, value, 1) ||
        (later.attribute.empty() && isSameView(value, slots[later.target])))
      continue;
    for (const StoreStep &other : program.stores) {
      if (other.attribute.empty() && storageOf(slots[other.target]) == storageOf(value) &&
          !isSameView(slots[other.value], slots[other.target])) {
        oldContents[k] = at::clone(value, at::MemoryFormat::Preserve);
        linked.shadowedBytes += value.nbytes();
        break;
      }
    }
  }
}

void Frame::store(uint32_t index) {
  const StoreStep &step = program.stores[index];
  if (!stored) {
    stored = true;
    run.mayBeEnded = false;
    keepOldContents();
  }
  at::Tensor &target = slots[step.target];
  TORCH_CHECK(target.defined(), "a store has no target");
  at::Tensor value;
  if (step.value != kNoSlot)
    value = oldContents[index].defined() ? oldContents[index] : slots[step.value];
  if (step.attribute == "grad") {
    target.mutable_grad() = std::move(value);
    return;
  }
  TORCH_CHECK(step.attribute.empty(), "cannot set the attribute ", step.attribute, " of a tensor");
  TORCH_CHECK(value.defined(), "a store has no value");
  if (!isSameView(value, target)) {
    target.copy_(value);
    linked.shadowedBytes += target.nbytes();
  }
  if (!target.is_inference())
    target.unsafeGetTensorImpl()->bump_version();
}

} // namespace bifront
