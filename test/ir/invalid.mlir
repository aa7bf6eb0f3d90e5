// Each rule of each verifier, broken once.
// RUN: bf-opt --split-input-file --verify-diagnostics %s

func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{has 2 arguments, its schema 3}}
  %0 = bf.aten "aten::add.Tensor"(%a, %a) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{has 2 results of its own, its schema 1}}
  %0:2 = bf.aten "aten::relu"(%a) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}
// -----
func.func @f(%a: tuple<f64>) {
  // expected-error@+1 {{argument 'self' of type Tensor takes a tensor}}
  %0 = bf.aten "aten::relu"(%a) : (tuple<f64>) -> tensor<4xf32>
  return
}
// -----
func.func @f() {
  // expected-error@+1 {{argument 'self' of type Tensor takes a tensor}}
  %0 = bf.aten "aten::relu"("one") : () -> tensor<4xf32>
  return
}
// -----
func.func @f() {
  // expected-error@+1 {{argument 'self' of type Tensor cannot be none}}
  %0 = bf.aten "aten::relu"(none) : () -> tensor<4xf32>
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{argument 'self' of type Tensor takes no list}}
  %0 = bf.aten "aten::relu"([%a]) : (tensor<4xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{argument 'tensors' of type Tensor[] takes a list of tensors}}
  %0 = bf.aten "aten::cat"([1, %a], 0) : (tensor<4xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{writes operand 2 of 2}}
  %0:2 = bf.aten "aten::add_.Tensor"(%a, %a, 1) writes [2] : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}
