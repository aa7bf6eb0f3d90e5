// Gradients through branches, loops and functions.
// RUN: bf-opt --bf-autodiff --derivatives=%S/Inputs/derivatives.mlir --split-input-file %s | FileCheck %s

// What the backward branch reads of its forward one goes over a tape; the sum of what there is
// already goes through both sides.
// CHECK-LABEL: func.func @branch
func.func @branch(%a: tensor<3xf32>, %b: tensor<3xf32>, %s: tensor<3xf32>, %c: i1) -> tensor<3xf32> {
  // CHECK: %[[TAPE:.*]] = bf.tape : !bf.tape
  // CHECK-NEXT: %[[Y:.*]] = scf.if %arg3
  %y = scf.if %c -> (tensor<3xf32>) {
    // CHECK-NEXT: %[[T:.*]] = bf.aten "aten::tanh"(%arg0)
    // CHECK-NEXT: bf.push %[[TAPE]](%[[T]]) {bf.site = 0 : i64} : tensor<3xf32>
    // CHECK-NEXT: scf.yield %[[T]]
    %t = bf.aten "aten::tanh"(%a) : (tensor<3xf32>) -> tensor<3xf32>
    scf.yield %t : tensor<3xf32>
  } else {
    scf.yield %b : tensor<3xf32>
  }
  // CHECK: %[[Z:.*]] = bf.aten "aten::mul.Tensor"(%[[Y]], %arg0)
  // CHECK-NEXT: %[[GY:.*]] = bf.aten "aten::mul.Tensor"(%arg2, %arg0) {no_grad}
  // CHECK-NEXT: %[[GA:.*]] = bf.aten "aten::mul.Tensor"(%arg2, %[[Y]]) {no_grad}
  // CHECK-NEXT: %[[G:.*]] = scf.if %arg3
  // CHECK-NEXT: %[[P:.*]] = bf.pop %[[TAPE]] {bf.site = 0 : i64} : tensor<3xf32>
  // CHECK-NEXT: %[[GT:.*]] = bf.aten "aten::tanh_backward"(%[[GY]], %[[P]])
  // CHECK-NEXT: %[[SUM:.*]] = bf.aten "aten::add.Tensor"(%[[GA]], %[[GT]], 1)
  // CHECK-NEXT: scf.yield %[[SUM]]
  // CHECK: else
  // CHECK-NEXT: scf.yield %[[GA]]
  // CHECK: return %[[G]]
  %z = bf.aten "aten::mul.Tensor"(%y, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %g = bf.grad outputs(%z) seeds(%s) wrt(%a) : (tensor<3xf32>), (tensor<3xf32>), (tensor<3xf32>) -> (tensor<3xf32>)
  return %g : tensor<3xf32>
}

// -----

// The condition's ops move into the body, and the loop counts. Backwards it carries the gradient of
// what it carries and the sum for what it reads; constants are not pushed.
// CHECK-LABEL: func.func @loop
func.func @loop(%x: tensor<3xf32>, %w: tensor<3xf32>, %s: tensor<3xf32>, %n: i64) -> tensor<3xf32> {
  %one = arith.constant 1 : i64
  // CHECK: %[[FIRST:.*]] = arith.cmpi slt, %arg3, %{{.*}} : i64
  // CHECK: %[[TAPE:.*]] = bf.tape
  // CHECK: %[[R:.*]]:3 = scf.while (%[[GO:.*]] = %[[FIRST]], %{{.*}} = %arg3, %{{.*}} = %arg0, %{{.*}} = %{{.*}}) : (i1, i64, tensor<3xf32>, i64)
  // CHECK-NEXT: scf.condition(%[[GO]])
  %r:2 = scf.while (%i = %n, %h = %x) : (i64, tensor<3xf32>) -> (i64, tensor<3xf32>) {
    %limit = arith.constant 9 : i64
    %go = arith.cmpi slt, %i, %limit : i64
    scf.condition(%go) %i, %h : i64, tensor<3xf32>
  } do {
  // CHECK: ^bb0(%[[I:.*]]: i64, %[[H:.*]]: tensor<3xf32>, %[[K:.*]]: i64):
  ^bb0(%i: i64, %h: tensor<3xf32>):
    // CHECK: %[[T:.*]] = bf.aten "aten::tanh"
    // CHECK: arith.cmpi slt
    // CHECK: %[[NEXT:.*]] = arith.addi %[[K]], %{{.*}} : i64
    // CHECK: bf.push %[[TAPE]](%[[T]], %[[H]]) {bf.site = {{[0-9]+}} : i64} : tensor<3xf32>, tensor<3xf32>
    // CHECK-NEXT: scf.yield %{{.*}}, %{{.*}}, %[[T]], %[[NEXT]]
    %p = bf.aten "aten::mul.Tensor"(%h, %w) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %t = bf.aten "aten::tanh"(%p) : (tensor<3xf32>) -> tensor<3xf32>
    %next = arith.addi %i, %one : i64
    scf.yield %next, %t : i64, tensor<3xf32>
  }
  // CHECK: %[[ZEROS:.*]] = bf.aten "aten::zeros_like"(%arg1
  // CHECK: %[[G:.*]]:3 = scf.while (%[[LEFT:.*]] = %[[R]]#2, %{{.*}} = %arg2, %{{.*}} = %[[ZEROS]])
  // CHECK: arith.cmpi sgt, %[[LEFT]]
  // CHECK: ^bb0(%[[LEFT2:.*]]: i64, %[[GH:.*]]: tensor<3xf32>, %[[GW:.*]]: tensor<3xf32>):
  // CHECK-NEXT: %[[P:.*]]:2 = bf.pop %[[TAPE]] {bf.site = {{[0-9]+}} : i64} : tensor<3xf32>, tensor<3xf32>
  // CHECK-NEXT: %[[GT:.*]] = bf.aten "aten::tanh_backward"(%[[GH]], %[[P]]#0)
  // CHECK-NEXT: %[[GX:.*]] = bf.aten "aten::mul.Tensor"(%[[GT]], %arg1)
  // CHECK-NEXT: %[[GWT:.*]] = bf.aten "aten::mul.Tensor"(%[[GT]], %[[P]]#1)
  // CHECK-NEXT: %[[SUM:.*]] = bf.aten "aten::add.Tensor"(%[[GW]], %[[GWT]], 1)
  // CHECK: %[[FEWER:.*]] = arith.subi %[[LEFT2]]
  // CHECK: scf.yield %[[FEWER]], %[[GX]], %[[SUM]]
  // CHECK: return %[[G]]#2
  %g = bf.grad outputs(%r#1) seeds(%s) wrt(%w) : (tensor<3xf32>), (tensor<3xf32>), (tensor<3xf32>) -> (tensor<3xf32>)
  return %g : tensor<3xf32>
}

// -----

// A loop that counts already needs no other count.
// CHECK-LABEL: func.func @counts
func.func @counts(%x: tensor<3xf32>, %s: tensor<3xf32>, %n: i64, %first: i1) -> tensor<3xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  // CHECK: %[[R:.*]]:2 = scf.while
  %r:2 = scf.while (%c = %first, %i = %zero, %h = %x) : (i1, i64, tensor<3xf32>) -> (i64, tensor<3xf32>) {
    scf.condition(%c) %i, %h : i64, tensor<3xf32>
  } do {
  ^bb0(%i: i64, %h: tensor<3xf32>):
    %t = bf.aten "aten::tanh"(%h) : (tensor<3xf32>) -> tensor<3xf32>
    %next = arith.addi %i, %one : i64
    %go = arith.cmpi slt, %next, %n : i64
    scf.yield %go, %next, %t : i1, i64, tensor<3xf32>
  }
  // CHECK: scf.while (%{{.*}} = %[[R]]#0, %{{.*}} = %arg1) : (i64, tensor<3xf32>)
  %g = bf.grad outputs(%r#1) seeds(%s) wrt(%x) : (tensor<3xf32>), (tensor<3xf32>), (tensor<3xf32>) -> (tensor<3xf32>)
  return %g : tensor<3xf32>
}

// -----

// A pair of functions: the sum for %w has nothing to start with in the last call there is, so the pair
// that is called first makes zeros, and the one that is called from there on would not.
// CHECK-LABEL: func.func @calls
func.func @calls(%x: tensor<3xf32>, %w: tensor<3xf32>, %s: tensor<3xf32>, %n: i64) -> tensor<3xf32> {
  // CHECK: %[[TAPE:.*]] = bf.tape
  // CHECK-NEXT: call @f_taped(%arg0, %arg1, %arg3, %[[TAPE]])
  // CHECK-NEXT: %[[G:.*]] = call @f_backward(%[[TAPE]], %arg2)
  // CHECK-NEXT: return %[[G]]
  %y = func.call @f(%x, %w, %n) : (tensor<3xf32>, tensor<3xf32>, i64) -> tensor<3xf32>
  %g = bf.grad outputs(%y) seeds(%s) wrt(%w) : (tensor<3xf32>), (tensor<3xf32>), (tensor<3xf32>) -> (tensor<3xf32>)
  return %g : tensor<3xf32>
}
// CHECK-NOT: func.func private @f(
// CHECK-LABEL: func.func private @f_taped
// CHECK-SAME: %[[TAPE:[a-z0-9]*]]: !bf.tape) -> tensor<3xf32>
// CHECK: scf.if
// CHECK: else
// CHECK: %[[P:.*]] = bf.aten "aten::mul.Tensor"(%arg0, %arg1)
// CHECK: %[[R:.*]] = func.call @f_taped_0(%[[P]], %arg1, %{{.*}}, %[[TAPE]])
// CHECK: bf.push %[[TAPE]](%{{.*}}) {bf.site = {{[0-9]+}} : i64} : i1
// CHECK-LABEL: func.func private @f_backward
// CHECK-SAME: (%[[TAPE:.*]]: !bf.tape, %[[S:.*]]: tensor<3xf32>) -> tensor<3xf32>
// CHECK: %[[STOP:.*]] = bf.pop %[[TAPE]] {bf.site = {{[0-9]+}} : i64} : i1
func.func private @f(%x: tensor<3xf32>, %w: tensor<3xf32>, %n: i64) -> tensor<3xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %stop = arith.cmpi sle, %n, %zero : i64
  %y = scf.if %stop -> (tensor<3xf32>) {
    scf.yield %x : tensor<3xf32>
  } else {
    %p = bf.aten "aten::mul.Tensor"(%x, %w) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %less = arith.subi %n, %one : i64
    %r = func.call @f(%p, %w, %less) : (tensor<3xf32>, tensor<3xf32>, i64) -> tensor<3xf32>
    scf.yield %r : tensor<3xf32>
  }
  return %y : tensor<3xf32>
}
