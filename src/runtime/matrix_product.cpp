// Compiled for AVX-512, so nothing inline of another header may be instantiated here: the linker
// might keep this copy for machines that lack it.
//
// The right operand is packed into panels of 32 columns, the left one into panels of up to 14 rows,
// both by depth first, a block of depth at a time: a panel of the right stays in the first cache
// while those of the left pass by. The innermost loop multiplies a panel by a panel in registers.
#include "runtime/matrix_product.h"

#include <immintrin.h>

#include <utility> // types only

namespace bifront {
namespace {

constexpr int64_t kLanes = 16;
static_assert(kPanelColumns == 2 * kLanes);
constexpr int64_t kMostPanelRows = 14;
constexpr int64_t kBlockDepth = 256;    // a panel of the right: 32 KiB
constexpr int64_t kBlockColumns = 1024; // of the right, packed: a megabyte
constexpr int64_t kBlockRows = 10 * kMostPanelRows;

constexpr int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t roundedUp(int64_t a, int64_t to) { return (a + to - 1) / to * to; }

__mmask16 firstLanes(int64_t count) {
  return count >= kLanes ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// Rows become columns: of 16 vectors, each is the next element of all.
void transpose(__m512 (&rows)[16]) {
  __m512 pairs[16], fours[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int half = 0; half < 2; ++half) {
      __m512d low = _mm512_castps_pd(pairs[i + half]), high = _mm512_castps_pd(pairs[i + half + 2]);
      fours[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      fours[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  // fours[4 * g + c] has, in its lane l, column 4 * l + c of the rows 4 * g to 4 * g + 3.
  for (int c = 0; c < 4; ++c) {
    __m512 low0 = _mm512_shuffle_f32x4(fours[c], fours[4 + c], 0x88);
    __m512 low1 = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], 0x88);
    __m512 high0 = _mm512_shuffle_f32x4(fours[c], fours[4 + c], 0xdd);
    __m512 high1 = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], 0xdd);
    rows[c] = _mm512_shuffle_f32x4(low0, low1, 0x88);
    rows[8 + c] = _mm512_shuffle_f32x4(low0, low1, 0xdd);
    rows[4 + c] = _mm512_shuffle_f32x4(high0, high1, 0x88);
    rows[12 + c] = _mm512_shuffle_f32x4(high0, high1, 0xdd);
  }
}

// `width` lines of the matrix side by side, for each of `depth`: out[k * spacing + i] is
// scale * from[i * lineStride + k * depthStride]. Lanes of `spacing` beyond `width` become zero.
void packPanel(const float *from, int64_t lineStride, int64_t depthStride, int64_t width,
               int64_t depth, float scale, int64_t spacing, float *out) {
  const __m512 scales = _mm512_set1_ps(scale);
  for (int64_t first = 0; first < spacing; first += kLanes) {
    const float *lines = from + first * lineStride;
    __mmask16 present = firstLanes(width - first), written = firstLanes(spacing - first);
    int64_t count = lesser(width - first, kLanes);
    int64_t k = 0;
    if (lineStride == 1) {
      for (; k < depth; ++k)
        _mm512_mask_storeu_ps(
            out + k * spacing + first, written,
            _mm512_mul_ps(scales, _mm512_maskz_loadu_ps(present, lines + k * depthStride)));
      continue;
    }
    for (; depthStride == 1 && k < depth; k += kLanes) {
      __mmask16 deep = firstLanes(depth - k);
      __m512 block[16];
      for (int64_t i = 0; i < 16; ++i)
        block[i] =
            i < count
                ? _mm512_mul_ps(scales, _mm512_maskz_loadu_ps(deep, lines + i * lineStride + k))
                : _mm512_setzero_ps();
      transpose(block);
      int64_t rows = lesser(depth - k, kLanes);
      if (rows == kLanes)
        for (int64_t i = 0; i < 16; ++i)
          _mm512_mask_storeu_ps(out + (k + i) * spacing + first, written, block[i]);
      else
        for (int64_t i = 0; i < rows; ++i)
          _mm512_mask_storeu_ps(out + (k + i) * spacing + first, written, block[i]);
    }
    for (; k < depth; ++k)
      for (int64_t i = 0; i < lesser(spacing - first, kLanes); ++i)
        out[k * spacing + first + i] =
            i < count ? scale * lines[i * lineStride + k * depthStride] : 0;
  }
}

struct Tile {
  int64_t depth;
  const float *left = nullptr, *right = nullptr; // packed panels
  float *result = nullptr;
  int64_t resultStride;
  const float *initial = nullptr; // zero
  int64_t initialStride = 0;
  float initialScale = 1;
  __mmask16 lanes[2] = {0, 0};
};

// The sums are registers if all loops over them are unrolled early.
template <int Rows, int Vectors> void multiplyTile(const Tile &tile) {
  __m512 sums[Rows * Vectors];
#pragma clang loop unroll(full)
  for (int i = 0; i < Rows * Vectors; ++i)
    sums[i] = _mm512_setzero_ps();
  // Of a large sum that is added to: it is there by the time the products are.
  if (tile.initialStride > 0)
#pragma clang loop unroll(full)
    for (int i = 0; i < Rows * Vectors; ++i)
      _mm_prefetch(tile.initial + i / Vectors * tile.initialStride + i % Vectors * kLanes,
                   _MM_HINT_T0);
  const float *left = tile.left, *right = tile.right;
  for (int64_t k = 0; k < tile.depth; ++k) {
    __m512 columns[Vectors];
#pragma clang loop unroll(full)
    for (int v = 0; v < Vectors; ++v)
      columns[v] = _mm512_loadu_ps(right + v * kLanes);
#pragma clang loop unroll(full)
    for (int i = 0; i < Rows * Vectors; ++i)
      sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(left[i / Vectors]), columns[i % Vectors], sums[i]);
    left += Rows;
    right += kPanelColumns;
  }
  const __m512 initialScale = _mm512_set1_ps(tile.initialScale);
#pragma clang loop unroll(full)
  for (int i = 0; i < Rows * Vectors; ++i) {
    int64_t row = i / Vectors, column = i % Vectors * kLanes;
    __mmask16 lanes = tile.lanes[i % Vectors];
    if (tile.initial)
      sums[i] = _mm512_fmadd_ps(
          initialScale,
          _mm512_maskz_loadu_ps(lanes, tile.initial + row * tile.initialStride + column), sums[i]);
    _mm512_mask_storeu_ps(tile.result + row * tile.resultStride + column, lanes, sums[i]);
  }
}

template <int Vectors, int... Before>
void multiplyTileOf(int64_t rows, const Tile &tile, std::integer_sequence<int, Before...>) {
  using TileFn = void (*)(const Tile &);
  static constexpr TileFn kByRows[] = {multiplyTile<Before + 1, Vectors>...};
  kByRows[rows - 1](tile);
}

void multiplyTile(int64_t rows, int64_t columns, const Tile &tile) {
  constexpr std::make_integer_sequence<int, kMostPanelRows> rowCounts;
  if (columns > kLanes)
    multiplyTileOf<2>(rows, tile, rowCounts);
  else
    multiplyTileOf<1>(rows, tile, rowCounts);
}

// As even as it can be: 20 rows are two panels of 10.
int64_t panelRows(int64_t rows) {
  int64_t panels = (rows + kMostPanelRows - 1) / kMostPanelRows;
  return (rows + panels - 1) / panels;
}

void packColumns(const MatrixView &right, int64_t depth, int64_t columns, float *packed) {
  for (int64_t j = 0; j < columns; j += kPanelColumns, packed += depth * kPanelColumns)
    packPanel(right.data + j * right.columnStride, right.columnStride, right.rowStride,
              lesser(columns - j, kPanelColumns), depth, 1, kPanelColumns, packed);
}

// A block of the left, packed here, by a block of the right, packed before.
struct Block {
  int64_t row, column, depthAt, rows, columns, depth;
};

void multiplyBlock(const MatrixProduct &product, const Block &block, const float *right,
                   float *left) {
  int64_t height = panelRows(block.rows);
  const float *from = product.left.data + block.row * product.left.rowStride +
                      block.depthAt * product.left.columnStride;
  for (int64_t i = 0; i < block.rows; i += height) {
    int64_t rows = lesser(height, block.rows - i);
    packPanel(from + i * product.left.rowStride, product.left.rowStride, product.left.columnStride,
              rows, block.depth, product.scale, rows, left + i * block.depth);
  }
  Tile tile{.depth = block.depth, .resultStride = product.resultStride};
  for (int64_t j = 0; j < block.columns; j += kPanelColumns) {
    int64_t width = lesser(block.columns - j, kPanelColumns), column = block.column + j;
    tile.right = right + j * block.depth;
    tile.lanes[0] = firstLanes(width);
    tile.lanes[1] = firstLanes(width - kLanes);
    for (int64_t i = 0; i < block.rows; i += height) {
      int64_t rows = lesser(height, block.rows - i), row = block.row + i;
      tile.left = left + i * block.depth;
      tile.result = product.result + row * product.resultStride + column;
      if (block.depthAt > 0) {
        tile.initial = tile.result;
        tile.initialStride = product.resultStride;
        tile.initialScale = 1;
      } else if (product.initial) {
        tile.initial = product.initial + row * product.initialStride + column;
        tile.initialStride = product.initialStride;
        tile.initialScale = product.initialScale;
      }
      multiplyTile(rows, width, tile);
    }
  }
}

} // namespace

