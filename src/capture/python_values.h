// Where capture touches Python: numbers that Python hides beside tensors, and source lines.
#pragma once

#include "ir/graph_recorder.h"
#include "support/py_ref.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/SymNodeImpl.h>

#include <string_view>

namespace bifront {

// PyTorch passes a torch.SymFloat among tensor arguments as a 0-dim tensor of no meaning with the
// number as a Python attribute. Null where `tensor` has none.
c10::SymNode symbolicNumberBeside(const at::Tensor &tensor);

// torch.SymFloat and torch.SymBool hold only nodes that are Python objects: `node` as one, and what
// it was. A node of another kind comes back as it is.
c10::SymNode nodeForPython(const c10::SymNode &node);
c10::SymNode nodeFromPython(const c10::SymNode &node);

// A torch.SymInt, SymFloat or SymBool. It runs no code of Python's, which would let other threads
// run. Needs the GIL; null with an exception set.
PyObject *newSymbolicNumber(const c10::SymNode &node);

// The reverse of symbolicNumberBeside: a tensor that says nothing but stands beside `number`. Needs
// the GIL.
at::Tensor tensorBesideNumber(const c10::IValue &number);

// Whether a file belongs to torch or bifront, whose lines say nothing to the user.
bool isLibraryFile(std::string_view file);

// The line of the program, torch's own files left out, that is running. Takes the GIL.
SourceLine currentSourceLine();

} // namespace bifront
