#include "passes/autodiff_flow.h"

#include "ir/aten_op.h"
#include "ir/op_table.h"
#include "passes/region_values.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace bifront {

bool carriesGradient(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<FloatType, ComplexType>(tensor.getElementType());
}

// Draws that do not depend on the tensor they fill, and samples, which have no derivative.
static bool drawsFreely(StringRef schema) {
  static const llvm::StringSet<> draws = {
      "bernoulli",   "uniform",     "normal",    "normal_functional", "random",
      "exponential", "geometric",   "cauchy",    "log_normal",        "poisson",
      "binomial",    "multinomial", "rand_like", "randn_like",        "randint_like"};
  StringRef name = schema.split('.').first;
  name.consume_front("aten::");
  name.consume_back("_");
  return opRow(schema).kind == OpKind::Random && draws.contains(name);
}

// Everything else without a derivative (comparisons, zeros_like, ...) is known to the derivative
// source.
bool cutsHistory(Operation &op) {
  auto aten = dyn_cast<bf::AtenOp>(op);
  if (!aten)
    return false;
  StringRef schema = aten.getSchema();
  return aten.getNoGrad() || schema == "aten::detach" || schema == "aten::detach_" ||
         schema == "aten::detach_copy" || opRow(schema).kind == OpKind::Factory ||
         drawsFreely(schema);
}

static bool isSelected(const Selection &selection, unsigned number) {
  return number < selection.size() && selection[number];
}

static Block &bodyOf(func::FuncOp function) { return function.getBody().front(); }

//===- Functions ---------------------------------------------------------------------------===//

func::FuncOp FunctionFlows::calleeOf(func::CallOp call) const {
  auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
  return !callee || callee.isDeclaration() ? func::FuncOp() : callee;
}

Selection FunctionFlows::dependent(func::FuncOp function, const Selection &arguments) {
  return ask({function, arguments, {}});
}

Selection FunctionFlows::reached(func::FuncOp function, const Selection &arguments,
                                 const Selection &results) {
  return ask({function, arguments, results});
}

// Answers grow from nothing until those of functions that call each other agree.
const Selection &FunctionFlows::ask(const Question &question) {
  auto [known, isNew] = answers.try_emplace(question);
  learned |= isNew;
  if (!isNew || isAnswering)
    return known->second;
  isAnswering = true;
  do {
    learned = false;
    for (auto &[open, soFar] : answers) {
      Selection now = answer(open);
      learned |= now != soFar;
      soFar = std::move(now);
    }
  } while (learned);
  isAnswering = false;
  return known->second;
}

Selection FunctionFlows::answer(const Question &question) {
  Block &body = bodyOf(func::FuncOp(question.function));
  ValueRange returned = body.getTerminator()->getOperands();
  GradientFlow flow(*this);
  for (BlockArgument argument : body.getArguments())
    if (isSelected(question.arguments, argument.getArgNumber()))
      flow.depend(argument);
  flow.spread(body.begin(), body.end());
  Selection found;
  if (question.results.empty()) {
    for (Value result : returned)
      found.push_back(flow.depends(result));
    return found;
  }
  for (auto [number, result] : llvm::enumerate(returned))
    if (isSelected(question.results, number))
      flow.reach(result);
  flow.sweep(body.begin(), body.end());
  for (Value argument : body.getArguments())
    found.push_back(flow.flowsThrough(argument));
  return found;
}

//===- What depends ------------------------------------------------------------------------===//

bool GradientFlow::add(llvm::DenseSet<Value> &set, Value value) {
  return carriesGradient(value.getType()) && set.insert(value).second;
}

bool GradientFlow::spreadTo(Value to, Value from) { return depends(from) && add(dependent, to); }

void GradientFlow::depend(ValueRange values) {
  for (Value value : values)
    add(dependent, value);
}

void GradientFlow::spread(Block::iterator from, Block::iterator to) {
  for (Operation &op : llvm::make_range(from, to))
    spread(op);
}

bool GradientFlow::spread(Block &block) {
  bool changed = false;
  for (Operation &op : block)
    changed |= spread(op);
  return changed;
}

