#include "codegen/apply_memory_plan.h"

#include <algorithm>

namespace bifront {

static void reuse(CallStep &step, size_t written, bool checked) {
  if (!checked) {
    step.reuse[written] = true;
    return;
  }
  step.reuseOwn.resize(step.reuse.size());
  step.reuseOwn[written] = true;
}

void applyMemoryPlan(BuiltProgram &built, const MemoryPlan &plan) {
  Program &program = built.program;
  for (SlotId slot = 0; slot < program.slots.size(); ++slot)
    program.slots[slot].offset = plan.offsets[slot];
  program.arenaBytes = plan.arenaBytes;
  for (size_t k = 0; k < built.memorySteps.size(); ++k) {
    const EntryOp &op = built.entry.ops[built.stepOps[k]];
    if (op.kind == EntryOp::Kind::Call) {
      CallStep &step = program.calls[op.index];
      step.release = plan.release[k];
      for (const Overwrite &overwrite : plan.granted[k])
        for (size_t w = 0; w < step.call.written.size(); ++w)
          if (step.operands[step.call.written[w]].index == overwrite.dying &&
              step.results[step.results.size() - step.call.written.size() + w].index ==
                  overwrite.result)
            reuse(step, w, overwrite.checked);
    } else if (op.kind == EntryOp::Kind::Kernel) {
      KernelStep &step = program.kernels[op.index];
      step.release = plan.release[k];
      for (const Overwrite &overwrite : plan.granted[k]) {
        auto output = std::find(step.outputs.begin(), step.outputs.end(), overwrite.result);
        auto input = std::find(step.inputs.begin(), step.inputs.end(), overwrite.dying);
        step.inPlace[output - step.outputs.begin()] =
            static_cast<int32_t>(input - step.inputs.begin());
      }
    } else if (op.kind == EntryOp::Kind::Move) {
      program.moves[op.index].release = plan.release[k];
    } else if (op.kind == EntryOp::Kind::Function) {
      program.functionCalls[op.index].release = plan.release[k];
    } else if (op.kind == EntryOp::Kind::Python) {
      program.pythonCalls[op.index].release = plan.release[k];
    } else if (op.kind == EntryOp::Kind::Tape) {
      program.tapeSteps[op.index].release = plan.release[k];
    } else if (op.kind == EntryOp::Kind::Release) {
      program.releases[op.index].release = plan.release[k];
    }
  }
}

} // namespace bifront
