// An operator of torch, or of ours, by its name and without an overload: `op.call(...)`.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

namespace bifront {

template <typename Signature> auto operatorNamed(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

} // namespace bifront
