#include "runtime/iteration_plan.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

namespace bifront {
namespace {

using Access = InnerAccess;

// As codegen's kernels: the steps within a row are fixed when compiled, except for Strided.
template <Access A, Access B>
void addRows(char *const *pointers, const int64_t *strides, int64_t n, int64_t m,
             const Scalar64 *) {
  auto step = [&](Access access, int operand) -> int64_t {
    return access == Access::Contiguous  ? 4
           : access == Access::Broadcast ? 0
                                         : strides[3 + operand];
  };
  for (int64_t row = 0; row < m; ++row)
    for (int64_t i = 0; i < n; ++i) {
      float a, b;
      std::memcpy(&a, pointers[0] + row * strides[0] + i * step(A, 0), 4);
      std::memcpy(&b, pointers[1] + row * strides[1] + i * step(B, 1), 4);
      float sum = a + b;
      std::memcpy(pointers[2] + row * strides[2] + i * 4, &sum, 4);
    }
}

TensorSlot dynamicSlot(size_t rank) {
  TensorSlot slot;
  for (size_t dim = 0; dim < rank; ++dim)
    slot.type.tensor.dims.push_back({{2, 3}});
  return slot;
}

struct Added {
  at::Tensor result;
  IterationPlan plan;
};

template <Access A = Access::Contiguous, Access B = Access::Contiguous>
Added addTensors(const at::Tensor &a, const at::Tensor &b, KernelVariant variant = {}) {
  at::Tensor expected = a + b;
  std::vector<TensorSlot> slots(3, dynamicSlot(expected.dim()));
  KernelStep step;
  step.symbol = "add";
  step.fn = &addRows<A, B>;
  step.inputs = {0, 1};
  step.outputs = {2};
  step.outputTypes = {DType::Float};
  step.access = {A, B, Access::Contiguous};
  step.variant = std::move(variant);
  Added made;
  std::vector<const at::Tensor *> inputs{&a, &b};
  EXPECT_FALSE(made.plan.matches(inputs, {}));
  made.plan.make(step, slots, inputs, {});
  EXPECT_TRUE(made.plan.matches(inputs, {}));
  made.result = at::empty_strided(made.plan.outputSizes(), made.plan.outputStrides(), a.options());
  at::Tensor copies[2];
  char *pointers[3];
  for (int k = 0; k < 2; ++k) {
    copies[k] = *inputs[k];
    if (made.plan.copyFirst(k))
      copies[k] = at::empty_like(made.result).copy_(*inputs[k]);
    pointers[k] = static_cast<char *>(copies[k].data_ptr());
  }
  pointers[2] = static_cast<char *>(made.result.data_ptr());
  made.plan.run(pointers, nullptr);
  EXPECT_EQ(made.result.sizes(), expected.sizes());
  EXPECT_EQ(made.result.strides(), expected.strides()) << "the layout is eager's";
  EXPECT_TRUE(at::equal(made.result, expected));
  return made;
}

TEST(IterationPlan, RunsContiguousTensorsAsOneRow) {
  Added added = addTensors(at::randn({3, 4, 5}), at::randn({3, 4, 5}));
  EXPECT_EQ(added.plan.rowLength(), 60);
  EXPECT_EQ(added.plan.rowsPerCall(), 1);
}

TEST(IterationPlan, BroadcastsRowsAndColumns) {
  Added bias = addTensors(at::randn({7, 5}), at::randn({5}));
  EXPECT_EQ(bias.plan.rowLength(), 5);
  EXPECT_EQ(bias.plan.rowsPerCall(), 7);
  Added column =
      addTensors<Access::Contiguous, Access::Broadcast>(at::randn({7, 5}), at::randn({7, 1}));
  EXPECT_EQ(column.plan.rowLength(), 5);
  addTensors<Access::Contiguous, Access::Broadcast>(at::randn({2, 3, 4, 5}), at::randn({3, 1, 1}));
  addTensors<Access::Contiguous, Access::Broadcast>(at::randn({6, 5}), at::scalar_tensor(2.0));
  addTensors(at::randn({4, 1}), at::randn({1, 6}));
  addTensors<Access::Broadcast, Access::Contiguous>(at::randn({4, 1}), at::randn({1, 6}));
}

TEST(IterationPlan, KeepsLayouts) {
  at::Tensor image = at::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  EXPECT_EQ(addTensors(image, at::randn_like(image)).plan.rowLength(), 120);
  addTensors(image, at::randn({1, 3, 1, 1}));
  addTensors(image, at::randn({2, 3, 4, 5}));
  addTensors(at::randn({4, 6}).t(), at::randn({4, 6}).t());
  addTensors(at::randn({4, 6}).t(), at::randn({6, 4}));
  addTensors(at::randn({6, 4}), at::randn({4, 6}).t());
  addTensors(at::randn({3, 4, 5}).permute({2, 0, 1}), at::randn({5, 1, 1}));
  addTensors(at::randn({1, 1, 5}), at::randn({1, 3, 1}));
  addTensors(at::randn({2, 1, 3, 1}).contiguous(at::MemoryFormat::ChannelsLast),
             at::randn({2, 1, 3, 1}));
}

TEST(IterationPlan, TakesLayoutsThatTheCodeIsNotFor) {
  for (int64_t size : {3, 40, 90}) { // rows of one, copies, large
    addTensors(at::randn({size, 2 * size}).narrow(1, 0, size), at::randn({size, size}).t());
    addTensors(at::randn({size, 2 * size}).slice(1, 0, 2 * size, 2), at::randn({size, size}));
    addTensors<Access::Broadcast, Access::Contiguous>(at::randn({size, size}),
                                                      at::randn({size, size}));
    addTensors<Access::Broadcast, Access::Broadcast>(at::randn({size, 1}), at::randn({1, size}));
    addTensors(at::randn({size, 1}), at::randn({size, size}));
    addTensors(at::randn({size}).expand({size, size}).t(), at::randn({size, size}));
  }
}

TEST(IterationPlan, AsksForBetterCode) {
  int asked = 0;
  auto variant = [&](const std::vector<Access> &access) -> KernelFn {
    ++asked;
    EXPECT_EQ(access, (std::vector{Access::Strided, Access::Contiguous, Access::Contiguous}));
    return &addRows<Access::Strided, Access::Contiguous>;
  };
  Added added =
      addTensors(at::randn({100, 200}).slice(1, 0, 200, 2), at::randn({100, 100}), variant);
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(added.plan.anyCopies());
  addTensors(at::randn({3, 6}).slice(1, 0, 6, 2), at::randn({3, 3}), variant);
  EXPECT_EQ(asked, 1) << "not worth compiling for";
  addTensors(at::randn({100, 200}).slice(1, 0, 200, 2), at::randn({100, 100}),
             [](const std::vector<Access> &) -> KernelFn { return nullptr; });
}

TEST(IterationPlan, HandlesEmptyAndZeroDimensionalTensors) {
  addTensors(at::randn({0, 3}), at::randn({3}));
  addTensors(at::randn({4, 0, 3}), at::randn({4, 1, 1}));
  addTensors(at::randn({}), at::randn({}));
  addTensors(at::randn({1}), at::randn({}));
  addTensors(at::randn({1, 1}), at::randn({1}));
}

TEST(IterationPlan, UsesAllThreadsOnLargeSpaces) {
  int before = at::get_num_threads();
  at::set_num_threads(3);
  addTensors(at::randn({400000}), at::randn({400000}));
  addTensors(at::randn({5, 70001}), at::randn({70001}));
  addTensors(at::randn({3000, 70}), at::randn({70}));
  addTensors<Access::Contiguous, Access::Broadcast>(at::randn({20, 30, 33, 7}),
                                                    at::randn({30, 1, 1}));
  at::Tensor strided = at::randn({60, 70, 80}).permute({1, 0, 2});
  addTensors(strided, at::randn({70, 60, 80}));
  at::set_num_threads(before);
}

// Shapes of up to five dimensions, cut, permuted, expanded and broadcast at random.
TEST(IterationPlan, AgreesWithEagerOnRandomLayouts) {
  std::mt19937 random(7);
  auto upTo = [&](int64_t n) { return static_cast<int64_t>(random() % n); };
  auto layOut = [&](std::vector<int64_t> sizes) {
    size_t drop = upTo(4) == 0 ? upTo(static_cast<int64_t>(sizes.size()) + 1) : 0;
    sizes.erase(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(drop));
    std::vector<int64_t> order(sizes.size()), stored, back(sizes.size());
    std::iota(order.begin(), order.end(), 0);
    if (upTo(2) == 0)
      std::shuffle(order.begin(), order.end(), random);
    bool cut = upTo(4) == 0, expand = upTo(6) == 0, broadcast = upTo(3) == 0;
    for (int64_t &size : sizes)
      if (broadcast && upTo(2) == 0)
        size = 1;
    for (size_t i = 0; i < order.size(); ++i) {
      stored.push_back(sizes[order[i]] * (cut ? 2 : 1));
      back[order[i]] = static_cast<int64_t>(i);
    }
    at::Tensor tensor = at::randn(stored).permute(back);
    for (size_t dim = 0; dim < sizes.size(); ++dim) {
      if (cut)
        tensor = upTo(2) ? tensor.slice(dim, 0, 2 * sizes[dim], 2)
                         : tensor.narrow(dim, sizes[dim] ? 1 : 0, sizes[dim]);
      if (expand && sizes[dim] > 0 && upTo(2) == 0) {
        std::vector<int64_t> whole = tensor.sizes().vec();
        tensor = tensor.narrow(dim, 0, 1).expand(whole);
      }
    }
    return tensor;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<int64_t> sizes;
    for (int64_t dim = upTo(6); dim > 0; --dim)
      sizes.push_back(upTo(12) == 0 ? 0 : 1 + upTo(sizes.size() < 2 ? 9 : 5));
    at::Tensor a = layOut(sizes), b = layOut(sizes);
    switch (round % 4) {
    case 0: addTensors(a, b); break;
    case 1: addTensors<Access::Contiguous, Access::Broadcast>(a, b); break;
    case 2: addTensors<Access::Broadcast, Access::Contiguous>(a, b); break;
    case 3: addTensors<Access::Strided, Access::Strided>(a, b); break;
    }
    if (testing::Test::HasFailure())
      FAIL() << a.sizes() << a.strides() << " and " << b.sizes() << b.strides();
  }
}

TEST(IterationPlan, NoticesOtherTensors) {
  at::Tensor a = at::randn({4, 6}), b = at::randn({6});
  Added added = addTensors(a, b);
  at::Tensor other = at::randn({4, 6}), transposed = at::randn({6, 4}).t(),
             more = at::randn({5, 6});
  at::Tensor wide = a.to(at::kDouble);
  auto matches = [&](const at::Tensor &x) {
    std::vector<const at::Tensor *> inputs{&x, &b};
    return added.plan.matches(inputs, {});
  };
  EXPECT_TRUE(matches(other));
  EXPECT_FALSE(matches(transposed));
  EXPECT_FALSE(matches(more));
  EXPECT_FALSE(matches(wide));
}

TEST(IterationPlan, RefusesWhatTheGraphDidNotAssume) {
  KernelStep step;
  step.fn = &addRows<Access::Contiguous, Access::Contiguous>;
  step.inputs = {0, 1};
  step.outputs = {2};
  step.outputTypes = {DType::Float};
  std::vector<TensorSlot> slots(3, dynamicSlot(1));
  slots[2].type.tensor.dims[0] = Dim::fixed(4);
  IterationPlan plan;
  auto make = [&](at::Tensor a, at::Tensor b) {
    std::vector<const at::Tensor *> inputs{&a, &b};
    plan.make(step, slots, inputs, {});
  };
  make(at::ones({4}), at::ones({4}));
  EXPECT_THROW(make(at::ones({4}), at::ones({3})), c10::Error);
  EXPECT_THROW(make(at::ones({5}), at::ones({5})), c10::Error);
  EXPECT_THROW(make(at::ones({4, 4}), at::ones({4})), c10::Error);
  EXPECT_THROW(make(at::ones({4}, at::kLong), at::ones({4})), c10::Error);
}

} // namespace
} // namespace bifront
