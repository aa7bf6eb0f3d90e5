#include "codegen/lower_entry.h"
#include "codegen/emit_element_op.h"
#include "support/fail_nth.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

using llvm::BasicBlock;
using llvm::Value;

namespace bifront {
namespace {

class EntryLowering {
public:
  EntryLowering(llvm::Module &module, const EntryCode &code)
      : module(module), context(module.getContext()), code(code), builder(context),
        emitter(builder, 1, 16), values(code.values.size(), nullptr) {}

  llvm::Function *lower(const std::string &symbol);

private:
  void lowerOp(const EntryOp &op);
  void lowerControl(const EntryOp &op);
  void runSteps();
  void runOne(Value *function, Value *index);
  void returnUnlessZero(Value *status);
  llvm::FunctionCallee runtime(const char *name);
  llvm::Type *numberType(ElementType type) {
    return type == ElementType::F64  ? builder.getDoubleTy()
           : type == ElementType::I1 ? static_cast<llvm::Type *>(builder.getInt1Ty())
                                     : builder.getInt64Ty();
  }
  Value *scalarAddress(uint32_t index) {
    return builder.CreateConstGEP1_64(builder.getInt64Ty(), scalars, index);
  }
  BasicBlock *newBlock(const char *name) { return BasicBlock::Create(context, name, function); }
  const char *runtimeName(EntryOp::Kind kind) const {
    switch (kind) {
    case EntryOp::Kind::Call: return "bf_rt_call";
    case EntryOp::Kind::Kernel: return "bf_rt_kernel";
    case EntryOp::Kind::Store: return "bf_rt_store";
    case EntryOp::Kind::Move: return "bf_rt_move";
    case EntryOp::Kind::Function: return "bf_rt_function";
    case EntryOp::Kind::Release: return "bf_rt_release";
    case EntryOp::Kind::Object: return "bf_rt_object";
    case EntryOp::Kind::Python: return "bf_rt_python";
    case EntryOp::Kind::Tape: return "bf_rt_tape";
    default: llvm_unreachable("no step of the runtime");
    }
  }

  // This many steps in a row are a table and a loop rather than code of their own: large graphs
  // would take long to compile, and the branch predictor does not mind.
  static constexpr size_t kTable = 4;

