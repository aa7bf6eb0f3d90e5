#include "capture/python_in_backward.h"

#include <torch/csrc/autograd/python_hook.h>

#include <algorithm>
#include <string_view>
#include <typeinfo>

namespace bifront {
namespace {

using namespace torch::autograd;

// Torch does not export the identity of its Python types, only their names can be asked for.
template <typename Object> bool isNamed(const Object &object, std::string_view mangled) {
  return std::string_view(typeid(object).name()) == mangled;
}

bool isPythonFunction(const Node &node) { return isNamed(node, "N5torch8autograd6PyNodeE"); }

} // namespace

bool runsPython(Node &node) {
  return isPythonFunction(node) || !node.pre_hooks().empty() || !node.post_hooks().empty() ||
         !node.tensor_pre_hooks().empty() || !node.retains_grad_hooks().empty() ||
         node.tensor_post_acc_grad_hooks();
}

void WalkedHooks::add(Node &node) {
  constexpr const char *kOfAnother = "backward runs a hook that is not Python's";
  for (const auto &hook : node.tensor_pre_hooks()) {
    if (!isNamed(*hook, "N5torch8autograd23PyFunctionTensorPreHookE"))
      recording_.fail(kOfAnother);
    replace(static_cast<PyFunctionTensorPreHook &>(*hook).dict);
  }
  for (const auto &hook : node.pre_hooks()) {
    if (!isNamed(*hook, "N5torch8autograd17PyFunctionPreHookE"))
      recording_.fail(kOfAnother);
    replace(static_cast<PyFunctionPreHook &>(*hook).dict);
  }
  for (const auto &hook : node.post_hooks()) {
    if (!isNamed(*hook, "N5torch8autograd18PyFunctionPostHookE"))
      recording_.fail(kOfAnother);
    replace(static_cast<PyFunctionPostHook &>(*hook).dict);
  }
  if (const auto &hook = node.tensor_post_acc_grad_hooks()) {
    if (!isNamed(*hook, "N5torch8autograd32PyFunctionTensorPostAccGradHooksE"))
      recording_.fail(kOfAnother);
    replace(static_cast<PyFunctionTensorPostAccGradHooks &>(*hook).dict);
  }
}

// One hook in the place of all: it walks those that are there when it is called.
void WalkedHooks::replace(PyObject *&hooks) {
  // One dict may belong to several tensors, and is the place of each.
  PyRef walked = recording_.walkedHooks(hooks);
  PyRef dict = PyRef::steal(PyDict_New());
  if (!walked || !dict || PyDict_SetItem(dict.get(), Py_None, walked.get()) < 0)
    recording_.fail("the hooks of a backward cannot be replaced");
  replaced_.emplace_back(&hooks, PyRef::steal(std::exchange(hooks, dict.release())));
}

WalkedHooks::~WalkedHooks() {
  for (auto &[place, before] : replaced_)
    Py_DECREF(std::exchange(*place, before.release()));
}

} // namespace bifront
