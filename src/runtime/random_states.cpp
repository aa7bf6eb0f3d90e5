#include "runtime/random_states.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/library.h>

#include <mutex>

namespace bifront {
namespace {

at::Tensor getState() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  std::scoped_lock lock(generator.mutex());
  return generator.get_state();
}

void setState(const at::Tensor &state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  std::scoped_lock lock(generator.mutex());
  generator.set_state(state);
}

// As PyTorch does, negative seeds are those of the same bits.
void seed(c10::SymInt seed) { // NOLINT(performance-unnecessary-value-param): as schemas have it
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  std::scoped_lock lock(generator.mutex());
  generator.set_current_seed(static_cast<uint64_t>(seed.expect_int()));
}

} // namespace

int64_t randomStateBytes() {
  static const int64_t bytes = getState().numel();
  return bytes;
}

TORCH_LIBRARY_FRAGMENT(bifront, library) {
  const std::vector<at::Tag> random{at::Tag::nondeterministic_seeded};
  library.def("get_rng_state() -> Tensor", random);
  library.def("set_rng_state(Tensor state) -> ()", random);
  library.def("manual_seed(SymInt seed) -> ()", random);
}

TORCH_LIBRARY_IMPL(bifront, CompositeExplicitAutograd, library) {
  library.impl("get_rng_state", getState);
  library.impl("set_rng_state", setState);
  library.impl("manual_seed", seed);
}

} // namespace bifront
