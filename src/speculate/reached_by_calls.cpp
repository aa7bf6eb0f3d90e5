#include "speculate/reached_by_calls.h"

#include "frontend/interpreter_host.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "speculate/convert.h"

#include <torch/csrc/autograd/python_variable.h>

#include <set>

namespace bifront {
namespace {

// The array is in slots that a call may change as well: read in the run, it is no input.
bool becomesChanged(PyObject *array, const std::vector<PyRef> &reached,
                    const std::vector<PythonRead> &reads, OpaqueSites &sites) {
  for (const PythonRead &read : reads)
    for (const PyRef &objects : reached)
      if (read.kind == PythonRead::Kind::Slot && read.value.get() == array &&
          isSeen({PythonWrite::Kind::SetSlot, read.slot, {}}, objects.get()))
        sites.noteChanged(read.slot);
  return sites.hasNew();
}

} // namespace

void refuseReached(const Capture &capture, const std::vector<PyRef> &reached,
                   const std::vector<PythonRead> &reads, OpaqueSites *sites) {
  std::set<const void *> memory, arrays;
  for (const PyRef &objects : reached) {
    PyObject *address = nullptr, *object = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(objects.get(), &at, &address, &object);) {
      if (isNumpyArray(object))
        arrays.insert(ownerOfMemory(object).get()); // which the array keeps alive
      if (!isExactTensor(object) || !THPVariable_Unpack(object).has_storage())
        continue;
      memory.insert(THPVariable_Unpack(object).storage().unsafeGetStorageImpl());
      if (const at::Tensor &gradient = THPVariable_Unpack(object).grad(); gradient.defined())
        memory.insert(gradient.storage().unsafeGetStorageImpl());
    }
  }
  for (const CapturedInput &input : capture.inputs()) {
    bool isArray = input.held && isNumpyArray(input.held.get()) &&
                   arrays.contains(ownerOfMemory(input.held.get()).get());
    if (isArray && becomesChanged(input.held.get(), reached, reads, *sites)) {
      UnknownEffects wanted("an opaque call may change an array that the graph reads");
      wanted.isWanted = true;
      throw UnknownEffects(wanted);
    }
    bool isReached = input.isTensor() && input.tensor.defined()
                         ? memory.contains(input.tensor.storage().unsafeGetStorageImpl())
                         : isArray;
    if (isReached)
      fail(ExitReason::CaptureFailed, "an opaque call may see a tensor or an array of the graph");
  }
}

} // namespace bifront
