#include "capture/captured_call.h"

#include "capture/capture_error.h"
#include "capture/python_values.h"
#include "capture/symbolic.h"

#include <ATen/core/List.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

namespace bifront {
namespace {

// At most this many elements of a tensor made from Python data are looked at to make it a constant.
constexpr int64_t kLargestConstant = 1;

at::Scalar valueOfZeroDim(const at::Tensor &tensor) {
  switch (tensor.scalar_type()) {
  case at::kDouble: return *tensor.const_data_ptr<double>();
  case at::kFloat: return static_cast<double>(*tensor.const_data_ptr<float>());
  case at::kLong: return *tensor.const_data_ptr<int64_t>();
  case at::kInt: return static_cast<int64_t>(*tensor.const_data_ptr<int32_t>());
  case at::kBool: return *tensor.const_data_ptr<bool>();
  case at::kComplexDouble: return *tensor.const_data_ptr<c10::complex<double>>();
  default: throw CaptureError("a Python number of an unknown kind");
  }
}

AtenArg argOf(const at::Scalar &number) {
  if (number.isBoolean())
    return {number.toBool()};
  if (number.isIntegral(false))
    return {number.toLong()};
  if (number.isComplex()) {
    auto value = number.toComplexDouble();
    return {std::complex<double>(value.real(), value.imag())};
  }
  return {number.toDouble()};
}

bool isNumberType(const c10::TypePtr &type) {
  if (auto optional = type->cast<c10::OptionalType>())
    return optional->getElementType()->kind() == c10::TypeKind::NumberType;
  return type->kind() == c10::TypeKind::NumberType;
}

c10::DispatchKeySet keysAboveTheKernel() {
  return c10::autograd_dispatch_keyset_with_ADInplaceOrView |
         c10::DispatchKeySet{c10::DispatchKey::Python, c10::DispatchKey::PythonTLSSnapshot};
}

ValueType tensorValue(const ProxyImpl::Shape &shape) { return ValueType::ofTensor(shape.type()); }

} // namespace

CapturedCall::CapturedCall(Recording &recording, const c10::OperatorHandle &op,
                           const OpTraits &traits, torch::jit::Stack &stack)
    : recording_(recording), op_(op), traits_(traits), stack_(stack),
      args_(stack.data() + stack.size() - traits.arity, traits.arity) {}

void CapturedCall::run() {
  recording_.noteOp();
  if (traits_.lifts) {
    liftConstant();
    return;
  }
  if (traits_.random)
    recording_.noteRandom();
  readArguments();
  noteWrites();
  if (recording_.isConditional())
    refuseHistory();
  if (traits_.readsNumber) {
    readNumber();
    return;
  }
  if (traits_.changesShape) {
    changeShape();
    return;
  }
  infer();
  if (recording_.layoutsAssumed())
    avoidStrides();
  if (traits_.slices && dynamic_ && !isSlicedByValues() && !isGivenForAnySize())
    assertSliceBounds();
  recordAndReturn();
}

// Calls `look` with each tensor among the arguments, and whether the operator writes it.
template <typename Look> void CapturedCall::forTensors(const Look &look) const {
  c10::ArrayRef<c10::Argument> declared = op_.schema().arguments();
  for (size_t i = 0; i < args_.size(); ++i) {
    bool writes = declared[i].alias_info() && declared[i].alias_info()->isWrite();
    if (args_[i].isTensor())
      look(args_[i].toTensor(), writes);
    else if (args_[i].isTensorList())
      for (const at::Tensor &tensor : args_[i].toTensorVector())
        look(tensor, writes);
  }
}

void CapturedCall::noteWrites() {
  if (!op_.schema().is_mutable())
    return;
  forTensors([&](const at::Tensor &tensor, bool writes) {
    if (!writes)
      return;
    recording_.noteWrite(!tensor.defined() || isMask(tensor));
    if (ProxyImpl *proxy = tensor.defined() ? ProxyImpl::of(tensor) : nullptr)
      recording_.refuseWrite(proxy->value());
    else
      recording_.noteOutsideWrite();
  });
}

// Autograd's history of a tensor that is changed in place would outlive the branch.
void CapturedCall::refuseHistory() {
  if (traits_.changesShape && !recording_.isOfScope(args_[0].toTensor()))
    recording_.refuseInScope("a tensor's shape is changed in place");
  bool trains = false, writesOutside = false;
  forTensors([&](const at::Tensor &tensor, bool writes) {
    trains = trains || (tensor.defined() && tensor.requires_grad());
    writesOutside = writesOutside || (writes && !recording_.isOfScope(tensor));
  });
  if (writesOutside && trains && c10::GradMode::is_enabled())
    recording_.refuseInScope("a tensor with gradients is changed in place");
}

//===- Arguments ---------------------------------------------------------------------------===//

void CapturedCall::readArguments() {
  call_.schema = traits_.schema;
  call_.args.reserve(args_.size());
  for (size_t i = 0; i < args_.size(); ++i) {
    readsSize_ = traits_.sizes[i];
    call_.args.push_back(readArgument(args_[i]));
  }
  if (traits_.deviceArgument >= 0 && args_[traits_.deviceArgument].isDevice())
    device_ = args_[traits_.deviceArgument].toDevice();
}

AtenArg CapturedCall::operand(ValueId value, const at::Tensor &tensor) {
  hasVersions_ = hasVersions_ && !tensor.is_inference();
  AtenArg arg = operand(value);
  if (hasVersions_)
    read_.back().second = static_cast<uint32_t>(tensor._version());
  return arg;
}

AtenArg CapturedCall::operand(ValueId value) {
  operands_.push_back(value);
  read_.emplace_back(value, 0);
  return {AtenArg::Operand{static_cast<uint32_t>(operands_.size() - 1)}};
}

AtenArg CapturedCall::readArgument(const c10::IValue &value) {
  if (value.isTensor())
    return readTensor(value.toTensor());
  if (value.isNone())
    return {AtenArg::None{}};
  if (value.isBool())
    return {value.toBool()};
  if (value.isInt())
    return {value.toInt()};
  if (value.isDouble())
    return {value.toDouble()};
  if (value.isSymInt()) {
    c10::SymInt number = value.toSymInt();
    if (auto plain = number.maybe_as_int())
      return {*plain};
    return readSymbol(number.toSymNode());
  }
  if (value.isSymFloat()) {
    c10::SymFloat number = value.toSymFloat();
    return number.is_symbolic() ? readSymbol(number.toSymNodeImpl())
                                : AtenArg{number.as_float_unchecked()};
  }
  if (value.isSymBool()) {
    c10::SymBool truth = value.toSymBool();
    if (auto plain = truth.maybe_as_bool())
      return {*plain};
    return readSymbol(truth.toSymNodeImpl());
  }
  if (value.isComplexDouble()) {
    auto number = value.toComplexDouble();
    return {std::complex<double>(number.real(), number.imag())};
  }
  if (value.isString())
    return {value.toStringRef()};
  if (value.isDevice())
    return {value.toDevice().str()};
  if (value.isList()) {
    AtenArg::List list;
    for (const c10::IValue &element : value.toListRef())
      list.push_back(readArgument(element));
    return {std::move(list)};
  }
  if (value.isGenerator())
    recording_.fail("random numbers are drawn from a generator of the program's own");
  recording_.fail(traits_.schema + " takes an argument that is neither a tensor nor a number");
}

AtenArg CapturedCall::readSymbol(const c10::SymNode &node) {
  auto *symbol = SymbolicScalar::of(node);
  if (!symbol)
    recording_.fail("a symbolic number of another tracer is used");
  if (readsSize_ && symbol->becomeSize())
    byValues_ = byValues_ || !symbol->isKnown();
  dynamic_ = dynamic_ || symbol->differsByWorld();
  return operand(symbol->value());
}

void CapturedCall::lookAtDevice(const at::Tensor &tensor) {
  // A tensor with dimensions decides: 0-dim CPU tensors mix with any device.
  if (!deviceKnown_) {
    device_ = tensor.device();
    deviceKnown_ = tensor.dim() > 0;
  }
}

AtenArg CapturedCall::readTensor(const at::Tensor &tensor) {
  if (!tensor.defined())
    return {AtenArg::None{}};
  if (ProxyImpl *proxy = ProxyImpl::of(tensor)) {
    if (proxy->recording().get() != &recording_)
      recording_.fail("a tensor of another captured function is used");
    if (proxy->value() == kNoValue && !recording_.isDry())
      recording_.fail("a value inside a gradient's computation is used outside of it");
    dynamic_ = dynamic_ || proxy->shape().dynamic;
    byValues_ = byValues_ || proxy->shape().byValues;
    lookAtDevice(tensor);
    return operand(proxy->value(), tensor);
  }
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number() && tensor.dim() == 0) {
    if (c10::SymNode number = symbolicNumberBeside(tensor))
      return readSymbol(number);
    return argOf(valueOfZeroDim(tensor));
  }
  lookAtDevice(tensor);
  return operand(recording_.isDry() ? kNoValue : recording_.outsideTensor(tensor), tensor);
}

