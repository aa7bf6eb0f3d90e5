#include "runtime/iteration_plan.h"

#include "runtime/parallel.h"

#include <ATen/Parallel.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <numeric>

namespace bifront {
namespace {

// Below this many elements a second thread costs more than it saves.
constexpr int64_t kParallelElements = 32768;
// A kernel is compiled anew for other strides only where that can pay for itself.
constexpr int64_t kVariantElements = 4096;

// The order in which TensorIterator goes through the dimensions, fastest first, by the strides of
// the inputs: the first that has an opinion decides.
Sizes fastestFirst(const Sizes &shape, c10::ArrayRef<Sizes> inputStrides) {
  Sizes order(shape.size());
  std::iota(order.rbegin(), order.rend(), 0);
  auto compare = [&](int64_t a, int64_t b) {
    for (const Sizes &stride : inputStrides) {
      if (stride[a] == 0 || stride[b] == 0)
        continue;
      if (stride[a] != stride[b])
        return stride[a] < stride[b] ? -1 : 1;
      if (shape[a] > shape[b])
        return 1;
    }
    return 0;
  };
  for (size_t i = 1; i < order.size(); ++i) {
    size_t at = i;
    for (size_t before = i; before-- > 0;) {
      int comparison = compare(order[before], order[at]);
      if (comparison < 0)
        break;
      if (comparison > 0) {
        std::swap(order[before], order[at]);
        at = before;
      }
    }
  }
  return order;
}

// `clamped`: a dimension of size 0 counts as 1, as it does for contiguous tensors.
Sizes densely(const Sizes &shape, const Sizes &order, bool clamped = true) {
  Sizes strides(shape.size());
  int64_t next = 1;
  for (int64_t dim : order) {
    strides[dim] = next;
    next *= std::max<int64_t>(shape[dim], clamped ? 1 : 0);
  }
  return strides;
}

Sizes strideOver(const at::Tensor &tensor, const Sizes &shape) {
  Sizes result(shape.size(), 0);
  size_t missing = shape.size() - tensor.dim();
  for (int64_t dim = 0; dim < tensor.dim(); ++dim)
    if (tensor.size(dim) != 1 || shape[missing + dim] == 1)
      result[missing + dim] = tensor.stride(dim);
  return result;
}

} // namespace

// Fastest dimension first; strides in bytes, per dimension and operand.
struct IterationPlan::Space {
  Sizes sizes;
  c10::SmallVector<Sizes, 8> steps;
  Sizes elementBytes; // per operand
};

bool IterationPlan::matches(std::span<const at::Tensor *const> inputs,
                            std::span<const int64_t> given) const {
  if (!made || !std::equal(given.begin(), given.end(), key.begin()))
    return false;
  const int64_t *at = key.data() + given.size();
  for (const at::Tensor *input : inputs) {
    const at::TensorImpl &tensor = *input->unsafeGetTensorImpl();
    c10::IntArrayRef size = tensor.sizes(), stride = tensor.strides();
    if (*at++ != static_cast<int64_t>(c10::typeMetaToScalarType(tensor.dtype())) ||
        *at++ != static_cast<int64_t>(size.size()))
      return false;
    if (!std::equal(size.begin(), size.end(), at) ||
        !std::equal(stride.begin(), stride.end(), at + size.size()))
      return false;
    at += 2 * size.size();
  }
  return true;
}

void IterationPlan::remember(std::span<const at::Tensor *const> inputs,
                             std::span<const int64_t> given) {
  key.assign(given.begin(), given.end());
  for (const at::Tensor *input : inputs) {
    key.push_back(static_cast<int64_t>(input->scalar_type()));
    key.push_back(input->dim());
    key.insert(key.end(), input->sizes().begin(), input->sizes().end());
    key.insert(key.end(), input->strides().begin(), input->strides().end());
  }
}

void IterationPlan::make(const KernelStep &step, std::span<const TensorSlot> slots,
                         std::span<const at::Tensor *const> inputs,
                         std::span<const int64_t> given) {
  made = false;
  operands = inputs.size() + step.outputs.size();
  fn = step.fn;
  for (size_t k = 0; k < inputs.size(); ++k) {
    DType expected = slots[step.inputs[k]].type.tensor.dtype;
    TORCH_CHECK(inputs[k]->scalar_type() == static_cast<c10::ScalarType>(expected),
                "the graph took a value to be ", static_cast<c10::ScalarType>(expected),
                ", but it is ", inputs[k]->scalar_type());
  }
  broadcastShape(step, slots, inputs, given);
  layOut(inputs);
  copies.assign(inputs.size(), false);
  hasCopies = false;
  sameLayout.assign(inputs.size(), false);
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (inputs[k]->sizes() != c10::IntArrayRef(sizes))
      continue;
    sameLayout[k] = true;
    for (size_t dim = 0; dim < sizes.size(); ++dim)
      if (sizes[dim] > 1 && inputs[k]->stride(dim) != strides[dim])
        sameLayout[k] = false;
  }
  Space space = spaceOf(step, inputs);
  chooseRows(step, space, inputs.size());
  remember(inputs, given);
  made = true;
}

