#include "codegen/print_program.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/Support/raw_ostream.h"

namespace bifront {
namespace {

const char *nameOf(DType type) {
  switch (type) {
  case DType::UInt8: return "ui8";
  case DType::Int8: return "i8";
  case DType::Int16: return "i16";
  case DType::Int32: return "i32";
  case DType::Int64: return "i64";
  case DType::Half: return "f16";
  case DType::Float: return "f32";
  case DType::Double: return "f64";
  case DType::ComplexHalf: return "complex<f16>";
  case DType::ComplexFloat: return "complex<f32>";
  case DType::ComplexDouble: return "complex<f64>";
  case DType::Bool: return "i1";
  case DType::BFloat16: return "bf16";
  }
  return "?";
}

class ProgramPrinter {
public:
  ProgramPrinter(const Program &program, const EntryCode &entry,
                 const std::vector<AssertSpec> &asserts)
      : program(program), entry(entry), asserts(asserts), out(text) {}

  std::string print();

private:
  void slot(SlotId id) { id == kNoSlot ? out << "none" : out << "t" << id; }
  void ref(const OperandRef &operand);
  template <typename Range, typename Print> void list(const Range &range, Print item) {
    llvm::interleave(range, item, [&] { out << ", "; });
  }
  void refs(const std::vector<OperandRef> &operands) {
    list(operands, [&](const OperandRef &operand) { ref(operand); });
  }
  void slots(const std::vector<SlotId> &ids) {
    list(ids, [&](SlotId id) { slot(id); });
  }
  void type(const ValueType &type);
  void release(const std::vector<SlotId> &dead);
  void call(const CallStep &step);
  void kernel(const KernelStep &step);
  void store(const StoreStep &step);
  void move(const MoveStep &step);
  void functionCall(const FunctionStep &step);
  void object(const ObjectStep &step);
  void python(const PythonStep &step);
  void tape(const TapeStep &step);

  void op(const EntryOp &op);
  void control(const EntryOp &op);

  void indent() { out.indent(2 * depth); }

