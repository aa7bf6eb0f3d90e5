#include "runtime/float_products.h"

#include "runtime/parallel.h"
#include "runtime/plain_memory.h"
#include "support/options.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <optional>

namespace bifront {
namespace {

// Below, calling takes as long as multiplying. Packing a large matrix takes longer than multiplying
// few rows by it.
constexpr int64_t kSmallestWork = 1 << 10; // multiplications
constexpr int64_t kFewestColumns = 4, kFewRows = 4, kLargeForFewRows = 1 << 13;

constexpr int64_t kWorkPerThread = 1 << 18; // at least
// Packing takes a small part of the time of a product of more rows.
constexpr int64_t kMostRowsForPacked = 128;
// Where ATen's products are fast, its calls still take longer, and it packs columns no faster.
constexpr int64_t kMostWorkBesideAten = 1 << 14, kMostWorkOfColumnsBesideAten = 1 << 22;

// Of this thread, for as long as it lives; no more than a block of each operand.
float *workspace(int64_t size) {
  thread_local FloatMemory memory;
  return memory.get(size);
}

// In parts for ATen's threads, along what there is more of.
void multiplyInParallel(const MatrixProduct &whole) {
  constexpr int64_t kRows = 28;
  bool byColumns = whole.columns >= whole.rows;
  int64_t unit = byColumns ? kPanelColumns : kRows, size = byColumns ? whole.columns : whole.rows;
  int64_t other = byColumns ? whole.rows : whole.columns;
  int64_t grain = std::max<int64_t>(1, kWorkPerThread / (unit * other * whole.depth));
  parallelFor((size + unit - 1) / unit, grain, [&](int64_t begin, int64_t end) {
    int64_t first = begin * unit, count = std::min(size, end * unit) - first;
    MatrixProduct part = whole;
    if (byColumns) {
      part.columns = count;
      part.right.data += first * whole.right.columnStride;
      part.packedFirst += first;
      part.result += first;
      part.initial = whole.initial ? whole.initial + first : nullptr;
    } else {
      part.rows = count;
      part.left.data += first * whole.left.rowStride;
      part.result += first * whole.resultStride;
      part.initial = whole.initial ? whole.initial + first * whole.initialStride : nullptr;
    }
    multiply(part, workspace(productWorkspaceSize(part)));
  });
}

// ===- What ATen gives -------------------------------------------------------------------------===

bool isPlainFloat(const at::Tensor &tensor, int64_t dims) {
  return isPlainMemory(tensor, at::kFloat) && tensor.dim() == dims;
}

// The last two dimensions. Lines must lie side by side in one of them.
std::optional<MatrixView> viewOf(const at::Tensor &tensor) {
  int64_t rows = tensor.stride(-2), columns = tensor.stride(-1);
  if (rows != 1 && columns != 1)
    return std::nullopt;
  return MatrixView{tensor.const_data_ptr<float>(), rows, columns};
}

struct Factors {
  int64_t batch = 1;
  MatrixProduct product{};
  int64_t leftStep = 0, rightStep = 0; // from one of the batch to the next
};

bool canBePacked(const Factors &factors, const PackedRight *packed) {
  return packed && factors.batch == 1 && factors.product.rows <= kMostRowsForPacked;
}

bool isFaster(const Factors &factors, const PackedRight *packed) {
  const MatrixProduct &one = factors.product;
  int64_t most = one.right.rowStride == 1 ? kMostWorkOfColumnsBesideAten : kMostWorkBesideAten;
  return !atensProductsAreFast() || canBePacked(factors, packed) ||
         factors.batch * one.rows * one.columns * one.depth <= most;
}

// Nothing where ATen is to do it.
template <bool evenIfSlower>
std::optional<Factors> factorsOf(const at::Tensor &left, const at::Tensor &right, int64_t dims,
                                 const PackedRight *packed) {
  if (!isPlainFloat(left, dims) || !isPlainFloat(right, dims))
    return std::nullopt;
  Factors factors;
  MatrixProduct &product = factors.product;
  product.rows = left.size(-2);
  product.depth = left.size(-1);
  product.columns = right.size(-1);
  int64_t sizeOfRight = product.depth * product.columns;
  if (product.depth != right.size(-2) || product.columns < kFewestColumns ||
      (product.rows < kFewRows && sizeOfRight > kLargeForFewRows) ||
      product.rows * sizeOfRight < kSmallestWork)
    return std::nullopt;
  if (dims == 3) {
    factors.batch = left.size(0);
    factors.leftStep = left.stride(0);
    factors.rightStep = right.stride(0);
    if (right.size(0) != factors.batch || factors.batch == 0)
      return std::nullopt;
  }
  auto viewOfLeft = viewOf(left), viewOfRight = viewOf(right);
  if (!viewOfLeft || !viewOfRight ||
      at::globalContext().float32MatmulPrecision() != at::Float32MatmulPrecision::HIGHEST)
    return std::nullopt;
  product.left = *viewOfLeft;
  product.right = *viewOfRight;
  if (!evenIfSlower && !isFaster(factors, packed))
    return std::nullopt;
  return factors;
}

// What the product is added to: one or many rows, whose columns lie side by side.
struct Initial {
  const float *data;
  int64_t rowStride, step;
};

std::optional<Initial> initialOf(const at::Tensor &initial, const Factors &factors, int64_t dims) {
  if (!isPlainFloat(initial, initial.dim()) || initial.dim() < 1 || initial.dim() > dims ||
      initial.size(-1) != factors.product.columns || initial.stride(-1) != 1)
    return std::nullopt;
  auto strideAlong = [&](int64_t dim, int64_t size) -> std::optional<int64_t> {
    if (initial.dim() < -dim || initial.size(dim) == 1)
      return 0;
    return initial.size(dim) == size ? std::optional(initial.stride(dim)) : std::nullopt;
  };
  auto rowStride = strideAlong(-2, factors.product.rows);
  auto step = dims == 3 ? strideAlong(-3, factors.batch) : 0;
  if (!rowStride || !step)
    return std::nullopt;
  return Initial{initial.const_data_ptr<float>(), *rowStride, *step};
}

void multiplyAll(const Factors &factors, const at::Tensor &result, const Initial *initial,
                 PackedRight *packed) {
  MatrixProduct one = factors.product;
  if (canBePacked(factors, packed)) {
    one.packedRight = packed->of(one.right, one.depth, one.columns);
    one.packedColumns = one.columns;
  }
  one.result = result.mutable_data_ptr<float>();
  one.resultStride = result.stride(-2);
  if (initial) {
    one.initial = initial->data;
    one.initialStride = initial->rowStride;
  }
  int64_t resultStep = factors.batch > 1 ? result.stride(0) : 0;
  auto advance = [&](MatrixProduct product, int64_t index) {
    product.left.data += index * factors.leftStep;
    product.right.data += index * factors.rightStep;
    product.result += index * resultStep;
    product.initial = initial ? product.initial + index * initial->step : nullptr;
    return product;
  };
  if (factors.batch == 1)
    return multiplyInParallel(one);
  int64_t work = one.rows * one.columns * one.depth;
  parallelFor(factors.batch, std::max<int64_t>(1, kWorkPerThread / work),
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  MatrixProduct part = advance(one, i);
                  multiply(part, workspace(productWorkspaceSize(part)));
                }
              });
}

