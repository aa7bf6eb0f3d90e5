// RUN: bf-opt --split-input-file --bf-separate-results %s | FileCheck %s

// A branch hands the same tensor on twice: the gradients of a + b, for one.
// CHECK-LABEL: func.func @in_a_branch
func.func @in_a_branch(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: i1) {
  // CHECK: %[[G:.*]]:2 = scf.if
  %0:2 = scf.if %c -> (tensor<4xf32>, tensor<4xf32>) {
    %1 = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %1, %1 : tensor<4xf32>, tensor<4xf32>
  } else {
    %2 = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = bf.aten "aten::sin"(%a) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %2, %3 : tensor<4xf32>, tensor<4xf32>
  }
  // CHECK: bf.store_attr %arg0, "grad", %[[G]]#0
  // CHECK: %[[H:.*]] = bf.aten "aten::clone"(%[[G]]#1, none)
  // CHECK: bf.store_attr %arg1, "grad", %[[H]]
  bf.store_attr %a, "grad", %0#0 {bf.objects = array<i32: 3>, bf.storages = array<i32: 3>} : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %b, "grad", %0#1 {bf.objects = array<i32: 4>, bf.storages = array<i32: 4>} : tensor<4xf32>, tensor<4xf32>
  return
}
// -----
// A function returns one tensor twice, and makes others at each call.
// CHECK-LABEL: func.func @by_a_function
func.func @by_a_function(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>) {
  // CHECK: %[[G:.*]]:2 = call @same
  %0:2 = func.call @same(%a) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  // CHECK: %[[K:.*]]:2 = call @same
  %1:2 = func.call @same(%b) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  // CHECK: bf.store_attr %arg0, "grad", %[[G]]#0
  // CHECK: %[[H:.*]] = bf.aten "aten::clone"(%[[G]]#1, none)
  // CHECK: bf.store_attr %arg1, "grad", %[[H]]
  // CHECK: bf.store_attr %arg2, "grad", %[[K]]#0
  bf.store_attr %a, "grad", %0#0 {bf.objects = array<i32: 3>, bf.storages = array<i32: 3>} : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %b, "grad", %0#1 {bf.objects = array<i32: 4>, bf.storages = array<i32: 4>} : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %c, "grad", %1#0 {bf.objects = array<i32: 5>, bf.storages = array<i32: 5>} : tensor<4xf32>, tensor<4xf32>
  return
}
func.func private @same(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %0 : tensor<4xf32>, tensor<4xf32>
}
// -----
// A loop that does not turn hands on what it starts with.
// CHECK-LABEL: func.func @by_a_loop
func.func @by_a_loop(%a: tensor<4xf32>, %b: tensor<4xf32>, %n: i64) {
  %zero = arith.constant 0 : i64
  %start = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[L:.*]]:2 = scf.while
  %l:2 = scf.while (%i = %zero, %x = %start) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %more = arith.cmpi slt, %i, %n : i64
    scf.condition(%more) %i, %x : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %x: tensor<4xf32>):
    %one = arith.constant 1 : i64
    %next = arith.addi %i, %one : i64
    %y = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %next, %y : i64, tensor<4xf32>
  }
  // CHECK: bf.store_attr %arg0, "grad", %[[S:.*]]
  // CHECK: %[[H:.*]] = bf.aten "aten::clone"(%[[L]]#1, none)
  // CHECK: bf.store_attr %arg1, "grad", %[[H]]
  bf.store_attr %a, "grad", %start {bf.objects = array<i32: 3>, bf.storages = array<i32: 3>} : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %b, "grad", %l#1 {bf.objects = array<i32: 4>, bf.storages = array<i32: 4>} : tensor<4xf32>, tensor<4xf32>
  return
}
// -----
// Sums go through one call after the other, and through calls inside of them.
// CHECK-LABEL: func.func @sums
func.func @sums(%a: tensor<4xf32>, %b: tensor<4xf32>, %n: i64) {
  %0 = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::sin"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %2:2 = func.call @add(%0, %1, %n) : (tensor<4xf32>, tensor<4xf32>, i64) -> (tensor<4xf32>, tensor<4xf32>)
  %3:2 = func.call @add(%2#0, %2#1, %n) : (tensor<4xf32>, tensor<4xf32>, i64) -> (tensor<4xf32>, tensor<4xf32>)
  // CHECK: %[[G:.*]]:2 = call @add(%{{.*}}#0, %{{.*}}#1
  // CHECK: bf.store_attr %arg0, "grad", %[[G]]#0
  // CHECK: bf.store_attr %arg1, "grad", %[[G]]#1
  bf.store_attr %a, "grad", %3#0 {bf.objects = array<i32: 3>, bf.storages = array<i32: 3>} : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %b, "grad", %3#1 {bf.objects = array<i32: 4>, bf.storages = array<i32: 4>} : tensor<4xf32>, tensor<4xf32>
  return
}
func.func private @add(%x: tensor<4xf32>, %y: tensor<4xf32>, %n: i64) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %more = arith.cmpi sgt, %n, %zero : i64
  %r:2 = scf.if %more -> (tensor<4xf32>, tensor<4xf32>) {
    %less = arith.subi %n, %one : i64
    %0:2 = func.call @add(%x, %y, %less) : (tensor<4xf32>, tensor<4xf32>, i64) -> (tensor<4xf32>, tensor<4xf32>)
    %1:2 = func.call @add(%0#0, %0#1, %less) : (tensor<4xf32>, tensor<4xf32>, i64) -> (tensor<4xf32>, tensor<4xf32>)
    scf.yield %1#0, %1#1 : tensor<4xf32>, tensor<4xf32>
  } else {
    %2 = bf.aten "aten::add.Tensor"(%x, %x, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    scf.yield %2, %y : tensor<4xf32>, tensor<4xf32>
  }
  return %r#0, %r#1 : tensor<4xf32>, tensor<4xf32>
}
