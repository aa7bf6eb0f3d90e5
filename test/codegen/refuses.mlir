// What has no native code is refused with a sentence.
// RUN: split-file %s %t
// RUN: not bf-program %t/writes.mlir 2>&1 | FileCheck %s --check-prefix=WRITES
// RUN: not bf-program %t/ctlz.mlir 2>&1 | FileCheck %s --check-prefix=CTLZ
// RUN: not bf-program %t/stores.mlir 2>&1 | FileCheck %s --check-prefix=STORES
// RUN: not bf-program %t/itself.mlir 2>&1 | FileCheck %s --check-prefix=ITSELF

//--- writes.mlir
// WRITES: 'aten::relu_' writes its operands; the graph must be functional
func.func @writes(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = bf.aten "aten::relu_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

//--- ctlz.mlir
// CTLZ: there is no native code for 'math.ctlz'
func.func @ctlz(%x: tensor<4xi32>) -> tensor<4xi32> {
  %0 = bf.pointwise(%x) : (tensor<4xi32>) -> tensor<4xi32> {
  ^bb0(%a: i32):
    %b = math.ctlz %a : i32
    bf.yield %b : i32
  }
  return %0 : tensor<4xi32>
}

//--- stores.mlir
// STORES: 'second' stores, which only the graph may
func.func @first(%x: tensor<4xf32>) {
  func.call @second(%x) : (tensor<4xf32>) -> ()
  return
}
func.func private @second(%x: tensor<4xf32>) {
  bf.store %x to %x : tensor<4xf32> to tensor<4xf32>
  return
}

//--- itself.mlir
// ITSELF: 'first' is no function that a graph can call
func.func @first() {
  func.call @first() : () -> ()
  return
}
