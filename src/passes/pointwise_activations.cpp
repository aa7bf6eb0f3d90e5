// Bodies of activations and of their derivatives.
#include "passes/pointwise_emissions.h"

using namespace mlir;

namespace bifront {
namespace {

using E = PointwiseEmitter;
using Is = PointwiseEmitter::Is;

Value exp(E &e, Value x) { return e.make<math::ExpOp>(x); }

Value sigmoid(E &e, Value x) {
  Value one = e.number(1);
  return e.div(one, e.add(one, exp(e, e.neg(x))));
}

Value emitSigmoid(E &e) {
  Value x = e.read("self");
  return x && e.inFloat() ? e.toResult(sigmoid(e, x)) : Value();
}

Value emitSigmoidBackward(E &e) {
  Value grad = e.read("grad_output"), y = e.read("output");
  if (!grad || !y || !e.inFloat())
    return {};
  return e.toResult(e.mul(e.mul(grad, e.sub(e.number(1), y)), y));
}

Value emitTanhBackward(E &e) {
  Value grad = e.read("grad_output"), y = e.read("output");
  if (!grad || !y || !e.inFloat())
    return {};
  return e.toResult(e.mul(grad, e.fma(e.neg(y), y, e.number(1))));
}

Value emitRelu(E &e) {
  Value x = e.read("self");
  if (!x || e.computeDType() == DType::Bool)
    return {};
  Value zero = e.number(0);
  return e.toResult(e.select(e.compare(Is::Lt, x, zero), zero, x));
}

Value emitThreshold(E &e) {
  Value x = e.read("self"), threshold = e.read("threshold"), value = e.read("value");
  if (!x || !threshold || !value)
    return {};
  return e.toResult(e.select(e.compare(Is::Le, x, threshold), value, x));
}

Value emitThresholdBackward(E &e) {
  Value grad = e.read("grad_output"), x = e.read("self"), threshold = e.read("threshold");
  if (!grad || !x || !threshold)
    return {};
  return e.toResult(e.select(e.compare(Is::Le, x, threshold), e.number(0), grad));
}

Value emitSilu(E &e) {
  Value x = e.read("self");
  if (!x || !e.inFloat())
    return {};
  return e.toResult(e.div(x, e.add(e.number(1), exp(e, e.neg(x)))));
}

Value emitSiluBackward(E &e) {
  Value grad = e.read("grad_output"), x = e.read("self");
  if (!grad || !x || !e.inFloat())
    return {};
  Value one = e.number(1), s = sigmoid(e, x);
  return e.toResult(e.mul(e.mul(grad, s), e.fma(x, e.sub(one, s), one)));
}

Value emitHardtanh(E &e) {
  Value x = e.read("self"), low = e.read("min_val"), high = e.read("max_val");
  if (!x || !low || !high)
    return {};
  Value above = e.select(e.compare(Is::Lt, x, low), low, x);
  return e.toResult(e.select(e.compare(Is::Gt, above, high), high, above));
}

Value emitHardtanhBackward(E &e) {
  Value grad = e.read("grad_output"), x = e.read("self");
  Value low = e.read("min_val"), high = e.read("max_val");
  if (!grad || !x || !low || !high)
    return {};
  // As ATen's vector path has it: nothing passes where x is NaN.
  Value inside = e.make<arith::AndIOp>(e.compare(Is::Gt, x, low), e.compare(Is::Lt, x, high));
  return e.toResult(e.select(inside, grad, e.number(0)));
}

Value emitLeakyRelu(E &e) {
  Value x = e.read("self"), slope = e.read("negative_slope");
  if (!x || !slope || !e.inFloat())
    return {};
  return e.toResult(e.select(e.compare(Is::Gt, x, e.number(0)), x, e.mul(x, slope)));
}

Value emitLeakyReluBackward(E &e) {
  Value grad = e.read("grad_output"), x = e.read("self"), slope = e.read("negative_slope");
  if (!grad || !x || !slope || !e.inFloat())
    return {};
  return e.toResult(e.select(e.compare(Is::Gt, x, e.number(0)), grad, e.mul(grad, slope)));
}

Value emitElu(E &e) {
  Value x = e.read("self"), alpha = e.read("alpha"), scale = e.read("scale");
  Value inputScale = e.read("input_scale");
  if (!x || !alpha || !scale || !inputScale || !e.inFloat())
    return {};
  Value below = e.mul(e.make<math::ExpM1Op>(e.mul(x, inputScale)), e.mul(alpha, scale));
  return e.toResult(e.select(e.compare(Is::Gt, x, e.number(0)), e.mul(x, scale), below));
}

Value emitEluBackward(E &e) {
  Value grad = e.read("grad_output"), x = e.read("self_or_result");
  Value alpha = e.read("alpha"), scale = e.read("scale"), inputScale = e.read("input_scale");
  std::optional<bool> isResult = e.args().boolNamed("is_result");
  if (!grad || !x || !alpha || !scale || !inputScale || !isResult || !e.inFloat())
    return {};
  Value depth = e.mul(alpha, scale);
  Value below = *isResult
                    ? e.mul(e.mul(grad, inputScale), e.add(x, depth))
                    : e.mul(e.mul(e.mul(grad, inputScale), depth), exp(e, e.mul(x, inputScale)));
  return e.toResult(e.select(e.compare(Is::Gt, x, e.number(0)), e.mul(grad, scale), below));
}

Value emitSoftplus(E &e) {
  Value x = e.read("self"), beta = e.read("beta"), threshold = e.read("threshold");
  if (!x || !beta || !threshold || !e.inFloat())
    return {};
  Value scaled = e.mul(x, beta);
  Value soft = e.div(e.make<math::Log1pOp>(exp(e, scaled)), beta);
  return e.toResult(e.select(e.compare(Is::Gt, scaled, threshold), x, soft));
}

Value emitSoftplusBackward(E &e) {
  Value grad = e.read("grad_output"), x = e.read("self");
  Value beta = e.read("beta"), threshold = e.read("threshold");
  if (!grad || !x || !beta || !threshold || !e.inFloat())
    return {};
  Value scaled = e.mul(x, beta), z = exp(e, scaled);
  Value slope = e.div(e.mul(grad, z), e.add(z, e.number(1)));
  return e.toResult(e.select(e.compare(Is::Gt, scaled, threshold), grad, slope));
}

// min(max(x + 3, 0), 6)
Value shiftedRelu6(E &e, Value x) {
  Value zero = e.number(0), six = e.number(6), shifted = e.add(x, e.number(3));
  Value above = e.select(e.compare(Is::Lt, shifted, zero), zero, shifted);
  return e.select(e.compare(Is::Gt, above, six), six, above);
}

Value emitHardsigmoid(E &e) {
  Value x = e.read("self");
  return x && e.inFloat() ? e.toResult(e.div(shiftedRelu6(e, x), e.number(6))) : Value();
}

Value emitHardswish(E &e) {
  Value x = e.read("self");
  return x && e.inFloat() ? e.toResult(e.div(e.mul(x, shiftedRelu6(e, x)), e.number(6))) : Value();
}

Value emitPrelu(E &e) {
  Value x = e.read("self"), weight = e.read("weight");
  if (!x || !weight || !e.inFloat())
    return {};
  return e.toResult(e.select(e.compare(Is::Gt, x, e.number(0)), x, e.mul(weight, x)));
}

Value emitDropoutBackward(E &e) {
  Value grad = e.read("grad_output"), mask = e.read("mask"), scale = e.read("scale");
  if (!grad || !mask || !scale || !e.inFloat())
    return {};
  return e.toResult(e.mul(grad, e.mul(mask, scale)));
}

// reduction: 0 none, 1 mean, 2 sum.
Value emitMseLossBackward(E &e) {
  Value grad = e.read("grad_output"), x = e.read("self"), target = e.read("target");
  std::optional<int64_t> reduction = e.args().intNamed("reduction");
  Value self = e.args().valueNamed("self");
  if (!grad || !x || !target || !reduction || !self || !e.inFloat())
    return {};
  double factor = 2;
  if (*reduction == 1) {
    auto type = cast<RankedTensorType>(self.getType());
    if (!type.hasStaticShape())
      return {};
    factor /= double(type.getNumElements());
  }
  return e.toResult(e.mul(e.mul(e.number(factor), e.sub(x, target)), grad));
}

} // namespace

void addActivationEmissions(llvm::StringMap<PointwiseEmission> &table) {
  auto add = [&](const char *name, PointwiseEmission emission) {
    table[std::string("aten::") + name] = emission;
  };
  add("sigmoid", emitSigmoid);
  add("sigmoid_backward", emitSigmoidBackward);
  add("tanh_backward", emitTanhBackward);
  add("relu", emitRelu);
  add("threshold", emitThreshold);
  add("threshold_backward", emitThresholdBackward);
  add("silu", emitSilu);
  add("silu_backward", emitSiluBackward);
  add("hardtanh", emitHardtanh);
  add("hardtanh_backward", emitHardtanhBackward);
  add("leaky_relu", emitLeakyRelu);
  add("leaky_relu_backward", emitLeakyReluBackward);
  add("elu", emitElu);
  add("elu_backward", emitEluBackward);
  add("softplus", emitSoftplus);
  add("softplus_backward", emitSoftplusBackward);
  add("hardsigmoid", emitHardsigmoid);
  add("hardswish", emitHardswish);
  add("_prelu_kernel", emitPrelu);
  add("native_dropout_backward", emitDropoutBackward);
  add("mse_loss_backward", emitMseLossBackward);
}

} // namespace bifront
