#include "frontend/counting.h"

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

bool isTogether(PyObject *callee) { return isOf(callee, PyZip_Type) || isOf(callee, PyEnum_Type); }

bool isInt(PyObject *number) {
  return PyLong_CheckExact(number) || (isGraphNumber(number) && numberType(number) == &PyLong_Type);
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

PyRef lengthOfTensor(PyObject *tensor) {
  return checked(PyObject_CallMethod(tensor, "size", "i", 0));
}

// Of a tensor.
bool isOfDynamicLength(PyObject *iterable) {
  return isProxyTensor(iterable) && !isOfNoDimension(iterable) &&
         isGraphNumber(lengthOfTensor(iterable).get());
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

bool Interpreter::Counting::hasNumbers() const {
  return of == Of::Numbers || std::any_of(parts.begin(), parts.end(),
                                          [](const Counting &part) { return part.hasNumbers(); });
}

// Of `tensor.tolist()`, whose items are numbers, or lists of such; null where these are to be made
// at once, as `iterable`, or where it is none.
std::unique_ptr<Interpreter::Counting> Interpreter::countingOfNumbers(PythonFrame &frame,
                                                                      const syntax::Call &call,
                                                                      const void *site,
                                                                      PyRef &iterable) {
  auto *method = std::get_if<Attribute>(&call.callee->node);
  if (!method || !call.args.empty() || !call.keywords.empty() ||
      PyUnicode_CompareWithASCIIString(method->name.get(), "tolist") != 0)
    return nullptr;
  PyRef tensor = eval(frame, *method->object);
  if (isProxyTensor(tensor.get()) && isExactTensor(tensor.get()) &&
      !isOfNoDimension(tensor.get())) {
    PyRef length = lengthOfTensor(tensor.get());
    bool counts = isGraphNumber(length.get()) && policyOf(site) != Policy::OneWay;
    if (counts || loopsInGraph(site, false, false)) {
      PyRef now = checked(PyObject_CallMethod(tensor.get(), "detach", nullptr));
      now = checked(PyObject_CallMethod(now.get(), "clone", nullptr)); // the body may write there
      return std::make_unique<Counting>(
          Counting{number(0), length, number(1), std::move(now), Counting::Of::Numbers});
    }
  }
  iterable = this->call(attribute(tensor.get(), method->name.get()).get(), {});
  return nullptr;
}

// Of a call of `range`; null where the graph does not count, and for one that raises.
std::unique_ptr<Interpreter::Counting>
Interpreter::countingOfRange(PyObject *callee, const CallArguments &arguments, const void *site) {
  const std::vector<PyRef> &bounds = arguments.positional;
  auto isNumber = [](const PyRef &bound) {
    return PyLong_CheckExact(bound.get()) || isGraphNumber(bound.get());
  };
  if (!isOf(callee, PyRange_Type) || !arguments.keywords.empty() || bounds.empty() ||
      bounds.size() > kMostBounds || !std::all_of(bounds.begin(), bounds.end(), isNumber))
    return nullptr;
  auto counting = std::make_unique<Counting>();
  counting->next = bounds.size() > 1 ? bounds[0] : number(0);
  counting->stop = bounds.size() > 1 ? bounds[1] : bounds[0];
  counting->step = bounds.size() > 2 ? bounds[2] : number(1);
  bool wantsLoop = counting->isOfGraph() || loopsInGraph(site, false, false);
  if (wantsLoop && PyLong_CheckExact(counting->step.get()) &&
      PyLong_AsLong(counting->step.get()) != 0)
    return counting;
  PyErr_Clear(); // a step beyond 64 bits
  return nullptr;
}

// Of what is iterated over; null where the graph does not count its items: then it is evaluated, as
// `iterable`.
std::unique_ptr<Interpreter::Counting> Interpreter::countingOf(PythonFrame &frame,
                                                               const Expr &iterated,
                                                               const void *site, PyRef &iterable) {
  auto *call = std::get_if<syntax::Call>(&iterated.node);
  bool isPlain = host_.policies && call && isPlainCall(*call);
  PyRef callee = isPlain ? eval(frame, *call->callee) : PyRef();
  if (callee && isTogether(callee.get()))
    return countingTogether(frame, *call, callee.get(), site, iterable);
  if (!callee || !call->keywords.empty() || call->args.size() > kMostBounds) {
    iterable = eval(frame, iterated);
  } else {
    CallArguments arguments = argumentsOf(frame, *call);
    if (auto range = countingOfRange(callee.get(), arguments, site))
      return range;
    iterable = this->call(callee.get(), std::move(arguments));
  }
  if (!host_.policies)
    return nullptr;
  if (holdsStacked(iterable.get())) {
    PyRef rows = rowsOf(iterable.get());
    PyRef length = lengthOfTensor(rows.get());
    return std::make_unique<Counting>(
        Counting{number(0), length, number(1), std::move(rows), Counting::Of::Rows});
  }
  if (auto grown = grownList(iterable.get(), site))
    return std::make_unique<Counting>(Counting{number(0), std::move(grown->before), number(1),
                                               iterable, Counting::Of::Grown,
                                               std::move(grown->own)});
  bool counts = leadsToItems(iterable.get()) || isOfDynamicLength(iterable.get());
  return counts || loopsInGraph(site, false, false) ? countingOfItems(iterable) : nullptr;
}

// Of a tensor, or of a list that only the run knows, which it takes; null for others.
std::unique_ptr<Interpreter::Counting> Interpreter::countingOfItems(PyRef &iterable) {
  bool isPointer = leadsToItems(iterable.get());
  if (!isPointer && (!isProxyTensor(iterable.get()) || isOfNoDimension(iterable.get())))
    return nullptr;
  PyRef length = isPointer ? pointerLength(iterable.get()) : lengthOfTensor(iterable.get());
  return std::make_unique<Counting>(
      Counting{number(0), length, number(1), std::move(iterable),
               isPointer ? Counting::Of::Pointer : Counting::Of::Itself});
}

PyRef Interpreter::itemOf(const Counting &counting, const PyRef &number) {
  PyObject *from = counting.tensor.get();
  switch (counting.of) {
  case Counting::Of::Range: return number;
  case Counting::Of::Itself:
  case Counting::Of::Pointer: return item(from, number.get());
  case Counting::Of::Rows: return rowAt(from, number.get());
  case Counting::Of::Grown: return itemOfGrown(from, number.get());
  case Counting::Of::Numbers: return listOfNumbers(item(from, number.get()).get());
  case Counting::Of::Zip:
  case Counting::Of::Enumerate: break;
  }
  std::vector<PyRef> items;
  if (counting.of == Counting::Of::Enumerate)
    items.push_back(binary(BinaryOp::Add, number.get(), from));
  for (const Counting &part : counting.parts)
    items.push_back(itemOf(part, number));
  return tupleOf(items);
}

PyRef Interpreter::listOfNumbers(PyObject *tensor) {
  PyRef name = checked(PyUnicode_InternFromString("tolist"));
  return call(attribute(tensor, name.get()).get(), {});
}

//===- zip() and enumerate() ---------------------------------------------------------------===//

// One of what they are given: as the graph may count it, or as it is.
struct Interpreter::CountedPart {
  std::unique_ptr<Counting> counting;
  PyRef iterable;
};

Interpreter::CountedPart Interpreter::countedPart(PythonFrame &frame, const Expr &expression,
                                                  const void *site) {
  CountedPart part;
  auto *call = std::get_if<syntax::Call>(&expression.node);
  if (call)
    part.counting = countingOfNumbers(frame, *call, site, part.iterable);
  if (part.counting || part.iterable)
    return part;
  PyRef callee = call && isPlainCall(*call) ? eval(frame, *call->callee) : PyRef();
  if (callee && isTogether(callee.get()))
    part.counting = countingTogether(frame, *call, callee.get(), site, part.iterable);
  else
    part.iterable = eval(frame, expression);
  return part;
}

// What is told by counting all the same where the others are; false for what is not.
bool Interpreter::becomesCounted(CountedPart &part) {
  if (!part.counting)
    part.counting = countingOfItems(part.iterable);
  return static_cast<bool>(part.counting);
}

// What CPython would go through.
PyRef Interpreter::iterableOf(const Counting &counting) {
  if (counting.of == Counting::Of::Numbers)
    return listOfNumbers(counting.tensor.get());
  if (counting.of != Counting::Of::Zip && counting.of != Counting::Of::Enumerate)
    return counting.tensor;
  CallArguments arguments;
  for (const Counting &part : counting.parts)
    arguments.positional.push_back(iterableOf(part));
  bool isZip = counting.of == Counting::Of::Zip;
  if (!isZip)
    arguments.positional.push_back(counting.tensor);
  PyTypeObject &type = isZip ? PyZip_Type : PyEnum_Type;
  return call(reinterpret_cast<PyObject *>(&type), std::move(arguments));
}

PyRef Interpreter::lesserNumber(const PyRef &one, const PyRef &other) {
  if (PyRef number = extremeNumber(one.get(), other.get(), CompareOp::Lt))
    return number;
  return truth(compare(CompareOp::Le, one.get(), other.get()).get()) ? one : other;
}

// Null where the graph does not count what it is given: then it is called, as `iterable`.
std::unique_ptr<Interpreter::Counting>
Interpreter::countingTogether(PythonFrame &frame, const syntax::Call &call, PyObject *callee,
                              const void *site, PyRef &iterable) {
  bool isZip = isOf(callee, PyZip_Type);
  size_t numParts = isZip ? call.args.size() : std::min<size_t>(call.args.size(), 1);
  std::vector<CountedPart> parts;
  for (size_t i = 0; i < numParts; ++i)
    parts.push_back(countedPart(frame, *call.args[i], site));
  CallArguments arguments; // that come behind
  for (size_t i = numParts; i < call.args.size(); ++i)
    arguments.positional.push_back(eval(frame, *call.args[i]));
  for (const Keyword &keyword : call.keywords)
    arguments.keywords.emplace_back(keyword.name, eval(frame, *keyword.value));
  PyRef first = isZip ? PyRef() : firstNumber(arguments);
  bool isPlain = isZip ? arguments.keywords.empty() : static_cast<bool>(first);
  bool counts = std::any_of(parts.begin(), parts.end(), [&](const CountedPart &part) {
    return part.counting ? part.counting->isOfGraph() : isOfDynamicLength(part.iterable.get());
  });
  auto becomes = [&](CountedPart &part) { return becomesCounted(part); };
  if (isPlain && counts && std::all_of(parts.begin(), parts.end(), becomes)) {
    Counting together{number(0), parts[0].counting->stop, number(1), first,
                      isZip ? Counting::Of::Zip : Counting::Of::Enumerate};
    for (CountedPart &part : parts) {
      together.stop = lesserNumber(together.stop, part.counting->stop);
      together.parts.push_back(std::move(*part.counting));
    }
    return std::make_unique<Counting>(std::move(together));
  }
  for (size_t i = 0; i < numParts; ++i)
    arguments.positional.insert(arguments.positional.begin() + static_cast<ptrdiff_t>(i),
                                parts[i].counting ? iterableOf(*parts[i].counting)
                                                  : parts[i].iterable);
  iterable = this->call(callee, std::move(arguments));
  return nullptr;
}

} // namespace bifront
