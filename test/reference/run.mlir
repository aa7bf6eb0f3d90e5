// bf-run: the printed form of results, of what is stored, and of failures.
// RUN: bf-run %s --reference --size 2 | FileCheck %s
// RUN: bf-run %s --size 2 | FileCheck %s
// RUN: bf-run %s --compare --size 2 | FileCheck %s --check-prefix=AGREE

// CHECK: result 0: f32[2, 2] = 0, 0, 0, 0
// CHECK: result 1: 2
// CHECK: result 2: i64[3] = 1, 1, 1
// CHECK: result 3: true
// CHECK: input 1 now: f32[2] = 0, 0
// CHECK: input 1 grad: f32[2] = 1, 1
// AGREE: native and reference agree
func.func @f(%x: tensor<?x2xf32>, %w: tensor<2xf32> {bf.requires_grad})
    -> (tensor<?x2xf32>, i64, tensor<3xi64>, i1) {
  %0 = bf.aten "aten::zeros_like"(%x, none, none, none, none, none) : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %n = bf.dim %0, 0 : tensor<?x2xf32> -> i64
  %1 = bf.aten "aten::ones"([3], 4, none, none, none) : () -> tensor<3xi64>
  %z = bf.aten "aten::zeros"([2], none, none, none, none) : () -> tensor<2xf32>
  %o = bf.aten "aten::add.Scalar"(%z, 1, 1) : (tensor<2xf32>) -> tensor<2xf32>
  %two = arith.constant 2 : i64
  %is = arith.cmpi eq, %n, %two : i64
  bf.store %z to %w : tensor<2xf32> to tensor<2xf32>
  bf.store_attr %w, "grad", %o : tensor<2xf32>, tensor<2xf32>
  return %0, %n, %1, %is : tensor<?x2xf32>, i64, tensor<3xi64>, i1
}
