// The dialect `bf`: what a training step does that upstream dialects do not say.
#ifndef BIFRONT_IR_BF_OPS_TD
#define BIFRONT_IR_BF_OPS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/TensorEncoding.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Bf_Dialect : Dialect {
  let name = "bf";
  let cppNamespace = "::bifront::bf";
  let summary = "PyTorch programs as graphs";
  let description = [{
    Tensors are builtin ranked tensors; `uint8` is `ui8`, `bool` is `i1`, the other integers are
    signless. Python's numbers are `i64`, `f64`, `i1` and `complex<f64>`, computed by `arith` and `math`.
    A tensor that PyTorch leaves undefined has the type `none`.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

//===- Attributes ---------------------------------------------------------------------------------===//

class Bf_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Bf_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def Bf_TensorEncodingAttr : Bf_Attr<"TensorEncoding", "tensor",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "what a tensor's type says beyond shape and element type";
  let description = [{
    `worlds` holds, for each `?` of the shape, its sizes in the two worlds in which shapes were inferred;
    dimensions with the same pair are taken to be equal, which the graph checks when it runs. `device` is
    left out for the CPU.

    ```mlir
    tensor<?x4xf32, #bf.tensor<worlds = [[3, 5]], device = "cuda:0">>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"int64_t", "two sizes for each dynamic dimension">:$worlds,
                        StringRefParameter<"empty for the CPU">:$device);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Bf_NoneAttr : Bf_Attr<"None", "none"> {
  let summary = "the argument None of an ATen call";
}

def Bf_ComplexAttr : Bf_Attr<"Complex", "complex"> {
  let summary = "a complex constant of an ATen call";
  let parameters = (ins "::mlir::FloatAttr":$real, "::mlir::FloatAttr":$imag);
  let assemblyFormat = "`<` $real `,` $imag `>`";
}

//===- Ops ----------------------------------------------------------------------------------------===//

class Bf_Op<string mnemonic, list<Trait> traits = []> : Op<Bf_Dialect, mnemonic, traits>;

def Bf_AtenOp : Bf_Op<"aten", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "a call of an ATen operator";
  let description = [{
    All arguments of the schema occur, in its order; constants are written in place. A returned list is
    spread over as many results. With `writes`, the call is functional: it works on copies of the operands
    with these numbers, and their new contents are results behind its own. `no_grad`: grad mode was off.

    ```mlir
    %0 = bf.aten "aten::add.Tensor"(%a, %b, 1)
        : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %1:2 = bf.aten "aten::add_.Tensor"(%a, %b, 1) writes [0]
        : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
    %2 = bf.aten "aten::index.Tensor"(%a, [none, %i]) {no_grad}
        : (tensor<4x4xf32>, tensor<2xi64>) -> tensor<4x2xf32>
    ```
  }];
  let arguments = (ins StrAttr:$schema, ArrayAttr:$args, OptionalAttr<DenseI32ArrayAttr>:$written,
                       UnitAttr:$no_grad, Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyType>:$outputs);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// "aten::add.Tensor" of "aten::add.Tensor"; the base name is "aten::add".
    ::llvm::StringRef getBaseName() { return getSchema().split('.').first; }
    ::llvm::ArrayRef<int32_t> getWrittenOperands() {
      return getWritten() ? *getWritten() : ::llvm::ArrayRef<int32_t>();
    }
    /// Results of the call itself; the new contents of written operands come after.
    unsigned getNumOwnResults() { return getNumResults() - getWrittenOperands().size(); }
  }];
}

def Bf_DimOp : Bf_Op<"dim", [Pure]> {
  let summary = "the size of a dimension";
  let arguments = (ins AnyRankedTensor:$tensor, I64Attr:$index);
  let results = (outs I64:$size);
  let assemblyFormat = "$tensor `,` $index attr-dict `:` type($tensor) `->` type($size)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Bf_SizeOp : Bf_Op<"size", [Pure]> {
  let summary = "an int, as the size of something";
  let description = [{
    The int itself. `worlds` are the sizes that stand for it in the two worlds in which shapes were inferred:
    dimensions that have this size have this pair in their types.

    ```mlir
    %n = bf.size %number in [4807920, 9612240]
    %0 = bf.aten "aten::zeros"([%n], 6, none, none, none) : (i64)
        -> tensor<?xf32, #bf.tensor<worlds = [[4807920, 9612240]]>>
    ```
  }];
  let arguments = (ins I64:$number, DenseI64ArrayAttr:$worlds);
  let results = (outs I64:$size);
  let assemblyFormat = "$number `in` $worlds attr-dict";
  let hasVerifier = 1;
}

def Bf_AssertOp : Bf_Op<"assert", [MemoryEffects<[MemWrite]>]> {
  let summary = "the graph is valid only where the condition holds";
  let description = [{ Where it does not, nothing of the graph has happened and CPython runs instead. }];
  let arguments = (ins I1:$condition, StrAttr:$message);
  let assemblyFormat = "$condition `,` $message attr-dict";
  let hasCanonicalizeMethod = 1;
}

def Bf_DecideOp : Bf_Op<"decide", [MemoryEffects<[MemWrite]>]> {
  let summary = "what follows is one path of a function: that on which the value is this one";
  let description = [{
    Capture leaves it where Python had to know a bool or an int of the graph. It is gone when the
    paths of a function have become one (`merge_paths.h`), before any pass runs.
  }];
  let arguments = (ins AnyTypeOf<[I1, I64]>:$value, I64Attr:$outcome);
  let assemblyFormat = "$value `is` $outcome attr-dict `:` type($value)";
}

def Bf_StoreOp : Bf_Op<"store", [MemoryEffects<[MemWrite]>]> {
  let summary = "sets the contents of a tensor that came in";
  let arguments = (ins AnyRankedTensor:$value, AnyRankedTensor:$target);
  let assemblyFormat = "$value `to` $target attr-dict `:` type($value) `to` type($target)";
  let hasVerifier = 1;
}

def Bf_StoreAttrOp : Bf_Op<"store_attr", [MemoryEffects<[MemWrite]>]> {
  let summary = "sets or clears an attribute of a Python tensor object that came in";
  let arguments = (ins AnyRankedTensor:$target, StrAttr:$name, Optional<AnyType>:$value);
  let assemblyFormat = [{
    $target `,` $name (`,` $value^)? attr-dict `:` type($target) (`,` type($value)^)?
  }];
}

def Bf_LoadAttrOp : Bf_Op<"load_attr", [MemoryEffects<[MemRead]>]> {
  let summary = "an attribute of a Python tensor object that came in";
  let arguments = (ins AnyRankedTensor:$target, StrAttr:$name);
  let results = (outs AnyType:$value);
  let assemblyFormat = "$target `,` $name attr-dict `:` type($target) `->` type($value)";
}

def Bf_PrintOp : Bf_Op<"print", [MemoryEffects<[MemWrite]>]> {
  let summary = "prints at commit; each {} of the format takes a value";
  let arguments = (ins StrAttr:$format, Variadic<AnyType>:$inputs);
  let assemblyFormat = "$format (`,` $inputs^ `:` type($inputs))? attr-dict";
}

def Bf_GradOp : Bf_Op<"grad", [Pure, AttrSizedOperandSegments]> {
  let summary = "gradients, which the autodiff pass expands";
  let description = [{
    Result i is the gradient of sum_k <outputs[k], seeds[k]> with respect to wrt[i]; without seeds they
    are ones. With `create_graph` the result can be differentiated again.

    ```mlir
    %g:2 = bf.grad outputs(%loss) seeds() wrt(%w, %b) {create_graph}
        : (tensor<f32>), (), (tensor<4x4xf32>, tensor<4xf32>)
        -> (tensor<4x4xf32>, tensor<4xf32>)
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$outputs, Variadic<AnyRankedTensor>:$seeds,
                       Variadic<AnyRankedTensor>:$wrt, UnitAttr:$create_graph);
  let results = (outs Variadic<AnyRankedTensor>:$gradients);
  let assemblyFormat = [{
    `outputs` `(` $outputs `)` `seeds` `(` $seeds `)` `wrt` `(` $wrt `)` attr-dict `:`
    custom<TypeGroup>(type($outputs)) `,` custom<TypeGroup>(type($seeds)) `,`
    custom<TypeGroup>(type($wrt)) `->` custom<TypeGroup>(type($gradients))
  }];
  let hasVerifier = 1;
}

def Bf_ReachedOp : Bf_Op<"reached", [Pure, AttrSizedOperandSegments]> {
  let summary = "which gradients a backward pass of this run comes to";
  let description = [{
    Result i says whether the history of an output leads to wrt[i] in this run of the graph. Autograd
    leaves `.grad` of the others alone, where `bf.grad` has zeros for them.

    ```mlir
    %r = bf.reached outputs(%loss) wrt(%w) : (tensor<f32>), (tensor<4x4xf32>) -> (i1)
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$outputs, Variadic<AnyRankedTensor>:$wrt);
  let results = (outs Variadic<I1>:$reached);
  let assemblyFormat = [{
    `outputs` `(` $outputs `)` `wrt` `(` $wrt `)` attr-dict `:` custom<TypeGroup>(type($outputs)) `,`
    custom<TypeGroup>(type($wrt)) `->` custom<TypeGroup>(type($reached))
  }];
  let hasVerifier = 1;
}

def Bf_PointwiseOp : Bf_Op<"pointwise", [Pure, IsolatedFromAbove, SingleBlock]> {
  let summary = "a group of pointwise ops over one iteration space";
  let description = [{
    The body computes one element of each result from one element of each operand; tensor operands are
    broadcast to the results' shape as PyTorch does, numbers are passed as they are. A `ui8` element is
    an `i8` in the body. Random access, reductions and effects do not occur in it.

    ```mlir
    %0 = bf.pointwise(%a, %s) : (tensor<4xf32>, f64) -> tensor<4xf32> {
    ^bb0(%x: f32, %k: f64):
      %1 = arith.truncf %k : f64 to f32
      %2 = arith.addf %x, %1 : f32
      bf.yield %2 : f32
    }
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs) $body
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block *getBodyBlock() { return &getBody().front(); }
  }];
}

def Bf_YieldOp : Bf_Op<"yield", [Pure, Terminator, ReturnLike, ParentOneOf<["PointwiseOp"]>]> {
  let summary = "one element of each result of a bf.pointwise";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

//===- Python objects -----------------------------------------------------------------------------===//

def Bf_ObjectType : TypeDef<Bf_Dialect, "Object"> {
  let mnemonic = "object";
  let summary = "a Python object, which may be another at each run of the graph";
  let description = [{
    The graph refers to it and keeps it alive while it runs. What is read of it is read without running any
    Python code. An op that reads fails like a `bf.assert` where the object is none of which that is known.
  }];
}

class Bf_ReadOp<string mnemonic> : Bf_Op<mnemonic, [MemoryEffects<[MemRead, MemWrite]>]>;

def Bf_ReadAttrOp : Bf_ReadOp<"read_attr"> {
  let summary = "an attribute of an object of exactly that class";
  let description = [{
    The class has the ordinary lookup of attributes, and nothing that runs code under that name.

    ```mlir
    %left = bf.read_attr %node, "left" of %class
    ```
  }];
  let arguments = (ins Bf_ObjectType:$object, StrAttr:$name, Bf_ObjectType:$type);
  let results = (outs Bf_ObjectType:$value);
  let assemblyFormat = "$object `,` $name `of` $type attr-dict";
}

def Bf_ReadItemOp : Bf_ReadOp<"read_item"> {
  let summary = "an item of a list or tuple, counted from the front, or of a dict, under that key";
  let arguments = (ins Bf_ObjectType:$object, AnyTypeOf<[I64, Bf_ObjectType]>:$index);
  let results = (outs Bf_ObjectType:$value);
  let assemblyFormat = "$object `,` $index attr-dict `:` type($index)";
}

def Bf_HasItemOp : Bf_ReadOp<"has_item"> {
  let summary = "whether a dict has an item under that key";
  let description = [{
    Keys are numbers, texts and the like, objects that are equal to themselves alone, and dataclasses of plain
    values, so that none of the program's own code runs to compare them.
  }];
  let arguments = (ins Bf_ObjectType:$object, AnyTypeOf<[I64, Bf_ObjectType]>:$key);
  let results = (outs I1:$holds);
  let assemblyFormat = "$object `,` $key attr-dict `:` type($key)";
}

def Bf_LengthOp : Bf_ReadOp<"length"> {
  let summary = "the number of items of a list, a tuple or a dict";
  let arguments = (ins Bf_ObjectType:$object);
  let results = (outs I64:$length);
  let assemblyFormat = "$object attr-dict";
}

def Bf_UnboxOp : Bf_ReadOp<"unbox"> {
  let summary = "the tensor or the number that an object is";
  let description = [{
    An `int`, `float` or `bool`, exactly, or an ordinary tensor of that type, contiguous, that requires no
    grad and shares no memory with what the graph writes. `sizes` are those of its dynamic dimensions, which
    it must have; a negative one is any but 0 and 1.

    ```mlir
    %mask = bf.unbox %object sizes(%n, %n) : tensor<?x?xi1, #bf.tensor<worlds = [[5, 9], [5, 9]]>>
    ```
  }];
  let arguments = (ins Bf_ObjectType:$object, Variadic<I64>:$sizes);
  let results = (outs AnyType:$value);
  let assemblyFormat = "$object (`sizes` `(` $sizes^ `)`)? attr-dict `:` type($value)";
  let hasVerifier = 1;
}

def Bf_IsMethodOp : Bf_ReadOp<"is_method"> {
  let summary = "whether an object of exactly that class has this function as its method";
  let arguments = (ins Bf_ObjectType:$object, StrAttr:$name, Bf_ObjectType:$type,
                       Bf_ObjectType:$function);
  let results = (outs I1:$holds);
  let assemblyFormat = "$object `,` $name `of` $type `,` $function attr-dict";
}

def Bf_IsSameOp : Bf_Op<"is_same", [Pure]> {
  let summary = "whether two objects are one";
  let arguments = (ins Bf_ObjectType:$left, Bf_ObjectType:$right);
  let results = (outs I1:$holds);
  let assemblyFormat = "$left `,` $right attr-dict";
}

def Bf_IsClassOp : Bf_ReadOp<"is_class"> {
  let summary = "whether an object is of exactly that class";
  let arguments = (ins Bf_ObjectType:$object, Bf_ObjectType:$type);
  let results = (outs I1:$holds);
  let assemblyFormat = "$object `,` $type attr-dict";
}

def Bf_IsEqualOp : Bf_ReadOp<"is_equal"> {
  let summary = "whether an object is the same plain constant, of the same type";
  let arguments = (ins Bf_ObjectType:$object, Bf_ObjectType:$constant);
  let results = (outs I1:$holds);
  let assemblyFormat = "$object `,` $constant attr-dict";
}

def Bf_PycallOp : Bf_Op<"pycall", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "an opaque call: a Python function is called where the program calls it";
  let description = [{
    Numbers and tensors are handed over as objects of Python, tensors as copies. Of the result nothing is
    known; `bf.unbox` and its like say what it is taken to be. `keywords` are the names of the last operands;
    `site` is where the program's expression stands that makes the call.
    Where the run fails later, CPython must find things as if the call had not been made.

    ```mlir
    %r = bf.pycall "random.random" %random(%generator) : (!bf.object)
    %x = bf.unbox %r : f64
    ```
  }];
  let arguments = (ins StrAttr:$name, Bf_ObjectType:$callee, Variadic<AnyType>:$inputs,
                       OptionalAttr<StrArrayAttr>:$keywords, OptionalAttr<StrAttr>:$site);
  let results = (outs Bf_ObjectType:$result);
  let assemblyFormat = [{
    $name $callee `(` $inputs `)` (`keywords` $keywords^)? attr-dict `:` custom<TypeGroup>(type($inputs))
  }];
  let hasVerifier = 1;
}

//===- Tapes --------------------------------------------------------------------------------------===//

def Bf_TapeType : TypeDef<Bf_Dialect, "Tape"> {
  let summary = "what a forward pass leaves for its backward pass";
  let description = [{
    A stack, one object however many values name it. What is pushed stays as it is until it is popped.
  }];
  let mnemonic = "tape";
}

def Bf_TapeMemory : Resource<"::bifront::bf::TapeMemory">;

def Bf_TapeOp : Bf_Op<"tape"> {
  let summary = "a new tape, with nothing on it";
  let results = (outs Res<Bf_TapeType, "", [MemAlloc<Bf_TapeMemory>]>:$tape);
  let assemblyFormat = "attr-dict `:` type($tape)";
}

def Bf_PushOp : Bf_Op<"push", [MemoryEffects<[MemWrite<Bf_TapeMemory>]>]> {
  let summary = "puts values on a tape, all at once";
  let description = [{
    ```mlir
    bf.push %tape(%x, %n) : tensor<4xf32>, i64
    ```
  }];
  let arguments = (ins Bf_TapeType:$tape, Variadic<AnyType>:$values);
  let assemblyFormat = "$tape `(` $values `)` attr-dict `:` type($values)";
}

def Bf_PopOp : Bf_Op<"pop", [MemoryEffects<[MemRead<Bf_TapeMemory>, MemWrite<Bf_TapeMemory>]>]> {
  let summary = "takes off a tape what the last push that is still there has put on it";
  let description = [{
    ```mlir
    %x, %n = bf.pop %tape : tensor<4xf32>, i64
    ```
  }];
  let arguments = (ins Bf_TapeType:$tape);
  let results = (outs Variadic<AnyType>:$values);
  let assemblyFormat = "$tape attr-dict `:` type($values)";
}

def Bf_PopRowsOp
    : Bf_Op<"pop_rows", [MemoryEffects<[MemRead<Bf_TapeMemory>, MemWrite<Bf_TapeMemory>]>]> {
  let summary = "takes everything off a tape: the rows of all tensors that were pushed, in order";
  let description = [{
    ```mlir
    %g, %x = bf.pop_rows %tape : tensor<?x1024xf32>, tensor<?x512xf32>
    ```
    Each push has put as many tensors on the tape as there are results, the n-th of them with the sizes of
    the n-th result behind the first dimension. No push leaves no rows.
  }];
  let arguments = (ins Bf_TapeType:$tape);
  let results = (outs Variadic<AnyRankedTensor>:$rows);
  let assemblyFormat = "$tape attr-dict `:` type($rows)";
}

#endif // BIFRONT_IR_BF_OPS_TD
