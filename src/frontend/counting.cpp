#include "frontend/counting.h"

#include "capture/symbolic.h"
#include "frontend/grown_lists.h"
#include "frontend/stacked_items.h"

#include <algorithm>

namespace bifront {

using namespace syntax;

namespace {

constexpr size_t kMostBounds = 3; // of a range

bool isOf(PyObject *callee, PyTypeObject &type) {
  return callee == reinterpret_cast<PyObject *>(&type);
}

// What goes through its arguments without looking at what is in them.
bool goesThroughArguments(PyObject *callee) {
  return isOf(callee, PyRange_Type) || isOf(callee, PyReversed_Type) || isOf(callee, PyEnum_Type) ||
         isOf(callee, PyZip_Type);
}

bool isInt(PyObject *number) {
  return isGraphNumber(number) ? numberType(number) == &PyLong_Type
                               : PyLong_CheckExact(number) && fitsGraph(number);
}

// A call by a name, of arguments that stand there one by one.
bool isPlainCall(const syntax::Call &call) {
  auto isStarred = [](const ExprPtr &argument) {
    return std::holds_alternative<Starred>(argument->node);
  };
  auto isMapping = [](const Keyword &keyword) { return !keyword.name; };
  return std::holds_alternative<Name>(call.callee->node) && !call.args.empty() &&
         std::none_of(call.args.begin(), call.args.end(), isStarred) &&
         std::none_of(call.keywords.begin(), call.keywords.end(), isMapping);
}

PyRef number(long value) { return checked(PyLong_FromLong(value)); }

bool isNumber(const PyRef &object, long value) {
  return PyLong_CheckExact(object.get()) && PyLong_AsLong(object.get()) == value;
}

PyRef lengthOfTensor(PyObject *tensor) {
  return checked(PyObject_CallMethod(tensor, "size", "i", 0));
}

// That enumerate() is to begin with; null where it is none for the graph.
PyRef firstNumber(const CallArguments &arguments) {
  size_t given = arguments.positional.size() + arguments.keywords.size();
  if (given == 0)
    return number(0);
  bool isNamed = !arguments.keywords.empty();
  if (given > 1 || (isNamed && PyUnicode_CompareWithASCIIString(arguments.keywords[0].first.get(),
                                                                "start") != 0))
    return {};
  PyRef first = isNamed ? arguments.keywords[0].second : arguments.positional[0];
  return isInt(first.get()) ? first : PyRef();
}

} // namespace

const syntax::Attribute *callOfToList(const Expr &expression) {
  auto *call = std::get_if<syntax::Call>(&expression.node);
  auto *method = call ? std::get_if<syntax::Attribute>(&call->callee->node) : nullptr;
  bool isIt = method && call->args.empty() && call->keywords.empty() &&
              PyUnicode_CompareWithASCIIString(method->name.get(), "tolist") == 0;
  return isIt ? method : nullptr;
}

c10::SymInt sizeFrom(PyObject *number) {
  return isGraphNumber(number) ? c10::SymInt(symbolicNumber(number))
                               : c10::SymInt(PyLong_AsLongLong(number));
}

//===- What there is to count --------------------------------------------------------------===//

// For the loop at `site`.
class Interpreter::Counting::Search {
public:
  // What can be counted, or what is to be iterated over.
  struct Found {
    std::optional<Counting> counting;
    PyRef iterable;
    PyRef first = {}; // as Iterable's
  };

  Search(Interpreter &in, PythonFrame &frame, const void *site)
      : in_(in), frame_(frame), site_(site) {}

  Found ofExpression(const Expr &expression) {
    if (auto *method = callOfToList(expression))
      return ofNumbers(*method);
    auto *call = std::get_if<syntax::Call>(&expression.node);
    PyRef callee = call && isPlainCall(*call) ? in_.eval(frame_, *call->callee) : PyRef();
    return callee && goesThroughArguments(callee.get()) ? ofCall(callee.get(), *call)
                                                        : ofValue(in_.eval(frame_, expression));
  }

private:
  static Counting itemsOf(Of of, PyRef from, PyRef length) {
    return {.of = of,
            .next = number(0),
            .stop = std::move(length),
            .step = number(1),
            .from = std::move(from)};
  }

