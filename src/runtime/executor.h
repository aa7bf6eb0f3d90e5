// Runs a compiled program.
#pragma once

#include "runtime/program.h"

#include <ATen/core/ivalue.h>

#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace bifront {

struct LinkedProgram;

struct RunResult {
  enum class Status : uint8_t { Done, Threw, AssertionFailed } status = Status::Done;
  std::exception_ptr exception; // Threw
  uint32_t assertion = 0;       // AssertionFailed: index into Program::asserts
  std::string location;         // of the step that failed
};

// May be used by any number of threads at once, and from within one of its own runs.
class Executor {
public:
  // Throws c10::Error where the program calls an operator that torch does not have.
  explicit Executor(std::shared_ptr<const Program> program);
  ~Executor();

  // Inputs are tensors and numbers, one per Program::inputs. They are checked for what memory
  // safety needs (number, kind, dtype, layout, sizes); all else is the caller's prechecks. None
  // stands for an input of a way that the run does not take. Works with and without the GIL.
  // `outputs` is replaced; it is left empty unless the run is Done.
  RunResult run(std::span<const c10::IValue> inputs, std::vector<c10::IValue> &outputs);

  const Program &program() const;
  // Of all runs: what was written elsewhere until every assumption had held, and copied then.
  uint64_t shadowedBytes() const;
  // The most memory that lay on the tapes of one run.
  uint64_t tapeBytes() const;
  // Frames that exist: as many as runs were in progress at once.
  size_t numFrames() const;

private:
  // Which dimensions of the inputs must be equal.
  struct InputCheck {
    std::vector<int32_t> dynamicClass; // per dimension
    c10::Device device = c10::kCPU;
  };
  std::unique_ptr<Frame> takeFrame();
  std::unique_ptr<Frame> takeIdleFrame(); // or a new one
  void bind(Frame &frame, std::span<const c10::IValue> inputs) const;
  void bindTensor(Frame &frame, size_t input, const at::Tensor &tensor,
                  std::span<int64_t> dynamicSizes) const;
  at::Tensor blank(size_t input, std::span<const int64_t> dynamicSizes) const;
  void collect(const Frame &frame, std::vector<c10::IValue> &outputs) const;

  std::unique_ptr<LinkedProgram> linked;
  std::vector<InputCheck> checks;
  size_t numClasses = 0;
  mutable std::mutex mutex;
  std::vector<std::unique_ptr<Frame>> idle; // the last one used is the warmest
  size_t frames = 0;
};

} // namespace bifront
