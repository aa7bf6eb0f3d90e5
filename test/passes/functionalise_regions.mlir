// Writes in branches, loops and functions.
// RUN: bf-opt --split-input-file --bf-functionalise %s | FileCheck %s

// A branch that writes yields the new contents, the other the old ones; views follow.
// CHECK-LABEL: func.func @branch
func.func @branch(%x: tensor<2x4xf32>, %c: i1) -> tensor<4xf32> {
  %row = bf.aten "aten::select.int"(%x, 0, 1) : (tensor<2x4xf32>) -> tensor<4xf32>
  // CHECK: %[[NEW:.*]] = scf.if %arg1 -> (tensor<2x4xf32>) {
  scf.if %c {
    // CHECK: %[[MUL:.*]] = bf.aten "aten::mul.Scalar"
    // CHECK: %[[PUT:.*]] = bf.aten "aten::select_scatter"(%arg0, %[[MUL]], 0, 1)
    // CHECK: scf.yield %[[PUT]]
    %0 = bf.aten "aten::mul_.Scalar"(%row, 2) : (tensor<4xf32>) -> tensor<4xf32>
  }
  // CHECK: } else {
  // CHECK-NEXT: scf.yield %arg0
  // CHECK: %[[ROW:.*]] = bf.aten "aten::select.int"(%[[NEW]], 0, 1)
  // CHECK: bf.aten "aten::exp"(%[[ROW]])
  %1 = bf.aten "aten::exp"(%row) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.store %[[NEW]] to %arg0
  return %1 : tensor<4xf32>
}
// -----
// A loop carries what it writes, in both regions. A view that is made inside is one of that.
// CHECK-LABEL: func.func @loop
func.func @loop(%x: tensor<4x4xf32>, %n: i64) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  // CHECK: %[[R:.*]]:2 = scf.while (%[[I:.*]] = %{{.*}}, %[[T:.*]] = %arg0)
  %r = scf.while (%i = %zero) : (i64) -> i64 {
    %less = arith.cmpi slt, %i, %n : i64
    // CHECK: scf.condition(%{{.*}}) %[[I]], %[[T]] : i64, tensor<4x4xf32>
    scf.condition(%less) %i : i64
  } do {
  // CHECK: ^bb0(%[[J:.*]]: i64, %[[U:.*]]: tensor<4x4xf32>):
  ^bb0(%i: i64):
    // CHECK: "aten::select.int"(%[[U]], 0, %[[J]])
    %v = bf.aten "aten::select.int"(%x, 0, %i) : (tensor<4x4xf32>, i64) -> tensor<4xf32>
    %0 = bf.aten "aten::relu_"(%v) : (tensor<4xf32>) -> tensor<4xf32>
    // CHECK: %[[PUT:.*]] = bf.aten "aten::select_scatter"(%[[U]], %{{.*}}, 0, %[[J]])
    %next = arith.addi %i, %one : i64
    // CHECK: scf.yield %{{.*}}, %[[PUT]]
    scf.yield %next : i64
  }
  // CHECK: bf.store %[[R]]#1 to %arg0
  return
}
// -----
// A variable that is the same tensor in each iteration is a name of it.
// CHECK-LABEL: func.func @accumulates
func.func @accumulates(%x: tensor<4xf32>, %n: i64) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %sum = bf.aten "aten::neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[R:.*]]:2 = scf.while (%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>)
  %r:2 = scf.while (%i = %zero, %s = %sum) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %less = arith.cmpi slt, %i, %n : i64
    scf.condition(%less) %i, %s : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %s: tensor<4xf32>):
    %0 = bf.aten "aten::add_.Tensor"(%s, %x, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %next = arith.addi %i, %one : i64
    scf.yield %next, %0 : i64, tensor<4xf32>
  }
  // CHECK: return {bf.objects = array<i32: 2>, bf.storages = array<i32: 2>} %[[R]]#1
  return %r#1 : tensor<4xf32>
}
// -----
// What an iteration made may be written, whatever was carried before it.
// CHECK-LABEL: func.func @recurrent
func.func @recurrent(%x: tensor<4xf32>, %n: i64) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  // CHECK: scf.while (%{{.*}} = %{{.*}}, %{{.*}} = %arg0) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>)
  %r:2 = scf.while (%i = %zero, %h = %x) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %less = arith.cmpi slt, %i, %n : i64
    scf.condition(%less) %i, %h : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %h: tensor<4xf32>):
    %t = bf.aten "aten::tanh"(%h) : (tensor<4xf32>) -> tensor<4xf32>
    // CHECK: %[[A:.*]] = bf.aten "aten::add.Tensor"
    %0 = bf.aten "aten::add_.Tensor"(%t, %h, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %next = arith.addi %i, %one : i64
    // CHECK: scf.yield %{{.*}}, %[[A]]
    scf.yield %next, %t : i64, tensor<4xf32>
  }
  return %r#1 : tensor<4xf32>
}
// -----
// Both branches name one tensor: so does the result.
// CHECK-LABEL: func.func @same_in_both
func.func @same_in_both(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  // CHECK: %[[NEW:.*]] = scf.if %arg1 -> (tensor<4xf32>) {
  %r = scf.if %c -> (tensor<4xf32>) {
    %0 = bf.aten "aten::relu_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %0 : tensor<4xf32>
  } else {
    scf.yield %x : tensor<4xf32>
  }
  // CHECK: bf.store %[[NEW]] to %arg0
  // CHECK-NEXT: return {bf.objects = array<i32: 0>, bf.storages = array<i32: 0>} %arg0
  return %r : tensor<4xf32>
}
// -----
// Draws in a branch keep their form.
// CHECK-LABEL: func.func @draws
func.func @draws(%x: tensor<4xf32>, %c: i1) {
  scf.if %c {
    // CHECK: %[[D:.*]]:2 = bf.aten "aten::normal_"(%arg0, 0.000000e+00, 1.000000e+00, none) writes [0]
    // CHECK-NEXT: scf.yield %[[D]]#1
    %0 = bf.aten "aten::normal_"(%x, 0.0, 1.0, none) : (tensor<4xf32>) -> tensor<4xf32>
  }
  return
}
// -----
// A function returns what it writes, also by way of itself; its argument is one name of its result.
// CHECK-LABEL: func.func @calls
func.func @calls(%x: tensor<2x4xf32>, %n: i64) -> tensor<4xf32> {
  // CHECK: %[[ROW:.*]] = bf.aten "aten::select.int"(%arg0, 0, 0)
  %row = bf.aten "aten::select.int"(%x, 0, 0) : (tensor<2x4xf32>) -> tensor<4xf32>
  // CHECK: %[[C:.*]]:2 = call @down(%[[ROW]], %arg1) : (tensor<4xf32>, i64) -> (tensor<4xf32>, tensor<4xf32>)
  // CHECK: %[[PUT:.*]] = bf.aten "aten::select_scatter"(%arg0, %[[C]]#1, 0, 0)
  %0 = func.call @down(%row, %n) : (tensor<4xf32>, i64) -> tensor<4xf32>
  // CHECK: bf.aten "aten::exp"(%[[C]]#1)
  %1 = bf.aten "aten::exp"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: bf.store %[[PUT]] to %arg0
  return %1 : tensor<4xf32>
}
// CHECK: func.func private @down(%[[A:.*]]: tensor<4xf32>, %{{.*}}: i64) -> (tensor<4xf32>, tensor<4xf32>)
func.func private @down(%x: tensor<4xf32>, %n: i64) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %end = arith.cmpi sle, %n, %zero : i64
  // CHECK: %[[R:.*]] = scf.if %{{.*}} -> (tensor<4xf32>)
  %r = scf.if %end -> (tensor<4xf32>) {
    // CHECK-NEXT: scf.yield %[[A]]
    scf.yield %x : tensor<4xf32>
  } else {
    %less = arith.subi %n, %one : i64
    // CHECK: %[[S:.*]] = bf.aten "aten::sin"(%[[A]])
    %s = bf.aten "aten::sin_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    // CHECK: %[[D:.*]]:2 = func.call @down(%[[S]]
    // CHECK-NEXT: scf.yield %[[D]]#1
    %z = func.call @down(%s, %less) : (tensor<4xf32>, i64) -> tensor<4xf32>
    scf.yield %z : tensor<4xf32>
  }
  // CHECK: return {{.*}} %[[R]], %[[R]]
  return %r : tensor<4xf32>
}
// -----
// A graph that calls itself calls a copy: only the graph stores.
// CHECK-LABEL: func.func @itself
func.func @itself(%x: tensor<4xf32>, %c: i1) {
  %0 = bf.aten "aten::sin_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[R:.*]] = scf.if
  scf.if %c {
    %stop = arith.constant false
    // CHECK: %[[C:.*]] = func.call @[[COPY:.*]](%{{.*}}, 
    // CHECK-NEXT: scf.yield %[[C]]
    func.call @itself(%x, %stop) : (tensor<4xf32>, i1) -> ()
  }
  // CHECK: bf.store %[[R]] to %arg0
  return
}
// CHECK: func.func private @[[COPY]](
// CHECK-NOT: bf.store