  const Program &program;
  const EntryCode &entry;
  const std::vector<AssertSpec> &asserts;
  unsigned depth = 0; // of regions
  std::string text;
  llvm::raw_string_ostream out;
};

void ProgramPrinter::ref(const OperandRef &operand) {
  switch (operand.kind) {
  case OperandRef::Kind::Tensor: return slot(operand.index);
  case OperandRef::Kind::Int: out << "i" << operand.index; return;
  case OperandRef::Kind::Float: out << "f" << operand.index; return;
  case OperandRef::Kind::Bool: out << "b" << operand.index; return;
  }
}

void ProgramPrinter::type(const ValueType &type) {
  switch (type.kind) {
  case ValueType::Kind::Int: out << "int"; return;
  case ValueType::Kind::Float: out << "float"; return;
  case ValueType::Kind::Bool: out << "bool"; return;
  case ValueType::Kind::None: out << "none"; return;
  case ValueType::Kind::Tape: out << "tape"; return;
  case ValueType::Kind::Tensor: break;
  default: out << "other"; return;
  }
  out << "tensor<";
  for (const Dim &dim : type.tensor.dims)
    (dim.isDynamic() ? out << "?" : out << dim.world[0]) << "x";
  out << nameOf(type.tensor.dtype) << ">";
}

void ProgramPrinter::release(const std::vector<SlotId> &dead) {
  if (dead.empty())
    return;
  out << " release ";
  slots(dead);
}

void ProgramPrinter::call(const CallStep &step) {
  out << "call ";
  refs(step.results);
  out << " = " << step.call.schema << "(";
  refs(step.operands);
  out << ")";
  for (size_t k = 0; k < step.call.written.size(); ++k)
    if (k < step.reuse.size() && step.reuse[k]) {
      out << " over ";
      ref(step.operands[step.call.written[k]]);
    } else if (k < step.reuseOwn.size() && step.reuseOwn[k]) {
      out << " over its own ";
      ref(step.operands[step.call.written[k]]);
    }
  release(step.release);
  out << "\n";
}

void ProgramPrinter::kernel(const KernelStep &step) {
  out << "kernel ";
  slots(step.outputs);
  out << " = " << step.symbol << "(";
  list(llvm::seq<size_t>(0, step.inputs.size()), [&](size_t k) {
    slot(step.inputs[k]);
    if (!step.access.empty() && step.access[k] != InnerAccess::Contiguous)
      out << (step.access[k] == InnerAccess::Broadcast ? " broadcast" : " strided");
  });
  for (size_t k = 0; k < step.scalars.size(); ++k) {
    out << (k == 0 && step.inputs.empty() ? "" : ", ");
    ref(step.scalars[k]);
  }
  out << ")";
  if (!step.sizes.empty()) {
    out << " sizes ";
    refs(step.sizes);
  }
  for (size_t k = 0; k < step.inPlace.size(); ++k)
    if (step.inPlace[k] >= 0) {
      out << " ";
      slot(step.outputs[k]);
      out << " over ";
      slot(step.inputs[step.inPlace[k]]);
    }
  release(step.release);
  out << "\n";
}

void ProgramPrinter::store(const StoreStep &step) {
  out << "store ";
  slot(step.value);
  out << " to ";
  slot(step.target);
  if (!step.attribute.empty())
    out << "." << step.attribute;
  out << "\n";
}

void ProgramPrinter::functionCall(const FunctionStep &step) {
  out << "function ";
  refs(step.results);
  out << " = " << step.function << "(";
  refs(step.operands);
  out << ")";
  release(step.release);
  out << "\n";
}

void ProgramPrinter::object(const ObjectStep &step) {
  static constexpr const char *names[] = {"attribute", "item",    "has_item", "item",
                                          "has_item",  "length",  "unbox",    "is_method",
                                          "is_class",  "is_equal"};
  ref(step.result);
  out << " = " << names[static_cast<size_t>(step.read.kind)];
  if (!step.read.name.empty())
    out << " ." << step.read.name;
  for (uint32_t operand : step.operands)
    out << " s" << operand;
  out << "\n";
}

void ProgramPrinter::python(const PythonStep &step) {
  out << "s" << step.result << " = python " << step.call.name << " s" << step.callee << "(";
  refs(step.operands);
  out << ")";
  release(step.release);
  out << "\n";
}

void ProgramPrinter::tape(const TapeStep &step) {
  if (step.action == TapeStep::Action::Start) {
    out << "tape ";
    slot(step.tape);
  } else if (step.action == TapeStep::Action::Push) {
    out << "push ";
    slot(step.tape);
    out << "(";
    refs(step.values);
    out << ")";
  } else {
    out << (step.action == TapeStep::Action::PopRows ? "pop rows " : "pop ");
    refs(step.values);
    out << " = ";
    slot(step.tape);
  }
  release(step.release);
  out << "\n";
}

void ProgramPrinter::move(const MoveStep &step) {
  out << "move ";
  list(step.pairs, [&](const MoveStep::Pair &pair) {
    slot(pair.to);
    out << " = ";
    slot(pair.from);
  });
  release(step.release);
  out << "\n";
}

void ProgramPrinter::control(const EntryOp &op) {
  using Kind = EntryOp::Kind;
  if (op.kind == Kind::Else || op.kind == Kind::EndIf || op.kind == Kind::EndLoop ||
      op.kind == Kind::Leave)
    --depth;
  if (op.kind == Kind::EndIf)
    return;
  indent();
  switch (op.kind) {
  case Kind::If: out << "if v" << op.value << "\n"; break;
  case Kind::Else: out << "else\n"; break;
  case Kind::Loop: out << "loop\n"; break;
  case Kind::Break: out << "if not v" << op.value << "\n"; break;
  case Kind::Leave: out << "  leave\n"; return;
  default: out << "again\n"; return;
  }
  ++depth;
}

// Arithmetic on numbers is machine code only, and not listed.
void ProgramPrinter::op(const EntryOp &op) {
  if (op.kind >= EntryOp::Kind::If)
    return control(op);
  if (op.kind == EntryOp::Kind::Compute ||
      (op.kind == EntryOp::Kind::Release && program.releases[op.index].release.empty()))
    return;
  indent();
  switch (op.kind) {
  case EntryOp::Kind::Move: return move(program.moves[op.index]);
  case EntryOp::Kind::Function: return functionCall(program.functionCalls[op.index]);
  case EntryOp::Kind::Tape: return tape(program.tapeSteps[op.index]);
  case EntryOp::Kind::Release:
    out << "dead:";
    release(program.releases[op.index].release);
    out << "\n";
    return;
  case EntryOp::Kind::Get: out << "get v" << op.value << " = variable " << op.index << "\n"; return;
  case EntryOp::Kind::Set: out << "set variable " << op.index << " = v" << op.value << "\n"; return;
  case EntryOp::Kind::Call: return call(program.calls[op.index]);
  case EntryOp::Kind::Kernel: return kernel(program.kernels[op.index]);
  case EntryOp::Kind::Store: return store(program.stores[op.index]);
  case EntryOp::Kind::Object: return object(program.objectReads[op.index]);
  case EntryOp::Kind::Python: return python(program.pythonCalls[op.index]);
  case EntryOp::Kind::Assert:
    out << "assert v" << op.value << ", \"" << asserts[op.index].message << "\"\n";
    return;
  case EntryOp::Kind::Dim:
    out << "dim v" << op.value << " = t" << op.slot << "[" << op.index << "]\n";
    return;
  case EntryOp::Kind::Load: out << "load v" << op.value << " = scalar " << op.index << "\n"; return;
  case EntryOp::Kind::Save:
    out << "save v" << op.value << " to scalar " << op.index << "\n";
    return;
  default: return;
  }
}

std::string ProgramPrinter::print() {
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    out << "input ";
    ref(program.inputPlaces[i]);
    out << ": ";
    type(program.inputs[i].type);
    out << " \"" << program.inputs[i].name << "\"\n";
  }
  for (SlotId id = program.inputs.size(); id < program.slots.size(); ++id) {
    const TensorSlot &slot = program.slots[id];
    out << "slot t" << id << ": ";
    type(slot.type);
    if (slot.offset >= 0)
      out << " at " << slot.offset << " bytes " << slot.bytes;
    out << "\n";
  }
  for (const EntryOp &step : entry.ops)
    op(step);
  out << "return ";
  refs(program.returns);
  out << "\narena " << program.arenaBytes << " bytes, " << program.numScalars << " scalars\n";
  return std::move(text);
}

} // namespace

std::string printProgram(const Program &program, const EntryCode &entry,
                         const std::vector<AssertSpec> &asserts) {
  return ProgramPrinter(program, entry, asserts).print();
}

} // namespace bifront
