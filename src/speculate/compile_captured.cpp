#include "speculate/compile_captured.h"

#include "speculate/compile_later.h"
#include "speculate/kept_passes.h"

#include <algorithm>
#include <optional>

namespace bifront {
namespace {

// Takes the program of a graph that is the same but for the objects that it is about.
bool takeProgram(ConvertedGraph &graph, const Captured &captured,
                 const std::vector<std::shared_ptr<const ConvertedGraph>> &others) {
  graph.source = sourceHashOf(*captured.module);
  auto same = std::ranges::find(others, graph.source, [](const auto &one) { return one->source; });
  if (same == others.end())
    return false;
  graph.executor = (*same)->executor;
  graph.moduleText = (*same)->moduleText;
  return true;
}

} // namespace

void compileModule(Captured &captured, ConvertedGraph &graph, const ConversionRequest &request) {
  if (request.options.walked && !captured.trainable &&
      takeProgram(graph, captured, request.ofOthers))
    return;
  LaterCompiler *later = request.later;
  BackwardSplit *split = captured.trainable ? &captured.split : nullptr;
  if (split) // before the passes
    captured.trainable->again =
        std::make_unique<GradientsAgain>(*captured.module, split->numResults);
  std::optional<CompiledGraph> earlier;
  if (later)
    earlier = later->take(*captured.module, split);
  CompiledGraph compiled = earlier ? std::move(*earlier) : compileGraph(*captured.module, split);
  graph.executor = std::move(compiled.executor);
  graph.moduleText = std::move(compiled.text);
  if (!captured.trainable)
    return;
  TrainableResults &trainable = *captured.trainable;
  trainable.savedInputs = std::move(captured.split.savedInputs);
  trainable.readers = std::move(captured.split.readers);
  trainable.meets = std::move(captured.split.meets);
  trainable.gradients = std::move(compiled.gradients);
  graph.trainable = std::make_shared<TrainableResults>(std::move(trainable));
}

} // namespace bifront
