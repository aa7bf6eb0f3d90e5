#include "reference/interpreter.h"

#include "ir/aten_op.h"
#include "ir/bf_dialect.h"
#include "ir/object_ops.h"
#include "reference/element_ops.h"
#include "runtime/aten_bridge.h"
#include "runtime/below_autograd.h"
#include "runtime/object_reads.h"
#include "runtime/python_calls.h"
#include "runtime/stack_room.h"
#include "runtime/tape.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

#include <ATen/ATen.h>
#include <ATen/core/List.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>
#include <map>
#include <optional>

namespace bifront {
namespace {

using c10::IValue;

std::string textOf(mlir::Operation &op) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  op.getName().print(stream);
  stream << " at ";
  op.getLoc().print(stream);
  return text;
}

bool isTensorLike(mlir::Type type) {
  return mlir::isa<mlir::RankedTensorType, mlir::NoneType>(type);
}

// A value as the operand of an element op: a number is a 0-dimensional tensor of its type.
at::Tensor asElements(const IValue &value, mlir::Type type) {
  if (!value.isTensor())
    return at::scalar_tensor(value.toScalar(), at::device(at::kCPU).dtype(elementDtype(type)));
  const at::Tensor &tensor = value.toTensor();
  // Bodies see the bits of a uint8 as an i8.
  return tensor.scalar_type() == at::kByte ? tensor.view(at::kChar) : tensor;
}

IValue asNumber(const at::Tensor &value) {
  at::Scalar number = value.item();
  if (value.scalar_type() == at::kBool)
    return number.toBool();
  if (value.is_complex())
    return number.toComplexDouble();
  return value.is_floating_point() ? IValue(number.toDouble()) : IValue(number.toLong());
}

// Behind which ops of a block nobody asks for values of the block any more.
class LastUses {
public:
  explicit LastUses(mlir::Block &block) {
    for (mlir::Value argument : block.getArguments())
      add(argument, nullptr);
    for (mlir::Operation &op : block)
      for (mlir::Value result : op.getResults())
        add(result, &op);
  }
  llvm::ArrayRef<mlir::Value> of(mlir::Operation &op) const {
    auto found = spent.find(&op);
    return found == spent.end() ? llvm::ArrayRef<mlir::Value>() : found->second;
  }

private:
  void add(mlir::Value value, mlir::Operation *last) {
    for (mlir::Operation *user : value.getUsers()) {
      mlir::Operation *here = value.getParentBlock()->findAncestorOpInBlock(*user);
      if (!last || last->isBeforeInBlock(here))
        last = here;
    }
    if (last)
      spent[last].push_back(value);
  }

  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::Value, 2>> spent;
};

class Interpreter {
public:
  Interpreter(const InterpretOptions &options, bool aboveAutograd)
      : options(options), aboveAutograd(aboveAutograd) {}

  using Values = llvm::DenseMap<mlir::Value, IValue>;

  std::vector<IValue> run(mlir::func::FuncOp function, std::span<const IValue> inputs);
  void runOp(mlir::Operation &op, Values &values);
  void store();

private:
  // Runs the ops up to the terminator, and gives its operands.
  std::vector<IValue> run(mlir::Block &block, std::span<const IValue> arguments, Values &values);
  std::vector<IValue> branch(mlir::scf::IfOp op, bool condition, Values &values);
  std::vector<IValue> loop(mlir::scf::WhileOp op, std::vector<IValue> carried, Values &values);
  struct Pending {
    at::Tensor target;
    std::string attribute; // empty: the contents
    at::Tensor value;
  };

  std::vector<IValue> operandsOf(mlir::Operation &op, const Values &values) const;
  std::vector<IValue> execute(mlir::Operation &op, std::vector<IValue> operands, Values &values);
  std::vector<IValue> aten(bf::AtenOp op, std::span<const IValue> operands);
  std::vector<IValue> pointwise(bf::PointwiseOp op, std::span<const IValue> operands);
  std::vector<IValue> gradients(bf::GradOp op, std::span<const IValue> operands);
  std::vector<IValue> reached(bf::ReachedOp op, std::span<const IValue> operands);
  std::vector<IValue> call(mlir::func::CallOp op, std::span<const IValue> operands);
  IValue readObject(mlir::Operation *op, std::span<const IValue> operands);
  IValue callPython(bf::PycallOp op, std::span<const IValue> operands);
  std::vector<IValue> pop(bf::PopOp op, std::span<const IValue> operands);
  std::vector<IValue> popRows(bf::PopRowsOp op, c10::impl::GenericList tape);
  void print(bf::PrintOp op, std::span<const IValue> operands) const;
  void check(mlir::Type type, const IValue &value, mlir::Operation &op, bool isNew);

