#include "runtime/float_convolutions.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace bifront {
namespace {

struct Case {
  std::array<int64_t, 4> images, weights; // sizes
  std::array<int64_t, 2> steps, paddings;
};

// One image and many, one matrix for many images and several, windows of one place, windows that
// leave rows and columns out, steps larger than windows, padding wider than images.
const Case kCases[] = {
    {{16, 3, 48, 48}, {8, 3, 7, 7}, {2, 2}, {3, 3}},
    {{5, 8, 12, 12}, {8, 8, 3, 3}, {1, 1}, {1, 1}},
    {{7, 8, 12, 12}, {33, 8, 1, 1}, {1, 1}, {0, 0}},
    {{1, 8, 5, 9}, {6, 8, 1, 1}, {1, 1}, {0, 0}},
    {{3, 32, 12, 12}, {9, 32, 1, 1}, {2, 2}, {0, 0}},
    {{1, 5, 40, 31}, {3, 5, 2, 5}, {1, 1}, {0, 0}},
    {{1, 2, 25, 25}, {4, 2, 3, 3}, {3, 2}, {0, 2}},
    {{32, 4, 6, 6}, {8, 4, 4, 4}, {2, 2}, {0, 0}},
    {{2, 1, 3, 4}, {1, 1, 2, 2}, {4, 5}, {5, 7}},
    {{9, 3, 11, 7}, {5, 3, 4, 1}, {2, 3}, {1, 2}},
    {{600, 2, 1, 1}, {3, 2, 1, 1}, {1, 1}, {0, 0}},
    {{2, 300, 3, 3}, {2, 300, 2, 2}, {1, 1}, {1, 0}},
    {{3, 4, 4, 20}, {17, 4, 1, 20}, {1, 1}, {0, 0}},
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1}, {0, 0}},
};

std::vector<c10::IValue> windowsOf(const Case &one) {
  auto list = [](const std::array<int64_t, 2> &values) {
    return c10::IValue(std::vector<int64_t>(values.begin(), values.end()));
  };
  return {list(one.steps), list(one.paddings), list({1, 1}), false, list({0, 0}), int64_t{1}};
}

class OwnConvolutions : public ::testing::Test {
protected:
  void SetUp() override {
    if (!ownConvolution("aten::convolution"))
      GTEST_SKIP() << "this machine lacks AVX-512";
  }
};

std::vector<c10::IValue> forwardStack(const Case &one, const at::Tensor &images,
                                      const at::Tensor &weights, const c10::IValue &bias) {
  std::vector<c10::IValue> stack{images, weights, bias};
  for (c10::IValue &argument : windowsOf(one))
    stack.push_back(std::move(argument));
  return stack;
}

// Null where ATen is to do it.
std::optional<at::Tensor> forward(std::vector<c10::IValue> stack) {
  size_t arguments = stack.size();
  if (!ownConvolution("aten::convolution", /*evenIfSlower=*/true)(stack, nullptr)) {
    EXPECT_EQ(stack.size(), arguments);
    return std::nullopt;
  }
  EXPECT_EQ(stack.size(), 1u);
  return stack[0].toTensor();
}

at::Tensor exact(const Case &one, const at::Tensor &images, const at::Tensor &weights,
                 const at::Tensor &bias) {
  return at::convolution(images.to(at::kDouble), weights.to(at::kDouble),
                         bias.defined() ? bias.to(at::kDouble) : bias, one.steps, one.paddings,
                         {1, 1}, false, {0, 0}, 1);
}

void expectClose(const at::Tensor &actual, const at::Tensor &expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  ASSERT_TRUE(actual.is_contiguous());
  double scale = expected.abs().max().item<double>() + 1;
  EXPECT_LT((actual.to(at::kDouble) - expected).abs().max().item<double>(), 2e-5 * scale)
      << actual.sizes();
}

TEST_F(OwnConvolutions, EqualAtens) {
  for (const Case &one : kCases)
    for (bool hasBias : {false, true}) {
      at::Tensor images = at::randn(one.images), weights = at::randn(one.weights);
      at::Tensor bias = hasBias ? at::randn({one.weights[0]}) : at::Tensor();
      auto stack = forwardStack(one, images, weights, hasBias ? c10::IValue(bias) : c10::IValue());
      auto made = forward(stack);
      ASSERT_TRUE(made) << images.sizes();
      expectClose(*made, exact(one, images, weights, bias));
    }
}