at::Tensor makeResult(const Factors &factors, const at::Tensor &like, int64_t dims) {
  const MatrixProduct &product = factors.product;
  if (dims == 2)
    return at::empty({product.rows, product.columns}, like.options());
  return at::empty({factors.batch, product.rows, product.columns}, like.options());
}

// ===- The operators ---------------------------------------------------------------------------===

// mm and bmm
template <bool evenIfSlower, int64_t dims>
bool product(std::vector<c10::IValue> &stack, PackedRight *packed) {
  const at::Tensor &left = stack[0].toTensor();
  auto factors = factorsOf<evenIfSlower>(left, stack[1].toTensor(), dims, packed);
  if (!factors)
    return false;
  at::Tensor result = makeResult(*factors, left, dims);
  multiplyAll(*factors, result, nullptr, packed);
  giveResults(stack, std::move(result));
  return true;
}

// addmm and baddbmm: beta * self + alpha * (left @ right); NaNs of self do not count where beta is
// zero.
template <bool evenIfSlower, int64_t dims, bool inPlace>
bool sumWithProduct(std::vector<c10::IValue> &stack, PackedRight *packed) {
  const at::Tensor &self = stack[0].toTensor(), &left = stack[1].toTensor(),
                   &right = stack[2].toTensor();
  double beta = stack[3].toScalar().toDouble(), alpha = stack[4].toScalar().toDouble();
  auto factors = factorsOf<evenIfSlower>(left, right, dims, packed);
  if (!factors || alpha == 0)
    return false;
  auto initial = initialOf(self, *factors, dims);
  if (!initial)
    return false;
  factors->product.scale = static_cast<float>(alpha);
  factors->product.initialScale = static_cast<float>(beta);
  if (inPlace) {
    bool isWhole = self.dim() == dims && self.size(-2) == factors->product.rows &&
                   (dims == 2 || self.size(0) == factors->batch) &&
                   self.is_non_overlapping_and_dense();
    bool isApart = !self.is_alias_of(left) && !self.is_alias_of(right);
    if (!isWhole || !isApart)
      return false;
  }
  at::Tensor result = inPlace ? self : makeResult(*factors, left, dims);
  multiplyAll(*factors, result, beta == 0 ? nullptr : &*initial, packed);
  giveResults(stack, std::move(result));
  return true;
}

