// Compiles captured modules in a thread of its own, while CPython goes on with the program
// (BIFRONT_BACKGROUND, docs/decisions/032). A graph is found again by its module's text: the call
// for which it is there walks the function anew, since guards and inputs are about objects as they
// are.
#pragma once

#include "passes/split_backward.h"
#include "speculate/compile_graph.h"

#include "mlir/IR/BuiltinOps.h"

#include <memory>
#include <optional>

namespace bifront {

// Ends a conversion whose graph is being compiled. No exception of the program's, or of ours.
struct CompilesLater {};

// That of one function. Used under the GIL.
class LaterCompiler {
public:
  // What has been compiled for an equal module since an earlier call. Begins that and throws
  // CompilesLater otherwise; nothing where this thread is to compile by itself.
  std::optional<CompiledGraph> take(mlir::ModuleOp module, BackwardSplit *split);
  bool isBusy() const;
  struct Job;

private:
  std::shared_ptr<Job> job_;
  int wasted_ = 0; // what was compiled and then not asked for
};

// Both wait for what is being compiled, with the GIL released.
void waitForLaterCompilers(); // ahead of a fork
void stopLaterCompilers();    // at the end of the process: from now on no thread is begun
void forgetLaterCompilers();  // in a forked process, which has no such thread

} // namespace bifront