int64_t packedRightSize(int64_t depth, int64_t columns) {
  return depth * roundedUp(columns, kPanelColumns);
}

int64_t productWorkspaceSize(const MatrixProduct &product) {
  int64_t depth = lesser(product.depth, kBlockDepth);
  int64_t right =
      product.packedRight ? 0 : packedRightSize(depth, lesser(product.columns, kBlockColumns));
  return right + depth * lesser(product.rows, kBlockRows) + kLanes;
}

void packRight(const MatrixView &right, int64_t depth, int64_t columns, float *packed) {
  for (int64_t k = 0; k < depth; k += kBlockDepth) {
    int64_t deep = lesser(kBlockDepth, depth - k);
    packColumns({right.data + k * right.rowStride, right.rowStride, right.columnStride}, deep,
                columns, packed);
    packed += packedRightSize(deep, columns);
  }
}

void multiply(const MatrixProduct &product, float *workspace) {
  for (int64_t column = 0; column < product.columns; column += kBlockColumns) {
    int64_t columns = lesser(kBlockColumns, product.columns - column);
    for (int64_t k = 0; k < product.depth; k += kBlockDepth) {
      int64_t depth = lesser(kBlockDepth, product.depth - k);
      const float *right;
      float *left = workspace;
      if (product.packedRight) {
        right = product.packedRight + packedRightSize(k, product.packedColumns) +
                (product.packedFirst + column) * depth;
      } else {
        const MatrixView &from = product.right;
        packColumns({from.data + k * from.rowStride + column * from.columnStride, from.rowStride,
                     from.columnStride},
                    depth, columns, workspace);
        right = workspace;
        left = workspace + packedRightSize(depth, columns);
      }
      for (int64_t row = 0; row < product.rows; row += kBlockRows)
        multiplyBlock(product,
                      {row, column, k, lesser(kBlockRows, product.rows - row), columns, depth},
                      right, left);
    }
  }
}

} // namespace bifront