//===- Inference ---------------------------------------------------------------------------===//

void CapturedCall::infer() {
  if (traits_.dropsOnes && dynamic_)
    keepDimensions();
  if (!inferByValues() && !inferByRule())
    inferByMetaKernel();
}

bool CapturedCall::inferByRule() { return traits_.rule && apply(traits_.rule, {{0, 0}}); }

bool CapturedCall::apply(ShapeRule rule, const Dim &byValues) {
  RuleCall first(args_, 0, byValues);
  if (!rule(first))
    return false;
  std::optional<RuleCall> second;
  if (dynamic_) {
    second.emplace(args_, 1, byValues);
    if (!rule(*second) || second->results.size() != first.results.size())
      return false;
  }
  size_t next = 0;
  for (int returned : traits_.returnedArgument) {
    Result result{Result::Kind::Argument, {}, returned, {}};
    if (returned < 0) {
      auto &extent = first.results.at(next);
      result.kind = extent ? Result::Kind::Tensor : Result::Kind::Absent;
      if (extent && second) {
        TORCH_CHECK(second->results[next], traits_.schema, ": a result is absent for other sizes");
        result.shapes.push_back(shapeOf(std::move(*extent), std::move(*second->results[next])));
      } else if (extent) {
        result.shapes.push_back(shapeOf(std::move(*extent), std::nullopt));
      }
      ++next;
    }
    results_.push_back(std::move(result));
  }
  return true;
}

