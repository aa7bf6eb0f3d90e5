// A truth that follows from sizes of inputs alone, apart from the recording in which it was asked
// for: so that the next conversion can ask it ahead of all else.
#pragma once

#include "capture/symbolic.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bifront {

class SizeQuestion {
public:
  // Nothing where `asked` follows from more than sizes.
  static std::optional<SizeQuestion> of(const SymbolicScalar &asked);
  static SizeQuestion isEqual(const Dim &size, int64_t number);

  // The sizes that it follows from, each once, by their values in the worlds of that recording.
  const std::vector<Dim> &sizes() const { return sizes_; }
  // Makes it one of `base`, which `sizes()[size]` is a constant away from in both worlds.
  void follow(size_t size, const Dim &base);
  // The same question of other sizes.
  c10::SymNode ask(std::span<const c10::SymNode> sizes) const;
  int64_t largestNumber() const;
  // Whether it asks for one size.
  bool isEquality() const { return steps_.size() == 3 && steps_.back().op == ScalarOp::Eq; }

  // Apart from the worlds.
  bool sameSteps(const SizeQuestion &other) const { return steps_ == other.steps_; }

private:
  // In the order in which a machine with a stack takes them.
  struct Step {
    enum class Kind : uint8_t { Size, Int, Float, Op } kind;
    size_t size = 0;
    int64_t number = 0;
    double real = 0;
    ScalarOp op = ScalarOp::Add;
    bool isBinary = false;
    bool operator==(const Step &) const = default;
  };
  bool append(const SymbolicScalar &number);

  std::vector<Step> steps_;
  std::vector<Dim> sizes_;
};

} // namespace bifront
