// The autodiff pass against hand-written derivatives.
#include "passes/autodiff.h"

#include "ir/aten_op.h"
#include "passes/autodiff_cache.h"
#include "passes/pipeline.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <stdexcept>

using namespace bifront;

namespace {

// Answers with the module that is written down for a schema.
class WrittenDerivatives final : public DerivativeSource {
public:
  struct Answer {
    std::string text;
    std::vector<uint32_t> gradientOf;
  };
  std::map<std::string, Answer> answers;
  std::vector<DerivativeRequest> requests;

  Derivative derive(mlir::MLIRContext &context, const DerivativeRequest &request) override {
    requests.push_back(request);
    auto found = answers.find(request.call.schema);
    if (found == answers.end())
      throw std::runtime_error("nobody wrote it down");
    auto module = mlir::parseSourceString<mlir::ModuleOp>(found->second.text, &context);
    if (!module)
      throw std::runtime_error("the test's derivative does not parse");
    std::shared_ptr<mlir::ModuleOp> owned(new mlir::ModuleOp(module.release()),
                                          [](mlir::ModuleOp *held) {
                                            held->erase();
                                            delete held;
                                          });
    return {std::move(owned), found->second.gradientOf};
  }
};

const char *kMulBoth = R"(
func.func @d(%a: tensor<3xf32>, %b: tensor<3xf32>, %g: tensor<3xf32>)
    -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %ga = bf.aten "aten::mul.Tensor"(%g, %b) {no_grad} : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %gb = bf.aten "aten::mul.Tensor"(%g, %a) {no_grad} : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  return %y, %ga, %gb : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
})";

const char *kRelu = R"(
func.func @d(%a: tensor<3xf32>, %g: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %y = bf.aten "aten::relu"(%a) : (tensor<3xf32>) -> tensor<3xf32>
  %ga = bf.aten "aten::threshold_backward"(%g, %y, 0) {no_grad}
      : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  return %y, %ga : tensor<3xf32>, tensor<3xf32>
})";

// As autograd does for pooling: another op with one more result.
const char *kPool = R"(
func.func @d(%a: tensor<3xf32>, %g: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %y:2 = bf.aten "test::pool_with_indices"(%a) : (tensor<3xf32>) -> (tensor<3xf32>, tensor<3xi64>)
  %ga = bf.aten "test::pool_backward"(%g, %y#1) {no_grad}
      : (tensor<3xf32>, tensor<3xi64>) -> tensor<3xf32>
  return %y#0, %ga : tensor<3xf32>, tensor<3xf32>
})";

class AutodiffTest : public ::testing::Test {
protected:
  AutodiffTest() { loadDialects(context); }

  std::string expand(llvm::StringRef text, bool succeeds = true) {
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
      diagnostics += diagnostic.str();
      return mlir::success();
    });
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << diagnostics;
    if (!module)
      return "";
    mlir::PassManager passes(&context);
    passes.addPass(createAutodiffPass(source));
    EXPECT_EQ(mlir::succeeded(passes.run(*module)), succeeds) << diagnostics;
    std::string printed;
    llvm::raw_string_ostream stream(printed);
    module->print(stream);
    if (succeeds)
      EXPECT_EQ(printed.find("bf.grad"), std::string::npos) << printed;
    return printed;
  }

  std::vector<bf::AtenOp> calls(llvm::StringRef schema) {
    std::vector<bf::AtenOp> found;
    module->walk([&](bf::AtenOp op) {
      if (op.getSchema() == schema)
        found.push_back(op);
    });
    return found;
  }
  mlir::ValueRange returned() {
    auto function = *module->getOps<mlir::func::FuncOp>().begin();
    return function.getBody().front().getTerminator()->getOperands();
  }

  mlir::MLIRContext context;
  WrittenDerivatives source;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string diagnostics;
};

