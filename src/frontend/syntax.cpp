#include "frontend/syntax.h"

#include "frontend/reader.h"
#include "frontend/source.h"

#include <unordered_map>

namespace bifront::syntax {
namespace {

struct Reading {
  PyRef code; // kept alive: it is the key
  std::shared_ptr<const Function> function;
  std::string whyNot; // where `function` is null
};

Reading readingOf(PyFunctionObject *function) {
  PyRef code = PyRef::share(function->func_code);
  try {
    Source source = sourceOf(function);
    Reader reader(source, reinterpret_cast<PyCodeObject *>(code.get()));
    return {code, reader.read(), {}};
  } catch (const Unread &unread) {
    return {code, nullptr, unread.why};
  }
}

// Never destroyed: the interpreter ends before C++ statics do.
std::unordered_map<PyObject *, Reading> &readings() {
  static auto *map = new std::unordered_map<PyObject *, Reading>;
  return *map;
}

// More than the functions that any one training step reaches. Programs that make code without end
// (exec in a loop) must not fill the memory: then all start anew.
constexpr size_t kMostReadings = 8192;

void remember(const Reading &reading) {
  if (readings().size() >= kMostReadings) {
    // What goes with the last reference may run code that comes here again.
    auto old = std::exchange(readings(), {});
    old.clear();
  }
  readings().emplace(reading.code.get(), reading);
}

} // namespace

std::shared_ptr<const Function> syntaxOf(PyObject *function, std::string &whyNot) {
  if (!PyFunction_Check(function)) {
    whyNot = "it is no Python function";
    return nullptr;
  }
  auto *typed = reinterpret_cast<PyFunctionObject *>(function);
  auto found = readings().find(typed->func_code);
  if (found == readings().end()) {
    Reading reading = readingOf(typed);
    remember(reading);
    whyNot = reading.whyNot;
    return reading.function;
  }
  whyNot = found->second.whyNot;
  return found->second.function;
}

} // namespace bifront::syntax
