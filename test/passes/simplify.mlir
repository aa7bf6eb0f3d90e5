// RUN: bf-opt --bf-simplify %s | FileCheck %s

// CHECK-LABEL: func.func @constants
func.func @constants(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // Numbers that are known are written in place; the size of a known dimension is known.
  // CHECK-NEXT: %[[A:.*]] = bf.aten "aten::add.Tensor"(%arg0, %arg0, 8)
  %n = bf.dim %x, 1 : tensor<4x4xf32> -> i64
  %two = arith.constant 2 : i64
  %m = arith.muli %n, %two : i64
  %ok = arith.cmpi sgt, %m, %two : i64
  bf.assert %ok, "holds"
  %0 = bf.aten "aten::add.Tensor"(%x, %x, %m) : (tensor<4x4xf32>, tensor<4x4xf32>, i64) -> tensor<4x4xf32>
  // CHECK-NEXT: %[[N:.*]]:2 = bf.aten "aten::normal_"(%[[A]], 0.000000e+00, 1.000000e+00, none) writes [0]
  %zero = arith.constant 0.0 : f64
  %1:2 = bf.aten "aten::normal_"(%0, %zero, 1.0, none) writes [0] : (tensor<4x4xf32>, f64) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  // CHECK-NEXT: return %[[N]]#1
  return %1#1 : tensor<4x4xf32>
}

// CHECK-LABEL: func.func @views
func.func @views(%x: tensor<2x3x4xf32>, %w: tensor<4x3xf32>) -> tensor<2x3x3xf32> {
  %0 = bf.aten "aten::permute"(%x, [1, 2, 0]) : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %1 = bf.aten "aten::permute"(%0, [2, 0, 1]) : (tensor<3x4x2xf32>) -> tensor<2x3x4xf32>
  %2 = bf.aten "aten::transpose.int"(%1, 0, 1) : (tensor<2x3x4xf32>) -> tensor<3x2x4xf32>
  %3 = bf.aten "aten::transpose.int"(%2, -3, -2) : (tensor<3x2x4xf32>) -> tensor<2x3x4xf32>
  // CHECK-NEXT: %[[V:.*]] = bf.aten "aten::reshape"(%arg0, [6, 4])
  %4 = bf.aten "aten::view"(%3, [3, 8]) : (tensor<2x3x4xf32>) -> tensor<3x8xf32>
  %5 = bf.aten "aten::view"(%4, [6, 4]) : (tensor<3x8xf32>) -> tensor<6x4xf32>
  %6 = bf.aten "aten::t"(%w) : (tensor<4x3xf32>) -> tensor<3x4xf32>
  %7 = bf.aten "aten::t"(%6) : (tensor<3x4xf32>) -> tensor<4x3xf32>
  // CHECK-NEXT: bf.aten "aten::mm"(%[[V]], %arg1)
  %8 = bf.aten "aten::mm"(%5, %7) : (tensor<6x4xf32>, tensor<4x3xf32>) -> tensor<6x3xf32>
  // CHECK-NEXT: "aten::view"
  %9 = bf.aten "aten::view"(%8, [2, 3, 3]) : (tensor<6x3xf32>) -> tensor<2x3x3xf32>
  return %9 : tensor<2x3x3xf32>
}

// Only what is exact, bit for bit: x + 0 is not (-0.0).
// CHECK-LABEL: func.func @identities
func.func @identities(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = bf.aten "aten::mul.Tensor"(%x, 1.0) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::div.Tensor"(%0, 1) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::sub.Scalar"(%1, 0, 1) : (tensor<4xf32>) -> tensor<4xf32>
  %3 = bf.aten "aten::pow.Tensor_Scalar"(%2, 1) : (tensor<4xf32>) -> tensor<4xf32>
  %4 = bf.aten "aten::_to_copy"(%3, 6, none, none, none, false, none) : (tensor<4xf32>) -> tensor<4xf32>
  %5 = bf.aten "aten::expand"(%4, [4], false) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: %[[A:.*]] = bf.aten "aten::add.Scalar"(%arg0, 0, 1)
  %6 = bf.aten "aten::add.Scalar"(%5, 0, 1) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: return %[[A]]
  return %6 : tensor<4xf32>
}

