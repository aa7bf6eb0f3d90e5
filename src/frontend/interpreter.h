// Walks Python functions with proxies in the place of tensors, as CPython would run them. C
// functions, torch's among them, are called natively; what the program reads of Python's values and
// does to them goes through the log, so that it can be guarded, taken back and done again.
#pragma once

#include "capture/modes.h"
#include "frontend/interpreter_host.h"
#include "frontend/lanes.h"
#include "frontend/python_error.h"
#include "frontend/python_frame.h"
#include "frontend/python_log.h"
#include "frontend/syntax.h"
#include "frontend/written_examples.h"
#include "ir/graph_recorder.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bifront {

struct Callback;

class Generator;
class Merge;

// Arguments of a call, owned.
struct CallArguments {
  std::vector<PyRef> positional;
  std::vector<std::pair<PyRef, PyRef>> keywords;
};

// All functions throw PythonError where the program raises.
class Interpreter {
public:
  explicit Interpreter(const InterpreterHost &host);
  ~Interpreter();
  Interpreter(const Interpreter &) = delete;

  // Throws CannotInterpret, also where the program swallowed it.
  PyRef run(PyObject *callee, CallArguments arguments);
  // Asks the host for inputs in the place of what is in these slots.
  void standIn(const std::vector<Slot> &slots);
  // Takes all changes of Python's values back.
  PythonEffects finish();
  // Whether that has ended a generator which then did something.
  bool endedWithEffects() const { return endedWithEffects_; }
  // Whether it walks an iteration of one of Policies::longLoops.
  bool isInLongLoop() const { return longWalks_ > 0; }
  // Whether it walks one way of a branch, outside of loops and functions of the graph.
  bool isInBranch() const { return !forks_.empty() && loopWalks_ == 0 && functions_.empty(); }
  // Of CPython's frames, at most, from one call of a function of the graph to its call of itself; 0
  // where there is none.
  uint32_t framesPerCall() const { return framesPerCall_; }
  // Whether what it has read of pointers may be what it has written by other names.
  bool readsWhatItWrites(const PythonEffects &effects) const;
  // The innermost frame of the program's own files; null where there is none.
  const PythonFrame *programFrame() const;
  // What opaque calls reach, as InterpreterHost's.
  const std::vector<PyRef> &reachedByCalls() const { return reachedByCalls_; }
  // An opaque call may see what the walk has left for the end of the run. Throws UnknownEffects
  // where the call that has written it may be an opaque one as well.
  void wantWriterOf(const PythonWrite &write);

private:
  friend class Generator;
  struct Builtins;

  void refuseIterators(PyObject *result, int depth) const;

  PyRef call(PyObject *callee, CallArguments arguments);
  PyRef callWith(PyObject *callee, PyRef argument);

  // statements.cpp
  Completion run(PythonFrame &frame, const syntax::Body &body);
  Completion run(PythonFrame &frame, const syntax::Stmt &stmt);
  Completion run(PythonFrame &, const syntax::ExprStmt &);
  Completion run(PythonFrame &, const syntax::Assign &);
  Completion run(PythonFrame &, const syntax::AugAssign &);
  Completion run(PythonFrame &, const syntax::Delete &);
  Completion run(PythonFrame &, const syntax::Return &);
  Completion run(PythonFrame &, const syntax::If &);
  Completion run(PythonFrame &, const syntax::While &);
  Completion run(PythonFrame &, const syntax::For &);
  Completion run(PythonFrame &, const syntax::Break &) { return Completion::Break; }
  Completion run(PythonFrame &, const syntax::Continue &) { return Completion::Continue; }
  Completion run(PythonFrame &, const syntax::Pass &) { return Completion::Normal; }
  Completion run(PythonFrame &, const syntax::Raise &);
  Completion run(PythonFrame &, const syntax::Assert &);
  Completion run(PythonFrame &, const syntax::Try &);
  Completion run(PythonFrame &, const syntax::With &);
  Completion run(PythonFrame &, const syntax::FunctionDef &);
  Completion run(PythonFrame &, const syntax::ClassDef &);
  Completion run(PythonFrame &, const syntax::Import &);
  Completion run(PythonFrame &, const syntax::ImportFrom &);
  Completion run(PythonFrame &, const syntax::Match &);
  PyRef caught();
  Completion runHandled(PythonFrame &, const syntax::Try &);
  Completion runHandler(PythonFrame &, const syntax::Handler &, PyObject *exception);
  Completion runWith(PythonFrame &, const syntax::With &, size_t item);
  bool catches(PythonFrame &, const syntax::Handler &, PyObject *exception);

