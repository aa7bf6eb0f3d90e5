#pragma once

namespace bifront {

// From here on, lookupSchema asks torch's dispatcher, which knows the program's own operators too.
void useTorchSchemas();

} // namespace bifront
