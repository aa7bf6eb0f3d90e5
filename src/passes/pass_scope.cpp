#include "passes/pass_scope.h"

#include "mlir/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

using namespace mlir;

namespace bifront {

static bool lists(std::string_view names, std::string_view name) {
  if (names == "all")
    return true;
  while (!names.empty()) {
    size_t comma = names.find(',');
    if (names.substr(0, comma) == name)
      return true;
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
  }
  return false;
}

bool PassScope::run(std::string_view name, llvm::function_ref<LogicalResult()> pass) {
  StringRef label(name.data(), name.size());
  if (lists(options.dumpBefore, name))
    llvm::errs() << "// before " << label << "\n" << module << "\n";
  std::string said;
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    llvm::raw_string_ostream out(said);
    out << (said.empty() ? "" : "\n") << diagnostic.getLocation() << ": " << diagnostic;
    return success();
  });
  OwningOpRef<ModuleOp> before = options.verify ? module.clone() : ModuleOp();
  auto start = std::chrono::steady_clock::now();
  LogicalResult outcome = pass();
  auto end = std::chrono::steady_clock::now();
  result.timings.push_back(
      {std::string(name), std::chrono::duration<double, std::milli>(end - start).count()});
  bool invalid = succeeded(outcome) && options.verify && failed(verify(module));
  if (failed(outcome) || invalid) {
    result.ok = false;
    result.failedPass = std::string(name);
    result.reason = said;
    if (invalid)
      llvm::errs() << "bifront: " << label << " left invalid IR: " << said << "\n// before\n"
                   << *before << "\n// now\n"
                   << module << "\n";
    return false;
  }
  if (lists(options.dumpAfter, name))
    llvm::errs() << "// after " << label << "\n" << module << "\n";
  return true;
}

bool PassScope::runOptional(std::string_view name, llvm::function_ref<LogicalResult()> pass) {
  return lists(options.disabled, name) || run(name, pass);
}

} // namespace bifront
