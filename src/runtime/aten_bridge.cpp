#include "runtime/aten_bridge.h"

#include "runtime/batch_norms.h"
#include "runtime/below_autograd.h"
#include "runtime/bernoulli_draws.h"
#include "runtime/chosen_rows.h"
#include "runtime/float_convolutions.h"
#include "runtime/pools.h"
#include "runtime/small_calls.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bifront {
namespace {

c10::OperatorHandle resolve(const std::string &schema) {
  size_t space = schema.find("::");
  size_t dot = schema.find('.', space == std::string::npos ? 0 : space);
  std::string overload = dot == std::string::npos ? "" : schema.substr(dot + 1);
  return c10::Dispatcher::singleton().findSchemaOrThrow(schema.substr(0, dot).c_str(),
                                                        overload.c_str());
}

OwnFunction ownFunctionOf(const std::string &schema) {
  for (OwnFunction own : {ownProduct(schema), ownConvolution(schema), ownBatchNorm(schema),
                          ownPool(schema), ownRows(schema), ownDraws(schema), ownSmallCall(schema)})
    if (own)
      return own;
  return nullptr;
}

c10::TypePtr withoutOptional(c10::TypePtr type) {
  while (auto optional = type->cast<c10::OptionalType>())
    type = optional->getElementType();
  return type;
}

} // namespace

BoundCall::Accepts BoundCall::acceptsOf(const c10::TypePtr &type) {
  switch (withoutOptional(type)->kind()) {
  case c10::TypeKind::TensorType: return Accepts::Tensor;
  case c10::TypeKind::IntType:
  case c10::TypeKind::SymIntType: return Accepts::Int;
  case c10::TypeKind::FloatType:
  case c10::TypeKind::SymFloatType: return Accepts::Float;
  case c10::TypeKind::BoolType:
  case c10::TypeKind::SymBoolType: return Accepts::Bool;
  case c10::TypeKind::NumberType: return Accepts::Number;
  case c10::TypeKind::StringType: return Accepts::String;
  case c10::TypeKind::DeviceObjType: return Accepts::Device;
  default: return Accepts::Anything;
  }
}

BoundCall::BoundCall(const AtenCall &call)
    : op(resolve(call.schema)), own(ownFunctionOf(call.schema)), name(call.schema) {
  const c10::FunctionSchema &schema = op.schema();
  TORCH_CHECK(call.args.size() <= schema.arguments().size(), name, " takes at most ",
              schema.arguments().size(), " arguments, not ", call.args.size());
  changesMetadata = op.hasTag(at::Tag::inplace_view) || schema.name() == "aten::resize_" ||
                    schema.name() == "aten::resize_as_" || schema.name() == "aten::set_";
  writtenCount = call.written.size();
  arguments.resize(schema.arguments().size());
  for (uint32_t i = 0; i < arguments.size(); ++i) {
    const c10::Argument &argument = schema.arguments()[i];
    if (i < call.args.size()) {
      bindArgument(call.args[i], argument, i);
    } else {
      TORCH_CHECK(argument.default_value(), name, " needs a value for ", argument.name());
      arguments[i] = *argument.default_value();
    }
  }
  for (uint32_t k = 0; k < writtenCount; ++k) {
    TORCH_CHECK(call.written[k] < operandCount, name, " has no operand ", call.written[k],
                " to write");
    places[call.written[k]].written = static_cast<int32_t>(k);
  }
}

void BoundCall::addOperand(uint32_t operand, OperandPlace place) {
  TORCH_CHECK(operand == operandCount, name, ": operands must be numbered in order");
  places.push_back(place);
  ++operandCount;
}

void BoundCall::bindArgument(const AtenArg &value, const c10::Argument &argument, uint32_t index) {
  c10::TypePtr type = withoutOptional(argument.type());
  if (auto *operand = std::get_if<AtenArg::Operand>(&value.value)) {
    addOperand(operand->index, {index, -1, 0, acceptsOf(type), -1});
    return;
  }
  auto list = type->cast<c10::ListType>();
  if (list && !std::holds_alternative<AtenArg::None>(value.value)) {
    if (auto *elements = std::get_if<AtenArg::List>(&value.value)) {
      bindList(*elements, *list, index, argument.name());
    } else {
      // `int[2] stride = 1`: one number stands for as many as the schema says.
      TORCH_CHECK(argument.N(), name, ": ", argument.name(), " must be a list");
      bindList(AtenArg::List(*argument.N(), value), *list, index, argument.name());
    }
    return;
  }
  bool optional = argument.type()->kind() == c10::TypeKind::OptionalType;
  if (std::holds_alternative<AtenArg::None>(value.value)) {
    // Boxed kernels want an undefined tensor where a plain Tensor argument is absent.
    if (!optional && type->kind() == c10::TypeKind::TensorType)
      arguments[index] = at::Tensor();
    else
      TORCH_CHECK(optional || type->kind() == c10::TypeKind::GeneratorType, name, ": ",
                  argument.name(), " cannot be None");
    return;
  }
  arguments[index] = constant(value, type, argument.name());
}

