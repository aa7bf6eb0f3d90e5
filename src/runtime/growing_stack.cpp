#include "runtime/growing_stack.h"

#include "runtime/operator_named.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace bifront {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor firstRows(const at::Tensor &stack, const c10::SymInt &rows) {
  static auto op =
      operatorNamed<at::Tensor(const at::Tensor &, c10::SymInt)>("bifront::first_rows");
  return op.call(stack, rows);
}

//===- Memory with room --------------------------------------------------------------------===//

// Memory for more rows than there are. The tensor with the last row may get further ones there:
// those that have fewer never see them.
struct Room {
  c10::DataPtr memory;
  size_t used; // bytes

  static void release(void *room) { delete static_cast<Room *>(room); }
  static Room *of(const at::Tensor &tensor) {
    const c10::DataPtr &data = tensor.storage().data_ptr();
    return data.get_deleter() == &release ? static_cast<Room *>(data.get_context()) : nullptr;
  }
};

at::Tensor withRows(const at::Tensor &stack, c10::Storage storage, at::IntArrayRef sizes) {
  at::Tensor made = at::detail::make_tensor<c10::TensorImpl>(
      std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), stack.dtype());
  made.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  return made;
}

at::Tensor withRoom(const at::Tensor &stack, at::IntArrayRef sizes, size_t rowBytes) {
  constexpr size_t kLeastRows = 4;
  size_t capacity = std::max(kLeastRows, 2 * static_cast<size_t>(sizes[0])) * rowBytes;
  auto room = std::make_unique<Room>(Room{at::getCPUAllocator()->allocate(capacity), 0});
  void *data = room->memory.get();
  c10::DataPtr owner(data, room.release(), &Room::release, c10::kCPU);
  at::Tensor made = withRows(stack,
                             c10::make_intrusive<c10::StorageImpl>(
                                 c10::StorageImpl::use_byte_size_t(), capacity, std::move(owner),
                                 /*allocator=*/nullptr, /*resizable=*/false),
                             sizes);
  if (stack.nbytes() != 0)
    std::memcpy(data, stack.const_data_ptr(), stack.nbytes());
  return made;
}

// Whether rows of so many bytes can come behind those of the stack, where they lie.
bool hasRoom(const at::Tensor &stack, size_t bytes) {
  const Room *room = Room::of(stack);
  return room && stack.storage_offset() == 0 && room->used == stack.nbytes() &&
         room->used + bytes <= stack.storage().nbytes();
}

//===- Kernels -----------------------------------------------------------------------------===//

at::DimVector sizesWith(const at::Tensor &stack, int64_t rows) {
  at::DimVector sizes(stack.sizes().begin(), stack.sizes().end());
  sizes[0] = rows;
  return sizes;
}

void putRow(const at::Tensor &stack, int64_t row, const at::Tensor &item) {
  if (!stack.is_cpu() || !item.is_contiguous()) {
    stack.select(0, row).copy_(item);
    return;
  }
  size_t bytes = item.nbytes();
  if (bytes != 0)
    std::memcpy(static_cast<char *>(stack.mutable_data_ptr()) + row * bytes, item.const_data_ptr(),
                bytes);
}

at::Tensor moreRows(const at::Tensor &stack, at::IntArrayRef sizes, at::TensorList items) {
  if (items.empty())
    return stack; // which one is asked for as well
  if (!stack.is_cpu() || !stack.is_contiguous()) {
    at::Tensor more = at::empty(sizes, stack.options());
    more.narrow(0, 0, stack.size(0)).copy_(stack);
    return more;
  }
  size_t rowBytes = items[0].nbytes(), added = items.size() * rowBytes;
  at::Tensor more = hasRoom(stack, added) ? withRows(stack, stack.storage(), sizes)
                                          : withRoom(stack, sizes, rowBytes);
  Room::of(more)->used = more.nbytes();
  return more;
}

