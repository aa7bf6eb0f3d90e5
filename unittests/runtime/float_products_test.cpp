#include "runtime/float_products.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

namespace bifront {
namespace {

class OwnProducts : public ::testing::Test {
protected:
  void SetUp() override {
    if (!ownProduct("aten::mm"))
      GTEST_SKIP() << "this machine lacks AVX-512";
  }
};

// Rows or columns lie side by side; `apart` leaves a gap between the lines.
at::Tensor matrix(int64_t rows, int64_t columns, bool byColumns, int64_t apart = 0) {
  at::Tensor whole =
      byColumns ? at::randn({columns, rows + apart}).t() : at::randn({rows, columns + apart});
  return whole.narrow(byColumns ? 0 : 1, 0, byColumns ? rows : columns);
}

// Null where ATen is to do it.
std::optional<at::Tensor> own(const char *schema, std::vector<c10::IValue> stack,
                              PackedRight *packed = nullptr) {
  size_t arguments = stack.size();
  if (!ownProduct(schema, /*evenIfSlower=*/true)(stack, packed)) {
    EXPECT_EQ(stack.size(), arguments);
    return std::nullopt;
  }
  EXPECT_EQ(stack.size(), 1u);
  return stack[0].toTensor();
}

void expectClose(const std::optional<at::Tensor> &actual, const at::Tensor &expected) {
  ASSERT_TRUE(actual);
  ASSERT_EQ(actual->sizes(), expected.sizes());
  double error = (actual->to(at::kDouble) - expected).abs().max().item<double>();
  EXPECT_LT(error, 2e-4) << actual->sizes();
}

at::Tensor exact(const at::Tensor &a, const at::Tensor &b) {
  return at::matmul(a.to(at::kDouble), b.to(at::kDouble));
}

struct Sizes {
  int64_t rows, depth, columns;
};
// Around the panels (14 rows, 32 columns) and the blocks (140 rows, 256 deep, 512 columns).
constexpr Sizes kSizes[] = {{1, 60, 20},   {2, 150, 4},   {4, 700, 12},   {5, 257, 33},
                            {13, 256, 32}, {14, 512, 16}, {15, 100, 47},  {20, 64, 513},
                            {29, 65, 97},  {141, 17, 40}, {300, 33, 544}, {64, 520, 31}};

TEST_F(OwnProducts, EqualAtensInAllLayouts) {
  for (auto [rows, depth, columns] : kSizes)
    for (int layout = 0; layout < 8; ++layout) {
      int64_t apart = layout & 4 ? 3 : 0;
      at::Tensor a = matrix(rows, depth, layout & 1, apart);
      at::Tensor b = matrix(depth, columns, layout & 2, apart);
      expectClose(own("aten::mm", {a, b}), exact(a, b));
      PackedRight packed;
      expectClose(own("aten::mm", {a, b}, &packed), exact(a, b));
    }
}

TEST_F(OwnProducts, AddWhatTheyAreAddedTo) {
  for (auto [rows, depth, columns] : kSizes) {
    at::Tensor a = matrix(rows, depth, false), b = matrix(depth, columns, true);
    for (const at::Tensor &self :
         {at::randn({columns}), at::randn({1, columns}), at::randn({rows, columns}),
          at::randn({rows, 2 * columns}).narrow(1, 3, columns)}) {
      expectClose(own("aten::addmm", {self, a, b, 1, 1}), self.to(at::kDouble) + exact(a, b));
      expectClose(own("aten::addmm", {self, a, b, -0.5, 2.0}),
                  -0.5 * self.to(at::kDouble) + 2 * exact(a, b));
    }
  }
}

TEST_F(OwnProducts, IgnoreWhatTimesZeroIsAdded) {
  at::Tensor a = at::randn({20, 300}), b = at::randn({300, 40});
  at::Tensor self = at::full({40}, std::numeric_limits<float>::quiet_NaN());
  expectClose(own("aten::addmm", {self, a, b, 0, 1}), exact(a, b));
}

TEST_F(OwnProducts, WriteInPlace) {
  for (bool byColumns : {false, true}) {
    at::Tensor a = matrix(64, 20, byColumns), b = matrix(20, 100, byColumns);
    at::Tensor self = at::randn({64, 100});
    at::Tensor expected = self.to(at::kDouble) + exact(a, b);
    auto sum = own("aten::addmm_", {self, a, b, 1, 1});
    expectClose(sum, expected);
    EXPECT_TRUE(sum->is_same(self));
  }
}

TEST_F(OwnProducts, DoNotReadWhatTheyWrite) {
  at::Tensor self = at::randn({100, 100}), other = at::randn({100, 100});
  EXPECT_FALSE(own("aten::addmm_", {self, self, other, 1, 1}));
  EXPECT_FALSE(own("aten::addmm_", {self, other, self.t(), 1, 1}));
  EXPECT_FALSE(own("aten::addmm_", {at::randn({1, 100}).expand({100, 100}), other, other, 1, 1}));
}

TEST_F(OwnProducts, OfBatches) {
  at::Tensor a = at::randn({3, 40, 50}), b = at::randn({3, 60, 50}).transpose(1, 2);
  expectClose(own("aten::bmm", {a, b}), exact(a, b));
  for (const at::Tensor &self : {at::randn({60}), at::randn({40, 60}), at::randn({3, 1, 60}),
                                 at::randn({1, 40, 60}), at::randn({3, 40, 60})})
    expectClose(own("aten::baddbmm", {self, a, b, 1, 1}), self.to(at::kDouble) + exact(a, b));
  at::Tensor self = at::randn({3, 40, 60}), expected = self.to(at::kDouble) + exact(a, b);
  expectClose(own("aten::baddbmm_", {self, a, b, 1, 1}), expected);
  // One matrix for all of the batch.
  at::Tensor same = at::randn({1, 50, 60}).expand({3, 50, 60});
  expectClose(own("aten::bmm", {a, same}), exact(a, same));
}

TEST_F(OwnProducts, LeaveTheRestToAten) {
  at::Tensor a = at::randn({64, 64}), b = at::randn({64, 64});
  EXPECT_FALSE(own("aten::mm", {a.to(at::kDouble), b.to(at::kDouble)}));
  EXPECT_FALSE(own("aten::mm", {a, at::randn({65, 64})}));                     // raises
  EXPECT_FALSE(own("aten::mm", {at::randn({2, 128}), at::randn({128, 128})})); // few rows
  EXPECT_FALSE(own("aten::mm", {at::randn({64, 0}), at::randn({0, 64})}));
  EXPECT_FALSE(own("aten::mm", {at::randn({64, 64, 2}).select(2, 0), b})); // nothing side by side
  EXPECT_FALSE(own("aten::mm", {a, at::_neg_view(b)}));
  EXPECT_FALSE(own("aten::addmm", {at::randn({64, 1}), a, b, 1, 1}));
  EXPECT_FALSE(own("aten::addmm", {at::randn({64}), a, b, 1, 0}));
  EXPECT_FALSE(own("aten::addmm", {at::randn({64}, at::kDouble), a, b, 1, 1}));
  EXPECT_EQ(ownProduct("aten::mul.Tensor"), nullptr);
}

TEST_F(OwnProducts, AreTakenWhereTheyAreFaster) {
  auto isTaken = [](int64_t rows, int64_t depth, int64_t columns, PackedRight *packed) {
    std::vector<c10::IValue> stack{at::randn({rows, depth}), at::randn({depth, columns})};
    return ownProduct("aten::mm")(stack, packed);
  };
  PackedRight packed;
  EXPECT_TRUE(isTaken(8, 32, 32, nullptr));
  EXPECT_TRUE(isTaken(20, 512, 1024, &packed));
  EXPECT_EQ(isTaken(20, 512, 1024, nullptr), !atensProductsAreFast());
  EXPECT_EQ(isTaken(500, 512, 512, &packed), !atensProductsAreFast());
}

TEST_F(OwnProducts, PassNotANumberOn) {
  at::Tensor a = at::randn({20, 300}), b = at::randn({300, 40});
  a[3][299] = std::numeric_limits<float>::quiet_NaN();
  b[7][39] = std::numeric_limits<float>::infinity();
  auto actual = own("aten::mm", {a, b});
  ASSERT_TRUE(actual);
  EXPECT_TRUE(at::equal(actual->isnan(), at::mm(a, b).isnan()));
  EXPECT_TRUE(at::equal(actual->isinf(), at::mm(a, b).isinf()));
}

TEST(PackedRight, IsMadeAgainWhenItIsForgotten) {
  if (!ownProduct("aten::mm"))
    GTEST_SKIP() << "this machine lacks AVX-512";
  at::Tensor a = at::randn({20, 64}), b = at::randn({64, 96});
  PackedRight packed;
  expectClose(own("aten::mm", {a, b}, &packed), exact(a, b));
  at::Tensor before = exact(a, b);
  b.mul_(2);
  expectClose(own("aten::mm", {a, b}, &packed), before); // a promise was broken
  packed.forget();
  expectClose(own("aten::mm", {a, b}, &packed), exact(a, b));
  at::Tensor larger = at::randn({64, 200});
  expectClose(own("aten::mm", {a, larger}, &packed), exact(a, larger));
}

TEST_F(OwnProducts, AreMadeInPartsForThreads) {
  int threads = at::get_num_threads();
  at::set_num_threads(3);
  at::Tensor wide = at::randn({40, 300}), high = at::randn({500, 300});
  PackedRight kept;
  for (PackedRight *packed : {static_cast<PackedRight *>(nullptr), &kept}) {
    at::Tensor b = at::randn({300, 1000}), narrow = at::randn({300, 70}), bias = at::randn({1000});
    expectClose(own("aten::addmm", {bias, wide, b, 1, 1}, packed), bias + exact(wide, b));
    kept.forget();
    expectClose(own("aten::mm", {high, narrow}, packed), exact(high, narrow));
  }
  at::set_num_threads(threads);
}

} // namespace
} // namespace bifront
