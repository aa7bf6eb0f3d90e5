// Random programs of views and in-place ops: what passes make of them does what eager does.
#include "passes/pipeline.h"

#include "ir/aten_op.h"
#include "ir/schema_table/schema_table.h"
#include "reference/interpreter.h"

#include "mlir/Parser/Parser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>

namespace bifront {
namespace {

struct Named {
  std::string name;
  std::vector<int64_t> sizes;
};

std::string typeOf(const std::vector<int64_t> &sizes) {
  std::string type = "tensor<";
  for (int64_t size : sizes)
    type += std::to_string(size) + "x";
  return type + "f32>";
}

class RandomProgram {
public:
  explicit RandomProgram(unsigned seed) : random(seed) {}

  std::string make(unsigned length) {
    tensors = {{"%x", {4, 6}}, {"%y", {4, 6}}, {"%z", {6}}};
    for (unsigned i = 0; i < length; ++i)
      step();
    std::string returned, types;
    for (unsigned i = 0; i < 4; ++i) {
      const Named &tensor = any();
      returned += (i ? ", " : "") + tensor.name;
      types += (i ? ", " : "") + typeOf(tensor.sizes);
    }
    return "func.func @f(%x: tensor<4x6xf32>, %y: tensor<4x6xf32>, %z: tensor<6xf32>) -> (" +
           types + ") {\n" + body.str() + "  return " + returned + " : " + types + "\n}\n";
  }

private:
  int64_t below(int64_t bound) {
    return std::uniform_int_distribution<int64_t>(0, bound - 1)(random);
  }
  const Named &any() { return tensors[below(tensors.size())]; }

  void emit(const std::string &call, const std::vector<Named> &operands,
            const std::vector<std::vector<int64_t>> &results, bool keeps = true) {
    std::string name = "%" + std::to_string(next++), types, resultTypes;
    for (const Named &operand : operands)
      types += (types.empty() ? "" : ", ") + typeOf(operand.sizes);
    for (const auto &sizes : results)
      resultTypes += (resultTypes.empty() ? "" : ", ") + typeOf(sizes);
    body << "  " << name << (results.size() > 1 ? ":" + std::to_string(results.size()) : "")
         << " = bf.aten " << call << " : (" << types << ") -> (" << resultTypes << ")\n";
    for (size_t i = 0; keeps && i < results.size(); ++i)
      tensors.push_back({results.size() > 1 ? name + "#" + std::to_string(i) : name, results[i]});
  }

  void step() {
    Named a = any();
    switch (below(3)) {
    case 0: return view(a);
    case 1: return write(a);
    default: return compute(a);
    }
  }

  void view(const Named &a) {
    std::vector<int64_t> sizes = a.sizes;
    int64_t rank = sizes.size(), dim = rank ? below(rank) : 0;
    switch (below(8)) {
    case 0:
      if (!rank)
        return;
      sizes.erase(sizes.begin() + dim);
      return emit("\"aten::select.int\"(" + a.name + ", " + std::to_string(dim) + ", " +
                      std::to_string(below(a.sizes[dim])) + ")",
                  {a}, {sizes});
    case 1: {
      if (!rank)
        return;
      int64_t start = below(sizes[dim]), stop = start + 1 + below(sizes[dim] - start);
      int64_t stride = 1 + below(2);
      sizes[dim] = (stop - start + stride - 1) / stride;
      return emit("\"aten::slice.Tensor\"(" + a.name + ", " + std::to_string(dim) + ", " +
                      std::to_string(start) + ", " + std::to_string(stop) + ", " +
                      std::to_string(stride) + ")",
                  {a}, {sizes});
    }
    case 2: {
      if (rank < 2)
        return;
      int64_t other = below(rank);
      std::swap(sizes[dim], sizes[other]);
      return emit("\"aten::transpose.int\"(" + a.name + ", " + std::to_string(dim) + ", " +
                      std::to_string(other - rank) + ")",
                  {a}, {sizes});
    }
    case 3:
      sizes.insert(sizes.begin() + dim, 1);
      if (sizes.size() > 4)
        return;
      return emit("\"aten::unsqueeze\"(" + a.name + ", " + std::to_string(dim) + ")", {a}, {sizes});
    case 4:
      if (!rank || sizes[dim] != 1)
        return;
      sizes.erase(sizes.begin() + dim);
      return emit("\"aten::squeeze.dim\"(" + a.name + ", " + std::to_string(dim) + ")", {a},
                  {sizes});
    case 5: {
      if (!rank || sizes[dim] < 2)
        return;
      int64_t first = 1 + below(sizes[dim] - 1);
      auto left = sizes, right = sizes;
      left[dim] = first, right[dim] = sizes[dim] - first;
      return emit("\"aten::split_with_sizes\"(" + a.name + ", [" + std::to_string(first) + ", " +
                      std::to_string(right[dim]) + "], " + std::to_string(dim) + ")",
                  {a}, {left, right});
    }
    case 6: {
      if (rank < 2 || sizes[0] != sizes[1])
        return;
      std::vector<int64_t> rest(sizes.begin() + 2, sizes.end());
      rest.push_back(sizes[0]);
      return emit("\"aten::diagonal\"(" + a.name + ", 0, 0, 1)", {a}, {rest});
    }
    default: return emit("\"aten::detach\"(" + a.name + ")", {a}, {sizes});
    }
  }