void IterationPlan::broadcastShape(const KernelStep &step, std::span<const TensorSlot> slots,
                                   std::span<const at::Tensor *const> inputs,
                                   std::span<const int64_t> given) {
  sizes.assign(given.begin(), given.end());
  for (const at::Tensor *input : inputs) {
    if (static_cast<size_t>(input->dim()) > sizes.size())
      sizes.insert(sizes.begin(), input->dim() - sizes.size(), 1);
    size_t missing = sizes.size() - input->dim();
    for (int64_t dim = 0; dim < input->dim(); ++dim) {
      int64_t size = input->size(dim);
      int64_t &common = sizes[missing + dim];
      if (common == 1)
        common = size;
      TORCH_CHECK(size == 1 || size == common,
                  "the graph took two sizes to be equal, but they are ", common, " and ", size,
                  " (dimension ", missing + dim, " of ", step.symbol, ")");
    }
  }
  for (SlotId output : step.outputs) {
    const std::vector<Dim> &dims = slots[output].type.tensor.dims;
    if (inputs.empty() && given.empty())
      for (const Dim &dim : dims)
        sizes.push_back(dim.world[0]);
    TORCH_CHECK(dims.size() == sizes.size(), "the graph took a value to have ", dims.size(),
                " dimensions, but it has ", sizes.size());
    for (size_t dim = 0; dim < dims.size(); ++dim)
      TORCH_CHECK(dims[dim].isDynamic() || dims[dim].world[0] == sizes[dim],
                  "the graph took dimension ", dim, " of a value to be ", dims[dim].world[0],
                  ", but it is ", sizes[dim], " (", step.symbol, ")");
    if (inputs.empty() && given.empty())
      break;
  }
  elements = 1;
  for (int64_t size : sizes)
    elements *= size;
}

void IterationPlan::layOut(std::span<const at::Tensor *const> inputs) {
  Sizes plain(sizes.size());
  std::iota(plain.rbegin(), plain.rend(), 0);
  bool sameShape = true, contiguous = true, channelsLast = sizes.size() == 4;
  bool channelsLast3d = sizes.size() == 5, sameStrides = true;
  for (const at::Tensor *input : inputs) {
    sameShape &= input->sizes() == c10::IntArrayRef(sizes);
    contiguous &= input->is_contiguous();
    channelsLast &= input->is_contiguous(at::MemoryFormat::ChannelsLast);
    channelsLast3d &= input->is_contiguous(at::MemoryFormat::ChannelsLast3d);
    sameStrides &=
        input->is_non_overlapping_and_dense() && input->strides() == inputs[0]->strides();
  }
  if (inputs.empty() || (sameShape && contiguous)) {
    strides = densely(sizes, plain);
  } else if (sameShape && channelsLast) {
    strides = densely(sizes, {1, 3, 2, 0});
  } else if (sameShape && channelsLast3d) {
    strides = densely(sizes, {1, 4, 3, 2, 0});
  } else if (sameShape && sameStrides) {
    strides.assign(inputs[0]->strides().begin(), inputs[0]->strides().end());
  } else {
    c10::SmallVector<Sizes, 8> inputStrides;
    for (const at::Tensor *input : inputs)
      inputStrides.push_back(strideOver(*input, sizes));
    Sizes order = fastestFirst(sizes, inputStrides);
    strides = densely(sizes, order, order == plain);
  }
}

