// The schemas of the torch that this was built with, for processes without torch.
#pragma once

namespace bifront {

// Makes lookupSchema find them.
void installSchemaTable();

} // namespace bifront
