#include "speculate/kept_passes.h"

#include "codegen/disk_cache.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

#include <optional>

using namespace mlir;

namespace bifront {
namespace {

constexpr StringLiteral kSaved = "bf.saved", kReaders = "bf.readers", kMeets = "bf.meets";

DenseI32ArrayAttr numbersAttr(Builder &builder, ArrayRef<uint32_t> numbers) {
  return builder.getDenseI32ArrayAttr(SmallVector<int32_t>(numbers.begin(), numbers.end()));
}

ArrayAttr listsAttr(Builder &builder, ArrayRef<std::vector<uint32_t>> lists) {
  SmallVector<Attribute> attributes;
  for (const std::vector<uint32_t> &list : lists)
    attributes.push_back(numbersAttr(builder, list));
  return builder.getArrayAttr(attributes);
}

std::optional<std::vector<uint32_t>> numbersOf(Attribute attribute) {
  auto numbers = dyn_cast_or_null<DenseI32ArrayAttr>(attribute);
  if (!numbers)
    return std::nullopt;
  return std::vector<uint32_t>(numbers.asArrayRef().begin(), numbers.asArrayRef().end());
}

std::optional<std::vector<std::vector<uint32_t>>> listsOf(Attribute attribute) {
  auto array = dyn_cast_or_null<ArrayAttr>(attribute);
  if (!array)
    return std::nullopt;
  std::vector<std::vector<uint32_t>> lists;
  for (Attribute element : array) {
    auto list = numbersOf(element);
    if (!list)
      return std::nullopt;
    lists.push_back(std::move(*list));
  }
  return lists;
}

// A module of one module, or two where there is a backward.
std::string textOfResult(ModuleOp module, BackwardSplit *split) {
  OwningOpRef<ModuleOp> whole = ModuleOp::create(UnknownLoc::get(module.getContext()));
  OpBuilder builder = OpBuilder::atBlockBegin(whole->getBody());
  builder.clone(*module);
  if (split) {
    builder.clone(*split->backward->getOperation());
    (*whole)->setAttr(kSaved, numbersAttr(builder, split->savedInputs));
    (*whole)->setAttr(kReaders, listsAttr(builder, split->readers));
    (*whole)->setAttr(kMeets, listsAttr(builder, split->meets));
  }
  return exactTextOf(*whole);
}

// Whether it is such a text; else nothing has been changed.
bool readResult(const std::string &text, ModuleOp module, BackwardSplit *split) {
  ScopedDiagnosticHandler quiet(module.getContext(), [](Diagnostic &) { return success(); });
  OwningOpRef<ModuleOp> whole = parseSourceString<ModuleOp>(text, module.getContext());
  if (!whole)
    return false;
  SmallVector<ModuleOp> made(whole->getOps<ModuleOp>());
  if (made.size() != (split ? 2 : 1))
    return false;
  if (split) {
    auto saved = numbersOf((*whole)->getAttr(kSaved));
    auto readers = listsOf((*whole)->getAttr(kReaders));
    auto meets = listsOf((*whole)->getAttr(kMeets));
    if (!saved || !readers || !meets)
      return false;
    split->savedInputs = std::move(*saved);
    split->readers = std::move(*readers);
    split->meets = std::move(*meets);
    made[1]->remove();
    split->backward = made[1];
  }
  module->setAttrs(made[0]->getAttrDictionary());
  module.getBodyRegion().takeBody(made[0].getBodyRegion());
  return true;
}

} // namespace

std::string exactTextOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, OpPrintingFlags().enableDebugInfo(true, /*prettyForm=*/false));
  return text;
}

std::string sourceTextOf(ModuleOp module, const BackwardSplit *split) {
  std::string text = "without " + pipelineOptions().disabled + "\n";
  if (split)
    text += std::to_string(split->numResults) + " results, " + std::to_string(split->numSeeds) +
            " seeds\n";
  return text + exactTextOf(module);
}

std::string sourceHashOf(ModuleOp module) {
  llvm::SHA256 hash;
  hash.update(sourceTextOf(module, /*split=*/nullptr));
  auto digest = hash.final();
  return {reinterpret_cast<const char *>(digest.data()), digest.size()};
}

PipelineResult runPipelineOrRead(ModuleOp module, DerivativeSource &derivatives,
                                 BackwardSplit *split) {
  PipelineOptions options = pipelineOptions();
  bool shows = !options.dumpBefore.empty() || !options.dumpAfter.empty();
  if (shows || !usesDiskCache())
    return runPipeline(module, options, &derivatives, split);
  DiskCacheEntry entry("graph", sourceTextOf(module, split));
  if (auto text = entry.read()) {
    if (readResult(*text, module, split))
      return {.ok = true, .failedPass = {}, .reason = {}, .timings = {}};
    entry.reject("it is no graph");
  }
  PipelineResult result = runPipeline(module, options, &derivatives, split);
  if (result.ok)
    entry.write(textOfResult(module, split));
  return result;
}

} // namespace bifront
