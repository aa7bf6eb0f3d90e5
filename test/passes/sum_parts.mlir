// RUN: bf-opt --bf-sum-parts %s | FileCheck %s

// CHECK-LABEL: func.func @chain
func.func @chain(%row: tensor<6xf32>, %rows: tensor<2x6xf32>, %i: i64) -> tensor<8x6xf32> {
  // CHECK-NEXT: %[[ZEROS:.*]] = bf.aten "aten::zeros"
  // CHECK-NEXT: %[[FIRST:.*]]:2 = bf.aten "bifront::add_selected_"(%[[ZEROS]], %arg0, 0, %arg2) writes [0]
  // CHECK-NEXT: %[[SECOND:.*]]:2 = bf.aten "bifront::add_slice_"(%[[FIRST]]#1, %arg1, 0, 2, 4, 1) writes [0]
  // CHECK-NEXT: return %[[SECOND]]#1
  %0 = bf.aten "aten::zeros"([8, 6], 6, none, none, none) : () -> tensor<8x6xf32>
  %1 = bf.aten "aten::select_backward"(%row, [8, 6], 0, %i) : (tensor<6xf32>, i64) -> tensor<8x6xf32>
  %2 = bf.aten "aten::add.Tensor"(%0, %1, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %3 = bf.aten "aten::slice_backward"(%rows, [8, 6], 0, 2, 4, 1) : (tensor<2x6xf32>) -> tensor<8x6xf32>
  %4 = bf.aten "aten::add.Tensor"(%3, %2, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  return %4 : tensor<8x6xf32>
}

// Two parts are both added to zeros.
// CHECK-LABEL: func.func @two
func.func @two(%a: tensor<6xf32>, %b: tensor<6xf32>) -> tensor<8x6xf32> {
  // CHECK-NEXT: %[[ZEROS:.*]] = bf.aten "aten::zeros"
  // CHECK-NEXT: %[[FIRST:.*]]:2 = bf.aten "bifront::add_selected_"(%[[ZEROS]], %arg0, 0, 1) writes [0]
  // CHECK-NEXT: %[[SECOND:.*]]:2 = bf.aten "bifront::add_selected_"(%[[FIRST]]#1, %arg1, 0, -1) writes [0]
  // CHECK-NEXT: return %[[SECOND]]#1
  %0 = bf.aten "aten::select_backward"(%a, [8, 6], 0, 1) : (tensor<6xf32>) -> tensor<8x6xf32>
  %1 = bf.aten "aten::select_backward"(%b, [8, 6], 0, -1) : (tensor<6xf32>) -> tensor<8x6xf32>
  %2 = bf.aten "aten::add.Tensor"(%0, %1, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  return %2 : tensor<8x6xf32>
}

// A sum that may have negative zeros, one that is read elsewhere too and one that counts twice stay.
// CHECK-LABEL: func.func @stay
// CHECK-NOT: bifront::
func.func @stay(%row: tensor<6xf32>, %y: tensor<8x6xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>) {
  %0 = bf.aten "aten::select_backward"(%row, [8, 6], 0, 1) : (tensor<6xf32>) -> tensor<8x6xf32>
  %1 = bf.aten "aten::neg"(%y) : (tensor<8x6xf32>) -> tensor<8x6xf32>
  %2 = bf.aten "aten::add.Tensor"(%1, %0, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %3 = bf.aten "aten::zeros"([8, 6], 6, none, none, none) : () -> tensor<8x6xf32>
  %4 = bf.aten "aten::select_backward"(%row, [8, 6], 0, 1) : (tensor<6xf32>) -> tensor<8x6xf32>
  %5 = bf.aten "aten::add.Tensor"(%3, %4, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %6 = bf.aten "aten::zeros"([8, 6], 6, none, none, none) : () -> tensor<8x6xf32>
  %7 = bf.aten "aten::select_backward"(%row, [8, 6], 0, 1) : (tensor<6xf32>) -> tensor<8x6xf32>
  %8 = bf.aten "aten::add.Tensor"(%6, %7, 2) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  return %2, %3, %5, %8 : tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>
}

// CHECK-LABEL: func.func @loop
func.func @loop(%row: tensor<6xf32>) -> tensor<8x6xf32> {
  %start = bf.aten "aten::zeros"([8, 6], 6, none, none, none) : () -> tensor<8x6xf32>
  %zeroth = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %last = arith.constant 7 : i64
  // CHECK: ^bb0(%[[I:.*]]: i64, %[[SUM:.*]]: tensor<8x6xf32>):
  // CHECK: %[[NEXT:.*]]:2 = bf.aten "bifront::add_selected_"(%[[SUM]], %arg0, 0, %[[I]]) writes [0]
  // CHECK: scf.yield %{{.*}}, %[[NEXT]]#1
  %end:2 = scf.while (%n = %zeroth, %sum = %start) : (i64, tensor<8x6xf32>) -> (i64, tensor<8x6xf32>) {
    %goes = arith.cmpi slt, %n, %last : i64
    scf.condition(%goes) %n, %sum : i64, tensor<8x6xf32>
  } do {
  ^bb0(%n: i64, %sum: tensor<8x6xf32>):
    %g = bf.aten "aten::select_backward"(%row, [8, 6], 0, %n) : (tensor<6xf32>, i64) -> tensor<8x6xf32>
    %s = bf.aten "aten::add.Tensor"(%sum, %g, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
    %next = arith.addi %n, %one : i64
    scf.yield %next, %s : i64, tensor<8x6xf32>
  }
  // CHECK: bifront::add_selected_
  %g = bf.aten "aten::select_backward"(%row, [8, 6], 0, 7) : (tensor<6xf32>) -> tensor<8x6xf32>
  %all = bf.aten "aten::add.Tensor"(%end#1, %g, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  return %all : tensor<8x6xf32>
}

// What the loop starts with, or an iteration leaves, may have negative zeros.
// CHECK-LABEL: func.func @negative
// CHECK-NOT: bifront::
func.func @negative(%row: tensor<6xf32>, %start: tensor<8x6xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>) {
  %zeros = bf.aten "aten::zeros"([8, 6], 6, none, none, none) : () -> tensor<8x6xf32>
  %zeroth = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %last = arith.constant 7 : i64
  %end:3 = scf.while (%n = %zeroth, %a = %start, %b = %zeros) : (i64, tensor<8x6xf32>, tensor<8x6xf32>) -> (i64, tensor<8x6xf32>, tensor<8x6xf32>) {
    %goes = arith.cmpi slt, %n, %last : i64
    scf.condition(%goes) %n, %a, %b : i64, tensor<8x6xf32>, tensor<8x6xf32>
  } do {
  ^bb0(%n: i64, %a: tensor<8x6xf32>, %b: tensor<8x6xf32>):
    %0 = bf.aten "aten::select_backward"(%row, [8, 6], 0, %n) : (tensor<6xf32>, i64) -> tensor<8x6xf32>
    %1 = bf.aten "aten::add.Tensor"(%a, %0, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
    %2 = bf.aten "aten::select_backward"(%row, [8, 6], 0, %n) : (tensor<6xf32>, i64) -> tensor<8x6xf32>
    %3 = bf.aten "aten::add.Tensor"(%b, %2, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
    %4 = bf.aten "aten::neg"(%3) : (tensor<8x6xf32>) -> tensor<8x6xf32>
    %next = arith.addi %n, %one : i64
    scf.yield %next, %1, %4 : i64, tensor<8x6xf32>, tensor<8x6xf32>
  }
  return %end#1, %end#2 : tensor<8x6xf32>, tensor<8x6xf32>
}