  // Of `tensor.tolist()`, whose items are numbers, or lists of such; or these are made at once.
  Found ofNumbers(const syntax::Attribute &method) {
    PyRef tensor = in_.eval(frame_, *method.object);
    if (isProxyTensor(tensor.get()) && isExactTensor(tensor.get()) &&
        !isOfNoDimension(tensor.get())) {
      PyRef length = lengthOfTensor(tensor.get());
      bool counts = isGraphNumber(length.get()) && in_.policyOf(site_) != Policy::OneWay;
      if (counts || in_.loopsInGraph(site_, false, false)) {
        PyRef now = in_.letOthersRun({tensor.get()}, [&] {
          PyRef same = checked(PyObject_CallMethod(tensor.get(), "detach", nullptr));
          return checked(PyObject_CallMethod(same.get(), "clone", nullptr)); // the body may write
        });
        return {itemsOf(Of::Numbers, std::move(now), std::move(length)), {}};
      }
    }
    return ofValue(in_.call(in_.attribute(tensor.get(), method.name.get()).get(), {}));
  }

  Found ofCall(PyObject *callee, const syntax::Call &call) {
    size_t numParts = isOf(callee, PyZip_Type) ? call.args.size() : !isOf(callee, PyRange_Type);
    std::vector<Found> parts;
    for (size_t i = 0; i < numParts; ++i)
      parts.push_back(ofExpression(*call.args[i]));
    CallArguments rest;
    for (size_t i = numParts; i < call.args.size(); ++i)
      rest.positional.push_back(in_.eval(frame_, *call.args[i]));
    for (const Keyword &keyword : call.keywords)
      rest.keywords.emplace_back(keyword.name, in_.eval(frame_, *keyword.value));
    if (auto counting = counted(callee, parts, rest))
      return {std::move(counting), {}};
    if (isOf(callee, PyEnum_Type) && in_.ownGenerator(parts[0].iterable))
      if (PyRef first = firstNumber(rest))
        return {std::nullopt, std::move(parts[0].iterable), std::move(first)};
    for (size_t i = 0; i < numParts; ++i)
      rest.positional.insert(rest.positional.begin() + static_cast<ptrdiff_t>(i),
                             iterableOf(std::move(parts[i])));
    return ofValue(in_.call(callee, std::move(rest)));
  }

  PyRef iterableOf(Found part) {
    if (part.counting)
      return part.counting->iterable(in_);
    if (!part.first)
      return std::move(part.iterable);
    return in_.call(reinterpret_cast<PyObject *>(&PyEnum_Type),
                    {{std::move(part.iterable), std::move(part.first)}, {}});
  }

  // Nothing where CPython's is to be called.
  std::optional<Counting> counted(PyObject *callee, std::vector<Found> &parts,
                                  const CallArguments &rest) {
    auto counts = [&](const Found &part) {
      return part.counting && (part.counting->own.empty() || parts.size() == 1);
    };
    if (isOf(callee, PyRange_Type))
      return ofRange(rest);
    if (!std::all_of(parts.begin(), parts.end(), counts))
      return std::nullopt;
    bool isAlone = rest.positional.empty() && rest.keywords.empty();
    if (isOf(callee, PyReversed_Type))
      return isAlone && parts[0].counting->turn(in_) ? std::move(parts[0].counting) : std::nullopt;
    if (isOf(callee, PyZip_Type))
      return isAlone ? std::optional(together(Of::Zip, {}, parts)) : std::nullopt;
    PyRef first = firstNumber(rest);
    return first ? std::optional(together(Of::Enumerate, first, parts)) : std::nullopt;
  }

  // Nothing for one that raises, too.
  static std::optional<Counting> ofRange(const CallArguments &arguments) {
    const std::vector<PyRef> &bounds = arguments.positional;
    auto isBound = [](const PyRef &bound) { return isInt(bound.get()); };
    if (!arguments.keywords.empty() || bounds.size() > kMostBounds ||
        !std::all_of(bounds.begin(), bounds.end(), isBound))
      return std::nullopt;
    Counting range = itemsOf(Of::Range, {}, bounds.size() > 1 ? bounds[1] : bounds[0]);
    if (bounds.size() > 1)
      range.next = bounds[0];
    if (bounds.size() > 2)
      range.step = bounds[2];
    bool isKnownStep = PyLong_CheckExact(range.step.get()) && !isNumber(range.step, 0);
    return isKnownStep ? std::optional(std::move(range)) : std::nullopt;
  }