ProxyImpl::Shape CapturedCall::shapeOf(Extent first, std::optional<Extent> second) const {
  ProxyImpl::Shape shape = second
                               ? ProxyImpl::Shape::of(std::move(first), std::move(*second), device_)
                               : ProxyImpl::Shape::fixed(std::move(first), device_);
  shape.byValues = byValues_;
  return shape;
}

at::Tensor CapturedCall::metaTensor(const at::Tensor &tensor, int world) const {
  if (!tensor.defined())
    return tensor;
  if (ProxyImpl *proxy = ProxyImpl::of(tensor))
    return traits_.changesShape ? proxy->shape().in(world).onMeta() : proxy->meta(world);
  return Extent::of(tensor).onMeta();
}

c10::IValue CapturedCall::metaArgument(const c10::IValue &value, int world, bool isNumber,
                                       bool isSize) const {
  if (value.isTensor())
    return metaTensor(value.toTensor(), world);
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor &tensor : value.toTensorVector())
      list.push_back(metaTensor(tensor, world));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    auto count = counts_.begin();
    for (const std::optional<at::Tensor> &tensor : value.toOptionalTensorVector())
      if (tensor && isMask(*tensor) && !counts_.empty()) {
        at::Tensor positions = Extent::contiguous({count++->world[world]}, at::kLong).onMeta();
        for (int64_t dim = 0; dim < tensor->dim(); ++dim)
          list.push_back(positions);
      } else {
        list.push_back(tensor ? std::optional(metaTensor(*tensor, world)) : std::nullopt);
      }
    return list;
  }
  if (value.isDevice())
    return c10::Device(c10::kMeta);
  if (value.isSymInt()) {
    auto *symbol = SymbolicScalar::of(value.toSymInt());
    if (symbol && !symbol->isKnown() && !isNumber && !isSize)
      return int64_t{0}; // any part has the same shape
    if (symbol && !symbol->isKnown() && isNumber)
      return int64_t{1}; // of a value the shape does not depend on
    auto number = sizeIn(value.toSymInt(), world);
    if (!number)
      number = decidedSize(value.toSymInt());
    if (!number)
      recording_.fail("a shape depends on a tensor's value");
    return *number;
  }
  if (value.isSymFloat()) // the length of a range follows from it
    return isNumber ? 1.0 : value.toSymFloat().guard_float(__FILE__, __LINE__);
  if (value.isSymBool())
    return true;
  if (value.isList())
    for (const c10::IValue &element : value.toListRef())
      if (element.isSymInt()) {
        c10::List<int64_t> list;
        for (const c10::IValue &size : value.toListRef())
          list.push_back(metaArgument(size, world, false, isSize).toInt());
        return list;
      }
  return value;
}

