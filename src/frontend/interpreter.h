// Walks Python functions with proxies in the place of tensors, as CPython would run them. C
// functions, torch's among them, are called natively; what the program reads of Python's values and
// does to them goes through the log, so that it can be guarded, taken back and done again.
#pragma once

#include "frontend/python_effects.h"
#include "frontend/python_error.h"
#include "frontend/python_log.h"
#include "frontend/syntax.h"

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bifront {

// The program does something that no graph can have; CPython is to run it.
struct CannotInterpret : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What the interpreter asks of those who make the graph.
struct InterpreterHost {
  // The places that a Python function (or object) reaches when CPython runs it, for
  // PythonLog::readPlaces.
  std::function<PyRef(PyObject *function, PyObject *arguments)> reachable;
  // Calls `call`, which runs Python code that is not walked; throws CannotInterpret when values at
  // `places` have changed by it.
  std::function<PyRef(PyObject *places, const std::function<PyRef()> &call)> unchanged;
  // A proxy for a value that varies from call to call, and the graph's input; nothing for others.
  std::function<std::optional<std::pair<PyRef, uint32_t>>(const Slot &slot, PyObject *value)>
      inputFor;
};

// Arguments of a call, owned.
struct CallArguments {
  std::vector<PyRef> positional;
  std::vector<std::pair<PyRef, PyRef>> keywords;
};

struct Frame {
  const syntax::Function &syntax;
  PyObject *function; // borrowed from the caller
  PyObject *globals, *builtins;
  std::vector<PyRef> slots;
  std::vector<PyRef> cells;
  PyRef returned;
  Frame *caller = nullptr;
  int line = 0;
  class Generator *generator = nullptr;          // that yields go to
  std::shared_ptr<const syntax::Function> owner; // of the syntax
};

enum class Completion : uint8_t { Normal, Break, Continue, Return };

// All functions throw PythonError where the program raises.
class Interpreter {
public:
  explicit Interpreter(const InterpreterHost &host);
  ~Interpreter();
  Interpreter(const Interpreter &) = delete;

  // Throws CannotInterpret, also where the program swallowed it.
  PyRef run(PyObject *callee, CallArguments arguments);
  // Takes all changes of Python's values back.
  PythonEffects finish() { return log_.finish(); }
  // The innermost frame of the program's own files; null where there is none.
  const Frame *programFrame() const;

private:
  friend class Generator;
  struct Builtins;

  PyRef call(PyObject *callee, CallArguments arguments);
  PyRef callWith(PyObject *callee, PyRef argument);

  // statements.cpp
  Completion run(Frame &frame, const syntax::Body &body);
  Completion run(Frame &frame, const syntax::Stmt &stmt);
  Completion run(Frame &, const syntax::ExprStmt &);
  Completion run(Frame &, const syntax::Assign &);
  Completion run(Frame &, const syntax::AugAssign &);
  Completion run(Frame &, const syntax::Delete &);
  Completion run(Frame &, const syntax::Return &);
  Completion run(Frame &, const syntax::If &);
  Completion run(Frame &, const syntax::While &);
  Completion run(Frame &, const syntax::For &);
  Completion run(Frame &, const syntax::Break &) { return Completion::Break; }
  Completion run(Frame &, const syntax::Continue &) { return Completion::Continue; }
  Completion run(Frame &, const syntax::Pass &) { return Completion::Normal; }
  Completion run(Frame &, const syntax::Raise &);
  Completion run(Frame &, const syntax::Assert &);
  Completion run(Frame &, const syntax::Try &);
  Completion run(Frame &, const syntax::With &);
  Completion run(Frame &, const syntax::FunctionDef &);
  Completion run(Frame &, const syntax::ClassDef &);
  Completion run(Frame &, const syntax::Import &);
  Completion run(Frame &, const syntax::ImportFrom &);
  Completion run(Frame &, const syntax::Match &);
  Completion runHandled(Frame &, const syntax::Try &);
  Completion runHandler(Frame &, const syntax::Handler &, PyObject *exception);
  Completion runWith(Frame &, const syntax::With &, size_t item);
  bool catches(Frame &, const syntax::Handler &, PyObject *exception);

  // match.cpp
  bool matches(Frame &, const syntax::Pattern &, PyObject *subject);
  bool matches(Frame &, const syntax::ValuePatternNode &, PyObject *subject);
  bool matches(Frame &, const syntax::SingletonPattern &, PyObject *subject);
  bool matches(Frame &, const syntax::SequencePattern &, PyObject *subject);
  bool matches(Frame &, const syntax::StarPattern &, PyObject *subject);
  bool matches(Frame &, const syntax::MappingPattern &, PyObject *subject);
  bool matches(Frame &, const syntax::ClassPattern &, PyObject *subject);
  bool matches(Frame &, const syntax::AsPattern &, PyObject *subject);
  bool matches(Frame &, const syntax::OrPattern &, PyObject *subject);

  // names.cpp
  PyRef load(Frame &, const syntax::Binding &);
  void store(Frame &, const syntax::Binding &, PyRef value);
  void remove(Frame &, const syntax::Binding &);
  PyRef loadGlobal(Frame &, PyObject *name);
  void assign(Frame &, const syntax::Expr &target, PyRef value);
  void unpack(Frame &, const std::vector<syntax::ExprPtr> &targets, PyObject *value);
  void remove(Frame &, const syntax::Expr &target);
  // What the program finds in a slot: the value itself, or the graph's input for it.
  PyRef found(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value);

  // expressions.cpp
  PyRef eval(Frame &frame, const syntax::Expr &expr);
  PyRef eval(Frame &, const syntax::Constant &);
  PyRef eval(Frame &, const syntax::Name &);
  PyRef eval(Frame &, const syntax::Attribute &);
  PyRef eval(Frame &, const syntax::Subscript &);
  PyRef eval(Frame &, const syntax::Slice &);
  PyRef eval(Frame &, const syntax::Starred &);
  PyRef eval(Frame &, const syntax::Sequence &);
  PyRef eval(Frame &, const syntax::DictDisplay &);
  PyRef eval(Frame &, const syntax::Unary &);
  PyRef eval(Frame &, const syntax::Binary &);
  PyRef eval(Frame &, const syntax::BoolOperation &);
  PyRef eval(Frame &, const syntax::Comparison &);
  PyRef eval(Frame &, const syntax::Call &);
  PyRef eval(Frame &, const syntax::Conditional &);
  PyRef eval(Frame &, const syntax::NamedValue &);
  PyRef eval(Frame &, const syntax::Interpolation &);
  PyRef eval(Frame &, const syntax::JoinedString &);
  PyRef eval(Frame &, const syntax::Lambda &);
  PyRef eval(Frame &, const syntax::Comprehension &);
  PyRef eval(Frame &, const syntax::Yield &);
  PyRef evalOrNone(Frame &, const syntax::ExprPtr &expr);
  std::vector<PyRef> evalAll(Frame &, const std::vector<syntax::ExprPtr> &exprs);
  PyRef generatorOf(Frame &, const syntax::Comprehension &);
  // Calls `element` for each item that the clauses give.
  void comprehend(Frame &, const syntax::Comprehension &, size_t clause, const PyRef &iterator,
                  const std::function<void()> &element);
  CallArguments argumentsOf(Frame &, const syntax::Call &);
  std::optional<PyRef> callOfFrame(Frame &, const syntax::Call &, PyObject *callee);

  // operators.cpp
  PyRef binary(syntax::BinaryOp op, PyObject *left, PyObject *right, bool inPlace = false);
  std::optional<PyRef> dispatched(PyObject *left, PyObject *right, const char *name,
                                  const char *reflected);
  PyRef unary(syntax::UnaryOp op, PyObject *operand);
  PyRef negated(PyObject *operand);
  PyRef compare(syntax::CompareOp op, PyObject *left, PyObject *right);
  bool contains(PyObject *container, PyObject *item);
  bool truth(PyObject *value);
  PyRef item(PyObject *object, PyObject *key);
  PyRef dictItem(PyObject *dict, PyObject *key);
  void setItem(PyObject *object, PyObject *key, PyObject *value); // null deletes
  PyRef iterate(PyObject *iterable);
  PyRef next(PyObject *iterator);       // null at the end
  PyRef nextOrStop(PyObject *iterator); // null with StopIteration set
  PyRef listOf(PyObject *iterable);
  PyRef specialMethod(PyObject *object,
                      const char *name); // of its type; raises where there is none
  std::optional<PyRef> callSpecial(PyObject *object, const char *name,
                                   std::initializer_list<PyObject *> arguments);

  // attributes.cpp
  PyRef attribute(PyObject *object, PyObject *name);
  PyRef attributeOrAbsent(PyObject *object, PyObject *name);
  PyRef genericAttribute(PyObject *object, PyObject *name); // null: absent, without an exception
  PyRef attributeByFallback(PyObject *object, PyObject *name);
  PyRef bound(PyObject *descriptor, PyObject *object);
  void setAttribute(PyObject *object, PyObject *name, PyObject *value); // null deletes
  void setGenericAttribute(PyObject *object, PyObject *name, PyObject *value);
  PyObject *dictOf(PyObject *object); // borrowed; null where it has none

  // functions.cpp
  PyRef callFunction(PyObject *function, CallArguments arguments);
  bool bind(Frame &, CallArguments &arguments);
  void bindCells(Frame &);
  PyRef newCell();
  void makeCells(Frame &, const syntax::Comprehension &);
  PyRef callClass(PyTypeObject *cls, CallArguments arguments);
  PyRef makeFunction(Frame &, const syntax::NestedCode &code,
                     const std::vector<syntax::ExprPtr> &defaults,
                     const std::vector<std::pair<PyRef, syntax::ExprPtr>> &keywordDefaults);
  PyRef makeGenerator(std::unique_ptr<Frame> frame, PyRef function,
                      std::shared_ptr<const syntax::Function> syntax,
                      std::function<PyRef(Frame &)> body);
  PyRef decorated(std::vector<PyRef> decorators, PyRef value);

  // native.cpp
  PyRef callNative(PyObject *callee, CallArguments &arguments);
  PyRef callUnwalked(PyObject *callee, CallArguments &arguments);
  PyRef callDirectly(PyObject *callee, const CallArguments &arguments);
  PyRef newInstance(PyTypeObject *cls, const CallArguments &arguments);
  PyRef watch(PyObject *function, PyObject *arguments);
  void readPlace(PyObject *place);
  void readArgument(PyObject *argument, int depth);
  void noteMade(PyObject *value);
  PyRef wrapCallable(PyObject *function);
  void refuse(std::exception_ptr why);
  void rethrowRefusal();

  // builtins.cpp
  std::optional<PyRef> callKnown(PyObject *callee, CallArguments &arguments);
  std::optional<PyRef> callOfObject(PyObject *self, std::string_view name,
                                    CallArguments &arguments);
  PyRef callDirectlyOn(PyObject *self, std::string_view name, CallArguments &arguments);
  PyRef callOfContainer(PyObject *self, std::string_view name, PyObject *function,
                        CallArguments &arguments);
  std::optional<PyRef> callOfDict(PyObject *dict, std::string_view name,
                                  std::vector<PyRef> &arguments);
  PyRef sorted(PyRef items, const PyRef &key, const PyRef &reverse);

  InterpreterHost host_;
  PythonLog log_;
  Frame *frame_ = nullptr;
  int depth_ = 0;
  PyRef print_;                  // what the builtin is during a capture
  std::exception_ptr refusal_;   // on its way through C
  std::vector<PyRef> callbacks_; // that lead here
};

} // namespace bifront