  // branches.cpp
  struct Way;
  struct Fork;
  enum class Forked : uint8_t { Done, EndsDiffer, Impossible };
  using WayBody = std::function<Completion(Way &)>;
  using StatementBody = std::function<Completion()>;
  void refuseUnrolled(const PythonFrame &) const;
  std::optional<Completion> forkStatement(PythonFrame &, const void *site, PyObject *condition,
                                          const StatementBody &then,
                                          const StatementBody &otherwise);
  std::optional<PyRef> forkValue(PythonFrame &, const void *site, PyObject *condition,
                                 const std::function<PyRef()> &then,
                                 const std::function<PyRef()> &otherwise);
  PyRef conditionOf(PyObject *value);
  // Whether an expression is true: a bool of Python, or one of the graph where the walk goes both
  // ways.
  PyRef condition(PythonFrame &, const syntax::Expr &expr);
  PyRef conditionOrTruth(PyObject *value);
  PyRef conditionFrom(PythonFrame &, const syntax::BoolOperation &, size_t first);
  PyRef conditionFrom(PythonFrame &, const syntax::Comparison &, const PyRef &left, size_t first);
  Forked fork(PythonFrame &, const void *site, PyObject *condition, const WayBody &then,
              const WayBody &otherwise, Way &merged);
  bool walkBoth(PythonFrame &, PyObject *condition, const WayBody &then, const WayBody &otherwise,
                std::optional<Way> (&ways)[2]);
  Way walkWay(PythonFrame &, const WayBody &body, std::span<const ValueId> first = {});
  void mergeWays(PythonFrame &, const void *site, PyObject *condition,
                 const PythonLog::Mark &before, Way (&ways)[2], Way &merged);
  Completion runFrom(PythonFrame &, const syntax::Body &body, size_t first);
  Completion runRest(PythonFrame &);
  std::string forgetFailure(const std::exception &why);
  // `site`, if another walk can take it to go one way: within functions of the graph none can.
  const void *choiceAt(const void *site) const { return functions_.empty() ? site : nullptr; }
  void noteOneWay(const char *what, const std::string &why) const;
  Policy policyOf(const void *site) const;
  void preparePlace(const PythonLog::Change &place);
  void fillPlace(const PythonLog::Change &place, PyObject *value);
  ValueId conditionValue(PyObject *condition) const;

  // opaque.cpp
  std::optional<PyRef> callOpaque(PyObject *callee, const CallArguments &arguments);
  void checkOperand(PyObject *operand, int depth = 0);
  ValueId operandOf(PyObject *object, bool isLogged = false);
  PyRef exampleFor(PyObject *operand);
  PyRef exampleOfNumber(PyObject *number, int depth = 0);
  PyRef sampleOf(PyObject *function, const CallArguments &arguments);
  ValueId recordCall(PyObject *function, const CallArguments &arguments, bool isLogged = false);
  ValueId recordCall(PyObject *function, PyObject *called, const CallArguments &arguments,
                     bool isLogged = false);
  PyRef opaqueResult(ValueId value, OpaqueObject result);
  PyRef opaqueSample(PyObject *object) const;
  PyRef opaqueItems(PyObject *object);
  PyRef countedItems(PyObject *object, PyObject *length, size_t count);

  // logged_calls.cpp
  std::string siteNow() const;
  PyObject *functionWithCode(PyObject *function) const;
  PyRef callAtSite(PythonFrame &, PyObject *callee, CallArguments arguments);
  bool isLoggedCall(const PythonFrame &, PyObject *callee) const;
  PyRef callLogged(PythonFrame &, const CallPlace &, OpaqueSite &, PyObject *callee,
                   const CallArguments &arguments);
  struct WholeCall;
  std::optional<std::vector<PyRef>> givenTo(PyObject *callee, const CallArguments &arguments);
  void wantDecider(const WholeCall &call, PyObject *result, size_t decidedBefore);
  void wantUser(const WholeCall &call, const CallArguments &arguments, const CannotInterpret &why);
  void wantWhole(const WholeCall &call, const std::string &why, bool isWalkable);
  PyRef argumentOfLogged(PythonFrame &, const syntax::Expr &argument);
  bool canBeGiven(PyObject *callee, CallArguments arguments);
  std::vector<PyRef> checkedOperands(const CallArguments &arguments);
  void checkLoggedOperand(PyObject *operand, std::vector<PyRef> &ofProgram, int depth = 0);
  void checkPending(const std::vector<PyRef> &ofProgram);
  PyRef readInRun(const Slot &slot, PyObject *value);
  bool reachesTensors(const std::vector<PyRef> &objects) const;
  bool reroutes(PyObject *function);
  void noteWrites(const PythonFrame &frame, const CallPlace &place, PyObject *callee,
                  const CallArguments &arguments, size_t writesBefore);
  std::vector<LoggedFrame> framesAt(const PythonFrame &innermost) const;

