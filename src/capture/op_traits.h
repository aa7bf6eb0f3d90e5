// What capture needs to know of an operator, looked up once.
#pragma once

#include "capture/meta_kernels/meta_kernels.h"
#include "capture/shape_rules.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <string>
#include <vector>

namespace bifront {

struct OpTraits {
  std::string schema; // "aten::add.Tensor"
  ShapeRule rule = nullptr;
  ShapeRule valueRule = nullptr;   // of an op whose values decide a size
  MetaKernel metaKernel = nullptr; // in C++; the dispatcher may have one in Python
  size_t arity = 0;
  // Per return: the argument that the op writes and returns, or -1.
  std::vector<int> returnedArgument;
  bool views = false; // a return is memory of an argument
  int deviceArgument = -1;
  bool random = false;
  bool decomposes = false;    // only its parts have kernels
  bool changesShape = false;  // in place: unsqueeze_, t_
  std::string shapeTwin;      // of those, the op that returns a view instead
  bool passesThrough = false; // not about tensors: profiler marks
  bool lifts = false;         // a tensor just made from Python data enters the program
  bool readsNumber = false;   // Tensor.item()
  bool growsLists = false;    // of ours (runtime/growing_stack.h)
  bool slices = false;
  bool masks = false;      // masks among indices select as many elements as they hold
  bool putsByMask = false; // the same, to put values there
  bool dropsOnes = false;  // dimensions of one element
  std::vector<bool> sizes; // per argument: an int that is no size of a tensor is one of a result
  const char *refusal = nullptr; // why no graph can have it

  static const OpTraits &of(const c10::OperatorHandle &op);
};

} // namespace bifront
