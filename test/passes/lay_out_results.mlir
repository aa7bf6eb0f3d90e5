// RUN: bf-opt --split-input-file --bf-lay-out-results %s | FileCheck %s

// What is written keeps its own strides.
// CHECK-LABEL: func.func @written
func.func @written(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // CHECK: %[[Y:.*]] = bf.aten "aten::zeros"
  %0 = bf.aten "aten::zeros"([2, 3], 6, none, "cpu", none) : () -> tensor<2x3xf32>
  %1 = bf.aten "aten::copy_"(%0, %x, false) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  // CHECK: %[[R:.*]] = bf.aten "aten::contiguous"(%[[Y]], 0)
  // CHECK: return %[[R]]
  return %0 : tensor<2x3xf32>
}
// -----
// The order of dimensions is what was recorded.
// CHECK-LABEL: func.func @transposed
func.func @transposed(%n: i64) -> (tensor<2x?xf32, #bf.tensor<worlds = [[3, 4]]>>, tensor<1x2x3x4xf32>) {
  %0 = bf.aten "aten::zeros"([2, %n], 6, none, "cpu", none) {bf.order = [array<i64: 1, 0>]} : (i64) -> tensor<2x?xf32, #bf.tensor<worlds = [[3, 4]]>>
  %1 = bf.aten "aten::zeros"([1, 2, 3, 4], 6, none, "cpu", none) {bf.order = [array<i64: 0, 2, 3, 1>]} : () -> tensor<1x2x3x4xf32>
  // CHECK: %[[P:.*]] = bf.aten "aten::permute"(%{{.*}}, [1, 0]) : ({{.*}}) -> tensor<?x2xf32, #bf.tensor<worlds = {{\[}}[3, 4]]>>
  // CHECK: %[[C:.*]] = bf.aten "aten::contiguous"(%[[P]], 0)
  // CHECK: %[[T:.*]] = bf.aten "aten::permute"(%[[C]], [1, 0])
  // CHECK: %[[L:.*]] = bf.aten "aten::contiguous"(%{{.*}}, 2)
  // CHECK: return %[[T]], %[[L]]
  return %0, %1 : tensor<2x?xf32, #bf.tensor<worlds = [[3, 4]]>>, tensor<1x2x3x4xf32>
}
// -----
// Of two tensors over one memory neither may go its own way; strides of views are not known.
// CHECK-LABEL: func.func @shared
func.func @shared(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x3xf32>) {
  // CHECK-NOT: aten::contiguous
  %0 = bf.aten "aten::exp"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = bf.aten "aten::t"(%0) {bf.order = [array<i64: 1, 0>]} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %2 = bf.aten "aten::sum"(%x, none) : (tensor<2x3xf32>) -> tensor<f32>
  %3 = bf.aten "aten::expand"(%2, [2, 3], false) : (tensor<f32>) -> tensor<2x3xf32>
  return %0, %1, %3 : tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x3xf32>
}
// -----
// A gradient is dense where it becomes a `.grad`; the last one assigned counts.
// CHECK-LABEL: func.func @gradients
func.func @gradients(%w: tensor<2x3xf32>, %v: tensor<2x3xf32>, %loss: tensor<f32>) -> tensor<2x3xf32> {
  // CHECK: %[[G:.*]]:2 = bf.grad
  %0:2 = bf.grad outputs(%loss) seeds() wrt(%w, %v) : (tensor<f32>), (), (tensor<2x3xf32>, tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>)
  // CHECK: bf.store_attr %arg0, "grad", %[[G]]#1
  bf.store_attr %w, "grad", %0#1 : tensor<2x3xf32>, tensor<2x3xf32>
  // CHECK: %[[C:.*]] = bf.aten "aten::contiguous"(%[[G]]#0, 0)
  // CHECK: bf.store_attr %arg0, "grad", %[[C]]
  // CHECK: return %[[G]]#1
  bf.store_attr %w, "grad", %0#0 : tensor<2x3xf32>, tensor<2x3xf32>
  return %0#1 : tensor<2x3xf32>
}
