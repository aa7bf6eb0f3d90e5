// RUN: bf-opt --bf-sum-products %s | FileCheck %s

// CHECK-LABEL: func.func @chain
func.func @chain(%g: tensor<8x5xf32>, %x: tensor<5x6xf32>) -> tensor<8x6xf32> {
  // CHECK-NEXT: %[[FIRST:.*]] = bf.aten "aten::mm"(%arg0, %arg1)
  // CHECK-NEXT: %[[SECOND:.*]]:2 = bf.aten "aten::addmm_"(%[[FIRST]], %arg0, %arg1, 1, 1) writes [0]
  // CHECK-NEXT: %[[THIRD:.*]]:2 = bf.aten "aten::addmm_"(%[[SECOND]]#1, %arg0, %arg1, 1, 1) writes [0]
  // CHECK-NEXT: return %[[THIRD]]#1
  %0 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %1 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %2 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %3 = bf.aten "aten::add.Tensor"(%0, %1, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %4 = bf.aten "aten::add.Tensor"(%2, %3, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  return %4 : tensor<8x6xf32>
}

// What is read elsewhere too, an input, a sum that counts twice and one that is broadcast stay.
// CHECK-LABEL: func.func @stay
// CHECK-NOT: addmm_
func.func @stay(%g: tensor<8x5xf32>, %x: tensor<5x6xf32>, %y: tensor<8x6xf32>, %row: tensor<6xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>) {
  %0 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %1 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %2 = bf.aten "aten::add.Tensor"(%0, %1, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %3 = bf.aten "aten::mul.Tensor"(%0, %1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %4 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %5 = bf.aten "aten::add.Tensor"(%y, %4, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %6 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %7 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %8 = bf.aten "aten::add.Tensor"(%6, %7, 2) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %9 = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
  %10 = bf.aten "aten::add.Tensor"(%row, %9, 1) : (tensor<6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  return %2, %3, %5, %8, %10 : tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>
}

// CHECK-LABEL: func.func @loop
func.func @loop(%g: tensor<8x5xf32>, %x: tensor<5x6xf32>, %zero: tensor<8x6xf32>) -> tensor<8x6xf32> {
  %start = bf.aten "aten::zeros"([8, 6], 6, none, none, none) : () -> tensor<8x6xf32>
  %zeroth = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %last = arith.constant 7 : i64
  // CHECK: ^bb0(%{{.*}}: i64, %[[SUM:.*]]: tensor<8x6xf32>):
  // CHECK: %[[NEXT:.*]]:2 = bf.aten "aten::addmm_"(%[[SUM]], %arg0, %arg1, 1, 1) writes [0]
  // CHECK: scf.yield %{{.*}}, %[[NEXT]]#1
  %end:2 = scf.while (%n = %zeroth, %sum = %start) : (i64, tensor<8x6xf32>) -> (i64, tensor<8x6xf32>) {
    %goes = arith.cmpi slt, %n, %last : i64
    scf.condition(%goes) %n, %sum : i64, tensor<8x6xf32>
  } do {
  ^bb0(%n: i64, %sum: tensor<8x6xf32>):
    %p = bf.aten "aten::mm"(%g, %x) : (tensor<8x5xf32>, tensor<5x6xf32>) -> tensor<8x6xf32>
    %next = bf.aten "aten::add.Tensor"(%sum, %p, 1) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
    %more = arith.addi %n, %one : i64
    scf.yield %more, %next : i64, tensor<8x6xf32>
  }
  return %end#1 : tensor<8x6xf32>
}