TEST_F(AutodiffTest, ReusesTheForwardCallAndChains) {
  source.answers["aten::mul.Tensor"] = {kMulBoth, {0, 1}};
  source.answers["aten::relu"] = {kRelu, {0}};
  expand(R"(func.func @f(%a: tensor<3xf32>, %b: tensor<3xf32>, %s: tensor<3xf32>)
      -> (tensor<3xf32>, tensor<3xf32>) {
    %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %z = bf.aten "aten::relu"(%y) : (tensor<3xf32>) -> tensor<3xf32>
    %g:2 = bf.grad outputs(%z) seeds(%s) wrt(%a, %b)
      : (tensor<3xf32>), (tensor<3xf32>), (tensor<3xf32>, tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
    return %g#0, %g#1 : tensor<3xf32>, tensor<3xf32>
  })");
  EXPECT_EQ(calls("aten::relu").size(), 1u);
  auto threshold = calls("aten::threshold_backward");
  ASSERT_EQ(threshold.size(), 1u);
  EXPECT_EQ(threshold[0].getInputs()[1], calls("aten::relu")[0]->getResult(0));
  EXPECT_TRUE(threshold[0].getNoGrad());
  auto products = calls("aten::mul.Tensor");
  ASSERT_EQ(products.size(), 3u);
  EXPECT_FALSE(products[0].getNoGrad());
  EXPECT_EQ(returned()[0], products[1]->getResult(0));
  EXPECT_EQ(returned()[1], products[2]->getResult(0));
  EXPECT_EQ(products[1].getInputs()[0], threshold[0]->getResult(0));
}

TEST_F(AutodiffTest, AnOperandUsedTwiceAccumulates) {
  source.answers["aten::mul.Tensor"] = {kMulBoth, {0, 1}};
  expand(R"(func.func @f(%a: tensor<3xf32>) -> tensor<3xf32> {
    %y = bf.aten "aten::mul.Tensor"(%a, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %g = bf.grad outputs(%y) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })");
  EXPECT_EQ(calls("aten::ones_like").size(), 1u);
  ASSERT_EQ(calls("aten::add.Tensor").size(), 1u);
  EXPECT_EQ(returned()[0], calls("aten::add.Tensor")[0]->getResult(0));
}

TEST_F(AutodiffTest, AValueThatIsNotReachedGetsZeros) {
  source.answers["aten::relu"] = {kRelu, {0}};
  expand(R"(func.func @f(%a: tensor<3xf32>, %b: tensor<3xf32>) -> tensor<3xf32> {
    %y = bf.aten "aten::relu"(%a) : (tensor<3xf32>) -> tensor<3xf32>
    %g = bf.grad outputs(%y) seeds() wrt(%b) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })");
  ASSERT_EQ(calls("aten::zeros_like").size(), 1u);
  EXPECT_EQ(calls("aten::zeros_like")[0].getInputs()[0],
            (*module->getOps<mlir::func::FuncOp>().begin()).getArgument(1));
  EXPECT_TRUE(source.requests.empty());
}

TEST_F(AutodiffTest, DetachAndNoGradStopGradients) {
  source.answers["aten::mul.Tensor"] = {R"(
    func.func @d(%a: tensor<3xf32>, %b: tensor<3xf32>, %g: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
      %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      %ga = bf.aten "aten::mul.Tensor"(%g, %b) {no_grad} : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      return %y, %ga : tensor<3xf32>, tensor<3xf32>
    })",
                                        {0}};
  expand(R"(func.func @f(%a: tensor<3xf32>) -> tensor<3xf32> {
    %d = bf.aten "aten::detach"(%a) : (tensor<3xf32>) -> tensor<3xf32>
    %n = bf.aten "aten::relu"(%a) {no_grad} : (tensor<3xf32>) -> tensor<3xf32>
    %y = bf.aten "aten::mul.Tensor"(%a, %d) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %z = bf.aten "aten::mul.Tensor"(%y, %n) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %g = bf.grad outputs(%z) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })");
  for (const DerivativeRequest &request : source.requests)
    EXPECT_EQ(request.differentiable, (std::vector<bool>{true, false}));
  EXPECT_EQ(source.requests.size(), 1u) << "equal requests are asked for once";
  EXPECT_TRUE(calls("aten::add.Tensor").empty());
}