void BoundCall::bindList(const AtenArg::List &list, const c10::ListType &type, uint32_t index,
                         const std::string &argument) {
  ListTemplate made{index, type.getElementType(), {}};
  Accepts accepts = acceptsOf(made.elementType);
  bool tensors = accepts == Accepts::Tensor;
  bool hasOperands = false;
  for (const AtenArg &element : list) {
    if (auto *operand = std::get_if<AtenArg::Operand>(&element.value)) {
      addOperand(operand->index, {index, static_cast<int32_t>(lists.size()),
                                  static_cast<uint32_t>(made.elements.size()), accepts, -1});
      made.elements.emplace_back();
      hasOperands = true;
    } else if (std::holds_alternative<AtenArg::None>(element.value)) {
      bool optional = made.elementType->kind() == c10::TypeKind::OptionalType;
      TORCH_CHECK(optional || tensors, name, ": ", argument, " cannot hold None");
      made.elements.push_back(optional ? c10::IValue() : c10::IValue(at::Tensor()));
    } else {
      made.elements.push_back(constant(element, withoutOptional(made.elementType), argument));
    }
  }
  if (hasOperands) {
    lists.push_back(std::move(made));
    return;
  }
  c10::impl::GenericList whole(made.elementType);
  for (const c10::IValue &element : made.elements)
    whole.push_back(element);
  arguments[index] = whole;
}

c10::IValue BoundCall::constant(const AtenArg &value, const c10::TypePtr &type,
                                const std::string &argument) const {
  Accepts accepts = acceptsOf(type);
  const bool *asBool = std::get_if<bool>(&value.value);
  const int64_t *asInt = std::get_if<int64_t>(&value.value);
  const double *asFloat = std::get_if<double>(&value.value);
  auto *asComplex = std::get_if<std::complex<double>>(&value.value);
  auto *asString = std::get_if<std::string>(&value.value);
  auto number = [&]() -> c10::IValue {
    if (asBool)
      return *asBool;
    if (asInt)
      return *asInt;
    if (asFloat)
      return *asFloat;
    if (asComplex)
      return c10::complex<double>(*asComplex);
    return {};
  };
  c10::IValue converted;
  switch (accepts) {
  case Accepts::Int:
    if (asInt || asBool)
      converted = asInt ? *asInt : static_cast<int64_t>(*asBool);
    break;
  case Accepts::Float:
    if (asFloat || asInt || asBool)
      converted = asFloat ? *asFloat
                  : asInt ? static_cast<double>(*asInt)
                          : static_cast<double>(*asBool);
    break;
  case Accepts::Bool:
    if (asBool || asInt)
      converted = asBool ? *asBool : *asInt != 0;
    break;
  case Accepts::Tensor: {
    c10::IValue scalar = number();
    if (!scalar.isNone())
      converted = coerced(scalar, Accepts::Tensor);
    break;
  }
  case Accepts::Number: converted = number(); break;
  case Accepts::String:
    if (asString)
      converted = *asString;
    break;
  case Accepts::Device:
    if (asString)
      converted = c10::Device(*asString);
    break;
  case Accepts::Anything: break;
  }
  TORCH_CHECK(!converted.isNone(), name, ": no constant of this kind fits ", argument, " of type ",
              type->str());
  return converted;
}