  // output.cpp
  struct Output;
  std::optional<PyRef> callOfOutput(PyObject *callee, CallArguments &arguments);
  PyRef methodOfStream(PyObject *stream, PyObject *name);
  PyRef shown(PyObject *value, int depth = 0);
  bool outputWaits() const;
  void sayLater(PyObject *function, const std::vector<PyRef> &values, PyObject *names = nullptr);

  // numpy_values.cpp
  PyRef dataOf(PyObject *object) const;
  bool holdsData(PyObject *object, int depth = 0) const;
  std::optional<PyRef> callOnData(PyObject *callee, const CallArguments &arguments);
  PyRef callPure(PyObject *function, const CallArguments &arguments);
  PyRef callPure(PyObject *function, std::initializer_list<PyObject *> operands);
  std::vector<SharedMemory> sharedBy(PyObject *data);
  void keepApart(PyObject *data);
  bool mayHaveChanged(const SharedMemory &memory) const;
  using Looks = std::pair<size_t, size_t>; // the first, and behind the last
  bool memoryHasChanged(const Looks &looks) const;
  void checkMemoryStays(const Looks &looks) const;
  std::optional<PyRef> arrayOfTensor(PyObject *callee, const CallArguments &arguments);
  PyRef dataAttribute(PyObject *object, PyObject *like, PyObject *name);
  PyRef numberOfScalar(PyObject *scalar);
  std::optional<PyRef> operatorOnData(const char *name, PyObject *left, PyObject *right,
                                      bool inPlace = false);

  // array_writes.cpp
  std::optional<PyRef> writeOnData(PyObject *function, const CallArguments &arguments);
  PyRef writeInPlace(const char *name, PyObject *array, PyObject *operand);
  void setDataItem(PyObject *array, PyObject *key, PyObject *value);

  // pointer_values.cpp
  ValueId held(PyObject *object);
  PyRef boolOf(ValueId value, Example example);
  PyRef objectOf(ValueId value);
  PyRef unboxed(ValueId value, const ValueType &type, PyObject *like);
  PyRef settled(PyObject *object);
  ValueId isOfClasses(ValueId pointer, const std::vector<PyTypeObject *> &classes);
  void assertClasses(ValueId pointer, const std::vector<PyTypeObject *> &classes);
  PyTypeObject *classOf(ValueId pointer);
  std::vector<PyTypeObject *> classesSeen(ValueId pointer) const;
  Example exampleOfPointer(ValueId pointer) const;
  PyRef pointerIsInstance(PyObject *pointer, PyObject *cls);
  PyRef pointerType(PyObject *pointer);
  PyRef pointerTruth(PyObject *pointer);
  PyRef pointerIs(PyObject *left, PyObject *right);
  PyRef pointerEquals(PyObject *left, PyObject *right);
  PyRef pointerAttribute(PyObject *pointer, PyObject *name);
  bool leadsToItems(PyObject *object) const;
  PyRef pointerLength(PyObject *pointer);
  PyRef pointerItem(PyObject *pointer, PyObject *key);
  Example exampleOf(PyObject *number);
  void noteComputed(PyObject *result, PyObject *left, PyObject *right,
                    const std::function<PyObject *(PyObject *, PyObject *)> &compute);
  std::optional<bool> decided(PyObject *condition);

  // pointer_writes.cpp
  void setPointerAttribute(PyObject *pointer, PyObject *name, PyObject *value);
  ValueId writeInRun(ValueId object, PyObject *name, ValueId value);
  ValueId objectToWrite(PyObject *value) const;
  const at::Tensor *tensorToWrite(PyObject *value) const;
  void noteWritten(ValueId object, PyObject *name, const Example &value);
  bool readsWhatRunsWrite(const PythonEffects &effects) const;
  bool isMadeInRun(PyTypeObject *cls, const CallArguments &arguments) const;
  PyRef makeInRun(PyTypeObject *cls, CallArguments arguments);

  // recursion.cpp
  class FunctionWalk;
  struct ResultPending;
  bool hasPointer(const PythonFrame &) const;
  void detectRecursion(const PythonFrame &) const;
  std::optional<PyRef> callInGraph(PythonFrame &);
  PyRef runBody(PythonFrame &);
  void assertWay(PyObject *condition, bool holds, const std::string &why);

