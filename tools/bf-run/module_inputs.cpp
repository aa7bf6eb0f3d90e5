#include "module_inputs.h"

#include "ir/aten_op.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace bifront {
namespace {

at::Tensor randomTensor(const TensorType &type, const InputOptions &options,
                        at::Generator &generator) {
  std::vector<int64_t> sizes;
  for (const Dim &dim : type.dims)
    sizes.push_back(dim.world[options.world] < 0 ? options.unknownSize : dim.world[options.world]);
  auto dtype = static_cast<at::ScalarType>(type.dtype);
  if (dtype == at::kBool)
    return at::randint(0, 2, sizes, generator, at::device(at::kCPU).dtype(at::kLong)).to(dtype);
  if (at::isIntegralType(dtype, /*includeBool=*/false))
    return at::randint(0, 10, sizes, generator, at::device(at::kCPU).dtype(at::kLong)).to(dtype);
  if (at::isComplexType(dtype))
    return at::randn(sizes, generator, at::device(at::kCPU).dtype(at::kComplexDouble)).to(dtype);
  return at::randn(sizes, generator, at::device(at::kCPU).dtype(at::kDouble)).to(dtype);
}

const char *nameOf(at::ScalarType dtype) {
  switch (dtype) {
  case at::kFloat: return "f32";
  case at::kDouble: return "f64";
  case at::kHalf: return "f16";
  case at::kBFloat16: return "bf16";
  case at::kBool: return "i1";
  case at::kByte: return "ui8";
  case at::kChar: return "i8";
  case at::kShort: return "i16";
  case at::kInt: return "i32";
  case at::kLong: return "i64";
  default: return c10::toString(dtype);
  }
}

void print(std::ostream &stream, const at::Scalar &number) {
  if (number.isBoolean())
    stream << (number.toBool() ? "true" : "false");
  else if (number.isIntegral(false))
    stream << number.toLong();
  else if (number.isComplex())
    stream << number.toComplexDouble();
  else
    stream << number.toDouble();
}

} // namespace

std::vector<c10::IValue> randomInputs(mlir::func::FuncOp function, const InputOptions &options) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(options.seed);
  std::vector<c10::IValue> inputs;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    ValueType type = valueTypeOf(function.getArgument(i).getType());
    switch (type.kind) {
    case ValueType::Kind::Tensor: {
      at::Tensor tensor = randomTensor(type.tensor, options, generator);
      if (function.getArgAttr(i, "bf.requires_grad"))
        tensor.requires_grad_();
      inputs.emplace_back(std::move(tensor));
      break;
    }
    case ValueType::Kind::Int: inputs.emplace_back(int64_t{3}); break;
    case ValueType::Kind::Float: inputs.emplace_back(0.5); break;
    case ValueType::Kind::Bool: inputs.emplace_back(true); break;
    default: throw std::runtime_error("an input of a kind that bf-run cannot make");
    }
  }
  return inputs;
}

std::vector<c10::IValue> loadInputs(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::runtime_error("cannot open " + path);
  std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  c10::IValue loaded = torch::jit::pickle_load(bytes);
  if (loaded.isTuple())
    return loaded.toTupleRef().elements().vec();
  if (loaded.isList())
    return loaded.toListRef().vec();
  return {loaded};
}

std::vector<c10::IValue> copyInputs(const std::vector<c10::IValue> &inputs) {
  std::vector<c10::IValue> copies;
  for (const c10::IValue &input : inputs) {
    if (!input.isTensor()) {
      copies.push_back(input);
      continue;
    }
    const at::Tensor &tensor = input.toTensor();
    at::Tensor copy = tensor.detach().clone();
    if (tensor.requires_grad())
      copy.requires_grad_();
    if (tensor.grad().defined())
      copy.mutable_grad() = tensor.grad().clone();
    copies.emplace_back(std::move(copy));
  }
  return copies;
}

std::string describe(const c10::IValue &value) {
  std::ostringstream text;
  if (value.isScalar()) {
    print(text, value.toScalar());
    return text.str();
  }
  if (!value.isTensor() || !value.toTensor().defined())
    return "none";
  at::Tensor tensor = value.toTensor().detach();
  text << nameOf(tensor.scalar_type()) << "[";
  for (int64_t dim = 0; dim < tensor.dim(); ++dim)
    text << (dim ? ", " : "") << tensor.size(dim);
  text << "]";
  constexpr int64_t kShown = 32;
  if (tensor.numel() <= kShown) {
    tensor = tensor.reshape(-1);
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      text << (i ? ", " : " = ");
      print(text, tensor[i].item());
    }
    return text.str();
  }
  at::Tensor wide = tensor.is_complex() ? at::view_as_real(tensor.resolve_conj()) : tensor;
  wide = wide.to(at::kDouble);
  text << " mean " << wide.mean().item<double>() << ", norm " << wide.norm().item<double>()
       << ", from " << wide.min().item<double>() << " to " << wide.max().item<double>();
  return text.str();
}

std::string difference(const c10::IValue &a, const c10::IValue &b, double tolerance) {
  std::ostringstream text;
  if (a.isTensor() && b.isTensor() && a.toTensor().defined() && b.toTensor().defined()) {
    at::Tensor x = a.toTensor().detach(), y = b.toTensor().detach();
    if (x.scalar_type() != y.scalar_type() || x.sizes() != y.sizes()) {
      text << "one is " << nameOf(x.scalar_type()) << x.sizes() << ", the other "
           << nameOf(y.scalar_type()) << y.sizes();
      return text.str();
    }
    if (!x.is_floating_point() && !x.is_complex()) {
      if (!at::equal(x, y))
        text << x.ne(y).sum().item<int64_t>() << " of " << x.numel() << " elements differ";
      return text.str();
    }
    at::ScalarType wide = x.is_complex() ? at::kComplexDouble : at::kDouble;
    x = x.to(wide).resolve_conj();
    y = y.to(wide).resolve_conj();
    double largest = y.numel() ? at::nan_to_num(y.abs(), 0, 0, 0).max().item<double>() : 0;
    if (!at::allclose(x, y, tolerance, tolerance * largest, /*equal_nan=*/true)) {
      double far = at::nan_to_num((x - y).abs(), 0).max().item<double>();
      text << "they differ by up to " << far << ", where the largest element is " << largest;
    }
    return text.str();
  }
  if (a.isScalar() && b.isScalar()) {
    at::Scalar x = a.toScalar(), y = b.toScalar();
    bool equal =
        x.isFloatingPoint() || y.isFloatingPoint()
            ? std::abs(x.toDouble() - y.toDouble()) <= tolerance * std::abs(y.toDouble()) ||
                  (std::isnan(x.toDouble()) && std::isnan(y.toDouble())) ||
                  x.toDouble() == y.toDouble()
            : x.isBoolean() == y.isBoolean() && x.toLong() == y.toLong();
    return equal ? "" : describe(a) + " and " + describe(b);
  }
  bool none = describe(a) == "none" && describe(b) == "none";
  return none ? "" : "one is " + describe(a) + ", the other " + describe(b);
}

} // namespace bifront