TEST_F(AutodiffTest, AnotherForwardOpReplacesTheOriginal) {
  source.answers["test::pool"] = {kPool, {0}};
  expand(R"(func.func @f(%a: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
    %y = bf.aten "test::pool"(%a) : (tensor<3xf32>) -> tensor<3xf32>
    %g = bf.grad outputs(%y) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %y, %g : tensor<3xf32>, tensor<3xf32>
  })");
  EXPECT_TRUE(calls("test::pool").empty());
  auto pool = calls("test::pool_with_indices");
  ASSERT_EQ(pool.size(), 1u);
  EXPECT_FALSE(pool[0].getNoGrad());
  EXPECT_EQ(returned()[0], pool[0]->getResult(0));
  EXPECT_EQ(calls("test::pool_backward")[0].getInputs()[1], pool[0]->getResult(1));
}

TEST_F(AutodiffTest, CreateGraphLetsTheSecondGradientThroughTheFirst) {
  source.answers["aten::mul.Tensor"] = {kMulBoth, {0, 1}};
  std::string text = R"(func.func @f(%a: tensor<3xf32>) -> tensor<3xf32> {
    %y = bf.aten "aten::mul.Tensor"(%a, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %g = bf.grad outputs(%y) seeds() wrt(%a) {create_graph}
      : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    %h = bf.grad outputs(%g) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %h : tensor<3xf32>
  })";
  source.answers["aten::add.Tensor"] = {R"(
    func.func @d(%a: tensor<3xf32>, %b: tensor<3xf32>, %g: tensor<3xf32>)
        -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
      %y = bf.aten "aten::add.Tensor"(%a, %b, 1) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      return %y, %g, %g : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
    })",
                                        {0, 1}};
  expand(text);
  EXPECT_TRUE(calls("aten::zeros_like").empty());
  EXPECT_EQ(returned()[0].getDefiningOp<bf::AtenOp>().getSchema(), "aten::add.Tensor");
  // Without create_graph there is nothing behind the first gradient.
  text.erase(text.find(" {create_graph}"), strlen(" {create_graph}"));
  expand(text);
  EXPECT_EQ(calls("aten::zeros_like").size(), 1u);
}

TEST_F(AutodiffTest, AGradientAtAnIntermediateValue) {
  source.answers["aten::relu"] = {kRelu, {0}};
  expand(R"(func.func @f(%a: tensor<3xf32>, %s: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
    %y = bf.aten "aten::relu"(%a) : (tensor<3xf32>) -> tensor<3xf32>
    %z = bf.aten "aten::relu"(%y) : (tensor<3xf32>) -> tensor<3xf32>
    %g:2 = bf.grad outputs(%z) seeds(%s) wrt(%y, %a)
      : (tensor<3xf32>), (tensor<3xf32>), (tensor<3xf32>, tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
    return %g#0, %g#1 : tensor<3xf32>, tensor<3xf32>
  })");
  auto backward = calls("aten::threshold_backward");
  ASSERT_EQ(backward.size(), 2u);
  EXPECT_EQ(returned()[0], backward[0]->getResult(0));
  EXPECT_EQ(returned()[1], backward[1]->getResult(0));
}

