// The syntax of one Python function, read once from its source: what the interpreter walks. Names
// are resolved to where CPython's compiler puts them, so that cells and code objects are shared
// with CPython. Immutable and shared between conversions.
#pragma once

#include "frontend/source_extent.h"
#include "support/py_ref.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace bifront::syntax {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using Body = std::vector<std::unique_ptr<Stmt>>;

// Where a name lives.
struct Binding {
  enum class Kind : uint8_t {
    Local,  // a slot of the frame
    Cell,   // a cell of the frame: the function's own first, its closure's, its comprehensions'
    Global, // the module's dict, then builtins
  } kind = Kind::Global;
  uint32_t index = 0; // Local, Cell
  PyRef name;         // an interned str
};

// A nested function, lambda or class body: CPython's code object for it, of the enclosing code's
// constants, and which cells of the enclosing frame its closure takes (indices as of
// Binding::Cell).
struct NestedCode {
  PyRef code;
  std::vector<uint32_t> closure;
};

//===- Expressions -------------------------------------------------------------------------===//

enum class UnaryOp : uint8_t { Not, Negative, Positive, Invert };
// In the order of CPython's NB_* opcodes for binary operators.
enum class BinaryOp : uint8_t {
  Add,
  And,
  FloorDivide,
  LeftShift,
  MatrixMultiply,
  Multiply,
  Remainder,
  Or,
  Power,
  RightShift,
  Subtract,
  TrueDivide,
  Xor,
};
enum class CompareOp : uint8_t { Lt, Le, Eq, Ne, Gt, Ge, Is, IsNot, In, NotIn };

struct Constant {
  PyRef value;
};
struct Name {
  Binding binding;
};
struct Attribute {
  ExprPtr object;
  PyRef name;
}; // the name is mangled as the compiler does
struct Subscript {
  ExprPtr object, index;
};
struct Slice {
  ExprPtr lower, upper, step;
}; // each may be null
struct Starred {
  ExprPtr value;
};
struct Sequence {
  enum class Kind : uint8_t { Tuple, List, Set } kind;
  std::vector<ExprPtr> elements;
};
struct DictDisplay {
  std::vector<ExprPtr> keys, values;
}; // a null key: `**value`
struct Unary {
  UnaryOp op;
  ExprPtr operand;
};
struct Binary {
  BinaryOp op;
  ExprPtr left, right;
};
struct BoolOperation {
  bool isAnd;
  std::vector<ExprPtr> values;
};
struct Comparison {
  ExprPtr first;
  std::vector<CompareOp> ops;
  std::vector<ExprPtr> rest;
};
struct Keyword {
  PyRef name;
  ExprPtr value;
}; // a null name: `**value`
struct Call {
  ExprPtr callee;
  std::vector<ExprPtr> args;
  std::vector<Keyword> keywords;
};
struct Conditional {
  ExprPtr condition, then, otherwise;
};
struct NamedValue {
  ExprPtr target, value;
}; // `target := value`
struct Interpolation {
  ExprPtr value;
  int conversion;
  ExprPtr spec;
}; // -1, 's', 'r', 'a'; spec may be null
struct JoinedString {
  std::vector<ExprPtr> parts;
}; // Constant or Interpolation
struct Lambda {
  NestedCode code;
  std::vector<ExprPtr> defaults;
  std::vector<std::pair<PyRef, ExprPtr>> keywordDefaults;
};
struct ComprehensionClause {
  ExprPtr target, iterable;
  std::vector<ExprPtr> conditions;
};
// The names that it binds are slots of the enclosing frame of their own. Those that a nested
// function captures are cells of their own: `freshCells`, which it makes anew, empty, each time
// that it is entered.
struct Comprehension {
  enum class Kind : uint8_t { List, Set, Dict, Generator } kind;
  ExprPtr element; // Dict: the key
  ExprPtr value;   // Dict only
  std::vector<ComprehensionClause> clauses;
  std::vector<uint32_t> freshCells;
  NestedCode code; // Generator only: for a real one, called with iter(the first iterable)
};
struct Yield {
  ExprPtr value;
  bool from;
}; // value may be null

struct Expr {
  std::variant<Constant, Name, Attribute, Subscript, Slice, Starred, Sequence, DictDisplay, Unary,
               Binary, BoolOperation, Comparison, Call, Conditional, NamedValue, Interpolation,
               JoinedString, Lambda, Comprehension, Yield>
      node;
  SourceExtent place = {}; // in the file
};

//===- Statements --------------------------------------------------------------------------===//

