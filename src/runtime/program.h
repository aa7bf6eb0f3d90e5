// What codegen hands to the executor: the calls, kernels and slots of one graph as plain data, and
// the native function that strings them together. Neither torch nor MLIR is named here.
#pragma once

#include "support/aten_call.h"
#include "support/object_read.h"
#include "support/python_call.h"
#include "support/tensor_type.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bifront {

using SlotId = uint32_t;
constexpr SlotId kNoSlot = ~0u;

// Scalars of the graph live in native code; those that a call needs are stored to the frame first.
union Scalar64 {
  int64_t i;
  double f;
};

// A tensor of the graph. Where `offset` is planned (>= 0) its contents lie there in the arena; what
// leaves the graph (returned, or stored as an attribute) has no offset.
struct TensorSlot {
  ValueType type;
  int64_t offset = -1; // a multiple of kArenaAlignment
  int64_t bytes = 0;   // exactly the contents' size; 0 where it is not known before the run
};
constexpr int64_t kArenaAlignment = 64;

struct OperandRef {
  enum class Kind : uint8_t { Tensor, Int, Float, Bool } kind;
  uint32_t index; // a slot, or a scalar of the frame
};

// A call into ATen.
struct CallStep {
  AtenCall call;
  std::vector<OperandRef> operands;
  // One per schema return (lists are spread), then one per written operand. Index kNoSlot: not
  // wanted.
  std::vector<OperandRef> results;
  std::vector<bool> reuse;     // per written operand: its old contents die here, write in place
  std::vector<bool> reuseOwn;  // the same, if nobody else holds the tensor
  std::vector<SlotId> release; // slots that die after this step
  // Which of the matrices that the run packs once is the right factor of this product; or -1.
  int32_t packedRight = -1;
  std::string location; // "train.py:12", for exceptions
};

// A pointwise kernel over one iteration space, all operands broadcast to it.
// fn(pointers, strides, n, m, scalars): for each of m rows of n elements. `pointers` and strides
// are in operand order: inputs, then outputs. strides[k] is the bytes from one row of operand k to
// the next; strides[operands + k] the bytes from one of its elements to the next within a row,
// which only code for InnerAccess::Strided needs to read. `scalars` holds KernelStep::scalars, in
// that order.
using KernelFn = void (*)(char *const *pointers, const int64_t *strides, int64_t n, int64_t m,
                          const Scalar64 *scalars);

enum class InnerAccess : uint8_t { Contiguous, Broadcast, Strided };

// Compiles the kernel for other inner accesses, when the tensors of a run fit the ones compiled for
// badly. May be empty, and may return nullptr: the executor then copes, more slowly.
using KernelVariant = std::function<KernelFn(const std::vector<InnerAccess> &)>;

struct KernelStep {
  std::string symbol;
  KernelFn fn = nullptr;
  std::vector<SlotId> inputs;
  std::vector<OperandRef> scalars;
  std::vector<SlotId> outputs;
  std::vector<DType> outputTypes;
  // How fn steps through the elements of a row, per operand (inputs, then outputs; an output is
  // never Broadcast). Empty: all Contiguous.
  std::vector<InnerAccess> access;
  KernelVariant variant;
  // The sizes of the iteration space, Int scalars of the frame; needed only where the inputs do not
  // determine it (a kernel without tensor inputs and with a dynamic output).
  std::vector<OperandRef> sizes;
  // Output k may be written into input `inPlace[k]` (which dies here and has its type), or -1. An
  // input of the program may be named where a store of this output to that input follows and
  // nothing that can still fail or reads the old contents comes between. The executor writes
  // elsewhere where the layouts turn out to differ, so the output's slot may have an offset all the
  // same.
  std::vector<int32_t> inPlace;
  std::vector<SlotId> release;
  std::string location;
};

// A write to a tensor of the outside world, or to an attribute of one, at the end of the graph.
struct StoreStep {
  SlotId target;
  SlotId value = kNoSlot; // kNoSlot: None
  std::string attribute;  // empty: the tensor's contents
};

// Values of one region of the graph become those of another: slot `to` names the tensor that `from`
// names, for all pairs at once.
struct MoveStep {
  struct Pair {
    SlotId from, to;
  };
  std::vector<Pair> pairs;
  std::vector<SlotId> release;
};

// A call of another function of the graph, or of itself.
struct FunctionStep {
  uint32_t function; // of the first program's `functions`
  std::vector<OperandRef> operands, results;
  std::vector<SlotId> release;
  std::string location;
};

