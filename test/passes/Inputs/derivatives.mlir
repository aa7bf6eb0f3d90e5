func.func @"aten::tanh"(%a: tensor<3xf32>, %g: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %y = bf.aten "aten::tanh"(%a) : (tensor<3xf32>) -> tensor<3xf32>
  %ga = bf.aten "aten::tanh_backward"(%g, %y) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  return %y, %ga : tensor<3xf32>, tensor<3xf32>
}
func.func @"aten::mul.Tensor"(%a: tensor<3xf32>, %b: tensor<3xf32>, %g: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %y = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %ga = bf.aten "aten::mul.Tensor"(%g, %b) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %gb = bf.aten "aten::mul.Tensor"(%g, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  return %y, %ga, %gb : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}
