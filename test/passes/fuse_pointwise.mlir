// RUN: bf-opt --split-input-file --bf-lower-pointwise --bf-fuse-pointwise --bf-simplify %s | FileCheck %s

// A chain is one kernel.
// CHECK-LABEL: func.func @chain
func.func @chain(%a: tensor<4x3xf32>, %b: tensor<3xf32>) -> tensor<4x3xf32> {
  // CHECK-NEXT: %[[R:.*]] = bf.pointwise(%arg0, %arg1) : (tensor<4x3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  // CHECK: math.expm1
  // CHECK: arith.addf
  // CHECK: math.log1p
  // CHECK-NOT: bf.pointwise
  // CHECK: return %[[R]]
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4x3xf32>) -> tensor<4x3xf32>
  %1 = bf.aten "aten::add.Tensor"(%0, %b, 1) : (tensor<4x3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %2 = bf.aten "aten::log1p"(%1) : (tensor<4x3xf32>) -> tensor<4x3xf32>
  return %2 : tensor<4x3xf32>
}
// -----
// What is used elsewhere is one more result; siblings that read the same meet.
// CHECK-LABEL: func.func @results
func.func @results(%a: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  // CHECK-NEXT: %[[R:.*]]:3 = bf.pointwise(%arg0) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
  // CHECK: return %[[R]]#0, %[[R]]#1, %[[R]]#2
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::neg"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::exp2"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
// -----
// No cycle: the sum needs the exponential, and the product both.
// CHECK-LABEL: func.func @no_cycle
func.func @no_cycle(%a: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[E:.*]] = bf.pointwise(%arg0)
  // CHECK: %[[S:.*]] = bf.aten "aten::sum"(%[[E]]
  // CHECK: bf.pointwise(%[[E]], %[[S]])
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::sum"(%0, none) : (tensor<4xf32>) -> tensor<f32>
  %2 = bf.aten "aten::div.Tensor"(%0, %1) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}
