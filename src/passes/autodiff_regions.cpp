// The reverse sweep through branches, loops and functions.
#include "passes/autodiff_sweep.h"

#include "passes/count_loops.h"
#include "passes/separate_results.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace bifront {

static LogicalResult checkType(Operation *op, Value gradient, Type expected) {
  if (gradient.getType() == expected)
    return success();
  return op->emitError("a gradient is ")
         << gradient.getType() << " where " << expected << " is expected";
}

static LogicalResult checkTypes(Operation *op, ValueRange gradients, ArrayRef<Type> expected) {
  for (auto [gradient, type] : llvm::zip_equal(gradients, expected))
    if (failed(checkType(op, gradient, type)))
      return failure();
  return success();
}

LogicalResult ReverseSweep::differentiateRegions(Operation &op) {
  if (shared.recordsGraph)
    return op.emitError("a gradient that can be differentiated again flows through `")
           << op.getName() << "`";
  // One tape for each outermost op: it dies with the backward pass of that op.
  Tape through = tape;
  if (!forward) {
    OpBuilder ahead(&op);
    through.forward = through.backward =
        bf::TapeOp::create(ahead, op.getLoc(), bf::TapeType::get(op.getContext()));
  }
  LogicalResult done = success();
  if (auto branch = dyn_cast<scf::IfOp>(op))
    done = differentiateIf(branch, through);
  else if (auto loop = dyn_cast<scf::WhileOp>(op))
    done = differentiateWhile(loop, through);
  else
    done = differentiateFunction(cast<func::CallOp>(op), through);
  if (!forward && through.forward.use_empty())
    through.forward.getDefiningOp()->erase();
  return done;
}

//===- Branches ----------------------------------------------------------------------------===//

// Sums of gradients of what the branches read go through, so that the branch that adds nothing
// hands on what there is.
LogicalResult ReverseSweep::differentiateIf(scf::IfOp op, Tape through) {
  SmallVector<Value> read = flow.reachedFromWithin(op).takeVector();
  if (read.empty())
    return success();
  SmallVector<Type> types(ValueRange(read).getTypes());
  // What goes on to derivatives of others, which eager takes only where there is a gradient.
  SmallVector<Value> computed =
      llvm::filter_to_vector(read, [&](Value value) { return goesOn(value); });
  SmallVector<Type> all = types;
  all.append(computed.size(), builder.getI1Type());
  auto made = scf::IfOp::create(builder, op.getLoc(), all, valueOf(op.getCondition()),
                                /*addThenBlock=*/true, /*addElseBlock=*/true);
  for (auto [from, to] : llvm::zip(op->getRegions(), made->getRegions())) {
    Block &side = from.front(), &backwardSide = to.front();
    ReverseSweep inner(shared, flow, side, backwardSide, this, through);
    for (Value value : read)
      if (Value sum = gradientOf(value))
        inner.setGradient(value, sum, presenceOf(value));
    Operation *end = side.getTerminator();
    for (auto [yielded, result] : llvm::zip(end->getOperands(), op.getResults()))
      if (Value gradient = gradientOf(result); gradient && flow.flowsThrough(yielded))
        inner.accumulate(yielded, gradient, op.getLoc(), presenceOf(result));
    if (failed(inner.run(end->getPrevNode())))
      return failure();
    SmallVector<Value> sums;
    for (Value value : read)
      sums.push_back(inner.gradientOrZero(value));
    if (failed(checkTypes(op, sums, types)))
      return failure();
    OpBuilder last = OpBuilder::atBlockEnd(&backwardSide);
    for (Value value : computed)
      sums.push_back(inner.isThere(value, last));
    scf::YieldOp::create(last, op.getLoc(), sums);
    inner.tapeValues();
  }
  for (auto [value, sum] : llvm::zip(read, made.getResults()))
    setGradient(value, sum);
  for (auto [value, isThere] : llvm::zip(computed, made.getResults().drop_front(read.size())))
    setGradient(value, gradientOf(value), {isThere, /*elseZero=*/true});
  return success();
}

//===- Loops -------------------------------------------------------------------------------===//

namespace {

// Of a carried value's gradient: `areThere` says it of the `optional` ones.
Presence presenceAmong(ArrayRef<unsigned> optional, ValueRange areThere, unsigned number,
                       bool elseZero) {
  auto found = llvm::find(optional, number);
  if (found == optional.end())
    return {};
  return {areThere[found - optional.begin()], elseZero};
}

// What a loop hands on, and from where to where.
struct LoopValues {
  explicit LoopValues(scf::WhileOp loop, const GradientFlow &flow)
      : numbers(carriedNumbers(loop)), read(flow.reachedFromWithin(loop).takeVector()) {
    for (BlockArgument argument : loop.getBeforeArguments())
      if (flow.flowsThrough(argument) && llvm::is_contained(numbers, argument.getArgNumber()))
        carried.push_back(argument.getArgNumber());
  }
  SmallVector<std::optional<unsigned>> numbers; // of the carried values, per result
  SmallVector<unsigned> carried;                // those that a gradient goes through
  SmallVector<Value> read;                      // from outside
};

} // namespace

