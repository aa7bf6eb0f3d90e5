// Reads of Python objects are steps; the objects are numbers that are handed on like others.
// RUN: bf-program %s | FileCheck %s

// CHECK: function 0
// CHECK: input i0: other
// CHECK-NEXT: input i1: other
// CHECK: i{{[0-9]+}} = attribute .rest s0 s1
// CHECK: t{{[0-9]+}} = unbox s{{[0-9]+}}
// CHECK: function {{.*}} = 0(
func.func @main(%list: !bf.object, %class: !bf.object, %none: !bf.object) -> tensor<2xf32> {
  %sum = func.call @fold(%list, %class, %none) : (!bf.object, !bf.object, !bf.object) -> tensor<2xf32>
  return %sum : tensor<2xf32>
}
func.func private @fold(%link: !bf.object, %class: !bf.object, %none: !bf.object) -> tensor<2xf32> {
  %end = bf.is_same %link, %none
  %sum = scf.if %end -> tensor<2xf32> {
    %zeros = bf.aten "aten::zeros"([2], none, none, none, none) : () -> tensor<2xf32>
    scf.yield %zeros : tensor<2xf32>
  } else {
    %rest = bf.read_attr %link, "rest" of %class
    %object = bf.read_attr %link, "value" of %class
    %value = bf.unbox %object : tensor<2xf32>
    %below = func.call @fold(%rest, %class, %none) : (!bf.object, !bf.object, !bf.object) -> tensor<2xf32>
    %both = bf.aten "aten::add.Tensor"(%value, %below, 1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    scf.yield %both : tensor<2xf32>
  }
  return %sum : tensor<2xf32>
}