// -----
// What needs only what is there moves up over an op that does not concern it.
// CHECK-LABEL: func.func @hoisted
func.func @hoisted(%a: tensor<4xf32>) -> (tensor<f32>, tensor<4xf32>) {
  // CHECK: %[[E:.*]]:2 = bf.pointwise(%arg0)
  // CHECK: bf.aten "aten::sum"(%[[E]]#0
  // CHECK-NOT: bf.pointwise
  // CHECK: return %{{.*}}, %[[E]]#1
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::sum"(%0, none) : (tensor<4xf32>) -> tensor<f32>
  %2 = bf.aten "aten::neg"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %1, %2 : tensor<f32>, tensor<4xf32>
}
// -----
// Other spaces are other kernels.
// CHECK-LABEL: func.func @spaces
func.func @spaces(%a: tensor<4xf32>, %b: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // CHECK: %[[E:.*]] = bf.pointwise(%arg0) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.pointwise(%[[E]], %arg1) : (tensor<4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::mul.Tensor"(%0, %b) : (tensor<4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}
// -----
// Constant tensors are constants; an expanded tensor is broadcast instead.
// CHECK-LABEL: func.func @splats
func.func @splats(%a: tensor<2x4xf32>, %g: tensor<f32>) -> tensor<2x4xf32> {
  // CHECK-NEXT: bf.pointwise(%arg1, %arg0) : (tensor<f32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  // CHECK-NOT: bf.aten
  // CHECK-NOT: bf.pointwise
  // CHECK: return
  %e = bf.aten "aten::expand"(%g, [2, 4], false) : (tensor<f32>) -> tensor<2x4xf32>
  %m = bf.aten "aten::mul.Tensor"(%e, %a) : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  %z = bf.aten "aten::full"([4], 0.5, none, none, none, none) : () -> tensor<4xf32>
  %0 = bf.aten "aten::add.Tensor"(%m, %z, 1) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}
// -----
// Dynamic sizes that are taken to be equal are equal.
// CHECK-LABEL: func.func @dynamic
func.func @dynamic(%a: tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>, %b: tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>> {
  // CHECK-NEXT: bf.pointwise(%arg0, %arg1)
  // CHECK-NOT: bf.pointwise
  // CHECK: return
  %0 = bf.aten "aten::expm1"(%a) : (tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>
  %1 = bf.aten "aten::mul.Tensor"(%0, %b) : (tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>, tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>
  return %1 : tensor<?xf32, #bf.tensor<worlds = [[3, 5]]>>
}
// -----
// A kernel before a use of its value stays before it, whatever joins later.
// CHECK-LABEL: func.func @two_open
func.func @two_open(%a: tensor<4xf32>, %w: tensor<4x4xf32>) -> tensor<4xf32> {
  // CHECK: %[[E:.*]] = bf.pointwise(%arg0)
  // CHECK: %[[M:.*]] = bf.aten "aten::mv"(%arg1, %[[E]])
  // CHECK: bf.pointwise(%{{.*}}, %{{.*}})
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::mv"(%w, %0) : (tensor<4x4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::log1p"(%1) : (tensor<4xf32>) -> tensor<4xf32>
  %3 = bf.aten "aten::mul.Tensor"(%0, %2) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %3 : tensor<4xf32>
}
// -----
// Branches and loops are fused inside, each block on its own; nothing moves in or out.
// CHECK-LABEL: func.func @inside
func.func @inside(%a: tensor<4xf32>, %c: i1, %n: i64) -> tensor<4xf32> {
  // CHECK: %[[E:.*]] = bf.pointwise(%arg0)
  // CHECK: math.expm1
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[R:.*]] = scf.if
  %1 = scf.if %c -> (tensor<4xf32>) {
    // CHECK-NEXT: %[[T:.*]] = bf.pointwise(%[[E]])
    // CHECK: arith.negf
    // CHECK: math.log1p
    // CHECK-NOT: bf.pointwise
    // CHECK: scf.yield %[[T]]
    %2 = bf.aten "aten::neg"(%0) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = bf.aten "aten::log1p"(%2) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %3 : tensor<4xf32>
  } else {
    scf.yield %0 : tensor<4xf32>
  }
  // CHECK: bf.pointwise(%[[R]], %[[E]])
  // CHECK: math.exp2
  // CHECK: arith.addf
  // CHECK-NOT: bf.pointwise
  // CHECK: scf.while
  %4 = bf.aten "aten::exp2"(%1) : (tensor<4xf32>) -> tensor<4xf32>
  %5 = bf.aten "aten::add.Tensor"(%4, %0, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %6:2 = scf.while (%i = %zero, %v = %5) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %less = arith.cmpi slt, %i, %n : i64
    scf.condition(%less) %i, %v : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %v: tensor<4xf32>):
    // CHECK: ^bb0(%{{.*}}: i64, %[[V:.*]]: tensor<4xf32>)
    // CHECK: bf.pointwise(%[[V]], %[[E]])
    // CHECK-NOT: bf.pointwise
    // CHECK: scf.yield
    %7 = bf.aten "aten::neg"(%v) : (tensor<4xf32>) -> tensor<4xf32>
    %8 = bf.aten "aten::mul.Tensor"(%7, %0) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %next = arith.addi %i, %one : i64
    scf.yield %next, %8 : i64, tensor<4xf32>
  }
  return %6#1 : tensor<4xf32>
}
// -----
// What a branch uses is made before it, whoever reads it behind.
// CHECK-LABEL: func.func @used_inside
func.func @used_inside(%a: tensor<4xf32>, %c: i1) -> (tensor<f32>, tensor<4xf32>) {
  // CHECK: %[[E:.*]]:2 = bf.pointwise(%arg0)
  // CHECK: scf.if
  // CHECK: bf.aten "aten::sum"(%[[E]]#0
  // CHECK-NOT: bf.pointwise
  // CHECK: return %{{.*}}, %[[E]]#1
  %0 = bf.aten "aten::expm1"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = scf.if %c -> (tensor<f32>) {
    %2 = bf.aten "aten::sum"(%0, none) : (tensor<4xf32>) -> tensor<f32>
    scf.yield %2 : tensor<f32>
  } else {
    %3 = bf.aten "aten::mean"(%a, none) : (tensor<4xf32>) -> tensor<f32>
    scf.yield %3 : tensor<f32>
  }
  %4 = bf.aten "aten::neg"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %1, %4 : tensor<f32>, tensor<4xf32>
}