torch::jit::Stack CapturedCall::metaStack(int world) {
  bool isRange = op_.schema().name() == "aten::arange" || op_.schema().name() == "aten::range";
  torch::jit::Stack stack;
  stack.reserve(args_.size());
  for (size_t i = 0; i < args_.size(); ++i) {
    if (static_cast<int>(i) == traits_.deviceArgument)
      stack.emplace_back(c10::Device(c10::kMeta));
    else
      stack.push_back(metaArgument(args_[i], world,
                                   !isRange && isNumberType(op_.schema().arguments()[i].type()),
                                   traits_.sizes[i]));
  }
  return stack;
}

void CapturedCall::inferByMetaKernel() {
  Recording::Inference inference(recording_);
  c10::impl::ExcludeDispatchKeyGuard below(keysAboveTheKernel());
  std::optional<c10::InferenceMode> plainTensors;
  if (c10::InferenceMode::is_enabled())
    plainTensors.emplace(false);
  torch::jit::Stack first = metaStack(0), second;
  c10::ArrayRef<c10::Argument> declared = op_.schema().arguments();
  std::vector<at::Tensor> written;
  for (size_t i = 0; i < declared.size(); ++i)
    if (declared[i].alias_info() && declared[i].alias_info()->isWrite() && first[i].isTensor())
      written.push_back(first[i].toTensor());
  auto call = [&](torch::jit::Stack &stack) {
    if (traits_.metaKernel)
      traits_.metaKernel(op_, stack);
    else
      op_.callBoxed(stack);
  };
  try {
    call(first);
  } catch (const c10::NotImplementedError &) {
    recording_.fail("the shapes that " + traits_.schema + " returns are not known before it runs");
  }
  if (dynamic_) {
    second = metaStack(1);
    call(second);
  }
  if (!traits_.changesShape)
    for (const at::Tensor &tensor : written) {
      bool same = false;
      for (const c10::IValue &arg : args_)
        if (arg.isTensor() && arg.toTensor().defined()) {
          ProxyImpl *proxy = ProxyImpl::of(arg.toTensor());
          Extent extent = proxy ? proxy->shape().in(0) : Extent::of(arg.toTensor());
          same = same || extent.sizes == tensor.sizes();
        }
      if (!same)
        recording_.fail(traits_.schema + " resizes a tensor that it writes");
    }
  readMetaResults(first, second);
}

