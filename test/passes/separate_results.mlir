// RUN: bf-opt --split-input-file --bf-functionalise --bf-simplify --bf-separate-results %s | FileCheck %s

// Equal tensors that the program keeps apart.
// CHECK-LABEL: func.func @twice
func.func @twice(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  // CHECK: %[[A:.*]] = bf.aten "aten::exp"
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[B:.*]] = bf.aten "aten::clone"(%[[A]], none)
  // CHECK: return {{.*}} %[[A]], %[[B]], %[[A]]
  return %0, %1, %0 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
// -----
// Two objects over one memory.
// CHECK-LABEL: func.func @aliases
func.func @aliases(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK: %[[A:.*]] = bf.aten "aten::exp"
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[B:.*]] = bf.aten "aten::detach"(%[[A]])
  %1 = bf.aten "aten::detach"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: return {{.*}} %[[A]], %[[B]]
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
// -----
// Gradients of two parameters that are equal are two tensors.
// CHECK-LABEL: func.func @attributes
func.func @attributes(%a: tensor<4xf32>, %b: tensor<4xf32>) {
  // CHECK: %[[G:.*]] = bf.aten "aten::exp"
  // CHECK: bf.store_attr %arg0, "grad", %[[G]]
  // CHECK: %[[H:.*]] = bf.aten "aten::clone"(%[[G]], none)
  // CHECK: bf.store_attr %arg1, "grad", %[[H]]
  %0 = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  bf.store_attr %a, "grad", %0 : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %b, "grad", %1 : tensor<4xf32>, tensor<4xf32>
  return
}
// -----
// Where the path decides which tensor is returned, equal ones stay apart: on no path may two of the
// program's tensors be one.
// CHECK-LABEL: func.func @on_one_path
func.func @on_one_path(%x: tensor<4xf32>, %c: i1) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK: %[[A:.*]] = bf.aten "aten::exp"
  // CHECK: %[[B:.*]] = bf.aten "aten::exp"
  %0 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[R:.*]] = arith.select %arg1, %[[B]], %arg0
  %2 = scf.if %c -> (tensor<4xf32>) {
    scf.yield %1 : tensor<4xf32>
  } else {
    scf.yield %x : tensor<4xf32>
  }
  // CHECK: return {bf.objects = array<i32: 2, -1>, bf.storages = array<i32: 2, -1>} %[[A]], %[[R]]
  return %0, %2 : tensor<4xf32>, tensor<4xf32>
}
// -----
// A copy that a loop may return is no name of what it copies.
// CHECK-LABEL: func.func @copied
func.func @copied(%x: tensor<4xf32>, %n: i64) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  // CHECK: %[[C:.*]] = bf.aten "aten::_to_copy"(%arg0
  // CHECK: scf.while ({{.*}} = %[[C]])
  %0 = bf.aten "aten::_to_copy"(%x, none, none, none, none, false, none) : (tensor<4xf32>) -> tensor<4xf32>
  %r:2 = scf.while (%i = %zero, %v = %0) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %less = arith.cmpi slt, %i, %n : i64
    scf.condition(%less) %i, %v : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %v: tensor<4xf32>):
    %1 = bf.aten "aten::neg"(%v) : (tensor<4xf32>) -> tensor<4xf32>
    %next = arith.addi %i, %one : i64
    scf.yield %next, %1 : i64, tensor<4xf32>
  }
  return %r#1 : tensor<4xf32>
}
