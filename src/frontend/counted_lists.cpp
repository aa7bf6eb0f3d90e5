// Loops over lists of which only the run of the graph knows how long they are: over one, in its
// order or backwards, or over several by zip() and enumerate().
#include "frontend/counting.h"
#include "frontend/kinds.h"
#include "frontend/stacked_items.h"

#include <variant>

namespace bifront {

using namespace syntax;

c10::SymInt sizeFrom(PyObject *number) {
  return isGraphNumber(number) ? c10::SymInt(symbolicNumber(number))
                               : c10::SymInt(PyLong_AsLongLong(number));
}

namespace {

// Whether this is a call that needs no more than the values of its arguments.
const syntax::Call *plainCall(const Expr &expression) {
  auto *call = std::get_if<syntax::Call>(&expression.node);
  bool isPlain = call && call->keywords.empty() && !call->args.empty() &&
                 std::holds_alternative<Name>(call->callee->node) &&
                 std::none_of(call->args.begin(), call->args.end(), [](const ExprPtr &argument) {
                   return std::holds_alternative<Starred>(argument->node);
                 });
  return isPlain ? call : nullptr;
}

bool isSameSize(PyObject *a, PyObject *b) {
  auto inWorld = [](PyObject *number, int world) { return sizeIn(sizeFrom(number), world); };
  return inWorld(a, 0) && inWorld(a, 0) == inWorld(b, 0) && inWorld(a, 1) == inWorld(b, 1);
}

} // namespace

std::unique_ptr<Interpreter::Counting> Interpreter::Counting::ofRows(Interpreter &in,
                                                                     PyObject *list) {
  PyRef rows = in.rowsOf(list);
  PyRef length = checked(PyObject_CallMethod(rows.get(), "size", "i", 0));
  auto counting = std::make_unique<Counting>(
      Counting{checked(PyLong_FromLong(0)), length, checked(PyLong_FromLong(1)), std::move(rows)});
  counting->of = Of::Rows;
  counting->list = PyRef::share(list);
  counting->before = checked(PySequence_List(list));
  return counting;
}

// Null where that is no list that grows; then it is `iterable`.
std::unique_ptr<Interpreter::Counting> Interpreter::Counting::ofExpression(Interpreter &in,
                                                                           PythonFrame &frame,
                                                                           const Expr &iterated,
                                                                           PyRef &iterable) {
  if (auto *call = plainCall(iterated))
    if (PyRef callee = in.eval(frame, *call->callee); goesThrough(callee.get()))
      return ofCall(in, frame, callee.get(), call->args, iterable);
  iterable = in.eval(frame, iterated);
  return holdsStacked(iterable.get()) ? ofRows(in, iterable.get()) : nullptr;
}

std::unique_ptr<Interpreter::Counting>
Interpreter::Counting::ofCall(Interpreter &in, PythonFrame &frame, PyObject *callee,
                              const std::vector<ExprPtr> &arguments, PyRef &iterable) {
  CallArguments values;
  std::vector<std::unique_ptr<Counting>> parts;
  for (const ExprPtr &argument : arguments) {
    PyRef value;
    parts.push_back(ofExpression(in, frame, *argument, value));
    values.positional.push_back(parts.back() ? parts.back()->list : value);
  }
  auto is = [&](PyTypeObject &type) { return callee == reinterpret_cast<PyObject *>(&type); };
  bool isOne = parts.size() == 1 && parts[0];
  if (is(PyReversed_Type) && isOne && parts[0]->of == Of::Rows && !parts[0]->backwards) {
    parts[0]->backwards = true;
    return std::move(parts[0]);
  }
  bool areLists =
      std::all_of(parts.begin(), parts.end(), [](const auto &part) { return part != nullptr; });
  if (is(PyEnum_Type) ? isOne : is(PyZip_Type) && areLists) {
    auto counting = std::make_unique<Counting>();
    counting->of = is(PyZip_Type) ? Of::Zip : Of::Enumerate;
    counting->parts = std::move(parts);
    if (!counting->findEnd(in))
      counting->refuse();
    return counting;
  }
  for (const auto &part : parts)
    if (part)
      part->refuse();
  iterable = in.call(callee, std::move(values));
  return nullptr;
}

// False where nobody can tell which of them ends first.
bool Interpreter::Counting::findEnd(Interpreter &in) {
  next = parts[0]->next, stop = parts[0]->stop, step = parts[0]->step;
  tellsTrips = parts[0]->tellsTrips;
  tensor = parts[0]->tensor;
  for (const auto &part : parts) {
    if (isSameSize(part->stop.get(), stop.get()))
      continue;
    tellsTrips = false;
    stop = in.extremeNumber(stop.get(), part->stop.get(), CompareOp::Lt);
    if (!stop)
      return false;
  }
  return true;
}

PyRef Interpreter::Counting::row(Interpreter &in, const PyRef &number) const {
  if (of == Of::Rows) {
    PyRef at = number;
    if (backwards) {
      PyRef left = in.binary(BinaryOp::Subtract, stop.get(), number.get());
      at = in.binary(BinaryOp::Subtract, left.get(), checked(PyLong_FromLong(1)).get());
    }
    return in.rowAt(tensor.get(), at.get(), holdsNumbers(before.get()));
  }
  std::vector<PyRef> items;
  if (of == Of::Enumerate)
    items.push_back(number);
  for (const auto &part : parts)
    items.push_back(part->row(in, number));
  return tupleOf(items);
}

void Interpreter::Counting::checkUnchanged(const Interpreter &in) const {
  if (list)
    in.checkUnchanged(list.get(), before.get());
  for (const auto &part : parts)
    part->checkUnchanged(in);
}

void Interpreter::Counting::refuse() const {
  for (const Counting *part = this;; part = part->parts[0].get())
    if (part->list)
      refuseStacked(*std::find_if(PySequence_Fast_ITEMS(part->before.get()),
                                  PySequence_Fast_ITEMS(part->before.get()) +
                                      PySequence_Fast_GET_SIZE(part->before.get()),
                                  stackedItems));
}

} // namespace bifront
