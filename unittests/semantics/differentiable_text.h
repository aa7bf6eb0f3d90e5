// Random programs that take gradients through branches, loops and recursion, as text.
#pragma once

#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace bifront {

struct DifferentiableFeatures {
  bool dynamic = false;   // the number of rows is not known
  bool draws = false;     // dropout
  bool innerGradients = false; // gradients are taken in branches and loops too
  bool failures = false;  // assertions that may fail
};

// @step takes two tensors of three columns, two 3x3 matrices, an int and a bool, and returns a loss,
// its gradients with respect to the tensors, and some of what it has made.
class DifferentiableText {
public:
  explicit DifferentiableText(uint32_t seed, DifferentiableFeatures features = {});

  std::string make();

private:
  using Names = std::vector<std::string>;
  struct Scope {
    Names tensors, matrices, ints, bools;
  };

  std::string fresh() { return "%v" + std::to_string(next++); }
  template <typename... Parts> void line(Parts &&...parts) {
    text << std::string(2 * static_cast<size_t>(depth), ' ');
    (text << ... << parts) << "\n";
  }
  std::string pick(const Names &names) { return names[random() % names.size()]; }
  // Rather one of the last.
  std::string recent(const Names &names);
  bool chance(unsigned percent) { return random() % 100 < percent; }
  std::string define(const std::string &value);
  std::string unary(const std::string &name, const std::string &a, const std::string &more = "");
  std::string binary(const std::string &name, const std::string &a, const std::string &b,
                     const std::string &more = "");
  // A tensor<f64>.
  std::string sum(const std::string &a);

  void function(size_t number);
  void entry();
  void block(Scope &scope, int statements);
  void statement(Scope &scope);
  void computation(Scope &scope);
  void number(Scope &scope);
  void branch(Scope &scope);
  void loop(Scope &scope);
  void call(Scope &scope);
  void gradient(Scope &scope);
  std::string condition(Scope &scope);

  std::mt19937 random;
  DifferentiableFeatures features;
  std::string tensor;
  std::ostringstream text;
  unsigned depth = 0, next = 0;
  size_t functions = 0;
  bool inFunction = false;
  size_t current = 0;
  int callsLeft = 0;
};

} // namespace bifront
