#include "codegen/program_builder.h"

#include "codegen/codegen_error.h"
#include "codegen/sharing.h"
#include "ir/aten_op.h"

using namespace mlir;

namespace bifront {
namespace {

// Set by functionalisation on func.return and bf.store_attr: for each tensor, which tensor's memory
// it lies in; numbers below that of the inputs are inputs.
constexpr const char *kStoragesAttr = "bf.storages";

int64_t bytesOf(DType dtype) {
  switch (dtype) {
  case DType::ComplexHalf: return 4;
  case DType::ComplexFloat: return 8;
  case DType::ComplexDouble: return 16;
  default: return bytesOf(elementTypeOf(dtype));
  }
}

int64_t staticBytes(const TensorType &type) {
  int64_t bytes = bytesOf(type.dtype);
  for (const Dim &dim : type.dims) {
    if (dim.isDynamic())
      return 0;
    bytes *= dim.world[0];
  }
  return bytes;
}

std::string describe(Location loc) {
  if (auto file = dyn_cast<FileLineColLoc>(loc))
    return file.getFilename().str() + ":" + std::to_string(file.getLine());
  if (auto name = dyn_cast<NameLoc>(loc))
    return describe(name.getChildLoc());
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return describe(call.getCallee());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string text = describe(part); !text.empty())
        return text;
  return "";
}

OperandRef::Kind scalarKind(Type type) {
  return type.isF64()        ? OperandRef::Kind::Float
         : type.isInteger(1) ? OperandRef::Kind::Bool
                             : OperandRef::Kind::Int;
}

} // namespace

ProgramBuilder::NumberScope::~NumberScope() {
  for (; builder.numbered.size() > numbered; builder.numbered.pop_back())
    builder.numbers.erase(builder.numbered.back());
  for (; builder.placed.size() > placed; builder.placed.pop_back())
    builder.places.erase(builder.placed.back());
}

//===- Values ------------------------------------------------------------------------------===//

SlotId ProgramBuilder::addSlot(Type type) {
  TensorSlot slot;
  slot.type = valueTypeOf(type);
  MemorySlot memory;
  if (slot.type.kind == ValueType::Kind::Tensor && slot.type.tensor.device == "cpu")
    memory.bytes = slot.bytes = staticBytes(slot.type.tensor);
  program.slots.push_back(std::move(slot));
  built.memorySlots.push_back(memory);
  return program.slots.size() - 1;
}

void ProgramBuilder::addInputs() {
  for (BlockArgument argument : function.getArguments()) {
    InputSpec spec;
    spec.type = valueTypeOf(argument.getType());
    unsigned number = argument.getArgNumber();
    if (auto name = function.getArgAttrOfType<StringAttr>(number, "bf.name"))
      spec.name = name.str();
    else
      spec.name = "input " + std::to_string(number);
    spec.requiresGrad = !!function.getArgAttr(number, "bf.requires_grad");
    program.inputs.push_back(std::move(spec));
    // Slot k is input k's, also where the input is a number and leaves it empty.
    SlotId slot = addSlot(argument.getType());
    // What another function of the graph hands on may be for this one alone.
    bool isHandedOn = function.isPrivate() && isa<RankedTensorType>(argument.getType());
    built.memorySlots[slot].input = !isHandedOn;
    built.memorySlots[slot].handedOn = isHandedOn;
    built.memorySlots[slot].tape = isa<bf::TapeType>(argument.getType());
    if (isa<RankedTensorType, bf::TapeType>(argument.getType())) {
      slots[argument] = slot;
      program.inputPlaces.push_back({OperandRef::Kind::Tensor, slot});
    } else if (isNumber(argument.getType())) {
      setPlace(argument, program.numScalars);
      program.inputPlaces.push_back({scalarKind(argument.getType()), program.numScalars++});
    } else {
      throw CodegenError("an input is neither a tensor nor an int, float or bool");
    }
  }
}

uint32_t ProgramBuilder::numberOf(Value value) {
  if (auto known = numbers.find(value); known != numbers.end())
    return known->second;
  // An input, or the result of a call: the frame has it.
  assert(places.count(value));
  uint32_t number = built.entry.newValue(elementTypeOf(value.getType()));
  built.entry.ops.push_back({EntryOp::Kind::Load, places.lookup(value), number});
  setNumber(value, number);
  return number;
}

