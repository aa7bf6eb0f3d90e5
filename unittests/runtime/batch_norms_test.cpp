#include "runtime/batch_norms.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace bifront {
namespace {

class OwnBatchNorms : public ::testing::Test {
protected:
  void SetUp() override {
    if (!ownBatchNorm("aten::native_batch_norm"))
      GTEST_SKIP() << "this machine lacks AVX-512";
  }
};

// What a call has beside its images; tensors may be undefined.
struct Layer {
  at::Tensor weight, bias, mean, variance;

  static Layer ofChannels(int64_t channels) {
    return {at::randn({channels}), at::randn({channels}), at::randn({channels}),
            at::rand({channels})};
  }
  Layer inDouble() const {
    auto made = [](const at::Tensor &tensor) {
      return tensor.defined() ? tensor.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true)
                              : tensor;
    };
    return {made(weight), made(bias), made(mean), made(variance)};
  }
};

constexpr double kMomentum = 0.3, kEpsilon = 1e-3;

std::vector<c10::IValue> forwardStack(const at::Tensor &images, const Layer &layer) {
  return {images, layer.weight, layer.bias, layer.mean, layer.variance, true, kMomentum, kEpsilon};
}

// Nothing where ATen is to do it.
std::vector<c10::IValue> own(const char *schema, std::vector<c10::IValue> stack) {
  size_t arguments = stack.size();
  if (!ownBatchNorm(schema)(stack, nullptr)) {
    EXPECT_EQ(stack.size(), arguments);
    return {};
  }
  EXPECT_EQ(stack.size(), 3u);
  return stack;
}

std::vector<c10::IValue> forward(const at::Tensor &images, const Layer &layer) {
  return own("aten::native_batch_norm", forwardStack(images, layer));
}

void expectClose(const at::Tensor &actual, const at::Tensor &expected) {
  ASSERT_EQ(actual.defined(), expected.defined());
  if (!actual.defined())
    return;
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(actual.to(at::kDouble), expected, 1e-5, 1e-5)) << actual.sizes();
}

const std::vector<std::vector<int64_t>> kSizes{{4, 3, 5, 7},  {1, 2, 4, 4},    {2, 5, 16},
                                               {3, 1, 33},    {2, 3, 2, 2, 3}, {6, 70, 3, 3},
                                               {2, 3, 64, 65}};

std::vector<Layer> layersOf(int64_t channels) {
  Layer all = Layer::ofChannels(channels);
  return {all,
          {all.weight, {}, {}, {}},
          {{}, all.bias, all.mean.clone(), all.variance.clone()},
          {{}, {}, {}, {}}};
}

TEST_F(OwnBatchNorms, AreThoseOfAten) {
  for (const auto &sizes : kSizes)
    for (const Layer &layer : layersOf(sizes[1])) {
      at::Tensor images = at::randn(sizes) * 3 + 5;
      Layer exact = layer.inDouble();
      auto made = forward(images, layer);
      auto [result, mean, scale] =
          at::native_batch_norm(images.to(at::kDouble), exact.weight, exact.bias, exact.mean,
                                exact.variance, true, kMomentum, kEpsilon);
      ASSERT_EQ(made.size(), 3u);
      expectClose(made[0].toTensor(), result);
      expectClose(made[1].toTensor(), mean);
      expectClose(made[2].toTensor(), scale);
      expectClose(layer.mean, exact.mean);
      expectClose(layer.variance, exact.variance);
    }
}

TEST_F(OwnBatchNorms, HaveTheGradientsOfAten) {
  for (const auto &sizes : kSizes)
    for (const Layer &layer : layersOf(sizes[1]))
      for (int mask = 1; mask < 8; ++mask) {
        std::array<bool, 3> wanted{(mask & 1) != 0, (mask & 2) != 0, (mask & 4) != 0};
        if (!layer.weight.defined() && mask != 1)
          continue;
        at::Tensor images = at::randn(sizes) * 3 + 5, given = at::randn(sizes);
        auto saved = forward(images, layer);
        ASSERT_EQ(saved.size(), 3u);
        const at::Tensor &mean = saved[1].toTensor(), &scale = saved[2].toTensor();
        auto made = own("aten::native_batch_norm_backward",
                        {given, images, layer.weight, layer.mean, layer.variance, mean, scale, true,
                         kEpsilon, c10::List<bool>({wanted[0], wanted[1], wanted[2]})});
        Layer exact = layer.inDouble();
        auto [ofImages, ofWeight, ofBias] = at::native_batch_norm_backward(
            given.to(at::kDouble), images.to(at::kDouble), exact.weight, exact.mean, exact.variance,
            mean.to(at::kDouble), scale.to(at::kDouble), true, kEpsilon, wanted);
        ASSERT_EQ(made.size(), 3u);
        expectClose(made[0].toTensor(), ofImages);
        expectClose(made[1].toTensor(), ofWeight);
        expectClose(made[2].toTensor(), ofBias);
      }
}

TEST_F(OwnBatchNorms, HaveTheSameBitsByAnyNumberOfThreads) {
  int threads = at::get_num_threads();
  at::Tensor images = at::randn({8, 40, 30, 30});
  Layer layer{at::randn({40}), at::randn({40}), {}, {}};
  at::set_num_threads(1);
  auto one = forward(images, layer);
  at::set_num_threads(3);
  auto three = forward(images, layer);
  at::set_num_threads(threads);
  ASSERT_EQ(one.size(), three.size());
  for (size_t i = 0; i < one.size(); ++i)
    EXPECT_TRUE(at::equal(one[i].toTensor(), three[i].toTensor()));
}

TEST_F(OwnBatchNorms, PassNotANumberOn) {
  at::Tensor images = at::randn({2, 3, 4, 4});
  images[1][1][3][3] = std::numeric_limits<float>::quiet_NaN();
  auto made = forward(images, Layer::ofChannels(3));
  ASSERT_EQ(made.size(), 3u);
  at::Tensor are = made[0].toTensor().isnan();
  EXPECT_TRUE(are.select(1, 1).all().item<bool>());
  EXPECT_FALSE(are.select(1, 0).any().item<bool>());
}

TEST_F(OwnBatchNorms, LeaveTheRestToAten) {
  at::Tensor images = at::randn({2, 3, 4, 4});
  Layer layer = Layer::ofChannels(3);
  EXPECT_TRUE(forward(images.to(at::kDouble), layer.inDouble()).empty());
  EXPECT_TRUE(forward(images.contiguous(at::MemoryFormat::ChannelsLast), layer).empty());
  EXPECT_TRUE(forward(images.slice(3, 0, 2), layer).empty());
  EXPECT_TRUE(forward(at::randn({2, 3}), layer).empty());       // no images
  EXPECT_TRUE(forward(at::randn({2, 3, 1, 2}), layer).empty()); // of few elements
  EXPECT_TRUE(forward(at::randn({0, 3, 4, 4}), layer).empty());
  EXPECT_TRUE(forward(images, Layer::ofChannels(4)).empty()); // raises
  EXPECT_TRUE(forward(images, layer.inDouble()).empty());
  auto stack = forwardStack(images, layer);
  stack[5] = false;
  EXPECT_TRUE(own("aten::native_batch_norm", stack).empty());
  EXPECT_EQ(ownBatchNorm("aten::batch_norm"), nullptr);
}

} // namespace
} // namespace bifront