TEST_F(AutodiffTest, AWrittenOperandIsSeenAfterTheCall) {
  // The backward of `test::norm` reads the running mean, which the call has changed.
  source.answers["test::norm"] = {R"(
    func.func @d(%x: tensor<3xf32>, %m: tensor<3xf32>, %g: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
      %y = bf.aten "test::norm"(%x, %m) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      %gx = bf.aten "test::norm_backward"(%g, %m) {no_grad}
          : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      return %y, %gx : tensor<3xf32>, tensor<3xf32>
    })",
                                  {0}};
  expand(R"(func.func @f(%x: tensor<3xf32>, %m: tensor<3xf32>) -> tensor<3xf32> {
    %y:2 = bf.aten "test::norm"(%x, %m) writes [1]
        : (tensor<3xf32>, tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
    %g = bf.grad outputs(%y#0) seeds() wrt(%x) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })");
  ASSERT_EQ(calls("test::norm").size(), 1u);
  EXPECT_EQ(calls("test::norm_backward")[0].getInputs()[1], calls("test::norm")[0]->getResult(1));
  EXPECT_TRUE(source.requests[0].call.written.empty());
}

TEST_F(AutodiffTest, SizesAreKnownInBothWorlds) {
  source.answers["aten::view"] = {R"(
    func.func @d(%x: tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>, %n: i64,
                 %g: tensor<?xf32, #bf.tensor<worlds = [[12, 20]]>>)
        -> (tensor<?xf32, #bf.tensor<worlds = [[12, 20]]>>, tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>) {
      %y = bf.aten "aten::view"(%x, [%n]) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>, i64)
          -> tensor<?xf32, #bf.tensor<worlds = [[12, 20]]>>
      %s = bf.dim %x, 0 : tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>> -> i64
      %gx = bf.aten "aten::view"(%g, [%s, 4]) {no_grad} : (tensor<?xf32, #bf.tensor<worlds = [[12, 20]]>>, i64)
          -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
      return %y, %gx : tensor<?xf32, #bf.tensor<worlds = [[12, 20]]>>, tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
    })",
                                  {0}};
  expand(R"(
  func.func @f(%x: tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>> {
    %s = bf.dim %x, 0 : tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>> -> i64
    %c4 = arith.constant 4 : i64
    %n = arith.muli %s, %c4 : i64
    %y = bf.aten "aten::view"(%x, [%n]) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>, i64)
        -> tensor<?xf32, #bf.tensor<worlds = [[12, 20]]>>
    %g = bf.grad outputs(%y) seeds() wrt(%x)
      : (tensor<?xf32, #bf.tensor<worlds = [[12, 20]]>>), (), (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>)
      -> (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>)
    return %g : tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
  })");
  ASSERT_EQ(source.requests.size(), 1u);
  ASSERT_EQ(source.requests[0].ints.size(), 2u);
  EXPECT_EQ(source.requests[0].ints[1], (Dim{{12, 20}}));
  EXPECT_EQ(source.requests[0].ints[0], std::nullopt);
}

TEST_F(AutodiffTest, AMissingDerivativeIsADiagnosticAtTheOp) {
  expand(R"(func.func @f(%a: tensor<3xf32>) -> tensor<3xf32> {
    %y = bf.aten "test::odd"(%a) : (tensor<3xf32>) -> tensor<3xf32>
    %g = bf.grad outputs(%y) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })",
         false);
  EXPECT_NE(diagnostics.find("`test::odd` has no derivative: nobody wrote it down"),
            std::string::npos)
      << diagnostics;
}

const char *kBranch = R"(func.func @f(%a: tensor<3xf32>, %c: i1) -> tensor<3xf32> {
    %y = scf.if %c -> (tensor<3xf32>) {
      %0 = bf.aten "aten::relu"(%a) : (tensor<3xf32>) -> tensor<3xf32>
      scf.yield %0 : tensor<3xf32>
    } else {
      %1 = bf.aten "aten::detach"(%a) : (tensor<3xf32>) -> tensor<3xf32>
      scf.yield %1 : tensor<3xf32>
    }
    %g = bf.grad outputs(%y) seeds() wrt(%a) {MORE} : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })";

// What a branch reads from outside is no operand of it.
TEST_F(AutodiffTest, NoGradientIsLostInABranch) {
  source.answers["aten::relu"] = {kRelu, {0}};
  std::string text = kBranch;
  expand(text.erase(text.find("{MORE}"), 6));
  auto branch = returned()[0].getDefiningOp();
  ASSERT_EQ(branch->getName().getStringRef(), "scf.if");
  auto threshold = calls("aten::threshold_backward");
  ASSERT_EQ(threshold.size(), 1u);
  EXPECT_EQ(threshold[0]->getParentRegion(), &branch->getRegion(0));
  // Zero where the other branch was taken.
  ASSERT_EQ(calls("aten::zeros").size(), 1u);
  EXPECT_EQ(calls("aten::zeros")[0]->getParentRegion(), &branch->getRegion(1));
}

TEST_F(AutodiffTest, AGradientThroughABranchIsNotDifferentiatedAgain) {
  source.answers["aten::relu"] = {kRelu, {0}};
  std::string text = kBranch;
  expand(text.replace(text.find("{MORE}"), 6, "{create_graph}"), false);
  EXPECT_NE(diagnostics.find("can be differentiated again flows through `scf.if`"),
            std::string::npos)
      << diagnostics;
}

