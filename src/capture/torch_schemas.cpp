#include "capture/torch_schemas.h"

#include "capture/other_contents.h"
#include "ir/schema.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <sstream>

namespace bifront {
namespace {

std::optional<std::string> schemaText(std::string_view name) {
  size_t dot = name.find('.');
  c10::OperatorName key{std::string(name.substr(0, dot)),
                        dot == std::string_view::npos ? "" : std::string(name.substr(dot + 1))};
  auto op = c10::Dispatcher::singleton().findSchema(key);
  if (!op)
    return std::nullopt;
  std::ostringstream text;
  text << op->schema();
  return text.str();
}

} // namespace

void useTorchSchemas() {
  static const bool used = (defineOtherContents(), setSchemaProvider(schemaText), true);
  (void)used;
}

} // namespace bifront
