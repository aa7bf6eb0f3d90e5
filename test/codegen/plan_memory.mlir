// Lifetimes, places in the arena, and operands that are written over.
// RUN: split-file %s %t
// RUN: bf-program %t/chain.mlir | FileCheck %s --check-prefix=CHAIN
// RUN: bf-program %t/view.mlir | FileCheck %s --check-prefix=VIEW
// RUN: bf-program %t/swap.mlir | FileCheck %s --check-prefix=SWAP
// RUN: bf-program %t/written.mlir | FileCheck %s --check-prefix=WRITTEN
// RUN: bf-program %t/dynamic.mlir | FileCheck %s --check-prefix=DYNAMIC

//--- chain.mlir
// Products alternate between two places; the result owns its memory.
// CHAIN:      slot t1: tensor<16x16xf32> at 0 bytes 1024
// CHAIN-NEXT: slot t2: tensor<16x16xf32> at 1024 bytes 1024
// CHAIN-NEXT: slot t3: tensor<16x16xf32> at 0 bytes 1024
// CHAIN-NEXT: slot t4: tensor<16x16xf32>
// CHAIN:      call t1 = aten::mm(t0, t0)
// CHAIN-NEXT: call t2 = aten::mm(t1, t0) release t1
// CHAIN-NEXT: call t3 = aten::mm(t2, t0) release t2
// CHAIN-NEXT: call t4 = aten::mm(t3, t0) release t3
// CHAIN:      arena 2048 bytes
func.func @chain(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %1 = bf.aten "aten::mm"(%x, %x) : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %2 = bf.aten "aten::mm"(%1, %x) : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %3 = bf.aten "aten::mm"(%2, %x) : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %4 = bf.aten "aten::mm"(%3, %x) : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  return %4 : tensor<16x16xf32>
}

//--- view.mlir
// A value lives as long as its views; what a view that is returned looks at must own its memory.
// VIEW:      slot t1: tensor<4x4xf32> at 0 bytes 64
// VIEW-NEXT: slot t2: tensor<4x4xf32>{{$}}
// VIEW-NEXT: slot t3: tensor<4x4xf32>
// VIEW-NEXT: slot t4: tensor<4x4xf32>
// VIEW:      call t2 = aten::t(t1) release t1
// VIEW-NEXT: call t3 = aten::mm(t0, t2) release t2
func.func @view(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %1 = bf.aten "aten::mm"(%x, %x) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %2 = bf.aten "aten::t"(%1) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %3 = bf.aten "aten::mm"(%x, %2) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %4 = bf.aten "aten::t"(%3) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return %4 : tensor<4x4xf32>
}

//--- swap.mlir
// The old contents of t0 are stored elsewhere, so its new ones are not computed in place.
// SWAP:      kernel t2 = bf_kernel_{{[0-9a-f]+}}(t0, t1){{$}}
// SWAP-NEXT: store t2 to t0
// SWAP-NEXT: store t0 to t1
func.func @swap(%a: tensor<4xf32>, %b: tensor<4xf32>) {
  %1 = bf.pointwise(%a, %b) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%x: f32, %y: f32):
    %z = arith.addf %x, %y : f32
    bf.yield %z : f32
  }
  bf.store %1 to %a : tensor<4xf32> to tensor<4xf32>
  bf.store %a to %b : tensor<4xf32> to tensor<4xf32>
  return
}

//--- written.mlir
// A call in functional form writes over an operand that dies, and copies one that does not.
// WRITTEN: call {{.*}} = aten::add_.Tensor(t1, t0) over t1
// WRITTEN: call {{.*}} = aten::add_.Tensor([[A:t[0-9]+]], t0){{$}}
func.func @written(%x: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %1 = bf.aten "aten::mm"(%x, %x) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %2:2 = bf.aten "aten::add_.Tensor"(%1, %x, 1) writes [0]
      : (tensor<4x4xf32>, tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  %3 = bf.aten "aten::mm"(%2#1, %x) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %4:2 = bf.aten "aten::add_.Tensor"(%3, %x, 1) writes [0]
      : (tensor<4x4xf32>, tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  %5 = bf.aten "aten::mm"(%3, %x) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return %4#1, %5 : tensor<4x4xf32>, tensor<4x4xf32>
}

//--- dynamic.mlir
// A size that is not known gets no place; a kernel without operands is told its sizes.
// DYNAMIC: slot t1: tensor<?x4xf32>{{$}}
// DYNAMIC: dim v[[D:[0-9]+]] = t0[0]
// DYNAMIC: save v[[D]] to scalar [[S:[0-9]+]]
// DYNAMIC: kernel {{.*}} sizes i[[S]], i{{[0-9]+}}
func.func @dynamic(%x: tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>)
    -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>> {
  %1 = bf.aten "aten::exp"(%x) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>)
      -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
  %2 = bf.pointwise() : () -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>> {
    %c = arith.constant 1.0 : f32
    bf.yield %c : f32
  }
  %3 = bf.aten "aten::mul.Tensor"(%1, %2) : (tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>,
      tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>) -> tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
  return %3 : tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>
}
