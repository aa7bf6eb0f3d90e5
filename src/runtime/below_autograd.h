// While one lives, ATen calls on this thread go straight to the kernels: no autograd, autocast,
// user's dispatch modes or functorch. The graph already contains what those would have done.
#pragma once

#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace bifront {

class BelowAutograd {
public:
  BelowAutograd() : exclude(keys()), gradMode(true) {}

  // Whether this thread's calls are seen by no autograd. Of what is left out the functionality is
  // asked: the keys of autograd with a backend in them (AutogradCPU) are never said to be excluded.
  static bool isHere() {
    return c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutogradFunctionality);
  }

private:
  static constexpr c10::DispatchKeySet keys() {
    return c10::autograd_dispatch_keyset_with_ADInplaceOrView | c10::autocast_dispatch_keyset |
           c10::python_ks | c10::functorch_transforms_ks |
           c10::DispatchKeySet({c10::DispatchKey::FuncTorchDynamicLayerFrontMode,
                                c10::DispatchKey::FuncTorchDynamicLayerBackMode,
                                c10::DispatchKey::PreDispatch, c10::DispatchKey::Functionalize});
  }
  c10::impl::ExcludeDispatchKeyGuard exclude;
  // A few kernels ask whether a derivative may follow: mkldnn_rnn_layer keeps its workspace for
  // that.
  at::AutoGradMode gradMode;
};

} // namespace bifront
