// Plain descriptions of values, shared by the halves that know torch and those that know MLIR.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace bifront {

// The numbering is c10::ScalarType's, so that a cast is the conversion (checked in capture).
enum class DType : int8_t {
  UInt8 = 0,
  Int8 = 1,
  Int16 = 2,
  Int32 = 3,
  Int64 = 4,
  Half = 5,
  Float = 6,
  Double = 7,
  ComplexHalf = 8,
  ComplexFloat = 9,
  ComplexDouble = 10,
  Bool = 11,
  BFloat16 = 15,
};

// A dimension, known or dynamic. A dynamic one has a size in each of the two worlds in which shapes
// are inferred; two dynamic dimensions with the same sizes in both are taken to be equal, and that
// is checked when the graph runs.
struct Dim {
  int64_t world[2];
  static Dim fixed(int64_t size) { return {{size, size}}; }
  bool isDynamic() const { return world[0] != world[1]; }
  bool operator==(const Dim &) const = default;
};

struct TensorType {
  DType dtype = DType::Float;
  std::vector<Dim> dims;
  std::string device = "cpu";
  // The dimensions of a dense tensor from the outermost in memory to the innermost, as eager lays
  // it out; empty for the usual order, and where it is not known. Derivatives are made to suit.
  std::vector<int64_t> order;
  bool operator==(const TensorType &) const = default;
};

// What a graph value is.
struct ValueType {
  enum class Kind : uint8_t { Tensor, Int, Float, Bool, Complex, None, TensorList, Object, Tape };
  Kind kind = Kind::Tensor;
  TensorType tensor;               // Kind::Tensor
  std::vector<TensorType> tensors; // Kind::TensorList
  static ValueType ofTensor(TensorType type) { return {Kind::Tensor, std::move(type), {}}; }
  static ValueType scalar(Kind kind) { return {kind, {}, {}}; }
};

} // namespace bifront
