// Where gradients are still to be taken, what cuts them stays.
// RUN: bf-opt --bf-simplify %s | FileCheck %s

// CHECK-LABEL: func.func @f
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[D:.*]] = bf.aten "aten::detach"(%arg0)
  %0 = bf.aten "aten::detach"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[M:.*]] = bf.aten "aten::mul.Scalar"(%arg0, 1) {no_grad}
  %1 = bf.aten "aten::mul.Scalar"(%x, 1) {no_grad} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::mul.Tensor"(%0, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = bf.aten "aten::mul.Tensor"(%2, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %g = bf.grad outputs(%3) seeds(%x) wrt(%x) : (tensor<4xf32>), (tensor<4xf32>), (tensor<4xf32>) -> (tensor<4xf32>)
  return %g : tensor<4xf32>
}