void CapturedCall::readMetaResults(const torch::jit::Stack &first,
                                   const torch::jit::Stack &second) {
  auto shapeOf = [&](const at::Tensor &tensor, const at::Tensor &other) {
    if (tensor.layout() != at::kStrided || tensor.is_quantized() || tensor.is_nested())
      recording_.fail(traits_.schema + " returns a tensor that is not dense");
    Extent extent = Extent::of(tensor);
    extent.wrappedNumber = false;
    return this->shapeOf(std::move(extent),
                         dynamic_ ? std::optional(Extent::of(other)) : std::nullopt);
  };
  for (size_t i = 0; i < traits_.returnedArgument.size(); ++i) {
    const c10::IValue &value = first.at(i), &other = dynamic_ ? second.at(i) : first.at(i);
    Result result{Result::Kind::Tensor, {}, traits_.returnedArgument[i], {}};
    if (result.argument >= 0) {
      result.kind = Result::Kind::Argument;
    } else if (value.isTensor() && value.toTensor().defined()) {
      result.shapes.push_back(shapeOf(value.toTensor(), other.toTensor()));
    } else if (value.isTensor() || value.isNone()) {
      result.kind = Result::Kind::Absent;
    } else if (value.isTensorList()) {
      result.kind = Result::Kind::List;
      auto tensors = value.toTensorVector(), others = other.toTensorVector();
      if (tensors.size() != others.size()) {
        noteNeededSizes();
        recording_.fail(traits_.schema + " returns another number of tensors for other sizes");
      }
      for (size_t k = 0; k < tensors.size(); ++k)
        result.shapes.push_back(shapeOf(tensors[k], others[k]));
    } else if (value.isInt() || value.isDouble() || value.isBool()) {
      result.kind = Result::Kind::Number;
      result.number[0] = value;
      result.number[1] = other;
    } else {
      recording_.fail(traits_.schema + " returns something that is neither a tensor nor a number");
    }
    results_.push_back(std::move(result));
  }
}

// How many tensors there are follows from a size along the dimension that the op goes by, or from
// some size.
void CapturedCall::noteNeededSizes() {
  ProxyImpl *proxy = args_[0].isTensor() ? ProxyImpl::of(args_[0].toTensor()) : nullptr;
  if (!proxy)
    return;
  const ProxyImpl::Shape &shape = proxy->shape();
  int64_t dim = -1;
  for (size_t i = 1; i < args_.size(); ++i)
    if (op_.schema().arguments()[i].name() == "dim" && args_[i].isInt())
      dim = c10::maybe_wrap_dim(args_[i].toInt(), shape.in(0).dim());
  for (int64_t d = 0; d < shape.in(0).dim(); ++d)
    if (dim < 0 || d == dim)
      recording_.noteNeededSize(shape.in(0).sizes[d], shape.in(1).sizes[d]);
}

//===- Results -----------------------------------------------------------------------------===//

bool CapturedCall::makesMask() const {
  return hasVersions_ && !traits_.views && !traits_.random && results_.size() == 1 &&
         results_[0].kind == Result::Kind::Tensor && results_[0].shapes[0].in(0).dtype == at::kBool;
}