  // A tensor of the same shape; `a` itself if there is no other.
  Named partner(const Named &a) {
    std::vector<Named> same;
    for (const Named &tensor : tensors)
      if (tensor.sizes == a.sizes)
        same.push_back(tensor);
    return same[below(same.size())];
  }

  void write(const Named &a) {
    switch (below(7)) {
    case 0: return emit("\"aten::mul_.Tensor\"(" + a.name + ", 0.75)", {a}, {a.sizes});
    case 1: return emit("\"aten::zero_\"(" + a.name + ")", {a}, {a.sizes}, below(2));
    case 2: return emit("\"aten::relu_\"(" + a.name + ")", {a}, {a.sizes});
    case 3: return emit("\"aten::normal_\"(" + a.name + ", 0.0, 1.0, none)", {a}, {a.sizes});
    case 4: return emit("\"aten::fill_.Scalar\"(" + a.name + ", 0.5)", {a}, {a.sizes}, below(2));
    default: {
      // Not from a tensor that may overlap: eager's answer would depend on its loop order.
      emit("\"aten::clone\"(" + partner(a).name + ", none)", {a}, {a.sizes});
      Named copy = tensors.back();
      if (below(2))
        return emit("\"aten::add_.Tensor\"(" + a.name + ", " + copy.name + ", 0.5)", {a, copy},
                    {a.sizes});
      return emit("\"aten::copy_\"(" + a.name + ", " + copy.name + ", false)", {a, copy},
                  {a.sizes});
    }
    }
  }

  void compute(const Named &a) {
    switch (below(4)) {
    case 0: return emit("\"aten::tanh\"(" + a.name + ")", {a}, {a.sizes});
    case 1: {
      Named b = partner(a);
      return emit("\"aten::add.Tensor\"(" + a.name + ", " + b.name + ", 1)", {a, b}, {a.sizes});
    }
    case 2: return emit("\"aten::clone\"(" + a.name + ", none)", {a}, {a.sizes});
    default: return emit("\"aten::sum\"(" + a.name + ", none)", {a}, {{}});
    }
  }

  std::mt19937 random;
  std::vector<Named> tensors;
  std::ostringstream body;
  unsigned next = 0;
};

struct Outcome {
  std::vector<at::Tensor> tensors; // results, then inputs
};

Outcome run(mlir::ModuleOp module) {
  at::manual_seed(7);
  std::vector<c10::IValue> inputs = {at::randn({4, 6}), at::randn({4, 6}), at::randn({6})};
  std::vector<c10::IValue> results = interpret(module, inputs);
  Outcome outcome;
  for (const auto &values : {results, inputs})
    for (const c10::IValue &value : values)
      outcome.tensors.push_back(value.toTensor());
  return outcome;
}

// What eager calls one tensor, one is here; what shares memory there, does here, and nothing else.
void expectSameSharing(const Outcome &eager, const Outcome &graph) {
  for (size_t i = 0; i < eager.tensors.size(); ++i)
    for (size_t k = 0; k < i; ++k) {
      auto same = [&](const Outcome &o) { return o.tensors[i].is_same(o.tensors[k]); };
      EXPECT_EQ(same(eager), same(graph)) << "tensors " << k << " and " << i;
      bool apart = !eager.tensors[i].is_alias_of(eager.tensors[k]);
      if (apart)
        EXPECT_FALSE(graph.tensors[i].is_alias_of(graph.tensors[k]))
            << "tensors " << k << " and " << i;
    }
}

TEST(Functionalise, RandomPrograms) {
  installSchemaTable();
  mlir::MLIRContext context;
  loadDialects(context);
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::string text = RandomProgram(seed).make(5 + seed % 25);
    SCOPED_TRACE(text);
    auto recorded = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(recorded);
    Outcome eager = run(*recorded);
    mlir::OwningOpRef<mlir::ModuleOp> graph = recorded->clone();
    PipelineOptions options;
    options.verify = true;
    PipelineResult result = runPipeline(*graph, options, nullptr);
    ASSERT_TRUE(result.ok) << result.failedPass << ": " << result.reason;
    Outcome got = run(*graph);
    ASSERT_EQ(got.tensors.size(), eager.tensors.size());
    for (size_t i = 0; i < got.tensors.size(); ++i) {
      ASSERT_EQ(got.tensors[i].sizes(), eager.tensors[i].sizes());
      ASSERT_TRUE(at::allclose(got.tensors[i], eager.tensors[i], 1e-5, 1e-6))
          << "tensor " << i << "\n"
          << got.tensors[i] << "\nexpected\n"
          << eager.tensors[i];
    }
    expectSameSharing(eager, got);
    if (testing::Test::HasFailure())
      return;
  }
}

} // namespace
} // namespace bifront
