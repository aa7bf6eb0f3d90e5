// Makes one function of several paths of it, each captured on its own. Where two paths part they
// have a `bf.decide` of one value with different outcomes; up to there they are the same.
//
//   func.func @a(%x) { %n = ...; bf.decide %n is 1 : i64; %0 = f(%n); return %0 }
//   func.func @b(%x) { %n = ...; bf.decide %n is 2 : i64; %0 = g(%n); return %0 }
// becomes
//   func.func @step(%x) {
//     %n = ...
//     %r:2 = scf.if (%n == 1) { %0 = f(%n); yield 0, %0 }
//            else { bf.assert %n == 2; %0 = g(%n); yield 1, %0 }
//     return %r#0, %r#1
//   }
//
// The first result says which path was taken. The results of two paths share a place where they
// have one type; what a path does not have is zeros, which nobody looks at.
//
// Paths of several forms have nothing in common: the first input of the merged function is the form
// that a run has, and decides ahead of all else. Tested by tests/test_paths.py,
// tests/test_slot_forms.py.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bifront {

// One path: a module whose first function has no branches at its decisions; the others it calls.
struct CapturedPath {
  mlir::ModuleOp module;
  // Which input of the merged function each of its arguments is.
  std::vector<uint32_t> inputs;
  std::vector<std::string> texts = {}; // of what it decides, in order, for people
  // Why the path cannot be one of the graph: where it is taken an assertion fails, with this text.
  std::optional<std::string> refusal = {};
  uint32_t form = 0;
};

struct MergedPaths {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  struct Path {
    // Which of the function's results its own are.
    std::vector<uint32_t> results;
    // The attributes `grad` that it sets, or clears: of an input of the merged function, to a
    // result.
    std::vector<std::pair<uint32_t, std::optional<uint32_t>>> gradients;
  };
  std::vector<Path> paths;
};

// Makes the decisions of the one path that there is assertions. `texts`: of the values, for people.
void assertDecisions(mlir::ModuleOp module, const std::vector<std::string> &texts);

// The modules of the paths are spent. `aliasOf`: for each input of the merged function, the number
// of the form among them, another one that it shares memory with. Throws std::invalid_argument
// where the paths are not the same up to a decision.
MergedPaths mergePaths(std::span<const CapturedPath> paths,
                       std::span<const std::optional<uint32_t>> aliasOf);

} // namespace bifront
