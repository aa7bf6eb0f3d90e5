// Opaque calls are steps in the program's order, also those whose result nobody wants.
// RUN: bf-program %s | FileCheck %s

// CHECK: s[[FIRST:[0-9]+]] = python random.random s1(i0)
// CHECK: s{{[0-9]+}} = python numpy.array s2({{.*}})
// CHECK-SAME: release t4
func.func @main(%source: !bf.object, %random: !bf.object, %array: !bf.object, %x: tensor<4xf32>) -> f64 {
  %drawn = bf.pycall "random.random" %random(%source) : (!bf.object)
  %value = bf.unbox %drawn : f64
  %relu = bf.aten "aten::relu"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %made = bf.pycall "numpy.array" %array(%relu, %value, %drawn) keywords ["like"] : (tensor<4xf32>, f64, !bf.object)
  return %value : f64
}
