// Who asks for a truth of the graph: the program, whose loops end by it, or code of PyTorch's,
// which looks for rare cases.
#pragma once

namespace bifront {

// The program, while one lives.
class ProgramAsks {
public:
  ProgramAsks() { ++depth; }
  ~ProgramAsks() { --depth; }
  ProgramAsks(const ProgramAsks &) = delete;

  static bool now() { return depth > 0; }

private:
  static inline thread_local int depth = 0;
};

} // namespace bifront
