// RUN: bf-opt --bf-defer-products --canonicalize --split-input-file %s | FileCheck %s

// CHECK-LABEL: func.func @loop
func.func @loop(%sum: tensor<512x256xf32>, %g: tensor<2x512xf32>, %n: i64) -> tensor<512x256xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  // CHECK: %[[TAPE:.*]] = bf.tape
  // CHECK: scf.while
  %0:2 = scf.while (%i = %n, %s = %sum) : (i64, tensor<512x256xf32>) -> (i64, tensor<512x256xf32>) {
    %go = arith.cmpi sgt, %i, %zero : i64
    scf.condition(%go) %i, %s : i64, tensor<512x256xf32>
  } do {
  ^bb0(%i: i64, %s: tensor<512x256xf32>):
    // CHECK: %[[X:.*]] = bf.aten "aten::zeros"
    // CHECK: bf.push %[[TAPE]](%arg1, %[[X]]) : tensor<2x512xf32>, tensor<2x256xf32>
    %x = bf.aten "aten::zeros"([2, 256], none, none, none, none) : () -> tensor<2x256xf32>
    %t = bf.aten "aten::t"(%g) : (tensor<2x512xf32>) -> tensor<512x2xf32>
    %p = bf.aten "aten::mm"(%t, %x) : (tensor<512x2xf32>, tensor<2x256xf32>) -> tensor<512x256xf32>
    %next = bf.aten "aten::add.Tensor"(%s, %p, 1) : (tensor<512x256xf32>, tensor<512x256xf32>) -> tensor<512x256xf32>
    %less = arith.subi %i, %one : i64
    scf.yield %less, %next : i64, tensor<512x256xf32>
  }
  // CHECK: %[[ROWS:.*]]:2 = bf.pop_rows %[[TAPE]] : tensor<?x512xf32, #bf.tensor<worlds = {{.*}}>>, tensor<?x256xf32
  // CHECK: %[[T:.*]] = bf.aten "aten::t"(%[[ROWS]]#0)
  // CHECK: %[[P:.*]] = bf.aten "aten::mm"(%[[T]], %[[ROWS]]#1)
  // CHECK: %[[R:.*]] = bf.aten "aten::add.Tensor"({{.*}}, %[[P]], 1)
  // CHECK: return %[[R]]
  return %0#1 : tensor<512x256xf32>
}

// -----

// What the sum was an iteration ago is handed on as well.
// CHECK-LABEL: func.func @seen
// CHECK-NOT: bf.tape
func.func @seen(%sum: tensor<512x256xf32>, %g: tensor<2x512xf32>, %x: tensor<2x256xf32>, %n: i64) -> (tensor<512x256xf32>, tensor<512x256xf32>) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %0:3 = scf.while (%i = %n, %s = %sum, %last = %sum) : (i64, tensor<512x256xf32>, tensor<512x256xf32>) -> (i64, tensor<512x256xf32>, tensor<512x256xf32>) {
    %go = arith.cmpi sgt, %i, %zero : i64
    scf.condition(%go) %i, %s, %last : i64, tensor<512x256xf32>, tensor<512x256xf32>
  } do {
  ^bb0(%i: i64, %s: tensor<512x256xf32>, %last: tensor<512x256xf32>):
    %t = bf.aten "aten::t"(%g) : (tensor<2x512xf32>) -> tensor<512x2xf32>
    %p = bf.aten "aten::mm"(%t, %x) : (tensor<512x2xf32>, tensor<2x256xf32>) -> tensor<512x256xf32>
    %next = bf.aten "aten::add.Tensor"(%s, %p, 1) : (tensor<512x256xf32>, tensor<512x256xf32>) -> tensor<512x256xf32>
    %less = arith.subi %i, %one : i64
    scf.yield %less, %next, %s : i64, tensor<512x256xf32>, tensor<512x256xf32>
  }
  return %0#1, %0#2 : tensor<512x256xf32>, tensor<512x256xf32>
}

