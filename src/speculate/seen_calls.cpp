#include "speculate/seen_calls.h"

#include "speculate/choices.h"
#include "speculate/converted_graph.h"
#include "speculate/precheck.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {

// Values and objects of one place that calls are converted for when they are first met.
constexpr size_t kAtOnce = 2;
// That have graphs, and of which is known that they wait.
constexpr size_t kMostObjects = 64;

void SeenCalls::note(PyObject *value, const ValuePath &path, std::vector<Leaf> &leaves) {
  if (leaves.size() >= kMostLeaves || path.size() > kDeepest)
    return;
  if (THPVariable_CheckExact(value)) {
    const at::Tensor &tensor = THPVariable_Unpack(value);
    if (isOrdinaryTensor(tensor))
      leaves.push_back({path, {}, tensor.sizes().vec()});
    return;
  }
  if (isChoice(value)) {
    leaves.push_back({path, PyRef::share(value), {}});
    return;
  }
  ValuePath inside = path;
  inside.push_back(0);
  if (PyTuple_Check(value) || PyList_CheckExact(value)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i, ++inside.back())
      note(PySequence_Fast_GET_ITEM(value, i), inside, leaves);
  } else if (PyDict_CheckExact(value)) {
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t position = 0; PyDict_Next(value, &position, &key, &item); ++inside.back())
      note(item, inside, leaves);
  } else {
    leaves.push_back({path, {}, {}, value});
  }
}

std::vector<PyObject *> SeenCalls::objectsAmong(PyObject *const *args, size_t total) {
  std::vector<Leaf> leaves;
  for (uint32_t i = 0; i < total; ++i)
    note(args[i], {i}, leaves);
  std::vector<PyObject *> objects;
  for (const Leaf &leaf : leaves)
    if (leaf.object)
      objects.push_back(leaf.object);
  return objects;
}

// Not zero.
static uint64_t changeOf(int64_t one, int64_t other) {
  return (static_cast<uint64_t>(one) * 0xff51afd7ed558ccd + static_cast<uint64_t>(other)) | 1;
}

// Whether they are items of one list or tuple, and alike but for that dimension.
bool SeenCalls::areAlike(const Leaf &one, const Leaf &other, size_t dimension) {
  bool areThey = areItemsOfOne(one.path, other.path) && one.sizes.size() == other.sizes.size();
  for (size_t d = 0; areThey && d < one.sizes.size(); ++d)
    areThey = d == dimension || one.sizes[d] == other.sizes[d];
  return areThey;
}

// What one item varies in, those beside it will vary in too.
void SeenCalls::addSiblings(const std::vector<Leaf> &leaves, Varying &varying) {
  auto holds = [&](const Leaf &leaf, int64_t dimension) {
    return varying.has(Varying::Dimension{{leaf.path, std::nullopt}, dimension});
  };
  std::vector<Varying::Dimension> known = varying.dimensions;
  for (const Varying::Dimension &varies : known) {
    auto d = static_cast<size_t>(varies.dimension);
    auto one = std::ranges::find(leaves, varies.place.path, &Leaf::path);
    for (const Leaf &leaf : leaves)
      if (areAlike(*one, leaf, d) && !holds(leaf, varies.dimension))
        varying.dimensions.push_back({{leaf.path, std::nullopt},
                                      varies.dimension,
                                      /*small=*/leaf.sizes[d] < 2,
                                      /*large=*/leaf.sizes[d] > 1,
                                      /*parts=*/false,
                                      changeOf(leaf.path.back(), -1)});
  }
}

