#include "runtime/executor.h"
#include "runtime/frame.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

namespace bifront {
namespace {

using Arg = AtenArg;
using Kind = OperandRef::Kind;

Arg operand(uint32_t index) { return {Arg::Operand{index}}; }
OperandRef tensor(SlotId slot) { return {Kind::Tensor, slot}; }

// x and y, two float kernels' inputs and so on: programs are put together by hand.
struct Builder {
  std::shared_ptr<Program> program = std::make_shared<Program>();

  SlotId input(std::vector<Dim> dims, DType dtype = DType::Float) {
    EXPECT_EQ(program->slots.size(), program->inputs.size());
    SlotId id = slot(std::move(dims), dtype);
    program->inputs.push_back({program->slots[id].type, "input" + std::to_string(id), false});
    program->inputPlaces.push_back(tensor(id));
    return id;
  }
  SlotId slot(std::vector<Dim> dims, DType dtype = DType::Float) {
    TensorSlot slot;
    slot.type = ValueType::ofTensor({dtype, std::move(dims), "cpu", {}});
    program->slots.push_back(slot);
    return program->slots.size() - 1;
  }
  SlotId planned(std::vector<Dim> dims, int64_t offset, int64_t bytes) {
    SlotId id = slot(std::move(dims));
    program->slots[id].offset = offset;
    program->slots[id].bytes = bytes;
    program->arenaBytes = std::max(program->arenaBytes, offset + bytes);
    return id;
  }
  SlotId returned(std::vector<Dim> dims) {
    SlotId id = slot(std::move(dims));
    program->returns.push_back(tensor(id));
    return id;
  }
  uint32_t call(AtenCall call, std::vector<OperandRef> operands, std::vector<OperandRef> results,
                std::vector<SlotId> release = {}) {
    CallStep step;
    step.call = std::move(call);
    step.operands = std::move(operands);
    step.results = std::move(results);
    step.release = std::move(release);
    step.location = "train.py:12";
    program->calls.push_back(std::move(step));
    return program->calls.size() - 1;
  }
  uint32_t kernel(KernelFn fn, std::vector<SlotId> inputs, SlotId output, int32_t inPlace = -1,
                  std::vector<SlotId> release = {}) {
    KernelStep step;
    step.symbol = "kernel";
    step.fn = fn;
    step.inputs = std::move(inputs);
    step.outputs = {output};
    step.outputTypes = {DType::Float};
    step.inPlace = {inPlace};
    step.release = std::move(release);
    program->kernels.push_back(std::move(step));
    return program->kernels.size() - 1;
  }
};

constexpr Dim kBatch = {{3, 5}};
std::vector<Dim> fixed(std::initializer_list<int64_t> sizes) {
  std::vector<Dim> dims;
  for (int64_t size : sizes)
    dims.push_back(Dim::fixed(size));
  return dims;
}

void addOne(char *const *p, const int64_t *strides, int64_t n, int64_t m, const Scalar64 *) {
  for (int64_t row = 0; row < m; ++row)
    for (int64_t i = 0; i < n; ++i)
      reinterpret_cast<float *>(p[1] + row * strides[1])[i] =
          reinterpret_cast<const float *>(p[0] + row * strides[0])[i] + 1;
}

void addBoth(char *const *p, const int64_t *strides, int64_t n, int64_t m, const Scalar64 *) {
  for (int64_t row = 0; row < m; ++row)
    for (int64_t i = 0; i < n; ++i)
      reinterpret_cast<float *>(p[2] + row * strides[2])[i] =
          reinterpret_cast<const float *>(p[0] + row * strides[0])[i] +
          reinterpret_cast<const float *>(p[1] + row * strides[1])[i];
}

void scale(char *const *p, const int64_t *, int64_t n, int64_t, const Scalar64 *scalars) {
  for (int64_t i = 0; i < n; ++i)
    reinterpret_cast<float *>(p[1])[i] =
        static_cast<float>(reinterpret_cast<const float *>(p[0])[i] * scalars[0].f);
}

std::vector<c10::IValue> runDone(Executor &executor, std::vector<c10::IValue> inputs) {
  std::vector<c10::IValue> outputs;
  RunResult result = executor.run(inputs, outputs);
  if (result.exception)
    std::rethrow_exception(result.exception);
  EXPECT_EQ(result.status, RunResult::Status::Done);
  return outputs;
}

std::string messageOf(const RunResult &result) {
  try {
    std::rethrow_exception(result.exception);
  } catch (const std::exception &e) {
    return e.what();
  }
}

int32_t runAllCalls(Frame *frame) {
  for (uint32_t i = 0; i < frame->program.calls.size(); ++i)
    if (int32_t status = bf_rt_call(frame, i))
      return status;
  return 0;
}

int32_t runAllKernels(Frame *frame) {
  for (uint32_t i = 0; i < frame->program.kernels.size(); ++i)
    if (int32_t status = bf_rt_kernel(frame, i))
      return status;
  for (uint32_t i = 0; i < frame->program.stores.size(); ++i)
    if (int32_t status = bf_rt_store(frame, i))
      return status;
  return 0;
}

TEST(Executor, RunsCallsWithDynamicSizes) {
  Builder b;
  SlotId x = b.input({kBatch, Dim::fixed(4)}), w = b.input(fixed({4, 2}));
  SlotId h = b.slot({kBatch, Dim::fixed(2)}), y = b.returned({kBatch, Dim::fixed(2)});
  b.call({"aten::mm", {operand(0), operand(1)}, {}}, {tensor(x), tensor(w)}, {tensor(h)});
  b.call({"aten::relu", {operand(0)}, {}}, {tensor(h)}, {tensor(y)}, {h});
  b.program->entry = runAllCalls;
  Executor executor(b.program);
  at::Tensor weight = at::randn({4, 2});
  for (int64_t batch : {3, 8, 17}) {
    at::Tensor input = at::randn({batch, 4});
    at::Tensor out = runDone(executor, {input, weight})[0].toTensor();
    EXPECT_TRUE(at::equal(out, at::relu(input.mm(weight))));
  }
  EXPECT_EQ(executor.numFrames(), 1u);
}

TEST(Executor, ResultsOfCallsLandInTheArena) {
  Builder b;
  SlotId x = b.input(fixed({100}));
  SlotId h = b.planned(fixed({100}), 0, 400), y = b.returned(fixed({100}));
  b.call({"aten::relu", {operand(0)}, {}}, {tensor(x)}, {tensor(h)});
  b.call({"aten::neg", {operand(0)}, {}}, {tensor(h)}, {tensor(y)}, {h});
  static const void *place = nullptr;
  static bool watched = true; // in the first run
  b.program->entry = [](Frame *frame) -> int32_t {
    if (int32_t status = bf_rt_call(frame, 0))
      return status;
    const at::Tensor &result = frame->slots[1];
    bool isInPool = result.storage().data_ptr().get_deleter() == &BlockPool::free;
    EXPECT_EQ(isInPool, watched);
    EXPECT_TRUE(!place || place == result.data_ptr());
    if (!watched)
      place = result.data_ptr();
    return bf_rt_call(frame, 1);
  };
  Executor executor(b.program);
  for (int run = 0; run < 4; ++run) {
    watched = run == 0;
    at::Tensor input = at::randn({100});
    EXPECT_TRUE(at::equal(runDone(executor, {input})[0].toTensor(), -at::relu(input)));
  }
}

// aminmax returns two tensors of one size; whichever is allocated first, each must end in its own
// place or elsewhere, never in the other's.
TEST(Executor, AResultInAnothersPlaceIsMoved) {
  Builder b;
  SlotId x = b.input(fixed({8, 100}));
  SlotId first = b.planned(fixed({100}), 0, 400), second = b.planned(fixed({100}), 448, 400);
  SlotId later = b.planned(fixed({100}), 0, 400); // may reuse the place of `first`
  SlotId y = b.returned(fixed({100}));
  b.call({"aten::aminmax", {operand(0), {int64_t{0}}, {false}}, {}}, {tensor(x)},
         {tensor(second), tensor(first)}, {first});
  b.call({"aten::neg", {operand(0)}, {}}, {tensor(second)}, {tensor(later)});
  b.call({"aten::add.Tensor", {operand(0), operand(1)}, {}}, {tensor(second), tensor(later)},
         {tensor(y)});
  b.program->entry = runAllCalls;
  Executor executor(b.program);
  for (int run = 0; run < 3; ++run)
    EXPECT_TRUE(
        at::equal(runDone(executor, {at::randn({8, 100})})[0].toTensor(), at::zeros({100})));
}

// cumsum_ may work through a copy of what it writes: never where it still reads.
TEST(Executor, AnOperatorThatOverwritesAnOperandDoesNotAllocateThere) {
  Builder b;
  SlotId x = b.input(fixed({10, 10})), h = b.planned(fixed({10, 10}), 0, 400);
  SlotId g = b.planned(fixed({10, 10}), 0, 400), y = b.returned(fixed({10, 10}));
  b.call({"aten::neg", {operand(0)}, {}}, {tensor(x)}, {tensor(h)});
  b.call({"aten::cumsum_", {operand(0), {int64_t{0}}, {Arg::None{}}}, {0}}, {tensor(h)},
         {tensor(kNoSlot), tensor(g)}, {h});
  b.call({"aten::t", {operand(0)}, {}}, {tensor(g)}, {tensor(y)});
  b.program->calls[1].reuse = {true};
  b.program->entry = runAllCalls;
  Executor executor(b.program);
  for (int run = 0; run < 3; ++run) {
    at::Tensor input = at::randn({10, 10});
    EXPECT_TRUE(at::equal(runDone(executor, {input})[0].toTensor(), (-input).cumsum(0).t()));
  }
}

TEST(Executor, ATensorThatStaysInTheArenaIsNeverOverwritten) {
  Builder b;
  SlotId x = b.input(fixed({100}));
  SlotId h = b.planned(fixed({100}), 0, 400);
  b.program->returns.push_back(tensor(h)); // against the rules, on purpose
  b.call({"aten::relu", {operand(0)}, {}}, {tensor(x)}, {tensor(h)});
  b.program->entry = runAllCalls;
  auto executor = std::make_unique<Executor>(b.program);
  at::Tensor one = at::full({100}, 1.0f), two = at::full({100}, 2.0f);
  at::Tensor first = runDone(*executor, {one})[0].toTensor();
  at::Tensor second = runDone(*executor, {two})[0].toTensor();
  EXPECT_TRUE(at::equal(first, one));
  executor.reset();
  EXPECT_TRUE(at::equal(first, one));
  EXPECT_TRUE(at::equal(second, two));
}

TEST(Executor, HeadersThatEscapeAreNeverOverwritten) {
  Builder b;
  SlotId x = b.input(fixed({100}));
  SlotId h = b.planned(fixed({100}), 0, 400);
  b.program->returns.push_back(tensor(h));
  b.kernel(addOne, {x}, h);
  b.program->entry = runAllKernels;
  auto executor = std::make_unique<Executor>(b.program);
  at::Tensor first = runDone(*executor, {at::full({100}, 1.0f)})[0].toTensor();
  at::Tensor second = runDone(*executor, {at::full({100}, 2.0f)})[0].toTensor().view({10, 10});
  at::Tensor third = runDone(*executor, {at::full({100}, 3.0f)})[0].toTensor();
  executor.reset();
  EXPECT_EQ(first[0].item<float>(), 2);
  EXPECT_EQ(second[0][0].item<float>(), 3);
  EXPECT_EQ(third[0].item<float>(), 4);
}

TEST(Executor, RunsKernelsInPlaceAndInTheArena) {
  Builder b;
  SlotId x = b.input({kBatch, Dim::fixed(100)});
  SlotId h = b.planned(fixed({100}), 0, 400), g = b.planned(fixed({100}), 0, 400);
  b.program->slots[h].type.tensor.dims =
      b.program->slots[g].type.tensor.dims = {kBatch, Dim::fixed(100)};
  SlotId y = b.returned({kBatch, Dim::fixed(100)});
  b.kernel(addOne, {x}, h);
  b.kernel(addOne, {h}, g, 0, {h});
  b.kernel(addBoth, {x, g}, y, -1, {g});
  b.program->entry = runAllKernels;
  Executor executor(b.program);
  for (int64_t batch : {1, 1, 1, 4, 4, 1}) { // the place is large enough for one row only
    at::Tensor input = at::randn({batch, 100});
    at::Tensor out = runDone(executor, {input})[0].toTensor();
    EXPECT_TRUE(at::equal(out, input + (input + 1 + 1)));
  }
  at::Tensor transposed = at::randn({100, 4}).t();
  EXPECT_TRUE(
      at::equal(runDone(executor, {transposed})[0].toTensor(), transposed + (transposed + 1 + 1)));
}

TEST(Executor, DoesNotWriteInPlaceOverAViewThatIsStillRead) {
  Builder b;
  SlotId x = b.input(fixed({10, 10}));
  SlotId h = b.slot(fixed({10, 10})), view = b.slot(fixed({10, 10})), g = b.slot(fixed({10, 10}));
  SlotId y = b.returned(fixed({10, 10}));
  b.kernel(addOne, {x}, h);
  b.call({"aten::t", {operand(0)}, {}}, {tensor(h)}, {tensor(view)});
  b.kernel(addOne, {h}, g, 0); // claims that h dies, but `view` shares its memory
  b.kernel(addBoth, {view, g}, y, 1);
  b.program->entry = [](Frame *frame) -> int32_t {
    return bf_rt_kernel(frame, 0) | bf_rt_call(frame, 0) | bf_rt_kernel(frame, 1) |
           bf_rt_kernel(frame, 2);
  };
  Executor executor(b.program);
  at::Tensor input = at::randn({10, 10});
  EXPECT_TRUE(
      at::equal(runDone(executor, {input})[0].toTensor(), (input + 1).t() + (input + 1 + 1)));
}

// An output's place may be that of a dying input which turns out to lie there in another layout.
TEST(Executor, DoesNotOverwriteWhatItHasNotReadYet) {
  Builder b;
  SlotId x = b.input(fixed({20, 20}));
  SlotId h = b.planned(fixed({20, 20}), 0, 1600), view = b.slot(fixed({20, 20}));
  SlotId g = b.planned(fixed({20, 20}), 0, 1600), y = b.returned(fixed({20, 20}));
  b.kernel(addOne, {x}, h);
  b.call({"aten::t", {operand(0)}, {}}, {tensor(h)}, {tensor(view)}, {h});
  b.kernel(addBoth, {x, view}, g, 1, {view});
  b.kernel(addOne, {g}, y);
  b.program->entry = [](Frame *frame) -> int32_t {
    return bf_rt_kernel(frame, 0) | bf_rt_call(frame, 0) | bf_rt_kernel(frame, 1) |
           bf_rt_kernel(frame, 2);
  };
  Executor executor(b.program);
  for (int run = 0; run < 2; ++run) {
    at::Tensor input = at::randn({20, 20});
    EXPECT_TRUE(at::equal(runDone(executor, {input})[0].toTensor(), input + (input + 1).t() + 1));
  }
}

TEST(Executor, PassesScalarsInAndOut) {
  Builder b;
  SlotId x = b.input(fixed({4}));
  b.program->numScalars = 3;
  b.program->inputs.push_back({ValueType::scalar(ValueType::Kind::Float), "k", false});
  b.program->inputPlaces.push_back({Kind::Float, 0});
  b.program->slots.push_back({}); // the place that the scalar input leaves among the slots
  SlotId h = b.slot(fixed({4})), sum = b.slot({});
  b.kernel(scale, {x}, h);
  b.program->kernels[0].scalars = {{Kind::Float, 0}};
  b.call({"aten::sum", {operand(0), {Arg::None{}}}, {}}, {tensor(h)}, {tensor(sum)});
  b.call({"aten::_local_scalar_dense", {operand(0)}, {}}, {tensor(sum)}, {{Kind::Float, 1}});
  b.program->returns = {{Kind::Float, 1}, {Kind::Int, 2}};
  b.program->entry = [](Frame *frame) -> int32_t {
    frame->scalars[2].i = bf_rt_dim(frame, 0, 0);
    return bf_rt_kernel(frame, 0) | bf_rt_call(frame, 0) | bf_rt_call(frame, 1);
  };
  Executor executor(b.program);
  auto outputs = runDone(executor, {at::ones({4}), 2.5});
  EXPECT_EQ(outputs[0].toDouble(), 10);
  EXPECT_EQ(outputs[1].toInt(), 4);
  EXPECT_EQ(runDone(executor, {at::ones({4}), 3})[0].toDouble(), 12)
      << "an int where a float is meant";
}

TEST(Executor, ReportsExceptionsAndGoesOn) {
  Builder b;
  SlotId x = b.input({kBatch}), y = b.input({Dim{{7, 9}}});
  SlotId h = b.returned({kBatch});
  b.call({"aten::dot", {operand(0), operand(1)}, {}}, {tensor(x), tensor(y)}, {tensor(h)});
  b.program->entry = runAllCalls;
  Executor executor(b.program);
  std::vector<c10::IValue> outputs, bad{at::ones({3}), at::ones({4})},
      good{at::ones({3}), at::ones({3})};
  RunResult result = executor.run(bad, outputs);
  EXPECT_EQ(result.status, RunResult::Status::Threw);
  EXPECT_EQ(result.location, "train.py:12");
  EXPECT_NE(messageOf(result).find("inconsistent tensor size"), std::string::npos);
  EXPECT_TRUE(outputs.empty());
  EXPECT_EQ(bad[0].toTensor().use_count(), 1u) << "nothing keeps the inputs";
  EXPECT_EQ(runDone(executor, good)[0].toTensor().item<float>(), 3);
}

TEST(Executor, ReportsFailedAssertions) {
  Builder b;
  b.program->asserts = {{"x", ""}, {"the batch is 3", "train.py:4"}};
  b.program->entry = [](Frame *frame) { return bf_rt_assert_failed(frame, 1); };
  Executor executor(b.program);
  std::vector<c10::IValue> outputs;
  RunResult result = executor.run({}, outputs);
  EXPECT_EQ(result.status, RunResult::Status::AssertionFailed);
  EXPECT_EQ(result.assertion, 1u);
  EXPECT_EQ(result.location, "train.py:4");
}

TEST(Executor, ChecksItsInputs) {
  Builder b;
  b.input({kBatch, Dim::fixed(2)});
  b.input({kBatch});
  b.program->entry = [](Frame *) { return 0; };
  Executor executor(b.program);
  auto refusal = [&](std::vector<c10::IValue> inputs) {
    std::vector<c10::IValue> outputs;
    RunResult result = executor.run(inputs, outputs);
    return result.status == RunResult::Status::Threw ? messageOf(result) : "";
  };
  EXPECT_EQ(refusal({at::ones({3, 2}), at::ones({3})}), "");
  EXPECT_NE(refusal({at::ones({3, 2}), at::ones({4})}), "");
  EXPECT_NE(refusal({at::ones({3, 3}), at::ones({3})}), "");
  EXPECT_NE(refusal({at::ones({3}), at::ones({3})}), "");
  EXPECT_NE(refusal({at::ones({3, 2}, at::kLong), at::ones({3})}), "");
  EXPECT_NE(refusal({at::ones({3, 2}).to_sparse(), at::ones({3})}), "");
  EXPECT_NE(refusal({at::ones({3, 2}, at::kMeta), at::ones({3})}), "");
  EXPECT_NE(refusal({at::ones({3, 2}), 3}), "");
  EXPECT_NE(refusal({at::ones({3, 2})}), "");
}

TEST(Executor, ComplainsOfUnequalSizesInTheGraph) {
  Builder b;
  SlotId x = b.input({Dim{{3, 5}}}), y = b.input({Dim{{4, 6}}});
  SlotId h = b.returned({Dim{{3, 5}}});
  b.kernel(addBoth, {x, y}, h);
  b.program->entry = runAllKernels;
  Executor executor(b.program);
  std::vector<c10::IValue> outputs, inputs{at::ones({3}), at::ones({4})};
  RunResult result = executor.run(inputs, outputs);
  EXPECT_EQ(result.status, RunResult::Status::Threw);
  EXPECT_NE(messageOf(result).find("two sizes to be equal, but they are 3 and 4"),
            std::string::npos);
}

TEST(Executor, StoresContentsAndGradients) {
  Builder b;
  SlotId p = b.input(fixed({4})), q = b.input(fixed({4}));
  SlotId next = b.slot(fixed({4})), grad = b.slot(fixed({4}));
  b.kernel(addOne, {p}, next, 0); // over the parameter itself
  b.kernel(addOne, {q}, grad);
  b.program->stores = {{p, next, ""}, {p, grad, "grad"}, {q, kNoSlot, "grad"}};
  b.program->entry = runAllKernels;
  Executor executor(b.program);
  at::Tensor parameter = at::zeros({4}).requires_grad_(), other = at::zeros({4}).requires_grad_();
  other.mutable_grad() = at::ones({4});
  const void *memory = parameter.data_ptr();
  auto version = parameter._version();
  runDone(executor, {parameter, other});
  EXPECT_TRUE(at::equal(parameter.detach(), at::ones({4})));
  EXPECT_EQ(parameter.data_ptr(), memory);
  EXPECT_GT(parameter._version(), version);
  EXPECT_TRUE(at::equal(parameter.grad(), at::ones({4})));
  EXPECT_FALSE(other.grad().defined());
  EXPECT_TRUE(parameter.requires_grad() && parameter.is_leaf());
  at::Tensor column = at::zeros({4, 2}).select(1, 0); // not the layout that the kernel writes
  runDone(executor, {column, other});
  EXPECT_TRUE(at::equal(column, at::ones({4})));
}

TEST(Executor, StoresSeeTheContentsFromBeforeTheStores) {
  Builder b;
  SlotId p = b.input(fixed({2})), q = b.input(fixed({2}));
  b.program->stores = {{p, q, ""}, {q, p, ""}};
  b.program->entry = runAllKernels;
  Executor executor(b.program);
  at::Tensor one = at::ones({2}), two = at::full({2}, 2.0f);
  runDone(executor, {one, two});
  EXPECT_EQ(one[0].item<float>(), 2);
  EXPECT_EQ(two[0].item<float>(), 1);
}

TEST(Executor, DrawsFromTheOrdinaryRandomStream) {
  Builder b;
  SlotId x = b.input(fixed({100})), h = b.planned(fixed({100}), 0, 400),
         y = b.returned(fixed({100}));
  b.call({"aten::bernoulli.p", {operand(0), {0.5}, {Arg::None{}}}, {}}, {tensor(x)}, {tensor(h)});
  b.call({"aten::rand_like", {operand(0)}, {}}, {tensor(h)}, {tensor(y)});
  b.program->entry = runAllCalls;
  Executor executor(b.program);
  at::manual_seed(3);
  at::bernoulli(at::ones({100}), 0.5);
  at::Tensor expected = at::rand({100}), after = at::rand({1});
  at::manual_seed(3);
  EXPECT_TRUE(at::equal(runDone(executor, {at::ones({100})})[0].toTensor(), expected));
  EXPECT_TRUE(at::equal(at::rand({1}), after));
}

TEST(Executor, ServesThreadsAndItself) {
  Builder b;
  SlotId x = b.input({kBatch}), h = b.planned({kBatch}, 0, 40000), y = b.returned({kBatch});
  b.kernel(addOne, {x}, h);
  b.kernel(addOne, {h}, y);
  b.program->entry = runAllKernels;
  Executor executor(b.program);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int run = 0; run < 200; ++run) {
        at::Tensor input = at::full({100 + t}, static_cast<float>(run));
        at::Tensor out = runDone(executor, {input})[0].toTensor();
        EXPECT_EQ(out[t].item<float>(), run + 2.0f);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_LE(executor.numFrames(), 4u);

  static Executor *inner;
  inner = &executor;
  Builder outer;
  outer.program->entry = [](Frame *) -> int32_t {
    EXPECT_EQ(runDone(*inner, {at::ones({3})})[0].toTensor()[0].item<float>(), 3);
    return 0;
  };
  Executor nesting(outer.program);
  runDone(nesting, {});
}

// Each thread knows how its next run is to end.
thread_local RunResult::Status wanted;

// ThreadSanitizer looks on in `make test-tsan`.
TEST(Executor, EightThreadsCallAndFailAtOnce) {
  using Status = RunResult::Status;
  Builder b;
  SlotId x = b.input({kBatch}), y = b.input({Dim{{7, 9}}});
  SlotId h = b.planned({kBatch}, 0, 40000), dot = b.slot({}), out = b.returned({kBatch});
  b.kernel(addOne, {x}, h);
  b.kernel(addOne, {h}, out);
  b.call({"aten::dot", {operand(0), operand(1)}, {}}, {tensor(x), tensor(y)}, {tensor(dot)});
  b.program->asserts = {{"the run goes on", "train.py:4"}};
  b.program->entry = [](Frame *frame) -> int32_t {
    if (int32_t status = runAllCalls(frame))
      return status;
    return wanted == Status::AssertionFailed ? bf_rt_assert_failed(frame, 0) : runAllKernels(frame);
  };
  Executor executor(b.program);
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int64_t run = 0; run < 300; ++run) {
        wanted = static_cast<Status>((run + t) % 3);
        int64_t size = 20 + t, other = wanted == Status::Threw ? size + 1 : size;
        std::vector<c10::IValue> outputs,
            inputs{at::full({size}, static_cast<float>(run)), at::ones({other})};
        RunResult result = executor.run(inputs, outputs);
        ASSERT_EQ(result.status, wanted);
        ASSERT_EQ(outputs.size(), wanted == Status::Done ? 1u : 0u);
        if (wanted == Status::Done)
          ASSERT_EQ(outputs[0].toTensor()[t].item<float>(), static_cast<float>(run) + 2);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_LE(executor.numFrames(), 8u);
}

TEST(Executor, AsksWhetherItIsInterrupted) {
  Builder b;
  SlotId x = b.input(fixed({2})), y = b.slot(fixed({2}));
  b.kernel(addOne, {x}, y);
  b.program->entry = [](Frame *frame) -> int32_t {
    for (int i = 0; i < 1000000; ++i)
      if (int32_t status = bf_rt_kernel(frame, 0))
        return status;
    return 0;
  };
  Executor executor(b.program);
  setInterruptHook([] { throw std::runtime_error("interrupted"); });
  std::vector<c10::IValue> outputs, inputs{at::ones({2})};
  RunResult result = executor.run(inputs, outputs);
  setInterruptHook(nullptr);
  EXPECT_EQ(messageOf(result), "interrupted");
}

TEST(Executor, ASteadyStateTakesNoMemory) {
  Builder b;
  SlotId x = b.input(fixed({1000})), h = b.planned(fixed({1000}), 0, 4000);
  SlotId s = b.slot(fixed({1000})), y = b.slot({});
  b.kernel(addOne, {x}, h);
  b.call({"aten::sort", {operand(0), {int64_t{-1}}, {false}}, {}}, {tensor(h)},
         {tensor(s), {Kind::Tensor, kNoSlot}});
  b.call({"aten::sum", {operand(0)}, {}}, {tensor(s)}, {tensor(y)}, {s});
  static size_t fetched;
  b.program->entry = [](Frame *frame) -> int32_t {
    int32_t status = bf_rt_kernel(frame, 0) | bf_rt_call(frame, 0) | bf_rt_call(frame, 1);
    fetched = frame->allocationPool()->blocksFromSource();
    return status;
  };
  Executor executor(b.program);
  at::Tensor input = at::randn({1000});
  for (int run = 0; run < 2; ++run) // one to watch, one to follow
    runDone(executor, {input});
  size_t warm = fetched;
  for (int run = 0; run < 100; ++run)
    runDone(executor, {input});
  EXPECT_EQ(fetched, warm);
}

} // namespace
} // namespace bifront
