// Values are checked against ATen by unittests/semantics; here is what the bodies look like.
// RUN: bf-opt --bf-lower-pointwise %s | FileCheck %s

// CHECK-LABEL: func.func @add
func.func @add(%a: tensor<4x3xf32>, %b: tensor<3xf32>) -> tensor<4x3xf32> {
  // CHECK-NEXT: %[[R:.*]] = bf.pointwise(%arg0, %arg1) : (tensor<4x3xf32>, tensor<3xf32>) -> tensor<4x3xf32> {
  // CHECK-NEXT: ^bb0(%[[X:.*]]: f32, %[[Y:.*]]: f32):
  // CHECK-NEXT: %[[K:.*]] = arith.constant 2.000000e+00 : f32
  // CHECK-NEXT: %[[T:.*]] = math.fma %[[Y]], %[[K]], %[[X]] : f32
  // CHECK-NEXT: bf.yield %[[T]] : f32
  %0 = bf.aten "aten::add.Tensor"(%a, %b, 2) : (tensor<4x3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  // CHECK: return %[[R]]
  return %0 : tensor<4x3xf32>
}

// Halves are computed in f32 and rounded once; operands of other dtypes are rounded first.
// CHECK-LABEL: func.func @half
func.func @half(%a: tensor<4xbf16>, %b: tensor<4xi64>) -> tensor<4xbf16> {
  // CHECK: ^bb0(%[[X:.*]]: bf16, %[[Y:.*]]: i64):
  // CHECK-NEXT: %[[A:.*]] = arith.extf %[[X]] : bf16 to f32
  // CHECK-NEXT: %[[W:.*]] = arith.sitofp %[[Y]] : i64 to f32
  // CHECK-NEXT: %[[H:.*]] = arith.truncf %[[W]] : f32 to bf16
  // CHECK-NEXT: %[[B:.*]] = arith.extf %[[H]] : bf16 to f32
  // CHECK-NEXT: %[[M:.*]] = arith.mulf %[[A]], %[[B]] : f32
  // CHECK-NEXT: arith.truncf %[[M]] : f32 to bf16
  %0 = bf.aten "aten::mul.Tensor"(%a, %b) : (tensor<4xbf16>, tensor<4xi64>) -> tensor<4xbf16>
  return %0 : tensor<4xbf16>
}

// Numbers of the graph come in as they are.
// CHECK-LABEL: func.func @numbers
func.func @numbers(%a: tensor<4xf32>, %s: f64) -> tensor<4xf32> {
  // CHECK: bf.pointwise(%arg0, %arg1) : (tensor<4xf32>, f64) -> tensor<4xf32>
  // CHECK: arith.truncf %{{.*}} : f64 to f32
  %0 = bf.aten "aten::mul.Tensor"(%a, %s) : (tensor<4xf32>, f64) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// What is not read is no operand.
// CHECK-LABEL: func.func @unread
func.func @unread(%a: tensor<4xf32>, %b: tensor<1xf64>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK: bf.pointwise() : () -> tensor<4xf32>
  %0 = bf.aten "aten::zeros_like"(%a, none, none, none, none, none) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.pointwise(%arg1) : (tensor<1xf64>) -> tensor<4xf32>
  %1 = bf.aten "aten::copy"(%a, %b, false) : (tensor<4xf32>, tensor<1xf64>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}

// Dynamic sizes come from operands, so what has them stays one.
// CHECK-LABEL: func.func @dynamic
func.func @dynamic(%a: tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>, %n: i64) {
  // CHECK: bf.pointwise(%arg0)
  %0 = bf.aten "aten::ones_like"(%a, none, none, none, none, none) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
  // CHECK: bf.aten "aten::zeros"
  %1 = bf.aten "aten::zeros"([%n, 4], 6, none, none, none) : (i64) -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
  // A size of 3 and 5 in the two worlds is not one of 5 and 3.
  // CHECK: bf.aten "aten::add.Tensor"
  %2 = bf.aten "aten::zeros"([%n], 6, none, none, none) : (i64) -> tensor<?xf32, #bf.tensor<worlds = [[5, 3]]>>
  %3 = bf.aten "aten::view"(%2, [%n, 1]) : (tensor<?xf32, #bf.tensor<worlds = [[5, 3]]>>, i64) -> tensor<?x1xf32, #bf.tensor<worlds = [[5, 3]]>>
  %4 = bf.aten "aten::add.Tensor"(%a, %3, 1) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>, tensor<?x1xf32, #bf.tensor<worlds = [[5, 3]]>>) -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
  return
}

// Left to ATen: what may raise, what the default dtype decides, what asks for a layout, other devices.
// CHECK-LABEL: func.func @left
// CHECK-NOT: bf.pointwise
func.func @left(%a: tensor<4xi64>, %b: tensor<4x4x4x4xf32>, %c: tensor<4xcomplex<f32>>, %d: tensor<4xf32>,
                %e: tensor<f32, #bf.tensor<device = "cuda:0">>) {
  %0 = bf.aten "aten::div.Tensor_mode"(%a, %a, "floor") : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  %1 = bf.aten "aten::lt.Scalar"(%a, 0.5) : (tensor<4xi64>) -> tensor<4xi1>
  %2 = bf.aten "aten::clone"(%b, 2) : (tensor<4x4x4x4xf32>) -> tensor<4x4x4x4xf32>
  %3 = bf.aten "aten::neg"(%c) : (tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>>
  %4 = bf.aten "aten::_to_copy"(%e, none, none, "cpu", none, false, none) : (tensor<f32, #bf.tensor<device = "cuda:0">>) -> tensor<f32>
  %5:2 = bf.aten "aten::relu_"(%d) writes [0] : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}

// Inside branches and loops as outside; what they hand on may lie in memory as a group's result
// does, and `view` may find it hard to look at.
// CHECK-LABEL: func.func @regions
func.func @regions(%a: tensor<2x3xf32>, %c: i1, %s: f64) -> tensor<6xf32> {
  // CHECK: scf.if
  // CHECK-NEXT: bf.pointwise(%arg0, %arg2)
  %0 = scf.if %c -> (tensor<2x3xf32>) {
    %1 = bf.aten "aten::mul.Tensor"(%a, %s) : (tensor<2x3xf32>, f64) -> tensor<2x3xf32>
    scf.yield %1 : tensor<2x3xf32>
  } else {
    scf.yield %a : tensor<2x3xf32>
  }
  // CHECK: bf.aten "aten::reshape"(%{{.*}}, [6])
  %2 = bf.aten "aten::view"(%0, [6]) : (tensor<2x3xf32>) -> tensor<6xf32>
  // CHECK: bf.aten "aten::view"(%arg0, [6])
  %3 = bf.aten "aten::view"(%a, [6]) : (tensor<2x3xf32>) -> tensor<6xf32>
  %4 = bf.aten "aten::dot"(%2, %3) : (tensor<6xf32>, tensor<6xf32>) -> tensor<f32>
  return %2 : tensor<6xf32>
}
