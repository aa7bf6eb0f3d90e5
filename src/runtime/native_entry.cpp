// What native code calls. No exception may reach machine code that has no unwind tables, so each
// turns what is thrown into a status.
#include "runtime/frame.h"

namespace bifront {
namespace {

template <typename Step> int32_t statusOf(Frame *frame, Step step) {
  try {
    step();
    return 0;
  } catch (...) {
    frame->exception = std::current_exception();
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

int32_t bf_rt_assert_failed(Frame *frame, uint32_t assertion) {
  frame->failedAssertion = assertion;
  frame->location = frame->program.asserts[assertion].location;
  return kAssertionFailed;
}

int64_t bf_rt_dim(Frame *frame, uint32_t slot, int64_t index) {
  return frame->slots[slot].unsafeGetTensorImpl()->size(index);
}

} // extern "C"
} // namespace bifront
