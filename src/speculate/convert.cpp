#include "speculate/convert.h"

#include "capture/capture.h"
#include "capture/derivative.h"
#include "codegen/compile.h"
#include "ir/bf_dialect.h"
#include "ir/graph_recorder.h"
#include "passes/pipeline.h"
#include "speculate/spent_gradient.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include "llvm/Support/raw_ostream.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>
#include <map>

namespace bifront {
namespace {

PyRef captureEnter, captureExit;

mlir::MLIRContext &compilerContext() {
  static auto *context = [] { // lives as long as the process: kernels and types are shared
    auto *made = new mlir::MLIRContext(mlir::MLIRContext::Threading::DISABLED);
    bf::registerDialects(*made);
    return made;
  }();
  return *context;
}

[[noreturn]] void fail(ExitReason reason, const std::string &message) {
  throw ConversionError(reason, message);
}

// The pending Python exception as text; clears it.
std::string takePythonError() {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyRef ownedType = PyRef::steal(type), ownedValue = PyRef::steal(value), ownedTrace = PyRef::steal(trace);
  PyRef text = PyRef::steal(value ? PyObject_Str(value) : nullptr);
  const char *message = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
  std::string name = type ? reinterpret_cast<PyTypeObject *>(type)->tp_name : "unknown exception";
  PyErr_Clear();
  return message ? name + ": " + message : name;
}

// The arguments of the call, their patterns, and which of their dimensions vary.
class Arguments {
public:
  explicit Arguments(const ConversionRequest &request) : request_(request) {
    size_t keywords = request.keywordNames ? PyTuple_GET_SIZE(request.keywordNames) : 0;
    for (size_t i = 0; i < request.count + keywords; ++i)
      patterns.push_back(ValuePattern::describe(request.args[i], [&](PyObject *value) { return leaf(value); }));
    dynamic_.resize(leaves.size());
    for (size_t i = 0; i < leaves.size(); ++i) {
      dynamic_[i].resize(tensor(i).dim());
      if (i < request.relax.size())
        std::copy(request.relax[i].begin(), request.relax[i].end(), dynamic_[i].begin());
    }
    for (const auto &[argument, dimension] : request.options.dynamic)
      markDynamic(argument, dimension);
  }

  const at::Tensor &tensor(size_t leaf) const { return THPVariable_Unpack(leaves[leaf]); }

  // Sizes of the dimensions in both worlds. Equal sizes are taken to be one dimension: that is what a
  // batch is, and the prechecks hold later calls to it.
  std::vector<Dim> dimsOf(size_t leaf) {
    std::vector<Dim> dims;
    for (int64_t d = 0; d < tensor(leaf).dim(); ++d) {
      int64_t size = tensor(leaf).size(d);
      dims.push_back(isDynamic(leaf, d) ? Dim{{size, otherWorld(size)}} : Dim::fixed(size));
    }
    return dims;
  }

  bool isDynamic(size_t leaf, int64_t d) const { return dynamic_[leaf][d] && tensor(leaf).size(d) > 1; }

  // Dynamic dimensions that were one size, so that they must stay equal.
  std::vector<std::vector<std::pair<uint32_t, int64_t>>> equalDims() const {
    std::map<int64_t, std::vector<std::pair<uint32_t, int64_t>>> bySize;
    for (uint32_t leaf = 0; leaf < leaves.size(); ++leaf)
      for (int64_t d = 0; d < tensor(leaf).dim(); ++d)
        if (isDynamic(leaf, d))
          bySize[tensor(leaf).size(d)].emplace_back(leaf, d);
    std::vector<std::vector<std::pair<uint32_t, int64_t>>> groups;
    for (auto &[size, group] : bySize)
      if (group.size() > 1)
        groups.push_back(std::move(group));
    return groups;
  }

  std::vector<bool> dynamicDims(size_t leaf) const {
    std::vector<bool> dims(dynamic_[leaf].size());
    for (size_t d = 0; d < dims.size(); ++d)
      dims[d] = isDynamic(leaf, d);
    return dims;
  }

  std::string nameOf(size_t leaf) const { return "arg" + std::to_string(leaf); }

  std::vector<ValuePattern> patterns;
  std::vector<PyObject *> leaves; // borrowed; each tensor once

private:
  std::optional<uint32_t> leaf(PyObject *value) {
    if (!THPVariable_Check(value))
      return std::nullopt;
    if (!isOrdinaryTensor(THPVariable_Unpack(value)))
      fail(ExitReason::UnsupportedTensor, "an argument is not an ordinary dense CPU tensor");
    auto found = std::find(leaves.begin(), leaves.end(), value);
    uint32_t index = found - leaves.begin();
    if (found == leaves.end())
      leaves.push_back(value);
    return index;
  }

  void markDynamic(const std::variant<int64_t, std::string> &argument, int64_t dimension) {
    size_t position = patterns.size();
    if (auto *index = std::get_if<int64_t>(&argument))
      position = *index;
    else
      for (Py_ssize_t k = 0; request_.keywordNames && k < PyTuple_GET_SIZE(request_.keywordNames); ++k)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(request_.keywordNames, k),
                                             std::get<std::string>(argument).c_str()) == 0)
          position = request_.count + k;
    if (position >= patterns.size() || patterns[position].kind() != ValuePattern::Kind::Leaf)
      return; // this call does not pass it, or not as a tensor
    auto &dims = dynamic_[patterns[position].index()];
    int64_t d = dimension < 0 ? dimension + static_cast<int64_t>(dims.size()) : dimension;
    if (d < 0 || d >= static_cast<int64_t>(dims.size()))
      fail(ExitReason::CaptureFailed, "dynamic=: dimension " + std::to_string(dimension) +
                                          " is out of range for a tensor of " + std::to_string(dims.size()));
    dims[d] = true;
  }

  // A multiple, so that what divides the one size divides the other.
  int64_t otherWorld(int64_t size) {
    static constexpr int64_t factors[] = {3, 5, 7, 11, 13, 17, 19, 23};
    auto [entry, fresh] = factors_.try_emplace(size, factors[factors_.size() % std::size(factors)]);
    return size * entry->second;
  }

  const ConversionRequest &request_;
  std::vector<std::vector<bool>> dynamic_;
  std::map<int64_t, int64_t> factors_;
};

} // namespace

void setCaptureHooks(PyObject *enter, PyObject *exit) {
  captureEnter = PyRef::share(enter);
  captureExit = PyRef::share(exit);
}

} // namespace bifront
