// RUN: bf-opt --bf-drop-unread --split-input-file %s | FileCheck %s

// What is returned needs the first product and the write to it, not what is made of %y.
// CHECK-LABEL: func.func @writes
func.func @writes(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-NEXT: %[[MADE:.*]] = bf.aten "aten::mul.Tensor"(%arg0, %arg0)
  // CHECK-NEXT: bf.aten "aten::add_.Tensor"(%[[MADE]], %arg0, 1)
  // CHECK-NEXT: return %[[MADE]]
  %0 = bf.aten "aten::mul.Tensor"(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::relu"(%y) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::add_.Tensor"(%0, %x, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = bf.aten "aten::add_.Tensor"(%1, %x, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// By way of views: of what is written, and of what is read. What is written needs what it is
// written with.
// CHECK-LABEL: func.func @views
func.func @views(%x: tensor<4xf32>) -> tensor<2xf32> {
  // CHECK-NEXT: %[[MADE:.*]] = bf.aten "aten::neg"(%arg0)
  // CHECK-NEXT: %[[READ:.*]] = bf.aten "aten::slice.Tensor"(%[[MADE]], 0, 0, 2, 1)
  // CHECK-NEXT: %[[WRITTEN:.*]] = bf.aten "aten::slice.Tensor"(%[[MADE]], 0, 1, 3, 1)
  // CHECK-NEXT: %[[WITH:.*]] = bf.aten "aten::exp"(%[[WRITTEN]])
  // CHECK-NEXT: bf.aten "aten::copy_"(%[[WRITTEN]], %[[WITH]], false)
  // CHECK-NEXT: return %[[READ]]
  %0 = bf.aten "aten::neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::slice.Tensor"(%0, 0, 0, 2, 1) : (tensor<4xf32>) -> tensor<2xf32>
  %2 = bf.aten "aten::slice.Tensor"(%0, 0, 1, 3, 1) : (tensor<4xf32>) -> tensor<2xf32>
  %3 = bf.aten "aten::exp"(%2) : (tensor<2xf32>) -> tensor<2xf32>
  %4 = bf.aten "aten::copy_"(%2, %3, false) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %1 : tensor<2xf32>
}

// -----

// Inputs that share memory are one tensor here.
// CHECK-LABEL: func.func @aliases
func.func @aliases(%x: tensor<4xf32>, %y: tensor<4xf32> {bf.alias_of = 0 : i64},
                   %z: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-NEXT: bf.aten "aten::add_.Tensor"(%arg1, %arg2, 1)
  // CHECK-NEXT: return %arg0
  %0 = bf.aten "aten::add_.Tensor"(%y, %z, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::add_.Tensor"(%z, %x, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %x : tensor<4xf32>
}

// -----

// A tensor that a branch hands on is one of two, and either may have been written before.
// CHECK-LABEL: func.func @branch
func.func @branch(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: i1, %d: i1) -> tensor<4xf32> {
  // CHECK-NEXT: %[[ONE:.*]] = bf.aten "aten::neg"(%arg0)
  // CHECK-NEXT: %[[OTHER:.*]] = bf.aten "aten::neg"(%arg1)
  // CHECK-NEXT: scf.if %arg3
  // CHECK-NEXT:   bf.aten "aten::add_.Tensor"(%[[OTHER]], %arg0, 1)
  // CHECK-NEXT: }
  // CHECK-NEXT: %[[EITHER:.*]] = scf.if %arg2
  // CHECK: return %[[EITHER]]
  %0 = bf.aten "aten::neg"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::neg"(%b) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = bf.aten "aten::neg"(%b) : (tensor<4xf32>) -> tensor<4xf32>
  scf.if %d {
    %3 = bf.aten "aten::add_.Tensor"(%1, %a, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  }
  scf.if %d {
    %4 = bf.aten "aten::add_.Tensor"(%2, %a, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  }
  %5 = scf.if %c -> (tensor<4xf32>) {
    scf.yield %0 : tensor<4xf32>
  } else {
    scf.yield %1 : tensor<4xf32>
  }
  return %5 : tensor<4xf32>
}

// -----

// Draws, assertions and opaque calls stay, with what they need.
// CHECK-LABEL: func.func @effects
func.func @effects(%x: tensor<4xf32>, %y: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  // CHECK-NEXT: %[[DRAWN:.*]] = bf.aten "aten::neg"(%arg1)
  // CHECK-NEXT: bf.aten "aten::normal_"(%[[DRAWN]]
  // CHECK-NEXT: bf.assert %arg2
  // CHECK-NEXT: return %arg0
  %0 = bf.aten "aten::neg"(%y) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = bf.aten "aten::normal_"(%0, 0.000000e+00, 1.000000e+00, #bf.none)
      : (tensor<4xf32>) -> tensor<4xf32>
  bf.assert %c, "it holds"
  %2 = bf.aten "aten::neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %x : tensor<4xf32>
}