template <bool evenIfSlower> OwnFunction productOf(const std::string &schema) {
  return functionNamed(schema, {{"aten::mm", product<evenIfSlower, 2>},
                                {"aten::bmm", product<evenIfSlower, 3>},
                                {"aten::addmm", sumWithProduct<evenIfSlower, 2, false>},
                                {"aten::addmm_", sumWithProduct<evenIfSlower, 2, true>},
                                {"aten::baddbmm", sumWithProduct<evenIfSlower, 3, false>},
                                {"aten::baddbmm_", sumWithProduct<evenIfSlower, 3, true>}});
}

} // namespace

float *FloatMemory::get(int64_t size) {
  if (held < size) {
    constexpr size_t kAlignment = 64;
    size_t bytes = (static_cast<size_t>(size) * sizeof(float) + kAlignment - 1) & -kAlignment;
    memory.reset(); // ahead of what takes its place
    held = 0;
    memory.reset(static_cast<float *>(std::aligned_alloc(kAlignment, bytes)));
    TORCH_CHECK(memory, "no memory for a product of matrices");
    held = size;
  }
  return memory.get();
}

const float *PackedRight::of(const MatrixView &right, int64_t newDepth, int64_t newColumns) {
  bool isSame = isMade && right.data == from.data && right.rowStride == from.rowStride &&
                right.columnStride == from.columnStride && depth == newDepth &&
                columns == newColumns;
  float *packed = memory.get(packedRightSize(newDepth, newColumns));
  if (!isSame)
    packRight(right, newDepth, newColumns, packed);
  from = right;
  depth = newDepth;
  columns = newColumns;
  isMade = true;
  return packed;
}

bool hasOwnVectors() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx512f");
  return has && options().ownProducts;
#else
  return false;
#endif
}

bool atensProductsAreFast() {
#if defined(__x86_64__)
  static const bool are = __builtin_cpu_is("intel");
  return are;
#else
  return true;
#endif
}

OwnFunction ownProduct(const std::string &schema, bool evenIfSlower) {
  if (!hasOwnVectors())
    return nullptr;
  return evenIfSlower ? productOf<true>(schema) : productOf<false>(schema);
}

} // namespace bifront
