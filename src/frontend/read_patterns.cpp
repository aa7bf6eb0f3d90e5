#include "frontend/reader.h"

#include <utility>

namespace bifront::syntax {
namespace {

PatternPtr patternOf(decltype(Pattern::node) content) {
  return std::make_unique<Pattern>(Pattern{std::move(content)});
}

} // namespace

void Reader::match(PyObject *node, Body &into) {
  Match result{expression(node, Field::subject), {}};
  forEach(node, Field::cases, [&](PyObject *item) {
    result.cases.push_back({pattern(get(item, Field::pattern).get()),
                            optionalExpression(item, Field::guard), body(item, Field::body)});
  });
  add(node, into, std::move(result));
}

PatternPtr Reader::pattern(PyObject *node) {
  switch (kindOf(node)) {
  case NodeKind::MatchValue: return patternOf(ValuePatternNode{expression(node, Field::value)});
  case NodeKind::MatchSingleton: return patternOf(SingletonPattern{get(node, Field::value)});
  case NodeKind::MatchSequence: return patternOf(SequencePattern{patterns(node, Field::patterns)});
  case NodeKind::MatchStar: return patternOf(StarPattern{optionalBound(node, Field::name)});
  case NodeKind::MatchMapping: return mappingPattern(node);
  case NodeKind::MatchClass: return classPattern(node);
  case NodeKind::MatchAs: {
    PyRef inner = getIfAny(node, Field::pattern);
    return patternOf(
        AsPattern{inner ? pattern(inner.get()) : nullptr, optionalBound(node, Field::name)});
  }
  case NodeKind::MatchOr: return patternOf(OrPattern{patterns(node, Field::patterns)});
  default: throw Unread{"it has a pattern that is not known"};
  }
}

PatternPtr Reader::mappingPattern(PyObject *node) {
  return patternOf(MappingPattern{expressions(node, Field::keys), patterns(node, Field::patterns),
                                  optionalBound(node, Field::rest)});
}

PatternPtr Reader::classPattern(PyObject *node) {
  ClassPattern result{expression(node, Field::cls), patterns(node, Field::patterns), {}, {}};
  forEach(node, Field::kwd_attrs,
          [&](PyObject *name) { result.names.push_back(PyRef::share(name)); });
  result.keywords = patterns(node, Field::kwd_patterns);
  return patternOf(std::move(result));
}

std::vector<PatternPtr> Reader::patterns(PyObject *node, Field field) {
  std::vector<PatternPtr> result;
  forEach(node, field, [&](PyObject *item) { result.push_back(pattern(item)); });
  return result;
}

} // namespace bifront::syntax