void CapturedCall::recordAndReturn() {
  std::vector<ValueType> types;
  size_t count = 0;
  for (const Result &result : results_) {
    switch (result.kind) {
    case Result::Kind::Tensor: types.push_back(tensorValue(result.shapes[0])); break;
    case Result::Kind::Absent: types.push_back(ValueType::scalar(ValueType::Kind::None)); break;
    case Result::Kind::List: {
      ValueType list = ValueType::scalar(ValueType::Kind::TensorList);
      for (const ProxyImpl::Shape &shape : result.shapes)
        list.tensors.push_back(shape.type());
      types.push_back(std::move(list));
      count += result.shapes.size();
      continue;
    }
    case Result::Kind::Argument: {
      const at::Tensor &tensor = args_[result.argument].toTensor();
      ProxyImpl *proxy = ProxyImpl::of(tensor);
      types.push_back(tensorValue(
          proxy ? proxy->shape() : ProxyImpl::Shape::fixed(Extent::of(tensor), tensor.device())));
      break;
    }
    case Result::Kind::Number:
      types.push_back(ValueType::scalar(result.number[0].isInt()    ? ValueType::Kind::Int
                                        : result.number[0].isBool() ? ValueType::Kind::Bool
                                                                    : ValueType::Kind::Float));
    }
    ++count;
  }
  std::vector<ValueId> values;
  if (recording_.isDry()) {
    values.assign(count, kNoValue);
  } else {
    GraphRecorder &graph = recording_.graph();
    graph.setLocation(recording_.sourceLine());
    values = graph.aten(call_, operands_, types, !c10::GradMode::is_enabled());
    if (makesMask())
      recording_.noteMask(call_, read_, values[0]);
    if (traits_.views)
      for (ValueId operand : operands_)
        recording_.noteViews(operand, values);
  }
  for (size_t i = 0, next = 0; i < results_.size(); ++i) {
    if (results_[i].kind == Result::Kind::Absent)
      recording_.noteAbsent(values[next]);
    if (dynamic_ && !recording_.isDry() && results_[i].kind != Result::Kind::Argument)
      for (size_t k = 0; k < results_[i].shapes.size(); ++k)
        assertSizes(results_[i].shapes[k], values[next + k]);
    next += results_[i].kind == Result::Kind::List ? results_[i].shapes.size() : 1;
  }
  torch::jit::Stack returned;
  const ValueId *next = values.data();
  for (size_t i = 0; i < results_.size(); ++i) {
    const Result &result = results_[i];
    if (result.kind == Result::Kind::Argument)
      returned.push_back(args_[result.argument]);
    else
      returned.push_back(wrap(result, op_.schema().returns()[i], next));
    next += result.kind == Result::Kind::List ? result.shapes.size() : 1;
  }
  torch::jit::drop(stack_, traits_.arity);
  for (c10::IValue &value : returned)
    stack_.push_back(std::move(value));
}

c10::IValue CapturedCall::wrap(const Result &result, const c10::Argument &declared,
                               const ValueId *values) {
  auto recording = recording_.shared_from_this();
  switch (result.kind) {
  case Result::Kind::Tensor:
    return ProxyImpl::make(recording, *values, result.shapes[0], result.isGiven);
  case Result::Kind::List: {
    c10::List<at::Tensor> list;
    for (size_t k = 0; k < result.shapes.size(); ++k)
      list.push_back(ProxyImpl::make(recording, values[k], result.shapes[k]));
    return list;
  }
  case Result::Kind::Number: {
    const c10::IValue &number = result.number[0];
    bool takesSymbols = declared.type()->kind() == c10::TypeKind::SymIntType;
    if (number.isInt() && result.number[1].isInt() && number.toInt() != result.number[1].toInt()) {
      // Of the declared ints, only a SymInt can say that it depends on the sizes.
      if (!takesSymbols && declared.real_type()->kind() != c10::TypeKind::SymIntType)
        recording_.fail(traits_.schema + " returns a number that depends on the dynamic sizes");
      if (byValues_)
        recording_.fail(traits_.schema + " returns a number that values decide");
      return c10::SymInt(
          SymbolicScalar::ofInt(recording, *values, number.toInt(), result.number[1].toInt()));
    }
    if (!number.isInt())
      recording_.fail("Python needs a number that " + traits_.schema + " computes");
    return number;
  }
  case Result::Kind::Absent:
  case Result::Kind::Argument: break;
  }
  return at::Tensor();
}

