// RUN: bf-opt --bf-hoist-products %s | FileCheck %s

// CHECK-LABEL: func.func @loop
func.func @loop(%x: tensor<9x2x6xf32>, %w: tensor<8x6xf32>, %b: tensor<8xf32>) -> tensor<2x8xf32> {
  // CHECK: %[[ROWS:.*]] = bf.aten "aten::reshape"(%arg0, [18, 6]) : (tensor<9x2x6xf32>) -> tensor<18x6xf32>
  // CHECK-NEXT: %[[W:.*]] = bf.aten "aten::t"(%arg1)
  // CHECK-NEXT: %[[ALL:.*]] = bf.aten "aten::addmm"(%arg2, %[[ROWS]], %[[W]], 1, 1) : {{.*}} -> tensor<18x8xf32>
  // CHECK-NEXT: %[[PRODUCTS:.*]] = bf.aten "aten::reshape"(%[[ALL]], [9, 2, 8]) : (tensor<18x8xf32>) -> tensor<9x2x8xf32>
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %nine = arith.constant 9 : i64
  %true = arith.constant true
  // What has been made of the first row ahead of the loop is one of them.
  // CHECK: bf.aten "aten::select.int"(%[[PRODUCTS]], 0, 0)
  %x0 = bf.aten "aten::select.int"(%x, 0, 0) : (tensor<9x2x6xf32>) -> tensor<2x6xf32>
  %t0 = bf.aten "aten::t"(%w) : (tensor<8x6xf32>) -> tensor<6x8xf32>
  %p0 = bf.aten "aten::addmm"(%b, %x0, %t0, 1, 1) : (tensor<8xf32>, tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
  %h0 = bf.aten "aten::tanh"(%p0) : (tensor<2x8xf32>) -> tensor<2x8xf32>
  // CHECK: scf.while
  // CHECK: ^bb0(%[[N:.*]]: i64,
  // CHECK-NOT: addmm
  // CHECK: %[[ROW:.*]] = bf.aten "aten::select.int"(%[[PRODUCTS]], 0, %[[N]]) {{.*}} -> tensor<2x8xf32>
  // CHECK: "aten::add.Tensor"(%{{.*}}, %[[ROW]], 1)
  %end:2 = scf.while (%n = %one, %h = %h0, %go = %true) : (i64, tensor<2x8xf32>, i1) -> (i64, tensor<2x8xf32>) {
    scf.condition(%go) %n, %h : i64, tensor<2x8xf32>
  } do {
  ^bb0(%n: i64, %h: tensor<2x8xf32>):
    %row = bf.aten "aten::select.int"(%x, 0, %n) : (tensor<9x2x6xf32>, i64) -> tensor<2x6xf32>
    %t = bf.aten "aten::t"(%w) : (tensor<8x6xf32>) -> tensor<6x8xf32>
    %p = bf.aten "aten::addmm"(%b, %row, %t, 1, 1) : (tensor<8xf32>, tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
    %s = bf.aten "aten::add.Tensor"(%h, %p, 1) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
    %next = arith.addi %n, %one : i64
    %goes = arith.cmpi slt, %next, %nine : i64
    scf.yield %next, %s, %goes : i64, tensor<2x8xf32>, i1
  }
  return %end#1 : tensor<2x8xf32>
}

// The number of rows is known in the run only. The condition is asked ahead of each iteration.
// CHECK-LABEL: func.func @unknown
func.func @unknown(%x: tensor<?x2x6xf32, #bf.tensor<worlds = [[5, 7]]>>, %w: tensor<6x8xf32>, %h0: tensor<2x8xf32>) -> tensor<2x8xf32> {
  // CHECK: %[[ROWS:.*]] = bf.aten "aten::reshape"(%arg0, [-1, 6]) : {{.*}} -> tensor<?x6xf32, #bf.tensor<worlds = {{\[\[}}10, 14{{\]\]}}>>
  // CHECK-NEXT: %[[ALL:.*]] = bf.aten "aten::mm"(%[[ROWS]], %arg1)
  // CHECK-NEXT: %[[COUNT:.*]] = bf.dim %arg0, 0
  // CHECK-NEXT: bf.aten "aten::reshape"(%[[ALL]], [%[[COUNT]], 2, 8])
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %end:2 = scf.while (%n = %zero, %h = %h0) : (i64, tensor<2x8xf32>) -> (i64, tensor<2x8xf32>) {
    %rows = bf.dim %x, 0 : tensor<?x2x6xf32, #bf.tensor<worlds = [[5, 7]]>> -> i64
    %goes = arith.cmpi slt, %n, %rows : i64
    scf.condition(%goes) %n, %h : i64, tensor<2x8xf32>
  } do {
  ^bb0(%n: i64, %h: tensor<2x8xf32>):
    %row = bf.aten "aten::select.int"(%x, 0, %n) : (tensor<?x2x6xf32, #bf.tensor<worlds = [[5, 7]]>>, i64) -> tensor<2x6xf32>
    // CHECK-NOT: aten::mm
    %p = bf.aten "aten::mm"(%row, %w) : (tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
    %s = bf.aten "aten::add.Tensor"(%h, %p, 1) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
    %next = arith.addi %n, %one : i64
    scf.yield %next, %s : i64, tensor<2x8xf32>
  }
  return %end#1 : tensor<2x8xf32>
}

// Not: a loop that may end before it has come to all rows, a weight that the loop writes, a product
// that the program gets to see, other modes of gradients, a gradient that is taken in the loop.
// CHECK-LABEL: func.func @stay
// CHECK-NOT: aten::reshape
func.func @stay(%x: tensor<9x2x6xf32>, %w: tensor<6x8xf32>, %v: tensor<6x8xf32>, %h0: tensor<2x8xf32>, %most: i64) -> (tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>, tensor<6x8xf32>) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %nine = arith.constant 9 : i64
  %a:2 = scf.while (%n = %zero, %h = %h0) : (i64, tensor<2x8xf32>) -> (i64, tensor<2x8xf32>) {
    %goes = arith.cmpi slt, %n, %most : i64
    scf.condition(%goes) %n, %h : i64, tensor<2x8xf32>
  } do {
  ^bb0(%n: i64, %h: tensor<2x8xf32>):
    %row = bf.aten "aten::select.int"(%x, 0, %n) : (tensor<9x2x6xf32>, i64) -> tensor<2x6xf32>
    %p = bf.aten "aten::mm"(%row, %w) : (tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
    %s = bf.aten "aten::add.Tensor"(%h, %p, 1) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
    %next = arith.addi %n, %one : i64
    scf.yield %next, %s : i64, tensor<2x8xf32>
  }
  %b:4 = scf.while (%n = %zero, %h = %h0, %now = %w, %last = %h0) : (i64, tensor<2x8xf32>, tensor<6x8xf32>, tensor<2x8xf32>) -> (i64, tensor<2x8xf32>, tensor<6x8xf32>, tensor<2x8xf32>) {
    %goes = arith.cmpi slt, %n, %nine : i64
    scf.condition(%goes) %n, %h, %now, %last : i64, tensor<2x8xf32>, tensor<6x8xf32>, tensor<2x8xf32>
  } do {
  ^bb0(%n: i64, %h: tensor<2x8xf32>, %now: tensor<6x8xf32>, %last: tensor<2x8xf32>):
    %row = bf.aten "aten::select.int"(%x, 0, %n) : (tensor<9x2x6xf32>, i64) -> tensor<2x6xf32>
    %p = bf.aten "aten::mm"(%row, %now) : (tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
    %s = bf.aten "aten::add.Tensor"(%h, %p, 1) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
    %then = bf.aten "aten::neg"(%now) : (tensor<6x8xf32>) -> tensor<6x8xf32>
    %seen = bf.aten "aten::mm"(%row, %w) : (tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
    %other = bf.aten "aten::mm"(%row, %v) {no_grad} : (tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
    %both = bf.aten "aten::add.Tensor"(%s, %other, 1) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
    %next = arith.addi %n, %one : i64
    scf.yield %next, %both, %then, %seen : i64, tensor<2x8xf32>, tensor<6x8xf32>, tensor<2x8xf32>
  }
  %c:3 = scf.while (%n = %zero, %h = %h0, %g = %w) : (i64, tensor<2x8xf32>, tensor<6x8xf32>) -> (i64, tensor<2x8xf32>, tensor<6x8xf32>) {
    %goes = arith.cmpi slt, %n, %nine : i64
    scf.condition(%goes) %n, %h, %g : i64, tensor<2x8xf32>, tensor<6x8xf32>
  } do {
  ^bb0(%n: i64, %h: tensor<2x8xf32>, %g: tensor<6x8xf32>):
    %row = bf.aten "aten::select.int"(%x, 0, %n) : (tensor<9x2x6xf32>, i64) -> tensor<2x6xf32>
    %p = bf.aten "aten::mm"(%row, %w) : (tensor<2x6xf32>, tensor<6x8xf32>) -> tensor<2x8xf32>
    %s = bf.aten "aten::sum"(%p, none) : (tensor<2x8xf32>) -> tensor<f32>
    %gradient = bf.grad outputs(%s) seeds() wrt(%w) : (tensor<f32>), (), (tensor<6x8xf32>) -> (tensor<6x8xf32>)
    %next = arith.addi %n, %one : i64
    scf.yield %next, %h, %gradient : i64, tensor<2x8xf32>, tensor<6x8xf32>
  }
  return %a#1, %b#1, %b#3, %c#2 : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>, tensor<6x8xf32>
}

// More rows take no longer one by one.
// CHECK-LABEL: func.func @many
// CHECK-NOT: aten::reshape
func.func @many(%x: tensor<9x20x6xf32>, %w: tensor<6x8xf32>, %h0: tensor<20x8xf32>) -> tensor<20x8xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %nine = arith.constant 9 : i64
  %a:2 = scf.while (%n = %zero, %h = %h0) : (i64, tensor<20x8xf32>) -> (i64, tensor<20x8xf32>) {
    %goes = arith.cmpi slt, %n, %nine : i64
    scf.condition(%goes) %n, %h : i64, tensor<20x8xf32>
  } do {
  ^bb0(%n: i64, %h: tensor<20x8xf32>):
    %row = bf.aten "aten::select.int"(%x, 0, %n) : (tensor<9x20x6xf32>, i64) -> tensor<20x6xf32>
    %p = bf.aten "aten::mm"(%row, %w) : (tensor<20x6xf32>, tensor<6x8xf32>) -> tensor<20x8xf32>
    %s = bf.aten "aten::add.Tensor"(%h, %p, 1) : (tensor<20x8xf32>, tensor<20x8xf32>) -> tensor<20x8xf32>
    %next = arith.addi %n, %one : i64
    scf.yield %next, %s : i64, tensor<20x8xf32>
  }
  return %a#1 : tensor<20x8xf32>
}
