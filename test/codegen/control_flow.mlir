// Branches, loops and calls as steps of a program, and what runs in the reference runs natively.
// RUN: split-file %s %t
// RUN: bf-program %t/branch.mlir | FileCheck %s --check-prefix=BRANCH
// RUN: bf-program %t/loop.mlir | FileCheck %s --check-prefix=LOOP
// RUN: bf-program %t/recursion.mlir | FileCheck %s --check-prefix=RECURSION
// RUN: bf-run --compare %t/branch.mlir | FileCheck %s --check-prefix=AGREE
// RUN: bf-run --compare %t/loop.mlir | FileCheck %s --check-prefix=AGREE
// RUN: bf-program %t/sum_of_rows.mlir | FileCheck %s --check-prefix=ROWS
// RUN: bf-run --compare %t/sum_of_rows.mlir | FileCheck %s --check-prefix=AGREE
// RUN: bf-run --compare %t/recursion.mlir | FileCheck %s --check-prefix=AGREE
// RUN: bf-program %t/in_place.mlir | FileCheck %s --check-prefix=INPLACE
// RUN: bf-program %t/select.mlir | FileCheck %s --check-prefix=SELECT
// RUN: bf-run --compare %t/in_place.mlir | FileCheck %s --check-prefix=AGREE
// RUN: bf-run --compare %t/select.mlir | FileCheck %s --check-prefix=AGREE
// AGREE: native and reference agree

// What the branches use of outside (t2) dies behind both; the one that uses it has it for itself.
//--- branch.mlir
// BRANCH: call t2 = aten::sin(t0)
// BRANCH: if v{{[0-9]+}}
// BRANCH-NEXT:   move [[OWN:t[0-9]+]] = t2
// BRANCH-NEXT:   dead: release t2
// BRANCH-NEXT:   call [[COS:t[0-9]+]] = aten::cos([[OWN]]) release [[OWN]]
// BRANCH-NEXT:   move t3 = [[COS]] release [[COS]]
// BRANCH-NEXT: else
// BRANCH-NEXT:   move t3 = t0
// BRANCH-NEXT: dead: release t2
// BRANCH-NEXT: return t3
func.func @branch(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  %0 = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = scf.if %c -> (tensor<4xf32>) {
    %2 = bf.aten "aten::cos"(%0) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %2 : tensor<4xf32>
  } else {
    scf.yield %x : tensor<4xf32>
  }
  return %1 : tensor<4xf32>
}

// The carried tensor has no place in the arena: one iteration reads what the last one made.
//--- loop.mlir
// LOOP: slot t2: tensor<4xf32>{{$}}
// LOOP: move t2 = t0
// LOOP-NEXT: loop
// LOOP:        if not v{{[0-9]+}}
// LOOP:          move t3 = t2
// LOOP-NEXT:     dead: release t2
// LOOP-NEXT:     leave
// LOOP:        move t4 = t2
// LOOP-NEXT:   dead: release t2
// LOOP:        call t5 = aten::sin(t4) release t4
// LOOP:        move t2 = t5 release t5
// LOOP-NEXT: again
// LOOP-NEXT: dead: release t2
func.func @loop(%x: tensor<4xf32>, %n: i64) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %five = arith.constant 5 : i64
  %r:2 = scf.while (%i = %zero, %v = %x) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %go = arith.cmpi slt, %i, %five : i64
    scf.condition(%go) %i, %v : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %v: tensor<4xf32>):
    %next = arith.addi %i, %one : i64
    %w = bf.aten "aten::sin"(%v) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %next, %w : i64, tensor<4xf32>
  }
  return %r#1 : tensor<4xf32>
}

