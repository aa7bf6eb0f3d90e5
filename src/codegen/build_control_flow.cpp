// Branches and loops as steps: what their regions hand on lies in slots and variables.
#include "codegen/codegen_error.h"
#include "codegen/program_builder.h"

#include "mlir/Transforms/RegionUtils.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;

namespace bifront {

ProgramBuilder::Places ProgramBuilder::placesFor(ValueRange values) {
  Places found;
  for (Value value : values) {
    if (isNumber(value.getType())) {
      found.push_back(built.entry.newVariable(elementTypeOf(value.getType())));
    } else if (!isa<RankedTensorType, NoneType>(value.getType())) {
      throw CodegenError("a region hands on what is neither a tensor nor an int, float or bool");
    } else if (value.use_empty()) {
      found.push_back(kNoSlot);
    } else {
      found.push_back(slots[value] = addSlot(value.getType()));
      built.memorySlots.back().handedOn = true;
    }
  }
  return found;
}

void ProgramBuilder::hand(ValueRange values, ArrayRef<uint32_t> to) {
  MoveStep step;
  MemoryStep memory;
  memory.mayFail = false;
  SmallVector<std::pair<uint32_t, uint32_t>> set; // variables and numbers
  for (auto [value, place] : llvm::zip_equal(values, to)) {
    if (isNumber(value.getType())) {
      set.emplace_back(place, numberOf(value));
    } else if (place != kNoSlot) {
      SlotId from = slotOf(value);
      step.pairs.push_back({from, place});
      memory.reads.push_back(from);
      memory.results.push_back(place);
      memory.shares.emplace_back(place, from);
    }
  }
  for (auto [variable, number] : set)
    built.entry.ops.push_back({EntryOp::Kind::Set, variable, number});
  if (step.pairs.empty())
    return;
  program.moves.push_back(std::move(step));
  addStep(EntryOp::Kind::Move, program.moves.size() - 1, std::move(memory));
}

void ProgramBuilder::receive(ValueRange values, ArrayRef<uint32_t> from) {
  for (auto [value, place] : llvm::zip_equal(values, from)) {
    if (!isNumber(value.getType()))
      continue;
    uint32_t number = built.entry.newValue(elementTypeOf(value.getType()));
    built.entry.ops.push_back({EntryOp::Kind::Get, place, number});
    setNumber(value, number);
  }
}

void ProgramBuilder::closeRegion() {
  Region region = std::move(regions.back());
  regions.pop_back();
  MemoryStep memory;
  memory.mayFail = false;
  memory.reads.assign(region.olderSlots.begin(), region.olderSlots.end());
  program.releases.emplace_back();
  addStep(EntryOp::Kind::Release, program.releases.size() - 1, std::move(memory));
}

void ProgramBuilder::visitBody(Block &block) {
  for (Operation &op : block.without_terminator())
    visit(&op);
}

void ProgramBuilder::choose(Value condition, ValueRange results, BranchSide side) {
  uint32_t number = numberOf(condition);
  Places places = placesFor(results);
  openRegion();
  control(EntryOp::Kind::If, number);
  for (bool holds : {true, false}) {
    NumberScope scope(*this);
    side(holds, places);
    if (holds)
      control(EntryOp::Kind::Else);
  }
  control(EntryOp::Kind::EndIf);
  closeRegion();
  receive(results, places);
}

SmallVector<Value> ProgramBuilder::endingIn(scf::IfOp op) {
  Block *block = op->getBlock();
  // The entry's arguments are the program's, and sizes are read from a function's.
  auto isKept = [&](Value value) {
    bool isArgument = isa<BlockArgument>(value) && value.getParentBlock() == &function.front();
    return isArgument &&
           (!function.isPrivate() || !cast<RankedTensorType>(value.getType()).hasStaticShape());
  };
  llvm::SetVector<Value> used;
  getUsedValuesDefinedAbove(op->getRegions(), used);
  SmallVector<Value> ending;
  for (Value value : used) {
    bool isOfThisPath = value.getParentBlock() == block || takenOver.contains(value);
    if (!isa<RankedTensorType>(value.getType()) || !hasSlot(value) || isKept(value) ||
        !isOfThisPath)
      continue;
    if (llvm::all_of(value.getUsers(), [&](Operation *user) {
          Operation *here = block->findAncestorOpInBlock(*user);
          return !here || here == op || here->isBeforeInBlock(op);
        }))
      ending.push_back(value);
  }
  return ending;
}

ProgramBuilder::Places ProgramBuilder::takeOver(ArrayRef<Value> values) {
  Places older, own;
  for (Value value : values) {
    older.push_back(slotOf(value));
    own.push_back(addSlot(value.getType()));
    built.memorySlots.back().handedOn = true;
  }
  hand(values, own);
  for (auto [value, slot] : llvm::zip_equal(values, own))
    slots[value] = slot;
  releaseNow(older);
  return older;
}

void ProgramBuilder::visitIf(scf::IfOp op) {
  SmallVector<Value> ending = endingIn(op);
  choose(op.getCondition(), op.getResults(), [&](bool holds, ArrayRef<uint32_t> places) {
    mlir::Region &side = holds ? op.getThenRegion() : op.getElseRegion();
    if (side.empty())
      return;
    auto isUsedHere = [&](Value value) {
      return llvm::any_of(value.getUsers(), [&](Operation *user) {
        return side.isAncestor(user->getParentRegion());
      });
    };
    SmallVector<Value> here = llvm::filter_to_vector(ending, isUsedHere);
    llvm::SaveAndRestore outer(takenOver, {here.begin(), here.end()});
    Places older = takeOver(here);
    visitBody(side.front());
    hand(side.front().getTerminator()->getOperands(), places);
    for (auto [value, slot] : llvm::zip_equal(here, older))
      slots[value] = slot;
  });
}

// What canonicalisation makes of a branch without ops.
void ProgramBuilder::visitSelect(arith::SelectOp op) {
  choose(op.getCondition(), op->getResults(), [&](bool holds, ArrayRef<uint32_t> places) {
    hand(holds ? op.getTrueValue() : op.getFalseValue(), places);
  });
}

// What is dead here on this path, whatever the steps that follow in the text read.
void ProgramBuilder::releaseNow(ArrayRef<uint32_t> dead) {
  ReleaseStep step;
  llvm::copy_if(dead, std::back_inserter(step.release),
                [](SlotId slot) { return slot != kNoSlot; });
  if (step.release.empty())
    return;
  program.releases.push_back(std::move(step));
  built.entry.ops.push_back(
      {EntryOp::Kind::Release, static_cast<uint32_t>(program.releases.size() - 1)});
}

// On the way out nothing reads what the iteration made but the results.
void ProgramBuilder::leaveLoop(ValueRange values, ArrayRef<uint32_t> to,
                               ArrayRef<uint32_t> carried) {
  NumberScope scope(*this);
  hand(values, to);
  Places dead(carried);
  for (Value value : values)
    if (hasSlot(value) && slotOf(value) >= regions.back().firstSlot)
      dead.push_back(slotOf(value));
  releaseNow(dead);
}

void ProgramBuilder::visitWhile(scf::WhileOp op) {
  Places carried = placesFor(op.getBeforeArguments()), carriedTensors;
  for (auto [argument, slot] : llvm::zip_equal(op.getBeforeArguments(), carried))
    if (!isNumber(argument.getType()) && slot != kNoSlot) {
      built.memorySlots[slot].carried = true;
      carriedTensors.push_back(slot);
    }
  hand(op.getInits(), carried);
  Places results = placesFor(op.getResults());
  openRegion();
  llvm::SaveAndRestore outer(takenOver, {}); // the next iteration needs it too
  control(EntryOp::Kind::Loop);
  {
    NumberScope scope(*this);
    receive(op.getBeforeArguments(), carried);
    visitBody(*op.getBeforeBody());
    scf::ConditionOp condition = op.getConditionOp();
    Places arguments = placesFor(op.getAfterArguments());
    control(EntryOp::Kind::Break, numberOf(condition.getCondition()));
    leaveLoop(condition.getArgs(), results, carriedTensors);
    control(EntryOp::Kind::Leave);
    hand(condition.getArgs(), arguments);
    releaseNow(carriedTensors); // so that the iteration may write over what it got
    receive(op.getAfterArguments(), arguments);
    visitBody(*op.getAfterBody());
    hand(op.getYieldOp().getResults(), carried);
  }
  control(EntryOp::Kind::EndLoop);
  closeRegion();
  receive(op.getResults(), results);
}

} // namespace bifront
