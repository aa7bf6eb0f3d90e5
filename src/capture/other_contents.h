// bifront::other_contents(tensor, contents): what a tensor is behind a write that autograd does not
// see. The contents are others; the history, which gradients go through, is the one that it had.
#pragma once

namespace bifront {

void defineOtherContents();

} // namespace bifront
