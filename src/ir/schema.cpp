#include "ir/schema.h"

#include "llvm/ADT/StringMap.h"

#include <cctype>
#include <memory>
#include <mutex>
#include <stdexcept>

namespace bifront {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

[[noreturn]] void fail(std::string_view text, const char *why) {
  throw std::runtime_error("not an operator schema (" + std::string(why) +
                           "): " + std::string(text));
}

// Where `wanted` first occurs outside brackets and string literals, from `from`.
size_t findOutside(std::string_view text, char wanted, size_t from = 0) {
  int depth = 0;
  for (size_t at = from; at < text.size(); ++at) {
    char c = text[at];
    if (c == wanted && depth == 0)
      return at;
    if (c == '"' || c == '\'') {
      size_t end = at + 1;
      while (end < text.size() && text[end] != c)
        end += text[end] == '\\' ? 2 : 1;
      at = end;
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      --depth;
    }
  }
  return std::string_view::npos;
}

std::vector<std::string_view> splitCommas(std::string_view text) {
  std::vector<std::string_view> parts;
  text = trim(text);
  while (!text.empty()) {
    size_t comma = findOutside(text, ',');
    parts.push_back(trim(text.substr(0, comma)));
    if (comma == std::string_view::npos)
      break;
    text = trim(text.substr(comma + 1));
  }
  return parts;
}

// "(a! -> b)" and the like: sets starting with a lower-case letter or a star.
bool isAnnotation(std::string_view inParens) {
  inParens = trim(inParens);
  size_t end = 0;
  while (end < inParens.size() && std::isalnum(static_cast<unsigned char>(inParens[end])))
    ++end;
  if (end == 0)
    return inParens.starts_with("*");
  std::string_view rest = trim(inParens.substr(end));
  return end <= 2 && std::islower(static_cast<unsigned char>(inParens[0])) &&
         (rest.empty() || rest[0] == '!' || rest[0] == '|' || rest.starts_with("->"));
}

// Splits "Tensor(a!)[]" into the type and what its annotation says.
void readType(std::string_view text, SchemaArg &arg) {
  std::string type;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '(') {
      type += text[at++];
      continue;
    }
    size_t close = findOutside(text, ')', at + 1);
    if (close == std::string_view::npos)
      fail(text, "unbalanced parenthesis");
    std::string_view inside = text.substr(at + 1, close - at - 1);
    std::string_view base = trim(type);
    bool generic = base.empty() || base.ends_with("Dict") || base.ends_with("Future") ||
                   base.ends_with("RRef") || base.ends_with("Await") || base.ends_with("Union");
    if (!generic && isAnnotation(inside)) {
      size_t end = inside.find_first_of("!-");
      arg.alias = std::string(trim(inside.substr(0, end)));
      arg.isWrite = inside.find('!') != std::string_view::npos;
    } else {
      type += text.substr(at, close - at + 1);
    }
    at = close + 1;
  }
  arg.type = std::string(trim(type));
  arg.isOptional = arg.type.ends_with("?");
  std::string_view inner = arg.type;
  if (arg.isOptional)
    inner.remove_suffix(1);
  arg.isList = inner.ends_with("]");
  arg.isTensor = inner == "Tensor" || inner == "Tensor[]" || inner == "Tensor?[]";
}

bool isNameChar(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

SchemaArg parseArg(std::string_view text, bool isReturn) {
  SchemaArg arg;
  size_t equals = findOutside(text, '=');
  if (equals != std::string_view::npos) {
    arg.defaultValue = std::string(trim(text.substr(equals + 1)));
    text = trim(text.substr(0, equals));
  }
  size_t nameStart = text.size();
  while (nameStart > 0 && isNameChar(text[nameStart - 1]))
    --nameStart;
  // A return need not have a name: "Tensor", "Tensor(a)".
  bool hasName = nameStart > 0 && nameStart < text.size() && text[nameStart - 1] == ' ';
  if (!hasName && !isReturn)
    fail(text, "an argument without a name");
  if (hasName)
    arg.name = std::string(text.substr(nameStart));
  readType(trim(text.substr(0, hasName ? nameStart : text.size())), arg);
  if (arg.type.empty())
    fail(text, "an argument without a type");
  return arg;
}

struct Registry {
  std::mutex mutex;
  SchemaProvider provider;
  llvm::StringMap<std::unique_ptr<Schema>> known;
};

Registry &registry() {
  static Registry *instance = new Registry; // never destroyed: results live as long as the process
  return *instance;
}

} // namespace

bool Schema::writesAny() const {
  for (const SchemaArg &arg : args)
    if (arg.isWrite)
      return true;
  return false;
}

bool Schema::returnsView() const {
  for (const SchemaArg &result : returns)
    if (!result.alias.empty() && !result.isWrite)
      return true;
  return false;
}

std::optional<unsigned> Schema::argNamed(std::string_view wanted) const {
  for (unsigned i = 0; i < args.size(); ++i)
    if (args[i].name == wanted)
      return i;
  return std::nullopt;
}

Schema parseSchema(std::string_view text) {
  Schema schema;
  size_t open = text.find('(');
  if (open == std::string_view::npos || open == 0)
    fail(text, "no argument list");
  schema.name = std::string(trim(text.substr(0, open)));
  size_t close = findOutside(text, ')', open + 1);
  if (close == std::string_view::npos)
    fail(text, "unbalanced parenthesis");
  bool keywordOnly = false;
  for (std::string_view part : splitCommas(text.substr(open + 1, close - open - 1))) {
    if (part == "*") {
      keywordOnly = true;
    } else if (part != "...") {
      schema.args.push_back(parseArg(part, false));
      schema.args.back().isKeywordOnly = keywordOnly;
    }
  }
  size_t arrow = text.find("->", close);
  if (arrow == std::string_view::npos)
    fail(text, "no returns");
  std::string_view returns = trim(text.substr(arrow + 2));
  if (returns == "...") {
    schema.isVariadicReturn = true;
    return schema;
  }
  if (returns.starts_with('(') && returns.ends_with(')'))
    returns = returns.substr(1, returns.size() - 2);
  for (std::string_view part : splitCommas(returns))
    schema.returns.push_back(parseArg(part, true));
  return schema;
}

void setSchemaProvider(SchemaProvider provider) {
  std::scoped_lock lock(registry().mutex);
  registry().provider = std::move(provider);
}

const Schema *lookupSchema(std::string_view name) {
  Registry &all = registry();
  SchemaProvider provider;
  {
    std::scoped_lock lock(all.mutex);
    if (auto found = all.known.find(name); found != all.known.end())
      return found->second.get();
    provider = all.provider;
  }
  // The provider may take torch's locks; ours is not held meanwhile.
  std::optional<std::string> text = provider ? provider(name) : std::nullopt;
  if (!text)
    return nullptr;
  auto schema = std::make_unique<Schema>(parseSchema(*text));
  std::scoped_lock lock(all.mutex);
  return all.known.try_emplace(name, std::move(schema)).first->second.get();
}

} // namespace bifront
