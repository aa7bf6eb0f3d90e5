// The ways through a function that one graph has: at each place where Python had to know an int or
// a bool of the graph, what it was. A path is captured like a function of its own, with the
// decisions of an earlier call in the place of this call's; then all become one graph, which knows
// at its end which path it has taken (passes/merge_paths.h). Only paths that calls have taken are
// in it.
#pragma once

#include "capture/capture.h"
#include "frontend/python_effects.h"
#include "speculate/converted_graph.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <string>
#include <vector>

namespace bifront {

// What capture leaves: the module, the inputs, the shape of the result.
struct Captured {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<CapturedInput> inputs;
  std::map<uint32_t, uint32_t> leafOfInput;
  std::vector<PathEnd> ends; // one for each path
  // For each path, where there are several: the inputs whose `.grad` becomes a result, or nothing.
  std::vector<std::vector<std::pair<uint32_t, std::optional<uint32_t>>>> gradients;
  std::vector<std::pair<uint32_t, bool>> gradPresence;
  std::vector<uint32_t> gradsDroppedFirst;
  CaptureCost cost;
  bool drawsRandomNumbers = false;
  std::vector<std::string> notes;
  std::vector<PythonRead> reads;
  std::vector<SlotInput> slotInputs;
  Varying needed; // numbers that the program asked for
  Path path; // that was captured
  std::vector<Path> paths; // that it has become
  std::optional<std::string> refusal; // why CPython has to run the path
  bool raised = false;                // because it raises
};

// One graph of paths of one function; that of the current call comes first.
Captured mergeCaptured(std::vector<Captured> paths);

} // namespace bifront