// A copy that the program sees stays a copy, also behind a view.
// CHECK-LABEL: func.func @visible
func.func @visible(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<2x2xf32>) {
  // CHECK-NEXT: %[[A:.*]] = bf.aten "aten::mul.Scalar"(%arg0, 1)
  %0 = bf.aten "aten::mul.Scalar"(%x, 1) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: %[[B:.*]] = bf.aten "aten::_to_copy"(%arg0
  %1 = bf.aten "aten::_to_copy"(%x, 6, none, none, none, false, none) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: "aten::view"(%[[B]]
  %2 = bf.aten "aten::view"(%1, [2, 2]) : (tensor<4xf32>) -> tensor<2x2xf32>
  return %0, %2 : tensor<4xf32>, tensor<2x2xf32>
}

// CHECK-LABEL: func.func @common_and_dead
func.func @common_and_dead(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-NEXT: %[[E:.*]] = bf.aten "aten::exp"
  // CHECK-NEXT: %[[M:.*]] = bf.aten "aten::mul.Tensor"(%[[E]], %[[E]])
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::exp"(%x) {no_grad} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %3 = bf.aten "aten::mul.Tensor"(%0, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: return %[[M]]
  return %3 : tensor<4xf32>
}

// The random stream is eager's: each draw once, also if nobody looks. So are calls of which nothing is
// known.
// CHECK-LABEL: func.func @effects
func.func @effects(%x: tensor<4xf32>) {
  // CHECK: "aten::bernoulli.p"
  %0 = bf.aten "aten::bernoulli.p"(%x, 0.5, none) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: "aten::bernoulli.p"
  %1 = bf.aten "aten::bernoulli.p"(%x, 0.5, none) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: "aten::rand"
  %2 = bf.aten "aten::rand"([4], none, none, none, none) : () -> tensor<4xf32>
  // CHECK: "my_ops::log"
  %3 = bf.aten "my_ops::log"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: "aten::_assert_async.msg"
  bf.aten "aten::_assert_async.msg"(%x, "no") : (tensor<4xf32>) -> ()
  // CHECK-NEXT: return
  return
}

// What grad mode was matters until gradients have been taken.
// CHECK-LABEL: func.func @gradients
func.func @gradients(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: "aten::exp"
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::detach"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::mul.Tensor"(%0, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}

// Sizes come from inputs rather than from values in between.
// CHECK-LABEL: func.func @dimensions
func.func @dimensions(%x: tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>) -> i64 {
  // CHECK-NEXT: bf.dim %arg0, 0
  %0 = bf.aten "aten::exp"(%x) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
  %n = bf.dim %0, 0 : tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>> -> i64
  return %n : i64
}

// What is known of a branch is used in it, and what is equal outside is not computed again. A
// branch that only chooses between tensors is a selection.
// CHECK-LABEL: func.func @branches
func.func @branches(%x: tensor<4xf32>, %y: tensor<4xf32>, %c: i1) -> tensor<f32> {
  // CHECK-NEXT: %[[E:.*]] = bf.aten "aten::exp"(%arg0)
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: %[[S:.*]] = arith.select %arg2, %[[E]], %arg1 : tensor<4xf32>
  %1 = scf.if %c -> (tensor<4xf32>) {
    %2 = scf.if %c -> (tensor<4xf32>) {
      %3 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
      scf.yield %3 : tensor<4xf32>
    } else {
      %4 = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
      scf.yield %4 : tensor<4xf32>
    }
    scf.yield %2 : tensor<4xf32>
  } else {
    scf.yield %y : tensor<4xf32>
  }
  // CHECK-NEXT: %[[A:.*]] = bf.aten "aten::sum"(%[[S]]
  // CHECK-NEXT: %[[B:.*]] = bf.aten "aten::sum"(%[[E]]
  // CHECK-NEXT: %[[R:.*]] = bf.aten "aten::add.Tensor"(%[[A]], %[[B]], 1)
  // CHECK-NEXT: return %[[R]]
  %5 = bf.aten "aten::sum"(%1, none) : (tensor<4xf32>) -> tensor<f32>
  %6 = bf.aten "aten::sum"(%0, none) : (tensor<4xf32>) -> tensor<f32>
  %7 = bf.aten "aten::add.Tensor"(%5, %6, 1) : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return %7 : tensor<f32>
}

// Views and constants are forwarded into loops; what only its own next
// value needs is not carried.
// CHECK-LABEL: func.func @loop
func.func @loop(%x: tensor<2x3xf32>, %n: i64) -> tensor<2x3xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %t = bf.aten "aten::t"(%x) : (tensor<2x3xf32>) -> tensor<3x2xf32>
  // CHECK: scf.while (%{{.*}} = %{{.*}}, %{{.*}} = %arg0) : (i64, tensor<2x3xf32>) -> (i64, tensor<2x3xf32>)
  %r:3 = scf.while (%i = %zero, %v = %x, %unused = %x) : (i64, tensor<2x3xf32>, tensor<2x3xf32>) -> (i64, tensor<2x3xf32>, tensor<2x3xf32>) {
    %less = arith.cmpi slt, %i, %n : i64
    scf.condition(%less) %i, %v, %unused : i64, tensor<2x3xf32>, tensor<2x3xf32>
  } do {
  ^bb0(%i: i64, %v: tensor<2x3xf32>, %unused: tensor<2x3xf32>):
    // CHECK: bf.aten "aten::add.Tensor"(%{{.*}}, %arg0, 1)
    %back = bf.aten "aten::t"(%t) : (tensor<3x2xf32>) -> tensor<2x3xf32>
    %0 = bf.aten "aten::add.Tensor"(%v, %back, %one) : (tensor<2x3xf32>, tensor<2x3xf32>, i64) -> tensor<2x3xf32>
    %1 = bf.aten "aten::neg"(%unused) : (tensor<2x3xf32>) -> tensor<2x3xf32>
    %next = arith.addi %i, %one : i64
    scf.yield %next, %0, %1 : i64, tensor<2x3xf32>, tensor<2x3xf32>
  }
  return %r#1 : tensor<2x3xf32>
}

// Draws and assertions stay where they are, and as many as they are.
// CHECK-LABEL: func.func @effects_in_branches
func.func @effects_in_branches(%x: tensor<4xf32>, %c: i1, %d: i1) {
  // CHECK-COUNT-2: "aten::rand_like"
  // CHECK: scf.if %arg1 {
  // CHECK-NEXT: bf.assert %arg2
  // CHECK-NEXT: bf.aten "aten::rand_like"
  // CHECK-NEXT: }
  // CHECK-NEXT: bf.assert %arg2
  // CHECK-NEXT: return
  %0 = bf.aten "aten::rand_like"(%x, none, none, none, none, none) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::rand_like"(%x, none, none, none, none, none) : (tensor<4xf32>) -> tensor<4xf32>
  scf.if %c {
    bf.assert %d, "inside"
    %2 = bf.aten "aten::rand_like"(%x, none, none, none, none, none) : (tensor<4xf32>) -> tensor<4xf32>
  }
  bf.assert %d, "outside"
  return
}

// What an embedding's gradient adds to others touches a few rows only.
// CHECK-LABEL: func.func @sum_of_rows
func.func @sum_of_rows(%sum: tensor<100x4xf32>, %g: tensor<3x4xf32>, %i: tensor<3xi64>) -> (tensor<100x4xf32>, tensor<100x4xf32>) {
  // CHECK: %[[SUM:.*]]:2 = bf.aten "aten::index_put_"(%arg0, [%arg2], %arg1, true) writes [0]
  // CHECK: %[[ROWS:.*]] = bf.aten "aten::embedding_dense_backward"(%arg1, %arg2, 100, 7, false)
  // CHECK: %[[KEPT:.*]] = bf.aten "aten::add.Tensor"(%arg0, %[[ROWS]], 1)
  // CHECK: return %[[SUM]]#1, %[[KEPT]]
  %0 = bf.aten "aten::embedding_dense_backward"(%g, %i, 100, -1, false) : (tensor<3x4xf32>, tensor<3xi64>) -> tensor<100x4xf32>
  %1 = bf.aten "aten::add.Tensor"(%sum, %0, 1) : (tensor<100x4xf32>, tensor<100x4xf32>) -> tensor<100x4xf32>
  %2 = bf.aten "aten::embedding_dense_backward"(%g, %i, 100, 7, false) : (tensor<3x4xf32>, tensor<3xi64>) -> tensor<100x4xf32>
  %3 = bf.aten "aten::add.Tensor"(%sum, %2, 1) : (tensor<100x4xf32>, tensor<100x4xf32>) -> tensor<100x4xf32>
  return %1, %3 : tensor<100x4xf32>, tensor<100x4xf32>
}

// CHECK-LABEL: func.func @part_of_a_product
func.func @part_of_a_product(%g: tensor<5x8xf32>, %w: tensor<8x6xf32>) -> (tensor<5x2xf32>, tensor<3x6xf32>, tensor<5x2xf32>, tensor<5x6xf32>) {
  // CHECK: %[[W:.*]] = bf.aten "aten::slice.Tensor"(%arg1, 1, 4, 6, 1) : (tensor<8x6xf32>) -> tensor<8x2xf32>
  // CHECK: %[[COLUMNS:.*]] = bf.aten "aten::mm"(%arg0, %[[W]])
  // CHECK: %[[A:.*]] = bf.aten "aten::neg"(%[[COLUMNS]])
  %0 = bf.aten "aten::mm"(%g, %w) : (tensor<5x8xf32>, tensor<8x6xf32>) -> tensor<5x6xf32>
  %1 = bf.aten "aten::slice.Tensor"(%0, 1, 4, 6, 1) : (tensor<5x6xf32>) -> tensor<5x2xf32>
  %2 = bf.aten "aten::neg"(%1) : (tensor<5x2xf32>) -> tensor<5x2xf32>
  // CHECK: %[[G:.*]] = bf.aten "aten::slice.Tensor"(%arg0, 0, 1, 4, 1) : (tensor<5x8xf32>) -> tensor<3x8xf32>
  // CHECK: %[[ROWS:.*]] = bf.aten "aten::mm"(%[[G]], %arg1)
  // CHECK: %[[B:.*]] = bf.aten "aten::neg"(%[[ROWS]])
  %3 = bf.aten "aten::mm"(%g, %w) : (tensor<5x8xf32>, tensor<8x6xf32>) -> tensor<5x6xf32>
  %4 = bf.aten "aten::slice.Tensor"(%3, 0, 1, 4, 1) : (tensor<5x6xf32>) -> tensor<3x6xf32>
  %5 = bf.aten "aten::neg"(%4) : (tensor<3x6xf32>) -> tensor<3x6xf32>
  // One that is read whole stays, as does one whose part the program sees, with its strides.
  // CHECK: %[[WHOLE:.*]] = bf.aten "aten::mm"(%arg0, %arg1)
  // CHECK: %[[SEEN:.*]] = bf.aten "aten::slice.Tensor"(%[[WHOLE]], 1, 0, 2, 1)
  %6 = bf.aten "aten::mm"(%g, %w) : (tensor<5x8xf32>, tensor<8x6xf32>) -> tensor<5x6xf32>
  %7 = bf.aten "aten::slice.Tensor"(%6, 1, 0, 2, 1) : (tensor<5x6xf32>) -> tensor<5x2xf32>
  %8 = bf.aten "aten::exp"(%6) : (tensor<5x6xf32>) -> tensor<5x6xf32>
  // CHECK: return %[[A]], %[[B]], %[[SEEN]]
  return %2, %5, %7, %8 : tensor<5x2xf32>, tensor<3x6xf32>, tensor<5x2xf32>, tensor<5x6xf32>
}