  // loops.cpp
  struct LoopPlan;
  struct Carried;
  class LoopWalk;
  struct Counting;
  struct CountedLoop;
  struct GeneratorLoop;
  bool walkLoop(PythonFrame &, const LoopPlan &plan);
  bool loopsInGraph(const void *site, bool isGraphCondition, bool isFirst) const;
  using LoopBody = std::function<Completion()>;
  class Unrolling;
  // What a loop goes through that is none of the graph; `mayCount`: it could be one.
  struct Iterable {
    PyRef object;
    bool mayCount = false;
    PyRef first = {}; // of the numbers that enumerate() gives to the values of a generator
  };
  Completion runUnrolled(PythonFrame &, const LoopBody &body, const void *site);
  Completion runCounting(PythonFrame &, const CountedLoop &loop);
  Completion runBehind(PythonFrame &, const CountedLoop &loop, bool endsEarly);
  bool comprehendInGraph(PythonFrame &, const syntax::Comprehension &, Iterable &iterable,
                         const std::function<void()> &prepare,
                         const std::function<void()> &element);
  void comprehendItem(PythonFrame &, const syntax::Comprehension &, size_t clause, size_t condition,
                      const std::function<void()> &element);
  void setCarried(PythonFrame &, const Carried &, Merge &);
  PyRef nextCondition(PythonFrame &, const LoopBody &body, const void *site,
                      const std::function<PyRef()> &condition, bool &endsEarly);
  Completion runLoop(PythonFrame &, const syntax::While &);
  Completion runLoop(PythonFrame &, const syntax::For &);
  PyRef poison(const void *site, Policy instead, const std::string &why);
  void refusePoison(PyObject *value) const;

  // chosen_items.cpp
  PyRef chosenItem(PyObject *sequence, PyObject *number);
  bool isReadByRun(PyObject *sequence) const;
  PyRef itemReadByRun(PyObject *sequence, PyObject *number);
  bool canBeChosen(const std::vector<PyRef> &items) const;
  std::vector<PyRef> samplesOf(const std::vector<PyRef> &items) const;
  PyRef chosenAmong(const std::vector<PyRef> &items, PyObject *number);
  PyRef attributeOfChoice(const Choice &choice, PyObject *name);
  [[noreturn]] void refuseChoice(const Choice &choice) const;
  void refuseChoice(PyObject *object) const; // others pass

  // image_sizes.cpp
  std::optional<PyRef> callOfResizing(PyObject *callee, CallArguments &arguments);
  bool resizesInside(PyObject *function, const CallArguments &arguments) const;
  std::optional<PyRef> callOfPooling(PyObject *callee, CallArguments &arguments);
  std::optional<PyRef> callOfUpsampling(PyObject *callee, CallArguments &arguments);

  // selected_rows.cpp
  ValueId selectorOf(PyObject *function, const CallArguments &arguments);
  PyRef numberOfRows(PyObject *array, ValueId selector);
  PyRef sizesOfSelected(PyObject *array, PyObject *made);

  // array_sizes.cpp
  PyRef sizesOfResult(PyObject *function, const CallArguments &arguments) const;
  PyRef knownSizesOf(PyObject *array) const;
  PyRef tensorOfSizes(ValueId value, const OpaqueObject &made, PyObject *sizes);
  PyRef tensorOfArray(PyObject *array, ValueId value, OpaqueObject made);

  // loop_returns.cpp
  template <class Loop> Completion runReturning(PythonFrame &, const Loop &loop);
  bool returnsBehindLoop(PythonFrame &, const syntax::Return &) const;
  Completion returnFrom(PythonFrame &, const LoopReturns &, size_t first, bool isOneOfThem);

  // match.cpp
  Completion runCases(PythonFrame &, const syntax::Match &, PyObject *subject, size_t first);
  Completion runCase(PythonFrame &, const syntax::Match &, PyObject *subject, size_t index);
  PyRef fitsPattern(PythonFrame &, const syntax::Pattern &, PyObject *subject);
  PyRef fitsClass(PythonFrame &, const syntax::ClassPattern &, PyObject *subject);
  PyRef fitsAny(PythonFrame &, const syntax::OrPattern &, PyObject *subject, size_t first);
  PyRef bothFit(PythonFrame &, const void *site, const PyRef &first,
                const std::function<PyRef()> &rest);
  void bind(PythonFrame &, const syntax::Pattern &, PyObject *subject);
  using Parts = std::vector<std::pair<PyRef, const syntax::Pattern *>>;
  Parts partsOf(const syntax::ClassPattern &, PyObject *cls);
  bool matches(PythonFrame &, const syntax::Pattern &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::ValuePatternNode &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::SingletonPattern &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::SequencePattern &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::StarPattern &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::MappingPattern &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::ClassPattern &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::AsPattern &, PyObject *subject);
  bool matches(PythonFrame &, const syntax::OrPattern &, PyObject *subject);

