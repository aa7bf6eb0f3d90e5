// Tapes as steps of a program: what is pushed lies outside of the arena, what is popped dies with its
// last reader, and so does the tape.
// RUN: split-file %s %t
// RUN: bf-program %t/loop.mlir | FileCheck %s --check-prefix=LOOP
// RUN: bf-program %t/call.mlir | FileCheck %s --check-prefix=CALL
// RUN: bf-run --compare %t/loop.mlir | FileCheck %s --check-prefix=AGREE
// RUN: bf-run --compare %t/call.mlir | FileCheck %s --check-prefix=AGREE
// AGREE: native and reference agree

//--- loop.mlir
// LOOP: slot [[TAPE:t[0-9]+]]: tape
// LOOP: slot [[COS:t[0-9]+]]: tensor<4xf32>{{$}}
// LOOP: tape [[TAPE]]
// LOOP: loop
// LOOP: call [[COS]] = aten::cos
// LOOP: push [[TAPE]]([[COS]], i{{[0-9]+}})
// LOOP: again
// LOOP: loop
// LOOP: pop [[POPPED:t[0-9]+]], i{{[0-9]+}} = [[TAPE]]
// LOOP: call [[TAKEN:t[0-9]+]] = aten::add.Scalar([[POPPED]], i{{[0-9]+}}) release [[POPPED]]
// LOOP: again
// LOOP-NEXT: dead: release [[TAPE]]
func.func @loop(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %three = arith.constant 3 : i64
  %tape = bf.tape : !bf.tape
  %n = scf.while (%i = %zero) : (i64) -> i64 {
    %less = arith.cmpi slt, %i, %three : i64
    scf.condition(%less) %i : i64
  } do {
  ^bb0(%i: i64):
    %0 = bf.aten "aten::add.Scalar"(%x, %i, 1) : (tensor<4xf32>, i64) -> tensor<4xf32>
    %1 = bf.aten "aten::cos"(%0) : (tensor<4xf32>) -> tensor<4xf32>
    %more = arith.addi %i, %one : i64
    bf.push %tape(%1, %more) : tensor<4xf32>, i64
    scf.yield %more : i64
  }
  %r:2 = scf.while (%i = %n, %sum = %x) : (i64, tensor<4xf32>) -> (i64, tensor<4xf32>) {
    %more = arith.cmpi sgt, %i, %zero : i64
    scf.condition(%more) %i, %sum : i64, tensor<4xf32>
  } do {
  ^bb0(%i: i64, %sum: tensor<4xf32>):
    %0:2 = bf.pop %tape : tensor<4xf32>, i64
    %1 = bf.aten "aten::add.Scalar"(%0#0, %0#1, 1) : (tensor<4xf32>, i64) -> tensor<4xf32>
    %2 = bf.aten "aten::mul.Tensor"(%sum, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %less = arith.subi %i, %one : i64
    scf.yield %less, %2 : i64, tensor<4xf32>
  }
  return %r#1 : tensor<4xf32>
}

//--- call.mlir
// CALL: slot [[TAPE:t[0-9]+]]: tape
// CALL: slot [[COS:t[0-9]+]]: tensor<4xf32>{{$}}
// CALL: function none = 0([[COS]], [[TAPE]])
// CALL: pop [[POPPED:t[0-9]+]] = [[TAPE]] release [[TAPE]]
// CALL: function 0
// CALL: input t1: tape
// CALL: push t1(t0)
func.func @call(%x: tensor<4xf32>) -> tensor<4xf32> {
  %tape = bf.tape : !bf.tape
  %0 = bf.aten "aten::cos"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = func.call @keep(%0, %tape) : (tensor<4xf32>, !bf.tape) -> tensor<4xf32>
  %2 = bf.pop %tape : tensor<4xf32>
  %3 = bf.aten "aten::sin"(%2) : (tensor<4xf32>) -> tensor<4xf32>
  return %3 : tensor<4xf32>
}
func.func private @keep(%x: tensor<4xf32>, %tape: !bf.tape) -> tensor<4xf32> {
  bf.push %tape(%x) : tensor<4xf32>
  return %x : tensor<4xf32>
}
