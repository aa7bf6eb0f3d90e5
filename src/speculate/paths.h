// The ways through a function that one graph has: at each place where Python had to know an int or
// a bool of the graph, what it was. A path is captured like a function of its own, with the
// decisions of an earlier call in the place of this call's; then all become one graph, which knows
// at its end which path it has taken (passes/merge_paths.h). Only paths that calls have taken are
// in it.
#pragma once

#include "capture/capture.h"
#include "frontend/interpreter.h"
#include "passes/split_backward.h"
#include "speculate/converted_graph.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bifront {

struct CapturedForm;

// What capture leaves: the module, the inputs, the shape of the result.
struct Captured {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<CapturedInput> inputs;
  std::map<uint32_t, uint32_t> leafOfInput;
  std::vector<PathEnd> ends; // one for each path
  // For each path, where there are several: the inputs whose `.grad` becomes a result, or nothing.
  std::vector<std::vector<std::pair<uint32_t, std::optional<uint32_t>>>> gradients;
  std::vector<std::pair<uint32_t, bool>> gradPresence;
  std::vector<std::pair<uint32_t, uint32_t>> sharedGrads; // an owner of a `.grad`, an input
  std::vector<uint32_t> gradsDroppedFirst;
  CaptureCost cost;
  bool drawsRandomNumbers = false;
  uint32_t framesPerCall = 0; // of CPython, for each call of a function of the graph
  std::vector<std::string> notes;
  std::vector<PythonRead> reads;
  std::vector<SlotInput> slotInputs;
  std::set<uint32_t> bareLeaves; // tensors that the program has asked for attributes of their own
  Varying needed;                // numbers that the program asked for
  Varying changes;               // slots that vary because the call changes what it finds there
  Varying unused;                // inputs that a single path does without
  std::optional<TrainableResults> trainable;
  BackwardSplit split;                      // of these
  Path path;                                // that was captured
  std::vector<Path> paths;                  // that it has become
  std::optional<std::string> refusal;       // why CPython has to run the path
  bool raised = false;                      // because it raises
  std::shared_ptr<const CapturedForm> form; // null where no other can join it
};

// Leaves the decisions of a path in the graph: those of `forced`, and what is foreseen of this call
// behind its end and where it lacks one, which then is added to it.
std::function<std::optional<int64_t>(ValueId, const std::string &)>
decisions(GraphRecorder &recorder, Capture &capture, Captured &captured, Path &forced,
          std::function<std::optional<c10::Scalar>(ValueId)> foresee);
// Drops what a path does behind its last decision, where CPython has to run it.
void dropUndecided(mlir::ModuleOp module);

// Captures the path of an earlier call, that begins with these decisions, or (null) this call's;
// throws ConversionError.
using CapturePath = std::function<void(Captured &, const Path *)>;
// One graph of this call's path and `others`, as far as these can be captured for its arguments.
// `policies` are those of the capture.
Captured capturePaths(const CapturePath &capture, const Policies *policies,
                      const std::vector<Path> &others);

// Where an input comes from.
TensorSource sourceOf(const Captured &captured, uint32_t input);
// Gives the graph what its paths leave behind.
void bindEnds(ConvertedGraph &graph, Captured &captured);

} // namespace bifront