bool GradientFlow::spread(Operation &op) {
  bool changed = false;
  if (isa<scf::IfOp, scf::WhileOp>(op)) {
    // What a terminator hands on it spreads itself: around a loop until nothing is new.
    for (OpOperand &operand : op.getOpOperands())
      for (Value to : receiversOf(operand))
        changed |= spreadTo(to, operand.get());
    bool again = true;
    while (again) {
      again = false;
      for (Region &region : op.getRegions())
        if (!region.empty())
          again |= spread(region.front());
      changed |= again;
      again &= isa<scf::WhileOp>(op);
    }
    return changed;
  }
  if (isa<scf::YieldOp, scf::ConditionOp>(op)) {
    for (OpOperand &operand : op.getOpOperands())
      for (Value to : receiversOf(operand))
        changed |= spreadTo(to, operand.get());
    return changed;
  }
  if (!isDifferentiable(op))
    return false;
  Selection results(op.getNumResults(), true);
  if (auto call = dyn_cast<func::CallOp>(op))
    if (func::FuncOp callee = functions.calleeOf(call))
      results = functions.dependent(callee, dependentOperands(call.getOperands()));
  // Running statistics have no history.
  if (auto aten = dyn_cast<bf::AtenOp>(op); aten && !opRow(aten.getSchema()).hiddenWrites.empty())
    results.resize(aten.getNumOwnResults());
  for (auto [number, result] : llvm::enumerate(op.getResults()))
    changed |= isSelected(results, number) && add(dependent, result);
  return changed;
}

bool GradientFlow::isDifferentiable(Operation &op) const {
  return !cutsHistory(op) &&
         llvm::any_of(op.getOperands(), [&](Value value) { return depends(value); });
}

Selection GradientFlow::dependentOperands(ValueRange operands) const {
  Selection found;
  for (Value operand : operands)
    found.push_back(depends(operand));
  return found;
}

//===- What is reached ---------------------------------------------------------------------===//

void GradientFlow::reach(ValueRange values) {
  for (Value value : values)
    if (depends(value))
      reached.insert(value);
}

void GradientFlow::sweep(Block::iterator from, Block::iterator to) {
  for (Operation &op : llvm::reverse(llvm::make_range(from, to)))
    sweep(op);
}

bool GradientFlow::sweep(Block &block) {
  bool changed = false;
  for (Operation &op : llvm::reverse(block))
    changed |= sweep(op);
  return changed;
}

bool GradientFlow::sweep(Operation &op) {
  bool changed = false;
  if (isa<scf::IfOp, scf::WhileOp>(op)) {
    bool again = true;
    while (again) {
      again = false;
      for (Region &region : op.getRegions())
        if (!region.empty())
          again |= sweep(region.front());
      changed |= again;
      again &= isa<scf::WhileOp>(op);
    }
  }
  receivers(op, [&](Value value) { changed |= depends(value) && add(reached, value); });
  return changed;
}

void GradientFlow::receivers(Operation &op, Visit visit) const {
  if (isa<scf::YieldOp, scf::ConditionOp, scf::WhileOp, scf::IfOp>(op)) {
    for (OpOperand &operand : op.getOpOperands())
      if (llvm::any_of(receiversOf(operand), [&](Value to) { return flowsThrough(to); }))
        visit(operand.get());
    return;
  }
  bool hasGradient =
      llvm::any_of(op.getResults(), [&](Value result) { return flowsThrough(result); });
  if (!hasGradient || !isDifferentiable(op))
    return;
  Selection operands(op.getNumOperands(), true);
  if (auto call = dyn_cast<func::CallOp>(op))
    if (func::FuncOp callee = functions.calleeOf(call)) {
      Selection seeded;
      for (Value result : call.getResults())
        seeded.push_back(flowsThrough(result));
      operands = functions.reached(callee, dependentOperands(call.getOperands()), seeded);
    }
  for (auto [number, operand] : llvm::enumerate(op.getOperands()))
    if (isSelected(operands, number))
      visit(operand);
}

llvm::SetVector<Value> GradientFlow::reachedFromWithin(Operation *op) const {
  llvm::SetVector<Value> found;
  op->walk([&](Operation *inner) {
    if (inner == op)
      return;
    receivers(*inner, [&](Value value) {
      bool isOutside = !op->isAncestor(value.getParentRegion()->getParentOp());
      if (isOutside && flowsThrough(value))
        found.insert(value);
    });
  });
  return found;
}

SmallVector<Operation *> waysTo(Operation *end) {
  SmallVector<Operation *> ways{end};
  while (isa<scf::IfOp>(ways.back()->getParentOp()))
    ways.push_back(ways.back()->getParentOp());
  return ways;
}

GradientFlow flowTo(Operation *end, ValueRange wrt, ValueRange outputs, FunctionFlows &functions) {
  GradientFlow flow(functions);
  flow.depend(wrt);
  SmallVector<Operation *> ends;
  for (Operation *at = end; !isa<func::FuncOp, ModuleOp>(at); at = at->getParentOp())
    ends.push_back(at);
  for (Operation *at : llvm::reverse(ends)) {
    Block *block = at->getBlock();
    auto function = dyn_cast<func::FuncOp>(block->getParentOp());
    if (!function || function.isPrivate())
      flow.depend(block->getArguments());
    flow.spread(block->begin(), at->getIterator());
  }
  flow.reach(outputs);
  for (Operation *at : waysTo(end))
    flow.sweep(at->getBlock()->begin(), at->getIterator());
  return flow;
}

} // namespace bifront
