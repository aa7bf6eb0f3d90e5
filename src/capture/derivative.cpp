#include "capture/derivative.h"

#include "capture/capture_error.h"
#include "capture/dispatch_mode.h"
#include "capture/proxy.h"
#include "capture/python_values.h"
#include "capture/symbolic.h"
#include "ir/graph_recorder.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

namespace bifront {
namespace {

using namespace torch::autograd;

class DerivativeRecording final : public Recording {
  // Derivatives have to do with tensors and numbers.
  ValueId heldObject(PyObject *) override { return kNoValue; }
  PyObject *objectAt(ValueId) const override { return nullptr; }

public:
  DerivativeRecording(GraphRecorder &graph, const DerivativeRequest &request)
      : Recording(graph), request_(request) {}
  ValueId outsideTensor(const at::Tensor &) override {
    fail("the derivative uses a tensor from outside");
  }
  const std::vector<ValueType> *expectedResults() const override {
    return forward ? &request_.results : nullptr;
  }
  bool isOfDerivative() const override { return true; }
  // What a mask selects of a gradient: as much as the values had that were put there.
  Dim freeSize() override {
    const auto *indices = request_.call.schema.starts_with("aten::index_put")
                              ? std::get_if<AtenArg::List>(&request_.call.args[1].value)
                              : nullptr;
    auto isGiven = [](const AtenArg &arg) {
      return std::holds_alternative<AtenArg::Operand>(arg.value);
    };
    if (indices && std::count_if(indices->begin(), indices->end(), isGiven) == 1) {
      auto given = std::find_if(indices->begin(), indices->end(), isGiven);
      size_t mask = std::get<AtenArg::Operand>(given->value).index;
      // From the end, where shapes that are broadcast meet.
      size_t behind = rankOf(0) - rankOf(mask) - (given - indices->begin());
      const std::vector<Dim> &values = request_.operands[mask + 1].tensor.dims;
      if (behind < values.size() && values[values.size() - 1 - behind] != Dim::fixed(1))
        return values[values.size() - 1 - behind];
    }
    fail("the derivative has a size that values decide");
  }

  bool forward = false; // the call itself runs

private:
  size_t rankOf(size_t operand) const { return request_.operands[operand].tensor.dims.size(); }

  const DerivativeRequest &request_;
};

c10::OperatorHandle operatorOf(const std::string &schema) {
  size_t dot = schema.find('.', schema.find("::"));
  std::string overload = dot == std::string::npos ? "" : schema.substr(dot + 1);
  return c10::Dispatcher::singleton().findSchemaOrThrow(schema.substr(0, dot).c_str(),
                                                        overload.c_str());
}

// Turns the plain call back into arguments for the dispatcher.
class CallArguments {
public:
  explicit CallArguments(const std::vector<c10::IValue> &operands) : operands_(operands) {}

  torch::jit::Stack of(const c10::OperatorHandle &op, const AtenCall &call) {
    c10::ArrayRef<c10::Argument> declared = op.schema().arguments();
    torch::jit::Stack stack;
    for (size_t i = 0; i < declared.size(); ++i) {
      if (i < call.args.size())
        stack.push_back(argument(call.args[i], declared[i].real_type(), declared[i].N()));
      else if (declared[i].default_value())
        stack.push_back(*declared[i].default_value());
      else
        throw CaptureError(call.schema + " needs a value for " + declared[i].name());
    }
    return stack;
  }

private:
  c10::IValue argument(const AtenArg &arg, c10::TypePtr type, std::optional<int32_t> count) {
    bool optional = false;
    while (auto inner = type->cast<c10::OptionalType>()) {
      type = inner->getElementType();
      optional = true;
    }
    if (std::holds_alternative<AtenArg::None>(arg.value))
      return !optional && type->kind() == c10::TypeKind::TensorType ? c10::IValue(at::Tensor())
                                                                    : c10::IValue();
    if (auto list = type->cast<c10::ListType>()) {
      AtenArg::List repeated;
      const auto *items = std::get_if<AtenArg::List>(&arg.value);
      if (!items) {
        repeated.assign(count.value_or(1), arg);
        items = &repeated;
      }
      c10::TypePtr element = list->getElementType();
      c10::impl::GenericList made(element);
      for (const AtenArg &item : *items)
        made.push_back(argument(item, element, std::nullopt));
      return made;
    }
    bool takesTensor = type->kind() == c10::TypeKind::TensorType;
    if (auto *operand = std::get_if<AtenArg::Operand>(&arg.value)) {
      const c10::IValue &value = operands_.at(operand->index);
      return takesTensor && !value.isTensor() ? c10::IValue(tensorOfNumber(value)) : value;
    }
    c10::IValue constant =
        std::visit([](const auto &value) { return constantOf(value); }, arg.value);
    if (takesTensor)
      return tensorOfNumber(constant);
    if (type->kind() == c10::TypeKind::DeviceObjType)
      return c10::Device(constant.toStringRef());
    if (type->kind() == c10::TypeKind::FloatType && constant.isInt())
      return static_cast<double>(constant.toInt());
    if (type->kind() == c10::TypeKind::BoolType && constant.isInt())
      return constant.toInt() != 0;
    return constant;
  }

