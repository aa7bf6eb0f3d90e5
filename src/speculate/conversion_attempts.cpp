// What a conversion tries, one after the other, until a graph comes of it.
#include "speculate/converted_function.h"

#include "speculate/convert.h"
#include "speculate/object_layout.h"
#include "support/options.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

// An object among the arguments of a graph, and the one that a call has in its place.
struct OtherObject {
  PyObject *before, *now;
  PyObject *dictBefore = dictOf(before), *dictNow = dictOf(now);

  // The number in the same attribute; nothing where there is none, or the slot is of other things.
  std::optional<Slot> follow(const Slot &slot) const {
    PyObject *holder = slot.object.get();
    bool isOfDict = dictBefore && dictNow && holder == dictBefore;
    if (!isOfDict && holder != before)
      return std::nullopt;
    Slot other{slot.kind, PyRef::share(isOfDict ? dictNow : now), slot.key};
    PyRef value = valueIn(other);
    bool isNumber = value && isNumberOrTensor(value.get()) && !THPVariable_Check(value.get());
    return isNumber ? std::optional(std::move(other)) : std::nullopt;
  }
};

} // namespace

// What a graph is to have as inputs, and which of that is to decide its path.
struct ConvertedFunction::Attempt {
  Varying inputs, decided;
  std::vector<AskedSizes> questions;
  // Where questions leave a single size, the sizes themselves decide, each a path; which a function
  // can have that is not too long.
  bool decidesSizes = true;
  bool takesChanges = true;                  // as inputs: numbers that the call itself changes
  Varying refused = {};                      // of these
  Varying unused = {};                       // inputs that it does without
  std::optional<ConversionError> first = {}; // what stood in the way

  // Gives up as little as it can of what the conversion could not do without; whether that is
  // anything.
  bool yieldTo(const ConversionError &error) {
    constexpr size_t kMostQuestions = 8;
    if (error.question && questions.size() < kMostQuestions &&
        std::ranges::count(questions, *error.question) == 0) {
      questions.push_back(*error.question);
      return true;
    }
    if (error.isOfInputs()) {
      inputs.remove(error.unused);
      inputs.add(error.changes);
      unused.add(error.unused);
      return true;
    }
    if (inputs.part(error.needed))
      return true;
    Varying values = error.needed;
    values.keep(inputs);
    if (values.empty())
      return false;
    Varying sizes = values, choices; // that may decide the path
    sizes.choices.clear();
    sizes.dropSlots();
    sizes.remove(decided);
    if (sizes.empty()) {
      inputs.remove(values);
      decided.remove(values);
      refused.add(values);
    }
    std::swap(choices.values, sizes.values);
    choices.makeChoices();
    inputs.add(choices);
    decided.add(sizes);
    return true;
  }
};

// Null where it cannot be.
std::shared_ptr<const ConvertedGraph> ConvertedFunction::convertWith(Attempt &attempt,
                                                                     ConversionRequest &request) {
  const Varying asked = varying_; // other threads may learn more during a conversion
  do {
    request.varying = attempt.inputs;
    request.decided = attempt.decided;
    request.questions = attempt.questions;
    request.mayPinSizes = !attempt.decidesSizes;
    request.asksPinned = !questions_.empty() && attempt.decided.empty();
    request.changing.reset();
    if (attempt.takesChanges && options_.walked) {
      request.changing.emplace(constants_);
      request.changing->add(attempt.refused);
      request.changing->add(attempt.unused);
    }
    request.forks = request.forks || (options_.walked && !attempt.inputs.empty());
    try {
      auto graph = bifront::convert(request);
      // Earlier paths begin without these decisions.
      if (!decided_.hasAll(attempt.decided) || attempt.inputs.numParting() > varying_.numParting())
        paths_.clear();
      decided_.add(attempt.decided);
      questions_ = attempt.questions;
      if (varying_.hasSmall() && !attempt.inputs.hasSmall())
        keepSmallSizesApart();
      Varying rest = asked;
      varying_.add(attempt.inputs); // numbers may be choices now
      rest.add(attempt.refused);
      rest.remove(attempt.inputs);
      rest.remove(attempt.unused);
      makeConstant(rest);
      return graph;
    } catch (const ConversionError &error) {
      if (error.wantsCall)
        throw;
      attempt.first = error;
    }
    if (!attempt.inputs.empty() && !attempt.first->isOfInputs())
      log(std::string("cannot have as inputs what varies: ") + attempt.first->what());
  } while (attempt.yieldTo(*attempt.first));
  return nullptr;
}

