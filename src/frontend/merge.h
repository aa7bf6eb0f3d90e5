// The two ways of a branch end with a Python value each; behind the branch there is one, whose
// tensors and numbers are results of the branch in the graph.
#pragma once

#include "capture/merged_history.h"
#include "capture/proxy.h"
#include "capture/recording.h"
#include "capture/symbolic.h"
#include "frontend/opaque_objects.h"
#include "frontend/python_log.h"
#include "frontend/stacked_items.h"

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

namespace bifront {

// The two values have no common form in a graph.
struct CannotMerge : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// First all pairs of values are planned, then the branch is recorded, then the values are made.
class Merge {
public:
  using Index = size_t;

  // Containers that it makes are fresh in the log. It makes one in the place of two that the ways
  // have made, since `mark`: nobody else knows them. Without a mark it makes none.
  // `site`: the branch or the loop, if another walk can take it to go one way.
  // `objects`: which values of the graph are objects of Python that the run has met, as objects.
  using Objects = std::map<ValueId, ValueId>;
  Merge(Recording &recording, PythonLog &log, const Objects &objects, OpaqueObjects &opaque,
        const void *site, const PythonLog::Mark *mark)
      : recording_(recording), log_(log), objects_(objects), opaque_(opaque), site_(site),
        mark_(mark), oneWaySite_(site) {}
  // The same where the history of tensors is no reason to: for the lists that it makes, and for
  // gradients that no branch and no loop of the graph may lie under.
  void setOneWaySite(const void *site) { oneWaySite_ = site; }

  // Null stands for no value. Throws CannotMerge.
  Index plan(PyObject *then, PyObject *otherwise);
  // The same of one value that every call of a function gives anew: what is of the graph in it is a
  // result.
  Index planForm(PyObject *value);
  // Of what is in a container that stays the object it is.
  Index planContents(PyObject *then, PyObject *otherwise);
  // Of what is in a list, as rows of one tensor, however many items it has on the two ways.
  Index planRows(PyObject *then, PyObject *otherwise);
  // Of the results that are planned so far.
  std::vector<ValueType> resultTypes() const;
  // What a way yields, in the order of the branch's results. Records numbers that are not yet in
  // the graph, so the way's block is to be open.
  std::vector<ValueId> yields(int way);
  // The same of values that end an iteration, each in the form of its plan, with the block of the
  // iteration open; nothing where one has another form.
  std::optional<std::vector<ValueId>> yieldsOf(std::span<const std::pair<Index, PyObject *>> ends);
  // What the values that are made are to the program.
  enum class Place : uint8_t {
    BehindBranch,
    InLoop, // what an iteration begins with
    BehindLoop,
    OfFunction, // what a function that calls itself is given, or gives
  };
  using Edges = std::vector<torch::autograd::Edge>;
  // From here on values are made with these; behind a loop, yieldsOf() has been called.
  // `arguments`: the histories of what a function is given, where these are its results.
  void takeResults(std::vector<ValueId> results, Place place, Edges arguments = {});
  // How often the loop has run, where that is known: by it lists have grown.
  void setTrips(c10::SymInt trips) { trips_ = std::move(trips); }
  // Of all tensors that are planned.
  Edges histories() const;
  PyRef make(Index value);
  // The tensors among the results, each with what it is on the two ways.
  std::vector<std::pair<ValueId, std::pair<PyRef, PyRef>>> tensors() const;

private:
  struct Plan {
    enum class Kind : uint8_t {
      Same,
      Tensor,
      Resized, // a tensor of other sizes
      Number,
      Object,
      Tuple,
      List,
      Dict,
      Rows
    } kind;
    PyRef same = {};   // Same: the value; Dict: the keys
    size_t result = 0; // Tensor, Number, Object: which result of the branch
    ProxyImpl::Shape shape = {};
    // Of a tensor:
    Recording::Memory memory = Recording::Memory::Own;
    bool requiresGrad = false;
    at::Tensor ways[2] = {}; // of a loop: what it begins and an iteration ends with
    NodePointer inLoop = {}; // the history of what an iteration begins with
    SymbolicScalar::Kind number = SymbolicScalar::Kind::Int;
    std::vector<size_t> free = {}; // Resized: the dimensions that have other sizes
    std::vector<Index> parts = {}; // of a list, the last may be its Rows
    ItemForm item = {};            // Rows
    Dim rows = {{0, 0}};
    std::optional<OpaqueObject> opaque = {}; // Object: where it is such a one
    std::optional<c10::SymInt> first = {};   // how many a loop starts with
    std::optional<int64_t> more = {};        // that an iteration adds
    std::optional<c10::SymInt> length = {};  // how many there are behind it
    PyRef made = {};
  };
  struct RowsYield {
    Index plan;
    int way;
    std::vector<PyRef> items;
  };
  struct ResizedYield {
    Index plan;
    int way;
  };
  using Single = std::variant<ValueId, c10::SymNode, int64_t, double, bool>;
  using Yield = std::variant<Single, RowsYield, ResizedYield>;

