// Where something stands in a source file.
#pragma once

namespace bifront::syntax {

// A stretch of source text; columns count bytes of UTF-8.
struct SourceExtent {
  int line = 0, column = 0, endLine = 0, endColumn = 0;
  bool holds(const SourceExtent &other) const;
  bool holdsStartOf(const SourceExtent &other) const;
};

} // namespace bifront::syntax