IterationPlan::Space IterationPlan::spaceOf(const KernelStep &step,
                                            std::span<const at::Tensor *const> inputs) const {
  Space space;
  c10::SmallVector<Sizes, 8> operandStrides;
  for (const at::Tensor *input : inputs) {
    operandStrides.push_back(strideOver(*input, sizes));
    space.elementBytes.push_back(static_cast<int64_t>(input->element_size()));
  }
  for (DType type : step.outputTypes) {
    operandStrides.push_back(strides);
    space.elementBytes.push_back(
        static_cast<int64_t>(c10::elementSize(static_cast<c10::ScalarType>(type))));
  }
  // The output is dense, so its strides order the dimensions that count without ambiguity.
  Sizes order;
  for (size_t dim = 0; dim < sizes.size(); ++dim)
    if (sizes[dim] != 1)
      order.push_back(static_cast<int64_t>(dim));
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return strides[a] < strides[b]; });
  for (int64_t dim : order) {
    Sizes steps;
    for (size_t k = 0; k < operandStrides.size(); ++k)
      steps.push_back(operandStrides[k][dim] * space.elementBytes[k]);
    bool continues = !space.sizes.empty();
    for (size_t k = 0; continues && k < steps.size(); ++k)
      continues = steps[k] == space.steps.back()[k] * space.sizes.back();
    if (continues) {
      space.sizes.back() *= sizes[dim];
    } else {
      space.sizes.push_back(sizes[dim]);
      space.steps.push_back(std::move(steps));
    }
  }
  return space;
}

void IterationPlan::chooseRows(const KernelStep &step, Space &space, size_t inputs) {
  auto kindOf = [&](size_t k) {
    return step.access.empty() ? InnerAccess::Contiguous : step.access[k];
  };
  auto fits = [&](size_t dim, size_t k) {
    switch (kindOf(k)) {
    case InnerAccess::Contiguous: return space.steps[dim][k] == space.elementBytes[k];
    case InnerAccess::Broadcast: return space.steps[dim][k] == 0;
    case InnerAccess::Strided: return true;
    }
    return false;
  };
  auto allFit = [&](size_t dim) {
    for (size_t k = 0; k < operands; ++k)
      if (!fits(dim, k))
        return false;
    return true;
  };
  // Rows of one element fit any code; few of them need nothing better.
  if (space.sizes.empty())
    return setRows(space, -1);
  if (allFit(0))
    return setRows(space, 0);
  if (elements >= kVariantElements && step.variant) {
    std::vector<InnerAccess> access;
    access.reserve(operands);
    for (size_t k = 0; k < operands; ++k)
      access.push_back(space.steps[0][k] == space.elementBytes[k] ? InnerAccess::Contiguous
                       : space.steps[0][k] == 0                   ? InnerAccess::Broadcast
                                                                  : InnerAccess::Strided);
    if (KernelFn variant = step.variant(access)) {
      fn = variant;
      return setRows(space, 0);
    }
  }
  int64_t best = -1;
  for (size_t dim = 1; dim < space.sizes.size(); ++dim)
    if (allFit(dim) && (best < 0 || space.sizes[dim] > space.sizes[best]))
      best = static_cast<int64_t>(dim);
  bool copiesSuffice = true;
  for (size_t k = 0; k < operands; ++k)
    copiesSuffice &= fits(0, k) || (k < inputs && kindOf(k) == InnerAccess::Contiguous);
  if (!copiesSuffice || (best >= 0 && space.sizes[best] >= 16) || elements < 64)
    return setRows(space, best);
  for (size_t k = 0; k < inputs; ++k) {
    if (fits(0, k))
      continue;
    copies[k] = hasCopies = true;
    for (Sizes &steps : space.steps) {
      // The copy steps as an output does, but for the size of its elements.
      steps[k] = steps[inputs] / space.elementBytes[inputs] * space.elementBytes[k];
    }
  }
  setRows(space, 0);
}

