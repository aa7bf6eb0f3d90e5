// The state of the default generator as a value of the graph: what torch.get_rng_state,
// set_rng_state and manual_seed become (bifront::get_rng_state, ...). They are ordered with the
// draws by the random stream.
#pragma once

#include <cstdint>

namespace bifront {

// Of a tensor that holds such a state.
int64_t randomStateBytes();

} // namespace bifront
