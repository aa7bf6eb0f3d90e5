// Forms of a call: what the checks at the entry tell apart - a list of another length among the
// arguments, None or a tensor in an attribute, a gradient that is there or not. Each form is
// captured on its own, with all that is known of it; then they become one graph, whose first input
// is the number of the form that a call has, and decides its path (docs/decisions/021).
#pragma once

#include "speculate/converted_graph.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bifront {

// For each input, another that shares memory with it.
using Aliases = std::vector<std::optional<uint32_t>>;

// Each form that comes makes all of them anew: together they have no more ops than this.
constexpr uint64_t kMostOpsOfForms = 800;

// What a graph was made of, without the call's tensors.
struct CapturedForm {
  struct OnePath {
    mlir::OwningOpRef<mlir::ModuleOp> module;
    std::vector<uint32_t> inputs; // which of the graph's its own are
    std::vector<std::string> texts;
    std::optional<std::string> refusal;
    std::vector<uint32_t> results; // which of the graph's its own are
  };
  std::vector<OnePath> paths;
  Aliases aliasOf; // of the graph's inputs
  uint64_t ops = 0;
};

// The same graphs as forms of one, in this order. Throws std::exception where that cannot be; then
// they are as good as before.
std::vector<std::shared_ptr<const ConvertedGraph>>
uniteForms(std::span<const std::shared_ptr<const ConvertedGraph>> graphs);

} // namespace bifront