//--- recursion.mlir
// RECURSION: function t1 = 0(t0, i0)
// RECURSION: function 0
// RECURSION: if v{{[0-9]+}}
// RECURSION: else
// RECURSION:   function [[BELOW:t[0-9]+]] = 0({{t[0-9]+}}, i{{[0-9]+}})
func.func @recursion(%x: tensor<4xf32>) -> tensor<4xf32> {
  %n = arith.constant 5 : i64
  %y = func.call @down(%x, %n) : (tensor<4xf32>, i64) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
func.func private @down(%x: tensor<4xf32>, %n: i64) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %end = arith.cmpi sle, %n, %zero : i64
  %r = scf.if %end -> (tensor<4xf32>) {
    scf.yield %x : tensor<4xf32>
  } else {
    %less = arith.subi %n, %one : i64
    %s = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %z = func.call @down(%s, %less) : (tensor<4xf32>, i64) -> tensor<4xf32>
    %w = bf.aten "aten::add.Tensor"(%z, %s, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    scf.yield %w : tensor<4xf32>
  }
  return %r : tensor<4xf32>
}

// An iteration gives up what it was handed, and writes over it where nobody else has it.
//--- in_place.mlir
// INPLACE:      move [[CARRIED:t[0-9]+]] = t0
// INPLACE-NEXT: loop
// INPLACE:        leave
// INPLACE:        move [[V:t[0-9]+]] = [[CARRIED]]
// INPLACE-NEXT:   dead: release [[CARRIED]]
// INPLACE:        kernel [[W:t[0-9]+]] = bf_kernel_{{.*}}([[V]]) [[W]] over [[V]] release [[V]]
// INPLACE:        move [[CARRIED]] = [[W]] release [[W]]
// INPLACE-NEXT: again
func.func @in_place(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %five = arith.constant 5 : i64
  %r:2 = scf.while (%i = %zero, %v = %x) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %go = arith.cmpi slt, %i, %five : i64
    scf.condition(%go) %i, %v : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %v: tensor<4xf32>):
    %next = arith.addi %i, %one : i64
    %w = bf.pointwise(%v) : (tensor<4xf32>) -> tensor<4xf32> {
    ^bb0(%e: f32):
      %d = arith.negf %e : f32
      bf.yield %d : f32
    }
    scf.yield %next, %w : i64, tensor<4xf32>
  }
  return %r#1 : tensor<4xf32>
}

// A selection of tensors is a branch that moves.
//--- select.mlir
// SELECT:      if v{{[0-9]+}}
// SELECT-NEXT:   move [[R:t[0-9]+]] = [[A:t[0-9]+]]
// SELECT-NEXT: else
// SELECT-NEXT:   move [[R]] = t0
// SELECT-NEXT: dead: release [[A]]
func.func @select(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  %0 = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = arith.select %c, %0, %x : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// A sum that functions hand on, and a branch ends with, is written where it lies.
//--- sum_of_rows.mlir
// ROWS: function 0
// ROWS: if v{{[0-9]+}}
// ROWS-NEXT:   move [[OWN:t[0-9]+]] = t0
// ROWS: call {{.*}} = aten::index_put_([[OWN]], {{.*}}) over its own [[OWN]]
// ROWS: else
// ROWS-NEXT:   move {{.*}} = t0
func.func @sum_of_rows(%sum: tensor<10x4xf32>, %g: tensor<3x4xf32>, %c: i1) -> tensor<10x4xf32> {
  %0 = bf.aten "aten::neg"(%sum) : (tensor<10x4xf32>) -> tensor<10x4xf32>
  %1 = func.call @add(%0, %g, %c) : (tensor<10x4xf32>, tensor<3x4xf32>, i1) -> tensor<10x4xf32>
  return %1 : tensor<10x4xf32>
}
func.func private @add(%sum: tensor<10x4xf32>, %g: tensor<3x4xf32>, %c: i1) -> tensor<10x4xf32> {
  %r = scf.if %c -> (tensor<10x4xf32>) {
    %i = bf.aten "aten::arange"(3, 4, none, none, none) : () -> tensor<3xi64>
    %0:2 = bf.aten "aten::index_put_"(%sum, [%i], %g, true) writes [0] : (tensor<10x4xf32>, tensor<3xi64>, tensor<3x4xf32>) -> (tensor<10x4xf32>, tensor<10x4xf32>)
    scf.yield %0#1 : tensor<10x4xf32>
  } else {
    scf.yield %sum : tensor<10x4xf32>
  }
  return %r : tensor<10x4xf32>
}
