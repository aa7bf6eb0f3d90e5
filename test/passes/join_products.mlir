// RUN: bf-opt --bf-join-products %s | FileCheck %s

// CHECK-LABEL: func.func @chain
func.func @chain(%g0: tensor<3x2048xf32>, %x0: tensor<3x1024xf32>, %g1: tensor<5x2048xf32>, %x1: tensor<5x1024xf32>) -> tensor<2048x1024xf32> {
  // CHECK: %[[G:.*]] = bf.aten "aten::cat"([%arg0, %arg2], 0) : {{.*}} -> tensor<8x2048xf32>
  // CHECK-NEXT: %[[X:.*]] = bf.aten "aten::cat"([%arg1, %arg3], 0) : {{.*}} -> tensor<8x1024xf32>
  // CHECK-NEXT: %[[T:.*]] = bf.aten "aten::t"(%[[G]])
  // CHECK-NEXT: %[[P:.*]] = bf.aten "aten::mm"(%[[T]], %[[X]])
  // CHECK-NEXT: return %[[P]]
  %t0 = bf.aten "aten::t"(%g0) : (tensor<3x2048xf32>) -> tensor<2048x3xf32>
  %t1 = bf.aten "aten::t"(%g1) : (tensor<5x2048xf32>) -> tensor<2048x5xf32>
  %p = bf.aten "aten::mm"(%t0, %x0) : (tensor<2048x3xf32>, tensor<3x1024xf32>) -> tensor<2048x1024xf32>
  %s:2 = bf.aten "aten::addmm_"(%p, %t1, %x1, 1, 1) writes [0] : (tensor<2048x1024xf32>, tensor<2048x5xf32>, tensor<5x1024xf32>) -> (tensor<2048x1024xf32>, tensor<2048x1024xf32>)
  return %s#1 : tensor<2048x1024xf32>
}

// CHECK-LABEL: func.func @added
func.func @added(%sum: tensor<2048x1024xf32>, %g0: tensor<3x2048xf32>, %x0: tensor<3x1024xf32>, %g1: tensor<5x2048xf32>, %x1: tensor<5x1024xf32>) -> tensor<2048x1024xf32> {
  // CHECK: %[[ZEROS:.*]] = bf.aten "aten::neg"
  // CHECK: %[[S:.*]]:2 = bf.aten "aten::addmm_"(%[[ZEROS]], %{{.*}}, %{{.*}}, 1, 1) writes [0] : (tensor<2048x1024xf32>, tensor<2048x8xf32>, tensor<8x1024xf32>)
  // CHECK-NEXT: return %[[S]]#1
  %begin = bf.aten "aten::neg"(%sum) : (tensor<2048x1024xf32>) -> tensor<2048x1024xf32>
  %t0 = bf.aten "aten::t"(%g0) : (tensor<3x2048xf32>) -> tensor<2048x3xf32>
  %t1 = bf.aten "aten::t"(%g1) : (tensor<5x2048xf32>) -> tensor<2048x5xf32>
  %s0:2 = bf.aten "aten::addmm_"(%begin, %t0, %x0, 1, 1) writes [0] : (tensor<2048x1024xf32>, tensor<2048x3xf32>, tensor<3x1024xf32>) -> (tensor<2048x1024xf32>, tensor<2048x1024xf32>)
  %s1:2 = bf.aten "aten::addmm_"(%s0#1, %t1, %x1, 1, 1) writes [0] : (tensor<2048x1024xf32>, tensor<2048x5xf32>, tensor<5x1024xf32>) -> (tensor<2048x1024xf32>, tensor<2048x1024xf32>)
  return %s1#1 : tensor<2048x1024xf32>
}

// One that is read in between, one of another factor, and small ones stay.
// CHECK-LABEL: func.func @stay
// CHECK-NOT: aten::cat
func.func @stay(%g: tensor<3x2048xf32>, %x: tensor<3x1024xf32>, %h: tensor<3x64xf32>, %y: tensor<3x32xf32>) -> (tensor<2048x1024xf32>, tensor<2048x1024xf32>, tensor<2048x1024xf32>, tensor<64x32xf32>) {
  %t = bf.aten "aten::t"(%g) : (tensor<3x2048xf32>) -> tensor<2048x3xf32>
  %p = bf.aten "aten::mm"(%t, %x) : (tensor<2048x3xf32>, tensor<3x1024xf32>) -> tensor<2048x1024xf32>
  %s:2 = bf.aten "aten::addmm_"(%p, %t, %x, 1, 1) writes [0] : (tensor<2048x1024xf32>, tensor<2048x3xf32>, tensor<3x1024xf32>) -> (tensor<2048x1024xf32>, tensor<2048x1024xf32>)
  %e = bf.aten "aten::exp"(%p) : (tensor<2048x1024xf32>) -> tensor<2048x1024xf32>
  %q = bf.aten "aten::mm"(%t, %x) : (tensor<2048x3xf32>, tensor<3x1024xf32>) -> tensor<2048x1024xf32>
  %r:2 = bf.aten "aten::addmm_"(%q, %t, %x, 1, 2) writes [0] : (tensor<2048x1024xf32>, tensor<2048x3xf32>, tensor<3x1024xf32>) -> (tensor<2048x1024xf32>, tensor<2048x1024xf32>)
  %u = bf.aten "aten::t"(%h) : (tensor<3x64xf32>) -> tensor<64x3xf32>
  %v = bf.aten "aten::mm"(%u, %y) : (tensor<64x3xf32>, tensor<3x32xf32>) -> tensor<64x32xf32>
  %w:2 = bf.aten "aten::addmm_"(%v, %u, %y, 1, 1) writes [0] : (tensor<64x32xf32>, tensor<64x3xf32>, tensor<3x32xf32>) -> (tensor<64x32xf32>, tensor<64x32xf32>)
  return %s#1, %e, %r#1, %w#1 : tensor<2048x1024xf32>, tensor<2048x1024xf32>, tensor<2048x1024xf32>, tensor<64x32xf32>
}
