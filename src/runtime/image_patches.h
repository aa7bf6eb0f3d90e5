// What the windows of a convolution see of an image, as columns of a matrix, and what those of
// pools make of it. Plain memory and numbers: nothing of torch is named here. Tested by
// unittests/runtime/float_convolutions_test.cpp and pools_test.cpp.
#pragma once

#include <cstdint>

namespace bifront {

// Rows and columns, of an image, a window, or a step.
struct Extent {
  int64_t rows, columns;
};

struct Windows {
  int64_t channels, height, width; // of the image
  int64_t windowHeight, windowWidth;
  int64_t rowStep, columnStep; // from window to window
  int64_t rowPadding, columnPadding;
  int64_t rows, columns; // of windows

  int64_t count() const { return rows * columns; }
  int64_t depth() const { return channels * windowHeight * windowWidth; }
  // Whether a spread image is the image.
  bool areOfSpread() const {
    return rowStep == 1 && columnStep == 1 && rowPadding == 0 && columnPadding == 0;
  }
  // Whether the image as it is has one column for each window.
  bool areColumns() const { return areOfSpread() && windowHeight == 1 && windowWidth == 1; }
};

// All that lie within the image and its padding; `rows` or `columns` is 0 where none does.
Windows windowsOver(int64_t channels, Extent image, Extent window, Extent step, Extent padding);

// The columns that windows side by side see lie side by side in a spread image: the padding is in
// it, and each row is columnStep rows, of every columnStep-th column.
int64_t spreadSize(const Windows &windows);
int64_t rowsOfSpread(const Windows &windows);
void spread(const Windows &windows, const float *image, float *spread, float padding = 0);
// The image that a spread one is of; where no window looks, zero.
void gather(const Windows &windows, const float *spread, float *image);

// Row k of the matrix has what all windows see at their k-th place. Rows are `stride` apart.
void patchesOf(const Windows &windows, const float *spread, float *matrix, int64_t stride);
// Adds the rows of the matrix to what they are of.
void addPatches(const Windows &windows, const float *matrix, int64_t stride, float *spread);

// Of windows over one channel, with no more than so many places.
constexpr int64_t kMostPlaces = 128;
// The sum of what each sees, by rowCounts[row] * columnCounts[column].
void averagePatches(const Windows &windows, const float *spread, const float *rowCounts,
                    const float *columnCounts, float *averages);
void divideByCounts(const Windows &windows, const float *from, const float *rowCounts,
                    const float *columnCounts, float *to);
// The first of the greatest that each sees, or the last that is no number, and where in the image
// it is. The padding is minus infinity, and no window lies in it.
void greatestPatches(const Windows &windows, const float *spread, float *values, int64_t *places);

// `count` rows of `size` elements, and what is added to each row; null: nothing.
void copyRows(const float *from, int64_t fromStride, float *to, int64_t toStride, int64_t count,
              int64_t size, const float *added = nullptr);
// The sum of the elements.
float sumOf(const float *from, int64_t size);

} // namespace bifront
