#include "capture/modes.h"

#include "support/py_ref.h"

#include <ATen/Context.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/SavedTensorHooks.h>
#include <ATen/autocast_mode.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/Device.h>
#include <torch/csrc/PyInterpreter.h>
#include <torch/csrc/autograd/anomaly_mode.h>
#include <torch/csrc/autograd/forward_grad.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace bifront {

namespace {

// As torch.set_flush_denormal() has it for this thread.
bool flushes() {
#if defined(__x86_64__)
  return _MM_GET_FLUSH_ZERO_MODE() == _MM_FLUSH_ZERO_ON;
#else
  return false;
#endif
}

} // namespace

GlobalModes GlobalModes::now() {
  const at::Context &context = at::globalContext();
  return {.grad = c10::GradMode::is_enabled(),
          .inference = c10::InferenceMode::is_enabled(),
          .deterministic = context.deterministicAlgorithms(),
          .autocast = at::autocast::is_autocast_enabled(at::kCPU),
          .autocastCaches = at::autocast::is_autocast_cache_enabled(),
          .onednn = context.userEnabledMkldnn(),
          .flushesSubnormals = flushes(),
          .defaultDtype = c10::get_default_dtype_as_scalartype(),
          .autocastDtype = at::autocast::get_autocast_dtype(at::kCPU),
          .matmulPrecision = static_cast<int>(context.float32MatmulPrecision())};
}

namespace {

int autocastNesting() {
  at::autocast::increment_nesting();
  return at::autocast::decrement_nesting();
}

} // namespace

ModesGuard::ModesGuard()
    : modes_(GlobalModes::now()), autocastDtype_(at::autocast::get_autocast_dtype(at::kCPU)),
      autocastCaches_(at::autocast::is_autocast_cache_enabled()),
      warnOnly_(at::globalContext().deterministicAlgorithmsWarnOnly()),
      autocastNesting_(autocastNesting()) {}

ModesGuard::~ModesGuard() {
  at::ThreadLocalState::setThreadLocalState(thread_);
  at::autocast::set_autocast_dtype(at::kCPU, autocastDtype_);
  at::autocast::set_autocast_cache_enabled(autocastCaches_);
  int nesting = autocastNesting();
  for (; nesting > autocastNesting_; --nesting)
    at::autocast::decrement_nesting();
  for (; nesting < autocastNesting_; ++nesting)
    at::autocast::increment_nesting();
  if (nesting == 0)
    at::autocast::clear_cache();
  c10::set_default_dtype(c10::scalarTypeToTypeMeta(modes_.defaultDtype));
  at::globalContext().setDeterministicAlgorithms(modes_.deterministic, warnOnly_);
}

bool detectsAnomalies() { return torch::autograd::AnomalyMode::is_enabled(); }

namespace {

using FunctionModes = at::impl::PythonTorchFunctionTLS;

// As torch.set_default_device("cpu") and `with torch.device("cpu")` make it.
bool isDefaultOfCpu(PyObject *mode) {
  PyRef name = PyRef::steal(PyUnicode_FromString("torch.utils._device"));
  PyRef module = PyRef::steal(PyImport_GetModule(name.get()));
  PyRef type =
      module ? PyRef::steal(PyObject_GetAttrString(module.get(), "DeviceContext")) : PyRef();
  PyRef device = type && Py_TYPE(mode) == reinterpret_cast<PyTypeObject *>(type.get())
                     ? PyRef::steal(PyObject_GetAttrString(mode, "device"))
                     : PyRef();
  PyErr_Clear(); // of a torch that has it elsewhere
  return device && THPDevice_Check(device.get()) &&
         reinterpret_cast<THPDevice *>(device.get())->device == c10::Device(c10::kCPU);
}

} // namespace

bool isTransforming() {
  return c10::impl::tls_is_dispatch_key_included(
             c10::DispatchKey::FuncTorchDynamicLayerFrontMode) ||
         torch::autograd::ForwardADLevel::try_get_by_idx(0) != nullptr;
}

bool foreignModeActive() {
  if (c10::impl::TorchDispatchModeTLS::any_modes_set() || isTransforming() ||
      !at::SavedTensorDefaultHooks::get_tls_state().stack.empty())
    return true;
  for (int64_t i = 0; i < FunctionModes::stack_len(); ++i)
    if (!isDefaultOfCpu(FunctionModes::get_stack_at(i)->ptr(getPyInterpreter())))
      return true;
  return false;
}

void leaveDefaultDevice() {
  if (FunctionModes::stack_len() > 0)
    FunctionModes::set_state({});
}

} // namespace bifront
