// Functions of torch that make images of other sizes: their C++ looks at the sizes of the image, or
// at those wanted, which only the run may know.
#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/walked_helpers.h"

#include "capture/proxy.h"

#include <algorithm>

namespace bifront {
namespace {

// Which stays, whatever a program puts in its place.
PyObject *ofTorch(const char *module, const char *name) {
  return Py_XNewRef(ofModule(module, name));
}

bool isUpsampling(PyObject *callee) {
  static const std::vector<PyObject *> known = [] {
    std::vector<PyObject *> functions;
    for (const char *name :
         {"upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
          "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
          "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
          "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"})
      functions.push_back(ofTorch("torch._C._nn", name));
    return functions;
  }();
  return PyCFunction_Check(callee) && std::find(known.begin(), known.end(), callee) != known.end();
}

template <typename Predicate> bool hasSuch(PyObject *sizes, const Predicate &predicate) {
  if (!isSequence(sizes))
    return false;
  PyObject **items = PySequence_Fast_ITEMS(sizes);
  return std::any_of(items, items + PySequence_Fast_GET_SIZE(sizes), predicate);
}

} // namespace

// Nothing where torch may be called as it is.
std::optional<PyRef> Interpreter::callOfResizing(PyObject *callee, CallArguments &arguments) {
  if (auto result = callOfPooling(callee, arguments))
    return result;
  return callOfUpsampling(callee, arguments);
}

// Whether a stateless function of torch is to be walked for what it calls.
bool Interpreter::resizesInside(PyObject *function, const CallArguments &arguments) const {
  static PyObject *const known = ofTorch("torch.nn.functional", "interpolate");
  if (function != known || arguments.positional.empty())
    return false;
  auto isOfGraph = [](PyObject *value) {
    return isGraphNumber(value) || hasSuch(value, isGraphNumber);
  };
  ProxyImpl *image = proxyOf(arguments.positional[0].get());
  return image &&
         (image->shape().dynamic ||
          std::any_of(arguments.positional.begin() + 1, arguments.positional.end(),
                      [&](const PyRef &value) { return isOfGraph(value.get()); }) ||
          std::any_of(arguments.keywords.begin(), arguments.keywords.end(),
                      [&](const auto &keyword) { return isOfGraph(keyword.second.get()); }));
}

// Averages of as many parts as only the run knows: of one part PyTorch takes the mean, a branch.
std::optional<PyRef> Interpreter::callOfPooling(PyObject *callee, CallArguments &arguments) {
  static PyObject *const known[] = {ofTorch("torch._C._nn", "adaptive_avg_pool2d"),
                                    ofTorch("torch.nn.functional", "adaptive_avg_pool2d")};
  if ((callee != known[0] && callee != known[1]) || !arguments.keywords.empty() ||
      arguments.positional.size() != 2)
    return std::nullopt;
  PyObject *sizes = arguments.positional[1].get();
  ProxyImpl *image = proxyOf(arguments.positional[0].get());
  if (!hasSuch(sizes, isUnknownNumber) || PySequence_Fast_GET_SIZE(sizes) != 2 || !image ||
      !image->shape().isContiguous())
    return std::nullopt;
  return call(walkedHelper("adaptive_avg_pool2d").get(), std::move(arguments));
}

// With factors, or nothing, behind the sizes: the sizes alone can be those of the graph.
std::optional<PyRef> Interpreter::callOfUpsampling(PyObject *callee, CallArguments &arguments) {
  const std::vector<PyRef> &given = arguments.positional;
  if (!isUpsampling(callee) || !arguments.keywords.empty() || given.size() < 3 ||
      (given.back().get() != Py_None && !isSequence(given.back().get())))
    return std::nullopt;
  ProxyImpl *image = proxyOf(given[0].get());
  if (!image || (!image->shape().dynamic && !hasSuch(given[1].get(), isGraphNumber)))
    return std::nullopt;
  arguments.positional.insert(arguments.positional.begin(), PyRef::share(callee));
  return call(walkedHelper("upsampled").get(), std::move(arguments));
}

} // namespace bifront