// innerDim < 0: rows of one element.
void IterationPlan::setRows(const Space &space, int64_t innerDim) {
  inner = innerDim < 0 ? 1 : space.sizes[innerDim];
  rows = 1;
  outerCount = 1;
  outer.clear();
  rowSteps.assign(2 * operands, 0);
  for (size_t k = 0; k < operands; ++k)
    rowSteps[operands + k] = innerDim < 0 ? space.elementBytes[k] : space.steps[innerDim][k];
  bool haveRows = false;
  for (size_t dim = 0; dim < space.sizes.size(); ++dim) {
    if (static_cast<int64_t>(dim) == innerDim)
      continue;
    if (!haveRows) {
      rows = space.sizes[dim];
      std::copy(space.steps[dim].begin(), space.steps[dim].end(), rowSteps.begin());
      haveRows = true;
    } else {
      outerCount *= space.sizes[dim];
      outer.push_back({space.sizes[dim], space.steps[dim]});
    }
  }
}

void IterationPlan::run(char *const *pointers, const Scalar64 *scalars) const {
  if (elements == 0)
    return;
  if (elements <= kParallelElements || at::in_parallel_region() || at::get_num_threads() == 1) {
    if (outerCount == 1)
      fn(pointers, rowSteps.data(), inner, rows, scalars);
    else
      runRows(pointers, scalars, 0, rows * outerCount, 0, inner);
    return;
  }
  int64_t allRows = rows * outerCount;
  if (allRows >= 4 * at::get_num_threads() || allRows > inner) {
    int64_t grain = std::max<int64_t>(1, kParallelElements / inner);
    parallelFor(allRows, grain, [&](int64_t first, int64_t end) {
      runRows(pointers, scalars, first, end, 0, inner);
    });
  } else {
    // Few long rows: each thread takes a piece of every row, whole cache lines of it.
    constexpr int64_t kPiece = 64;
    int64_t grain = std::max<int64_t>(1, kParallelElements / allRows / kPiece);
    parallelFor((inner + kPiece - 1) / kPiece, grain, [&](int64_t first, int64_t end) {
      runRows(pointers, scalars, 0, allRows, first * kPiece, std::min(end * kPiece, inner));
    });
  }
}

// Rows [firstRow, endRow) of all calls, and of each the elements [first, end).
void IterationPlan::runRows(char *const *pointers, const Scalar64 *scalars, int64_t firstRow,
                            int64_t endRow, int64_t first, int64_t end) const {
  c10::SmallVector<char *, 32> here(operands);
  for (int64_t row = firstRow; row < endRow;) {
    int64_t call = row / rows, start = row % rows;
    int64_t count = std::min(rows - start, endRow - row);
    for (size_t k = 0; k < operands; ++k)
      here[k] = pointers[k] + start * rowSteps[k] + first * rowSteps[operands + k];
    for (const OuterDim &dim : outer) {
      int64_t index = call % dim.size;
      call /= dim.size;
      for (size_t k = 0; k < operands; ++k)
        here[k] += index * dim.steps[k];
    }
    fn(here.data(), rowSteps.data(), end - first, count, scalars);
    row += count;
  }
}

} // namespace bifront
