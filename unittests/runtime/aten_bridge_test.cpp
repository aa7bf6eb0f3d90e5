#include "runtime/aten_bridge.h"
#include "runtime/below_autograd.h"
#include "runtime/float_products.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

namespace bifront {
namespace {

using Arg = AtenArg;

Arg operand(uint32_t index) { return {Arg::Operand{index}}; }
Arg none() { return {Arg::None{}}; }
Arg ints(std::initializer_list<int64_t> values) {
  Arg::List list;
  for (int64_t value : values)
    list.push_back({value});
  return {std::move(list)};
}

std::vector<c10::IValue> call(const AtenCall &call, std::vector<c10::IValue> operands) {
  std::vector<c10::IValue> results;
  BoundCall(call).run(operands, results);
  return results;
}

void expectSame(const at::Tensor &a, const at::Tensor &b) {
  ASSERT_EQ(a.sizes(), b.sizes());
  ASSERT_EQ(a.scalar_type(), b.scalar_type());
  EXPECT_TRUE(at::equal(a, b)) << a << b;
}

TEST(BoundCall, PassesTensorsAndScalars) {
  at::Tensor a = at::randn({3, 4}), b = at::randn({4});
  auto results = call({"aten::add.Tensor", {operand(0), operand(1), {int64_t{2}}}, {}}, {a, b});
  ASSERT_EQ(results.size(), 1u);
  expectSame(results[0].toTensor(), a + 2 * b);
}

TEST(BoundCall, FillsDefaults) {
  at::Tensor a = at::randn({3}), b = at::randn({3});
  expectSame(call({"aten::add.Tensor", {operand(0), operand(1)}, {}}, {a, b})[0].toTensor(), a + b);
  expectSame(call({"aten::relu", {operand(0)}, {}}, {a})[0].toTensor(), at::relu(a));
}

TEST(BoundCall, ConvertsConstantsToTheSchemasTypes) {
  at::Tensor a = at::randn({3, 4});
  // An int where the schema says float, a float Scalar, a dtype, a device, None for optionals.
  expectSame(call({"aten::threshold", {operand(0), {int64_t{0}}, {1.5}}, {}}, {a})[0].toTensor(),
             at::threshold(a, 0, 1.5));
  expectSame(call({"aten::full",
                   {ints({2, 2}), {3.0}, {int64_t{6}}, none(), {std::string("cpu")}, none()},
                   {}},
                  {})[0]
                 .toTensor(),
             at::full({2, 2}, 3.0));
  expectSame(call({"aten::sum.dim_IntList", {operand(0), ints({1}), {true}, none()}, {}}, {a})[0]
                 .toTensor(),
             a.sum({1}, true));
  expectSame(
      call({"aten::sum.dim_IntList", {operand(0), none(), {false}, none()}, {}}, {a})[0].toTensor(),
      a.sum());
  expectSame(call({"aten::gelu", {operand(0), {std::string("tanh")}}, {}}, {a})[0].toTensor(),
             at::gelu(a, "tanh"));
}

TEST(BoundCall, ExpandsANumberToAList) {
  at::Tensor x = at::randn({1, 2, 8, 8});
  expectSame(
      call({"aten::avg_pool2d", {operand(0), {int64_t{2}}, ints({2, 2})}, {}}, {x})[0].toTensor(),
      at::avg_pool2d(x, {2, 2}, {2, 2}));
}

TEST(BoundCall, PutsOperandsIntoIntLists) {
  at::Tensor a = at::randn({6, 4});
  AtenCall view{"aten::view", {operand(0), {Arg::List{operand(1), {int64_t{8}}}}}, {}};
  expectSame(call(view, {a, int64_t{3}})[0].toTensor(), a.view({3, 8}));
}

TEST(BoundCall, TakesTensorListsAndOptionalTensorLists) {
  at::Tensor a = at::randn({2, 3}), b = at::randn({1, 3});
  AtenCall cat{"aten::cat", {{Arg::List{operand(0), operand(1)}}, {int64_t{0}}}, {}};
  expectSame(call(cat, {a, b})[0].toTensor(), at::cat({a, b}, 0));
  at::Tensor index = at::tensor({1, 0});
  AtenCall take{"aten::index.Tensor", {operand(0), {Arg::List{none(), operand(1)}}}, {}};
  expectSame(call(take, {a, index})[0].toTensor(), a.index_select(1, index));
}

TEST(BoundCall, SpreadsReturnedLists) {
  at::Tensor a = at::randn({5, 3});
  auto parts = call({"aten::split.Tensor", {operand(0), {int64_t{2}}, {int64_t{0}}}, {}}, {a});
  ASSERT_EQ(parts.size(), 3u);
  expectSame(parts[2].toTensor(), a.narrow(0, 4, 1));
}

TEST(BoundCall, GivesSeveralResultsAndUndefinedOnes) {
  at::Tensor x = at::randn({2, 3, 8, 8}), w = at::randn({4, 3, 3, 3}), g = at::randn({2, 4, 6, 6});
  AtenCall backward{"aten::convolution_backward",
                    {operand(0),
                     operand(1),
                     operand(2),
                     none(),
                     ints({1, 1}),
                     ints({0, 0}),
                     ints({1, 1}),
                     {false},
                     ints({0, 0}),
                     {int64_t{1}},
                     {Arg::List{{false}, {true}, {false}}}},
                    {}};
  auto results = call(backward, {g, x, w});
  ASSERT_EQ(results.size(), 3u);
  EXPECT_FALSE(results[0].toTensor().defined());
  EXPECT_EQ(results[1].toTensor().sizes(), w.sizes());
}

TEST(BoundCall, ReturnsScalars) {
  at::Tensor a = at::scalar_tensor(2.5);
  EXPECT_EQ(call({"aten::_local_scalar_dense", {operand(0)}, {}}, {a})[0].toDouble(), 2.5);
  EXPECT_EQ(call({"aten::is_nonzero", {operand(0)}, {}}, {a})[0].toBool(), true);
}

TEST(BoundCall, CopiesWrittenOperandsKeepingStrides) {
  at::Tensor a = at::randn({3, 4}).t(), before = a.clone(), b = at::randn({4, 3});
  auto results = call({"aten::add_.Tensor", {operand(0), operand(1)}, {0}}, {a, b});
  ASSERT_EQ(results.size(), 2u);
  expectSame(a, before);
  expectSame(results[0].toTensor(), before + b);
  expectSame(results[1].toTensor(), before + b);
  EXPECT_EQ(results[1].toTensor().strides(), a.strides());
}

TEST(BoundCall, WritesInPlaceWhereToldTo) {
  at::Tensor a = at::randn({3}), before = a.clone();
  BoundCall bound({"aten::mul_.Tensor", {operand(0), operand(0 + 1)}, {0}});
  BoundCall::Scratch scratch;
  std::vector<c10::IValue> results, operands{a, at::full({3}, 2.0)};
  BelowAutograd guard;
  bound.invoke(operands, {true}, scratch, results);
  EXPECT_TRUE(results.back().toTensor().is_same(a));
  expectSame(a, before * 2);
}

TEST(BoundCall, CopiesWrittenTensorsOfLists) {
  at::Tensor a = at::ones({2}), b = at::ones({3});
  AtenCall add{
      "aten::_foreach_add_.Scalar", {{Arg::List{operand(0), operand(1)}}, {int64_t{1}}}, {0, 1}};
  auto results = call(add, {a, b});
  ASSERT_EQ(results.size(), 2u); // the operator itself returns nothing
  expectSame(results[1].toTensor(), at::full({3}, 2.0));
  expectSame(b, at::ones({3}));
}

TEST(BoundCall, DoesNotChangeTheSizesOfAReusedTensor) {
  at::Tensor a = at::randn({2, 3});
  BoundCall bound({"aten::t_", {operand(0)}, {0}});
  BoundCall::Scratch scratch;
  std::vector<c10::IValue> results, operands{a};
  BelowAutograd guard;
  bound.invoke(operands, {true}, scratch, results);
  EXPECT_EQ(a.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(results.back().toTensor().sizes(), at::IntArrayRef({3, 2}));
}

TEST(BoundCall, RunsBelowAutograd) {
  at::Tensor a = at::randn({3}).requires_grad_();
  auto results = call({"aten::mul.Tensor", {operand(0), operand(1)}, {}}, {a, a});
  EXPECT_FALSE(results[0].toTensor().requires_grad());
  // In-place on a leaf is autograd's business, not the graph's.
  EXPECT_EQ(call({"aten::add_.Scalar", {operand(0), {int64_t{1}}}, {0}}, {a}).size(), 2u);
}

thread_local int productsOfAten;
std::unique_ptr<at::ObserverContext> countProducts(const at::RecordFunction &call) {
  productsOfAten += std::string_view(call.name()) == "aten::mm";
  return nullptr;
}

// In the executor, and not where the reference interpreter runs above autograd.
TEST(BoundCall, TakesProductsOfOurOwnBelowAutogradOnly) {
  if (!ownProduct("aten::mm"))
    GTEST_SKIP() << "products are left to ATen on this machine";
  at::Tensor a = at::randn({8, 32}), b = at::randn({32, 32});
  BoundCall product({"aten::mm", {operand(0), operand(1)}, {}});
  BoundCall::Scratch scratch;
  std::vector<c10::IValue> operands = {a, b}, results;
  productsOfAten = 0;
  auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(countProducts));
  product.invoke(operands, {}, scratch, results);
  EXPECT_EQ(productsOfAten, 1);
  product.run(operands, results);
  EXPECT_EQ(productsOfAten, 1);
  at::removeCallback(handle);
}

TEST(BoundCall, TakesANumberForATensorAsPythonDoes) {
  at::Tensor a = at::ones({2}, at::kBFloat16);
  auto results = call({"aten::mul.Tensor", {operand(0), operand(1)}, {}}, {a, 1.5});
  EXPECT_EQ(results[0].toTensor().scalar_type(), at::kBFloat16);
}

TEST(BoundCall, RefusesWhatTheSchemaRefuses) {
  EXPECT_THROW(BoundCall({"aten::no_such_op", {}, {}}), c10::Error);
  EXPECT_THROW(BoundCall({"aten::relu", {operand(0), {int64_t{1}}}, {}}), c10::Error);
  EXPECT_THROW(BoundCall({"aten::add.Tensor", {operand(0)}, {}}), c10::Error);
  EXPECT_THROW(BoundCall({"aten::sum.dim_IntList", {operand(0), {std::string("x")}}, {}}),
               c10::Error);
  EXPECT_THROW(BoundCall({"aten::relu", {operand(0)}, {3}}), c10::Error);
  EXPECT_THROW(call({"aten::relu", {operand(0)}, {}}, {}), c10::Error);
}

TEST(BoundCall, AScratchIsUsedAgainAfterAnException) {
  BoundCall bound({"aten::cat", {{Arg::List{operand(0), operand(1)}}, {int64_t{0}}}, {}});
  BoundCall::Scratch scratch;
  std::vector<c10::IValue> results;
  std::vector<c10::IValue> bad{at::ones({2, 3}), at::ones({2, 2})},
      good{at::ones({2}), at::zeros({1})};
  BelowAutograd guard;
  EXPECT_THROW(bound.invoke(bad, {}, scratch, results), c10::Error);
  bound.invoke(good, {}, scratch, results);
  expectSame(results[0].toTensor(), at::tensor({1.0f, 1.0f, 0.0f}));
  EXPECT_EQ(good[0].toTensor().use_count(), 1u);
}

} // namespace
} // namespace bifront