void CapturedCall::readNumber() {
  at::ScalarType dtype = args_[0].toTensor().scalar_type();
  if (c10::isComplexType(dtype))
    recording_.fail("a complex number is read from a tensor");
  auto kind = c10::isFloatingType(dtype) ? SymbolicScalar::Kind::Float
              : dtype == at::kBool       ? SymbolicScalar::Kind::Bool
                                         : SymbolicScalar::Kind::Int;
  ValueId value = kNoValue;
  if (!recording_.isDry()) {
    GraphRecorder &graph = recording_.graph();
    graph.setLocation(recording_.sourceLine());
    ValueType type = typeOf(kind);
    value = graph.aten(call_, operands_, {&type, 1}, !c10::GradMode::is_enabled())[0];
  }
  c10::SymNode node = SymbolicScalar::ofValue(recording_.shared_from_this(), kind, value);
  at::Scalar number =
      kind == SymbolicScalar::Kind::Float ? at::Scalar(c10::SymFloat(nodeForPython(node)))
      : kind == SymbolicScalar::Kind::Int ? at::Scalar(c10::SymInt(node))
                                          : at::Scalar(c10::SymBool(nodeForPython(node)));
  torch::jit::drop(stack_, 1);
  stack_.emplace_back(std::move(number));
}

void CapturedCall::liftConstant() {
  at::Tensor tensor = args_[0].toTensor();
  if (ProxyImpl::of(tensor)) {
    return; // made by ops of the graph: it is fresh already, and stays on the stack
  }
  auto recording = recording_.shared_from_this();
  lookAtDevice(tensor);
  ProxyImpl::Shape shape = ProxyImpl::Shape::fixed(Extent::of(tensor), tensor.device());
  shape.world[0].wrappedNumber = false;
  ValueId value = kNoValue;
  if (!recording_.isDry()) {
    ValueType type = tensorValue(shape);
    GraphRecorder &graph = recording_.graph();
    graph.setLocation(recording_.sourceLine());
    bool simple = tensor.numel() == kLargestConstant && tensor.is_cpu() &&
                  tensor.scalar_type() != at::kComplexFloat && tensor.scalar_type() != at::kHalf &&
                  tensor.scalar_type() != at::kBFloat16;
    if (simple) {
      c10::impl::ExcludeDispatchKeyGuard below(keysAboveTheKernel());
      AtenArg::List sizes;
      for (int64_t size : tensor.sizes())
        sizes.push_back({size});
      AtenCall full{"aten::full",
                    {{sizes},
                     argOf(tensor.item()),
                     {static_cast<int64_t>(tensor.scalar_type())},
                     {AtenArg::None{}},
                     {AtenArg::None{}},
                     {AtenArg::None{}}},
                    {}};
      value = graph.aten(full, {}, {&type, 1}, !c10::GradMode::is_enabled())[0];
    } else {
      // The contents stay an input that nobody else can reach; the program gets a copy.
      ValueId contents = recording_.outsideTensor(tensor);
      AtenCall clone{"aten::clone", {{AtenArg::Operand{0}}, {AtenArg::None{}}}, {}};
      value = graph.aten(clone, {&contents, 1}, {&type, 1}, !c10::GradMode::is_enabled())[0];
    }
  }
  torch::jit::drop(stack_, 1);
  stack_.emplace_back(ProxyImpl::make(recording, value, std::move(shape)));
}

// A size that the op computes is taken for another one where the two agree in both worlds: half of
// an even size and the rest of it do. Where the op hands a size on, there is nothing to check.
void CapturedCall::assertSizes(const ProxyImpl::Shape &shape, ValueId result) {
  if (!shape.dynamic)
    return;
  TensorType type = shape.type();
  for (size_t d = 0; d < type.dims.size(); ++d) {
    const Dim &size = type.dims[d];
    auto known =
        size.isDynamic() ? recording_.knownSize(size.world[0], size.world[1]) : std::nullopt;
    if (!known || hasOperandOfSize(size, static_cast<int64_t>(d)))
      continue;
    GraphRecorder &graph = recording_.graph();
    ValueId sides[] = {graph.dim(result, static_cast<int64_t>(d)),
                       SymbolicScalar::of(*known)->value()};
    graph.assertTrue(graph.scalar(ScalarOp::Eq, sides),
                     "a size of the result of " + traits_.schema + " is what another one is");
  }
}

