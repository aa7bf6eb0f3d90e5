// RUN: bf-opt %s | bf-opt | FileCheck %s
// RUN: bf-opt %s -canonicalize -cse | FileCheck %s --check-prefix=STAYS

// CHECK-LABEL: func.func @tree
// STAYS-LABEL: func.func @tree
func.func @tree(%node: !bf.object, %class: !bf.object, %none: !bf.object, %method: !bf.object) -> (i1, tensor<3xf32>, i64, f64) {
  // CHECK: %[[LEFT:.*]] = bf.read_attr %{{.*}}, "left" of %{{.*}}
  // STAYS: bf.read_attr {{.*}}"left"
  %left = bf.read_attr %node, "left" of %class
  // Also where nobody wants it: there may be no such attribute.
  // CHECK: bf.read_attr %{{.*}}, "right" of %{{.*}}
  // STAYS: bf.read_attr {{.*}}"right"
  %right = bf.read_attr %node, "right" of %class
  // CHECK: bf.is_same %[[LEFT]], %{{.*}}
  %leaf = bf.is_same %left, %none
  // CHECK: bf.is_class %[[LEFT]], %{{.*}}
  %is = bf.is_class %left, %class
  bf.assert %is, "an object is of another class"
  // CHECK: bf.is_method %{{.*}}, "walk" of %{{.*}}, %{{.*}}
  %has = bf.is_method %node, "walk" of %class, %method
  bf.assert %has, "an object has another method"
  %items = bf.read_attr %node, "children" of %class
  // CHECK: %[[LENGTH:.*]] = bf.length %{{.*}}
  %length = bf.length %items
  // CHECK: bf.read_item %{{.*}}, %[[LENGTH]]
  %item = bf.read_item %items, %length : i64
  // CHECK: bf.is_equal %{{.*}}, %{{.*}}
  %equal = bf.is_equal %item, %none
  %both = arith.andi %leaf, %equal : i1
  %value = bf.read_attr %node, "value" of %class
  // CHECK: bf.unbox %{{.*}} : tensor<3xf32>
  %tensor = bf.unbox %value : tensor<3xf32>
  // CHECK: bf.unbox %{{.*}} : f64
  %weight = bf.unbox %item : f64
  // STAYS: bf.pycall "draw"
  // CHECK: bf.pycall "draw" %{{.*}}(%{{.*}}) : (!bf.object)
  %drawn = bf.pycall "draw" %method(%node) : (!bf.object)
  // CHECK: bf.pycall "draw" %{{.*}}(%{{.*}}, %{{.*}}) keywords ["size"] : (!bf.object, i64)
  %more = bf.pycall "draw" %method(%drawn, %length) keywords ["size"] : (!bf.object, i64)
  return %both, %tensor, %length, %weight : i1, tensor<3xf32>, i64, f64
}

// CHECK-LABEL: func.func @table
// STAYS-LABEL: func.func @table
func.func @table(%dict: !bf.object, %key: i64) -> tensor<?x3xf32> {
  // Also where nobody wants it: the dict may be none whose keys can be compared.
  // CHECK: bf.has_item %{{.*}}, %{{.*}}
  // STAYS: bf.has_item
  %has = bf.has_item %dict, %key : i64
  %item = bf.read_item %dict, %key : i64
  // CHECK: bf.unbox %{{.*}} sizes(%{{.*}}) : tensor<?x3xf32>
  %tensor = bf.unbox %item sizes(%key) : tensor<?x3xf32>
  return %tensor : tensor<?x3xf32>
}
