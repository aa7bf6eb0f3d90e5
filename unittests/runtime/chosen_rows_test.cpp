#include "runtime/chosen_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace bifront {
namespace {

using Indices = std::vector<std::optional<at::Tensor>>;

// Nothing where ATen is to do it.
at::Tensor chosen(const at::Tensor &from, const Indices &indices) {
  c10::List<std::optional<at::Tensor>> list;
  for (const std::optional<at::Tensor> &index : indices)
    list.push_back(index);
  std::vector<c10::IValue> stack{from, list};
  if (ownRows("aten::index.Tensor")(stack, nullptr))
    return stack.at(0).toTensor();
  EXPECT_EQ(stack.size(), 2u);
  return {};
}

void expectAtens(const at::Tensor &from, const at::Tensor &numbers) {
  at::Tensor own = chosen(from, {numbers});
  at::Tensor atens = at::index(from, {numbers});
  ASSERT_TRUE(own.defined()) << from.sizes() << numbers.sizes();
  EXPECT_EQ(own.dtype(), atens.dtype());
  EXPECT_EQ(own.sizes(), atens.sizes());
  EXPECT_EQ(own.strides(), atens.strides());
  EXPECT_TRUE(at::equal(own, atens)) << from.sizes() << numbers.sizes();
}

TEST(OwnRows, AreAtens) {
  for (at::ScalarType type : {at::kFloat, at::kDouble, at::kByte, at::kBool, at::kLong, at::kHalf})
    for (const std::vector<int64_t> &sizes :
         std::vector<std::vector<int64_t>>{{7}, {7, 1}, {7, 3, 5}, {1, 9}, {300, 2, 40, 11}})
      for (const std::vector<int64_t> &numbers :
           std::vector<std::vector<int64_t>>{{}, {1}, {5}, {3, 4}, {1000}})
        expectAtens(at::randint(2, sizes).to(type), at::randint(sizes[0], numbers, at::kLong));
}

TEST(OwnRows, AreAlonesOfTheirMemory) {
  at::Tensor from = at::randn({4, 6}), before = from.clone();
  at::Tensor own = chosen(from, {at::tensor({3L, 3L, 0L})});
  own.zero_();
  EXPECT_TRUE(at::equal(from, before));
}

TEST(OwnRows, OthersAreLeftToAten) {
  at::Tensor from = at::randn({4, 6}), numbers = at::tensor({1L, 2L});
  EXPECT_TRUE(chosen(from, {numbers, std::nullopt}).defined());
  for (const Indices &indices :
       std::vector<Indices>{{numbers, numbers},
                            {std::nullopt, numbers},
                            {numbers.to(at::kInt)},
                            {at::tensor({1L, -1L})},
                            {at::tensor({4L})},
                            {at::empty({0}, at::kLong)},
                            {at::randn({4}) > 0},
                            {at::randint(4, {6}, at::kLong).slice(0, 0, 6, 2)}})
    EXPECT_FALSE(chosen(from, indices).defined());
  for (const at::Tensor &other : {from.t(), from.slice(1, 0, 3), at::empty({4, 0})})
    EXPECT_FALSE(chosen(other, {numbers}).defined());
}

} // namespace
} // namespace bifront