// An input may be what stands in the way: a number that the program needs to know, or a size. Then
// it decides the path, if that helps, and is a constant otherwise.
std::shared_ptr<const ConvertedGraph> ConvertedFunction::convertVarying(ConversionRequest request) {
  Attempt whole{varying_, decided_, questions_};
  followObjects(whole, request);
  if (auto graph = convertWith(whole, request))
    return graph;
  Attempt asking{varying_, decided_, questions_, /*decidesSizes=*/false};
  if (!whole.questions.empty())
    if (auto graph = convertWith(asking, request))
      return graph;
  std::vector<Attempt> others;
  auto tryToo = [&](Varying inputs, Varying decided) {
    others.push_back({std::move(inputs), std::move(decided), questions_, /*decidesSizes=*/true,
                      /*takesChanges=*/false});
  };
  Varying sizes, values = whole.inputs, known = whole.inputs, large = whole.inputs;
  large.forgetSmall();
  std::swap(sizes.dimensions, values.dimensions);
  // The very objects may do, with all else that varies.
  request.varying = whole.inputs;
  if (Varying objects = pointersOf(request); !objects.empty()) {
    others.push_back({whole.inputs, whole.decided, questions_});
    others.back().inputs.remove(objects);
    followObjects(others.back(), request);
  }
  bool hasMore = known.makeChoices() || sizes.size() > whole.decided.size();
  if (whole.inputs.hasSmall())
    tryToo(large, whole.decided);
  if (hasMore)
    tryToo(known, sizes);
  if (!sizes.empty() && !values.empty()) {
    tryToo(sizes, {});
    tryToo(values, {});
  }
  if (!whole.inputs.empty())
    tryToo({}, {});
  for (Attempt &other : others)
    if (auto graph = convertWith(other, request))
      return graph;
  throw ConversionError(*whole.first); // it says what stands in the way
}

// With as many opaque calls as it takes. What they return nobody foresees: branches have both ways.
std::shared_ptr<const ConvertedGraph>
ConvertedFunction::convertWithCalls(ConversionRequest request) {
  constexpr int kMostCalls = 16;
  sites_.takeNew();
  for (int found = 0;; ++found) {
    request.forks = request.forks || !sites_.functions().empty();
    try {
      return convertVarying(request);
    } catch (const ConversionError &error) {
      bool isOfFunction = error.reason == ExitReason::CaptureFailed && !error.raised;
      bool changes = sites_.takeNew() || (isOfFunction && !sites_.needsSamples() &&
                                          sites_.refuseWalkable(error.what()));
      if (!changes || found == kMostCalls)
        throw;
    }
  }
}

// Whether a graph knows the place that is not about this object.
bool ConvertedFunction::isKnownWithout(const LeafPlace &place, size_t argument,
                                       PyObject *object) const {
  return std::ranges::any_of(kept_, [&](const auto &kept) {
    const ConvertedGraph &graph = *kept->graph;
    return graph.arguments.size() > argument && graph.arguments[argument].identity() != object &&
           std::ranges::any_of(graph.leafPlaces,
                               [&](const LeafPlace &known) { return samePlace(known, place); });
  });
}

// Whether the arguments have other objects in the places of those that a graph is about.
bool ConvertedFunction::isForOthers(const ConvertedGraph &graph, const ConversionRequest &request) {
  std::vector<PyObject *> before, now = SeenCalls::objectsAmong(request.args, request.total());
  for (const ValuePattern &pattern : graph.arguments)
    pattern.forEachIdentity([&](PyObject *object) { before.push_back(object); });
  auto isAmong = [](const std::vector<PyObject *> &objects, PyObject *object) {
    return std::ranges::count(objects, object) > 0;
  };
  return std::ranges::any_of(before, [&](PyObject *one) {
    return !isAmong(now, one) && std::ranges::any_of(now, [&](PyObject *other) {
      return Py_TYPE(one) == Py_TYPE(other) && !isAmong(before, other);
    });
  });
}

// The numbers of the objects that the graphs are about do not matter, and those of the objects that
// the arguments have in their places will vary as they have.
void ConvertedFunction::followObjects(Attempt &attempt, const ConversionRequest &request) const {
  for (const auto &kept : kept_)
    for (uint32_t i = 0; i < std::min(request.total(), kept->graph->arguments.size()); ++i) {
      PyObject *before = kept->graph->arguments[i].identity();
      if (!before || before == request.args[i] || Py_TYPE(before) != Py_TYPE(request.args[i]) ||
          attempt.inputs.has(LeafPlace{{i}, std::nullopt}))
        continue;
      OtherObject object{before, request.args[i]};
      Varying known = attempt.inputs;
      for (const LeafPlace &place : known.values) {
        auto other = place.slot && place.path.empty() ? object.follow(*place.slot) : std::nullopt;
        if (!other || differed_.has(place) || isKnownWithout(place, i, before))
          continue;
        Varying gone{{place}, {}, {}};
        attempt.inputs.remove(gone);
        attempt.unused.add(gone);
        attempt.inputs.add({{{{}, std::move(other)}}, {}, {}});
      }
    }
}

} // namespace bifront
