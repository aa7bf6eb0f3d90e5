#include "speculate/forms.h"

#include "passes/merge_paths.h"
#include "speculate/compile_graph.h"

#include <algorithm>

namespace bifront {
namespace {

using Graphs = std::span<const std::shared_ptr<const ConvertedGraph>>;

class Uniter {
public:
  explicit Uniter(Graphs graphs) : graphs_(graphs) {}

  std::vector<std::shared_ptr<const ConvertedGraph>> run() {
    std::vector<CapturedPath> paths;
    std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
    for (uint32_t form = 0; form < graphs_.size(); ++form)
      addForm(form, paths, modules);
    MergedPaths merged = mergePaths(paths, aliasOf_);
    CompiledGraph compiled = compileGraph(*merged.module);
    std::vector<std::shared_ptr<const ConvertedGraph>> united;
    uint32_t firstPath = 0;
    for (uint32_t form = 0; form < graphs_.size(); ++form) {
      united.push_back(seat(form, firstPath, merged, compiled));
      firstPath += graphs_[form]->ends.size();
    }
    return united;
  }

private:
  void addForm(uint32_t form, std::vector<CapturedPath> &paths,
               std::vector<mlir::OwningOpRef<mlir::ModuleOp>> &modules) {
    const CapturedForm &captured = *graphs_[form]->captured;
    auto first = static_cast<uint32_t>(aliasOf_.size());
    firstInputs_.push_back(first);
    for (const auto &alias : captured.aliasOf)
      aliasOf_.push_back(alias ? std::optional(*alias + first) : std::nullopt);
    for (const CapturedForm::OnePath &path : captured.paths) {
      auto original = path.module.get();
      modules.emplace_back(original.clone());
      std::vector<uint32_t> inputs = path.inputs;
      for (uint32_t &input : inputs)
        input += first;
      paths.push_back({*modules.back(), std::move(inputs), path.texts, path.refusal, form});
    }
  }

  std::shared_ptr<const ConvertedGraph> seat(uint32_t form, uint32_t firstPath,
                                             const MergedPaths &merged,
                                             const CompiledGraph &compiled) const {
    auto graph = std::make_shared<ConvertedGraph>(*graphs_[form]);
    graph->executor = compiled.executor;
    graph->source.clear();
    graph->moduleText = compiled.text;
    graph->seat = Seat{.form = form,
                       .firstInput = firstInputs_[form],
                       .numInputs = static_cast<uint32_t>(aliasOf_.size()),
                       .firstPath = firstPath,
                       .paths = {}};
    for (size_t i = 0; i < graph->ends.size(); ++i)
      graph->seat->paths.push_back(endOf(*graph, i, merged.paths[firstPath + i]));
    return graph;
  }

  static Seat::Path endOf(const ConvertedGraph &graph, size_t path,
                          const MergedPaths::Path &merged) {
    Seat::Path end;
    const std::vector<uint32_t> &own = graph.captured->paths[path].results;
    for (size_t i = 0; i < own.size(); ++i) {
      end.results.resize(std::max<size_t>(end.results.size(), own[i] + 1));
      end.results[own[i]] = merged.results[i];
    }
    for (const auto &[input, result] : merged.gradients) {
      const GraphInput &owner = graph.inputs[input - graph.seat->firstInput];
      end.gradients.emplace_back(owner.source, result);
    }
    return end;
  }

  Graphs graphs_;
  Aliases aliasOf_{std::nullopt}; // of all inputs; the first is the form
  std::vector<uint32_t> firstInputs_;
};

} // namespace

std::vector<std::shared_ptr<const ConvertedGraph>> uniteForms(Graphs graphs) {
  return Uniter(graphs).run();
}

} // namespace bifront
