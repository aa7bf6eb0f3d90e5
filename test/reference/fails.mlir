// RUN: not bf-run %s --reference --size 4 | FileCheck %s
// RUN: not bf-run %s --size 4 | FileCheck %s
// RUN: not bf-run %s --size 5 | FileCheck %s --check-prefix=THREW
// RUN: bf-run %s --compare --size 4 | FileCheck %s --check-prefix=AGREE

// CHECK: error: the batch is not 4
// THREW: error: shape '[4, 3]' is invalid for input of size 15
// AGREE: native and reference agree
func.func @f(%x: tensor<?x3xf32>) -> tensor<4x3xf32> {
  %n = bf.dim %x, 0 : tensor<?x3xf32> -> i64
  %four = arith.constant 4 : i64
  %other = arith.cmpi ne, %n, %four : i64
  bf.assert %other, "the batch is not 4"
  %0 = bf.aten "aten::view"(%x, [4, 3]) : (tensor<?x3xf32>) -> tensor<4x3xf32>
  return %0 : tensor<4x3xf32>
}