  template <typename T> static c10::IValue constantOf(const T &value) {
    if constexpr (std::is_same_v<T, std::complex<double>>)
      return c10::complex<double>(value);
    else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, int64_t> ||
                       std::is_same_v<T, double> || std::is_same_v<T, std::string>)
      return value;
    else
      return {};
  }

  // As Python passes a number where a tensor is expected.
  static at::Tensor tensorOfNumber(const c10::IValue &number) {
    if (number.isSymInt() || number.isSymFloat() || number.isSymBool())
      return tensorBesideNumber(number);
    at::Scalar scalar = number.toScalar();
    at::Tensor tensor = at::detail::scalar_tensor_static(scalar, scalar.type(), at::kCPU);
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    return tensor;
  }

  const std::vector<c10::IValue> &operands_;
};

class Derivation {
public:
  Derivation(mlir::MLIRContext &context, const DerivativeRequest &request)
      : request_(request), graph_(context, "derivative"),
        recording_(std::make_shared<DerivativeRecording>(graph_, request)) {}
  ~Derivation() { recording_->close(); }

  Derivative run() {
    if (!request_.call.written.empty())
      throw CaptureError(request_.call.schema + " writes its arguments");
    pybind11::gil_scoped_acquire gil;
    CaptureMode mode(recording_);
    c10::InferenceMode withHistory(false);
    at::AutoGradMode gradMode(true);
    makeOperands();
    callForward();
    makeSeeds();
    variable_list gradients = differentiate();
    return finish(gradients);
  }

private:
  void makeOperands() {
    for (size_t i = 0; i < request_.operands.size(); ++i) {
      const ValueType &type = request_.operands[i];
      ValueId value = graph_.addInput(type, "", false);
      switch (type.kind) {
      case ValueType::Kind::Tensor: {
        at::Tensor operand =
            ProxyImpl::make(recording_, value, ProxyImpl::Shape::of(type.tensor), true);
        if (request_.differentiable[i])
          operand.set_requires_grad(true);
        operands_.emplace_back(std::move(operand));
        break;
      }
      case ValueType::Kind::Int:
        if (const auto &sizes = request_.ints.size() > i ? request_.ints[i] : std::nullopt)
          operands_.emplace_back(c10::SymInt(
              SymbolicScalar::ofInt(recording_, value, sizes->world[0], sizes->world[1])));
        else
          operands_.emplace_back(
              c10::SymInt(SymbolicScalar::ofValue(recording_, SymbolicScalar::Kind::Int, value)));
        break;
      case ValueType::Kind::Float:
        operands_.emplace_back(
            c10::SymFloat(SymbolicScalar::ofValue(recording_, SymbolicScalar::Kind::Float, value)));
        break;
      case ValueType::Kind::Bool:
        operands_.emplace_back(
            c10::SymBool(SymbolicScalar::ofValue(recording_, SymbolicScalar::Kind::Bool, value)));
        break;
      default: throw CaptureError(request_.call.schema + " takes an operand of an unknown kind");
      }
    }
  }

