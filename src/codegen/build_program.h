// From a function of the graph to the steps of a Program: each tensor value gets a slot, each
// bf.aten a CallStep, each bf.pointwise a KernelStep. What is computed on numbers stays code (see
// lower_entry.h).
#pragma once

#include "codegen/kernel_body.h"
#include "codegen/lower_entry.h"
#include "codegen/plan_memory.h"
#include "runtime/program.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"

#include <memory>
#include <vector>

namespace bifront {

struct BuiltProgram {
  Program program; // without code, offsets and releases
  EntryCode entry;
  std::vector<std::shared_ptr<const KernelBody>> kernelBodies; // per kernel step

  // For the memory plan: each slot, and each op of `entry` that uses slots.
  std::vector<MemorySlot> memorySlots;
  std::vector<MemoryStep> memorySteps;
  std::vector<uint32_t> stepOps; // per memory step: its number in entry.ops
};

// The functions that the first one of a module calls, by name and number.
using FunctionNumbers = llvm::StringMap<uint32_t>;

// Assertions go to `asserts`, which the functions of a module share. Throws CodegenError for what
// has no native code yet.
BuiltProgram buildProgram(mlir::func::FuncOp function, const FunctionNumbers &functions,
                          std::vector<AssertSpec> &asserts);

} // namespace bifront
