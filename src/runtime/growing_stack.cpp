#include "runtime/growing_stack.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cstring>

namespace bifront {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <typename Signature> auto operatorNamed(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

at::Tensor firstRows(const at::Tensor &stack, const c10::SymInt &rows) {
  static auto op =
      operatorNamed<at::Tensor(const at::Tensor &, c10::SymInt)>("bifront::first_rows");
  return op.call(stack, rows);
}

at::DimVector sizesWith(const at::Tensor &stack, int64_t rows) {
  at::DimVector sizes(stack.sizes().begin(), stack.sizes().end());
  sizes[0] = rows;
  return sizes;
}

//===- Kernels -----------------------------------------------------------------------------===//

void putRow(const at::Tensor &stack, int64_t row, const at::Tensor &item) {
  if (!stack.is_cpu() || !item.is_contiguous()) {
    stack.select(0, row).copy_(item);
    return;
  }
  size_t bytes = item.nbytes();
  std::memcpy(static_cast<char *>(stack.mutable_data_ptr()) + row * bytes, item.const_data_ptr(),
              bytes);
}

at::Tensor grow(const at::Tensor &stack, at::TensorList items, int64_t rows) {
  int64_t before = stack.size(0), after = before + static_cast<int64_t>(items.size());
  TORCH_CHECK(rows == after, "a list of the graph has ", after, " items, not ", rows);
  at::Tensor grown = at::empty(sizesWith(stack, rows), stack.options());
  grown.narrow(0, 0, before).copy_(stack);
  for (size_t i = 0; i < items.size(); ++i)
    putRow(grown, before + static_cast<int64_t>(i), items[i]);
  return grown;
}

at::Tensor growOnMeta(const at::Tensor &stack, at::TensorList /*items*/, int64_t rows) {
  return at::empty(sizesWith(stack, rows), stack.options());
}

at::Tensor takeFirst(const at::Tensor &stack, int64_t rows) {
  return stack.narrow(0, 0, rows).clone(at::MemoryFormat::Contiguous);
}

at::Tensor takeFirstOnMeta(const at::Tensor &stack, int64_t rows) {
  return at::empty(sizesWith(stack, rows), stack.options());
}

//===- Derivatives -------------------------------------------------------------------------===//

struct Grow : torch::autograd::Function<Grow> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &stack, at::TensorList items,
                            const c10::SymInt &rows, bool records) {
    context->saved_data["rows"] = stack.sym_size(0);
    context->saved_data["items"] = static_cast<int64_t>(items.size());
    at::AutoDispatchBelowADInplaceOrView below;
    at::AutoGradMode mode(records); // as a capture is to see it: here it is off
    return growStack(stack, items, rows);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    const at::Tensor &grown = gradients[0];
    int64_t items = context->saved_data["items"].toInt();
    variable_list found{firstRows(grown, context->saved_data["rows"].toSymInt())};
    for (int64_t i = 0; i < items; ++i)
      found.push_back(grown.select(0, i - items));
    found.resize(found.size() + 2); // of what is no tensor
    return found;
  }
};

at::Tensor growWithHistory(const at::Tensor &stack, at::TensorList items, c10::SymInt rows) {
  return Grow::apply(stack, items, rows, at::GradMode::is_enabled());
}

} // namespace

at::Tensor growStack(const at::Tensor &stack, at::TensorList items, const c10::SymInt &rows) {
  static auto op =
      operatorNamed<at::Tensor(const at::Tensor &, at::TensorList, c10::SymInt)>("bifront::grow");
  return op.call(stack, items, rows);
}

TORCH_LIBRARY(bifront, library) {
  library.def("grow(Tensor stack, Tensor[] items, SymInt rows) -> Tensor");
  library.def("first_rows(Tensor stack, SymInt rows) -> Tensor");
}

TORCH_LIBRARY_IMPL(bifront, CompositeExplicitAutograd, library) {
  library.impl("grow", grow);
  library.impl("first_rows", takeFirst);
}

TORCH_LIBRARY_IMPL(bifront, Meta, library) {
  library.impl("grow", growOnMeta);
  library.impl("first_rows", takeFirstOnMeta);
}

TORCH_LIBRARY_IMPL(bifront, Autograd, library) { library.impl("grow", growWithHistory); }

} // namespace bifront