TEST_F(AutodiffTest, WhatIsNotCalledAnyMoreGoes) {
  source.answers["aten::mul.Tensor"] = {kMulBoth, {0, 1}};
  expand(R"(func.func @f(%a: tensor<3xf32>, %n: i64) -> tensor<3xf32> {
    %other = func.call @f(%a, %n) : (tensor<3xf32>, i64) -> tensor<3xf32>
    %y = func.call @g(%a, %n) : (tensor<3xf32>, i64) -> tensor<3xf32>
    %g = bf.grad outputs(%y) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  }
  func.func private @g(%a: tensor<3xf32>, %n: i64) -> tensor<3xf32> {
    %y = func.call @g(%a, %n) : (tensor<3xf32>, i64) -> tensor<3xf32>
    %z = bf.aten "aten::mul.Tensor"(%y, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    return %z : tensor<3xf32>
  })");
  std::vector<std::string> names;
  for (auto function : module->getOps<mlir::func::FuncOp>())
    names.push_back(function.getName().str());
  // The pair that is called first has no sum to start with.
  EXPECT_EQ(names,
            (std::vector<std::string>{"f", "g_taped", "g_backward", "g_taped_0", "g_backward_1"}));
}

TEST_F(AutodiffTest, AFunctionThatTakesGradientsOfItself) {
  source.answers["aten::relu"] = {kRelu, {0}};
  expand(R"(func.func @f(%a: tensor<3xf32>) -> tensor<3xf32> {
    %y = func.call @g(%a) : (tensor<3xf32>) -> tensor<3xf32>
    return %y : tensor<3xf32>
  }
  func.func private @g(%a: tensor<3xf32>) -> tensor<3xf32> {
    %y = func.call @g(%a) : (tensor<3xf32>) -> tensor<3xf32>
    %g = bf.grad outputs(%y) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })",
         false);
  EXPECT_NE(diagnostics.find("which takes gradients of what it calls itself"), std::string::npos)
      << diagnostics;
}

TEST_F(AutodiffTest, AGradientInALoopOfWhatTheLoopMakes) {
  source.answers["aten::relu"] = {kRelu, {0}};
  std::string text = R"(func.func @f(%a: tensor<3xf32>, %n: i64) -> tensor<3xf32> {
    %h = bf.aten "aten::relu"(%a) : (tensor<3xf32>) -> tensor<3xf32>
    %r:2 = scf.while (%i = %n, %s = %a) : (i64, tensor<3xf32>) -> (i64, tensor<3xf32>) {
      %zero = arith.constant 0 : i64
      %more = arith.cmpi sgt, %i, %zero : i64
      scf.condition(%more) %i, %s : i64, tensor<3xf32>
    } do {
    ^bb0(%i: i64, %s: tensor<3xf32>):
      %one = arith.constant 1 : i64
      %less = arith.subi %i, %one : i64
      %y = bf.aten "aten::relu"(%LOSS) : (tensor<3xf32>) -> tensor<3xf32>
      %g = bf.grad outputs(%y) seeds() wrt(%WRT) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
      scf.yield %less, %g : i64, tensor<3xf32>
    }
    return %r#1 : tensor<3xf32>
  })";
  auto with = [&](const std::string &loss, const std::string &wrt) {
    std::string made = text;
    made.replace(made.find("LOSS"), 4, loss);
    made.replace(made.find("WRT"), 3, wrt);
    return made;
  };
  for (const char *wrt : {"a", "s", "h"})
    expand(with(wrt, wrt));
  EXPECT_EQ(diagnostics, "");
  // It would have to go on ahead of the loop, or through the iterations before.
  expand(with("h", "a"), false);
  EXPECT_NE(diagnostics.find("a gradient flows out of the branch, the loop or the function"),
            std::string::npos)
      << diagnostics;
  diagnostics.clear();
  expand(with("s", "a"), false);
  EXPECT_NE(diagnostics.find("a gradient flows out"), std::string::npos) << diagnostics;
}