  // variables.cpp
  PyRef load(PythonFrame &, const syntax::Binding &);
  void store(PythonFrame &, const syntax::Binding &, PyRef value);
  void remove(PythonFrame &, const syntax::Binding &);
  PyRef loadGlobal(PythonFrame &, PyObject *name);
  void assign(PythonFrame &, const syntax::Expr &target, PyRef value);
  void unpack(PythonFrame &, const std::vector<syntax::ExprPtr> &targets, PyObject *value);
  void remove(PythonFrame &, const syntax::Expr &target);
  // What the program finds in a slot: the value itself, or the graph's input for it.
  PyRef found(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value);

  // list_ends.cpp
  PyRef lengthOfList(PyObject *list);
  PyRef itemFromEnd(PyObject *list, Py_ssize_t fromEnd, size_t appended);
  PyRef itemsFromEnd(PyObject *list, PyObject *key);

  // grown_lists.cpp
  struct GrownList;
  bool isOfOneForm(PyObject *list);
  void noteLength(PyObject *list);
  std::optional<GrownList> grownList(PyObject *list, const void *site);
  PyRef itemOfGrown(PyObject *list, PyObject *index);
  PyRef copyOfGrown(PyObject *list);
  void checkGrownLists() const;

  // dict_items.cpp
  bool isForTheRun(PyObject *dict, PyObject *key) const;
  bool isSameKey(PyObject *dict, PyObject *one, PyObject *other);
  PyRef tensorUnder(ValueId item, PyObject *key, PyObject *dict);
  PyRef itemOfTheRun(PyObject *dict, PyObject *key);
  bool isKeyOfTheRun(PyObject *key) const;
  PyRef hasItemInTheRun(PyObject *dict, PyObject *key);
  // Null: there is none.
  std::optional<PyRef> numberedItem(PyObject *dict, PyObject *key,
                                    const std::function<PyRef()> &otherwise = {});
  bool setNumberedItem(PyObject *dict, PyObject *key, PyObject *value);
  bool takeNumberedItem(PyObject *dict, PyObject *key);

  // growing_lists.cpp
  PyRef lengthWithRows(PyObject *list);
  PyRef rowsOf(PyObject *list);
  PyRef rowAt(PyObject *rows, PyObject *index, bool isNumber);
  PyRef itemAmongRows(PyObject *list, PyObject *key);
  void checkUnchanged(PyObject *list, PyObject *before) const;
  std::optional<PyRef> stackOrCat(CallArguments &arguments, bool stacks);
  void assertHasItems(PyObject *list);
  std::optional<PyRef> tensorOfRows(PyObject *list, c10::ScalarType dtype);
  void checkStacked(PyObject *self, std::string_view method,
                    std::span<const PyRef> arguments) const;
  static void checkNotStacked(PyObject *sequence);

  // math_functions.cpp
  std::optional<PyRef> mathCall(PyObject *function, const CallArguments &arguments);
  std::optional<PyRef> realFunction(PyObject *function, PyObject *number);
  std::optional<PyRef> kindOfReal(PyObject *function, PyObject *number);
  std::optional<PyRef> mathLater(PyObject *function, const CallArguments &arguments);

  // graph_numbers.cpp
  PyRef intOfBool(PyObject *number);
  PyRef counted(PyObject *number);
  PyRef scalarOf(PyObject *object);
  PyRef toFloat(PyObject *number);
  PyRef toInt(PyObject *number);
  // The lesser of two (Lt), or the greater (Gt); null where they are no numbers of one type of
  // which only the run knows one.
  PyRef extremeNumber(PyObject *one, PyObject *other, syntax::CompareOp better);
  // A tensor of numbers, some of them the graph's; nothing where there are none.
  std::optional<PyRef> tensorOfData(const CallArguments &arguments);
  PyRef stackedNumbers(PyObject *data, PyObject *keywords, bool isReal);
  PyRef numberToFill(PyObject *number, bool isReal);
  void noteRead(PyObject *data);

