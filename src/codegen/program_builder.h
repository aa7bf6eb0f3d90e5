// How a function of the graph becomes a program, op by op: what build_program.cpp and
// build_control_flow.cpp have in common.
#pragma once

#include "codegen/build_program.h"
#include "ir/aten_op.h"
#include "ir/object_ops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

namespace bifront {

// Objects are passed on by their addresses.
inline bool isNumber(mlir::Type type) {
  return type.isF64() || type.isInteger(64) || type.isInteger(1) || mlir::isa<bf::ObjectType>(type);
}

class ProgramBuilder {
public:
  ProgramBuilder(mlir::func::FuncOp function, const FunctionNumbers &functions,
                 std::vector<AssertSpec> &asserts)
      : function(function), program(built.program), functions(functions), asserts(asserts) {}

  BuiltProgram build();

private:
  void addInputs();
  void visit(mlir::Operation *op);
  void visitCall(bf::AtenOp op);
  int32_t packedRightOf(bf::AtenOp op);
  void visitFunctionCall(mlir::func::CallOp op);
  void visitTape(mlir::Operation *op);
  void popRows(bf::PopRowsOp op, TapeStep step, MemoryStep memory);
  void visitKernel(bf::PointwiseOp op);
  void visitStore(bf::StoreOp op);
  void visitStoreAttr(bf::StoreAttrOp op);
  void visitAssert(bf::AssertOp op);
  void visitDim(bf::DimOp op);
  void visitObjectRead(mlir::Operation *op, const ObjectRead &read);
  void visitPythonCall(bf::PycallOp op);
  void visitIsSame(bf::IsSameOp op);
  void visitReturn(mlir::func::ReturnOp op);
  void visitBody(mlir::Block &block);
  void visitIf(mlir::scf::IfOp op);
  void visitSelect(mlir::arith::SelectOp op);
  void visitWhile(mlir::scf::WhileOp op);

  // Where regions leave the values that they hand on: per value a slot (perhaps kNoSlot: nobody
  // wants it), or the variable of a number.
  using Places = llvm::SmallVector<uint32_t>;
  Places placesFor(mlir::ValueRange values);
  // Steps that bring `values` to the places, and code that takes numbers from there.
  void hand(mlir::ValueRange values, llvm::ArrayRef<uint32_t> to);
  void receive(mlir::ValueRange values, llvm::ArrayRef<uint32_t> from);
  // The two sides of a branch: `side` makes its steps and hands its values to the places.
  using BranchSide = llvm::function_ref<void(bool holds, llvm::ArrayRef<uint32_t> places)>;
  void choose(mlir::Value condition, mlir::ValueRange results, BranchSide side);
  void leaveLoop(mlir::ValueRange values, llvm::ArrayRef<uint32_t> to,
                 llvm::ArrayRef<uint32_t> carried);
  void releaseNow(llvm::ArrayRef<uint32_t> dead);
  // What a branch uses and nobody behind it on this path: each side has it for itself.
  llvm::SmallVector<mlir::Value> endingIn(mlir::scf::IfOp op);
  Places takeOver(llvm::ArrayRef<mlir::Value> values); // gives the slots that they had
  void openRegion() { regions.push_back({static_cast<SlotId>(program.slots.size()), {}}); }
  void closeRegion();
  void control(EntryOp::Kind kind, uint32_t value = 0) {
    built.entry.ops.push_back({kind, 0, value});
  }

  SlotId addSlot(mlir::Type type);
  SlotId slotOf(mlir::Value value) const { return slots.lookup(value); }
  bool hasSlot(mlir::Value value) const { return slots.count(value) != 0; }
  // The tensor is returned or becomes an attribute.
  void leave(mlir::Value value, mlir::Operation *op, unsigned tensorNumber);
  OperandRef operandRef(mlir::Value value);
  OperandRef resultRef(mlir::Value value);
  uint32_t numberOf(mlir::Value value);
  // The place in the frame where steps find the number.
  uint32_t frameScalar(mlir::Value value);
  uint32_t constantScalar(int64_t value);
  uint32_t dimScalar(SlotId slot, int64_t index);
  void compute(mlir::Operation *op);
  void addStep(EntryOp::Kind kind, uint32_t index, MemoryStep step);
  void addMemoryStep(MemoryStep step); // of the last op
  void setNumber(mlir::Value value, uint32_t number) {
    numbers[value] = number;
    numbered.push_back(value);
  }
  void setPlace(mlir::Value value, uint32_t place) {
    places[value] = place;
    placed.push_back(value);
  }
  std::vector<InnerAccess> accessOf(bf::PointwiseOp op) const;
  std::vector<OperandRef> sizesOf(bf::PointwiseOp op);
  OperandRef sizeLike(const Dim &dim, bf::PointwiseOp op);
  void offerOverwrites(bf::PointwiseOp op, const KernelStep &step, MemoryStep &memory) const;
  // The input that a store gives the value's contents, if it is the only such store and input.
  mlir::Value storedTo(mlir::Value value) const;

  mlir::func::FuncOp function;
  BuiltProgram built;
  Program &program;
  const FunctionNumbers &functions;
  std::vector<AssertSpec> &asserts;
  llvm::DenseMap<mlir::Value, SlotId> slots;
  llvm::DenseMap<mlir::Value, int32_t> packedRights;
  llvm::DenseMap<mlir::Value, uint32_t> numbers; // in entry.values
  llvm::DenseMap<mlir::Value, uint32_t> places;  // of numbers, in the frame
  std::vector<mlir::Value> numbered, placed;     // what they got, in that order

  // What code in a region found out of numbers holds only there.
  class NumberScope {
  public:
    explicit NumberScope(ProgramBuilder &builder)
        : builder(builder), numbered(builder.numbered.size()), placed(builder.placed.size()) {}
    ~NumberScope();
    NumberScope(const NumberScope &) = delete;

  private:
    ProgramBuilder &builder;
    size_t numbered, placed;
  };
  // The branches of an scf.if, or a loop. Slots that are older and used inside die behind it: the
  // other branch has not used them, and the next iteration will.
  struct Region {
    SlotId firstSlot;
    llvm::SmallSetVector<SlotId, 8> olderSlots;
  };
  std::vector<Region> regions;
  llvm::DenseSet<mlir::Value> takenOver; // by the branch at hand: they end in it
};

} // namespace bifront
