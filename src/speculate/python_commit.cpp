#include "speculate/python_commit.h"

namespace bifront {
namespace {

// Room for the objects of the runs that are in progress on this thread.
class Made {
public:
  Made() : objects_(borrow()) {}
  ~Made() {
    objects_->clear();
    idle().push_back(std::move(objects_));
  }
  std::vector<PyRef> &operator*() { return *objects_; }

private:
  static std::vector<std::unique_ptr<std::vector<PyRef>>> &idle() {
    thread_local std::vector<std::unique_ptr<std::vector<PyRef>>> objects;
    return objects;
  }
  static std::unique_ptr<std::vector<PyRef>> borrow() {
    if (idle().empty())
      return std::make_unique<std::vector<PyRef>>();
    auto objects = std::move(idle().back());
    idle().pop_back();
    return objects;
  }
  std::unique_ptr<std::vector<PyRef>> objects_;
};

} // namespace

void PythonCommit::describe(PyObject *result, const std::vector<PythonWrite> &writes,
                            const Blueprint::Origin &origin) {
  result_ = blueprint_.add(result, origin);
  for (const PythonWrite &write : writes) {
    Step step{write.kind, write.slot.kind,   blueprint_.add(write.slot.object.get(), origin), 0,
              {},         write.keywordNames};
    step.key = blueprint_.add(write.slot.key ? write.slot.key.get() : Py_None, origin);
    for (const PyRef &value : write.values)
      step.values.push_back(blueprint_.add(value.get(), origin));
    steps_.push_back(std::move(step));
  }
  blueprint_.finish();
}

bool PythonCommit::write(const Step &step, const std::vector<PyRef> &made) const {
  PyObject *object = made[step.object].get(), *key = made[step.key].get();
  if (step.kind == PythonWrite::Kind::Call) {
    std::vector<PyObject *> arguments;
    for (uint32_t value : step.values)
      arguments.push_back(made[value].get());
    PyObject *names = step.keywordNames.get();
    size_t count = arguments.size() - (names ? PyTuple_GET_SIZE(names) : 0);
    return static_cast<bool>(
        PyRef::steal(PyObject_Vectorcall(object, arguments.data(), count, names)));
  }
  PyObject *value = step.kind == PythonWrite::Kind::SetSlot ? made[step.values[0]].get() : nullptr;
  switch (step.slot) {
  case Slot::Kind::DictItem:
    if (PyODict_Check(object))
      return (value ? PyODict_SetItem(object, key, value) : PyODict_DelItem(object, key)) == 0;
    return (value ? PyDict_SetItem(object, key, value) : PyDict_DelItem(object, key)) == 0;
  case Slot::Kind::ListItem:
    return PyList_SetItem(object, PyLong_AsSsize_t(key), Py_NewRef(value)) == 0;
  case Slot::Kind::Length: break; // is never written as such
  case Slot::Kind::Cell: return PyCell_Set(object, value) == 0;
  case Slot::Kind::Member: return Py_TYPE(key)->tp_descr_set(key, object, value) == 0;
  case Slot::Kind::ClassItem: return PyType_Type.tp_setattro(object, key, value) == 0;
  }
  return false;
}

PyObject *PythonCommit::run(const std::function<PyObject *(uint32_t)> &leaf,
                            const WrittenAttributes *ofRun) const {
  Made made;
  if (!blueprint_.make(*made, leaf))
    return nullptr;
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  if (ofRun && !ofRun->commit())
    PyErr_Fetch(&type, &value, &trace);
  for (const Step &step : steps_) {
    if (write(step, *made))
      continue;
    if (type) // one exception can be raised
      PyErr_Clear();
    else
      PyErr_Fetch(&type, &value, &trace);
  }
  if (type) {
    PyErr_Restore(type, value, trace);
    return nullptr;
  }
  return Py_NewRef((*made)[result_].get());
}

int PythonCommit::traverse(visitproc visit, void *arg) const {
  for (const Step &step : steps_)
    Py_VISIT(step.keywordNames.get());
  return blueprint_.traverse(visit, arg);
}

} // namespace bifront
