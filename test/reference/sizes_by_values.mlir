// Sizes that values decide: in a loop each iteration has another, native code and reference alike.
// RUN: bf-run %s --reference | FileCheck %s
// RUN: bf-run %s --pipeline | FileCheck %s
// RUN: bf-run %s --pipeline --compare | FileCheck %s --check-prefix=AGREE

// CHECK: result 0: i64[] = 20
// CHECK: result 1: f32[3] = 0, 0, 0
// AGREE: native and reference agree
#mask = #bf.tensor<worlds = [[2400, 7200]]>
#number = #bf.tensor<worlds = [[3600, 4800]]>
func.func @f() -> (tensor<i64>, tensor<?xf32, #number>) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %three = arith.constant 3 : i64
  %none = bf.aten "aten::zeros"([], 4, none, none, none) : () -> tensor<i64>
  %all = bf.aten "aten::arange"(5, 4, none, none, none) : () -> tensor<5xi64>
  // What is greater than i, each time: 2 + 3 + 4, 3 + 4, 4.
  %sum:2 = scf.while (%i = %one, %s = %none) : (i64, tensor<i64>) -> (i64, tensor<i64>) {
    %more = arith.cmpi sle, %i, %three : i64
    scf.condition(%more) %i, %s : i64, tensor<i64>
  } do {
  ^bb0(%i: i64, %s: tensor<i64>):
    %mask = bf.aten "aten::gt.Scalar"(%all, %i) : (tensor<5xi64>, i64) -> tensor<5xi1>
    %some = bf.aten "aten::index.Tensor"(%all, [%mask]) : (tensor<5xi64>, tensor<5xi1>) -> tensor<?xi64, #mask>
    %twice = bf.aten "aten::add.Tensor"(%some, %some, 1) : (tensor<?xi64, #mask>, tensor<?xi64, #mask>) -> tensor<?xi64, #mask>
    %part = bf.aten "aten::sum"(%some, none) : (tensor<?xi64, #mask>) -> tensor<i64>
    %n = bf.dim %twice, 0 : tensor<?xi64, #mask> -> i64
    %t = bf.aten "aten::add.Tensor"(%s, %part, 1) : (tensor<i64>, tensor<i64>) -> tensor<i64>
    %u = bf.aten "aten::sub.Scalar"(%t, %n, 0) : (tensor<i64>, i64) -> tensor<i64>
    %next = arith.addi %i, %one : i64
    scf.yield %next, %u : i64, tensor<i64>
  }
  %k = bf.aten "aten::_local_scalar_dense"(%none) : (tensor<i64>) -> i64
  %m = arith.addi %k, %three : i64
  %size = bf.size %m in [3600, 4800]
  %made = bf.aten "aten::zeros"([%size], 6, none, none, none) : (i64) -> tensor<?xf32, #number>
  return %sum#1, %made : tensor<i64>, tensor<?xf32, #number>
}
