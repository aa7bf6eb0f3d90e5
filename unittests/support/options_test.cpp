#include "support/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

namespace {

// Sets a variable for one test.
class Variable {
public:
  Variable(const char *name, const char *value) : name(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name); }
  Variable(const Variable &) = delete;
  Variable &operator=(const Variable &) = delete;

private:
  const char *name;
};

TEST(Options, DefaultsWithoutVariables) {
  bifront::Options options = bifront::readOptions();
  EXPECT_TRUE(options.enabled);
  EXPECT_FALSE(options.log);
  EXPECT_EQ(options.dumpAfter, "");
}

TEST(Options, VariablesOverride) {
  Variable enabled("BIFRONT_ENABLED", "0"), dump("BIFRONT_DUMP_AFTER", "all");
  bifront::Options options = bifront::readOptions();
  EXPECT_FALSE(options.enabled);
  EXPECT_EQ(options.dumpAfter, "all");
}

TEST(Options, AnEmptyVariableIsNone) {
  Variable log("BIFRONT_LOG", "");
  EXPECT_FALSE(bifront::readOptions().log);
}

TEST(Options, AWrongValueIsNamed) {
  Variable log("BIFRONT_LOG", "loud");
  try {
    bifront::readOptions();
    FAIL() << "accepted";
  } catch (const std::invalid_argument &error) {
    EXPECT_STREQ(error.what(), "BIFRONT_LOG is 0 or 1, not 'loud'");
  }
}

TEST(Options, EveryRowSaysWhatItDoes) {
  for (const bifront::OptionText &text : bifront::optionTexts()) {
    EXPECT_TRUE(text.variable.starts_with("BIFRONT_")) << text.name;
    EXPECT_TRUE(text.sentence.ends_with('.')) << text.name;
  }
}

} // namespace
