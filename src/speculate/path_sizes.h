// What is known of the dynamic sizes of a call's tensors on the path that is captured. Some are
// decided, and of others it is decided how questions about them are answered: then shapes are
// inferred with sizes for which that is the answer, which need not be those of the call at hand.
#pragma once

#include "capture/capture.h"
#include "speculate/arguments.h"
#include "speculate/fitting_sizes.h"
#include "speculate/path.h"

#include <map>
#include <optional>
#include <vector>

namespace bifront {

class PathSizes {
public:
  // `path`: what is decided already. `forced`: what an earlier call has decided, to which answers
  // are added that it lacks; null for the call at hand.
  PathSizes(Capture &capture, Arguments &arguments, const Path &path, Path *forced)
      : capture_(capture), arguments_(arguments), path_(path), forced_(forced) {}

  // Answers what conversions have had to ask of the sizes. `inputs`: of the leaves.
  void answer(const std::map<uint32_t, uint32_t> &inputs);
  // The sizes of a leaf, decided at the latest here.
  std::vector<Dim> of(uint32_t leaf, uint32_t input);
  // Whether some are.
  bool decideAny() const { return decideAny_; }

  // What the conversion would have had to know of sizes, if that is a question about arguments.
  std::optional<AskedSizes> asked();

private:
  std::optional<bool> knownAnswer(const c10::SymNode &truth) const;
  bool answerTo(SymbolicScalar &truth, FittingSizes::Question &question);
  bool earlierAnswer(FittingSizes::Question &question);
  FittingSizes fitting() const;
  void fit();
  [[noreturn]] void failForSizes();
  std::optional<AskedSizes> askedOfSpecial(const Dim &size);
  std::optional<AskedSizes> askedOfPinned() const;
  AskedSizes askedIfIs(const Dim &size, int world) const;
  std::optional<Dim> baseOf(const Dim &size) const;
  std::vector<Dim> openSizes() const;
  Dim onPath(uint32_t leaf, size_t d) const;
  std::optional<Varying::Dimension> placeOf(const Dim &size) const;
  std::optional<int64_t> decided(uint32_t input, const DecidedDim &dim);

  Capture &capture_;
  Arguments &arguments_;
  const Path &path_;
  Path *forced_;
  std::vector<FittingSizes::Question> questions_;
  std::vector<int64_t> now_; // the sizes that they are about, in this call
  bool decideAny_ = false;
  std::optional<AskedSizes> pinned_; // of which the answers so far leave a single size
  c10::SymNode maker_;
  std::map<int64_t, Dim> bySize_; // what stands for the sizes that there are questions about
};

} // namespace bifront
