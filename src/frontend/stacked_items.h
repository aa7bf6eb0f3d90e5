// Lists that grow where only the run of the graph knows how often: in such a list of the walk an
// object stands for the items of which there are any number. They are the rows of one tensor.
#pragma once

#include "capture/proxy.h"
#include "capture/recording.h"
#include "capture/symbolic.h"
#include "support/py_ref.h"

#include <c10/core/SymInt.h>

#include <optional>
#include <span>
#include <string>

namespace bifront {

// What the items have in common.
struct ItemForm {
  ProxyImpl::Shape shape;
  bool requiresGrad = false;
  // Of numbers, whose rows are tensors of no dimension.
  std::optional<SymbolicScalar::Kind> number = std::nullopt;

  // The type of a tensor of such rows.
  ProxyImpl::Shape stackOf(const Dim &rows) const;
};

struct StackedItems {
  at::Tensor stack;
  ItemForm form;
  // The branch or the loop that would not need them if it went one way; null: none.
  const void *site = nullptr;
};

// Whether nobody writes the tensor but the run, or nobody does at all: false for one from outside.
bool isOwnOrFound(const Recording &recording, const at::Tensor &tensor);

PyRef makeStackedItems(StackedItems items);
// Null for other objects.
const StackedItems *stackedItems(PyObject *object);
// Of a list or a tuple.
bool holdsStacked(PyObject *sequence);
// Whether these are numbers, or rows of them; false where none is stacked.
bool holdsNumbers(PyObject *sequence);

// Throws CannotFork, or CannotInterpret, for one whose way of use is not known.
[[noreturn]] void refuseStacked(PyObject *object);

// The same for all that is in it; other objects pass.
void refuseStackedIn(PyObject *object, int depth = 0);

// The form that all of these items have, some of which may be stacked. Throws CannotMerge.
ItemForm formOf(const Recording &recording, std::span<PyObject *const> items);
// Whether these can be rows of a list of that form.
bool fits(const Recording &recording, const ItemForm &form, std::span<PyObject *const> items);
// Their number, where they have become rows.
c10::SymInt numberOf(std::span<PyObject *const> items);
// Records them as rows. `rows`: what is to stand for their number in the two worlds.
at::Tensor stackOf(Recording &recording, const ItemForm &form, std::span<PyObject *const> items,
                   const std::optional<Dim> &rows = std::nullopt);

} // namespace bifront
