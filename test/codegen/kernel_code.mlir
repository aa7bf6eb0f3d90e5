// Equal kernels are one function; what stays along a row is loaded before its loop; numbers of the graph are
// computed in the entry and read from the frame.
// RUN: bf-program --llvm %s | FileCheck %s

// CHECK-LABEL: define i32 @bf_entry_scale
// CHECK:         call i64 @bf_rt_dim(ptr %0, i32 0, i64 0)
// CHECK:         sitofp i64 {{.*}} to double
// CHECK:         store double
// CHECK-COUNT-2: call i32 @bf_rt_kernel
// CHECK-LABEL: define void @bf_kernel_
// CHECK:       row:
// CHECK:         [[B:%.*]] = load float, ptr
// CHECK:         insertelement <{{[0-9]+}} x float> poison, float [[B]]
// CHECK:       vector:
// CHECK:         fmul <{{[0-9]+}} x float>
// CHECK:         fadd <{{[0-9]+}} x float>
// CHECK:       tail:
// CHECK:         llvm.masked.store
// CHECK-NOT:   define void @bf_kernel_
func.func @scale(%x: tensor<?x8xf32>, %b: tensor<8x1xf32>, %c: tensor<8x1xf32>)
    -> (tensor<8x8xf32>, tensor<8x8xf32>) {
  %d = bf.dim %x, 0 : tensor<?x8xf32> -> i64
  %k = arith.sitofp %d : i64 to f64
  %y = bf.aten "aten::narrow"(%x, 0, 0, 8) : (tensor<?x8xf32>) -> tensor<8x8xf32>
  %0 = bf.pointwise(%y, %b, %k) : (tensor<8x8xf32>, tensor<8x1xf32>, f64) -> tensor<8x8xf32> {
  ^bb0(%p: f32, %q: f32, %r: f64):
    %s = arith.truncf %r : f64 to f32
    %t = arith.mulf %p, %s : f32
    %u = arith.addf %t, %q : f32
    bf.yield %u : f32
  }
  %1 = bf.pointwise(%y, %c, %k) : (tensor<8x8xf32>, tensor<8x1xf32>, f64) -> tensor<8x8xf32> {
  ^bb0(%p: f32, %q: f32, %r: f64):
    %s = arith.truncf %r : f64 to f32
    %t = arith.mulf %p, %s : f32
    %u = arith.addf %t, %q : f32
    bf.yield %u : f32
  }
  return %0, %1 : tensor<8x8xf32>, tensor<8x8xf32>
}
