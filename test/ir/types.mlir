// RUN: bf-opt %s | bf-opt | FileCheck %s

// CHECK-LABEL: func.func @dtypes
// CHECK-SAME: tensor<1xui8>, %{{.*}}: tensor<1xi1>, %{{.*}}: tensor<1xbf16>, %{{.*}}: tensor<1xcomplex<f64>>
func.func @dtypes(%a: tensor<1xui8>, %b: tensor<1xi1>, %c: tensor<1xbf16>, %d: tensor<1xcomplex<f64>>) {
  return
}

// CHECK-LABEL: func.func @worlds
// CHECK-SAME: tensor<?x4x?xf32, #bf.tensor<worlds = {{\[\[}}3, 5], [7, 11]]>>
// CHECK-SAME: tensor<4xf32, #bf.tensor<device = "cuda:0">>
// CHECK-SAME: tensor<?xf32, #bf.tensor<worlds = {{\[\[}}3, 5]], device = "cuda:1">>
func.func @worlds(%a: tensor<?x4x?xf32, #bf.tensor<worlds = [[3, 5], [7, 11]]>>,
                  %b: tensor<4xf32, #bf.tensor<device = "cuda:0">>,
                  %c: tensor<?xf32, #bf.tensor<device = "cuda:1", worlds = [[3, 5]]>>) {
  return
}

// CHECK-LABEL: func.func @arguments
// CHECK-SAME: {bf.name = "model.weight", bf.requires_grad}
func.func @arguments(%w: tensor<4xf32> {bf.name = "model.weight", bf.requires_grad}) {
  return
}
