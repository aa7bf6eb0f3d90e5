#include "capture/dispatch_mode.h"

#include "capture/capture_error.h"
#include "capture/captured_call.h"

#include <ATen/core/PythonFallbackKernel.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/PyInterpreter.h>

#include <chrono>
#include <utility>

namespace bifront {
namespace {

thread_local Recording *activeRecording = nullptr;

void capture(const c10::OperatorHandle &op, torch::jit::Stack &stack);

// PyTorch's interpreter in all but one respect: what becomes of an op.
struct CapturingInterpreter final : c10::impl::PyInterpreterVTable {
  static const c10::impl::PyInterpreterVTable &real() { return **getPyInterpreter(); }

  std::string name() const override { return "bifront"; }
  void incref(PyObject *object) const override { real().incref(object); }
  void decref(PyObject *object) const override { real().decref(object); }
  bool try_incref(const c10::impl::PyObjectSlot &slot) const override {
    return real().try_incref(slot);
  }
  size_t refcnt(PyObject *object) const override { return real().refcnt(object); }
  // `.data` of a tensor from outside; a proxy copies itself. No op tells of it.
  c10::intrusive_ptr<c10::TensorImpl> detach(const c10::TensorImpl *self) const override {
    static const c10::OperatorHandle op =
        c10::Dispatcher::singleton().findSchemaOrThrow("aten::detach", "");
    torch::jit::Stack stack;
    stack.emplace_back(
        at::Tensor(c10::intrusive_ptr<c10::TensorImpl>::unsafe_reclaim_from_nonowning(
            const_cast<c10::TensorImpl *>(self))));
    capture(op, stack);
    return stack.back().toTensor().getIntrusivePtr();
  }
  void dispatch(const c10::OperatorHandle &op, torch::jit::Stack *stack) const override {
    capture(op, *stack);
  }
  void reportErrorCallback(PyObject *callback, c10::DispatchKey key) const override {
    real().reportErrorCallback(callback, key);
  }
  void python_op_registration_trampoline(const c10::OperatorHandle &op, c10::DispatchKey key,
                                         c10::DispatchKeySet keys, torch::jit::Stack *stack,
                                         bool withKeys, bool withOp) const override {
    real().python_op_registration_trampoline(op, key, keys, stack, withKeys, withOp);
  }
  void throw_abstract_impl_not_imported_error(std::string name, const char *module,
                                              const char *context) const override {
    real().throw_abstract_impl_not_imported_error(std::move(name), module, context);
  }
  void python_dispatcher(const c10::OperatorHandle &op, c10::DispatchKeySet keys,
                         torch::jit::Stack *stack) const override {
    real().python_dispatcher(op, keys, stack);
  }
  bool is_contiguous(const c10::TensorImpl *self, at::MemoryFormat format) const override {
    return real().is_contiguous(self, format);
  }
  c10::SymBool sym_is_contiguous(const c10::TensorImpl *self,
                                 at::MemoryFormat format) const override {
    return real().sym_is_contiguous(self, format);
  }
  bool is_strides_like(const c10::TensorImpl *self, at::MemoryFormat format) const override {
    return real().is_strides_like(self, format);
  }
  bool is_non_overlapping_and_dense(const c10::TensorImpl *self) const override {
    return real().is_non_overlapping_and_dense(self);
  }
  c10::Device device(const c10::TensorImpl *self) const override { return real().device(self); }
  int64_t dim(const c10::TensorImpl *self) const override { return real().dim(self); }
  c10::IntArrayRef strides(const c10::TensorImpl *self) const override {
    return real().strides(self);
  }
  c10::IntArrayRef sizes(const c10::TensorImpl *self) const override { return real().sizes(self); }
  c10::SymIntArrayRef sym_sizes(const c10::TensorImpl *self) const override {
    return real().sym_sizes(self);
  }
  c10::Layout layout(const c10::TensorImpl *self) const override { return real().layout(self); }
  int64_t numel(const c10::TensorImpl *self) const override { return real().numel(self); }
  c10::SymInt sym_numel(const c10::TensorImpl *self) const override {
    return real().sym_numel(self);
  }
  c10::SymIntArrayRef sym_strides(const c10::TensorImpl *self) const override {
    return real().sym_strides(self);
  }
  c10::SymInt sym_storage_offset(const c10::TensorImpl *self) const override {
    return real().sym_storage_offset(self);
  }
  void trace_gpu_event_creation(c10::DeviceType device, uintptr_t event) const override {
    real().trace_gpu_event_creation(device, event);
  }
  void trace_gpu_event_deletion(c10::DeviceType device, uintptr_t event) const override {
    real().trace_gpu_event_deletion(device, event);
  }
  void trace_gpu_event_record(c10::DeviceType device, uintptr_t event,
                              uintptr_t stream) const override {
    real().trace_gpu_event_record(device, event, stream);
  }
  void trace_gpu_event_wait(c10::DeviceType device, uintptr_t event,
                            uintptr_t stream) const override {
    real().trace_gpu_event_wait(device, event, stream);
  }
  void trace_gpu_memory_allocation(c10::DeviceType device, uintptr_t pointer) const override {
    real().trace_gpu_memory_allocation(device, pointer);
  }
  void trace_gpu_memory_deallocation(c10::DeviceType device, uintptr_t pointer) const override {
    real().trace_gpu_memory_deallocation(device, pointer);
  }
  void trace_gpu_stream_creation(c10::DeviceType device, uintptr_t stream) const override {
    real().trace_gpu_stream_creation(device, stream);
  }
  void trace_gpu_device_synchronization(c10::DeviceType device) const override {
    real().trace_gpu_device_synchronization(device);
  }
  void trace_gpu_stream_synchronization(c10::DeviceType device, uintptr_t stream) const override {
    real().trace_gpu_stream_synchronization(device, stream);
  }
  void trace_gpu_event_synchronization(c10::DeviceType device, uintptr_t event) const override {
    real().trace_gpu_event_synchronization(device, event);
  }
  void reset_backward_hooks(const c10::TensorImpl *self) const override {
    real().reset_backward_hooks(self);
  }
};

c10::impl::PyInterpreter *capturingInterpreter() {
  // Modes that PyTorch keeps in saved thread states may outlive any owner.
  static auto *table = new CapturingInterpreter;
  static auto *interpreter = new c10::impl::PyInterpreter(table);
  return interpreter;
}

void pushMode() {
  Py_INCREF(Py_None); // the mode has no Python object of its own
  c10::impl::TorchDispatchModeTLS::push_non_infra_mode_onto_stack(
      std::make_shared<c10::impl::PyObject_TorchDispatchMode>(Py_None, capturingInterpreter()));
}

void capture(const c10::OperatorHandle &op, torch::jit::Stack &stack) {
  Recording *recording = activeRecording;
  if (!recording)
    throw CaptureError("an op of a captured function runs on another thread");
  try {
    const OpTraits &traits = OpTraits::of(op);
    if (traits.refusal)
      recording->fail(traits.refusal);
    if (traits.passesThrough) {
      c10::impl::ExcludeDispatchKeyGuard belowTheMode(
          c10::DispatchKeySet{c10::DispatchKey::Python, c10::DispatchKey::PythonTLSSnapshot});
      op.callBoxed(stack);
      return;
    }
    if (traits.decomposes) { // the mode is still on, and sees the parts
      op.callBoxedForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd, stack);
      return;
    }
    auto start = std::chrono::steady_clock::now();
    CapturedCall(*recording, op, traits, stack).run();
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    ++recording->cost.ops;
    recording->cost.seconds += spent.count();
  } catch (const std::exception &error) {
    recording->noteFailure(error.what());
    throw;
  }
}

} // namespace