c10::IValue BoundCall::coerced(const c10::IValue &operand, Accepts accepts) {
  switch (accepts) {
  case Accepts::Tensor:
    if (operand.isScalar()) {
      // As Python's numbers are in eager: they do not take part in type promotion.
      at::Scalar scalar = operand.toScalar();
      at::Tensor wrapped = at::scalar_tensor(scalar, at::device(at::kCPU).dtype(scalar.type()));
      wrapped.unsafeGetTensorImpl()->set_wrapped_number(true);
      return wrapped;
    }
    return operand;
  case Accepts::Int:
    if (operand.isInt())
      return operand;
    return operand.isTensor() ? operand.toTensor().item<int64_t>()
                              : operand.toScalar().to<int64_t>();
  case Accepts::Float:
    if (operand.isDouble())
      return operand;
    return operand.isTensor() ? operand.toTensor().item<double>() : operand.toScalar().to<double>();
  case Accepts::Bool:
    if (operand.isBool())
      return operand;
    return operand.isTensor() ? operand.toTensor().item<bool>() : operand.toScalar().to<bool>();
  case Accepts::Number:
    if (operand.isTensor())
      return operand.toTensor().item();
    return operand;
  default: return operand;
  }
}

// Whether each element has a place of its own: every stride steps over all that lies inside of it.
static bool hasApartElements(const at::Tensor &tensor) {
  c10::SmallVector<std::pair<int64_t, int64_t>, 5> dims;
  for (int64_t d = 0; d < tensor.dim(); ++d)
    if (tensor.size(d) != 1)
      dims.emplace_back(tensor.stride(d), tensor.size(d));
  std::sort(dims.begin(), dims.end());
  int64_t reach = 0;
  for (const auto &[stride, size] : dims) {
    if (stride <= reach)
      return false;
    reach += stride * (size - 1);
  }
  return true;
}

// A copy that lies in memory as `tensor` does, gaps included: random fills go by that.
static at::Tensor laidOutCopy(const at::Tensor &tensor) {
  if (tensor.is_non_overlapping_and_dense() || !hasApartElements(tensor))
    return at::clone(tensor, at::MemoryFormat::Preserve);
  at::Tensor copy = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options());
  return copy.copy_(tensor);
}

c10::IValue BoundCall::writable(const c10::IValue &operand, bool reuse) const {
  const at::Tensor &tensor = operand.toTensor();
  if (!reuse)
    return laidOutCopy(tensor);
  // The operator must not change the sizes of a tensor that others may hold.
  return changesMetadata ? at::alias(tensor) : operand;
}

void BoundCall::run(std::span<const c10::IValue> operands,
                    std::vector<c10::IValue> &results) const {
  BelowAutograd guard;
  Scratch scratch;
  invoke(operands, {}, scratch, results);
}

void BoundCall::invoke(std::span<const c10::IValue> operands, const std::vector<bool> &reuse,
                       Scratch &scratch, std::vector<c10::IValue> &results,
                       PackedRight *packed) const {
  TORCH_CHECK(operands.size() == operandCount, name, " takes ", operandCount, " operands, not ",
              operands.size());
  auto &stack = scratch.stack;
  stack.assign(arguments.begin(), arguments.end());
  scratch.written.resize(writtenCount);
  while (scratch.lists.size() < lists.size())
    scratch.lists.emplace_back(lists[scratch.lists.size()].elementType);
  for (size_t k = 0; k < lists.size(); ++k) {
    // A kernel that kept the list of the last call gets to keep it.
    if (scratch.lists[k].use_count() > 1)
      scratch.lists[k] = c10::impl::GenericList(lists[k].elementType);
    scratch.lists[k].clear();
    for (const c10::IValue &element : lists[k].elements)
      scratch.lists[k].push_back(element);
  }
  for (size_t i = 0; i < operandCount; ++i) {
    const OperandPlace &place = places[i];
    c10::IValue value;
    if (place.written >= 0) {
      size_t k = place.written;
      value = writable(operands[i], k < reuse.size() && reuse[k]);
      scratch.written[k] = value;
    } else {
      value = coerced(operands[i], place.accepts);
    }
    if (place.list >= 0)
      scratch.lists[place.list].set(place.element, std::move(value));
    else
      stack[place.argument] = std::move(value);
  }
  for (size_t k = 0; k < lists.size(); ++k)
    stack[lists[k].argument] = scratch.lists[k];

  // What is our own no autograd would know of.
  if (!own || !BelowAutograd::isHere() || !own(stack, packed))
    op.callBoxed(&stack);

  results.clear();
  for (c10::IValue &returned : stack) {
    if (returned.isList()) {
      for (const c10::IValue &element : returned.toListRef())
        results.push_back(element);
    } else {
      results.push_back(std::move(returned));
    }
  }
  for (c10::IValue &contents : scratch.written)
    results.push_back(std::move(contents));
  stack.clear();
  for (c10::impl::GenericList &list : scratch.lists)
    list.clear();
}

} // namespace bifront