  const InterpretOptions &options;
  bool aboveAutograd;
  std::map<std::pair<int64_t, int64_t>, int64_t> sizes; // of dynamic dimensions, by their worlds
  std::map<mlir::Block *, LastUses> lastUses;
  std::vector<Pending> pending;
  struct Held {
    std::vector<ObjectAddress> objects;
    ~Held() {
      if (!objects.empty())
        objectReads().release(objects);
    }
  } held; // that the run has met
};

// Whether what gives the value may give another size each time, of one type: what a list that grows
// has become.
bool givesNewSizes(mlir::Operation &op) {
  auto call = mlir::dyn_cast<bf::AtenOp>(op);
  return op.getNumRegions() > 0 || mlir::isa<mlir::func::CallOp, bf::PopOp, bf::PopRowsOp>(op) ||
         (call && call.getSchema().starts_with("bifront::"));
}

// `isNew`: its dynamic sizes are what they are from here on.
void Interpreter::check(mlir::Type type, const IValue &value, mlir::Operation &op, bool isNew) {
  auto fail = [&](const std::string &what) { throw std::runtime_error(textOf(op) + ": " + what); };
  if (mlir::isa<bf::TapeType>(type))
    return value.isList() ? void() : fail("no tape");
  auto ranked = mlir::dyn_cast<mlir::RankedTensorType>(type);
  if (!ranked)
    return isTensorLike(type) == value.isTensor() || value.isNone() ? void()
                                                                    : fail("not of its type");
  if (!value.isTensor() || !value.toTensor().defined())
    fail("a tensor that is not there");
  const at::Tensor &tensor = value.toTensor();
  TensorType expected = valueTypeOf(type).tensor;
  if (tensor.scalar_type() != static_cast<at::ScalarType>(expected.dtype))
    fail(std::string("the dtype is ") + c10::toString(tensor.scalar_type()) + ", not " +
         c10::toString(static_cast<at::ScalarType>(expected.dtype)));
  if (static_cast<size_t>(tensor.dim()) != expected.dims.size())
    fail("it has " + std::to_string(tensor.dim()) + " dimensions, not " +
         std::to_string(expected.dims.size()));
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
    const Dim &size = expected.dims[dim];
    bool unknown = size.world[0] < 0; // a `?` of hand-written IR
    if (isNew && !unknown && size.isDynamic())
      sizes.insert_or_assign({size.world[0], size.world[1]}, tensor.size(dim));
    int64_t wanted =
        unknown ? tensor.size(dim)
        : !size.isDynamic()
            ? size.world[0]
            : sizes.try_emplace({size.world[0], size.world[1]}, tensor.size(dim)).first->second;
    if (tensor.size(dim) != wanted)
      fail("dimension " + std::to_string(dim) + " is " + std::to_string(tensor.size(dim)) +
           ", not " + std::to_string(wanted));
  }
}

std::vector<IValue> Interpreter::operandsOf(mlir::Operation &op, const Values &values) const {
  std::vector<IValue> operands;
  for (mlir::Value operand : op.getOperands())
    operands.push_back(values.lookup(operand));
  return operands;
}

std::vector<IValue> Interpreter::run(mlir::func::FuncOp function, std::span<const IValue> inputs) {
  if (function.isDeclaration() || !function.getBody().hasOneBlock())
    throw std::runtime_error("the reference interpreter runs functions of one block");
  mlir::Block &body = function.getBody().front();
  if (inputs.size() != body.getNumArguments())
    throw std::runtime_error("the function takes " + std::to_string(body.getNumArguments()) +
                             " inputs, not " + std::to_string(inputs.size()));
  Values values;
  return run(body, inputs, values);
}

