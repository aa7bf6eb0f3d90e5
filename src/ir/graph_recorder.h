// Builds a function of the graph op by op. The only door from capture (which knows torch) into the
// IR; this header names neither torch nor MLIR.
#pragma once

#include "support/aten_call.h"
#include "support/tensor_type.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlir {
class Block;
class MLIRContext;
class ModuleOp;
class Value;
} // namespace mlir

namespace bifront {

using ValueId = uint32_t;

enum class ScalarOp : uint8_t {
  Add,
  Sub,
  Mul,
  TrueDiv,
  FloorDiv,
  Mod,
  Pow,
  Neg,
  Sqrt,
  Min,
  Max, // int or float, as Python's
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  And,
  Or,
  Not,
  ToInt,
  ToFloat,
  ToBool,
  Floor,
  Ceil,
  Round,
  Trunc,
  Exp,
  Log,
  Sin,
  Cos,
  Tanh,
};

struct SourceLine {
  std::string file;
  int line = 0;
};

class GraphRecorder {
public:
  // Starts `func.func @name` in a new module.
  GraphRecorder(mlir::MLIRContext &context, std::string_view name);
  ~GraphRecorder();

  // `name` says where the value comes from, for people: "x", "model.conv1.weight".
  ValueId addInput(const ValueType &type, std::string_view name, bool requiresGrad);
  // The memory of the input `input` overlaps that of the input `other`, in a way that graphs do not
  // say.
  void aliasInput(ValueId input, ValueId other);
  // Results behind `results` are not made for writes here: functionalisation is a pass, so what is
  // recorded mutates. `noGrad`: grad mode was off.
  std::vector<ValueId> aten(const AtenCall &call, std::span<const ValueId> operands,
                            std::span<const ValueType> results, bool noGrad);
  ValueId dim(ValueId tensor, int64_t index);
  // The int `number`, as a size that stands for it in the two worlds.
  ValueId size(ValueId number, const Dim &worlds);
  ValueId constantInt(int64_t value);
  ValueId constantFloat(double value);
  ValueId constantBool(bool value);
  ValueId scalar(ScalarOp op, std::span<const ValueId> operands);
  // The graph is valid only where `condition` holds.
  void assertTrue(ValueId condition, std::string_view message);
  // What is recorded from here on is the path on which the int or bool `value` is `outcome`.
  void decide(ValueId value, int64_t outcome);
  // From enterBlock() to leaveBlock() ops are recorded into a block of their own, which becomes
  // part of a branch or a loop, or is let go with all its ops. What is made there is a value of the
  // graph only there.
  class Block;
  using BlockPtr = std::unique_ptr<Block, void (*)(Block *)>;
  // `first`: what its arguments are when it first runs.
  std::vector<ValueId> enterBlock(std::span<const ValueId> first = {});
  BlockPtr leaveBlock();
  // Goes on with a block that was left.
  void reenterBlock(BlockPtr block);
  // `scf.if`; the values of the two blocks must have the same types.
  std::vector<ValueId> branch(ValueId condition, BlockPtr then, std::span<const ValueId> thenValues,
                              BlockPtr otherwise, std::span<const ValueId> otherwiseValues);
  // `scf.while`: both blocks take the carried values. `header` ends with whether to go on.
  std::vector<ValueId> loop(std::span<const ValueId> initial, BlockPtr header, ValueId goesOn,
                            BlockPtr body, std::span<const ValueId> next);
  // Functions of the graph. A block that is left becomes the body of one, whose parameters are the
  // block's arguments; what it uses of values around it is handed to it by each of its calls. It
  // may call itself while it is recorded: by a name of newFunction(), before the body is known.
  std::string newFunction(std::string_view name);
  std::vector<ValueId> callItself(std::string_view function, std::span<const ValueId> operands,
                                  std::span<const ValueType> results);
  void defineFunction(std::string_view function, BlockPtr body, std::span<const ValueId> returns);
  std::vector<ValueId> callFunction(std::string_view function, std::span<const ValueId> operands);
  // Whether `value` may be used by what is recorded next.
  bool isUsable(ValueId value) const;
  // Values that are made from here on have this number, or a higher one.
  ValueId numValues() const;

  // Reads of Python objects; `type`, `function` and `constant` are objects as well.
  ValueId readAttribute(ValueId object, std::string_view name, ValueId type);
  ValueId readItem(ValueId object, ValueId index);
  ValueId hasItem(ValueId dict, ValueId key);
  ValueId lengthOf(ValueId object);
  ValueId unbox(ValueId object, const ValueType &as, std::span<const ValueId> sizes = {});
  ValueId isMethod(ValueId object, std::string_view name, ValueId type, ValueId function);
  ValueId isSame(ValueId left, ValueId right);
  ValueId isOfClass(ValueId object, ValueId type);
  ValueId isEqual(ValueId object, ValueId constant);
  // An opaque call; gives the object that it returns. `keywords`: names of the last operands.
  // `site`: which expression of the program makes it; may be empty.
  ValueId callPython(std::string_view name, ValueId callee, std::span<const ValueId> operands,
                     std::span<const std::string> keywords, std::string_view site);
  // The value of a bool that is a constant of the graph.
  std::optional<bool> constantOf(ValueId value) const;
  std::optional<int64_t> constantIntOf(ValueId value) const;

  // Gradients of sum_i <outputs[i], seeds[i]> with respect to `wrt`; an empty seed list means ones.
  // Bools: to which of `wrt` the histories of the outputs lead in a run.
  std::vector<ValueId> reached(std::span<const ValueId> outputs, std::span<const ValueId> wrt);
  std::vector<ValueId> grad(std::span<const ValueId> outputs, std::span<const ValueId> seeds,
                            std::span<const ValueId> wrt, bool createGraph);
  // Sets the attribute `name` of the Python tensor object that came in as `target`.
  void storeAttr(ValueId target, std::string_view name, std::optional<ValueId> value);

  void setLocation(const SourceLine &line);
  ValueType typeOf(ValueId value) const;
  size_t numInputs() const;

  // Whether the number follows from numbers and sizes that are inputs, without any computing on
  // tensors.
  bool isArithmetic(ValueId number) const;
  // A module of its own, the caller's: what was recorded so far, returning `value`. Open blocks are
  // taken to be what is run.
  mlir::ModuleOp upTo(ValueId value) const;

  // For those who run along with what is recorded: the function's ops so far, of which none go
  // again, a value among them, and the blocks that are open, the outermost first.
  struct OpenBlock {
    mlir::Block *ops;
    std::vector<mlir::Value> first; // what its arguments are when it first runs
  };
  mlir::Block &recordedOps() const;
  mlir::Value recordedValue(ValueId value) const;
  std::vector<OpenBlock> openBlocks() const;

  // Ends the function; the recorder is spent. The caller owns the module (mlir::OwningOpRef adopts
  // it).
  mlir::ModuleOp finish(std::span<const ValueId> returns);

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace bifront
