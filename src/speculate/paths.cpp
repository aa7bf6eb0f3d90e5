#include "speculate/paths.h"

#include "passes/merge_paths.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace bifront {
namespace {

class Merger {
public:
  Captured run(std::vector<Captured> paths) {
    std::vector<CapturedPath> modules;
    for (Captured &path : paths)
      modules.push_back({*path.module, takeInputs(path), path.refusal});
    MergedPaths merged = mergePaths(modules, aliases());
    all_.module = std::move(merged.module);
    for (size_t i = 0; i < paths.size(); ++i)
      take(paths[i], modules[i].inputs, merged.paths[i]);
    return std::move(all_);
  }

private:
  // What makes an input the same in two paths.
  using Key = std::tuple<CapturedInput::Kind, const void *, uint32_t>;

  std::vector<uint32_t> takeInputs(const Captured &path) {
    std::vector<uint32_t> numbers;
    for (uint32_t i = 0; i < path.inputs.size(); ++i) {
      CapturedInput input = path.inputs[i];
      auto leaf = path.leafOfInput.find(i);
      bool isLeaf = leaf != path.leafOfInput.end();
      Key key{input.kind, isLeaf ? nullptr : input.tensor.unsafeGetTensorImpl(),
              isLeaf ? leaf->second : 0};
      auto [known, isNew] = numbers_.try_emplace(key, all_.inputs.size());
      numbers.push_back(known->second);
      if (!isNew)
        continue;
      if (isLeaf)
        all_.leafOfInput.emplace(known->second, leaf->second);
      if (input.kind == CapturedInput::Kind::Grad)
        input.owner = numbers[input.owner];
      all_.inputs.push_back(std::move(input));
    }
    return numbers;
  }

  std::vector<std::optional<uint32_t>> aliases() const {
    std::vector<std::optional<uint32_t>> aliasOf(all_.inputs.size());
    std::map<const void *, uint32_t> byMemory;
    for (uint32_t i = 0; i < all_.inputs.size(); ++i) {
      const at::Tensor &tensor = all_.inputs[i].tensor;
      if (!tensor.defined() || tensor.numel() == 0)
        continue;
      auto [first, isNew] = byMemory.try_emplace(tensor.storage().unsafeGetStorageImpl(), i);
      if (!isNew)
        aliasOf[i] = first->second;
    }
    return aliasOf;
  }

  void take(Captured &path, const std::vector<uint32_t> &inputs,
            const MergedPaths::Path &merged) {
    const std::vector<uint32_t> &results = merged.results;
    for (PathEnd &end : path.ends)
      for (GraphResult &result : end.results) {
        if (result.kind == GraphResult::Kind::Input)
          result.index = inputs[result.index];
        else if (result.kind != GraphResult::Kind::Leaf)
          result.index = results[result.index];
      }
    if (path.ends.empty())
      path.ends.emplace_back(); // nobody gets there
    all_.ends.push_back(std::move(path.ends[0]));
    all_.gradients.push_back(merged.gradients);
    all_.paths.push_back(std::move(path.path));
    for (const auto &[input, defined] : path.gradPresence) {
      std::pair presence{inputs[input], defined};
      if (std::find(all_.gradPresence.begin(), all_.gradPresence.end(), presence) ==
          all_.gradPresence.end())
        all_.gradPresence.push_back(presence);
    }
    all_.cost.ops += path.cost.ops;
    all_.cost.seconds += path.cost.seconds;
    all_.drawsRandomNumbers = all_.drawsRandomNumbers || path.drawsRandomNumbers;
    for (std::string &note : path.notes)
      if (std::find(all_.notes.begin(), all_.notes.end(), note) == all_.notes.end())
        all_.notes.push_back(std::move(note));
    for (PythonRead &read : path.reads)
      if (isNewRead(read))
        all_.reads.push_back(std::move(read));
    for (SlotInput &input : path.slotInputs)
      if (std::none_of(all_.slotInputs.begin(), all_.slotInputs.end(), [&](const SlotInput &known) {
            return Varying{{}, {known.slot}}.has(input.slot); // two slots may be one input
          }))
        all_.slotInputs.push_back(std::move(input));
  }

  bool isNewRead(const PythonRead &read) {
    return reads_
        .emplace(static_cast<int>(read.kind), static_cast<int>(read.slot.kind),
                 read.slot.object.get(), read.slot.key.get(), read.value.get())
        .second;
  }

  Captured all_;
  std::map<Key, uint32_t> numbers_;
  std::set<std::tuple<int, int, PyObject *, PyObject *, PyObject *>> reads_;
};

} // namespace

Captured mergeCaptured(std::vector<Captured> paths) { return Merger().run(std::move(paths)); }

} // namespace bifront
