// What only makes new contents of inputs goes to the end, and is then computed in place.
// RUN: split-file %s %t
// RUN: bf-program %t/step.mlir | FileCheck %s
// RUN: bf-program %t/assert.mlir | FileCheck %s --check-prefix=ASSERT

//--- step.mlir

// CHECK:      input t0: tensor<8x8xf32> "w"
// CHECK:      call [[G:t[0-9]+]] = aten::mm(t1, t1)
// CHECK-NEXT: call [[Y:t[0-9]+]] = aten::mm(t1, t0)
// CHECK-NEXT: kernel [[NEW:t[0-9]+]] = bf_kernel_{{.*}}(t0, [[G]]) [[NEW]] over t0 release [[G]]
// CHECK-NEXT: store [[NEW]] to t0
// CHECK-NEXT: return [[Y]]
func.func @step(%w: tensor<8x8xf32> {bf.name = "w"}, %x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %g = bf.aten "aten::mm"(%x, %x) : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %new = bf.pointwise(%w, %g) : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32> {
  ^bb0(%a: f32, %b: f32):
    %c = arith.subf %a, %b : f32
    bf.yield %c : f32
  }
  bf.store %new to %w : tensor<8x8xf32> to tensor<8x8xf32>
  %y = bf.aten "aten::mm"(%x, %w) : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %y : tensor<8x8xf32>
}

// An assertion that follows may fail: until then the input is what it was.
//--- assert.mlir
// ASSERT:      kernel [[NEW:t[0-9]+]], [[Y:t[0-9]+]] = bf_kernel_{{[0-9a-f]+}}(t0){{$}}
// ASSERT:      assert
// ASSERT-NEXT: store [[NEW]] to t0
func.func @step(%w: tensor<8xf32>, %c: i1) -> tensor<8xf32> {
  %new:2 = bf.pointwise(%w) : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  ^bb0(%a: f32):
    %b = arith.negf %a : f32
    bf.yield %b, %a : f32, f32
  }
  bf.store %new#0 to %w : tensor<8xf32> to tensor<8xf32>
  bf.assert %c, "holds"
  return %new#1 : tensor<8xf32>
}
