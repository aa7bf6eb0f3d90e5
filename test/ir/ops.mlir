// RUN: bf-opt %s | bf-opt | FileCheck %s

// CHECK-LABEL: func.func @state
func.func @state(%t: tensor<4xf32>, %v: tensor<4xf32>, %ok: i1) {
  // CHECK: bf.assert %{{.*}}, "the sizes are those seen"
  bf.assert %ok, "the sizes are those seen"
  // CHECK: bf.store %{{.*}} to %{{.*}} : tensor<4xf32> to tensor<4xf32>
  bf.store %v to %t : tensor<4xf32> to tensor<4xf32>
  // CHECK: bf.store_attr %{{.*}}, "grad", %{{.*}} : tensor<4xf32>, tensor<4xf32>
  bf.store_attr %t, "grad", %v : tensor<4xf32>, tensor<4xf32>
  // CHECK: bf.store_attr %{{.*}}, "grad" : tensor<4xf32>
  bf.store_attr %t, "grad" : tensor<4xf32>
  // CHECK: bf.load_attr %{{.*}}, "grad" : tensor<4xf32> -> tensor<4xf32>
  %g = bf.load_attr %t, "grad" : tensor<4xf32> -> tensor<4xf32>
  // CHECK: bf.print "done: {}", %{{.*}} : i1
  bf.print "done: {}", %ok : i1
  // CHECK: bf.print "hello"
  bf.print "hello"
  return
}

// CHECK-LABEL: func.func @sizes
func.func @sizes(%x: tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>>) -> i64 {
  // CHECK: bf.dim %{{.*}}, 0 : tensor<?x4xf32, #bf.tensor<worlds = {{.*}}>> -> i64
  %n = bf.dim %x, 0 : tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]]>> -> i64
  return %n : i64
}

// CHECK-LABEL: func.func @size_by_values
func.func @size_by_values(%k: i64) -> i64 {
  // CHECK: bf.size %{{.*}} in [2400, 7200]
  %n = bf.size %k in [2400, 7200]
  return %n : i64
}

// CHECK-LABEL: func.func @gradients
func.func @gradients(%l: tensor<f32>, %s: tensor<f32>, %w: tensor<4xf32>) {
  // CHECK: bf.grad outputs(%{{.*}}) seeds() wrt(%{{.*}}) {create_graph} : (tensor<f32>), (), (tensor<4xf32>) -> (tensor<4xf32>)
  %0 = bf.grad outputs(%l) seeds() wrt(%w) {create_graph} : (tensor<f32>), (), (tensor<4xf32>) -> (tensor<4xf32>)
  // CHECK: bf.grad outputs(%{{.*}}) seeds(%{{.*}}) wrt(%{{.*}}, %{{.*}}) :
  %1:2 = bf.grad outputs(%l) seeds(%s) wrt(%w, %w) : (tensor<f32>), (tensor<f32>), (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}

// CHECK-LABEL: func.func @pointwise
func.func @pointwise(%a: tensor<4x2xf32>, %b: tensor<2xui8>, %k: f64) {
  // CHECK: %{{.*}}:2 = bf.pointwise(%{{.*}}, %{{.*}}, %{{.*}}) : (tensor<4x2xf32>, tensor<2xui8>, f64) -> (tensor<4x2xf32>, tensor<4x2xui8>) {
  // CHECK-NEXT: ^bb0(%{{.*}}: f32, %[[B:.*]]: i8, %{{.*}}: f64):
  // CHECK: bf.yield %{{.*}}, %[[B]] : f32, i8
  %0:2 = bf.pointwise(%a, %b, %k) : (tensor<4x2xf32>, tensor<2xui8>, f64) -> (tensor<4x2xf32>, tensor<4x2xui8>) {
  ^bb0(%x: f32, %y: i8, %s: f64):
    %1 = arith.truncf %s : f64 to f32
    %2 = arith.addf %x, %1 : f32
    bf.yield %2, %y : f32, i8
  }
  // CHECK: bf.pointwise() : () -> tensor<3xi1>
  %z = bf.pointwise() : () -> tensor<3xi1> {
    %t = arith.constant true
    bf.yield %t : i1
  }
  return
}

// CHECK-LABEL: func.func @tapes
func.func @tapes(%x: tensor<4xf32>, %n: i64) {
  // CHECK: %[[TAPE:.*]] = bf.tape : !bf.tape
  %t = bf.tape : !bf.tape
  // CHECK: bf.push %[[TAPE]](%arg0, %arg1) {bf.site = 2 : i64} : tensor<4xf32>, i64
  bf.push %t(%x, %n) {bf.site = 2 : i64} : tensor<4xf32>, i64
  // CHECK: %{{.*}}:2 = bf.pop %[[TAPE]] {bf.site = 2 : i64} : tensor<4xf32>, i64
  %0:2 = bf.pop %t {bf.site = 2 : i64} : tensor<4xf32>, i64
  return
}
