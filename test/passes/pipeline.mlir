// All passes up to code generation, on one step of SGD with momentum and weight decay.
// RUN: bf-opt --bf-pipeline %s | FileCheck %s
// RUN: not bf-opt --bf-pipeline --split-input-file %S/pipeline_refuses.mlir.txt 2>&1 | FileCheck --check-prefix=REFUSED %s

// CHECK-LABEL: func.func @step
func.func @step(%w: tensor<8xf32>, %g: tensor<8xf32>, %m: tensor<8xf32>) {
  // CHECK-NEXT: %[[R:.*]]:2 = bf.pointwise(%arg1, %arg0, %arg2)
  %d = bf.aten "aten::add.Tensor"(%g, %w, 0.01) {no_grad} : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %0 = bf.aten "aten::mul_.Tensor"(%m, 0.9) {no_grad} : (tensor<8xf32>) -> tensor<8xf32>
  %1 = bf.aten "aten::add_.Tensor"(%m, %d, 1) {no_grad} : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %2 = bf.aten "aten::add_.Tensor"(%w, %m, -0.1) {no_grad} : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  // CHECK: bf.store %[[R]]#{{[01]}} to %arg0
  // CHECK-NEXT: bf.store %[[R]]#{{[01]}} to %arg2
  // CHECK-NEXT: return
  return
}

// REFUSED: functionalise: {{.*}}changes the shape or the memory of a tensor in place
// REFUSED: autodiff: {{.*}}gradients are taken and there is no source of derivatives
