#include "support/options.h"

#include <charconv>
#include <cstdlib>
#include <stdexcept>

namespace bifront {
namespace {

void parse(const char *variable, const char *text, bool &option) {
  std::string_view value = text;
  if (value == "1" || value == "true" || value == "on")
    option = true;
  else if (value == "0" || value == "false" || value == "off")
    option = false;
  else
    throw std::invalid_argument(std::string(variable) + " is 0 or 1, not '" + text + "'");
}

void parse(const char *, const char *text, std::string &option) { option = text; }

void parse(const char *variable, const char *text, int64_t &option) {
  const char *end = text + std::string_view(text).size();
  auto [stop, error] = std::from_chars(text, end, option);
  if (error != std::errc() || stop != end || option < 0)
    throw std::invalid_argument(std::string(variable) + " is a number, not '" + text + "'");
}

template <typename Type> constexpr std::string_view textOf(Type fallback, const char *written) {
  if constexpr (std::is_same_v<Type, bool>)
    return fallback ? "1" : "0";
  else if constexpr (std::is_integral_v<Type>)
    return written;
  else
    return fallback;
}

constexpr OptionText kTexts[] = {
#define BIFRONT_OPTION_TEXT(member, type, variable, fallback, sentence)                            \
  {#member, variable, textOf(fallback, #fallback), sentence},
    BIFRONT_OPTIONS(BIFRONT_OPTION_TEXT)
#undef BIFRONT_OPTION_TEXT
};

} // namespace

Options readOptions() {
  Options result;
#define BIFRONT_READ_OPTION(member, type, variable, fallback, sentence)                            \
  if (const char *text = std::getenv(variable); text && *text)                                     \
    parse(variable, text, result.member);
  BIFRONT_OPTIONS(BIFRONT_READ_OPTION)
#undef BIFRONT_READ_OPTION
  return result;
}

const Options &options() {
  static const Options read = readOptions();
  return read;
}

std::span<const OptionText> optionTexts() { return kTexts; }

} // namespace bifront