CaptureMode::CaptureMode(std::shared_ptr<Recording> recording) : recording_(std::move(recording)) {
  if (activeRecording)
    throw CaptureError("a capture runs on this thread already");
  depth_ = c10::impl::TorchDispatchModeTLS::stack_len();
  pushMode();
  activeRecording = recording_.get();
}

CaptureMode::~CaptureMode() {
  activeRecording = nullptr;
  // PyTorch's own Python (that prints a tensor, for one) takes all modes off for a while; where it
  // fails there, ours may be off the stack already.
  while (c10::impl::TorchDispatchModeTLS::stack_len() > depth_)
    c10::impl::TorchDispatchModeTLS::pop_stack();
}

// Within an op that is being captured, PyTorch has the mode off already.
CaptureMode::Pause::Pause() : recording_(std::exchange(activeRecording, nullptr)) {
  if (!recording_)
    return;
  notTheProgram_.emplace(*recording_);
  tookOff_ = c10::impl::TorchDispatchModeTLS::stack_len() > 0;
  if (tookOff_)
    c10::impl::TorchDispatchModeTLS::pop_stack();
}

CaptureMode::Pause::~Pause() {
  activeRecording = recording_;
  if (tookOff_)
    pushMode();
}

Recording *CaptureMode::active() { return activeRecording; }

} // namespace bifront
