// One run in progress of a program. A frame serves one run at a time; the executor keeps it for the
// next.
#pragma once

#include "runtime/arena.h"
#include "runtime/aten_bridge.h"
#include "runtime/call_allocations.h"
#include "runtime/iteration_plan.h"
#include "runtime/object_reads.h"
#include "runtime/program.h"
#include "runtime/tape.h"

#include <ATen/core/Tensor.h>
#include <atomic>

#include <cstddef>
#include <exception>
#include <memory>
#include <string_view>
#include <vector>

namespace bifront {

// What all frames of a program share.
struct LinkedProgram {
  std::shared_ptr<const Program> program;
  std::vector<BoundCall> calls;
  std::vector<std::unique_ptr<LinkedProgram>> functions;
  mutable std::atomic<uint64_t> shadowedBytes{0}, tapeBytes{0}; // as Executor's
  explicit LinkedProgram(std::shared_ptr<const Program> program);
};

// What the frames of all functions share during a run.
struct RunState {
  RunState() : pool(BlockPool::create(ordinaryAllocator())) {}
  ~RunState() { pool->close(); }
  RunState(const RunState &) = delete;

  // What went wrong, where a step's status is not 0.
  std::exception_ptr exception;
  uint32_t failedAssertion = 0;
  std::string_view location;

  BlockPool *pool;
  Scratch scratch;
  AllocationScope *scope = nullptr;
  uint32_t steps = 0;
  Tapes tapes;
  std::vector<ObjectAddress> held; // objects that the run has met
  size_t calls = 0, newCalls = 0;  // of this run; that are watched for the first time
  bool mayBeEnded = true;          // by an interrupt: the outside has not been changed yet
};

// The root frame runs the program; it has a frame for each function, which serves all the calls of
// that function that are in progress.
struct Frame {
  Scalar64 *scalars; // first: native code finds it there

  explicit Frame(const LinkedProgram &linked);
  ~Frame();
  Frame(const Frame &) = delete;

  BlockPool *allocationPool() const { return run.pool; }

  // Between runs. What it has, what it is known to need, and to take over what an idle frame has
  // of that.
  size_t keptBytes() const;
  size_t neededBytes() const;
  void takeOver(Frame &idle);

  // Between begin and end the frame allocates through the scope.
  void begin(AllocationScope &scope);
  // Forgets the run's values. `failed`: also what an interrupted call left behind.
  void end(bool failed);

  // The steps; they throw.
  void call(uint32_t index);
  void kernel(uint32_t index);
  void store(uint32_t index);
  void move(uint32_t index);
  void tape(uint32_t index);
  // The status of the callee.
  int32_t callFunction(uint32_t index);
  void releaseAll(uint32_t index) { release(program.releases[index].release); }
  int32_t readObject(uint32_t index); // the status
  void callPython(uint32_t index);
  // Lets an interrupt end the run, if it still may.
  void poll();

  void noteFailure(uint32_t assertion);

  const Program &program;
  std::vector<at::Tensor> slots;
  RunState &run;

private:
  Frame(const LinkedProgram &linked, Frame &root);
  // The values of one call in progress.
  struct Activation {
    std::vector<at::Tensor> slots;
    std::vector<Scalar64> scalars;
  };
  Activation newActivation();
  // Exchanges the values of this frame's current call.
  void exchange(Activation &with);
  void prepareSteps();
  void forgetSteps(); // what an interrupted call left behind
  Activation argumentsFor(Frame &callee, const FunctionStep &step);
  struct CallState {
    BoundCall::Scratch scratch;
    std::vector<c10::IValue> operands, results;
    std::vector<bool> reuse;
    CallAllocations allocations;
  };
  struct KernelState {
    IterationPlan plan;
    std::vector<const at::Tensor *> inputs;
    std::vector<int64_t> sizes;     // the values of KernelStep::sizes
    std::vector<at::Tensor> copies; // inputs that had to be brought into another layout
    std::vector<at::Tensor> outputs;
    std::vector<char *> pointers;
    std::vector<int64_t> spans; // bytes that each input reaches over
    std::vector<Scalar64> scalars;
    bool headersFit = false; // `headers` of the outputs have the plan's sizes and strides
  };

  std::vector<int64_t> plannedOffsets() const;
  // Its owner has it from now on; the headers over it are gone. Null where there is none.
  Arena *giveUpArena();
  void takeResult(const OperandRef &place, c10::IValue &&value);
  void plan(const KernelStep &step, KernelState &state);
  // Of the program, whose contents only a store may change.
  bool isInput(SlotId slot) const { return &root == this && slot < program.inputs.size(); }
  // Nobody has the tensor or its memory but the slot and as many others as are known.
  bool isOwn(SlotId slot, const at::Tensor &tensor, size_t owners) const;
  const std::vector<bool> &reusedBy(const CallStep &step, CallState &state) const;
  bool mayOverwrite(const KernelStep &step, const KernelState &state, size_t input,
                    DType type) const;
  bool isFreeToWrite(const KernelState &state, const char *at, int64_t bytes,
                     int64_t elementSize) const;
  at::Tensor outputOf(const KernelStep &step, KernelState &state, size_t output);
  at::Tensor headerFor(SlotId slot, const KernelState &state, c10::ScalarType type);
  void keepOldContents();
  bool isWritten(const at::Tensor &tensor) const;
  void release(const std::vector<SlotId> &dead) {
    for (SlotId slot : dead)
      slots[slot].reset();
  }

  const LinkedProgram &linked;
  std::unique_ptr<RunState> ownedRun; // of the root
  Frame &root;
  std::vector<std::unique_ptr<Frame>> functions; // of the root
  std::vector<Activation> spare;
  std::vector<Scalar64> scalarStorage;
  std::vector<at::Tensor> headers;     // by slot: tensors over the arena, for outputs of kernels
  std::vector<at::Tensor> moving;      // of a move, until all pairs are read
  std::vector<at::Tensor> oldContents; // by store: copies of values that stores overwrite
  std::vector<const void *> objectNames;
  std::vector<PackedRight> packedRights; // of the root: the functions' programs have none
  std::vector<CallState> calls;
  std::vector<KernelState> kernels;
  Arena *arena = nullptr;
  bool placing = true; // off for the rest of a run in which somebody kept a piece of the arena
  bool ranBefore = false;
  bool stored = false;
};

// offsetof is only conditionally supported for such a class; the compilers that build this do
// support it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(offsetof(Frame, scalars) == 0);
#pragma GCC diagnostic pop

// Called now and then during runs, on the running thread; an exception that it throws ends the run.
using InterruptHook = void (*)();
void setInterruptHook(InterruptHook hook);

} // namespace bifront