TEST_F(AutodiffTest, AGradientThroughWhatACallWrites) {
  // The derivative works on a copy, as a program would that kept its input.
  source.answers["test::twist_"] = {R"(
    func.func @d(%a: tensor<3xf32>, %g: tensor<3xf32>)
        -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
      %c = bf.aten "aten::clone"(%a, none) : (tensor<3xf32>) -> tensor<3xf32>
      %y = bf.aten "test::twist_"(%c) : (tensor<3xf32>) -> tensor<3xf32>
      %ga = bf.aten "test::twist_backward"(%g, %c) {no_grad}
          : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      return %y, %c, %ga : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
    })",
                                    {0}};
  expand(R"(func.func @f(%a: tensor<3xf32>) -> tensor<3xf32> {
    %y:2 = bf.aten "test::twist_"(%a) writes [0] : (tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
    %g = bf.grad outputs(%y#1) seeds() wrt(%a) : (tensor<3xf32>), (), (tensor<3xf32>) -> (tensor<3xf32>)
    return %g : tensor<3xf32>
  })");
  EXPECT_EQ(source.requests[0].call.written, std::vector<uint32_t>{0});
  EXPECT_EQ(source.requests[0].seeded, (std::vector<bool>{false, true}));
  auto twist = calls("test::twist_");
  ASSERT_EQ(twist.size(), 1u);
  EXPECT_EQ(twist[0].getInputs()[0], calls("aten::clone")[0]->getResult(0));
  EXPECT_EQ(returned()[0], calls("test::twist_backward")[0]->getResult(0));
}

// Equal values stay apart until gradients at one of them are taken.
TEST_F(AutodiffTest, ThePipelineDifferentiatesBeforeItMergesEqualValues) {
  source.answers["aten::mul.Tensor"] = {kMulBoth, {0, 1}};
  module = mlir::parseSourceString<mlir::ModuleOp>(R"(
    func.func @f(%x: tensor<3xf32>, %s: tensor<3xf32>) -> tensor<3xf32> {
      %a = bf.aten "aten::sin"(%x) : (tensor<3xf32>) -> tensor<3xf32>
      %b = bf.aten "aten::sin"(%x) : (tensor<3xf32>) -> tensor<3xf32>
      %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      %g = bf.grad outputs(%y) seeds(%s) wrt(%a)
        : (tensor<3xf32>), (tensor<3xf32>), (tensor<3xf32>) -> (tensor<3xf32>)
      return %g : tensor<3xf32>
    })",
                                                   &context);
  PipelineOptions options;
  options.disabled = "lower-pointwise,fuse-pointwise";
  PipelineResult result = runPipeline(*module, options, &source);
  ASSERT_TRUE(result.ok) << result.reason;
  EXPECT_TRUE(calls("aten::add.Tensor").empty()) << "sin(x) * s, not twice that";
  EXPECT_EQ(returned()[0].getDefiningOp<bf::AtenOp>().getSchema(), "aten::mul.Tensor");
}

DerivativeRequest reluRequest(int64_t size) {
  return {{"aten::relu", {{AtenArg::Operand{0}}}, {}},
          {ValueType::ofTensor({DType::Float, {Dim::fixed(size)}, "cpu", {}})},
          {true},
          {true},
          {std::nullopt}};
}

TEST(DerivativeCacheTest, ServesEveryContextAndKeepsRefusals) {
  WrittenDerivatives source;
  source.answers["aten::relu"] = {kRelu, {0}};
  DerivativeCache cache(source);
  for (int round = 0; round < 2; ++round) {
    mlir::MLIRContext context;
    loadDialects(context);
    Derivative derivative = cache.derive(context, reluRequest(3));
    EXPECT_EQ(derivative.gradientOf, std::vector<uint32_t>{0});
    EXPECT_TRUE(mlir::succeeded(mlir::verify(*derivative.module)));
    DerivativeRequest odd = reluRequest(3);
    odd.call.schema = "test::odd";
    EXPECT_THROW(cache.derive(context, odd), std::runtime_error);
  }
  EXPECT_EQ(source.requests.size(), 2u);
}

TEST(DerivativeCacheTest, KeysTellRequestsApart) {
  DerivativeRequest base = reluRequest(3);
  EXPECT_EQ(derivativeKey(base), derivativeKey(reluRequest(3)));
  std::vector<DerivativeRequest> others(6, base);
  others[0] = reluRequest(4);
  others[1].call.args = {{AtenArg::Operand{0}}, {int64_t{1}}};
  others[2].call.args = {{AtenArg::List{{AtenArg::Operand{0}}}}};
  others[3].operands[0].tensor.dtype = DType::Double;
  others[4].seeded = {false};
  others[5].operands[0].tensor.dims = {Dim{{3, 5}}};
  for (const DerivativeRequest &other : others)
    EXPECT_NE(derivativeKey(base), derivativeKey(other));
}

} // namespace