Value ReverseSweep::isThere(Value value, OpBuilder &at) {
  Value known = presenceOf(value).isThere;
  return gradientOf(value) && known
             ? known
             : arith::ConstantIntOp::create(at, value.getLoc(), gradientOf(value) ? 1 : 0, 1);
}

// One iteration backwards: from the gradients of what it yields to those of what it got.
LogicalResult ReverseSweep::differentiateIteration(scf::WhileOp op, Block &block,
                                                   ArrayRef<unsigned> optional, Tape through) {
  LoopValues values(op, flow);
  Location loc = op.getLoc();
  ReverseSweep inner(shared, flow, *op.getAfterBody(), block, this, through);
  auto areThere = block.getArguments().take_back(optional.size());
  auto gradients = block.getArguments().drop_front().drop_back(optional.size());
  for (auto [value, sum] : llvm::zip_equal(values.read, gradients.take_back(values.read.size())))
    inner.setGradient(value, sum);
  scf::YieldOp yield = op.getYieldOp();
  for (auto [number, gradient] : llvm::zip(values.carried, gradients))
    if (Value yielded = yield->getOperand(number); flow.flowsThrough(yielded))
      inner.accumulate(yielded, gradient, loc,
                       presenceAmong(optional, areThere, number, /*elseZero=*/false));
  if (failed(inner.run(yield->getPrevNode())))
    return failure();

  // What the iteration got is a carried value, or one from outside.
  DenseMap<unsigned, Value> firstOf;
  for (auto [argument, number, handedOn] :
       llvm::zip_equal(op.getAfterArguments(), values.numbers, op.getConditionOp().getArgs())) {
    Value gradient = inner.gradientOf(argument);
    if (!number && gradient && flow.flowsThrough(handedOn))
      inner.accumulate(handedOn, gradient, loc, inner.presenceOf(argument));
    if (!number || !llvm::is_contained(values.carried, *number))
      continue;
    if (Value &sum = firstOf[*number]; !sum || !inner.gradientOf(sum))
      sum = argument;
    else if (gradient)
      inner.accumulate(sum, gradient, loc, inner.presenceOf(argument));
  }
  OpBuilder last = OpBuilder::atBlockEnd(&block);
  Value one = arith::ConstantIntOp::create(last, loc, 1, 64);
  SmallVector<Value> next = {arith::SubIOp::create(last, loc, block.getArgument(0), one)};
  for (unsigned number : values.carried)
    next.push_back(inner.gradientOrZero(firstOf.lookup(number)));
  for (Value value : values.read)
    next.push_back(inner.gradientOrZero(value));
  for (unsigned number : optional)
    next.push_back(inner.isThere(firstOf.lookup(number), last));
  if (failed(checkTypes(op, next, SmallVector<Type>(block.getArgumentTypes()))))
    return failure();
  last.setInsertionPointToEnd(&block);
  scf::YieldOp::create(last, loc, next);
  inner.tapeValues();
  return success();
}