  // As many items as the shortest has.
  Counting together(Of of, const PyRef &first, std::vector<Found> &parts) {
    Counting all = itemsOf(of, first, parts[0].counting->length(in_));
    for (Found &part : parts) {
      PyRef length = part.counting->length(in_);
      if (!isSame(length, all.stop)) {
        all.stop = lesser(all.stop, length);
        all.tellsTrips = false;
      }
      all.tellsTrips = all.tellsTrips && part.counting->tellsTrips;
      all.parts.push_back(std::move(*part.counting));
    }
    for (const PyRef &item : all.parts[0].own) {
      PyRef behind = number(static_cast<long>(all.own.size()));
      behind = in_.binary(BinaryOp::Add, all.stop.get(), behind.get());
      all.own.push_back(all.tupleAt(in_, behind, {item}));
    }
    return all;
  }

  // As many at any run.
  bool isSame(const PyRef &one, const PyRef &other) {
    auto isKnown = [](const PyRef &number) {
      return !isGraphNumber(number.get()) ||
             SymbolicScalar::of(symbolicNumber(number.get()))->isKnown();
    };
    auto inWorld = [](const PyRef &number, int world) {
      return sizeIn(sizeFrom(number.get()), world);
    };
    bool isSize = isInt(one.get()) && isInt(other.get()) && isKnown(one) && isKnown(other);
    if (isSize)
      return inWorld(one, 0) == inWorld(other, 0) && inWorld(one, 1) == inWorld(other, 1);
    return in_.compare(CompareOp::Eq, one.get(), other.get()).get() == Py_True;
  }

  PyRef lesser(const PyRef &one, const PyRef &other) {
    if (PyRef number = in_.extremeNumber(one.get(), other.get(), CompareOp::Lt))
      return number;
    return in_.truth(in_.compare(CompareOp::Le, one.get(), other.get()).get()) ? one : other;
  }

  Found ofValue(PyRef value) {
    PyObject *object = value.get();
    if (holdsStacked(object)) {
      PyRef rows = in_.rowsOf(object);
      Counting items = itemsOf(Of::Stacked, value, lengthOfTensor(rows.get()));
      items.rows = std::move(rows);
      items.before = checked(PySequence_List(object));
      return {std::move(items), {}};
    }
    if (auto grown = in_.grownList(object, site_)) {
      Counting items = itemsOf(Of::Grown, value, std::move(grown->before));
      items.own = std::move(grown->own);
      return {std::move(items), {}};
    }
    if (in_.leadsToItems(object))
      return {itemsOf(Of::Pointer, value, in_.pointerLength(object)), {}};
    if (isProxyTensor(object) && !isOfNoDimension(object))
      return {itemsOf(Of::Tensor, value, lengthOfTensor(object)), {}};
    return {std::nullopt, std::move(value)};
  }

