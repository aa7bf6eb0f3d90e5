#include "runtime/small_calls.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace bifront {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Nothing where ATen is to do it.
std::optional<at::Tensor> own(const char *schema, std::vector<c10::IValue> stack) {
  size_t arguments = stack.size();
  if (!ownSmallCall(schema)(stack, nullptr)) {
    EXPECT_EQ(stack.size(), arguments);
    return std::nullopt;
  }
  EXPECT_EQ(stack.size(), 1u);
  return stack[0].toTensor();
}

std::optional<at::Tensor> logSumExp(const at::Tensor &x, std::vector<int64_t> dims, bool keepsDim) {
  return own("aten::logsumexp", {x, dims, keepsDim});
}

std::optional<at::Tensor> draw(const at::Tensor &probabilities) {
  return own("aten::multinomial", {probabilities, int64_t{1}, true, c10::IValue()});
}

TEST(SmallCalls, LogSumExpIsAtens) {
  const std::vector<std::vector<int64_t>> shapes{{3}, {1}, {4, 3}, {2, 3, 5}, {7, 1}};
  for (const std::vector<int64_t> &sizes : shapes)
    for (bool keepsDim : {false, true})
      for (double scale : {1.0, 200.0}) {
        at::Tensor x = at::randn(sizes) * scale;
        for (int64_t dim : {int64_t{-1}, x.dim() - 1}) {
          auto made = logSumExp(x, {dim}, keepsDim);
          at::Tensor expected = at::logsumexp(x, dim, keepsDim);
          ASSERT_TRUE(made);
          ASSERT_EQ(made->sizes(), expected.sizes());
          EXPECT_TRUE(at::allclose(*made, expected, 1e-6, 1e-6));
        }
      }
}

TEST(SmallCalls, LogSumExpOfWhatIsNoNumberIsAtens) {
  at::Tensor x = at::tensor({kInfinity, 1.0F, -kInfinity, -kInfinity, kNan, kInfinity, 2.0F, kNan,
                             -kInfinity, 3.0F, kInfinity, -kInfinity})
                     .view({6, 2});
  auto made = logSumExp(x, {-1}, false);
  ASSERT_TRUE(made);
  EXPECT_TRUE(at::allclose(*made, at::logsumexp(x, -1, false), 0, 0, /*equal_nan=*/true));
}

TEST(SmallCalls, LeaveTheRestToAten) {
  at::Tensor x = at::randn({4, 3});
  EXPECT_FALSE(logSumExp(x, {0}, false));
  EXPECT_FALSE(logSumExp(x, {0, 1}, false));
  EXPECT_FALSE(logSumExp(x, {2}, false)); // raises
  EXPECT_FALSE(logSumExp(x.t(), {-1}, false));
  EXPECT_FALSE(logSumExp(x.to(at::kDouble), {-1}, false));
  EXPECT_FALSE(logSumExp(at::randn({}), {-1}, false));
  EXPECT_FALSE(logSumExp(at::randn({0, 3}), {-1}, false));
  EXPECT_FALSE(logSumExp(at::randn({1000}), {-1}, false));
  EXPECT_FALSE(own("aten::multinomial", {x.abs(), int64_t{2}, true, c10::IValue()}));
  EXPECT_FALSE(own("aten::all.dim", {x > 0, int64_t{0}, false}));
  EXPECT_FALSE(own("aten::_is_all_true", {x}));
  EXPECT_EQ(ownSmallCall("aten::logcumsumexp"), nullptr);
}

TEST(SmallCalls, TruthsAreAtens) {
  for (int seed = 0; seed < 20; ++seed) {
    at::Tensor is = at::rand({3, 4}) < 0.8;
    for (bool keepsDim : {false, true})
      EXPECT_TRUE(
          own("aten::all.dim", {is, int64_t{-1}, keepsDim})->equal(at::all(is, -1, keepsDim)));
    EXPECT_TRUE(own("aten::_is_all_true", {is})->equal(at::_is_all_true(is)));
    EXPECT_TRUE(own("aten::_is_all_true", {is[0][0]})->equal(at::_is_all_true(is[0][0])));
  }
}

TEST(SmallCalls, DrawsAreAtens) {
  for (int seed = 0; seed < 200; ++seed) {
    at::Tensor x = seed % 3 == 0 ? at::rand({5}) : at::rand({1 + seed % 7, 4});
    x.masked_fill_(x < 0.2, 0);
    x.select(-1, 1).fill_(0.5);
    at::manual_seed(seed);
    auto made = draw(x);
    at::Tensor next = at::rand({3});
    at::manual_seed(seed);
    at::Tensor expected = at::multinomial(x, 1, true);
    ASSERT_TRUE(made);
    EXPECT_TRUE(made->equal(expected));
    EXPECT_TRUE(next.equal(at::rand({3})));
  }
}

TEST(SmallCalls, WhatIsNoDistributionDrawsNothing) {
  at::manual_seed(1);
  at::Tensor expected = at::rand({2});
  at::manual_seed(1);
  for (float wrong : {-0.1F, kInfinity, kNan}) {
    at::Tensor x = at::rand({2, 3});
    x[1][2] = wrong;
    at::manual_seed(1);
    EXPECT_FALSE(draw(x));
    EXPECT_TRUE(at::rand({2}).equal(expected));
  }
  EXPECT_FALSE(draw(at::zeros({3})));
  EXPECT_FALSE(draw(at::tensor({0.0F, 1.0F, 0.0F, 0.0F}).view({2, 2})));
}

} // namespace
} // namespace bifront
