#include "frontend/grown_lists.h"

#include "capture/proxy.h"
#include "capture/symbolic.h"
#include "frontend/kinds.h"
#include "frontend/walked_helpers.h"

namespace bifront {
namespace {

std::vector<PyRef> itemsBefore(PyObject *list, size_t appended) {
  std::vector<PyRef> items;
  Py_ssize_t before = PyList_GET_SIZE(list) - static_cast<Py_ssize_t>(appended);
  for (Py_ssize_t i = 0; i < before; ++i)
    items.push_back(PyRef::share(PyList_GET_ITEM(list, i)));
  return items;
}

std::optional<ValueType> formOf(PyObject *list, size_t appended) {
  std::vector<PyRef> items = itemsBefore(list, appended);
  return items.empty() ? std::nullopt : graphTypeOf(items);
}

} // namespace

// Whether the run could read each of its items from before the call as what the first of them is.
bool Interpreter::isOfOneForm(PyObject *list) {
  if (!PyList_Check(list) || hasWalkedMethod(list, "__iter__") ||
      (host_.isCopy && host_.isCopy(list)) || log_.hasSetItems(list))
    return false;
  auto appended = log_.appendedTo(list);
  return appended && formOf(list, *appended);
}

// Of a list that is looked at as a whole: should it have another length at the next call, the run
// could go through it.
void Interpreter::noteLength(PyObject *list) {
  if (isOfOneForm(list))
    lengthOfList(list);
}

// Nothing for lists that have not grown from call to call, and where the loop at `site` cannot be
// one of the graph.
std::optional<Interpreter::GrownList> Interpreter::grownList(PyObject *list, const void *site) {
  auto mayBeInGraph = [&](const void *choice) { return policyOf(choice) != Policy::OneWay; };
  if (!host_.policies || !choiceAt(site) || !mayBeInGraph(site) || !PyList_Check(list) ||
      !mayBeInGraph(list) || !isOfOneForm(list))
    return std::nullopt;
  PyRef before = log_.lengthStandIn(list);
  if (!before)
    return std::nullopt;
  log_.readType(Py_TYPE(list));
  log_.readTypeOf(list);
  grownLists_.push_back(PyRef::share(list));
  std::vector<PyRef> own;
  for (size_t appended = *log_.appendedTo(list); appended > 0; --appended)
    own.push_back(PyRef::share(
        PyList_GET_ITEM(list, PyList_GET_SIZE(list) - static_cast<Py_ssize_t>(appended))));
  return GrownList{std::move(before), std::move(own)};
}

// Of those from before the call.
PyRef Interpreter::itemOfGrown(PyObject *list, PyObject *index) {
  GraphRecorder &graph = host_.recording->graph();
  ValueId at = isGraphNumber(index) ? SymbolicScalar::of(symbolicNumber(index))->value()
                                    : graph.constantInt(PyLong_AsLongLong(index));
  ValueId read = graph.readItem(host_.recording->heldObject(list), at);
  auto form = formOf(list, log_.appendedTo(list).value_or(0));
  if (!form)
    throw CannotFork(list, Policy::OneWay, "items of a list that has grown become inputs");
  return unboxed(read, *form, PyList_GET_ITEM(list, 0));
}

// A list of the call with the same items; null for lists that have not grown.
PyRef Interpreter::copyOfGrown(PyObject *list) {
  noteLength(list);
  PyRef helper = walkedHelper("listed");
  return grownList(list, helper.get()) ? callWith(helper.get(), PyRef::share(list)) : PyRef();
}

// An opaque call that reaches such a list may have changed it in the middle of the run.
void Interpreter::checkGrownLists() const {
  for (const PyRef &list : grownLists_)
    for (const PyRef &reached : reachedByCalls_) {
      PyRef address = checked(PyLong_FromVoidPtr(list.get()));
      if (checked(PyDict_Contains(reached.get(), address.get())))
        throw CannotFork(list.get(), Policy::OneWay,
                         "an opaque call may see a list that the run goes through");
    }
}

} // namespace bifront