uint32_t ProgramBuilder::frameScalar(Value value) {
  if (auto known = places.find(value); known != places.end())
    return known->second;
  uint32_t place = program.numScalars++;
  built.entry.ops.push_back({EntryOp::Kind::Save, place, numberOf(value)});
  setPlace(value, place);
  return place;
}

uint32_t ProgramBuilder::constantScalar(int64_t value) {
  uint32_t number = built.entry.newValue(ElementType::I64), place = program.numScalars++;
  EntryOp constant{EntryOp::Kind::Compute, 0, number};
  constant.op = {Opcode::Constant, ElementType::I64, 0, {}, static_cast<uint64_t>(value)};
  built.entry.ops.push_back(constant);
  built.entry.ops.push_back({EntryOp::Kind::Save, place, number});
  return place;
}

uint32_t ProgramBuilder::dimScalar(SlotId slot, int64_t index) {
  uint32_t number = built.entry.newValue(ElementType::I64), place = program.numScalars++;
  EntryOp dim{EntryOp::Kind::Dim, static_cast<uint32_t>(index), number, slot};
  built.entry.ops.push_back(dim);
  MemoryStep memory;
  memory.reads = {slot};
  memory.releases = memory.mayFail = false;
  addMemoryStep(std::move(memory));
  built.entry.ops.push_back({EntryOp::Kind::Save, place, number});
  return place;
}

OperandRef ProgramBuilder::operandRef(Value value) {
  Type type = value.getType();
  if (hasSlot(value))
    return {OperandRef::Kind::Tensor, slotOf(value)};
  if (!isNumber(type))
    throw CodegenError("a value that is neither a tensor nor an int, float or bool is passed on");
  return {scalarKind(type), frameScalar(value)};
}

OperandRef ProgramBuilder::resultRef(Value value) {
  Type type = value.getType();
  if (isa<RankedTensorType, NoneType>(type)) {
    if (value.use_empty())
      return {OperandRef::Kind::Tensor, kNoSlot};
    SlotId slot = addSlot(type);
    slots[value] = slot;
    return {OperandRef::Kind::Tensor, slot};
  }
  if (!isNumber(type))
    throw CodegenError("a call gives what is neither a tensor nor an int, float or bool");
  setPlace(value, program.numScalars);
  return {scalarKind(type), program.numScalars++};
}

void ProgramBuilder::addStep(EntryOp::Kind kind, uint32_t index, MemoryStep step) {
  built.entry.ops.push_back({kind, index});
  addMemoryStep(std::move(step));
}

void ProgramBuilder::addMemoryStep(MemoryStep step) {
  for (Region &region : regions)
    for (SlotId slot : step.reads)
      if (slot < region.firstSlot && !built.memorySlots[slot].input)
        region.olderSlots.insert(slot);
  built.memorySteps.push_back(std::move(step));
  built.stepOps.push_back(built.entry.ops.size() - 1);
}

//===- Calls -------------------------------------------------------------------------------===//

static std::optional<unsigned> rightFactor(bf::AtenOp op) {
  llvm::StringRef schema = op.getSchema();
  if (schema == "aten::mm")
    return 1;
  if (schema == "aten::addmm" || schema == "aten::addmm_")
    return 2;
  return std::nullopt;
}

