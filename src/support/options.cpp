#include "support/options.h"

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

constexpr std::string_view textOf(bool fallback) { return fallback ? "1" : "0"; }
constexpr std::string_view textOf(const char *fallback) { return fallback; }

constexpr OptionText kTexts[] = {
#define BIFRONT_OPTION_TEXT(member, type, variable, fallback, sentence)                            \
  {#member, variable, textOf(fallback), sentence},
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
