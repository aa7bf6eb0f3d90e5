#include "elementary_derivatives.h"

#include "ir/aten_op.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <map>
#include <stdexcept>

namespace bifront {
namespace {

// $A and $B are the types of the operands, $T that of the first one transposed.
struct Rule {
  std::string operands, forward, result; // up to %y
  std::vector<std::string> gradient;     // per operand: the ops that make it, %g0 or %g1
};

std::string aten(const std::string &result, const std::string &call, const std::string &types) {
  return "  " + result + " = bf.aten \"aten::" + call + " : " + types + "\n";
}

const std::map<std::string, Rule> &rules() {
  auto unary = [](const std::string &forward, const std::string &gradient) {
    return Rule{"%a: $A", aten("%y", forward, "($A) -> $A"), "$A", {gradient}};
  };
  const Rule squareRule = unary("pow.Tensor_Scalar\"(%a, 2)",
                                aten("%c", "mul.Scalar\"(%a, 2.0)", "($A) -> $A") +
                                    aten("%g0", "mul.Tensor\"(%g, %c)", "($A, $A) -> $A"));
  static const std::map<std::string, Rule> table = {
      {"aten::tanh", unary("tanh\"(%a)", aten("%g0", "tanh_backward\"(%g, %y)", "($A, $A) -> $A"))},
      {"aten::sigmoid",
       unary("sigmoid\"(%a)", aten("%g0", "sigmoid_backward\"(%g, %y)", "($A, $A) -> $A"))},
      {"aten::sin", unary("sin\"(%a)", aten("%c", "cos\"(%a)", "($A) -> $A") +
                                           aten("%g0", "mul.Tensor\"(%g, %c)", "($A, $A) -> $A"))},
      {"aten::neg", unary("neg\"(%a)", aten("%g0", "neg\"(%g)", "($A) -> $A"))},
      // PyTorch differentiates some ops by way of another one.
      {"aten::square", squareRule},
      {"aten::pow.Tensor_Scalar", squareRule},
      {"aten::clone", unary("clone\"(%a, none)", aten("%g0", "alias\"(%g)", "($A) -> $A"))},
      {"aten::mul.Tensor",
       {"%a: $A, %b: $B",
        aten("%y", "mul.Tensor\"(%a, %b)", "($A, $B) -> $A"),
        "$A",
        {aten("%g0", "mul.Tensor\"(%g, %b)", "($A, $B) -> $A"),
         aten("%g1", "mul.Tensor\"(%g, %a)", "($A, $A) -> $B")}}},
      {"aten::add.Tensor",
       {"%a: $A, %b: $B",
        aten("%y", "add.Tensor\"(%a, %b, 1)", "($A, $B) -> $A"),
        "$A",
        {aten("%g0", "alias\"(%g)", "($A) -> $A"), aten("%g1", "alias\"(%g)", "($A) -> $B")}}},
      {"aten::mm",
       {"%a: $A, %b: $B",
        aten("%y", "mm\"(%a, %b)", "($A, $B) -> $A"),
        "$A",
        {aten("%tb", "t\"(%b)", "($B) -> $B") + aten("%g0", "mm\"(%g, %tb)", "($A, $B) -> $A"),
         aten("%ta", "t\"(%a)", "($A) -> $T") + aten("%g1", "mm\"(%ta, %g)", "($T, $A) -> $B")}}},
      {"aten::sum",
       {"%a: $A",
        aten("%y", "sum\"(%a, none)", "($A) -> tensor<f64>"),
        "tensor<f64>",
        {"  %n = bf.dim %a, 0 : $A -> i64\n  %m = bf.dim %a, 1 : $A -> i64\n" +
         aten("%g0", "expand\"(%g, [%n, %m], false)", "(tensor<f64>, i64, i64) -> $A")}}},
  };
  return table;
}

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// The first two results of dropout are a tensor and its mask.
std::string dropout() {
  return "func.func @d(%a: $A, %g: $A) -> ($A, $M, $A) {\n" +
         aten("%y:2", "native_dropout\"(%a, 0.5, true)", "($A) -> ($A, $M)") +
         aten("%g0", "native_dropout_backward\"(%g, %y#1, 2.0)", "($A, $M) -> $A") +
         "  return %y#0, %y#1, %g0 : $A, $M, $A\n}";
}

std::string textOf(const Rule &rule, const DerivativeRequest &request,
                   std::vector<uint32_t> &gradientOf) {
  std::string body, results = "%y", types = rule.result;
  const char *operandTypes[] = {"$A", "$B"};
  for (uint32_t k = 0; k < rule.gradient.size(); ++k)
    if (request.differentiable[k]) {
      body += rule.gradient[k];
      results += ", %g" + std::to_string(k);
      types += std::string(", ") + operandTypes[k];
      gradientOf.push_back(k);
    }
  return "func.func @d(" + rule.operands + ", %g: " + rule.result + ") -> (" + types + ") {\n" +
         rule.forward + body + "  return " + results + " : " + types + "\n}";
}

std::string typeText(mlir::MLIRContext &context, const ValueType &type) {
  std::string text;
  llvm::raw_string_ostream(text) << mlirTypeOf(&context, type);
  return text;
}

} // namespace

Derivative ElementaryDerivatives::derive(mlir::MLIRContext &context,
                                         const DerivativeRequest &request) {
  Derivative derivative;
  std::string text;
  const ValueType &first = request.operands.at(0);
  if (request.call.schema == "aten::native_dropout") {
    text = dropout();
    derivative.gradientOf = {0};
  } else if (auto rule = rules().find(request.call.schema); rule != rules().end()) {
    text = textOf(rule->second, request, derivative.gradientOf);
  } else {
    throw std::runtime_error("nobody wrote it down");
  }
  ValueType turned = first, mask = first;
  std::reverse(turned.tensor.dims.begin(), turned.tensor.dims.end());
  mask.tensor.dtype = DType::Bool;
  text = replaced(text, "$A", typeText(context, first));
  text = replaced(text, "$B", typeText(context, request.operands.back()));
  text = replaced(text, "$T", typeText(context, turned));
  text = replaced(text, "$M", typeText(context, mask));
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    throw std::runtime_error("the derivative does not parse:\n" + text);
  derivative.module = std::shared_ptr<mlir::ModuleOp>(new mlir::ModuleOp(module.release()),
                                                      [](mlir::ModuleOp *held) {
                                                        held->erase();
                                                        delete held;
                                                      });
  return derivative;
}

} // namespace bifront
