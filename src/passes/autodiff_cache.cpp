#include "passes/autodiff_cache.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <stdexcept>
#include <type_traits>

namespace bifront {
namespace {

// Writes values into a string such that different requests give different strings.
class KeyWriter {
public:
  void operator()(const DerivativeRequest &request) {
    text(request.call.schema);
    list(request.call.args);
    raw(request.call.written.size());
    for (uint32_t written : request.call.written)
      raw(written);
    raw(request.operands.size());
    for (const ValueType &operand : request.operands)
      type(operand);
    raw(request.results.size());
    for (const ValueType &result : request.results)
      type(result);
    mask(request.differentiable);
    mask(request.seeded);
    raw(request.ints.size());
    for (const std::optional<Dim> &known : request.ints)
      raw(known.has_value()), dim(known.value_or(Dim::fixed(0)));
  }
  std::string take() { return std::move(key); }

private:
  template <typename T> void raw(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    key.append(reinterpret_cast<const char *>(&value), sizeof value);
  }
  void text(const std::string &value) {
    raw(value.size());
    key += value;
  }
  void mask(const std::vector<bool> &bits) {
    raw(bits.size());
    for (bool bit : bits)
      key += bit ? '1' : '0';
  }
  void list(const AtenArg::List &args) {
    raw(args.size());
    for (const AtenArg &arg : args)
      argument(arg);
  }
  void argument(const AtenArg &arg) {
    raw(arg.value.index());
    std::visit(
        [&](const auto &value) {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, AtenArg::List>)
            list(value);
          else if constexpr (std::is_same_v<T, std::string>)
            text(value);
          else if constexpr (std::is_same_v<T, std::complex<double>>)
            raw(value.real()), raw(value.imag());
          else if constexpr (std::is_same_v<T, AtenArg::Operand>)
            raw(value.index);
          else if constexpr (!std::is_same_v<T, AtenArg::None>)
            raw(value);
        },
        arg.value);
  }
  void dim(const Dim &value) {
    raw(value.world[0]);
    raw(value.world[1]);
  }
  void tensor(const TensorType &value) {
    raw(value.dtype);
    text(value.device);
    raw(value.dims.size());
    for (const Dim &size : value.dims)
      dim(size);
    raw(value.order.size());
    for (int64_t dim : value.order)
      raw(dim);
  }
  void type(const ValueType &value) {
    raw(value.kind);
    if (value.kind == ValueType::Kind::Tensor)
      tensor(value.tensor);
    raw(value.tensors.size());
    for (const TensorType &element : value.tensors)
      tensor(element);
  }

  std::string key;
};

} // namespace

std::string derivativeKey(const DerivativeRequest &request) {
  KeyWriter writer;
  writer(request);
  return writer.take();
}

size_t DerivativeCache::size() const {
  std::lock_guard lock(mutex);
  return entries.size();
}

Derivative DerivativeCache::derive(mlir::MLIRContext &context, const DerivativeRequest &request) {
  std::string key = derivativeKey(request);
  {
    std::unique_lock lock(mutex);
    if (auto found = entries.find(key); found != entries.end()) {
      Entry entry = found->second;
      lock.unlock();
      if (!entry.refusal.empty())
        throw std::runtime_error(entry.refusal);
      mlir::OwningOpRef<mlir::ModuleOp> module =
          mlir::parseSourceString<mlir::ModuleOp>(entry.text, &context);
      if (!module)
        throw std::runtime_error("the cached derivative of " + request.call.schema +
                                 " does not parse");
      std::shared_ptr<mlir::ModuleOp> owned(new mlir::ModuleOp(module.release()),
                                            [](mlir::ModuleOp *held) {
                                              held->erase();
                                              delete held;
                                            });
      return {std::move(owned), std::move(entry.gradientOf)};
    }
  }
  // The source is asked without the lock: it runs PyTorch, which may take the GIL.
  Entry entry;
  Derivative derivative;
  try {
    derivative = source.derive(context, request);
    entry.gradientOf = derivative.gradientOf;
    llvm::raw_string_ostream stream(entry.text);
    (*derivative.module)->print(stream);
  } catch (const std::runtime_error &refused) {
    entry.refusal = refused.what();
    std::lock_guard lock(mutex);
    entries.emplace(std::move(key), std::move(entry));
    throw;
  }
  std::lock_guard lock(mutex);
  entries.emplace(std::move(key), std::move(entry));
  return derivative;
}

} // namespace bifront