bool CapturedCall::hasOperandOfSize(const Dim &size, int64_t dim) const {
  auto hasSize = [&](const at::Tensor &tensor) {
    ProxyImpl *proxy = tensor.defined() ? ProxyImpl::of(tensor) : nullptr;
    if (!proxy)
      return false;
    std::vector<Dim> dims = proxy->shape().type().dims;
    if (traits_.slices) // the other dimensions stay
      return dim < static_cast<int64_t>(dims.size()) && dims[dim] == size;
    return std::find(dims.begin(), dims.end(), size) != dims.end();
  };
  auto isSize = [&](const c10::IValue &value) {
    return !traits_.slices && value.isSymInt() && sizeIn(value.toSymInt(), 0) == size.world[0] &&
           sizeIn(value.toSymInt(), 1) == size.world[1];
  };
  return std::any_of(args_.begin(), args_.end(), [&](const c10::IValue &arg) {
    if (arg.isTensor())
      return hasSize(arg.toTensor());
    if (arg.isTensorList()) {
      auto tensors = arg.toTensorVector();
      return std::any_of(tensors.begin(), tensors.end(), hasSize);
    }
    if (!arg.isList())
      return isSize(arg);
    auto list = arg.toListRef();
    return std::any_of(list.begin(), list.end(), isSize);
  });
}

// unsqueeze_ and its kin: the tensor becomes a view of what it was, under the same Python object.
void CapturedCall::changeShape() {
  at::Tensor self = args_[0].toTensor();
  ProxyImpl *proxy = ProxyImpl::of(self);
  if (!proxy)
    recording_.fail(traits_.schema + " changes the shape of a tensor from outside");
  if (traits_.shapeTwin.empty())
    recording_.fail(traits_.schema + " changes the shape of a tensor in place");
  torch::jit::Stack first = metaStack(0), second;
  {
    Recording::Inference inference(recording_);
    c10::impl::ExcludeDispatchKeyGuard below(keysAboveTheKernel());
    op_.callBoxed(first);
    if (dynamic_) {
      second = metaStack(1);
      op_.callBoxed(second);
    }
  }
  ProxyImpl::Shape shape =
      shapeOf(Extent::of(first[0].toTensor()),
              dynamic_ ? std::optional(Extent::of(second[0].toTensor())) : std::nullopt);
  ValueId value = kNoValue;
  if (!recording_.isDry()) {
    call_.schema = traits_.shapeTwin;
    ValueType type = tensorValue(shape);
    GraphRecorder &graph = recording_.graph();
    graph.setLocation(recording_.sourceLine());
    value = graph.aten(call_, operands_, {&type, 1}, !c10::GradMode::is_enabled())[0];
    recording_.noteViews(proxy->value(), {value});
  }
  proxy->become(value, std::move(shape));
  torch::jit::drop(stack_, traits_.arity);
  stack_.emplace_back(std::move(self));
}

// The strides that this op goes by are guesses (Recording::assumeLayouts).
void CapturedCall::avoidStrides() {
  if (call_.schema == "aten::view" || call_.schema == "aten::_unsafe_view") {
    call_.schema = "aten::reshape";
  } else if (call_.schema == "aten::_reshape_alias") {
    call_.schema = "aten::reshape";
    call_.args.resize(2);
  } else if (call_.schema == "aten::view_as_complex" && !recording_.isDry()) {
    ValueType type = recording_.graph().typeOf(operands_[0]);
    AtenCall contiguous{"aten::contiguous", {{AtenArg::Operand{0}}, {int64_t{0}}}, {}};
    operands_[0] = recording_.graph().aten(contiguous, {operands_.data(), 1}, {&type, 1},
                                           !c10::GradMode::is_enabled())[0];
  } else if (call_.schema.starts_with("aten::as_strided")) {
    recording_.fail("the derivative depends on how a tensor lies in memory");
  }
}

} // namespace bifront