  PyRef makeTensor(Plan &plan);
  PyRef makeObject(const Plan &plan);
  ValueId objectIn(PyObject *object) const;
  PyRef makeRows(Plan &plan);
  PyRef makeResized(Plan &plan);
  c10::SymInt lengthBehindLoop(const Plan &plan);
  c10::SymInt freeLength(const Plan &plan);
  void attachHistory(Plan &plan, const at::Tensor &tensor);
  bool flatten(Index value, PyObject *object, std::vector<ValueId> &yields);
  ValueId record(const Single &yield);
  ValueId record(const RowsYield &yield);
  ValueId record(const ResizedYield &yield);
  Plan planOf(PyObject *then, PyObject *otherwise);
  std::optional<ValueId> objectOf(PyObject *value) const;
  Plan planObject(PyObject *then, PyObject *otherwise);
  Plan planTensor(PyObject *then, PyObject *otherwise);
  Plan planResized(const at::Tensor &then, const at::Tensor &otherwise);
  void keepResized(const at::Tensor &tensor);
  at::Tensor resized(const Plan &plan, const at::Tensor &tensor,
                     const std::function<Dim(size_t)> &sizeOf);
  at::Tensor asPlanned(const Plan &plan, const at::Tensor &tensor);
  Plan planItems(Plan::Kind kind, PyObject *then, PyObject *otherwise);
  Py_ssize_t numSingle(PyObject *then, PyObject *otherwise) const;
  Plan planGrowing(PyObject *then, PyObject *otherwise, Py_ssize_t same);
  Index planRowsFrom(PyObject *then, PyObject *otherwise, Py_ssize_t first);
  bool flattenItems(Plan &plan, PyObject *object, std::vector<ValueId> &yields);
  bool flattenResized(Plan &plan, const at::Tensor &tensor, std::vector<ValueId> &yields);
  bool flattenRows(Plan &plan, std::span<PyObject *const> items, std::vector<ValueId> &yields);
  Index add(Plan plan);
  void checkOwn(PyObject *then, PyObject *otherwise);
  Plan planDict(PyObject *then, PyObject *otherwise);
  bool mayVary(PyObject *object) const;

  Recording &recording_;
  PythonLog &log_;
  const Objects &objects_;
  OpaqueObjects &opaque_;
  const void *site_;
  const PythonLog::Mark *mark_;
  const void *oneWaySite_;
  std::map<PyObject *, std::pair<PyObject *, PyObject *>> containers_; // and the pair they are of
  std::vector<Plan> plans_;
  std::map<std::pair<PyObject *, PyObject *>, Index> known_;
  std::vector<PyRef> held_; // so that the addresses in known_ stay theirs
  std::vector<Yield> yields_[2];
  std::vector<ValueId> results_;
  bool formOnly_ = false;
  Place place_ = Place::BehindBranch;
  Edges arguments_;
  std::optional<c10::SymInt> trips_;
};

} // namespace bifront