// Of a matrix that is the right factor more than once in a run: weights, in a loop or in a layer
// that is called again. A value does not change during a run if it, or what it is a view of, is not
// made anew in a loop; a function of the graph may be called with others.
int32_t ProgramBuilder::packedRightOf(bf::AtenOp op) {
  auto factor = rightFactor(op);
  if (!factor || function.isPrivate())
    return -1;
  Value matrix = op.getInputs()[*factor];
  if (auto known = packedRights.find(matrix); known != packedRights.end())
    return known->second;
  Value viewed = matrix;
  while (auto view = viewed.getDefiningOp<bf::AtenOp>()) {
    if (view.getInputs().size() != 1 || sharingOf(view).withOperand.empty())
      break;
    viewed = view.getInputs()[0];
  }
  auto isInLoop = [](mlir::Region *region) {
    for (; region; region = region->getParentRegion())
      if (isa<scf::WhileOp, scf::ForOp>(region->getParentOp()))
        return true;
    return false;
  };
  if (isInLoop(viewed.getParentRegion()))
    return -1;
  auto isFactorOf = [&](OpOperand &use) {
    auto product = dyn_cast<bf::AtenOp>(use.getOwner());
    auto which = product ? rightFactor(product) : std::nullopt;
    return which && use.getOperandNumber() == product.getInputs().getBeginOperandIndex() + *which;
  };
  if (!isInLoop(op->getParentRegion()) && llvm::count_if(matrix.getUses(), isFactorOf) < 2)
    return -1;
  return packedRights[matrix] = static_cast<int32_t>(program.numPackedRights++);
}

void ProgramBuilder::visitCall(bf::AtenOp op) {
  if (!writtenOperands(op).empty())
    throw CodegenError("'" + op.getSchema().str() +
                       "' writes its operands; the graph must be functional");
  CallStep step;
  MemoryStep memory;
  step.call = callOf(op);
  step.location = describe(op.getLoc());
  step.packedRight = packedRightOf(op);
  for (Value operand : op.getInputs()) {
    step.operands.push_back(operandRef(operand));
    if (step.operands.back().kind == OperandRef::Kind::Tensor)
      memory.reads.push_back(step.operands.back().index);
  }
  CallSharing sharing = sharingOf(op);
  for (Value result : op.getResults()) {
    step.results.push_back(resultRef(result));
    if (!hasSlot(result))
      continue;
    memory.results.push_back(slotOf(result));
    built.memorySlots[slotOf(result)].fresh =
        sharing.fresh[cast<OpResult>(result).getResultNumber()] &&
        isa<RankedTensorType>(result.getType());
  }
  for (auto [result, operand] : sharing.withOperand)
    if (hasSlot(op.getResult(result)))
      memory.shares.emplace_back(slotOf(op.getResult(result)), slotOf(op.getInputs()[operand]));
  for (auto [a, b] : sharing.withResult)
    if (hasSlot(op.getResult(a)) && hasSlot(op.getResult(b)))
      memory.shares.emplace_back(slotOf(op.getResult(a)), slotOf(op.getResult(b)));
  for (auto [k, operand] : llvm::enumerate(op.getWrittenOperands())) {
    Value old = op.getInputs()[operand], contents = op.getResult(op.getNumOwnResults() + k);
    if (llvm::count(op.getInputs(), old) != 1 || !hasSlot(old) || !hasSlot(contents))
      continue;
    memory.overwrites.push_back({slotOf(old), slotOf(contents)});
    memory.overwrites.push_back({slotOf(old), slotOf(contents), false, true});
  }
  step.reuse.assign(op.getWrittenOperands().size(), false);
  program.calls.push_back(std::move(step));
  addStep(EntryOp::Kind::Call, program.calls.size() - 1, std::move(memory));
}

// What comes back may be, or look at, what was given.
void ProgramBuilder::visitFunctionCall(func::CallOp op) {
  auto callee = functions.find(op.getCallee());
  if (callee == functions.end())
    throw CodegenError("'" + op.getCallee().str() + "' is no function that a graph can call");
  FunctionStep step{callee->second, {}, {}, {}, describe(op.getLoc())};
  MemoryStep memory;
  for (Value operand : op.getOperands()) {
    step.operands.push_back(operandRef(operand));
    if (hasSlot(operand))
      memory.reads.push_back(slotOf(operand));
  }
  for (Value result : op.getResults()) {
    step.results.push_back(resultRef(result));
    if (!hasSlot(result))
      continue;
    for (SlotId operand : memory.reads)
      memory.shares.emplace_back(slotOf(result), operand);
    for (SlotId other : memory.results)
      memory.shares.emplace_back(slotOf(result), other);
    memory.results.push_back(slotOf(result));
  }
  // The callee may put what it is given on a tape.
  for (SlotId tape : memory.reads)
    for (SlotId other : memory.reads)
      if (built.memorySlots[tape].tape)
        memory.shares.emplace_back(tape, other);
  program.functionCalls.push_back(std::move(step));
  addStep(EntryOp::Kind::Function, program.functionCalls.size() - 1, std::move(memory));
}

