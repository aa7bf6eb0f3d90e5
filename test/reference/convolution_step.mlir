// A convolutional step with its backward, batch norm and dropout: what oneDNN, the random stream and
// several results make of placed memory.
// RUN: bf-run %s --compare --world 0 | FileCheck %s
// RUN: bf-run %s --compare --world 1 | FileCheck %s
// RUN: bf-run %s --compare --pipeline | FileCheck %s
// RUN: bf-run %s --pipeline --repeat 20 | FileCheck %s --check-prefix=AGAIN

// CHECK: native and reference agree
// AGAIN: us a run
!images = tensor<?x3x16x16xf32, #bf.tensor<worlds = [[3, 5]]>>
!maps = tensor<?x8x16x16xf32, #bf.tensor<worlds = [[3, 5]]>>
!bits = tensor<?x8x16x16xi1, #bf.tensor<worlds = [[3, 5]]>>
!small = tensor<?x8x8x8xf32, #bf.tensor<worlds = [[3, 5]]>>
!places = tensor<?x8x8x8xi64, #bf.tensor<worlds = [[3, 5]]>>
func.func @step(%x: !images, %w: tensor<8x3x3x3xf32> {bf.requires_grad}, %gamma: tensor<8xf32>,
                %beta: tensor<8xf32>, %mean: tensor<8xf32>, %g: !small) -> (!small, tensor<f32>) {
  %c = bf.aten "aten::convolution"(%x, %w, none, [1, 1], [1, 1], [1, 1], false, [0, 0], 1)
      : (!images, tensor<8x3x3x3xf32>) -> !maps
  %n:3 = bf.aten "aten::native_batch_norm"(%c, %gamma, %beta, none, none, true, 0.1, 1.0e-5)
      : (!maps, tensor<8xf32>, tensor<8xf32>) -> (!maps, tensor<8xf32>, tensor<8xf32>)
  %r = bf.aten "aten::relu"(%n#0) : (!maps) -> !maps
  %d:2 = bf.aten "aten::native_dropout"(%r, 0.25, true) : (!maps) -> (!maps, !bits)
  %a = bf.aten "aten::gelu"(%d#0, "none") : (!maps) -> !maps
  %p:2 = bf.aten "aten::max_pool2d_with_indices"(%a, [2, 2], [2, 2], [0, 0], [1, 1], false)
      : (!maps) -> (!small, !places)
  %s = bf.aten "aten::sum"(%p#0, none) : (!small) -> tensor<f32>
  %gp = bf.aten "aten::max_pool2d_with_indices_backward"(%g, %a, [2, 2], [2, 2], [0, 0], [1, 1], false, %p#1)
      : (!small, !maps, !places) -> !maps
  %ga = bf.aten "aten::gelu_backward"(%gp, %d#0, "none") : (!maps, !maps) -> !maps
  %gd = bf.aten "aten::native_dropout_backward"(%ga, %d#1, 1.3333333333333333) : (!maps, !bits) -> !maps
  %gr = bf.aten "aten::threshold_backward"(%gd, %r, 0) : (!maps, !maps) -> !maps
  %gn:3 = bf.aten "aten::native_batch_norm_backward"(%gr, %c, %gamma, none, none, %n#1, %n#2, true, 1.0e-5, [true, true, true])
      : (!maps, !maps, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> (!maps, tensor<8xf32>, tensor<8xf32>)
  %gw:3 = bf.aten "aten::convolution_backward"(%gn#0, %x, %w, none, [1, 1], [1, 1], [1, 1], false, [0, 0], 1, [false, true, false])
      : (!maps, !images, tensor<8x3x3x3xf32>) -> (none, tensor<8x3x3x3xf32>, none)
  %old = bf.aten "aten::mul.Scalar"(%mean, 0.9) : (tensor<8xf32>) -> tensor<8xf32>
  %new = bf.aten "aten::add.Tensor"(%old, %n#1, 0.1) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %w1 = bf.aten "aten::sub.Tensor"(%w, %gw#1, 0.01)
      : (tensor<8x3x3x3xf32>, tensor<8x3x3x3xf32>) -> tensor<8x3x3x3xf32>
  %gamma1 = bf.aten "aten::sub.Tensor"(%gamma, %gn#1, 0.01) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %beta1 = bf.aten "aten::sub.Tensor"(%beta, %gn#2, 0.01) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  bf.store %new to %mean : tensor<8xf32> to tensor<8xf32>
  bf.store %w1 to %w : tensor<8x3x3x3xf32> to tensor<8x3x3x3xf32>
  bf.store %gamma1 to %gamma : tensor<8xf32> to tensor<8xf32>
  bf.store %beta1 to %beta : tensor<8xf32> to tensor<8xf32>
  bf.store_attr %w, "grad", %gw#1 : tensor<8x3x3x3xf32>, tensor<8x3x3x3xf32>
  return %p#0, %s : !small, tensor<f32>
}