// -----
func.func @f(%a: tensor<4xf32>, %s: f64) {
  // expected-error@+1 {{writes operand 1, which is not a tensor}}
  %0:2 = bf.aten "aten::add_.Scalar"(%a, %s, 1) writes [1] : (tensor<4xf32>, f64) -> (tensor<4xf32>, tensor<4xf32>)
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{writes 1 operands and has 0 results}}
  bf.aten "aten::add_.Tensor"(%a, %a, 1) writes [0] : (tensor<4xf32>, tensor<4xf32>) -> ()
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{has 1 operands, its arguments name 0}}
  "bf.aten"(%a) {schema = "aten::thing", args = []} : (tensor<4xf32>) -> ()
  return
}
// -----
func.func @f() {
  // expected-error@+1 {{has an attribute that is no argument of an ATen call}}
  "bf.aten"() {schema = "aten::thing", args = [1 : i32]} : () -> ()
  return
}
// -----
func.func @f() {
  // expected-error@+1 {{lists are nested too deeply}}
  bf.aten "aten::thing"([[[[[[[[[[1]]]]]]]]]]) : () -> ()
  return
}
// -----
func.func @f() {
  // expected-error@+1 {{expected an operand, a constant or a list}}
  bf.aten "aten::thing"(nothing) : () -> ()
  return
}
// -----
// expected-error@+1 {{the shape has 1 dynamic dimensions and worlds 2 pairs}}
func.func private @f(tensor<?xf32, #bf.tensor<worlds = [[3, 5], [3, 5]]>>)
// -----
// expected-error@+1 {{a dynamic dimension has different sizes in the two worlds, not 3 in both}}
func.func private @f(tensor<?xf32, #bf.tensor<worlds = [[3, 3]]>>)
// -----
// expected-error@+1 {{expected 'worlds' or 'device'}}
func.func private @f(tensor<4xf32, #bf.tensor<layout = 1>>)
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{dimension 1 of a tensor of rank 1}}
  %0 = bf.dim %a, 1 : tensor<4xf32> -> i64
  return
}
// -----
func.func @f(%k: i64) {
  // expected-error@+1 {{has one size in each of the two worlds, and they differ}}
  %0 = bf.size %k in [7, 7]
  return
}
// -----
func.func @f(%a: tensor<4xf32>, %b: tensor<4xi64>) {
  // expected-error@+1 {{stores 'i64' elements into a tensor of 'f32'}}
  bf.store %b to %a : tensor<4xi64> to tensor<4xf32>
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  %0 = bf.aten "aten::relu"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error@+1 {{the target is not a tensor that came in}}
  bf.store %a to %0 : tensor<4xf32> to tensor<4xf32>
  return
}
// -----
func.func @f(%a: tensor<f32>) {
  // expected-error@+1 {{has nothing to differentiate}}
  %0 = bf.grad outputs() seeds() wrt(%a) : (), (), (tensor<f32>) -> (tensor<f32>)
  return
}
// -----
func.func @f(%a: tensor<f32>) {
  // expected-error@+1 {{has 1 seeds for 2 outputs}}
  %0 = bf.grad outputs(%a, %a) seeds(%a) wrt(%a) : (tensor<f32>, tensor<f32>), (tensor<f32>), (tensor<f32>) -> (tensor<f32>)
  return
}
// -----
func.func @f(%a: tensor<f32>, %b: tensor<4xf32>) {
  // expected-error@+1 {{a seed of type 'tensor<4xf32>' for an output of type 'tensor<f32>'}}
  %0 = bf.grad outputs(%a) seeds(%b) wrt(%a) : (tensor<f32>), (tensor<4xf32>), (tensor<f32>) -> (tensor<f32>)
  return
}
// -----
func.func @f(%a: tensor<f32>) {
  // expected-error@+1 {{has 2 results for 1 inputs}}
  %0:2 = bf.grad outputs(%a) seeds() wrt(%a) : (tensor<f32>), (), (tensor<f32>) -> (tensor<f32>, tensor<f32>)
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{the body has 0 arguments for 1 operands}}
  %0 = bf.pointwise(%a) : (tensor<4xf32>) -> tensor<4xf32> {
    %c = arith.constant 0.0 : f32
    bf.yield %c : f32
  }
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{the body takes 'f64' for an operand of type 'tensor<4xf32>'}}
  %0 = bf.pointwise(%a) : (tensor<4xf32>) -> tensor<4xf64> {
  ^bb0(%x: f64):
    bf.yield %x : f64
  }
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{the body yields 'f32' for a result of type 'tensor<4xf64>'}}
  %0 = bf.pointwise(%a) : (tensor<4xf32>) -> tensor<4xf64> {
  ^bb0(%x: f32):
    bf.yield %x : f32
  }
  return
}
// -----
func.func @f(%a: tensor<3xf32>) {
  // expected-error@+1 {{an operand of type 'tensor<3xf32>' does not broadcast to 'tensor<4xf32>'}}
  %0 = bf.pointwise(%a) : (tensor<3xf32>) -> tensor<4xf32> {
  ^bb0(%x: f32):
    bf.yield %x : f32
  }
  return
}
// -----
func.func @f(%a: tensor<1x4xf32>) {
  // expected-error@+1 {{an operand of higher rank than the results}}
  %0 = bf.pointwise(%a) : (tensor<1x4xf32>) -> tensor<4xf32> {
  ^bb0(%x: f32):
    bf.yield %x : f32
  }
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{results have different shapes}}
  %0:2 = bf.pointwise(%a) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<2x4xf32>) {
  ^bb0(%x: f32):
    bf.yield %x, %x : f32, f32
  }
  return
}
// -----
func.func @f(%a: tensor<4xcomplex<f32>>) {
  // expected-error@+1 {{complex elements are not pointwise groups' business}}
  %0 = bf.pointwise(%a) : (tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>> {
  ^bb0(%x: complex<f32>):
    bf.yield %x : complex<f32>
  }
  return
}
// -----
func.func @f(%a: none) {
  // expected-error@+1 {{an operand of type 'none'}}
  %0 = bf.pointwise(%a) : (none) -> tensor<4xf32> {
  ^bb0(%x: none):
    %c = arith.constant 0.0 : f32
    bf.yield %c : f32
  }
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{the body must yield 1 values}}
  %0 = bf.pointwise(%a) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%x: f32):
    bf.yield
  }
  return
}
// -----
func.func @f(%a: tensor<4xf32>) {
  // expected-error@+1 {{has no result}}
  bf.pointwise(%a) : (tensor<4xf32>) -> () {
  ^bb0(%x: f32):
    bf.yield
  }
  return
}
// -----
func.func @f(%a: tensor<4xi1>) {
  // expected-error@+1 {{the body holds 'bf.assert', which is not a plain scalar op}}
  %0 = bf.pointwise(%a) : (tensor<4xi1>) -> tensor<4xi1> {
  ^bb0(%x: i1):
    bf.assert %x, "no"
    bf.yield %x : i1
  }
  return
}
// -----
func.func @f(%a: tensor<4xi3>) {
  // expected-error@+1 {{has a value of type 'tensor<4xi3>': an element type that tensors do not have}}
  %0 = bf.aten "aten::relu"(%a) : (tensor<4xi3>) -> tensor<4xi3>
  return
}
// -----
func.func @f(%a: tensor<*xf32>) {
  // expected-error@+1 {{has a value of type 'tensor<*xf32>': a type that graph values do not have}}
  %0 = bf.aten "aten::relu"(%a) : (tensor<*xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @f() {
  // expected-error@+1 {{tensors have no elements of type 'i3'}}
  %0 = bf.pointwise() : () -> tensor<4xi3> {
    %c = arith.constant 0 : i3
    bf.yield %c : i3
  }
  return
}

// -----

func.func @unbox(%object: !bf.object) {
  // expected-error @+1 {{an object is not unboxed as 'f32'}}
  %0 = bf.unbox %object : f32
  return
}

// -----

func.func @unbox_of_no_size(%object: !bf.object) {
  // expected-error @+1 {{has 0 sizes for 1 dynamic dimensions}}
  %0 = bf.unbox %object : tensor<?x2xf32>
  return
}

// -----

func.func @pycall(%object: !bf.object, %n: i64) {
  // expected-error @+1 {{has 2 keywords for 1 operands}}
  %0 = bf.pycall "f" %object(%n) keywords ["a", "b"] : (i64)
  return
}

// -----

func.func @pycall(%object: !bf.object, %n: i32) {
  // expected-error @+1 {{hands 'i32' to Python}}
  %0 = bf.pycall "f" %object(%n) : (i32)
  return
}
