// How to make at each run the objects that a call makes and that outlive it: nests of containers,
// instances, closures, with the tensors and numbers of the run in them. What is met twice is made
// once, cycles included. No Python code of the program runs for it, so that nothing can fail but
// memory.
#pragma once

#include "support/py_ref.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace bifront {

// An object that cannot be made anew.
struct CannotMake : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Blueprint {
public:
  // What the objects of the call are; needed while it is described.
  struct Origin {
    // The number of a value that each run brings; nothing for other objects.
    std::function<std::optional<uint32_t>(PyObject *)> leafOf;
    // Whether the call has made this mutable object.
    std::function<bool(PyObject *)> isFresh;
    // Whether an object that is neither may yet be none from before the call; may be empty.
    std::function<bool(PyObject *)> isDoubtful;
  };

  // Any other object is itself at each run. Its place in what make() gives. Throws CannotMake.
  uint32_t add(PyObject *value, const Origin &origin);
  // The objects that add() was given belong to the call: they are not needed any more.
  void finish();

  // `leaf` gives new references. False with an exception set.
  bool make(std::vector<PyRef> &made, const std::function<PyObject *(uint32_t)> &leaf) const;
  int traverse(visitproc visit, void *arg) const;

private:
  enum class Form : uint8_t {
    Itself,
    Leaf,
    // Made of their items at once.
    Tuple,
    TupleLike, // a struct sequence or torch.Size: its type is called with a tuple
    FrozenSet,
    Call, // what a function returns for them (frontend/later.h)
    Slice,
    Method,
    // Made empty and filled later, so that they may contain themselves.
    Cell,
    Function,
    List,
    Dict,
    Set,
    Deque,
    Object,
  };
  struct Node {
    Form form = Form::Itself;
    uint32_t leaf = 0;
    PyRef object; // Itself; otherwise the type, and a function's code
    std::vector<uint32_t> items, keys;
    std::vector<std::pair<PyRef, uint32_t>> attributes; // of the object's dict
    std::vector<std::pair<PyRef, uint32_t>> members;    // by the descriptors of its type
  };

  uint32_t addChild(PyObject *value, PyObject *holder, const Origin &origin);
  bool describeImmutable(PyObject *value, Node &node, const Origin &origin);
  bool describeMutable(PyObject *value, Node &node, const Origin &origin);
  void describeFunction(PyObject *function, Node &node, const Origin &origin);
  void describeAttributes(PyObject *value, Node &node, const Origin &origin);
  void addItems(PyObject *iterator, PyObject *holder, Node &node, const Origin &origin);
  bool isConstant(const Node &node) const;
  PyRef createAtOnce(const Node &node, const std::vector<PyRef> &made) const;
  PyRef createEmpty(const Node &node) const;
  bool fill(const Node &node, PyObject *object, const std::vector<PyRef> &made) const;

  std::vector<Node> nodes_;
  std::vector<uint32_t> empty_, atOnce_; // the order in which they are made
  std::unordered_map<PyObject *, uint32_t> known_;
  std::vector<PyRef> alive_;                     // so that an address means one object
  std::unordered_set<PyObject *> instanceDicts_; // of objects that are made
  int depth_ = 0;
};

} // namespace bifront
