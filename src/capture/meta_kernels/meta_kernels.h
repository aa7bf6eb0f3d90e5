// The meta kernels that are compiled into torch, whatever Python has registered over them.
#pragma once

#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/stack.h>

#include <string>
#include <string_view>
#include <unordered_map>

namespace bifront {

using MetaKernel = void (*)(const c10::OperatorHandle &op, torch::jit::Stack &stack);
using MetaKernels = std::unordered_map<std::string, MetaKernel>;

// Null where there is none. `name` is "aten::add.Tensor".
MetaKernel metaKernel(std::string_view name);

// What the generated files consist of.
template <typename Signature, Signature *function> MetaKernel boxedMetaKernel() {
  using Functor = c10::impl::WrapFunctionIntoFunctor<
      c10::CompileTimeFunctionPointer<Signature, function>>::type;
  return [](const c10::OperatorHandle &op, torch::jit::Stack &stack) {
    static Functor functor;
    c10::impl::make_boxed_from_unboxed_functor<Functor, true>::call(&functor, op, {}, &stack);
  };
}

void addMetaKernels0(MetaKernels &kernels);
void addMetaKernels1(MetaKernels &kernels);
void addMetaKernels2(MetaKernels &kernels);
void addMetaKernels3(MetaKernels &kernels);

} // namespace bifront
