// RUN: bf-opt --split-input-file --bf-functionalise --bf-simplify --bf-separate-results %s | FileCheck %s

// Equal tensors that the program keeps apart.
// CHECK-LABEL: func.func @twice
func.func @twice(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  // CHECK: %[[A:.*]] = bf.aten "aten::exp"
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[B:.*]] = bf.aten "aten::clone"(%[[A]], none)
  // CHECK: return {{.*}} %[[A]], %[[B]], %[[A]]
  return %0, %1, %0 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
// -----
// Two objects over one memory.
// CHECK-LABEL: func.func @aliases
func.func @aliases(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK: %[[A:.*]] = bf.aten "aten::exp"
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[B:.*]] = bf.aten "aten::detach"(%[[A]])
  %1 = bf.aten "aten::detach"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: return {{.*}} %[[A]], %[[B]]
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
// -----
// Gradients of two parameters that are equal are two tensors.
// CHECK-LABEL: func.func @attributes
func.func @attributes(%a: tensor<4xf32>, %b: tensor<4xf32>) {
  // CHECK: %[[G:.*]] = bf.aten "aten::exp"
  // CHECK: bf.store_attr %arg0, "grad", %[[G]]
  // CHECK: %[[H:.*]] = bf.aten "aten::clone"(%[[G]], none)
  // CHECK: bf.store_attr %arg1, "grad", %[[H]]
  %0 = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  bf.store_attr %a, "grad", %0 : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %b, "grad", %1 : tensor<4xf32>, tensor<4xf32>
  return
}
