// RUN: bf-opt --bf-expand-reached --split-input-file %s | FileCheck %s

// CHECK-LABEL: func.func @branch
func.func @branch(%a: tensor<3xf32>, %w: tensor<3xf32>, %c: i1) -> i1 {
  // CHECK: %[[Y:.*]]:2 = scf.if %arg2 -> (tensor<3xf32>, i1) {
  // CHECK: %[[TRUE:.*]] = arith.constant true
  // CHECK: scf.yield %{{.*}}, %[[TRUE]]
  // CHECK: } else {
  // CHECK: %[[FALSE:.*]] = arith.constant false
  // CHECK: scf.yield %arg0, %[[FALSE]]
  %y = scf.if %c -> (tensor<3xf32>) {
    %t = bf.aten "aten::mul.Tensor"(%a, %w) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    scf.yield %t : tensor<3xf32>
  } else {
    scf.yield %a : tensor<3xf32>
  }
  // CHECK: return %[[Y]]#1
  %r = bf.reached outputs(%y) wrt(%w) : (tensor<3xf32>), (tensor<3xf32>) -> (i1)
  return %r : i1
}

// -----

// A loop that may never run; what is detached has no history.
// CHECK-LABEL: func.func @loop
func.func @loop(%a: tensor<3xf32>, %w: tensor<3xf32>, %v: tensor<3xf32>, %n: i64) -> (i1, i1) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  // CHECK: %[[NEVER:.*]] = arith.constant false
  // CHECK: %[[LOOP:.*]]:4 = scf.while ({{.*}} = %arg0, {{.*}}, %[[W:.*]] = %[[NEVER]], %{{.*}} = %{{.*}})
  %y:2 = scf.while (%x = %a, %i = %zero) : (tensor<3xf32>, i64) -> (tensor<3xf32>, i64) {
    %more = arith.cmpi slt, %i, %n : i64
    // CHECK: scf.condition(%{{.*}}) %{{.*}}, %{{.*}}, %[[W]]
    scf.condition(%more) %x, %i : tensor<3xf32>, i64
  } do {
  ^bb0(%x: tensor<3xf32>, %i: i64):
    %t = bf.aten "aten::mul.Tensor"(%x, %w) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %d = bf.aten "aten::detach"(%v) : (tensor<3xf32>) -> tensor<3xf32>
    %u = bf.aten "aten::mul.Tensor"(%t, %d) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %next = arith.addi %i, %one : i64
    // CHECK: %[[ALWAYS:.*]] = arith.constant true
    // CHECK: scf.yield %{{.*}}, %{{.*}}, %[[ALWAYS]]
    scf.yield %u, %next : tensor<3xf32>, i64
  }
  // CHECK: return %[[LOOP]]#2, %[[LOOP]]#3
  %r:2 = bf.reached outputs(%y#0) wrt(%w, %v) : (tensor<3xf32>), (tensor<3xf32>, tensor<3xf32>) -> (i1, i1)
  return %r#0, %r#1 : i1, i1
}

// -----

// A function that calls itself: its arguments and its result bring bools along.
// CHECK-LABEL: func.func @recursion
func.func @recursion(%a: tensor<3xf32>, %w: tensor<3xf32>, %n: i64) -> i1 {
  // CHECK: %[[Y:.*]]:2 = call @power_reached(%arg0, %arg1, %arg2, %{{.*}}) : (tensor<3xf32>, tensor<3xf32>, i64, i1) -> (tensor<3xf32>, i1)
  %y = func.call @power(%a, %w, %n) : (tensor<3xf32>, tensor<3xf32>, i64) -> tensor<3xf32>
  %r = bf.reached outputs(%y) wrt(%w) : (tensor<3xf32>), (tensor<3xf32>) -> (i1)
  // CHECK: return %[[Y]]#1
  return %r : i1
}

// CHECK: func.func private @power(
// CHECK: func.func private @power_reached(%{{.*}}: tensor<3xf32>, %{{.*}}: tensor<3xf32>, %{{.*}}: i64, %[[OF_W:.*]]: i1) -> (tensor<3xf32>, i1)
// CHECK: %[[P:.*]]:2 = scf.if
// CHECK: call @power_reached({{.*}}, %[[OF_W]])
// CHECK: return %[[P]]#0, %[[P]]#1
func.func private @power(%a: tensor<3xf32>, %w: tensor<3xf32>, %n: i64) -> tensor<3xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %ends = arith.cmpi sle, %n, %zero : i64
  %y = scf.if %ends -> (tensor<3xf32>) {
    scf.yield %a : tensor<3xf32>
  } else {
    %less = arith.subi %n, %one : i64
    %inner = func.call @power(%a, %w, %less) : (tensor<3xf32>, tensor<3xf32>, i64) -> tensor<3xf32>
    %t = bf.aten "aten::mul.Tensor"(%inner, %w) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    scf.yield %t : tensor<3xf32>
  }
  return %y : tensor<3xf32>
}