  llvm::Module &module;
  llvm::LLVMContext &context;
  const EntryCode &code;
  llvm::IRBuilder<> builder;
  ElementEmitter emitter;
  llvm::Function *function = nullptr;
  Value *frame = nullptr, *scalars = nullptr;
  BasicBlock *leave = nullptr;
  llvm::PHINode *leaveStatus = nullptr;
  std::vector<Value *> values;
  std::vector<llvm::AllocaInst *> variables;
  struct Region {            // an If or a Loop that is not ended
    BasicBlock *other, *end; // of an If: where it does not hold; of a Loop: where it starts
  };
  std::vector<Region> regions;
  std::vector<BasicBlock *> goOn;     // of each Break that has not left
  std::vector<const EntryOp *> steps; // to be run before anything that could see their effect
};

llvm::FunctionCallee EntryLowering::runtime(const char *name) {
  llvm::Type *status = builder.getInt32Ty();
  auto *type = llvm::FunctionType::get(status, {builder.getPtrTy(), builder.getInt32Ty()}, false);
  return module.getOrInsertFunction(name, type);
}

void EntryLowering::returnUnlessZero(Value *status) {
  BasicBlock *next = newBlock("next");
  leaveStatus->addIncoming(status, builder.GetInsertBlock());
  builder.CreateCondBr(builder.CreateICmpEQ(status, builder.getInt32(0)), next, leave);
  builder.SetInsertPoint(next);
}

void EntryLowering::runOne(Value *step, Value *index) {
  auto *type = llvm::FunctionType::get(builder.getInt32Ty(),
                                       {builder.getPtrTy(), builder.getInt32Ty()}, false);
  returnUnlessZero(builder.CreateCall(type, step, {frame, index}));
}

void EntryLowering::runSteps() {
  if (steps.size() < kTable) {
    for (const EntryOp *step : steps)
      runOne(runtime(runtimeName(step->kind)).getCallee(), builder.getInt32(step->index));
    steps.clear();
    return;
  }
  auto *row = llvm::StructType::get(builder.getPtrTy(), builder.getInt64Ty());
  llvm::SmallVector<llvm::Constant *> rows;
  for (const EntryOp *step : steps)
    rows.push_back(llvm::ConstantStruct::get(
        row, {llvm::cast<llvm::Constant>(runtime(runtimeName(step->kind)).getCallee()),
              builder.getInt64(step->index)}));
  auto *type = llvm::ArrayType::get(row, rows.size());
  auto *table =
      new llvm::GlobalVariable(module, type, /*isConstant=*/true, llvm::GlobalValue::PrivateLinkage,
                               llvm::ConstantArray::get(type, rows), "steps");
  BasicBlock *before = builder.GetInsertBlock(), *loop = newBlock("steps"),
             *after = newBlock("after");
  builder.CreateBr(loop);
  builder.SetInsertPoint(loop);
  llvm::PHINode *number = builder.CreatePHI(builder.getInt64Ty(), 2);
  number->addIncoming(builder.getInt64(0), before);
  Value *at = builder.CreateGEP(row, table, number);
  Value *step = builder.CreateLoad(builder.getPtrTy(), at);
  Value *index = builder.CreateLoad(builder.getInt32Ty(),
                                    builder.CreatePtrAdd(at, builder.getInt64(sizeof(void *))));
  runOne(step, index);
  Value *next = builder.CreateAdd(number, builder.getInt64(1));
  number->addIncoming(next, builder.GetInsertBlock());
  builder.CreateCondBr(builder.CreateICmpULT(next, builder.getInt64(rows.size())), loop, after);
  builder.SetInsertPoint(after);
  steps.clear();
}

void EntryLowering::lowerOp(const EntryOp &op) {
  switch (op.kind) {
  case EntryOp::Kind::Call:
  case EntryOp::Kind::Kernel:
  case EntryOp::Kind::Store:
  case EntryOp::Kind::Move:
  case EntryOp::Kind::Function:
  case EntryOp::Kind::Object:
  case EntryOp::Kind::Python:
  case EntryOp::Kind::Tape:
  case EntryOp::Kind::Release: steps.push_back(&op); return;
  case EntryOp::Kind::Assert: {
    runSteps();
    BasicBlock *failed = newBlock("failed"), *next = newBlock("holds");
    Value *holds = values[op.value];
    if (failsOnPurposeAtAll()) {
      Value *fails = builder.CreateCall(runtime("bf_rt_fails_on_purpose"),
                                        {frame, builder.getInt32(op.index)});
      holds = builder.CreateAnd(holds, builder.CreateICmpEQ(fails, builder.getInt32(0)));
    }
    builder.CreateCondBr(holds, next, failed);
    builder.SetInsertPoint(failed);
    Value *status =
        builder.CreateCall(runtime("bf_rt_assert_failed"), {frame, builder.getInt32(op.index)});
    leaveStatus->addIncoming(status, failed);
    builder.CreateBr(leave);
    builder.SetInsertPoint(next);
    return;
  }
  case EntryOp::Kind::Dim: {
    runSteps();
    llvm::Type *integer = builder.getInt64Ty();
    auto *type = llvm::FunctionType::get(
        integer, {builder.getPtrTy(), builder.getInt32Ty(), integer}, false);
    values[op.value] =
        builder.CreateCall(module.getOrInsertFunction("bf_rt_dim", type),
                           {frame, builder.getInt32(op.slot), builder.getInt64(op.index)});
    return;
  }
  case EntryOp::Kind::Compute: {
    llvm::SmallVector<Value *, 3> operands;
    for (unsigned k = 0; k < arityOf(op.op); ++k)
      operands.push_back(values[op.op.operands[k]]);
    ElementType first = operands.empty() ? op.op.type : code.values[op.op.operands[0]];
    values[op.value] = emitter.emit(op.op, operands, first);
    return;
  }
  case EntryOp::Kind::Load: {
    runSteps(); // one of them may be what gives the number
    ElementType type = code.values[op.value];
    bool isFloat = type == ElementType::F64;
    Value *loaded = builder.CreateLoad(isFloat ? builder.getDoubleTy() : builder.getInt64Ty(),
                                       scalarAddress(op.index));
    values[op.value] =
        type == ElementType::I1 ? builder.CreateICmpNE(loaded, builder.getInt64(0)) : loaded;
    return;
  }
  case EntryOp::Kind::Save: {
    // No step before this one reads the number: each has a place of its own.
    Value *value = values[op.value];
    if (code.values[op.value] == ElementType::I1)
      value = builder.CreateZExt(value, builder.getInt64Ty());
    builder.CreateStore(value, scalarAddress(op.index));
    return;
  }
  case EntryOp::Kind::Get:
    values[op.value] =
        builder.CreateLoad(variables[op.index]->getAllocatedType(), variables[op.index]);
    return;
  case EntryOp::Kind::Set: builder.CreateStore(values[op.value], variables[op.index]); return;
  default: runSteps(); return lowerControl(op);
  }
}

void EntryLowering::lowerControl(const EntryOp &op) {
  switch (op.kind) {
  case EntryOp::Kind::If: {
    BasicBlock *then = newBlock("then");
    regions.push_back({newBlock("else"), newBlock("endif")});
    builder.CreateCondBr(values[op.value], then, regions.back().other);
    builder.SetInsertPoint(then);
    return;
  }
  case EntryOp::Kind::Else:
    builder.CreateBr(regions.back().end);
    builder.SetInsertPoint(regions.back().other);
    return;
  case EntryOp::Kind::EndIf:
    builder.CreateBr(regions.back().end);
    builder.SetInsertPoint(regions.back().end);
    regions.pop_back();
    return;
  case EntryOp::Kind::Loop:
    regions.push_back({newBlock("loop"), newBlock("endloop")});
    builder.CreateBr(regions.back().other);
    builder.SetInsertPoint(regions.back().other);
    return;
  case EntryOp::Kind::Break: {
    BasicBlock *last = newBlock("break");
    goOn.push_back(newBlock("goon"));
    builder.CreateCondBr(values[op.value], goOn.back(), last);
    builder.SetInsertPoint(last);
    return;
  }
  case EntryOp::Kind::Leave:
    builder.CreateBr(regions.back().end);
    builder.SetInsertPoint(goOn.back());
    goOn.pop_back();
    return;
  case EntryOp::Kind::EndLoop:
    runOne(runtime("bf_rt_poll").getCallee(), builder.getInt32(0));
    builder.CreateBr(regions.back().other);
    builder.SetInsertPoint(regions.back().end);
    regions.pop_back();
    return;
  default: llvm_unreachable("no control flow");
  }
}

llvm::Function *EntryLowering::lower(const std::string &symbol) {
  auto *type = llvm::FunctionType::get(builder.getInt32Ty(), {builder.getPtrTy()}, false);
  function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, symbol, module);
  frame = function->getArg(0);
  BasicBlock *start = newBlock("entry");
  leave = newBlock("leave");
  builder.SetInsertPoint(leave);
  leaveStatus = builder.CreatePHI(builder.getInt32Ty(), 4);
  builder.CreateRet(leaveStatus);
  builder.SetInsertPoint(start);
  scalars = builder.CreateLoad(builder.getPtrTy(), frame); // the frame's first field
  for (ElementType type : code.variables)
    variables.push_back(builder.CreateAlloca(numberType(type)));
  for (const EntryOp &op : code.ops)
    lowerOp(op);
  runSteps();
  leaveStatus->addIncoming(builder.getInt32(0), builder.GetInsertBlock());
  builder.CreateBr(leave);
  return function;
}

} // namespace

llvm::Function *lowerEntry(llvm::Module &module, const std::string &symbol, const EntryCode &code) {
  return EntryLowering(module, code).lower(symbol);
}

} // namespace bifront
