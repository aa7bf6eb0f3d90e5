#include "ir/schema_table/schema_table.h"

#include "ir/schema.h"

#include <algorithm>
#include <iterator>

namespace bifront {
namespace {

struct Entry {
  const char *name, *text;
};

// Sorted by name.
const Entry kTable[] = {
#include "ir/schema_table.inc"
};

} // namespace

void installSchemaTable() {
  setSchemaProvider([](std::string_view name) -> std::optional<std::string> {
    auto found = std::ranges::lower_bound(
        kTable, name, {}, [](const Entry &entry) { return std::string_view(entry.name); });
    if (found == std::end(kTable) || std::string_view(found->name) != name)
      return std::nullopt;
    return std::string(found->text);
  });
}

} // namespace bifront