  // expressions.cpp
  PyRef eval(PythonFrame &frame, const syntax::Expr &expr);
  PyRef eval(PythonFrame &, const syntax::Constant &);
  PyRef eval(PythonFrame &, const syntax::Name &);
  PyRef eval(PythonFrame &, const syntax::Attribute &);
  PyRef eval(PythonFrame &, const syntax::Subscript &);
  PyRef eval(PythonFrame &, const syntax::Slice &);
  PyRef eval(PythonFrame &, const syntax::Starred &);
  PyRef eval(PythonFrame &, const syntax::Sequence &);
  PyRef eval(PythonFrame &, const syntax::DictDisplay &);
  PyRef eval(PythonFrame &, const syntax::Unary &);
  PyRef eval(PythonFrame &, const syntax::Binary &);
  PyRef eval(PythonFrame &, const syntax::BoolOperation &);
  PyRef eval(PythonFrame &, const syntax::Comparison &);
  PyRef eval(PythonFrame &, const syntax::Call &);
  PyRef eval(PythonFrame &, const syntax::Conditional &);
  PyRef eval(PythonFrame &, const syntax::NamedValue &);
  PyRef eval(PythonFrame &, const syntax::Interpolation &);
  PyRef eval(PythonFrame &, const syntax::JoinedString &);
  PyRef eval(PythonFrame &, const syntax::Lambda &);
  PyRef eval(PythonFrame &, const syntax::Comprehension &);
  PyRef eval(PythonFrame &, const syntax::Yield &);
  PyRef evalFrom(PythonFrame &, const syntax::BoolOperation &, size_t first);
  PyRef evalFrom(PythonFrame &, const syntax::Comparison &, const PyRef &left, size_t first);
  PyRef evalOrNone(PythonFrame &, const syntax::ExprPtr &expr);
  std::vector<PyRef> evalAll(PythonFrame &, const std::vector<syntax::ExprPtr> &exprs);
  PyRef generatorOf(PythonFrame &, const syntax::Comprehension &, PyObject *iterable);
  // Calls `element` for each item that the clauses give.
  void comprehend(PythonFrame &, const syntax::Comprehension &, size_t clause,
                  const PyRef &iterator, const std::function<void()> &element);
  void addTo(PyObject *list, PyObject *item);
  CallArguments argumentsOf(PythonFrame &, const syntax::Call &, bool isLogged);
  std::optional<PyRef> callOfFrame(PythonFrame &, const syntax::Call &, PyObject *callee);
  PyRef localsOf(PythonFrame &);
  std::optional<PyRef> callOverGenerator(PythonFrame &, const syntax::Call &, PyObject *callee);

  // operators.cpp
  PyRef binary(syntax::BinaryOp op, PyObject *left, PyObject *right, bool inPlace = false);
  std::optional<PyRef> dispatched(PyObject *left, PyObject *right, const char *name,
                                  const char *reflected);
  PyRef unary(syntax::UnaryOp op, PyObject *operand);
  PyRef negated(PyObject *operand);
  PyRef compare(syntax::CompareOp op, PyObject *left, PyObject *right);
  PyRef sameObject(PyObject *left, PyObject *right);
  PyRef sameTensor(PyObject *left, PyObject *right);
  bool contains(PyObject *container, PyObject *item);
  bool truth(PyObject *value);
  bool readsFirstItem(PyObject *dict);
  std::optional<PyRef> ownLength(PyObject *object); // by the __len__ of the program's class
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

  // tensor_truths.cpp
  PyRef allHold(PyObject *comparison);
  std::optional<PyRef> equalTensors(const CallArguments &arguments);
  std::optional<PyRef> closeTensors(const CallArguments &arguments);

  // texts.cpp
  std::optional<PyRef> later(PyObject *function, std::vector<PyRef> arguments);
  PyRef formatted(PyObject *value, PyObject *spec); // `spec` may be null
  PyRef joined(const std::vector<PyRef> &parts);
  std::optional<PyRef> textOf(PyObject *function, std::vector<PyRef> arguments);

  // tensor_items.cpp
  PyRef keyWithTensors(PyObject *key);
  PyRef selected(PyObject *tensor, PyObject *key); // null: PyTorch's own indexing is to do it
  bool setSelected(PyObject *tensor, PyObject *key, PyObject *value);

  // attributes.cpp
  PyRef attribute(PyObject *object, PyObject *name);
  PyRef attributeOrAbsent(PyObject *object, PyObject *name);
  PyRef genericAttribute(PyObject *object, PyObject *name); // null: absent, without an exception
  PyRef attributeByFallback(PyObject *object, PyObject *name);
  PyRef attributeByOwnWay(PyObject *object, PyObject *name);
  PyRef bound(PyObject *descriptor, PyObject *object);
  void setAttribute(PyObject *object, PyObject *name, PyObject *value); // null deletes
  void setGenericAttribute(PyObject *object, PyObject *name, PyObject *value);
  bool setsClass(PyObject *object, PyObject *descriptor, PyObject *cls);
  void setClassAttribute(PyObject *cls, PyObject *name, PyObject *value);
  PyObject *dictOf(PyObject *object); // borrowed; null where it has none

