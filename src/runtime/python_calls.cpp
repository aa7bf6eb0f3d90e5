#include "runtime/python_calls.h"

#include "runtime/frame.h"
#include "support/fail_nth.h"

#include <atomic>

namespace bifront {

static std::atomic<CallPython> given{nullptr};

void setPythonCalls(CallPython call) { given = call; }

CallPython pythonCalls() {
  CallPython call = given;
  TORCH_CHECK(call, "the graph calls Python functions, and there is no Python");
  return call;
}

void Frame::callPython(uint32_t index) {
  const PythonStep &step = program.pythonCalls[index];
  run.location = step.location;
  throwOnPurpose(Failure::Opaque);
  std::vector<c10::IValue> operands;
  for (const OperandRef &operand : step.operands)
    switch (operand.kind) {
    case OperandRef::Kind::Tensor: // others may write where it lies, as soon as it is dead
      operands.emplace_back(slots[operand.index].clone());
      break;
    case OperandRef::Kind::Int: operands.emplace_back(scalars[operand.index].i); break;
    case OperandRef::Kind::Float: operands.emplace_back(scalars[operand.index].f); break;
    case OperandRef::Kind::Bool: operands.emplace_back(scalars[operand.index].i != 0); break;
    }
  scalars[step.result].i = pythonCalls()(step.call, scalars[step.callee].i, operands, run.held);
  release(step.release);
}

} // namespace bifront
