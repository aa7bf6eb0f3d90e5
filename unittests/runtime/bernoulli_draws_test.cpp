#include "runtime/bernoulli_draws.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

namespace bifront {
namespace {

class OwnDraws : public ::testing::Test {
protected:
  void SetUp() override {
    if (!ownDraws("aten::bernoulli_.float"))
      GTEST_SKIP() << "this machine lacks AVX-512";
    std::vector<c10::IValue> stack{at::empty({64}), 0.5, c10::IValue()};
    if (!ownDraws("aten::bernoulli_.float")(stack, nullptr))
      GTEST_SKIP() << "ATen draws in another way here";
  }
};

bool draws(const at::Tensor &to, double share, const c10::IValue &generator = {}) {
  std::vector<c10::IValue> stack{to, share, generator};
  bool does = ownDraws("aten::bernoulli_.float")(stack, nullptr);
  EXPECT_EQ(stack.size(), does ? 1u : 3u);
  EXPECT_TRUE(stack[0].toTensor().is_same(to));
  return does;
}

TEST_F(OwnDraws, AreAtensAndLeaveItsGeneratorAsAtenDoes) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  for (int ahead : {0, 1, 2, 311, 622, 623, 624, 625, 1000}) // numbers that were drawn before
    for (int64_t count : {64, 311, 312, 313, 624, 1000, 100'000})
      for (double share : {0.0, 0.3, 0.5, 0.7, 1 - 1e-9, 1.0}) {
        generator.set_current_seed(static_cast<uint64_t>(ahead) * 31 + 5);
        auto *engine = at::check_generator<at::CPUGeneratorImpl>(generator);
        for (int i = 0; i < ahead; ++i)
          engine->random();
        at::Tensor before = generator.get_state().clone();
        at::Tensor expected = at::empty({count}).bernoulli_(share);
        at::Tensor after = generator.get_state().clone(), made = at::full({count}, 7.0);
        generator.set_state(before);
        ASSERT_TRUE(draws(made, share));
        EXPECT_TRUE(at::equal(made, expected)) << ahead << " " << count << " " << share;
        EXPECT_TRUE(at::equal(generator.get_state(), after)) << ahead << " " << count;
      }
}

TEST_F(OwnDraws, OthersAreLeftToAten) {
  at::Tensor wide = at::empty({100, 4});
  EXPECT_TRUE(draws(wide, 0.5));
  EXPECT_FALSE(draws(wide.t(), 0.5));
  EXPECT_FALSE(draws(wide.to(at::kDouble), 0.5));
  EXPECT_FALSE(draws(at::empty({3}), 0.5));
  EXPECT_FALSE(draws(wide, 1.5));
  EXPECT_FALSE(draws(wide, std::nan("")));
  EXPECT_FALSE(draws(wide, 0.5, at::detail::createCPUGenerator(1)));
}

} // namespace
} // namespace bifront