  // functions.cpp
  PyRef callFunction(PyObject *function, CallArguments arguments);
  bool bind(PythonFrame &, CallArguments &arguments);
  void bindCells(PythonFrame &);
  PyRef newCell();
  void makeCells(PythonFrame &, const syntax::Comprehension &);
  PyRef callClass(PyTypeObject *cls, CallArguments arguments);
  PyRef makeInstance(PyTypeObject *cls, CallArguments arguments);
  PyRef makeFunction(PythonFrame &, const syntax::NestedCode &code,
                     const std::vector<syntax::ExprPtr> &defaults,
                     const std::vector<std::pair<PyRef, syntax::ExprPtr>> &keywordDefaults);
  void refuseWaiting(const PythonFrame &left);
  Generator *ownGenerator(const PyRef &object) const;
  PyRef giveToLoop(PythonFrame &, const syntax::Yield &);
  Completion runThrough(PythonFrame &, Generator &generator, const GeneratorLoop &loop);
  PyRef makeGenerator(std::unique_ptr<PythonFrame> frame, PyRef function,
                      std::shared_ptr<const syntax::Function> syntax,
                      std::function<void(PythonFrame &)> body = {});
  PyRef sendTo(PyObject *iterator, PyObject *value);
  PyRef throwInto(PyObject *iterator);
  PyRef callOrNull(PyObject *object, const char *method, CallArguments arguments);
  PyRef decorated(std::vector<PyRef> decorators, PyRef value);

  // native.cpp
  PyRef callNative(PyObject *callee, CallArguments &arguments);
  bool isMine(PyObject *object) const;
  PyRef callReading(PyObject *callee, CallArguments &arguments);
  PyRef callWatched(const std::string &name, const std::vector<PyRef> &ofProgram,
                    const std::function<PyRef()> &call, bool fills = false);
  void refuseSetter(PyObject *function);
  PyRef callUnwalked(PyObject *callee, CallArguments &arguments);
  PyRef callDirectly(PyObject *callee, const CallArguments &arguments);
  std::optional<CallArguments> withKnownNumbers(CallArguments arguments);
  PyRef newInstance(PyTypeObject *cls, const CallArguments &arguments);
  PyRef watch(PyObject *objects); // a tuple
  void readPlace(PyObject *place);
  PyRef keyOfInts(PyObject *key);
  // Of a function without source, which CPython runs.
  void readReached(PyObject *function, const CallArguments &arguments);
  // What C answers; asked again before each run.
  void readAnswerOfTorch(PyObject *function, const CallArguments &arguments, PyObject *answer);
  void readComputed(PyObject *descriptor, PyObject *object, PyObject *value);
  void readOwnLookup(PyObject *object, PyObject *name, PyObject *value);
  void readInstanceChecks(PyObject *cls);
  bool isInstance(PyObject *object, PyObject *cls);
  void refuseHidden(PyObject *callee, const CallArguments &arguments);
  static void refuseMaking(std::string_view question);
  // Of a tensor from outside its size, its dtype, ... may be looked at.
  void noteAsked(PyObject *object);
  void noteAskedIn(PyObject *container);
  void readArgument(PyObject *argument, std::vector<PyRef> &ofProgram, int depth = 0);
  // Does what C does with these values, which may run code of the program's objects among them.
  PyRef natively(const char *what, std::initializer_list<PyObject *> values,
                 const std::function<PyRef()> &call);
  // The same for what compares `value` with what is in a container.
  PyRef comparing(const char *what, PyObject *container, PyObject *value,
                  const std::function<PyRef()> &call);
  void refuseCopy(PyObject *object) const;
  // Before C finds `key` in a dict or a set.
  void checkKey(PyObject *key);
  // The same; gives the key to find it by, in which numbers of the graph are what they are on this
  // path.
  PyRef keyOf(PyObject *key);
  void noteMade(PyObject *value);
  PyRef wrapCallable(PyObject *function);
  PyRef wrapCall(std::function<PyRef(CallArguments)> call);
  void refuse(std::exception_ptr why);
  void rethrowRefusal();

  // other_threads.cpp
  // What torch's C computes of these values.
  PyRef letOthersRun(std::initializer_list<PyObject *> values, const std::function<PyRef()> &call);
  // The same for a function that is given these.
  PyRef callC(PyObject *callee, std::span<PyObject *const> values,
              const std::function<PyRef()> &call);
  bool isApart(PyObject *value, int depth = 0) const;
  PyRef outlasting(PyRef made);
  // Hides the changes of the walk, or shows them again, for as long as it lives.
  class Turned {
  protected:
    Turned(PythonLog &log, bool turns);
    ~Turned();
    Turned(const Turned &) = delete;

  private:
    void turn();
    PythonLog &log_;
    bool turns_;
  };
  // While other threads may run, which see nothing of the walk.
  struct Hidden : Turned {
    explicit Hidden(Interpreter &interpreter);
  };
  // While C that others run beside calls back.
  struct Walking : Turned {
    explicit Walking(Interpreter &interpreter);
  };

  // autograd_code.cpp
  std::optional<PyRef> callOfAutograd(PyObject *function, CallArguments &arguments);
  std::optional<PyRef> callOfContext(PyObject *self, std::string_view name,
                                     CallArguments &arguments);
  PyRef applyFunction(PyObject *cls, CallArguments arguments);
  PyRef walkedFunction(PyObject *cls);
  PyRef walkedHooks(PyObject *hooks);
  PyRef registeredHook(const std::function<PyRef()> &registers);
  PyRef enterSavedHooks(PyObject *hooks);
  bool setsContext(PyObject *object, PyObject *name, PyObject *value);

