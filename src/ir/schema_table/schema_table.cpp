#include "ir/schema_table/schema_table.h"

#include "ir/schema.h"

#include <algorithm>
#include <iterator>

namespace bifront {
namespace {

struct Entry {
  std::string_view name, text;
};

// Sorted by name.
constexpr Entry kTable[] = {
#include "ir/schema_table.inc"
};

} // namespace

void installSchemaTable() {
  setSchemaProvider([](std::string_view name) -> std::optional<std::string> {
    auto found = std::ranges::lower_bound(kTable, name, {}, &Entry::name);
    if (found == std::end(kTable) || found->name != name)
      return std::nullopt;
    return std::string(found->text);
  });
}

} // namespace bifront
