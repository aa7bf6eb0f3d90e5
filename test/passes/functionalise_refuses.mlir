// What cannot be made values of is refused with a reason.
// RUN: bf-opt --split-input-file --verify-diagnostics --bf-functionalise %s

func.func @aliased(%x: tensor<4xf32>, %y: tensor<4xf32> {bf.alias_of = 0 : i64}) {
  // expected-error@+1 {{writes input 0, which shares memory with another input}}
  %0 = bf.aten "aten::relu_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @aliased_view(%x: tensor<4xf32>, %y: tensor<4xf32> {bf.alias_of = 0 : i64}) {
  %v = bf.aten "aten::view"(%y, [2, 2]) : (tensor<4xf32>) -> tensor<2x2xf32>
  // expected-error@+1 {{writes input 1, which shares memory with another input}}
  %0 = bf.aten "aten::relu_"(%v) : (tensor<2x2xf32>) -> tensor<2x2xf32>
  return
}
// -----
// Reading inputs that share memory is no matter.
func.func @aliased_but_read(%x: tensor<4xf32>, %y: tensor<4xf32> {bf.alias_of = 0 : i64}, %z: tensor<4xf32>) {
  %0 = bf.aten "aten::add_.Tensor"(%z, %y, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @unknown_view(%x: tensor<8xf32>) {
  %v = bf.aten "aten::unfold"(%x, 0, 4, 2) : (tensor<8xf32>) -> tensor<3x4xf32>
  // expected-error@+1 {{writes through 'aten::unfold', a view that cannot be undone}}
  %0 = bf.aten "aten::relu_"(%v) : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}
// -----
func.func @permuted_out_of_range(%x: tensor<2x3x4xf32>) {
  %p = bf.aten "aten::permute"(%x, [64, 0, -2]) : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  // expected-error@+1 {{writes through 'aten::permute', a view that cannot be undone}}
  %0 = bf.aten "aten::neg_"(%p) : (tensor<4x2x3xf32>) -> tensor<4x2x3xf32>
  return
}
// -----
func.func @permuted_twice(%x: tensor<2x2x4xf32>) {
  %p = bf.aten "aten::permute"(%x, [0, 0, -1]) : (tensor<2x2x4xf32>) -> tensor<2x2x4xf32>
  // expected-error@+1 {{writes through 'aten::permute', a view that cannot be undone}}
  %0 = bf.aten "aten::neg_"(%p) : (tensor<2x2x4xf32>) -> tensor<2x2x4xf32>
  return
}
// -----
func.func @split_out_of_range(%x: tensor<2x4xf32>) {
  %s:2 = bf.aten "aten::split.Tensor"(%x, 2, 7) : (tensor<2x4xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>)
  // expected-error@+1 {{writes through 'aten::split.Tensor', a view that cannot be undone}}
  %0 = bf.aten "aten::neg_"(%s#1) : (tensor<2x2xf32>) -> tensor<2x2xf32>
  return
}
// -----
func.func @split_of_another_rank(%x: tensor<2x4xf32>) {
  %s:2 = bf.aten "aten::split.Tensor"(%x, 2, 1) : (tensor<2x4xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  // expected-error@+1 {{writes through 'aten::split.Tensor', a view that cannot be undone}}
  %0 = bf.aten "aten::neg_"(%s#1) : (tensor<2xf32>) -> tensor<2xf32>
  return
}
// -----
func.func @resized(%x: tensor<8xf32>) {
  // expected-error@+1 {{changes the shape or the memory of a tensor in place}}
  %0 = bf.aten "aten::resize_"(%x, [4], none) : (tensor<8xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @transposed(%x: tensor<2x4xf32>) {
  // expected-error@+1 {{changes the shape or the memory of a tensor in place}}
  %0 = bf.aten "aten::t_"(%x) : (tensor<2x4xf32>) -> tensor<4x2xf32>
  return
}
// -----
// expected-error@+1 {{a function of several blocks is not functionalised}}
func.func @branch(%x: tensor<4xf32>) {
  func.return
^bb1:
  func.return
}
// -----
// Which of two tensors is written depends on the path: neither may be read behind.
func.func @one_of_two(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  %a = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %b = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %r = scf.if %c -> (tensor<4xf32>) {
    scf.yield %a : tensor<4xf32>
  } else {
    scf.yield %b : tensor<4xf32>
  }
  // expected-note@+1 {{which of two tensors this writes depends on the path taken}}
  %0 = bf.aten "aten::relu_"(%r) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error@+1 {{reads a tensor that may have been written as another}}
  %1 = bf.aten "aten::neg"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
// -----
func.func @input_or_not(%x: tensor<4xf32>, %c: i1) {
  %r = scf.if %c -> (tensor<4xf32>) {
    %a = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %a : tensor<4xf32>
  } else {
    scf.yield %x : tensor<4xf32>
  }
  // expected-error@+1 {{writes a tensor that is input 0 on one path and another on others}}
  %0 = bf.aten "aten::relu_"(%r) : (tensor<4xf32>) -> tensor<4xf32>
  return
}
// -----
// What the iteration before wrote may be what was chosen ahead of the loop.
func.func @chosen_before(%x: tensor<4xf32>, %c: i1, %n: i64) -> tensor<4xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %a = bf.aten "aten::exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %b = bf.aten "aten::sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %r = scf.if %c -> (tensor<4xf32>) {
    scf.yield %a : tensor<4xf32>
  } else {
    scf.yield %b : tensor<4xf32>
  }
  %l = scf.while (%i = %zero) : (i64) -> i64 {
    %less = arith.cmpi slt, %i, %n : i64
    scf.condition(%less) %i : i64
  } do {
  ^bb0(%i: i64):
    // expected-error@+1 {{reads a tensor that may have been written as another}}
    %0 = bf.aten "aten::neg"(%r) : (tensor<4xf32>) -> tensor<4xf32>
    // expected-note@+1 {{which of two tensors this writes depends on the path taken}}
    %1 = bf.aten "aten::relu_"(%a) : (tensor<4xf32>) -> tensor<4xf32>
    %next = arith.addi %i, %one : i64
    scf.yield %next : i64
  }
  return %a : tensor<4xf32>
}
// -----
// A function is made for arguments that lie apart.
func.func @overlaps(%x: tensor<4xf32>) {
  %v = bf.aten "aten::detach"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error@+1 {{the function that is called writes its argument 0, which may share memory with its argument 1}}
  func.call @adds(%x, %v) : (tensor<4xf32>, tensor<4xf32>) -> ()
  return
}
func.func private @adds(%a: tensor<4xf32>, %b: tensor<4xf32>) {
  %0 = bf.aten "aten::add_.Tensor"(%a, %b, 1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}
// -----
func.func @attribute(%x: tensor<4xf32>, %c: i1) {
  scf.if %c {
    // expected-error@+1 {{an attribute is assigned in a branch, a loop or a function}}
    bf.store_attr %x, "grad" : tensor<4xf32>
  }
  return
}
// -----
func.func @assigned_view(%x: tensor<4xf32>, %p: tensor<4xf32>) {
  %v = bf.aten "aten::detach"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error@+1 {{a view of a tensor from outside that is written is assigned}}
  bf.store_attr %p, "grad", %v : tensor<4xf32>, tensor<4xf32>
  %0 = bf.aten "aten::relu_"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return
}
