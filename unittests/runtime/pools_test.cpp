#include "runtime/pools.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

namespace bifront {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class OwnPools : public ::testing::Test {
protected:
  void SetUp() override {
    if (!ownPool("aten::avg_pool2d"))
      GTEST_SKIP() << "this machine lacks AVX-512";
  }
};

struct Case {
  std::vector<int64_t> images, window, step, padding;
};
const std::vector<Case> kCases{
    {{2, 3, 8, 9}, {3, 3}, {1, 1}, {1, 1}},    {{1, 2, 35, 37}, {3, 3}, {2, 2}, {0, 0}},
    {{2, 1, 7, 7}, {2, 2}, {2, 2}, {0, 0}},    {{1, 2, 40, 33}, {3, 2}, {2, 3}, {1, 1}},
    {{3, 2, 5, 6}, {5, 6}, {1, 1}, {0, 0}},    {{1, 1, 20, 70}, {2, 4}, {3, 5}, {1, 2}},
    {{2, 2, 6, 6}, {1, 1}, {1, 1}, {0, 0}},    {{1, 1, 1, 1}, {1, 1}, {1, 1}, {0, 0}},
    {{1, 3, 16, 16}, {11, 11}, {4, 4}, {5, 5}}};

// Nothing where ATen is to do it.
std::vector<c10::IValue> own(const char *schema, std::vector<c10::IValue> stack) {
  size_t arguments = stack.size();
  if (!ownPool(schema)(stack, nullptr)) {
    EXPECT_EQ(stack.size(), arguments);
    return {};
  }
  return stack;
}

std::vector<c10::IValue> greatest(const Case &one, const at::Tensor &images) {
  return own("aten::max_pool2d_with_indices",
             {images, one.window, one.step, one.padding, std::vector<int64_t>{1, 1}, false});
}

void expectGreatestAreAtens(const Case &one, const at::Tensor &images) {
  auto made = greatest(one, images);
  auto [values, indices] =
      at::max_pool2d_with_indices(images, one.window, one.step, one.padding, {1, 1}, false);
  ASSERT_EQ(made.size(), 2u);
  EXPECT_TRUE(at::allclose(made[0].toTensor(), values, 0, 0, /*equal_nan=*/true));
  EXPECT_TRUE(at::equal(made[1].toTensor(), indices)) << images.sizes();
}

TEST_F(OwnPools, TheGreatestAreAtens) {
  for (const Case &one : kCases) {
    expectGreatestAreAtens(one, at::randn(one.images));
    expectGreatestAreAtens(one, at::randint(3, one.images).to(at::kFloat)); // many are the greatest
  }
}

TEST_F(OwnPools, TheGreatestOfWhatIsNoNumberAreAtens) {
  for (const Case &one : kCases)
    for (float other : {kNan, -kInfinity, kInfinity}) {
      at::Tensor images = at::randn(one.images);
      for (double share : {0.2, 0.9, 1.0})
        expectGreatestAreAtens(one, images.masked_fill(at::rand(one.images) < share, other));
    }
}

const std::vector<std::pair<bool, c10::IValue>> kCounted{
    {true, {}}, {false, {}}, {true, int64_t{7}}, {false, int64_t{-3}}};

TEST_F(OwnPools, AveragesAreAtens) {
  for (const Case &one : kCases)
    for (const auto &[withPadding, divisor] : kCounted) {
      at::Tensor images = at::randn(one.images);
      auto made = own("aten::avg_pool2d",
                      {images, one.window, one.step, one.padding, false, withPadding, divisor});
      ASSERT_EQ(made.size(), 1u);
      at::Tensor expected =
          at::avg_pool2d(images.to(at::kDouble), one.window, one.step, one.padding, false,
                         withPadding, divisor.toOptional<int64_t>());
      ASSERT_EQ(made[0].toTensor().sizes(), expected.sizes());
      EXPECT_TRUE(at::allclose(made[0].toTensor().to(at::kDouble), expected, 1e-5, 1e-6));
    }
}

TEST_F(OwnPools, AveragesHaveTheGradientsOfAten) {
  for (const Case &one : kCases)
    for (const auto &[withPadding, divisor] : kCounted) {
      at::Tensor images = at::randn(one.images);
      at::Tensor given =
          at::randn_like(at::avg_pool2d(images, one.window, one.step, one.padding, false));
      auto made = own("aten::avg_pool2d_backward", {given, images, one.window, one.step,
                                                    one.padding, false, withPadding, divisor});
      ASSERT_EQ(made.size(), 1u);
      at::Tensor expected = at::avg_pool2d_backward(given.to(at::kDouble), images.to(at::kDouble),
                                                    one.window, one.step, one.padding, false,
                                                    withPadding, divisor.toOptional<int64_t>());
      ASSERT_EQ(made[0].toTensor().sizes(), expected.sizes());
      EXPECT_TRUE(at::allclose(made[0].toTensor().to(at::kDouble), expected, 1e-5, 1e-6));
    }
}

TEST_F(OwnPools, ThreadsShareTheChannels) {
  Case one{{4, 30, 40, 40}, {3, 3}, {1, 1}, {1, 1}};
  at::Tensor images = at::randn(one.images);
  int threads = at::get_num_threads();
  at::set_num_threads(3);
  expectGreatestAreAtens(one, images);
  at::set_num_threads(threads);
}

TEST_F(OwnPools, LeaveTheRestToAten) {
  using Sizes = std::vector<int64_t>;
  at::Tensor images = at::randn({2, 3, 8, 8});
  auto isTaken = [&](const at::Tensor &of, const Sizes &window, const Sizes &padding,
                     const Sizes &apart = {1, 1}, bool beyond = false) {
    return !own("aten::max_pool2d_with_indices", {of, window, window, padding, apart, beyond})
                .empty();
  };
  EXPECT_TRUE(isTaken(images, {2}, {0}));
  EXPECT_FALSE(isTaken(images.to(at::kDouble), {2}, {0}));
  EXPECT_FALSE(isTaken(images.contiguous(at::MemoryFormat::ChannelsLast), {2}, {0}));
  EXPECT_FALSE(isTaken(images[0], {2}, {0}));
  EXPECT_FALSE(isTaken(images, {2}, {2})); // raises
  EXPECT_FALSE(isTaken(images, {9}, {0})); // raises
  EXPECT_FALSE(isTaken(images, {2}, {0}, {2, 2}));
  EXPECT_FALSE(isTaken(images, {2}, {0}, {1, 1}, true));
  EXPECT_TRUE(
      own("aten::avg_pool2d", {images, Sizes{2}, Sizes{}, Sizes{0}, false, true, int64_t{0}})
          .empty()); // raises
  EXPECT_EQ(own("aten::avg_pool2d", {images, Sizes{2}, Sizes{}, Sizes{0}, false, true, {}}).size(),
            1u);
  EXPECT_EQ(ownPool("aten::max_pool2d"), nullptr);
}

} // namespace
} // namespace bifront
