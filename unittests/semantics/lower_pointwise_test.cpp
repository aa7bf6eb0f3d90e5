// Bodies of pointwise groups against ATen, op by op and dtype by dtype, on numbers that include the
// special ones.
#include "passes/lower_pointwise.h"

#include "ir/aten_op.h"
#include "ir/schema_table/schema_table.h"
#include "reference/interpreter.h"

#include "mlir/Parser/Parser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>

namespace bifront {
namespace {

// T stands for each dtype of the case's set.
struct Case {
  const char *call;
  std::vector<const char *> operands;
  const char *result;
  bool finite = false; // ATen's own answers for NaN and the infinities differ between its paths
};

const char *const kFloats[] = {"f32", "f64", "bf16", "f16"};
const char *const kIntegers[] = {"i64", "i32", "i16", "i8", "ui8"};

const Case kFloatCases[] = {
    {R"("aten::add.Tensor"(%a, %b, 1))", {"6x5xT", "5xT"}, "6x5xT"},
    {R"("aten::add.Tensor"(%a, %b, 2))", {"6x5xT", "6x1xT"}, "6x5xT"},
    {R"("aten::add.Tensor"(%a, %s, %s))", {"6x5xT", "f64"}, "6x5xT"},
    {R"("aten::add.Scalar"(%a, 3, 2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::sub.Tensor"(%a, %b, 1))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::sub.Tensor"(%a, %b, 3))", {"6x5xT", "xT"}, "6x5xT"},
    {R"("aten::rsub.Scalar"(%a, 1.5, 2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::mul.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::mul.Tensor"(%a, 0.1))", {"6x5xT"}, "6x5xT"},
    {R"("aten::mul.Tensor"(%a, %b))", {"6x5xT", "6x5xi1"}, "6x5xT"},
    {R"("aten::mul.Tensor"(%a, %b))", {"6x5xT", "6x5xi64"}, "6x5xT"},
    {R"("aten::div.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::div.Tensor"(%a, %b))", {"6x5xT", "xf64"}, "6x5xT"},
    {R"("aten::div.Tensor"(%a, 3))", {"6x5xT"}, "6x5xT"},
    {R"("aten::div.Tensor_mode"(%a, %b, "floor"))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::div.Tensor_mode"(%a, %b, "trunc"))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::remainder.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::fmod.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::addcmul"(%a, %b, %c, 0.5))", {"6x5xT", "6x5xT", "5xT"}, "6x5xT"},
    {R"("aten::addcdiv"(%a, %b, %c, -0.5))", {"6x5xT", "6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::lerp.Scalar"(%a, %b, 0.3))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::lerp.Scalar"(%a, %b, 0.8))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::lerp.Tensor"(%a, %b, %c))", {"6x5xT", "6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, 0))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, 2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, 3))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, 0.5))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, -0.5))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, -1))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, -2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Scalar"(%a, 1.7))", {"6x5xT"}, "6x5xT"},
    {R"("aten::pow.Tensor_Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::pow.Scalar"(2.5, %a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::maximum"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::minimum"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::clamp"(%a, -1, 0.5))", {"6x5xT"}, "6x5xT"},
    {R"("aten::clamp"(%a, none, 0.5))", {"6x5xT"}, "6x5xT"},
    {R"("aten::clamp.Tensor"(%a, %b, none))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::clamp_min"(%a, 0))", {"6x5xT"}, "6x5xT"},
    {R"("aten::clamp_max"(%a, 0.25))", {"6x5xT"}, "6x5xT"},
    {R"("aten::neg"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::abs"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::sign"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::reciprocal"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::rsqrt"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::sqrt"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::exp"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::exp2"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::expm1"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::log"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::log2"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::log10"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::log1p"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::sin"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::cos"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::tan"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::tanh"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::atan"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::erf"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::floor"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::ceil"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::trunc"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::round"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::isnan"(%a))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::eq.Tensor"(%a, %b))", {"6x5xT", "5xT"}, "6x5xi1"},
    {R"("aten::ne.Tensor"(%a, %b))", {"6x5xT", "6x5xi64"}, "6x5xi1"},
    {R"("aten::lt.Scalar"(%a, 1))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::le.Scalar"(%a, 0))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::gt.Scalar"(%a, 0))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::ge.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xi1"},
    {R"("aten::logical_and"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xi1"},
    {R"("aten::logical_or"(%a, %b))", {"6x5xT", "6x5xi64"}, "6x5xi1"},
    {R"("aten::logical_xor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xi1"},
    {R"("aten::logical_not"(%a))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::where.self"(%a, %b, %c))", {"6x5xi1", "6x5xT", "5xT"}, "6x5xT"},
    {R"("aten::masked_fill.Scalar"(%a, %b, -1.5))", {"6x5xT", "5xi1"}, "6x5xT"},
    {R"("aten::masked_fill.Tensor"(%a, %b, %c))", {"6x5xT", "6x5xi1", "xT"}, "6x5xT"},
    {R"("aten::_to_copy"(%a, 6, none, none, none, false, none))", {"6x5xT"}, "6x5xf32"},
    {R"("aten::_to_copy"(%a, 7, none, none, none, false, none))", {"6x5xT"}, "6x5xf64"},
    {R"("aten::_to_copy"(%a, 5, none, none, none, false, none))", {"6x5xT"}, "6x5xf16"},
    {R"("aten::_to_copy"(%a, 15, none, none, none, false, none))", {"6x5xT"}, "6x5xbf16"},
    {R"("aten::_to_copy"(%a, 11, none, none, none, false, none))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::clone"(%a, none))", {"6x5xT"}, "6x5xT"},
    {R"("aten::copy"(%a, %b, false))", {"6x5xT", "5xf32"}, "6x5xT"},
    {R"("aten::fill.Scalar"(%a, 2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::fill.Tensor"(%a, %b))", {"6x5xT", "xf32"}, "6x5xT"},
    {R"("aten::zeros_like"(%a, none, none, none, none, none))", {"6x5xT"}, "6x5xT"},
    {R"("aten::ones_like"(%a, none, none, none, none, none))", {"6x5xT"}, "6x5xT"},
    {R"("aten::full_like"(%a, 0.1, none, none, none, none, none))", {"6x5xT"}, "6x5xT"},
    {R"("aten::sigmoid"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::sigmoid_backward"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::tanh_backward"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::relu"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::threshold"(%a, 0.5, -2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::threshold_backward"(%a, %b, 0))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::silu"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::silu_backward"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT", true},
    {R"("aten::hardtanh"(%a, -1, 0.5))", {"6x5xT"}, "6x5xT"},
    {R"("aten::hardtanh_backward"(%a, %b, -1, 0.5))", {"6x5xT", "6x5xT"}, "6x5xT", true},
    {R"("aten::leaky_relu"(%a, 0.01))", {"6x5xT"}, "6x5xT"},
    {R"("aten::leaky_relu_backward"(%a, %b, 0.01, false))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::elu"(%a, 1.5, 1, 2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::elu_backward"(%a, 1.5, 1, 2, false, %b))", {"6x5xT", "6x5xT"}, "6x5xT", true},
    {R"("aten::elu_backward"(%a, 1.5, 1, 2, true, %b))", {"6x5xT", "6x5xT"}, "6x5xT", true},
    {R"("aten::softplus"(%a, 2, 3))", {"6x5xT"}, "6x5xT"},
    {R"("aten::softplus_backward"(%a, %b, 2, 3))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::hardsigmoid"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::hardswish"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::_prelu_kernel"(%a, %b))", {"6x5xT", "1x5xT"}, "6x5xT"},
    {R"("aten::native_dropout_backward"(%a, %b, 2.0))", {"6x5xT", "6x5xi1"}, "6x5xT"},
    {R"("aten::mse_loss_backward"(%a, %b, %c, 1))", {"xT", "6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::mse_loss_backward"(%a, %b, %c, 2))", {"xT", "6x5xT", "6x5xT"}, "6x5xT"},
};

const Case kIntegerCases[] = {
    {R"("aten::add.Tensor"(%a, %b, 3))", {"6x5xT", "5xT"}, "6x5xT"},
    {R"("aten::rsub.Scalar"(%a, 1, 2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::mul.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::mul.Tensor"(%a, %b))", {"6x5xT", "6x5xi16"}, nullptr},
    {R"("aten::mul.Tensor"(%a, 0.1))", {"6x5xT"}, "6x5xf32"},
    {R"("aten::div.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xf32"},
    {R"("aten::pow.Tensor_Scalar"(%a, 2))", {"6x5xT"}, "6x5xT"},
    {R"("aten::maximum"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::minimum"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::clamp"(%a, 1, 4))", {"6x5xT"}, "6x5xT"},
    {R"("aten::neg"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::abs"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::exp"(%a))", {"6x5xT"}, "6x5xf32"},
    {R"("aten::floor"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::relu"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::eq.Scalar"(%a, 2))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::lt.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xi1"},
    {R"("aten::logical_not"(%a))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::bitwise_and.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::bitwise_or.Scalar"(%a, 5))", {"6x5xT"}, "6x5xT"},
    {R"("aten::bitwise_xor.Tensor"(%a, %b))", {"6x5xT", "6x5xT"}, "6x5xT"},
    {R"("aten::bitwise_not"(%a))", {"6x5xT"}, "6x5xT"},
    {R"("aten::masked_fill.Scalar"(%a, %b, 7))", {"6x5xT", "6x5xi1"}, "6x5xT"},
    {R"("aten::_to_copy"(%a, 0, none, none, none, false, none))", {"6x5xT"}, "6x5xui8"},
    {R"("aten::_to_copy"(%a, 1, none, none, none, false, none))", {"6x5xT"}, "6x5xi8"},
    {R"("aten::_to_copy"(%a, 3, none, none, none, false, none))", {"6x5xT"}, "6x5xi32"},
    {R"("aten::_to_copy"(%a, 4, none, none, none, false, none))", {"6x5xT"}, "6x5xi64"},
    {R"("aten::_to_copy"(%a, 6, none, none, none, false, none))", {"6x5xT"}, "6x5xf32"},
    {R"("aten::_to_copy"(%a, 5, none, none, none, false, none))", {"6x5xT"}, "6x5xf16"},
    {R"("aten::_to_copy"(%a, 11, none, none, none, false, none))", {"6x5xT"}, "6x5xi1"},
    {R"("aten::zeros_like"(%a, none, none, none, none, none))", {"6x5xT"}, "6x5xT"},
};

// Whole quotients, in signed integers by a number.
const Case kSignedCases[] = {
    {R"("aten::div.Tensor_mode"(%a, 3, "floor"))", {"6x5xT"}, "6x5xT"},
    {R"("aten::div.Tensor_mode"(%a, 3, "trunc"))", {"6x5xT"}, "6x5xT"},
    {R"("aten::remainder.Scalar"(%a, 3))", {"6x5xT"}, "6x5xT"},
    {R"("aten::fmod.Scalar"(%a, 3))", {"6x5xT"}, "6x5xT"},
};

const Case kOtherCases[] = {
    {R"("aten::add.Tensor"(%a, %b, 1))", {"4xi1", "4xi1"}, "4xi1"},
    {R"("aten::mul.Tensor"(%a, %b))", {"4xi1", "4xi1"}, "4xi1"},
    {R"("aten::maximum"(%a, %b))", {"4xi1", "4xi1"}, "4xi1"},
    {R"("aten::bitwise_not"(%a))", {"4xi1"}, "4xi1"},
    {R"("aten::bitwise_and.Tensor"(%a, %b))", {"4xi1", "4xi1"}, "4xi1"},
    {R"("aten::mul.Tensor"(%a, %b))", {"4xbf16", "4xf16"}, "4xf32"},
    {R"("aten::mul.Tensor"(%a, %b))", {"4xbf16", "4xf32"}, "4xf32"},
    {R"("aten::add.Tensor"(%a, %b, 1))", {"4xui8", "4xi8"}, "4xi16"},
    {R"("aten::add.Tensor"(%a, %b, 1))", {"4xi32", "xf64"}, "4xf64"},
    {R"("aten::where.self"(%a, %b, %c))", {"4xi1", "4xf32", "xf64"}, "4xf32"},
    {R"("aten::zeros"([2, 3], 6, none, none, none))", {}, "2x3xf32"},
    {R"("aten::ones"([2, 3], 11, none, none, none))", {}, "2x3xi1"},
    {R"("aten::full"([2, 3], 0.1, 15, none, none, none))", {}, "2x3xbf16"},
    {R"("aten::scalar_tensor"(%s, 6, none, none, none))", {"f64"}, "xf32"},
    {R"("aten::new_zeros"(%a, [3], none, none, none, none))", {"4xf32"}, "3xf32"},
};

// Functions that ATen computes with MKL where the dtype is not a half.
bool isOfVectorLibrary(const Case &op) {
  std::string_view call = op.call;
  for (const char *name :
       {"exp", "log", "log2", "log10", "sin", "cos", "tan", "tanh", "atan", "erf"})
    if (call.starts_with("\"aten::" + std::string(name) + "\""))
      return true;
  return false;
}

class LowerPointwise : public testing::Test {
protected:
  LowerPointwise() {
    installSchemaTable();
    loadDialects(context);
    at::manual_seed(0);
  }

  static std::string typed(std::string type, const char *dtype) {
    type = std::regex_replace(type, std::regex("T"), dtype);
    if (type == "f64" || type == "i64")
      return type;
    return "tensor<" + (type[0] == 'x' ? type.substr(1) : type) + ">";
  }

  // Where the case leaves its result open, promotion decides.
  static std::string resultOf(const Case &op, const char *dtype) {
    if (op.result)
      return typed(op.result, dtype);
    bool isNarrow = std::string_view(dtype).ends_with("i8");
    return typed("6x5xT", isNarrow ? "i16" : dtype);
  }

  static std::string textOf(const Case &op, const char *dtype) {
    std::string inputs, types;
    const char *tensorNames[] = {"%a", "%b", "%c"};
    for (size_t i = 0; i < op.operands.size(); ++i) {
      std::string type = typed(op.operands[i], dtype);
      std::string name = type[0] == 't' ? tensorNames[i] : "%s";
      inputs += (i ? ", " : "") + name + ": " + type;
    }
    // The call names its operands in some order, possibly twice.
    std::string call = op.call;
    std::regex operand("%[abcs]");
    for (std::sregex_iterator it(call.begin(), call.end(), operand), end; it != end; ++it) {
      for (size_t i = 0; i < op.operands.size(); ++i) {
        std::string type = typed(op.operands[i], dtype);
        if (it->str() == (type[0] == 't' ? tensorNames[i] : "%s"))
          types += (types.empty() ? "" : ", ") + type;
      }
    }
    std::string result = resultOf(op, dtype);
    return "func.func @f(" + inputs + ") -> " + result + " {\n  %0 = bf.aten " + call + " : (" +
           types + ") -> " + result + "\n  return %0 : " + result + "\n}\n";
  }

  static c10::IValue inputOf(mlir::Type type, bool finite) {
    ValueType value = valueTypeOf(type);
    if (value.kind == ValueType::Kind::Float)
      return 1.25;
    std::vector<int64_t> sizes;
    for (const Dim &dim : value.tensor.dims)
      sizes.push_back(dim.world[0]);
    auto dtype = static_cast<at::ScalarType>(value.tensor.dtype);
    if (!at::isFloatingType(dtype))
      return at::randint(dtype == at::kBool ? 0 : (dtype == at::kByte ? 0 : -6),
                         dtype == at::kBool ? 2 : 7, sizes)
          .to(dtype);
    at::Tensor tensor = at::randn(sizes).mul_(2);
    constexpr double kSpecial[] = {0.0,
                                   -0.0,
                                   1.0,
                                   3.0,
                                   -3.0,
                                   0.5,
                                   100.0,
                                   -100.0,
                                   std::numeric_limits<double>::infinity(),
                                   -std::numeric_limits<double>::infinity(),
                                   std::numeric_limits<double>::quiet_NaN()};
    if (tensor.numel() > 20 && !finite)
      for (double special : kSpecial)
        tensor.view({-1})[at::randint(tensor.numel(), {1}).item<int64_t>()] = special;
    return tensor.to(dtype);
  }

  void check(const Case &op, const char *dtype) {
    std::string text = textOf(op, dtype);
    SCOPED_TRACE(text);
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    auto function = *module->getOps<mlir::func::FuncOp>().begin();
    std::vector<c10::IValue> inputs;
    for (mlir::Type type : function.getArgumentTypes())
      inputs.push_back(inputOf(type, op.finite));
    at::Tensor expected = interpret(*module, inputs)[0].toTensor();
    lowerPointwise(*module);
    bool left =
        module->walk([](bf::AtenOp) { return mlir::WalkResult::interrupt(); }).wasInterrupted();
    bool isHalf = dtype == std::string_view("f16") || dtype == std::string_view("bf16");
    if (isOfVectorLibrary(op) && !isHalf) {
      EXPECT_TRUE(left) << "MKL's bits are its own";
      return;
    }
    ASSERT_FALSE(left) << "was not lowered";
    at::Tensor got = interpret(*module, inputs)[0].toTensor();
    ASSERT_EQ(got.scalar_type(), expected.scalar_type());
    ASSERT_EQ(got.sizes(), expected.sizes());
    double tolerance = expected.scalar_type() == at::kBFloat16 ? 8e-3
                       : expected.scalar_type() == at::kHalf   ? 1e-3
                       : expected.scalar_type() == at::kDouble ? 1e-12
                                                               : 1e-5;
    EXPECT_TRUE(at::allclose(got, expected, tolerance, tolerance * 1e-1, /*equal_nan=*/true))
        << got << "\nexpected\n"
        << expected;
  }

  mlir::MLIRContext context;
};

TEST_F(LowerPointwise, Floats) {
  for (const Case &op : kFloatCases)
    for (const char *dtype : kFloats)
      check(op, dtype);
}

TEST_F(LowerPointwise, Integers) {
  for (const Case &op : kIntegerCases)
    for (const char *dtype : kIntegers)
      check(op, dtype);
  for (const Case &op : kSignedCases)
    for (const char *dtype : {"i64", "i32", "i16", "i8"})
      check(op, dtype);
}

TEST_F(LowerPointwise, MixedAndConstant) {
  for (const Case &op : kOtherCases)
    check(op, "f32");
}

} // namespace
} // namespace bifront