// As many iterations backwards as there were forwards.
LogicalResult ReverseSweep::differentiateWhile(scf::WhileOp op, Tape through) {
  LoopValues values(op, flow);
  if (values.carried.empty() && values.read.empty())
    return success();
  Location loc = op.getLoc();
  // In the end each result is a carried value, or one from outside.
  DenseMap<unsigned, Value> resultOf;
  for (auto [result, number, handedOn] :
       llvm::zip_equal(op.getResults(), values.numbers, op.getConditionOp().getArgs())) {
    Value gradient = gradientOf(result);
    if (!number && gradient && flow.flowsThrough(handedOn))
      accumulate(handedOn, gradient, loc, presenceOf(result));
    if (!number || !llvm::is_contained(values.carried, *number))
      continue;
    if (Value &sum = resultOf[*number]; !sum || !gradientOf(sum))
      sum = result;
    else if (gradient)
      accumulate(sum, gradient, loc, presenceOf(result));
  }
  SmallVector<unsigned> optional = llvm::filter_to_vector(values.carried, [&](unsigned number) {
    return presenceOf(resultOf.lookup(number)).isThere != nullptr;
  });
  SmallVector<Value> inits = {valueOf(iterationsOf(op))};
  for (unsigned number : values.carried)
    inits.push_back(gradientOrZero(resultOf.lookup(number)));
  for (Value value : values.read)
    inits.push_back(gradientOrZero(value));
  SmallVector<Type> types = {builder.getI64Type()};
  for (unsigned number : values.carried)
    types.push_back(op.getBeforeArguments()[number].getType());
  llvm::append_range(types, ValueRange(values.read).getTypes());
  for (unsigned number : optional)
    inits.push_back(presenceOf(resultOf.lookup(number)).isThere);
  types.append(optional.size(), builder.getI1Type());
  if (failed(checkTypes(op, inits, types)))
    return failure();

  auto made = scf::WhileOp::create(builder, loc, types, inits);
  SmallVector<Location> locations(types.size(), loc);
  OpBuilder inside(op.getContext());
  Block *before = inside.createBlock(&made.getBefore(), {}, types, locations);
  Value zero = arith::ConstantIntOp::create(inside, loc, 0, 64);
  Value more =
      arith::CmpIOp::create(inside, loc, arith::CmpIPredicate::sgt, before->getArgument(0), zero);
  scf::ConditionOp::create(inside, loc, more, before->getArguments());
  Block *after = inside.createBlock(&made.getAfter(), {}, types, locations);
  if (failed(differentiateIteration(op, *after, optional, through)))
    return failure();

  auto areThere = made.getResults().take_back(optional.size());
  auto results = made.getResults().drop_front().drop_back(optional.size());
  for (auto [value, sum] : llvm::zip_equal(values.read, results.take_back(values.read.size())))
    setGradient(value, sum);
  for (auto [number, gradient] : llvm::zip(values.carried, results))
    if (Value init = op.getInits()[number]; flow.flowsThrough(init))
      accumulate(init, gradient, loc, presenceAmong(optional, areThere, number, /*elseZero=*/true));
  return success();
}

//===- Functions ---------------------------------------------------------------------------===//

LogicalResult ReverseSweep::differentiateFunction(func::CallOp op, Tape through) {
  func::FuncOp callee = shared.flows.calleeOf(op);
  if (!callee)
    return op.emitError("no gradient flows through '") << op.getCallee() << "', which has no body";
  bool takesGradients =
      callee.walk([](bf::GradOp) { return WalkResult::interrupt(); }).wasInterrupted();
  if (takesGradients)
    return op.emitError("a gradient flows through '")
           << op.getCallee() << "', which takes gradients of what it calls itself";
  Selection dependent = flow.dependentOperands(op.getOperands()), seeded, summed;
  for (Value result : op.getResults())
    seeded.push_back(bool(gradientOf(result)));
  Selection wanted = shared.flows.reached(callee, dependent, seeded);
  llvm::DenseSet<Value> seen;
  Selection optional;
  for (auto [number, operand] : llvm::enumerate(op.getOperands())) {
    wanted[number] = wanted[number] && flow.flowsThrough(operand);
    // A value that is given twice has one sum.
    summed.push_back(wanted[number] && gradientOf(operand) && seen.insert(operand).second);
    optional.push_back(wanted[number] && !summed[number] && goesOn(operand));
  }
  FunctionPair &pair = shared.pairFor(callee, dependent, seeded, summed, optional);

  SmallVector<Value> operands = {through.backward};
  for (Value result : op.getResults())
    if (gradientOf(result))
      operands.push_back(gradientOrZero(result));
  for (auto [number, operand] : llvm::enumerate(op.getOperands()))
    if (summed[number])
      operands.push_back(gradientOrZero(operand));
  func::FuncOp reverse = pair.backward;
  if (failed(checkTypes(op, operands, SmallVector<Type>(reverse.getArgumentTypes()))))
    return failure();
  auto made = func::CallOp::create(builder, op.getLoc(), reverse, operands);

  op.setCallee(pair.forward.getSymName());
  op->insertOperands(op->getNumOperands(), through.forward);
  for (bool isSum : {true, false}) {
    unsigned next = 0, nextFlag = llvm::count(pair.wanted, true);
    for (unsigned number = 0; number < pair.wanted.size(); ++number) {
      if (!pair.wanted[number])
        continue;
      Value gradient = made.getResult(next++), operand = op.getOperand(number);
      Presence presence;
      if (optional[number])
        presence.isThere = made.getResult(nextFlag++);
      if (summed[number] != isSum || !flow.flowsThrough(operand))
        continue;
      if (isSum)
        setGradient(operand, gradient);
      else
        accumulate(operand, gradient, op.getLoc(), presence);
    }
  }
  return success();
}

