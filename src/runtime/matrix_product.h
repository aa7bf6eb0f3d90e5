// Products of matrices of float, for machines where AVX-512 is there and ATen's library leaves it
// unused. Plain memory and numbers: nothing of torch is named here.
#pragma once

#include <cstdint>

namespace bifront {

struct MatrixView {
  const float *data;
  int64_t rowStride, columnStride; // in elements
};

// result = scale * left * right + initialScale * initial. The result's columns lie side by side;
// so do those of `initial`, which has none (data is null), one row for all (rowStride is 0), or is
// the result itself.
struct MatrixProduct {
  int64_t rows, columns, depth;
  MatrixView left, right;
  float *result;
  int64_t resultStride; // from row to row
  const float *initial = nullptr;
  int64_t initialStride = 0;
  float scale = 1, initialScale = 1;
  // What packRight has made of a matrix of so many columns, of which `right` begins at one that is
  // a multiple of kPanelColumns. Null: not made.
  const float *packedRight = nullptr;
  int64_t packedColumns = 0, packedFirst = 0;
};
constexpr int64_t kPanelColumns = 32;

// Elements that packRight writes, and what a product needs beside its operands.
int64_t packedRightSize(int64_t depth, int64_t columns);
int64_t productWorkspaceSize(const MatrixProduct &product);

// Both need a machine with AVX-512 and memory that is aligned to 64 bytes.
void packRight(const MatrixView &right, int64_t depth, int64_t columns, float *packed);
void multiply(const MatrixProduct &product, float *workspace);

} // namespace bifront
