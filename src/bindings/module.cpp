// The Python module bifront._core. Bindings hold no logic.
#include "bindings/converted_type.h"
#include "capture/python_functions.h"
#include "capture/shape_rules.h"
#include "codegen/disk_cache.h"
#include "frontend/print_syntax.h"
#include "speculate/convert.h"
#include "speculate/exit_reason.h"
#include "support/fail_nth.h"
#include "support/options.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

NB_MODULE(_core, m) {
  m.doc() = "Bifront's C++ core.";
  PyObject *type = bifront::makeConvertedFunctionType();
  if (!type)
    throw nb::python_error();
  m.attr("ConvertedFunction") = nb::steal(type);
  if (!bifront::addCaptureFunctions(m.ptr()))
    throw nb::python_error();
  m.def(
      "set_capture_hooks",
      [](nb::object enter, nb::object exit, nb::object reachable, nb::object randomStates,
         nb::object restoreRandom) {
        bifront::setCaptureHooks(
            {enter.ptr(), exit.ptr(), reachable.ptr(), randomStates.ptr(), restoreRandom.ptr()});
      },
      nb::arg("enter"), nb::arg("exit"), nb::arg("reachable"), nb::arg("random_states"),
      nb::arg("restore_random"));
  m.def(
      "read_syntax",
      [](nb::object function) { return bifront::syntax::printSyntaxOf(function.ptr()); },
      nb::arg("function"));
  m.def("exit_reasons", [] {
    std::vector<std::tuple<std::string, std::string, std::string, std::string>> rows;
    for (const auto &text : bifront::kExitReasons)
      rows.emplace_back(text.name, text.code, text.sentence, text.hint);
    return rows;
  });
  m.def("ops_with_shape_rules", [] {
    std::vector<std::string> names;
    for (std::string_view name : bifront::opsWithShapeRules())
      names.emplace_back(name);
    return names;
  });
  m.def(
      "fail_nth",
      [](const std::string &kind, uint64_t nth) {
        using bifront::Failure;
        bifront::failNth(kind == "call"         ? Failure::Call
                         : kind == "allocation" ? Failure::Allocation
                         : kind == "opaque"     ? Failure::Opaque
                                                : Failure::Check,
                         nth);
      },
      nb::arg("kind"), nb::arg("nth"));
  m.def("events_seen", &bifront::eventsSeen);
  m.def("use_cache", &bifront::useDiskCache, nb::arg("directory"), nb::arg("versions"));
  m.def("cache_state", [] {
    bifront::DiskCacheState state = bifront::diskCacheState();
    return std::make_tuple(state.directory, state.found, state.made, state.rejected);
  });
  m.def("options", [] {
    std::vector<std::tuple<std::string, std::string, std::string, std::string>> rows;
    for (const bifront::OptionText &text : bifront::optionTexts())
      rows.emplace_back(text.name, text.variable, text.fallback, text.sentence);
    return rows;
  });
}