static func::FuncOp declareForward(func::FuncOp callee, SymbolTable &symbols) {
  func::FuncOp made = callee.clone();
  made.setPrivate();
  made.setSymName((callee.getSymName() + "_taped").str());
  symbols.insert(made);
  unsigned number = made.getNumArguments();
  (void)made.insertArgument(number, bf::TapeType::get(made.getContext()), {}, made.getLoc());
  renumberForArguments(made.getBody().front().getTerminator(), number, 1);
  countLoops(made);
  return made;
}

static func::FuncOp declareBackward(func::FuncOp callee, const FunctionPair &pair,
                                    SymbolTable &symbols) {
  MLIRContext *context = callee.getContext();
  SmallVector<Type> arguments = {bf::TapeType::get(context)}, results;
  for (auto [number, type] : llvm::enumerate(callee.getResultTypes()))
    if (pair.seeded[number])
      arguments.push_back(type);
  for (auto [number, type] : llvm::enumerate(callee.getArgumentTypes())) {
    if (pair.summed[number])
      arguments.push_back(type);
    if (pair.wanted[number])
      results.push_back(type);
  }
  results.append(llvm::count(pair.optional, true), IntegerType::get(context, 1));
  auto made = func::FuncOp::create(callee.getLoc(), (callee.getSymName() + "_backward").str(),
                                   FunctionType::get(context, arguments, results));
  made.setPrivate();
  made.addEntryBlock();
  symbols.insert(made);
  return made;
}

FunctionPair &Expansion::pairFor(func::FuncOp callee, const Selection &dependent,
                                 const Selection &seeded, const Selection &summed,
                                 const Selection &optional) {
  auto [known, isNew] = pairs.try_emplace({callee, dependent, seeded, summed, optional});
  FunctionPair &pair = known->second;
  if (!isNew)
    return pair;
  pair.dependent = dependent;
  pair.seeded = seeded;
  pair.summed = summed;
  pair.optional = optional;
  pair.wanted = flows.reached(callee, dependent, seeded);
  pair.forward = declareForward(callee, flows.symbolTable());
  pair.backward = declareBackward(callee, pair, flows.symbolTable());
  declared.push_back(&pair);
  return pair;
}

LogicalResult Expansion::makeFunctions() {
  for (; !declared.empty(); declared.pop_front())
    if (failed(makeBodies(*declared.front())))
      return failure();
  return success();
}

LogicalResult Expansion::makeBodies(FunctionPair &pair) {
  Block &body = pair.forward.getBody().front(), &reverse = pair.backward.getBody().front();
  auto arguments = body.getArguments().drop_back(); // but for the tape
  Operation *end = body.getTerminator();
  GradientFlow flow(flows);
  for (BlockArgument argument : arguments)
    if (pair.dependent[argument.getArgNumber()])
      flow.depend(argument);
  flow.spread(body.begin(), body.end());
  for (auto [number, result] : llvm::enumerate(end->getOperands()))
    if (pair.seeded[number])
      flow.reach(result);
  flow.sweep(body.begin(), body.end());

  Tape tape{body.getArguments().back(), reverse.getArgument(0)};
  ReverseSweep sweep(*this, flow, body, reverse, nullptr, tape);
  for (BlockArgument argument : arguments)
    if (pair.optional[argument.getArgNumber()])
      sweep.track(argument);
  unsigned next = 1 + llvm::count(pair.seeded, true);
  for (BlockArgument argument : arguments)
    if (pair.summed[argument.getArgNumber()])
      sweep.setGradient(argument, reverse.getArgument(next++));
  next = 1;
  for (auto [number, result] : llvm::enumerate(end->getOperands()))
    if (pair.seeded[number]) {
      Value gradient = reverse.getArgument(next++);
      if (flow.flowsThrough(result))
        sweep.accumulate(result, gradient, end->getLoc());
    }
  if (failed(sweep.run(end->getPrevNode())))
    return failure();
  SmallVector<Value> results;
  for (BlockArgument argument : arguments)
    if (pair.wanted[argument.getArgNumber()])
      results.push_back(sweep.gradientOrZero(argument));
  OpBuilder last = OpBuilder::atBlockEnd(&reverse);
  for (BlockArgument argument : arguments)
    if (pair.optional[argument.getArgNumber()])
      results.push_back(sweep.isThere(argument, last));
  if (failed(checkTypes(end, results, SmallVector<Type>(pair.backward.getResultTypes()))))
    return failure();
  func::ReturnOp::create(last, end->getLoc(), results);
  sweep.tapeValues();
  return success();
}

} // namespace bifront
