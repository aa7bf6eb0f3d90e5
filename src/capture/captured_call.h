// One op during capture: arguments become constants and operands of a graph op, results become
// proxies.
#pragma once

#include "capture/op_traits.h"
#include "capture/proxy.h"
#include "capture/recording.h"

#include <ATen/core/stack.h>

#include <functional>
#include <span>

namespace bifront {

class CapturedCall {
public:
  CapturedCall(Recording &recording, const c10::OperatorHandle &op, const OpTraits &traits,
               torch::jit::Stack &stack);
  // Replaces the arguments on the stack by the results.
  void run();

private:
  // A return of the op: tensors (one, or those of a list), or a number.
  struct Result {
    enum class Kind : uint8_t { Tensor, Absent, List, Argument, Number } kind;
    std::vector<ProxyImpl::Shape> shapes;
    int argument = -1;
    c10::IValue number[2];
    bool isGiven = false; // expectedResults(): for a derivative, which holds for any size
  };

  void readArguments();
  AtenArg readArgument(const c10::IValue &value);
  AtenArg readTensor(const at::Tensor &tensor);
  AtenArg readSymbol(const c10::SymNode &node);
  AtenArg operand(ValueId value);
  AtenArg operand(ValueId value, const at::Tensor &tensor);
  bool makesMask() const;
  void lookAtDevice(const at::Tensor &tensor);

  void infer();
  bool inferByRule();
  bool inferByValues();
  void takeShapes(const std::vector<ValueType> &types);
  bool apply(ShapeRule rule, const Dim &byValues);
  Dim sizeByValues();
  Dim countOf(const at::Tensor &mask);
  using ResultTypes = std::function<std::vector<ValueType>(const Dim &size)>;
  Dim decidedSizeOf(const AtenCall &call, std::span<const ValueId> operands,
                    const ResultTypes &typesFor);
  void noteSize(const Dim &size);
  std::vector<at::Tensor> masks() const;
  void keepDimensions();
  // The shape that the call returns.
  ProxyImpl::Shape shapeOf(Extent first, std::optional<Extent> second) const;
  // Slices that are told by values.
  bool isSlicedByValues() const;
  // What a derivative is made for has said what it returns.
  bool isGivenForAnySize() const { return dynamic_ && recording_.expectedResults(); }
  void inferSlice();
  c10::SymInt sliceLength(const c10::SymInt &size);
  void inferByMetaKernel();
  torch::jit::Stack metaStack(int world);
  c10::IValue metaArgument(const c10::IValue &value, int world, bool isNumber, bool isSize) const;
  at::Tensor metaTensor(const at::Tensor &tensor, int world) const;
  void readMetaResults(const torch::jit::Stack &first, const torch::jit::Stack &second);
  void noteNeededSizes();

  template <typename Look> void forTensors(const Look &look) const;
  void refuseHistory();
  void noteWrites();
  void recordAndReturn();
  c10::IValue wrap(const Result &result, const c10::Argument &declared, const ValueId *values);
  void readNumber();
  void liftConstant();
  void changeShape();
  void assertSliceBounds();
  void avoidStrides();
  void assertSizes(const ProxyImpl::Shape &shape, ValueId result);
  bool hasOperandOfSize(const Dim &size, int64_t dim) const;

  Recording &recording_;
  const c10::OperatorHandle &op_;
  const OpTraits &traits_;
  torch::jit::Stack &stack_;
  c10::ArrayRef<c10::IValue> args_;
  bool dynamic_ = false;
  bool byValues_ = false; // sizes of the results may depend on values
  c10::Device device_ = c10::Device(c10::kCPU);
  bool deviceKnown_ = false;
  AtenCall call_;
  std::vector<ValueId> operands_;
  std::vector<Result> results_;
  Recording::Operands read_; // the operands; none where versions are not kept
  bool hasVersions_ = true;
  bool readsSize_ = false;  // the argument that is being read is one
  std::vector<Dim> counts_; // for each mask among the indices: how many elements it selects
};

// Whether indices of this dtype select where they hold.
bool isMask(const at::Tensor &indices);

} // namespace bifront