std::vector<IValue> Interpreter::run(mlir::Block &block, std::span<const IValue> arguments,
                                     Values &values) {
  // What values decide in a block may be another size each time that it runs.
  struct Sizes {
    std::map<std::pair<int64_t, int64_t>, int64_t> &now, before = now;
    ~Sizes() { now = std::move(before); }
  } restoreSizes{sizes};
  bool isOutermost = sizes.empty();
  for (auto [argument, value] : llvm::zip(block.getArguments(), arguments)) {
    if (options.checkTypes)
      check(argument.getType(), value, *block.getParentOp(), /*isNew=*/!isOutermost);
    values[argument] = value;
  }
  const LastUses *uses =
      options.keepsValues ? nullptr : &lastUses.try_emplace(&block, block).first->second;
  for (mlir::Operation &op : block.without_terminator()) {
    runOp(op, values);
    if (uses)
      for (mlir::Value spent : uses->of(op))
        values.erase(spent);
  }
  return operandsOf(*block.getTerminator(), values);
}

void Interpreter::runOp(mlir::Operation &op, Values &values) {
  std::vector<IValue> results = execute(op, operandsOf(op, values), values);
  if (results.size() != op.getNumResults())
    throw std::runtime_error(textOf(op) + ": gave " + std::to_string(results.size()) +
                             " results, not " + std::to_string(op.getNumResults()));
  for (auto [result, value] : llvm::zip(op.getResults(), results)) {
    if (options.checkTypes)
      check(result.getType(), value, op, givesNewSizes(op));
    values[result] = std::move(value);
  }
}

std::vector<IValue> Interpreter::branch(mlir::scf::IfOp op, bool condition, Values &values) {
  mlir::Region &taken = condition ? op.getThenRegion() : op.getElseRegion();
  return taken.empty() ? std::vector<IValue>() : run(taken.front(), {}, values);
}

std::vector<IValue> Interpreter::loop(mlir::scf::WhileOp op, std::vector<IValue> carried,
                                      Values &values) {
  for (;;) {
    std::vector<IValue> condition = run(*op.getBeforeBody(), carried, values);
    bool goesOn = condition.front().toBool();
    condition.erase(condition.begin());
    if (!goesOn)
      return condition;
    carried = run(*op.getAfterBody(), condition, values);
  }
}

std::vector<IValue> Interpreter::execute(mlir::Operation &op, std::vector<IValue> in,
                                         Values &values) {
  return llvm::TypeSwitch<mlir::Operation *, std::vector<IValue>>(&op)
      .Case([&](bf::AtenOp aten) { return this->aten(aten, in); })
      .Case([&](bf::PointwiseOp group) { return pointwise(group, in); })
      .Case([&](bf::GradOp grad) { return gradients(grad, in); })
      .Case([&](bf::ReachedOp reached) { return this->reached(reached, in); })
      .Case([&](mlir::func::CallOp call) { return this->call(call, in); })
      .Case([&](mlir::scf::IfOp op) { return branch(op, in[0].toBool(), values); })
      .Case([&](mlir::scf::WhileOp op) { return loop(op, std::move(in), values); })
      .Case([&](mlir::arith::SelectOp) {
        return std::vector<IValue>{in[0].toBool() ? in[1] : in[2]};
      })
      .Case([&](bf::TapeOp) {
        return std::vector<IValue>{c10::impl::GenericList(c10::AnyType::get())};
      })
      .Case([&](bf::PushOp) -> std::vector<IValue> {
        c10::impl::GenericList tape = in[0].toList();
        for (size_t i = 1; i < in.size(); ++i)
          tape.push_back(in[i]);
        return {};
      })
      .Case([&](bf::PopOp op) { return pop(op, in); })
      .Case([&](bf::PopRowsOp op) { return popRows(op, in[0].toList()); })
      .Case([&](bf::DimOp dim) {
        return std::vector<IValue>{in[0].toTensor().size(static_cast<int64_t>(dim.getIndex()))};
      })
      .Case([&](bf::SizeOp) { return std::move(in); })
      .Case([&](bf::AssertOp assertion) -> std::vector<IValue> {
        if (!in[0].toBool())
          throw AssertionFailed(assertion.getMessage().str());
        return {};
      })
      .Case([&](bf::StoreOp) -> std::vector<IValue> {
        pending.push_back({in[1].toTensor(), "", in[0].toTensor()});
        return {};
      })
      .Case([&](bf::StoreAttrOp store) -> std::vector<IValue> {
        if (store.getName() != "grad")
          throw std::runtime_error("no attribute of a tensor but grad can be stored");
        pending.push_back({in[0].toTensor(), store.getName().str(),
                           in.size() > 1 && in[1].isTensor() ? in[1].toTensor() : at::Tensor()});
        return {};
      })
      .Case([&](bf::LoadAttrOp load) {
        if (load.getName() != "grad")
          throw std::runtime_error("no attribute of a tensor but grad can be loaded");
        return std::vector<IValue>{in[0].toTensor().grad()};
      })
      .Case([&](bf::IsSameOp) { return std::vector<IValue>{in[0].toInt() == in[1].toInt()}; })
      .Case<bf::ReadAttrOp, bf::ReadItemOp, bf::HasItemOp, bf::LengthOp, bf::UnboxOp,
            bf::IsMethodOp, bf::IsClassOp, bf::IsEqualOp>(
          [&](auto read) { return std::vector<IValue>{readObject(read, in)}; })
      .Case([&](bf::PycallOp call) { return std::vector<IValue>{callPython(call, in)}; })
      .Case([&](bf::PrintOp print) -> std::vector<IValue> {
        this->print(print, in);
        return {};
      })
      .Default([&](mlir::Operation *other) {
        std::vector<at::Tensor> elements;
        for (auto [value, operand] : llvm::zip(in, other->getOperands()))
          elements.push_back(asElements(value, operand.getType()));
        return std::vector<IValue>{asNumber(evaluateElementOp(*other, elements))};
      });
}