struct ExprStmt {
  ExprPtr value;
};
struct Assign {
  std::vector<ExprPtr> targets;
  ExprPtr value;
}; // targets: Name, Attribute, Subscript, Sequence, Starred
struct AugAssign {
  ExprPtr target;
  BinaryOp op;
  ExprPtr value;
};
struct Delete {
  std::vector<ExprPtr> targets;
};
struct Return {
  ExprPtr value;
}; // may be null
struct If {
  ExprPtr condition;
  Body then, otherwise;
};
struct While {
  ExprPtr condition;
  Body body, otherwise;
};
struct For {
  ExprPtr target, iterable;
  Body body, otherwise;
};
struct Break {};
struct Continue {};
struct Pass {};
struct Raise {
  ExprPtr exception, cause;
}; // each may be null
struct Assert {
  ExprPtr condition, message;
};
struct Handler {
  ExprPtr type;
  std::unique_ptr<Binding> name;
  Body body;
}; // type and name may be null
struct Try {
  Body body;
  std::vector<Handler> handlers;
  Body otherwise, finally;
};
struct WithItem {
  ExprPtr context, target;
}; // target may be null
struct With {
  std::vector<WithItem> items;
  Body body;
};
struct FunctionDef {
  Binding target;
  NestedCode code;
  std::vector<ExprPtr> decorators, defaults;
  std::vector<std::pair<PyRef, ExprPtr>> keywordDefaults;
  // In the order of evaluation; `return` too. Under `from __future__ import annotations` they are
  // Constants, the strings.
  std::vector<std::pair<PyRef, ExprPtr>> annotations;
};
struct ClassDef {
  Binding target;
  PyRef name;
  NestedCode code;
  std::vector<ExprPtr> decorators, bases;
  std::vector<Keyword> keywords;
};
struct Import {
  PyRef module;
  Binding target;
  bool asName;
}; // `import a.b` binds a, `as` the last
struct ImportFrom {
  PyRef module; // "" for `from . import x`
  int level;
  std::vector<std::pair<PyRef, Binding>> names;
};

struct Pattern;
using PatternPtr = std::unique_ptr<Pattern>;
struct ValuePatternNode {
  ExprPtr value;
};
struct SingletonPattern {
  PyRef value;
};
struct SequencePattern {
  std::vector<PatternPtr> patterns;
};
struct StarPattern {
  std::unique_ptr<Binding> name;
}; // may be null
struct MappingPattern {
  std::vector<ExprPtr> keys;
  std::vector<PatternPtr> patterns;
  std::unique_ptr<Binding> rest;
};
struct ClassPattern {
  ExprPtr cls;
  std::vector<PatternPtr> positional;
  std::vector<PyRef> names;
  std::vector<PatternPtr> keywords;
};
struct AsPattern {
  PatternPtr pattern;
  std::unique_ptr<Binding> name;
}; // both null: `_`
struct OrPattern {
  std::vector<PatternPtr> patterns;
};
struct Pattern {
  std::variant<ValuePatternNode, SingletonPattern, SequencePattern, StarPattern, MappingPattern,
               ClassPattern, AsPattern, OrPattern>
      node;
};
struct MatchCase {
  PatternPtr pattern;
  ExprPtr guard;
  Body body;
}; // guard may be null
struct Match {
  ExprPtr subject;
  std::vector<MatchCase> cases;
};

struct Stmt {
  std::variant<ExprStmt, Assign, AugAssign, Delete, Return, If, While, For, Break, Continue, Pass,
               Raise, Assert, Try, With, FunctionDef, ClassDef, Import, ImportFrom, Match>
      node;
  int line = 0;
};

//===- Functions ---------------------------------------------------------------------------===//

struct Function {
  PyRef code;            // kept alive: it is the key
  Body body;             // of a lambda: one Return
  uint32_t numSlots = 0; // parameters first, as in co_varnames; names of comprehensions last
  uint32_t numCells = 0; // its own; closure cells follow, then those of comprehensions
  uint32_t numComprehensionCells = 0;
  // The cell of `__class__`, which `super()` reads: of the closure, if at all.
  std::optional<uint32_t> classCell;
  std::vector<PyRef> slotNames;
  // Parameters that are cells: (slot of the argument, cell).
  std::vector<std::pair<uint32_t, uint32_t>> cellParameters;
  bool isGenerator = false;  // also async: not walked
  bool guardsYields = false; // a `try` or a `with` of it sees how a yield ends
};

// The syntax of `function`'s code, or null where there is none that is surely the right one; then
// `whyNot` says why in a clause ("its source file has changed"). Cached per code object. Runs no
// code of the program. Never leaves an exception set. The GIL is held.
std::shared_ptr<const Function> syntaxOf(PyObject *function, std::string &whyNot);

} // namespace bifront::syntax
