// The native function of a graph as plain data: the order of its steps, and the numbers it computes
// in between.
#pragma once

#include "codegen/element_op.h"
#include "runtime/program.h"

#include <string>
#include <vector>

namespace llvm {
class Function;
class Module;
} // namespace llvm

namespace bifront {

struct EntryOp {
  enum class Kind : uint8_t {
    Call,
    Kernel,
    Store,    // run step `index` of the program; a status other than 0 ends the graph
    Assert,   // number `index` of the program's assertions fails where `value` is false
    Dim,      // `value` = size of dimension `index` of the tensor in `slot`
    Compute,  // `value` = op
    Load,     // `value` = scalar `index` of the frame
    Save,     // scalar `index` of the frame = `value`
    Get,      // `value` = variable `index`, a number that regions hand on
    Set,      // variable `index` = `value`
    Move,     // run move `index`
    Function, // run function call `index`
    Tape,     // run tape step `index`
    Release,  // run release `index`
    Object,   // run read of an object `index`
    Python,   // run opaque call `index`
    If,       // up to Else only where `value` holds, from there to EndIf only where not
    Else,
    EndIf,
    Loop,  // again from here on at EndLoop
    Break, // up to Leave only where `value` does not hold
    Leave, // goes on behind EndLoop
    EndLoop,
  };
  Kind kind;
  uint32_t index = 0;
  uint32_t value = 0; // numbers are numbered in the order of their definition
  SlotId slot = kNoSlot;
  ElementOp op{};
};

struct EntryCode {
  std::vector<EntryOp> ops;
  std::vector<ElementType> values; // the types of the numbers
  std::vector<ElementType> variables;

  uint32_t newValue(ElementType type) {
    values.push_back(type);
    return values.size() - 1;
  }
  uint32_t newVariable(ElementType type) {
    variables.push_back(type);
    return variables.size() - 1;
  }
};

// Makes a function of EntryFn's signature.
llvm::Function *lowerEntry(llvm::Module &module, const std::string &symbol, const EntryCode &code);

} // namespace bifront