std::vector<IValue> Interpreter::aten(bf::AtenOp op, std::span<const IValue> operands) {
  BoundCall bound(callOf(op));
  std::vector<IValue> results;
  if (aboveAutograd) {
    at::AutoGradMode mode(!op.getNoGrad());
    BoundCall::Scratch scratch;
    bound.invoke(operands, {}, scratch, results);
  } else {
    bound.run(operands, results);
  }
  return results;
}

// Evaluates the body once, on whole tensors.
std::vector<IValue> Interpreter::pointwise(bf::PointwiseOp op, std::span<const IValue> operands) {
  std::optional<BelowAutograd> guard;
  if (!aboveAutograd)
    guard.emplace();
  llvm::DenseMap<mlir::Value, at::Tensor> elements;
  std::vector<int64_t> shape;
  for (auto [argument, value] : llvm::zip(op.getBodyBlock()->getArguments(), operands)) {
    elements[argument] = asElements(value, argument.getType());
    if (value.isTensor())
      shape = at::infer_size(shape, value.toTensor().sizes());
  }
  std::vector<IValue> results;
  for (mlir::Operation &inner : *op.getBodyBlock()) {
    std::vector<at::Tensor> in;
    for (mlir::Value operand : inner.getOperands())
      in.push_back(elements.lookup(operand));
    if (!mlir::isa<bf::YieldOp>(inner)) {
      elements[inner.getResult(0)] = evaluateElementOp(inner, in);
      continue;
    }
    for (auto [value, result] : llvm::zip(in, op.getResults())) {
      auto type = mlir::cast<mlir::RankedTensorType>(result.getType());
      // Known sizes are the type's: operands may all be smaller.
      if (type.hasStaticShape())
        shape.assign(type.getShape().begin(), type.getShape().end());
      if (type.getElementType().isUnsignedInteger(8))
        value = value.view(at::kByte);
      // A fresh tensor, also where the body yields what came in.
      results.push_back(value.expand(shape).clone());
    }
  }
  return results;
}