TEST_F(OwnConvolutions, HaveAtensGradients) {
  for (const Case &one : kCases)
    for (int wanted = 1; wanted < 8; ++wanted) {
      at::Tensor images = at::randn(one.images), weights = at::randn(one.weights);
      at::Tensor given = at::randn(exact(one, images, weights, {}).sizes());
      std::array<bool, 3> mask{(wanted & 1) != 0, (wanted & 2) != 0, (wanted & 4) != 0};
      std::vector<c10::IValue> stack{given, images, weights, std::vector<int64_t>{one.weights[0]}};
      for (c10::IValue &argument : windowsOf(one))
        stack.push_back(std::move(argument));
      stack.emplace_back(c10::List<bool>({mask[0], mask[1], mask[2]}));
      ASSERT_TRUE(ownConvolution("aten::convolution_backward", true)(stack, nullptr));
      ASSERT_EQ(stack.size(), 3u);
      auto [ofImages, ofWeights, ofBias] = at::convolution_backward(
          given.to(at::kDouble), images.to(at::kDouble), weights.to(at::kDouble),
          at::IntArrayRef{one.weights[0]}, one.steps, one.paddings, {1, 1}, false, {0, 0}, 1, mask);
      const at::Tensor expected[] = {ofImages, ofWeights, ofBias};
      for (size_t i = 0; i < 3; ++i) {
        ASSERT_EQ(stack[i].toTensor().defined(), mask[i]);
        if (mask[i])
          expectClose(stack[i].toTensor(), expected[i]);
      }
    }
}

TEST_F(OwnConvolutions, KeepWhatIsNoNumber) {
  Case one{{2, 3, 6, 6}, {4, 3, 3, 3}, {1, 1}, {1, 1}};
  at::Tensor images = at::randn(one.images), weights = at::randn(one.weights);
  images[1][2][3][4] = std::numeric_limits<float>::quiet_NaN();
  images[0][0][0][0] = std::numeric_limits<float>::infinity();
  auto made = forward(forwardStack(one, images, weights, {}));
  ASSERT_TRUE(made);
  at::Tensor expected = exact(one, images, weights, {});
  EXPECT_TRUE(at::isfinite(*made).equal(at::isfinite(expected)));
}

TEST_F(OwnConvolutions, LeaveOtherKindsToAten) {
  Case one{{2, 4, 6, 6}, {4, 4, 3, 3}, {1, 1}, {1, 1}};
  at::Tensor images = at::randn(one.images), weights = at::randn(one.weights);
  auto own = [&](const at::Tensor &x, const at::Tensor &w, const c10::IValue &bias = {}) {
    return forward(forwardStack(one, x, w, bias)).has_value();
  };
  EXPECT_TRUE(own(images, weights));
  EXPECT_FALSE(own(images.to(at::kDouble), weights.to(at::kDouble)));
  EXPECT_FALSE(own(images.contiguous(at::MemoryFormat::ChannelsLast), weights));
  EXPECT_FALSE(own(images, weights.contiguous(at::MemoryFormat::ChannelsLast)));
  EXPECT_FALSE(own(images.narrow(2, 0, 5), weights));
  EXPECT_FALSE(own(images, at::randn({4, 2, 3, 3}))); // raises
  EXPECT_FALSE(own(images, at::randn({4, 4, 9, 3}))); // raises
  EXPECT_FALSE(own(images, weights, at::randn({3}))); // raises
  EXPECT_FALSE(own(images.narrow(0, 0, 0), weights));
  EXPECT_FALSE(own(images[0], weights));
  auto changed = [&](size_t argument, c10::IValue value) {
    auto stack = forwardStack(one, images, weights, {});
    stack[argument] = std::move(value);
    return forward(stack).has_value();
  };
  EXPECT_FALSE(changed(5, std::vector<int64_t>{2, 2})); // dilation
  EXPECT_FALSE(changed(6, true));                       // transposed
  EXPECT_FALSE(changed(8, int64_t{2}));                 // groups
}

TEST_F(OwnConvolutions, AreTakenWhereTheyAreFaster) {
  auto isTaken = [](const Case &one) {
    auto stack = forwardStack(one, at::randn(one.images), at::randn(one.weights), {});
    return ownConvolution("aten::convolution")(stack, nullptr);
  };
  EXPECT_TRUE(isTaken({{16, 64, 6, 6}, {32, 64, 1, 1}, {1, 1}, {0, 0}}));
  EXPECT_FALSE(isTaken({{8, 64, 14, 14}, {64, 64, 3, 3}, {1, 1}, {1, 1}}));
  // Of these ATen makes products, which are fast on some machines.
  EXPECT_EQ(isTaken({{4, 64, 28, 28}, {256, 64, 1, 1}, {1, 1}, {0, 0}}), !atensProductsAreFast());
}

TEST_F(OwnConvolutions, GoByThePrecisionAskedFor) {
  Case one{{2, 4, 6, 6}, {4, 4, 3, 3}, {1, 1}, {1, 1}};
  auto stack = forwardStack(one, at::randn(one.images), at::randn(one.weights), {});
  auto &context = at::globalContext();
  context.setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::CONV,
                              at::Float32Precision::BF16);
  bool isOwn = forward(stack).has_value();
  context.setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::CONV,
                              at::Float32Precision::NONE);
  EXPECT_FALSE(isOwn);
}

} // namespace
} // namespace bifront