  Interpreter &in_;
  PythonFrame &frame_;
  const void *site_;
};

std::optional<Interpreter::Counting>
Interpreter::Counting::find(Interpreter &in, PythonFrame &frame, const Expr &iterated,
                            const void *site, Iterable &iterable) {
  Search::Found found = Search(in, frame, site).ofExpression(iterated);
  bool counts = found.counting && in.host_.policies &&
                (found.counting->isOfGraph() || in.loopsInGraph(site, false, false));
  if (counts)
    return std::move(found.counting);
  iterable.mayCount = found.counting.has_value();
  iterable.object = found.counting ? found.counting->iterable(in) : std::move(found.iterable);
  iterable.first = std::move(found.first);
  return std::nullopt;
}

//===- The items ---------------------------------------------------------------------------===//

bool Interpreter::Counting::isOfGraph() const {
  auto isOfGraphItself = [](const Counting &part) { return part.isOfGraph(); };
  return of == Of::Stacked || isGraphNumber(next.get()) || isGraphNumber(stop.get()) ||
         std::any_of(parts.begin(), parts.end(), isOfGraphItself);
}

bool Interpreter::Counting::goesThrough(Of kind) const {
  return of == kind || std::any_of(parts.begin(), parts.end(),
                                   [&](const Counting &part) { return part.goesThrough(kind); });
}

// Less than 0 for some ranges that are empty.
PyRef Interpreter::Counting::length(Interpreter &in) const {
  PyRef length = isNumber(next, 0) ? stop : in.binary(BinaryOp::Subtract, stop.get(), next.get());
  if (isNumber(step, 1))
    return length;
  PyRef toNext = in.binary(BinaryOp::Subtract, step.get(), number(goesUp() ? 1 : -1).get());
  length = in.binary(BinaryOp::Add, length.get(), toNext.get());
  return in.binary(BinaryOp::FloorDivide, length.get(), step.get());
}

// The one that has so many ahead of it.
PyRef Interpreter::Counting::numberAt(Interpreter &in, const PyRef &position) const {
  PyRef number =
      isNumber(step, 1) ? position : in.binary(BinaryOp::Multiply, position.get(), step.get());
  return isNumber(next, 0) ? number : in.binary(BinaryOp::Add, next.get(), number.get());
}

// False where reversed() does something else, or raises.
bool Interpreter::Counting::turn(Interpreter &in) {
  if (backwards || (of != Of::Range && of != Of::Numbers && of != Of::Stacked))
    return false;
  backwards = true;
  if (of != Of::Range)
    return true;
  PyRef last = in.binary(BinaryOp::Subtract, length(in).get(), number(1).get());
  last = numberAt(in, last);
  stop = in.binary(BinaryOp::Subtract, next.get(), step.get());
  next = std::move(last);
  step = in.unary(UnaryOp::Negative, step.get());
  return true;
}

PyRef Interpreter::Counting::listOfNumbers(Interpreter &in, PyObject *tensor) {
  PyRef name = checked(PyUnicode_InternFromString("tolist"));
  return in.call(in.attribute(tensor, name.get()).get(), {});
}

PyRef Interpreter::Counting::itemAt(Interpreter &in, const PyRef &number) const {
  if (of == Of::Range)
    return number;
  PyRef at = number;
  if (backwards) {
    at = in.binary(BinaryOp::Subtract, stop.get(), number.get());
    at = in.binary(BinaryOp::Subtract, at.get(), checked(PyLong_FromLong(1)).get());
  }
  if (of == Of::Stacked)
    return in.rowAt(rows.get(), at.get(), holdsNumbers(before.get()));
  if (of == Of::Grown)
    return in.itemOfGrown(from.get(), at.get());
  if (of == Of::Numbers)
    return listOfNumbers(in, in.item(from.get(), at.get()).get());
  if (parts.empty())
    return in.item(from.get(), at.get());
  std::vector<PyRef> items;
  for (const Counting &part : parts)
    items.push_back(part.itemAt(in, part.numberAt(in, number)));
  return tupleAt(in, number, std::move(items));
}

// As zip() or enumerate() gives the items of the parts.
PyRef Interpreter::Counting::tupleAt(Interpreter &in, const PyRef &number,
                                     std::vector<PyRef> items) const {
  if (of == Of::Enumerate)
    items.insert(items.begin(), in.binary(BinaryOp::Add, number.get(), from.get()));
  return tupleOf(items);
}

PyRef Interpreter::Counting::tripsLeft(Interpreter &in, const PyRef &number) const {
  if (!tellsTrips || (!isNumber(step, 1) && !isNumber(step, -1)))
    return {};
  return goesUp() ? in.binary(BinaryOp::Subtract, stop.get(), number.get())
                  : in.binary(BinaryOp::Subtract, number.get(), stop.get());
}

void Interpreter::Counting::checkUnchanged(Interpreter &in, const void *site) const {
  if (of == Of::Stacked)
    in.checkUnchanged(from.get(), before.get());
  if (of == Of::Grown && in.log_.appendedTo(from.get()) != own.size())
    throw CannotFork(site, Policy::OneWay, "a list that has grown is changed in a loop over it");
  for (const Counting &part : parts)
    part.checkUnchanged(in, site);
}

PyRef Interpreter::Counting::iterable(Interpreter &in) const {
  auto called = [&](PyTypeObject &type, std::vector<PyRef> arguments) {
    return in.call(reinterpret_cast<PyObject *>(&type), {std::move(arguments), {}});
  };
  if (of == Of::Range) {
    PyRef range = called(PyRange_Type, {next, stop, step});
    return backwards ? in.iterate(range.get()) : range; // as reversed() gives it
  }
  PyRef all = of == Of::Numbers ? listOfNumbers(in, from.get()) : from;
  if (backwards)
    return called(PyReversed_Type, {all});
  if (parts.empty())
    return all;
  std::vector<PyRef> arguments;
  for (const Counting &part : parts)
    arguments.push_back(part.iterable(in));
  if (of == Of::Zip)
    return called(PyZip_Type, std::move(arguments));
  arguments.push_back(from);
  return called(PyEnum_Type, std::move(arguments));
}

} // namespace bifront