// What is popped may be anything that was pushed; rows are copied.
void ProgramBuilder::visitTape(Operation *op) {
  TapeStep step;
  MemoryStep memory;
  if (auto start = dyn_cast<bf::TapeOp>(op)) {
    step.action = TapeStep::Action::Start;
    memory.results.push_back(step.tape = slots[start.getTape()] = addSlot(start.getType()));
    built.memorySlots[step.tape].tape = true;
  } else {
    memory.reads.push_back(step.tape = slotOf(op->getOperand(0)));
  }
  if (auto push = dyn_cast<bf::PushOp>(op)) {
    step.action = TapeStep::Action::Push;
    for (Value value : push.getValues()) {
      step.values.push_back(operandRef(value));
      if (hasSlot(value))
        memory.reads.push_back(slotOf(value));
    }
  }
  if (auto rows = dyn_cast<bf::PopRowsOp>(op))
    return popRows(rows, std::move(step), std::move(memory));
  for (Value value : op->getResults().drop_front(isa<bf::TapeOp>(op) ? 1 : 0)) {
    step.action = TapeStep::Action::Pop;
    step.values.push_back(resultRef(value));
    if (!hasSlot(value))
      continue;
    memory.results.push_back(slotOf(value));
    built.memorySlots[slotOf(value)].handedOn = true;
  }
  for (const std::vector<SlotId> &others : {memory.reads, memory.results})
    for (SlotId other : others)
      memory.shares.emplace_back(step.tape, other);
  program.tapeSteps.push_back(std::move(step));
  addStep(EntryOp::Kind::Tape, program.tapeSteps.size() - 1, std::move(memory));
}

void ProgramBuilder::popRows(bf::PopRowsOp op, TapeStep step, MemoryStep memory) {
  step.action = TapeStep::Action::PopRows;
  for (Value value : op.getRows()) {
    step.values.push_back(resultRef(value));
    step.rows.push_back(valueTypeOf(value.getType()).tensor);
    if (hasSlot(value))
      memory.results.push_back(slotOf(value));
  }
  program.tapeSteps.push_back(std::move(step));
  addStep(EntryOp::Kind::Tape, program.tapeSteps.size() - 1, std::move(memory));
}

//===- Kernels -----------------------------------------------------------------------------===//

// By the innermost dimension in which the space has more than one element. The runtime looks at
// real strides and asks for other code where they differ.
std::vector<InnerAccess> ProgramBuilder::accessOf(bf::PointwiseOp op) const {
  auto space = cast<RankedTensorType>(op.getResult(0).getType());
  int64_t fromEnd = 0;
  while (fromEnd < space.getRank() && space.getDimSize(space.getRank() - 1 - fromEnd) == 1)
    ++fromEnd;
  std::vector<InnerAccess> access;
  for (Value input : op.getInputs()) {
    auto type = dyn_cast<RankedTensorType>(input.getType());
    if (!type)
      continue;
    bool stays = fromEnd < space.getRank() &&
                 (fromEnd >= type.getRank() || type.getDimSize(type.getRank() - 1 - fromEnd) == 1);
    access.push_back(stays ? InnerAccess::Broadcast : InnerAccess::Contiguous);
  }
  access.resize(access.size() + op.getNumResults(), InnerAccess::Contiguous);
  return access;
}

// A dynamic size that no operand of the kernel has: that of an input of the graph which is equal.
OperandRef ProgramBuilder::sizeLike(const Dim &dim, bf::PointwiseOp op) {
  if (!dim.isDynamic())
    return {OperandRef::Kind::Int, constantScalar(dim.world[0])};
  if (dim.world[0] < 0) // without worlds: equal to no other
    throw CodegenError("a fused group has a size that nothing is known of");
  for (SlotId slot = 0; slot < program.inputs.size(); ++slot) {
    const ValueType &type = program.inputs[slot].type;
    for (size_t d = 0; type.kind == ValueType::Kind::Tensor && d < type.tensor.dims.size(); ++d)
      if (type.tensor.dims[d] == dim)
        return {OperandRef::Kind::Int, dimScalar(slot, d)};
  }
  throw CodegenError("a fused group has a size that neither its operands nor the inputs determine");
}