std::vector<IValue> Interpreter::gradients(bf::GradOp op, std::span<const IValue> operands) {
  auto take = [&](size_t count) {
    std::vector<at::Tensor> taken;
    for (const IValue &value : operands.first(count))
      taken.push_back(value.toTensor());
    operands = operands.subspan(count);
    return taken;
  };
  std::vector<at::Tensor> outputs = take(op.getOutputs().size()),
                          seeds = take(op.getSeeds().size());
  std::vector<at::Tensor> wrt = take(op.getWrt().size());
  if (seeds.empty())
    for (const at::Tensor &output : outputs)
      seeds.push_back(at::ones_like(output));
  bool createsGraph = op.getCreateGraph() || op == options.differentiable;
  at::AutoGradMode mode(true);
  std::optional<c10::impl::ForceDispatchKeyGuard> keys;
  if (options.gradientKeys)
    keys.emplace(*options.gradientKeys);
  std::vector<at::Tensor> found = torch::autograd::grad(outputs, wrt, seeds, /*retain_graph=*/true,
                                                        createsGraph, /*allow_unused=*/true);
  std::vector<IValue> results;
  results.reserve(found.size());
  for (size_t i = 0; i < found.size(); ++i)
    results.push_back(found[i].defined() ? found[i] : at::zeros_like(wrt[i]));
  return results;
}

std::vector<IValue> Interpreter::reached(bf::ReachedOp op, std::span<const IValue> operands) {
  std::vector<at::Tensor> outputs, wrt;
  for (const IValue &value : operands.first(op.getOutputs().size()))
    if (value.toTensor().requires_grad())
      outputs.push_back(value.toTensor());
  for (const IValue &value : operands.subspan(op.getOutputs().size()))
    wrt.push_back(value.toTensor());
  std::vector<IValue> results(wrt.size(), false);
  std::vector<at::Tensor> seeds;
  for (const at::Tensor &output : outputs)
    seeds.push_back(at::ones_like(output));
  if (outputs.empty())
    return results;
  at::AutoGradMode mode(true);
  std::vector<at::Tensor> found =
      torch::autograd::grad(outputs, wrt, seeds, /*retain_graph=*/true, /*create_graph=*/false,
                            /*allow_unused=*/true);
  for (size_t i = 0; i < found.size(); ++i)
    results[i] = found[i].defined();
  return results;
}

std::vector<IValue> Interpreter::call(mlir::func::CallOp op, std::span<const IValue> operands) {
  auto callee =
      mlir::SymbolTable::lookupNearestSymbolFrom<mlir::func::FuncOp>(op, op.getCalleeAttr());
  if (!callee)
    throw std::runtime_error("no function " + op.getCallee().str());
  checkStackRoom();
  return run(callee, operands);
}

IValue Interpreter::readObject(mlir::Operation *op, std::span<const IValue> operands) {
  ObjectRead read = *objectReadOf(op);
  std::vector<ObjectAddress> addresses;
  for (const IValue &operand : operands)
    addresses.push_back(operand.toInt());
  ObjectResult result;
  if (!objectReads().read(read, objectReads().intern(read.name), addresses.data(), result,
                          held.objects))
    throw AssertionFailed("an object is not what it was");
  switch (read.type.kind) {
  case ValueType::Kind::Tensor: return result.tensor;
  case ValueType::Kind::Float: return result.scalar.f;
  case ValueType::Kind::Bool: return result.scalar.i != 0;
  default: return result.scalar.i;
  }
}

IValue Interpreter::callPython(bf::PycallOp op, std::span<const IValue> operands) {
  std::vector<IValue> given(operands.begin() + 1, operands.end());
  for (IValue &operand : given)
    if (operand.isTensor())
      operand = operand.toTensor().clone();
  return pythonCalls()(pythonCallOf(op), operands[0].toInt(), given, held.objects);
}

std::vector<IValue> Interpreter::pop(bf::PopOp op, std::span<const IValue> operands) {
  c10::impl::GenericList tape = operands[0].toList();
  if (tape.size() < op.getNumResults())
    throw std::runtime_error(textOf(*op) + ": the tape is at its end");
  std::vector<IValue> results(tape.end() - op.getNumResults(), tape.end());
  tape.resize(tape.size() - op.getNumResults());
  return results;
}

std::vector<IValue> Interpreter::popRows(bf::PopRowsOp op, c10::impl::GenericList tape) {
  std::vector<IValue> results;
  for (mlir::Value rows : op.getRows()) {
    std::vector<at::Tensor> parts;
    for (size_t i = results.size(); i < tape.size(); i += op.getNumResults())
      parts.push_back(tape.get(i).toTensor());
    results.emplace_back(rowsOf(parts, valueTypeOf(rows.getType()).tensor));
  }
  tape.clear();
  return results;
}