at::Tensor grow(const at::Tensor &stack, at::TensorList items, int64_t rows) {
  int64_t before = stack.size(0), after = before + static_cast<int64_t>(items.size());
  TORCH_CHECK(rows == after, "a list of the graph has ", after, " items, not ", rows);
  at::Tensor grown = moreRows(stack, sizesWith(stack, rows), items);
  for (size_t i = 0; i < items.size(); ++i)
    putRow(grown, before + static_cast<int64_t>(i), items[i]);
  return grown;
}

at::Tensor takeFirst(const at::Tensor &stack, int64_t rows) { return stack.narrow(0, 0, rows); }

at::Tensor copyRows(const at::Tensor &stack) { return stack.clone(at::MemoryFormat::Contiguous); }

at::Tensor growOnMeta(const at::Tensor &stack, at::TensorList /*items*/, int64_t rows) {
  return at::empty(sizesWith(stack, rows), stack.options());
}

at::Tensor takeFirstOnMeta(const at::Tensor &stack, int64_t rows) {
  return at::empty(sizesWith(stack, rows), stack.options());
}

//===- Sums of gradients of parts ----------------------------------------------------------===//

// sum + select_backward(part), and the same of a slice, without the zeros around the part. Passes
// make these calls (passes/sum_parts.h); nothing captures them.
at::Tensor &addSelected(at::Tensor &sum, const at::Tensor &part, int64_t dim, int64_t index) {
  sum.select(dim, index).add_(part);
  return sum;
}

at::Tensor &addSlice(at::Tensor &sum, const at::Tensor &part, int64_t dim, int64_t start,
                     int64_t end, int64_t step) {
  sum.slice(dim, start, end, step).add_(part);
  return sum;
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

struct CopyRows : torch::autograd::Function<CopyRows> {
  static at::Tensor forward(AutogradContext * /*context*/, const at::Tensor &stack, bool records) {
    at::AutoDispatchBelowADInplaceOrView below;
    at::AutoGradMode mode(records);
    return rowsOfStack(stack);
  }

  static variable_list backward(AutogradContext * /*context*/, const variable_list &gradients) {
    return {gradients[0], at::Tensor()};
  }
};

at::Tensor copyWithHistory(const at::Tensor &stack) {
  return CopyRows::apply(stack, at::GradMode::is_enabled());
}

at::Tensor growWithHistory(const at::Tensor &stack, at::TensorList items, c10::SymInt rows) {
  return Grow::apply(stack, items, rows, at::GradMode::is_enabled());
}

} // namespace

at::Tensor growStack(const at::Tensor &stack, at::TensorList items, const c10::SymInt &rows) {
  static auto op =
      operatorNamed<at::Tensor(const at::Tensor &, at::TensorList, c10::SymInt)>("bifront::grow");
  return op.call(stack, items, rows);
}

at::Tensor rowsOfStack(const at::Tensor &stack) {
  static auto op = operatorNamed<at::Tensor(const at::Tensor &)>("bifront::rows");
  return op.call(stack);
}

TORCH_LIBRARY(bifront, library) {
  library.def("grow(Tensor stack, Tensor[] items, SymInt rows) -> Tensor");
  library.def("rows(Tensor stack) -> Tensor");
  library.def("first_rows(Tensor stack, SymInt rows) -> Tensor");
  library.def("add_selected_(Tensor(a!) sum, Tensor part, int dim, SymInt index) -> Tensor(a!)");
  library.def("add_slice_(Tensor(a!) sum, Tensor part, int dim, SymInt start, SymInt end, "
              "SymInt step) -> Tensor(a!)");
}

TORCH_LIBRARY_IMPL(bifront, CompositeExplicitAutograd, library) {
  library.impl("grow", grow);
  library.impl("rows", copyRows);
  library.impl("first_rows", takeFirst);
  library.impl("add_selected_", addSelected);
  library.impl("add_slice_", addSlice);
}

TORCH_LIBRARY_IMPL(bifront, Meta, library) {
  library.impl("grow", growOnMeta);
  library.impl("first_rows", takeFirstOnMeta);
}

TORCH_LIBRARY_IMPL(bifront, Autograd, library) {
  library.impl("grow", growWithHistory);
  library.impl("rows", copyWithHistory);
}

} // namespace bifront
