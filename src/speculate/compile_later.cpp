#include "speculate/compile_later.h"

#include "ir/bf_dialect.h"
#include "speculate/convert.h"
#include "speculate/kept_passes.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"

#include <Python.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace bifront {

struct LaterCompiler::Job {
  std::string source; // as sourceTextOf
  std::string module;
  bool isSplit = false;
  BackwardSplit split;                   // `backward` stays with the thread that made it
  std::optional<CompiledGraph> compiled; // nothing where that did not work
  std::atomic<bool> isDone{false};       // the above may be read
};

namespace {

using Job = LaterCompiler::Job;

class Compiler {
public:
  Compiler() : thread_([this] { work(); }) {}
  Compiler(const Compiler &) = delete;
  Compiler &operator=(const Compiler &) = delete;
  ~Compiler() {
    {
      std::lock_guard lock(mutex_);
      stops_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void add(std::shared_ptr<Job> job) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_.empty(); });
  }

private:
  void work() {
    // A context is for one thread at a time.
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    loadDialects(context);
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stops_ || !jobs_.empty(); });
      if (jobs_.empty())
        return;
      std::shared_ptr<Job> job = jobs_.front();
      lock.unlock();
      compile(context, *job);
      job->isDone = true;
      lock.lock();
      jobs_.pop_front();
      lock.unlock();
      changed_.notify_all();
    }
  }

  // What goes wrong here goes wrong again where the function is converted, which says so.
  static void compile(mlir::MLIRContext &context, Job &job) {
    mlir::ScopedDiagnosticHandler quiet(&context,
                                        [](mlir::Diagnostic &) { return mlir::success(); });
    auto module = mlir::parseSourceString<mlir::ModuleOp>(job.module, &context);
    if (!module)
      return;
    try {
      job.compiled = compileGraph(*module, job.isSplit ? &job.split : nullptr);
    } catch (const std::exception &) {
      job.compiled.reset();
    }
    job.split.backward = {};
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_; // the first is being compiled
  bool stops_ = false;
  std::thread thread_; // last: it uses the others
};

// Under the GIL. Null before the first job, and after the last.
Compiler *compiler = nullptr;
bool isStopped = false;

class WithoutGil {
public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil &) = delete;
  WithoutGil &operator=(const WithoutGil &) = delete;
  ~WithoutGil() { PyEval_RestoreThread(state_); }

private:
  PyThreadState *state_;
};

} // namespace

bool LaterCompiler::isBusy() const { return job_ && !job_->isDone; }

std::optional<CompiledGraph> LaterCompiler::take(mlir::ModuleOp module, BackwardSplit *split) {
  // Where the program is another at each call, nothing compiled later is of use.
  constexpr int kPatience = 2;
  if (isBusy())
    throw CompilesLater();
  std::string source = sourceTextOf(module, split);
  if (auto job = std::exchange(job_, nullptr)) {
    if (job->isDone && job->source == source) {
      if (split) {
        split->savedInputs = std::move(job->split.savedInputs);
        split->readers = std::move(job->split.readers);
        split->meets = std::move(job->split.meets);
      }
      return std::move(job->compiled);
    }
    ++wasted_;
  }
  if (isStopped || wasted_ >= kPatience)
    return std::nullopt;
  if (!compiler)
    compiler = new Compiler();
  job_ = std::make_shared<Job>();
  job_->source = std::move(source);
  job_->module = exactTextOf(module);
  job_->isSplit = split;
  if (split) {
    job_->split.numResults = split->numResults;
    job_->split.numSeeds = split->numSeeds;
  }
  compiler->add(job_);
  throw CompilesLater();
}

void waitForLaterCompilers() {
  if (!compiler)
    return;
  Compiler *now = compiler;
  WithoutGil released;
  now->wait();
}

void stopLaterCompilers() {
  isStopped = true;
  Compiler *now = std::exchange(compiler, nullptr);
  WithoutGil released;
  delete now;
}

void forgetLaterCompilers() { compiler = nullptr; } // its memory is the parent's thread's

} // namespace bifront