// A read of a Python object.
struct ObjectStep {
  ObjectRead read;
  std::vector<uint32_t> operands; // scalars of the frame; objects are their addresses
  OperandRef result;
  uint32_t assertion; // that fails where the object is another than the read says
  std::string location;
};

// An opaque call.
struct PythonStep {
  PythonCall call;
  uint32_t callee; // its address, as a scalar of the frame
  std::vector<OperandRef> operands;
  uint32_t result; // the scalar that its address becomes
  std::vector<SlotId> release;
  std::string location;
};

// A tape lies in a slot as a tensor does.
struct TapeStep {
  enum class Action : uint8_t { Start, Push, Pop, PopRows } action = Action::Start;
  SlotId tape = kNoSlot;
  std::vector<OperandRef> values; // pushed, or popped (index kNoSlot: not wanted)
  std::vector<TensorType> rows;   // PopRows: what the values are, where nothing was pushed
  std::vector<SlotId> release;
};

// Slots that die where a branch or a loop ends.
struct ReleaseStep {
  std::vector<SlotId> release;
};

struct InputSpec {
  ValueType type;
  std::string name;
  bool requiresGrad = false;
};

struct AssertSpec {
  std::string message;
  std::string location; // "train.py:12"
};

struct Program;
struct Frame; // runtime/frame.h

// 0: done. Otherwise the frame says what happened (an exception is pending, or assertion
// `frame.failed`).
using EntryFn = int32_t (*)(Frame *frame);

struct Program {
  std::vector<TensorSlot>
      slots; // the first inputs.size() are the inputs; scalar inputs use scalars
  std::vector<InputSpec> inputs;
  std::vector<OperandRef> inputPlaces;
  std::vector<OperandRef> returns;
  uint32_t numScalars = 0, numPackedRights = 0;
  int64_t arenaBytes = 0;
  std::vector<CallStep> calls;
  std::vector<KernelStep> kernels;
  std::vector<StoreStep> stores;
  std::vector<MoveStep> moves;
  std::vector<ReleaseStep> releases;
  std::vector<FunctionStep> functionCalls;
  std::vector<ObjectStep> objectReads;
  std::vector<PythonStep> pythonCalls;
  std::vector<TapeStep> tapeSteps;
  std::vector<AssertSpec> asserts; // of all functions
  EntryFn entry = nullptr;
  std::shared_ptr<void> code; // keeps the machine code alive
  // What this one calls, and what those call. They store nothing and have no arena.
  std::vector<std::shared_ptr<const Program>> functions;
};

// What native code calls. All but bf_rt_dim return 0, or a status (kThrew, kAssertionFailed) that
// the entry passes on at once. A scalar result of a call is in the frame's scalars when it returns;
// the frame's first field is the pointer to them.
constexpr int32_t kThrew = 1;
constexpr int32_t kAssertionFailed = 2;
extern "C" {
int32_t bf_rt_call(Frame *frame, uint32_t call);
int32_t bf_rt_kernel(Frame *frame, uint32_t kernel);
int32_t bf_rt_store(Frame *frame, uint32_t store);
int32_t bf_rt_move(Frame *frame, uint32_t move);
int32_t bf_rt_function(Frame *frame, uint32_t call);
int32_t bf_rt_release(Frame *frame, uint32_t release);
int32_t bf_rt_object(Frame *frame, uint32_t read);
int32_t bf_rt_python(Frame *frame, uint32_t call);
int32_t bf_rt_tape(Frame *frame, uint32_t step);
// At the end of each iteration.
int32_t bf_rt_poll(Frame *frame, uint32_t unused);
int32_t bf_rt_assert_failed(Frame *frame, uint32_t assertion);
// Whether the check before it is to fail although it holds (support/fail_nth.h).
int32_t bf_rt_fails_on_purpose(Frame *frame, uint32_t unused);
// The slot has a value and `index` is in its range (codegen's promise).
int64_t bf_rt_dim(Frame *frame, uint32_t slot, int64_t index);
}

// The same by name, for who links native code. The last is bf_rt_dim, the others are of one kind.
struct RuntimeFunction {
  const char *name;
  void *address;
};
std::span<const RuntimeFunction> runtimeFunctions();
constexpr const char *kStepFunctions[] = {
    "bf_rt_call",     "bf_rt_kernel",           "bf_rt_store",
    "bf_rt_move",     "bf_rt_release",          "bf_rt_poll",
    "bf_rt_function", "bf_rt_assert_failed",    "bf_rt_object",
    "bf_rt_tape",     "bf_rt_fails_on_purpose", "bf_rt_python"};

} // namespace bifront