std::vector<OperandRef> ProgramBuilder::sizesOf(bf::PointwiseOp op) {
  TensorType space = valueTypeOf(op.getResult(0).getType()).tensor;
  bool determined = true, anyTensor = false, isStatic = true;
  size_t rank = 0; // of what the operands are broadcast to, by themselves
  for (Value input : op.getInputs())
    if (auto type = dyn_cast<RankedTensorType>(input.getType()))
      rank = std::max(rank, static_cast<size_t>(type.getRank()));
  for (size_t d = 0; d < space.dims.size(); ++d) {
    bool found = !space.dims[d].isDynamic() && space.dims[d].world[0] == 1;
    isStatic = isStatic && !space.dims[d].isDynamic();
    for (Value input : op.getInputs()) {
      if (!isa<RankedTensorType>(input.getType()))
        continue;
      anyTensor = true;
      const TensorType type = valueTypeOf(input.getType()).tensor;
      size_t missing = space.dims.size() - type.dims.size();
      bool isOne = d >= missing && type.dims[d - missing] == Dim::fixed(1);
      found = found || (d >= missing && !isOne);
    }
    determined = determined && found;
  }
  std::vector<OperandRef> sizes;
  if ((determined && rank == space.dims.size()) || (!anyTensor && isStatic))
    return sizes;
  for (const Dim &dim : space.dims)
    sizes.push_back(sizeLike(dim, op));
  return sizes;
}

Value ProgramBuilder::storedTo(Value value) const {
  Value target;
  for (OpOperand &use : value.getUses()) {
    auto store = dyn_cast<bf::StoreOp>(use.getOwner());
    if (!store)
      continue;
    if (target)
      return {};
    target = store.getTarget();
  }
  if (!target)
    return {};
  unsigned stores = llvm::count_if(target.getUsers(), [&](Operation *user) {
    auto store = dyn_cast<bf::StoreOp>(user);
    return store && store.getTarget() == target;
  });
  return stores == 1 ? target : Value();
}

void ProgramBuilder::offerOverwrites(bf::PointwiseOp op, const KernelStep &step,
                                     MemoryStep &memory) const {
  auto sameType = [](Value a, Value b) {
    auto left = cast<RankedTensorType>(a.getType()), right = cast<RankedTensorType>(b.getType());
    return left.getElementType() == right.getElementType() && haveSameShape(left, right);
  };
  for (Value result : op.getResults()) {
    Value target = storedTo(result);
    if (target && llvm::is_contained(op.getInputs(), target) && sameType(target, result))
      memory.overwrites.push_back({slotOf(target), slotOf(result), true});
    for (Value input : op.getInputs())
      if (isa<RankedTensorType>(input.getType()) && sameType(input, result))
        memory.overwrites.push_back({slotOf(input), slotOf(result), false, true});
  }
}

void ProgramBuilder::visitKernel(bf::PointwiseOp op) {
  KernelStep step;
  MemoryStep memory;
  memory.mayFail = false;
  step.location = describe(op.getLoc());
  step.access = accessOf(op);
  for (Value input : op.getInputs()) {
    if (!isa<RankedTensorType>(input.getType())) {
      step.scalars.push_back(operandRef(input));
      continue;
    }
    step.inputs.push_back(slotOf(input));
    memory.reads.push_back(slotOf(input));
  }
  step.sizes = sizesOf(op);
  for (Value result : op.getResults()) {
    SlotId slot = addSlot(result.getType());
    slots[result] = slot;
    step.outputs.push_back(slot);
    step.outputTypes.push_back(program.slots[slot].type.tensor.dtype);
    memory.results.push_back(slot);
    built.memorySlots[slot].fresh = true;
  }
  for (ValueRange values : {ValueRange(op.getInputs()), ValueRange(op.getResults())})
    for (Value value : values)
      if (auto type = dyn_cast<RankedTensorType>(value.getType())) {
        // Sizes are checked when the kernel meets them first.
        memory.mayFail = memory.mayFail || !type.hasStaticShape();
        if (valueTypeOf(type).tensor.device != "cpu")
          throw CodegenError("a fused group on a device other than the CPU has no native code");
      }
  offerOverwrites(op, step, memory);
  step.inPlace.assign(step.outputs.size(), -1);
  built.kernelBodies.push_back(std::make_shared<const KernelBody>(kernelBodyOf(op)));
  program.kernels.push_back(std::move(step));
  addStep(EntryOp::Kind::Kernel, program.kernels.size() - 1, std::move(memory));
}

