// Nodes of autograd's graph: shared_ptrs in PyTorch up to 2.12, intrusive pointers from there.
#pragma once

#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace bifront {

using NodePointer = decltype(torch::autograd::Edge::function);

template <typename NodeType, typename Pointer = NodePointer, typename... Args>
Pointer makeNode(Args &&...args) {
  auto *node = new NodeType(std::forward<Args>(args)...);
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<torch::autograd::Node>>)
    return Pointer(node);
  else
    return Pointer::unsafe_steal_from_new(node);
}

} // namespace bifront
