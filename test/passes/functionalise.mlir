// RUN: bf-opt --split-input-file --bf-functionalise %s | FileCheck %s

// A write to an input becomes a store at the end; later reads see the new contents.
// CHECK-LABEL: func.func @input
func.func @input(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[NEW:.*]] = bf.aten "aten::add.Tensor"(%arg0, %arg0, 2)
  %0 = bf.aten "aten::add_.Tensor"(%x, %x, 2) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[R:.*]] = bf.aten "aten::relu"(%[[NEW]])
  %1 = bf.aten "aten::relu"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.store %[[NEW]] to %arg0
  // CHECK-NEXT: return {{.*}} %[[R]]
  return %1 : tensor<4xf32>
}
// -----
// An input that is returned is returned as itself.
// CHECK-LABEL: func.func @identity
func.func @identity(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[NEW:.*]] = bf.aten "aten::relu"(%arg0)
  %0 = bf.aten "aten::relu_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.store %[[NEW]] to %arg0
  // CHECK-NEXT: return {bf.objects = array<i32: 0>, bf.storages = array<i32: 0>} %arg0
  return %0 : tensor<4xf32>
}
// -----
// A write through a view reaches the base and the other views.
// CHECK-LABEL: func.func @views
func.func @views(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> (tensor<4x2xf32>, tensor<2x4xf32>) {
  // CHECK: bf.aten "aten::t"(%arg0)
  %t = bf.aten "aten::t"(%x) : (tensor<2x4xf32>) -> tensor<4x2xf32>
  // CHECK: %[[ROW:.*]] = bf.aten "aten::select.int"(%arg0, 0, 1)
  %row = bf.aten "aten::select.int"(%x, 0, 1) : (tensor<2x4xf32>) -> tensor<4xf32>
  // CHECK: %[[SUM:.*]] = bf.aten "aten::mul.Tensor"(%[[ROW]], %arg1)
  %0 = bf.aten "aten::mul_.Tensor"(%row, %y) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[BASE:.*]] = bf.aten "aten::select_scatter"(%arg0, %[[SUM]], 0, 1)
  // CHECK: %[[EXP:.*]] = bf.aten "aten::exp"(%[[BASE]])
  %1 = bf.aten "aten::exp"(%x) : (tensor<2x4xf32>) -> tensor<2x4xf32>
  // CHECK: %[[T:.*]] = bf.aten "aten::t"(%[[BASE]])
  // CHECK: %[[TEXP:.*]] = bf.aten "aten::neg"(%[[T]])
  %2 = bf.aten "aten::neg"(%t) : (tensor<4x2xf32>) -> tensor<4x2xf32>
  // CHECK: bf.store %[[BASE]] to %arg0
  return %2, %1 : tensor<4x2xf32>, tensor<2x4xf32>
}
// -----
// Through two views, with the inverses of each.
// CHECK-LABEL: func.func @chain
func.func @chain(%x: tensor<2x6xf32>) {
  // CHECK: %[[V:.*]] = bf.aten "aten::view"(%arg0, [3, 4])
  %v = bf.aten "aten::view"(%x, [3, 4]) : (tensor<2x6xf32>) -> tensor<3x4xf32>
  // CHECK: %[[S:.*]] = bf.aten "aten::slice.Tensor"(%[[V]], 1, 1, 3, 1)
  %s = bf.aten "aten::slice.Tensor"(%v, 1, 1, 3, 1) : (tensor<3x4xf32>) -> tensor<3x2xf32>
  // CHECK: %[[Z:.*]] = bf.aten "aten::zero"(%[[S]])
  %0 = bf.aten "aten::zero_"(%s) : (tensor<3x2xf32>) -> tensor<3x2xf32>
  // CHECK: %[[W:.*]] = bf.aten "aten::slice_scatter"(%[[V]], %[[Z]], 1, 1, 3, 1)
  // CHECK: %[[B:.*]] = bf.aten "aten::reshape"(%[[W]], [2, 6])
  // CHECK: bf.store %[[B]] to %arg0
  return
}
// -----
// CHECK-LABEL: func.func @parts
func.func @parts(%x: tensor<5x2xf32>) {
  // CHECK: %[[P:.*]]:2 = bf.aten "aten::split_with_sizes"
  %p:2 = bf.aten "aten::split_with_sizes"(%x, [2, 3], 0) : (tensor<5x2xf32>) -> (tensor<2x2xf32>, tensor<3x2xf32>)
  // CHECK: bf.aten "aten::exp"(%[[P]]#1)
  %0 = bf.aten "aten::exp_"(%p#1) : (tensor<3x2xf32>) -> tensor<3x2xf32>
  // CHECK: "aten::slice_scatter"(%arg0, %{{.*}}, 0, %c2{{.*}}, %c5{{.*}}, 1)
  %u:5 = bf.aten "aten::unbind.int"(%x, 0) : (tensor<5x2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>)
  // CHECK: "aten::select_scatter"(%{{.*}}, %{{.*}}, 0, 3)
  %1 = bf.aten "aten::exp_"(%u#3) : (tensor<2xf32>) -> tensor<2xf32>
  return
}
// -----
// CHECK-LABEL: func.func @permuted
func.func @permuted(%x: tensor<2x3x4xf32>) {
  // CHECK: "aten::permute"(%arg0, [2, 0, -2])
  %p = bf.aten "aten::permute"(%x, [2, 0, -2]) : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  %0 = bf.aten "aten::neg_"(%p) : (tensor<4x2x3xf32>) -> tensor<4x2x3xf32>
  // CHECK: "aten::permute"(%{{.*}}, [1, 2, 0]) : (tensor<4x2x3xf32>) -> tensor<2x3x4xf32>
  return
}
// -----
// In-place ops keep the dtype of what they write.
// CHECK-LABEL: func.func @dtypes
func.func @dtypes(%x: tensor<4xf32>, %y: tensor<4xf64>) {
  // CHECK: %[[WIDE:.*]] = bf.aten "aten::add.Tensor"(%arg0, %arg1, 1) : (tensor<4xf32>, tensor<4xf64>) -> tensor<4xf64>
  // CHECK: bf.aten "aten::_to_copy"(%[[WIDE]], 6,
  %0 = bf.aten "aten::add_.Tensor"(%x, %y, 1) : (tensor<4xf32>, tensor<4xf64>) -> tensor<4xf32>
  // CHECK: %[[IS:.*]] = bf.aten "aten::gt.Scalar"({{.*}}) : (tensor<4xf64>) -> tensor<4xi1>
  // CHECK: bf.aten "aten::_to_copy"(%[[IS]], 7,
  %1 = bf.aten "aten::gt_.Scalar"(%y, 1) : (tensor<4xf64>) -> tensor<4xf64>
  return
}
// -----
// Random ops keep their form: their pure twins may draw in another order.
// CHECK-LABEL: func.func @random
func.func @random(%x: tensor<4xf32>) {
  // CHECK: %[[R:.*]]:2 = bf.aten "aten::normal_"(%arg0, 0.000000e+00, 1.000000e+00, none) writes [0]
  %0 = bf.aten "aten::normal_"(%x, 0.0, 1.0, none) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[B:.*]]:2 = bf.aten "aten::bernoulli_.float"(%arg0, 5.000000e-01, none) writes [0]
  %1 = bf.aten "aten::bernoulli_.float"(%x, 0.5, none) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.store %[[B]]#1 to %arg0
  return
}
// -----
// Writes that the schema does not say, only where the kernel writes.
// CHECK-LABEL: func.func @batch_norm
func.func @batch_norm(%x: tensor<8x4xf32>, %w: tensor<4xf32>, %m: tensor<4xf32>, %v: tensor<4xf32>) {
  // CHECK: %[[R:.*]]:5 = bf.aten "aten::native_batch_norm"(%arg0, %arg1, %arg1, %arg2, %arg3, true, {{.*}}) writes [3, 4]
  %0:3 = bf.aten "aten::native_batch_norm"(%x, %w, %w, %m, %v, true, 0.1, 1.0e-05)
      : (tensor<8x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<8x4xf32>, tensor<4xf32>, tensor<4xf32>)
  // CHECK: %{{.*}}:3 = bf.aten "aten::native_batch_norm"(%arg0, %arg1, %arg1, %[[R]]#3, %[[R]]#4, false, {{[^)]*}}) :
  %1:3 = bf.aten "aten::native_batch_norm"(%x, %w, %w, %m, %v, false, 0.1, 1.0e-05)
      : (tensor<8x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<8x4xf32>, tensor<4xf32>, tensor<4xf32>)
  // CHECK: bf.store %[[R]]#3 to %arg2
  // CHECK: bf.store %[[R]]#4 to %arg3
  return
}
// -----
// Lists of written tensors.
// CHECK-LABEL: func.func @foreach
func.func @foreach(%a: tensor<4xf32>, %b: tensor<2xf32>, %c: tensor<4xf32>, %d: tensor<2xf32>) {
  // CHECK: %[[R:.*]]:2 = bf.aten "aten::_foreach_add_.List"([%arg0, %arg1], [%arg2, %arg3], 1) writes [0, 1]
  bf.aten "aten::_foreach_add_.List"([%a, %b], [%c, %d], 1) : (tensor<4xf32>, tensor<2xf32>, tensor<4xf32>, tensor<2xf32>) -> ()
  // CHECK: bf.store %[[R]]#0 to %arg0
  // CHECK: bf.store %[[R]]#1 to %arg1
  return
}
// -----
// An attribute holds a tensor: what the tensor holds in the end. The last assignment counts.
// CHECK-LABEL: func.func @attributes
func.func @attributes(%w: tensor<4xf32>, %g: tensor<4xf32>) -> tensor<4xf32> {
  %0 = bf.aten "aten::neg"(%g) : (tensor<4xf32>) -> tensor<4xf32>
  bf.store_attr %w, "grad" : tensor<4xf32>
  bf.store_attr %w, "grad", %0 : tensor<4xf32>, tensor<4xf32>
  // CHECK: %[[M:.*]] = bf.aten "aten::mul.Scalar"
  %1 = bf.aten "aten::mul_.Scalar"(%0, 2) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: bf.store_attr %arg0, "grad", %[[M]] {bf.objects = array<i32: 2>, bf.storages = array<i32: 2>}
  // CHECK-NEXT: return {bf.objects = array<i32: 2>, bf.storages = array<i32: 2>} %[[M]]
  return %0 : tensor<4xf32>
}
// -----
// What is one object, and what shares memory, is noted.
// CHECK-LABEL: func.func @identities
func.func @identities(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<2x2xf32>, tensor<4xf32>) {
  %0 = bf.aten "aten::neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::view"(%1, [2, 2]) : (tensor<4xf32>) -> tensor<2x2xf32>
  // CHECK: return {bf.objects = array<i32: 1, 2, 3, 1>, bf.storages = array<i32: 1, 2, 2, 1>}
  return %0, %1, %2, %0 : tensor<4xf32>, tensor<4xf32>, tensor<2x2xf32>, tensor<4xf32>
}
// -----
// Detaching in place cuts the gradient and leaves the contents.
// CHECK-LABEL: func.func @detach
func.func @detach(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = bf.aten "aten::neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[D:.*]] = bf.aten "aten::detach"
  %1 = bf.aten "aten::detach_"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: "aten::exp"(%[[D]])
  %2 = bf.aten "aten::exp"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}
// -----
// A write behind autograd's back leaves the history as it was: of the view, and of its base.
// CHECK-LABEL: func.func @behind_autograd
func.func @behind_autograd(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[Y:.*]] = bf.aten "aten::sin"(%arg0)
  %0 = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[D:.*]] = bf.aten "aten::detach"(%[[Y]])
  %d = bf.aten "aten::detach"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[M:.*]] = bf.aten "aten::mul.Scalar"(%[[D]], 2)
  // CHECK: bf.aten "bifront::other_contents"(%[[Y]], %{{.*}})
  %1 = bf.aten "aten::mul_.Scalar"(%d, 2) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.grad outputs(%[[NEW:.*]]) seeds()
  %g = bf.grad outputs(%0) seeds() wrt(%x) : (tensor<4xf32>), (), (tensor<4xf32>) -> (tensor<4xf32>)
  return %g : tensor<4xf32>
}
