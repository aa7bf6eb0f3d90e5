// RUN: bf-opt --bf-prune-tapes --split-input-file %s | FileCheck %s

// %0 is there for the second branch as well; %x is pushed twice; nobody uses %y.
// CHECK-LABEL: func.func @f
func.func @f(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  %tape = bf.tape : !bf.tape
  // CHECK: %[[SEEN:.*]] = bf.aten "aten::sin"
  %0 = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  scf.if %c {
    // CHECK: %[[COS:.*]] = bf.aten "aten::cos"
    %1 = bf.aten "aten::cos"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %y = bf.aten "aten::tan"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %five = arith.constant 5 : i64
    // CHECK: bf.push %{{.*}}(%[[COS]]) {bf.site = 3 : i64} : tensor<4xf32>
    bf.push %tape(%1, %0, %y, %1, %five) {bf.site = 3 : i64} : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, i64
  }
  %g = scf.if %c -> (tensor<4xf32>) {
    // CHECK: %[[POPPED:.*]] = bf.pop %{{.*}} {bf.site = 3 : i64} : tensor<4xf32>
    // CHECK-NEXT: %[[FIVE:.*]] = arith.constant 5 : i64
    // CHECK-NEXT: bf.aten "aten::cat"([%[[POPPED]], %[[SEEN]], %[[POPPED]]], 0)
    // CHECK-NEXT: bf.aten "aten::add.Scalar"(%{{.*}}, %[[FIVE]], 1)
    %2:5 = bf.pop %tape {bf.site = 3 : i64} : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, i64
    %3 = bf.aten "aten::cat"([%2#0, %2#1, %2#3], 0) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<12xf32>
    %4 = bf.aten "aten::add.Scalar"(%3, %2#4, 1) : (tensor<12xf32>, i64) -> tensor<12xf32>
    %5 = bf.aten "aten::slice.Tensor"(%4, 0, 0, 4, 1) : (tensor<12xf32>) -> tensor<4xf32>
    scf.yield %5 : tensor<4xf32>
  } else {
    scf.yield %x : tensor<4xf32>
  }
  return %g : tensor<4xf32>
}

// -----

// Two pushes, of which only one is popped: what one of them alone would allow is not done.
// CHECK-LABEL: func.func @two
func.func @two(%x: tensor<4xf32>, %y: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  %tape = bf.tape : !bf.tape
  scf.if %c {
    // CHECK: bf.push %{{.*}}(%arg0)
    bf.push %tape(%x) {bf.site = 1 : i64} : tensor<4xf32>
  } else {
    // CHECK: bf.push %{{.*}}(%arg1)
    bf.push %tape(%y) {bf.site = 1 : i64} : tensor<4xf32>
  }
  %0 = bf.pop %tape {bf.site = 1 : i64} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Nothing is left.
// CHECK-LABEL: func.func @nothing
func.func @nothing(%x: tensor<4xf32>) -> tensor<4xf32> {
  %tape = bf.tape : !bf.tape
  // CHECK-NOT: bf.push
  bf.push %tape(%x) {bf.site = 1 : i64} : tensor<4xf32>
  // CHECK-NOT: bf.pop
  %0 = bf.pop %tape {bf.site = 1 : i64} : tensor<4xf32>
  // CHECK: return %arg0
  return %0 : tensor<4xf32>
}