// -----

// It begins anew in each iteration.
// CHECK-LABEL: func.func @anew
// CHECK-NOT: bf.tape
func.func @anew(%sum: tensor<512x256xf32>, %g: tensor<2x512xf32>, %x: tensor<2x256xf32>, %n: i64) -> tensor<512x256xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %0:2 = scf.while (%i = %n, %s = %sum) : (i64, tensor<512x256xf32>) -> (i64, tensor<512x256xf32>) {
    %go = arith.cmpi sgt, %i, %zero : i64
    scf.condition(%go) %i, %s : i64, tensor<512x256xf32>
  } do {
  ^bb0(%i: i64, %s: tensor<512x256xf32>):
    %t = bf.aten "aten::t"(%g) : (tensor<2x512xf32>) -> tensor<512x2xf32>
    %p = bf.aten "aten::mm"(%t, %x) : (tensor<512x2xf32>, tensor<2x256xf32>) -> tensor<512x256xf32>
    %next = bf.aten "aten::add.Tensor"(%sum, %p, 1) : (tensor<512x256xf32>, tensor<512x256xf32>) -> tensor<512x256xf32>
    %less = arith.subi %i, %one : i64
    scf.yield %less, %next : i64, tensor<512x256xf32>
  }
  return %0#1 : tensor<512x256xf32>
}

// -----

// Through a function that calls itself, and a branch in it: its calls are given the tape.
// CHECK-LABEL: func.func @tree
// CHECK: %[[TAPE:.*]] = bf.tape
// CHECK: call @node(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[TAPE]])
// CHECK: bf.pop_rows %[[TAPE]]
func.func @tree(%sum: tensor<512x256xf32>, %g: tensor<1x512xf32>, %x: tensor<1x256xf32>, %n: i64) -> tensor<512x256xf32> {
  %0 = call @node(%sum, %g, %x, %n) : (tensor<512x256xf32>, tensor<1x512xf32>, tensor<1x256xf32>, i64) -> tensor<512x256xf32>
  return %0 : tensor<512x256xf32>
}
// CHECK-LABEL: func.func private @node
// CHECK-SAME: %[[GIVEN:[a-z0-9]*]]: !bf.tape)
func.func private @node(%sum: tensor<512x256xf32>, %g: tensor<1x512xf32>, %x: tensor<1x256xf32>, %n: i64) -> tensor<512x256xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  // CHECK: bf.push %[[GIVEN]](
  %t = bf.aten "aten::t"(%g) : (tensor<1x512xf32>) -> tensor<512x1xf32>
  %p = bf.aten "aten::mm"(%t, %x) : (tensor<512x1xf32>, tensor<1x256xf32>) -> tensor<512x256xf32>
  %own = bf.aten "aten::add.Tensor"(%sum, %p, 1) : (tensor<512x256xf32>, tensor<512x256xf32>) -> tensor<512x256xf32>
  %more = arith.cmpi sgt, %n, %zero : i64
  %all = scf.if %more -> (tensor<512x256xf32>) {
    %less = arith.subi %n, %one : i64
    // CHECK: call @node(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[GIVEN]])
    // CHECK: call @node(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[GIVEN]])
    %left = func.call @node(%own, %g, %x, %less) : (tensor<512x256xf32>, tensor<1x512xf32>, tensor<1x256xf32>, i64) -> tensor<512x256xf32>
    %right = func.call @node(%left, %g, %x, %less) : (tensor<512x256xf32>, tensor<1x512xf32>, tensor<1x256xf32>, i64) -> tensor<512x256xf32>
    scf.yield %right : tensor<512x256xf32>
  } else {
    scf.yield %own : tensor<512x256xf32>
  }
  return %all : tensor<512x256xf32>
}

// -----

