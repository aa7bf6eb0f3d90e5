// What native code calls. No exception may reach machine code that has no unwind tables, so each
// turns what is thrown into a status.
#include "runtime/frame.h"
#include "support/fail_nth.h"

namespace bifront {
namespace {

template <typename Step> int32_t statusOf(Frame *frame, Step step) {
  try {
    step();
    return 0;
  } catch (...) {
    frame->run.exception = std::current_exception();
    return kThrew;
  }
}

} // namespace

extern "C" {

int32_t bf_rt_call(Frame *frame, uint32_t call) {
  return statusOf(frame, [&] { frame->call(call); });
}

int32_t bf_rt_kernel(Frame *frame, uint32_t kernel) {
  return statusOf(frame, [&] { frame->kernel(kernel); });
}

int32_t bf_rt_store(Frame *frame, uint32_t store) {
  return statusOf(frame, [&] { frame->store(store); });
}

int32_t bf_rt_move(Frame *frame, uint32_t move) {
  return statusOf(frame, [&] { frame->move(move); });
}

int32_t bf_rt_release(Frame *frame, uint32_t release) {
  return statusOf(frame, [&] { frame->releaseAll(release); });
}

int32_t bf_rt_tape(Frame *frame, uint32_t step) {
  return statusOf(frame, [&] { frame->tape(step); });
}

int32_t bf_rt_function(Frame *frame, uint32_t call) {
  int32_t status = kThrew;
  int32_t thrown = statusOf(frame, [&] { status = frame->callFunction(call); });
  return thrown ? thrown : status;
}

int32_t bf_rt_object(Frame *frame, uint32_t read) {
  int32_t status = kThrew;
  int32_t thrown = statusOf(frame, [&] { status = frame->readObject(read); });
  return thrown ? thrown : status;
}

int32_t bf_rt_python(Frame *frame, uint32_t call) {
  return statusOf(frame, [&] { frame->callPython(call); });
}

int32_t bf_rt_poll(Frame *frame, uint32_t /*unused*/) {
  return statusOf(frame, [&] { frame->poll(); });
}

int32_t bf_rt_assert_failed(Frame *frame, uint32_t assertion) {
  frame->noteFailure(assertion);
  return kAssertionFailed;
}

int32_t bf_rt_fails_on_purpose(Frame * /*unused*/, uint32_t /*unused*/) {
  return failsOnPurpose(Failure::Check);
}

int64_t bf_rt_dim(Frame *frame, uint32_t slot, int64_t index) {
  return frame->slots[slot].unsafeGetTensorImpl()->size(index);
}

} // extern "C"

std::span<const RuntimeFunction> runtimeFunctions() {
  static const RuntimeFunction table[] = {
      {kStepFunctions[0], reinterpret_cast<void *>(&bf_rt_call)},
      {kStepFunctions[1], reinterpret_cast<void *>(&bf_rt_kernel)},
      {kStepFunctions[2], reinterpret_cast<void *>(&bf_rt_store)},
      {kStepFunctions[3], reinterpret_cast<void *>(&bf_rt_move)},
      {kStepFunctions[4], reinterpret_cast<void *>(&bf_rt_release)},
      {kStepFunctions[5], reinterpret_cast<void *>(&bf_rt_poll)},
      {kStepFunctions[6], reinterpret_cast<void *>(&bf_rt_function)},
      {kStepFunctions[7], reinterpret_cast<void *>(&bf_rt_assert_failed)},
      {kStepFunctions[8], reinterpret_cast<void *>(&bf_rt_object)},
      {kStepFunctions[9], reinterpret_cast<void *>(&bf_rt_tape)},
      {kStepFunctions[10], reinterpret_cast<void *>(&bf_rt_fails_on_purpose)},
      {kStepFunctions[11], reinterpret_cast<void *>(&bf_rt_python)},
      {"bf_rt_dim", reinterpret_cast<void *>(&bf_rt_dim)},
  };
  return table;
}

} // namespace bifront