//===- Effects and numbers -----------------------------------------------------------------===//

void ProgramBuilder::leave(Value value, Operation *op, unsigned tensorNumber) {
  // An input leaves as the tensor it is, with whatever contents it has in the end.
  if (!hasSlot(value) || built.memorySlots[slotOf(value)].input)
    return;
  MemorySlot &slot = built.memorySlots[slotOf(value)];
  auto storages = op->getAttrOfType<DenseI32ArrayAttr>(kStoragesAttr);
  SlotId in = kNoSlot;
  if (storages && tensorNumber < storages.size() &&
      static_cast<unsigned>(storages[tensorNumber]) < program.inputs.size())
    in = storages[tensorNumber];
  slot.leavesIn = slot.leaves && slot.leavesIn != in ? kNoSlot : in;
  slot.leaves = true;
}

void ProgramBuilder::visitStore(bf::StoreOp op) {
  program.stores.push_back({slotOf(op.getTarget()), slotOf(op.getValue()), ""});
  MemoryStep memory;
  memory.reads = {slotOf(op.getValue())};
  memory.releases = memory.mayFail = false;
  addStep(EntryOp::Kind::Store, program.stores.size() - 1, std::move(memory));
}

void ProgramBuilder::visitStoreAttr(bf::StoreAttrOp op) {
  StoreStep step{slotOf(op.getTarget()), kNoSlot, op.getName().str()};
  MemoryStep memory;
  memory.releases = memory.mayFail = false;
  if (Value value = op.getValue(); value && !isa<NoneType>(value.getType())) {
    if (!hasSlot(value))
      throw CodegenError("a number is assigned to an attribute of a tensor");
    step.value = slotOf(value);
    memory.reads = {step.value};
    leave(value, op, 0);
  }
  program.stores.push_back(std::move(step));
  addStep(EntryOp::Kind::Store, program.stores.size() - 1, std::move(memory));
}

void ProgramBuilder::visitAssert(bf::AssertOp op) {
  uint32_t condition = numberOf(op.getCondition());
  asserts.push_back({op.getMessage().str(), describe(op.getLoc())});
  MemoryStep memory;
  memory.releases = false;
  addStep(EntryOp::Kind::Assert, asserts.size() - 1, std::move(memory));
  built.entry.ops.back().value = condition;
}

void ProgramBuilder::visitDim(bf::DimOp op) {
  uint32_t number = built.entry.newValue(ElementType::I64);
  EntryOp dim{EntryOp::Kind::Dim, static_cast<uint32_t>(op.getIndex()), number,
              slotOf(op.getTensor())};
  setNumber(op.getSize(), number);
  built.entry.ops.push_back(dim);
  MemoryStep memory;
  memory.reads = {slotOf(op.getTensor())};
  memory.releases = memory.mayFail = false;
  addMemoryStep(std::move(memory));
}

void ProgramBuilder::visitObjectRead(Operation *op, const ObjectRead &read) {
  ObjectStep step{read, {}, {}, static_cast<uint32_t>(asserts.size()), describe(op->getLoc())};
  asserts.push_back(
      {"an object is not what it was" + (read.name.empty() ? "" : ", or has another ." + read.name),
       step.location});
  MemoryStep memory;
  memory.releases = false;
  for (Value operand : op->getOperands())
    step.operands.push_back(frameScalar(operand));
  step.result = resultRef(op->getResult(0));
  if (hasSlot(op->getResult(0))) {
    memory.results.push_back(slotOf(op->getResult(0)));
    built.memorySlots[slotOf(op->getResult(0))].input = true; // somebody else's memory
  }
  program.objectReads.push_back(std::move(step));
  addStep(EntryOp::Kind::Object, program.objectReads.size() - 1, std::move(memory));
}

