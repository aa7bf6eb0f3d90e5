// Every form of bf.aten, and that its text says all of it.
// RUN: bf-opt %s | bf-opt | FileCheck %s
// RUN: bf-opt --mlir-print-op-generic %s | bf-opt | FileCheck %s

// CHECK-LABEL: func.func @arguments
func.func @arguments(%a: tensor<4x4xf32>, %b: tensor<4xf32>, %i: tensor<2xi64>, %n: i64, %s: f64) {
  // CHECK: bf.aten "aten::add.Tensor"(%{{.*}}, %{{.*}}, 1) : (tensor<4x4xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  %0 = bf.aten "aten::add.Tensor"(%a, %b, 1) : (tensor<4x4xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  // CHECK: "aten::add.Tensor"(%{{.*}}, %{{.*}}, %{{.*}}) {no_grad} : (tensor<4x4xf32>, tensor<4xf32>, f64)
  %1 = bf.aten "aten::add.Tensor"(%a, %b, %s) {no_grad} : (tensor<4x4xf32>, tensor<4xf32>, f64) -> tensor<4x4xf32>
  // CHECK: "aten::index.Tensor"(%{{.*}}, [none, %{{.*}}])
  %2 = bf.aten "aten::index.Tensor"(%a, [none, %i]) : (tensor<4x4xf32>, tensor<2xi64>) -> tensor<4x2xf32>
  // CHECK: "aten::view"(%{{.*}}, [%{{.*}}, -1])
  %3 = bf.aten "aten::view"(%a, [%n, -1]) : (tensor<4x4xf32>, i64) -> tensor<?x4xf32>
  // CHECK: "aten::full"([2, 3], 0x7FF0000000000000 : f64, none, none, "cpu", false)
  %4 = bf.aten "aten::full"([2, 3], 0x7FF0000000000000 : f64, none, none, "cpu", false) : () -> tensor<2x3xf32>
  // CHECK: "aten::full"([], -1.500000e-09, 6, none, none, true)
  %5 = bf.aten "aten::full"([], -1.5e-09, 6, none, none, true) : () -> tensor<f32>
  // CHECK: "aten::full"([2], #bf.complex<1.000000e+00 : f64, -2.000000e+00 : f64>, 9
  %6 = bf.aten "aten::full"([2], #bf.complex<1.0 : f64, -2.0 : f64>, 9, none, none, none) : () -> tensor<2xcomplex<f32>>
  // CHECK: "aten::gelu"(%{{.*}}, "tanh")
  %7 = bf.aten "aten::gelu"(%a, "tanh") : (tensor<4x4xf32>) -> tensor<4x4xf32>
  // A number where the schema has a tensor.
  // CHECK: "aten::mul.Tensor"(%{{.*}}, 2.000000e+00)
  %8 = bf.aten "aten::mul.Tensor"(%a, 2.0) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}

// CHECK-LABEL: func.func @results
func.func @results(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>) {
  // CHECK: %{{.*}}:2 = bf.aten "aten::split.Tensor"(%{{.*}}, 2, 0)
  %0:2 = bf.aten "aten::split.Tensor"(%a, 2, 0) : (tensor<4x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  // CHECK: "aten::add_.Tensor"(%{{.*}}, %{{.*}}, 1) writes [0] : (tensor<4x4xf32>, tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  %1:2 = bf.aten "aten::add_.Tensor"(%a, %b, 1) writes [0] : (tensor<4x4xf32>, tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  // CHECK: "aten::_local_scalar_dense"(%{{.*}}) : (tensor<f32>) -> f64
  %s = bf.aten "aten::sum"(%a, none) : (tensor<4x4xf32>) -> tensor<f32>
  %2 = bf.aten "aten::_local_scalar_dense"(%s) : (tensor<f32>) -> f64
  // A derivative that was not asked for is undefined.
  // CHECK: -> (none, none, tensor<4xf32>)
  %g, %h, %k = bf.aten "aten::native_layer_norm_backward"(%a, %a, [4], %s, %s, none, none, [false, false, true])
      : (tensor<4x4xf32>, tensor<4x4xf32>, tensor<f32>, tensor<f32>) -> (none, none, tensor<4xf32>)
  // An operator that no table knows.
  // CHECK: "my_ops::thing"(%{{.*}}, {{\[\[}}1, 2], [3]])
  %3 = bf.aten "my_ops::thing"(%a, [[1, 2], [3]]) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}
