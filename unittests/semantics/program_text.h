// Random programs with control flow, as text: what the passes, the machine code and the reference
// interpreter must agree on.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace bifront {

struct ProgramFeatures {
  // Views, in-place ops and draws, as capture records them; tensors that grow from one iteration
  // to the next. All else is then exact, so that a kernel must give the bits that ATen gives.
  bool writes = false;
  bool prints = false;
};

// Takes two tensors of two rows and three columns, an int and a bool. Functions call those before
// them, or themselves with a smaller first number.
class ProgramText {
public:
  explicit ProgramText(uint32_t seed, ProgramFeatures features = {})
      : random(seed), features(features) {}

  std::string make();

private:
  using Names = std::vector<std::string>;
  struct Scope {
    std::map<std::string, Names> tensors; // by type
    Names ints, bools, floats;
    std::set<std::string> merged; // tensors of which the path decides what they are
  };

  std::string fresh() { return "%v" + std::to_string(next++); }
  template <typename... Parts> void line(Parts &&...parts) {
    text << std::string(2 * static_cast<size_t>(depth), ' ');
    (text << ... << parts) << "\n";
  }
  std::string pick(const Names &names) { return names[random() % names.size()]; }
  // A tensor of the type that has most to do with the others.
  std::string whole(const Scope &scope);
  std::string typeIn(const Scope &scope); // of some tensor
  // To be handed on by a region, or returned: often a tensor of its own, for what may be one of
  // several tensors is refused where any of them is written.
  std::string handed(Scope &scope);
  void addMerged(Scope &scope, const std::string &type, const std::string &name);
  bool chance(unsigned percent) { return random() % 100 < percent; }
  std::string define(const std::string &value);
  // A call that gives one tensor.
  std::string aten(const std::string &name, const std::string &args,
                   const std::vector<std::string> &operands, const std::string &type);

  void function(size_t number);
  void entry();
  void block(Scope &scope, int statements);
  void statement(Scope &scope);
  void computation(Scope &scope);
  void number(Scope &scope);
  void assertion(Scope &scope);
  void view(Scope &scope);
  void write(Scope &scope);
  void print(Scope &scope);
  void branch(Scope &scope);
  void loop(Scope &scope);
  void growingLoop(Scope &scope);
  void call(Scope &scope);

  std::mt19937 random;
  ProgramFeatures features;
  std::ostringstream text;
  unsigned depth = 0, next = 0;
  size_t functions = 0;
  std::optional<size_t> current; // the function whose body is written
  int callsLeft = 0;
};

} // namespace bifront