  // callables.cpp
  std::optional<PyRef> callOfCallable(PyObject *callee, CallArguments &arguments);
  PyRef calledByWrapper(PyObject *wrapper, CallArguments &arguments);
  std::optional<PyRef> callOnHeap(PyObject *callee, CallArguments &arguments);
  PyRef callPartial(PyObject *partial, CallArguments arguments);
  PyRef callMethodCaller(PyObject *recipe, PyObject *object);
  PyRef attributeByPath(PyObject *object, PyObject *path);

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
  PythonFrame *frame_ = nullptr;
  int depth_ = 0;
  std::unordered_map<PyObject *, PyRef> checkedKeys_;
  PyRef print_;                // what the builtin is during a capture
  std::exception_ptr refusal_; // on its way through C
  std::unordered_map<PyObject *, std::pair<PyRef, PyRef>>
      walkedFunctions_;    // of torch.autograd.Function, each with a class that leads here
  int64_t numHandles_ = 0; // of hooks
  std::vector<std::weak_ptr<Callback>> callbacks_; // that lead here
  void endCallbacks();
  bool endedWithEffects_ = false;
  std::vector<Fork> forks_; // ways that are being walked
  int loopWalks_ = 0;       // of these, iterations of loops of the graph
  int longWalks_ = 0;       // and of these, of Policies::longLoops
  struct Poison {
    PyRef object; // in the place of a value that is not known
    const void *site;
    Policy instead;
    std::string why;
  };
  std::vector<Poison> poisons_;
  Lanes lanes_;
  std::map<ValueId, ValueId> objects_; // that tensors of the graph have been read from
  OpaqueObjects opaque_;
  std::map<ValueId, PyRef> maskTensors_; // that are made of these arrays of bools
  // What a number of the graph is in this call, or what it was computed from.
  struct NumberExample {
    PyRef number, known, left, right;
    std::function<PyObject *(PyObject *, PyObject *)> compute;
    bool isAsked = false;
  };
  std::map<const void *, NumberExample> numberExamples_; // by the node of the number
  std::vector<SharedMemory> looksAtMemory_;              // on ways of branches and in loops
  GlobalModes modes_ = GlobalModes::now();               // where the walk begins
  // Of functions that the call has made, which are kept: they and which function made them.
  std::map<PyObject *, std::pair<PyRef, PyObject *>> makers_;
  std::vector<PyRef> reachedByCalls_;
  std::vector<PyRef> outlasting_;   // tensors, whose end lets other threads run
  std::set<ValueId> listsForCalls_; // which runs make for logged calls; nobody else has them
  std::vector<PyRef> grownLists_;   // that the run goes through
  // A tensor that a branch gives is one of two.
  struct EitherTensor {
    PyRef condition, ways[2];
  };
  std::map<ValueId, EitherTensor> eitherTensors_;
  // A call of the program that was walked, and where it has changed something; the inner ones
  // first.
  struct WritingCall {
    CallPlace place;
    std::string callee;
    PyRef function;               // with the code of the place
    std::vector<PyRef> ofProgram; // that it is given
    std::vector<std::pair<PyRef, PyRef>> slots;
  };
  std::vector<WritingCall> writingCalls_;
  // By calls of the objects at these addresses, with the objects.
  std::map<std::vector<PyObject *>, std::pair<std::vector<PyRef>, PyRef>> reachedFrom_;
  std::set<PyTypeObject *> readClasses_, writtenClasses_; // of pointers, and of other objects
  std::vector<PyRef> listsOfRuns_;                        // of which runs read items
  std::set<ValueId> perhapsNone_;                         // pointers to what is in such lists
  std::set<PyObject *> writtenByRuns_; // names of attributes of objects that pointers lead to
  size_t numGiven_ = 0;                // of what stands in for values, ahead of the walk
  std::set<uint32_t> unseenInputs_;    // those that it has not come to
  std::shared_ptr<WrittenExamples> written_ = std::make_shared<WrittenExamples>();
  std::vector<FunctionWalk *> functions_; // of the graph, that are being walked
  std::vector<std::unique_ptr<FunctionWalk>> definedFunctions_; // and those that others can call
  uint32_t framesPerCall_ = 0;
  std::optional<bool> forced_; // what the next truth that is asked for is taken to be
  // Of branches on what lanes tell, ways that none of them takes are left out.
  bool onlySeenWays_ = false;
};

struct Interpreter::Fork {
  PythonLog::Mark mark;
  Generator *generator;
};

} // namespace bifront