Varying SeenCalls::add(PyObject *const *args, size_t count, PyObject *keywordNames) {
  std::vector<Leaf> now;
  size_t total = count + (keywordNames ? PyTuple_GET_SIZE(keywordNames) : 0);
  for (uint32_t i = 0; i < total; ++i)
    note(args[i], {i}, now);
  Varying varying;
  // Other keywords are other arguments at the same positions.
  bool alike = sameKeywords(keywordNames_.get(), keywordNames);
  for (auto before = last_.begin(), leaf = now.begin();
       alike && before != last_.end() && leaf != now.end();) {
    if (before->path != leaf->path) {
      *before < *leaf ? ++before : ++leaf;
      continue;
    }
    if (before->value && leaf->value) {
      PyObject *one = before->value.get(), *other = leaf->value.get();
      bool areNumbers = isNumberOrTensor(other) && Py_TYPE(one) == Py_TYPE(other);
      if (!sameValue(one, other) && areNumbers)
        varying.values.push_back({leaf->path, std::nullopt});
      else if (!sameValue(one, other)) {
        varying.choices.push_back(leaf->path);
        noteUnknown(before->value);
      }
    } else if (!before->value && !leaf->value && before->sizes.size() == leaf->sizes.size()) {
      for (size_t d = 0; d < leaf->sizes.size(); ++d)
        if (int64_t one = before->sizes[d], other = leaf->sizes[d]; one != other)
          varying.dimensions.push_back({{leaf->path, std::nullopt},
                                        static_cast<int64_t>(d),
                                        /*small=*/one < 2 || other < 2,
                                        /*large=*/one > 1 && other > 1,
                                        /*parts=*/false,
                                        changeOf(one, other)});
    }
    ++before, ++leaf;
  }
  addSiblings(now, varying);
  last_ = std::move(now);
  keywordNames_ = PyRef::share(keywordNames);
  return varying;
}

// Whether it was known to be unknown.
bool SeenCalls::noteUnknown(const PyRef &value) {
  constexpr size_t kMost = 8; // as many as there may be graphs
  auto isValue = [&](const PyRef &other) { return sameValue(other.get(), value.get()); };
  bool found = std::erase_if(unknown_, isValue) > 0;
  unknown_.push_back(value);
  if (unknown_.size() > kMost)
    unknown_.pop_front();
  return found;
}

// Whether the object was there.
bool SeenCalls::takeWaiting(PyObject *object) {
  return std::erase_if(waiting_, [&](const PyRef &reference) {
           return PyWeakref_GET_OBJECT(reference.get()) == object;
         }) > 0;
}

void SeenCalls::wait(PyObject *object) {
  PyRef reference = PyRef::steal(PyWeakref_NewRef(object, nullptr));
  PyErr_Clear(); // of one that cannot be referred to so: it never comes back
  if (reference)
    waiting_.push_back(std::move(reference));
  if (waiting_.size() > kMostObjects)
    waiting_.pop_front();
}

bool SeenCalls::objectsComeBack(const Varying &varying, const std::set<PyObject *> &known) {
  waited_ = false;
  for (const Leaf &leaf : last_) {
    if (!leaf.object || varying.has(LeafPlace{leaf.path, std::nullopt}) ||
        known.contains(leaf.object))
      continue;
    auto others = static_cast<size_t>(std::ranges::count_if(
        known, [&](PyObject *other) { return Py_TYPE(other) == Py_TYPE(leaf.object); }));
    if (others < kAtOnce)
      continue;
    bool isBack = takeWaiting(leaf.object);
    if (!isBack || others >= kMostObjects) {
      wait(leaf.object);
      return false;
    }
    waited_ = true;
  }
  return true;
}

bool SeenCalls::comesBack(const Varying &varying, const Choices &known,
                          const std::set<PyObject *> &objects) {
  const std::vector<ValuePath> &choices = varying.choices;
  bool all = objectsComeBack(varying, objects);
  for (const Leaf &leaf : last_) {
    PyObject *value = leaf.value.get();
    if (!value || isNumberOrTensor(value) || std::ranges::count(choices, leaf.path) == 0 ||
        known.find(value))
      continue;
    bool isBack = noteUnknown(leaf.value);
    all = all && (isBack || known.size() < kAtOnce);
  }
  return all;
}

int SeenCalls::traverse(visitproc visit, void *arg) const {
  for (const Leaf &leaf : last_)
    Py_VISIT(leaf.value.get());
  for (const PyRef &value : unknown_)
    Py_VISIT(value.get());
  for (const PyRef &reference : waiting_)
    Py_VISIT(reference.get());
  return 0;
}

} // namespace bifront
