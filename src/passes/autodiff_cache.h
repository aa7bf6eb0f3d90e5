// Remembers derivatives for the life of the process, whatever MLIRContext they are asked for in.
#pragma once

#include "passes/derivative_source.h"

#include <mutex>
#include <string>
#include <unordered_map>

namespace bifront {

// Equal for requests that have the same derivative: op, constants, operand types and both masks.
std::string derivativeKey(const DerivativeRequest &request);

// Modules are kept as text, since a module belongs to a context; refusals are kept as well.
class DerivativeCache final : public DerivativeSource {
public:
  // `source` outlives the cache.
  explicit DerivativeCache(DerivativeSource &source) : source(source) {}
  Derivative derive(mlir::MLIRContext &context, const DerivativeRequest &request) override;

  size_t size() const;

private:
  struct Entry {
    std::string text;
    std::vector<uint32_t> gradientOf;
    std::string refusal;
  };
  DerivativeSource &source;
  mutable std::mutex mutex;
  std::unordered_map<std::string, Entry> entries;
};

} // namespace bifront