// Somebody else calls the function too.
// CHECK-LABEL: func.func @shared
// CHECK-NOT: bf.tape
func.func @shared(%sum: tensor<512x256xf32>, %g: tensor<1x512xf32>, %x: tensor<1x256xf32>) -> (tensor<512x256xf32>, tensor<512x256xf32>) {
  %0 = call @add(%sum, %g, %x) : (tensor<512x256xf32>, tensor<1x512xf32>, tensor<1x256xf32>) -> tensor<512x256xf32>
  %1 = call @add(%sum, %g, %x) : (tensor<512x256xf32>, tensor<1x512xf32>, tensor<1x256xf32>) -> tensor<512x256xf32>
  return %0, %1 : tensor<512x256xf32>, tensor<512x256xf32>
}
func.func private @add(%sum: tensor<512x256xf32>, %g: tensor<1x512xf32>, %x: tensor<1x256xf32>) -> tensor<512x256xf32> {
  %t = bf.aten "aten::t"(%g) : (tensor<1x512xf32>) -> tensor<512x1xf32>
  %p = bf.aten "aten::mm"(%t, %x) : (tensor<512x1xf32>, tensor<1x256xf32>) -> tensor<512x256xf32>
  %own = bf.aten "aten::add.Tensor"(%sum, %p, 1) : (tensor<512x256xf32>, tensor<512x256xf32>) -> tensor<512x256xf32>
  return %own : tensor<512x256xf32>
}

// -----

// No sum, but a step of gradient descent; and a branch, which is taken once.
// CHECK-LABEL: func.func @descend
// CHECK-NOT: bf.tape
func.func @descend(%w: tensor<512x256xf32>, %sum: tensor<512x256xf32>, %g: tensor<2x512xf32>, %x: tensor<2x256xf32>, %n: i64, %c: i1) -> (tensor<512x256xf32>, tensor<512x256xf32>) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %0:2 = scf.while (%i = %n, %s = %w) : (i64, tensor<512x256xf32>) -> (i64, tensor<512x256xf32>) {
    %go = arith.cmpi sgt, %i, %zero : i64
    scf.condition(%go) %i, %s : i64, tensor<512x256xf32>
  } do {
  ^bb0(%i: i64, %s: tensor<512x256xf32>):
    %t = bf.aten "aten::t"(%g) : (tensor<2x512xf32>) -> tensor<512x2xf32>
    %p = bf.aten "aten::mm"(%t, %x) : (tensor<512x2xf32>, tensor<2x256xf32>) -> tensor<512x256xf32>
    %next = bf.aten "aten::add.Tensor"(%s, %p, -1.000000e-01) : (tensor<512x256xf32>, tensor<512x256xf32>) -> tensor<512x256xf32>
    %less = arith.subi %i, %one : i64
    scf.yield %less, %next : i64, tensor<512x256xf32>
  }
  %1 = scf.if %c -> (tensor<512x256xf32>) {
    %t = bf.aten "aten::t"(%g) : (tensor<2x512xf32>) -> tensor<512x2xf32>
    %p = bf.aten "aten::mm"(%t, %x) : (tensor<512x2xf32>, tensor<2x256xf32>) -> tensor<512x256xf32>
    %more = bf.aten "aten::add.Tensor"(%sum, %p, 1) : (tensor<512x256xf32>, tensor<512x256xf32>) -> tensor<512x256xf32>
    scf.yield %more : tensor<512x256xf32>
  } else {
    scf.yield %sum : tensor<512x256xf32>
  }
  return %0#1, %1 : tensor<512x256xf32>, tensor<512x256xf32>
}

// -----

// A function of elsewhere, and elements that no tensor of a graph has.
// CHECK-LABEL: func.func private @declared
func.func private @declared(tensor<?xf32, #bf.tensor<worlds = [[7, 3]]>>)
// CHECK-LABEL: func.func @strange
func.func @strange(%a: tensor<4xi3>) {
  return
}