void Interpreter::print(bf::PrintOp op, std::span<const IValue> operands) const {
  llvm::StringRef rest = op.getFormat();
  for (const IValue &value : operands) {
    auto [before, after] = rest.split("{}");
    std::cout << before.str() << value;
    rest = after;
  }
  std::cout << rest.str() << std::endl;
}

void Interpreter::store() {
  BelowAutograd guard;
  // Values are what they were before any store, also where they share memory with a target.
  for (Pending &store : pending)
    if (store.value.defined() && store.attribute.empty())
      store.value = store.value.clone();
  for (Pending &store : pending) {
    if (!store.attribute.empty()) {
      store.target.mutable_grad() = store.value.defined() ? store.value.detach() : at::Tensor();
      continue;
    }
    store.target.copy_(store.value);
    if (!store.target.is_inference())
      store.target.unsafeGetTensorImpl()->bump_version();
  }
}

} // namespace

std::vector<IValue> interpret(mlir::func::FuncOp function, std::span<const IValue> inputs,
                              const InterpretOptions &options) {
  bool differentiates = false;
  function->getParentOfType<mlir::ModuleOp>().walk(
      [&](mlir::Operation *op) { differentiates |= mlir::isa<bf::GradOp, bf::ReachedOp>(op); });
  Interpreter interpreter(options, options.autograd || differentiates);
  std::vector<IValue> results = interpreter.run(function, inputs);
  interpreter.store();
  return results;
}

std::vector<IValue> interpret(mlir::ModuleOp module, std::span<const IValue> inputs,
                              const InterpretOptions &options) {
  auto functions = module.getOps<mlir::func::FuncOp>();
  if (functions.empty())
    throw std::runtime_error("the module has no function");
  return interpret(*functions.begin(), inputs, options);
}

//===- Beside a recorder -------------------------------------------------------------------===//

class RunAlong::State {
public:
  // In the middle of recording sizes are as they are.
  InterpretOptions options{.autograd = true, .checkTypes = false, .keepsValues = true};
  Interpreter interpreter{options, /*aboveAutograd=*/true};
  Interpreter::Values values;
  mlir::Operation *last = nullptr; // that has run

  void run(mlir::Operation &op, Interpreter::Values &into) {
    if (!mlir::isa<bf::StoreOp, bf::StoreAttrOp, bf::DecideOp, bf::PrintOp>(op))
      interpreter.runOp(op, into);
  }
};

static IValue found(const Interpreter::Values &values, mlir::Value value) {
  auto at = values.find(value);
  if (at == values.end())
    throw std::runtime_error("a value that has not been run");
  return at->second;
}

RunAlong::RunAlong() : state_(std::make_unique<State>()) {}
RunAlong::~RunAlong() = default;

void RunAlong::advance(mlir::Block &block, std::span<const IValue> inputs) {
  for (auto [argument, input] : llvm::zip(block.getArguments(), inputs))
    state_->values.try_emplace(argument, input);
  auto next = state_->last ? std::next(state_->last->getIterator()) : block.begin();
  for (; next != block.end(); ++next) {
    next->walk(
        [](bf::PycallOp) { throw std::runtime_error("an opaque call would be made ahead"); });
    state_->run(*next, state_->values);
    state_->last = &*next;
  }
}

IValue RunAlong::valueOf(mlir::Value value) const { return found(state_->values, value); }

IValue RunAlong::valueIn(std::span<const OpenBlock> blocks, mlir::Value value) const {
  Interpreter::Values values = state_->values; // the blocks may be let go with all that is in them
  for (const OpenBlock &block : blocks) {
    for (auto [argument, first] : llvm::zip_equal(block.ops->getArguments(), block.first))
      values[argument] = found(values, first);
    for (mlir::Operation &op : *block.ops)
      state_->run(op, values);
  }
  return found(values, value);
}

bool RunAlong::computesOnly(mlir::Block &block) {
  return !block
              .walk([](mlir::Operation *op) {
                auto call = mlir::dyn_cast<bf::AtenOp>(op);
                bool writes = call && !writtenOperands(call).empty();
                return writes || mlir::isa<bf::PycallOp, mlir::func::CallOp>(op)
                           ? mlir::WalkResult::interrupt()
                           : mlir::WalkResult::advance();
              })
              .wasInterrupted();
}

} // namespace bifront