void ProgramBuilder::visitPythonCall(bf::PycallOp op) {
  PythonStep step{pythonCallOf(op), frameScalar(op.getCallee()), {}, 0, {}, describe(op.getLoc())};
  MemoryStep memory;
  for (Value operand : op.getInputs()) {
    step.operands.push_back(operandRef(operand));
    if (hasSlot(operand))
      memory.reads.push_back(slotOf(operand));
  }
  step.result = resultRef(op.getResult()).index;
  program.pythonCalls.push_back(std::move(step));
  addStep(EntryOp::Kind::Python, program.pythonCalls.size() - 1, std::move(memory));
}

void ProgramBuilder::visitIsSame(bf::IsSameOp op) {
  uint32_t number = built.entry.newValue(ElementType::I1);
  EntryOp entry{EntryOp::Kind::Compute, 0, number};
  entry.op = {Opcode::CmpI,
              ElementType::I1,
              static_cast<uint8_t>(arith::CmpIPredicate::eq),
              {numberOf(op.getLeft()), numberOf(op.getRight())}};
  built.entry.ops.push_back(entry);
  setNumber(op.getHolds(), number);
}

void ProgramBuilder::compute(Operation *op) {
  ElementOp made = elementOpOf(op);
  for (auto [k, operand] : llvm::enumerate(op->getOperands()))
    made.operands[k] = numberOf(operand);
  uint32_t number = built.entry.newValue(made.type);
  EntryOp entry{EntryOp::Kind::Compute, 0, number};
  entry.op = made;
  built.entry.ops.push_back(entry);
  setNumber(op->getResult(0), number);
}

void ProgramBuilder::visitReturn(func::ReturnOp op) {
  for (auto [k, value] : llvm::enumerate(op.getOperands())) {
    program.returns.push_back(operandRef(value));
    leave(value, op, k);
  }
}

void ProgramBuilder::visit(Operation *op) {
  if (auto call = dyn_cast<bf::AtenOp>(op))
    return visitCall(call);
  if (auto call = dyn_cast<func::CallOp>(op))
    return visitFunctionCall(call);
  if (isa<bf::TapeOp, bf::PushOp, bf::PopOp, bf::PopRowsOp>(op))
    return visitTape(op);
  if (auto kernel = dyn_cast<bf::PointwiseOp>(op))
    return visitKernel(kernel);
  if (auto store = dyn_cast<bf::StoreOp>(op))
    return visitStore(store);
  if (auto store = dyn_cast<bf::StoreAttrOp>(op))
    return visitStoreAttr(store);
  if (auto assertion = dyn_cast<bf::AssertOp>(op))
    return visitAssert(assertion);
  if (auto dim = dyn_cast<bf::DimOp>(op))
    return visitDim(dim);
  if (auto size = dyn_cast<bf::SizeOp>(op))
    return setNumber(size.getSize(), numberOf(size.getNumber()));
  if (auto back = dyn_cast<func::ReturnOp>(op))
    return visitReturn(back);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return visitIf(branch);
  if (auto loop = dyn_cast<scf::WhileOp>(op))
    return visitWhile(loop);
  if (auto choice = dyn_cast<arith::SelectOp>(op); choice && !isNumber(choice.getType()))
    return visitSelect(choice);
  if (auto read = objectReadOf(op))
    return visitObjectRead(op, *read);
  if (auto call = dyn_cast<bf::PycallOp>(op))
    return visitPythonCall(call);
  if (auto same = dyn_cast<bf::IsSameOp>(op))
    return visitIsSame(same);
  if (op->getNumRegions() != 0)
    throw CodegenError("'" + op->getName().getStringRef().str() + "' has no native code yet");
  compute(op);
}

BuiltProgram ProgramBuilder::build() {
  if (!function.getBody().hasOneBlock())
    throw CodegenError("a function with control flow has no native code yet");
  addInputs();
  for (Operation &op : function.getBody().front())
    visit(&op);
  return std::move(built);
}

BuiltProgram buildProgram(func::FuncOp function, const FunctionNumbers &functions,
                          std::vector<AssertSpec> &asserts) {
  return ProgramBuilder(function, functions, asserts).build();
}

} // namespace bifront