  void callForward() {
    // The copy that functionalisation makes of `copy_` has no derivative of its own.
    bool isCopy = request_.call.schema == "aten::copy";
    c10::OperatorHandle op = operatorOf(isCopy ? "aten::copy_" : request_.call.schema);
    torch::jit::Stack stack = CallArguments(operands_).of(op, request_.call);
    if (isCopy)
      stack[0] = at::empty_like(stack[0].toTensor());
    recording_->forward = true;
    op.callBoxed(stack);
    recording_->forward = false;
    for (const c10::IValue &value : stack) {
      if (value.isTensorList())
        for (const at::Tensor &tensor : value.toTensorVector())
          results_.emplace_back(tensor);
      else
        results_.push_back(value);
    }
    if (results_.size() != request_.seeded.size())
      throw CaptureError(request_.call.schema + " returns another number of values");
    recording_->assumeLayouts();
  }

  void makeSeeds() {
    for (size_t i = 0; i < results_.size(); ++i) {
      if (!request_.seeded[i])
        continue;
      at::Tensor result = results_[i].toTensor();
      ProxyImpl *proxy = ProxyImpl::of(result);
      if (!proxy)
        throw CaptureError(request_.call.schema + " has no result to differentiate");
      TensorType type = proxy->shape().type();
      ValueId value = graph_.addInput(ValueType::ofTensor(type), "", false);
      at::Tensor seed = ProxyImpl::make(recording_, value, ProxyImpl::Shape::of(type), true);
      if (!result.requires_grad())
        continue;
      roots_.push_back(impl::gradient_edge(result));
      seeds_.push_back(std::move(seed));
    }
  }

  variable_list differentiate() {
    edge_list edges;
    for (size_t i = 0; i < operands_.size(); ++i)
      if (request_.differentiable[i] && operands_[i].isTensor()) {
        edges.push_back(impl::gradient_edge(operands_[i].toTensor()));
        wanted_.push_back(i);
      }
    if (roots_.empty() || edges.empty())
      return variable_list(edges.size());
    pybind11::gil_scoped_release withoutGil;
    return Engine::get_default_engine().execute(roots_, seeds_, /*keep_graph=*/false,
                                                /*create_graph=*/false, /*accumulate_grad=*/false,
                                                edges);
  }

  Derivative finish(const variable_list &gradients) {
    Derivative derivative;
    std::vector<ValueId> returns;
    for (const c10::IValue &result : results_)
      returns.push_back(valueOf(result));
    for (size_t k = 0; k < gradients.size(); ++k)
      if (gradients[k].defined()) {
        returns.push_back(valueOf(gradients[k]));
        derivative.gradientOf.push_back(wanted_[k]);
      }
    if (recording_->failure())
      throw CaptureError(*recording_->failure());
    mlir::OwningOpRef<mlir::ModuleOp> module = graph_.finish(returns);
    derivative.module = std::shared_ptr<mlir::ModuleOp>(new mlir::ModuleOp(module.release()),
                                                        [](mlir::ModuleOp *owned) {
                                                          owned->erase();
                                                          delete owned;
                                                        });
    return derivative;
  }

  ValueId valueOf(const c10::IValue &value) {
    if (value.isTensor() && !value.toTensor().defined() && recording_->absent() != kNoValue)
      return recording_->absent();
    if (value.isTensor())
      if (ProxyImpl *proxy = ProxyImpl::of(value.toTensor()); proxy && proxy->value() != kNoValue)
        return proxy->value();
    if (value.isSymInt())
      if (auto *symbol = SymbolicScalar::of(value.toSymInt()))
        return symbol->value();
    throw CaptureError(request_.call.schema + " returns a value that is not in the graph");
  }

  const DerivativeRequest &request_;
  GraphRecorder graph_;
  std::shared_ptr<DerivativeRecording> recording_;
  std::vector<c10::IValue> operands_, results_;
  edge_list roots_;
  variable_list seeds_;
  std::vector<uint32_t> wanted_;
};

} // namespace

Derivative TorchDerivatives::derive(mlir::MLIRContext &context, const DerivativeRequest &request) {
  try {
    return Derivation(context, request).run();
  } catch (const c10::Error &error) {
    throw CaptureError(error.what_without_backtrace());
  }
}

} // namespace bifront
