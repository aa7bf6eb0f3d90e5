// Schemas of ATen operators, parsed from their text, and the registry that finds them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bifront {

struct SchemaArg {
  std::string type; // without annotation: "Tensor", "Tensor?[]", "SymInt[2]", "Scalar"
  std::string name;
  std::string alias; // "a" in Tensor(a!), "a|b" in Tensor(a|b), empty where there is none
  bool isWrite = false;
  bool isList = false;
  bool isOptional = false; // None is allowed for the argument as a whole
  bool isTensor = false;   // a tensor, an optional tensor or a list of tensors
  bool isKeywordOnly = false;
  std::optional<std::string> defaultValue; // its text

  bool operator==(const SchemaArg &) const = default;
};

struct Schema {
  std::string name; // with its overload: "aten::add.Tensor"
  std::vector<SchemaArg> args;
  std::vector<SchemaArg> returns;
  bool isVariadicReturn = false; // "-> ..."

  bool writesAny() const;
  // Some return shares memory with an argument that is not written: a view.
  bool returnsView() const;
  std::optional<unsigned> argNamed(std::string_view name) const;
};

// Throws std::runtime_error where the text is not a schema.
Schema parseSchema(std::string_view text);

// Gives the text of the schema with this name ("aten::add.Tensor"), or nothing.
using SchemaProvider = std::function<std::optional<std::string>(std::string_view name)>;

// The process with torch asks its Dispatcher; bf-opt has a table made at build time. Schemas that
// were found before stay known.
void setSchemaProvider(SchemaProvider provider);

// Null where no such operator is known. The result lives as long as the process. Thread-safe.
const Schema *lookupSchema(std::string_view name);

} // namespace bifront
