// What lanes (lanes.h) have seen the walk write to objects that only the run of the graph knows: so
// that what is read of them later is known by example as well. They are hints, as lanes are.
#pragma once

#include "support/py_ref.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace bifront {

class WrittenExamples {
public:
  // How often something has been written so far.
  size_t size() const { return size_; }
  // `value` null: nobody knows.
  void note(const PyRef &object, const PyRef &name, PyRef value) {
    held_.push_back(object);
    held_.push_back(name);
    values_[{object.get(), name.get()}].emplace_back(size_++, std::move(value));
  }
  // As if there had been no more than `size` writes.
  void takeBack(size_t size) {
    size_ = size;
    for (auto &[place, values] : values_)
      while (!values.empty() && values.back().first >= size)
        values.pop_back();
  }
  // The last of the first `size` writes there; nothing where there is none.
  std::optional<PyRef> find(PyObject *object, PyObject *name, size_t size) const {
    auto place = values_.find({object, name});
    if (place == values_.end())
      return std::nullopt;
    for (auto write = place->second.rbegin(); write != place->second.rend(); ++write)
      if (write->first < size)
        return write->second;
    return std::nullopt;
  }

private:
  size_t size_ = 0;
  std::map<std::pair<PyObject *, PyObject *>, std::vector<std::pair<size_t, PyRef>>> values_;
  std::vector<PyRef> held_; // so that the addresses stay theirs
};

} // namespace bifront
