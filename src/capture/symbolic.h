// Ints, floats and bools of the graph as PyTorch's symbolic scalars: torch.SymInt, SymFloat and
// SymBool in Python wrap these nodes. A node is an expression that enters the graph when something
// needs its value. Sizes are known in both shape worlds; a number read from a tensor is known in
// neither. Where such a number becomes a size, or a size depends on values, it has a stand-in in
// each world: shapes are inferred with these, but no question of the program's is answered by them.
#pragma once

#include "capture/recording.h"

#include <c10/core/Scalar.h>
#include <c10/core/SymBool.h>
#include <c10/core/SymFloat.h>
#include <c10/core/SymInt.h>
#include <c10/core/SymNodeImpl.h>

namespace bifront {

class SymbolicScalar final : public c10::SymNodeImpl {
public:
  enum class Kind : uint8_t { Int, Float, Bool };

  static c10::SymNode ofDim(std::shared_ptr<Recording> recording, int64_t first, int64_t second,
                            ValueId tensor, int64_t dim, Recording::SizeOrigin origin);
  // A number that only the run of the graph knows.
  static c10::SymNode ofValue(std::shared_ptr<Recording> recording, Kind kind, ValueId value);
  // A recorded int that is known in both worlds.
  static c10::SymNode ofInt(std::shared_ptr<Recording> recording, ValueId value, int64_t first,
                            int64_t second);
  // The recorded int `number` as a size that values decide, with its stand-ins.
  static c10::SymNode ofSize(std::shared_ptr<Recording> recording, ValueId number,
                             const Dim &standIns);
  // Null for another kind of node, and for a plain number.
  static SymbolicScalar *of(const c10::SymNode &node);
  static SymbolicScalar *of(const c10::SymInt &value);

  Kind kind() const { return kind_; }
  bool isKnown() const { return known_; }
  // Whether it has a number in each world, its own or a stand-in.
  bool hasWorlds() const { return known_ || standsIn_; }
  // Of an int that is not known: gives it stand-ins, as a size. False where it has to be decided.
  bool becomeSize();
  int64_t intIn(int world) const { return ints_[world]; } // also of a bool
  double floatIn(int world) const { return floats_[world]; }
  // Of a known number: whether it is true is not the same for all sizes.
  bool truthVaries() const {
    return kind_ == Kind::Float ? (floats_[0] != 0) != (floats_[1] != 0)
                                : (ints_[0] != 0) != (ints_[1] != 0);
  }
  bool differsByWorld() const { return hasWorlds() && kind_ == Kind::Int && ints_[0] != ints_[1]; }
  // The value in the graph; recorded here at the latest.
  ValueId value();
  const std::shared_ptr<Recording> &recording() const { return recording_; }
  // Of a size that values decide: what is captured holds for two or more only.
  void assumeMany();
  void assumeNotOne(); // or one: of a dimension that is dropped then
  std::string nameOnPaths() const { return text(/*withSizes=*/false); }
  void forgetAssertion() { asserted_ = false; }
  // What a number that is not known is on the path that is captured, where that is decided already.
  std::optional<int64_t> decided();
  // The same, and decides it where it may. Of an int or a bool.
  std::optional<int64_t> decide();

  // c10::SymNodeImpl, as PyTorch's C++ and torch.SymInt and its kin in Python call it.
  bool is_int() override { return kind_ == Kind::Int; }
  bool is_float() override { return kind_ == Kind::Float; }
  bool is_bool() override { return kind_ == Kind::Bool; }
  c10::SymNode add(const c10::SymNode &other) override;
  c10::SymNode sub(const c10::SymNode &other) override;
  c10::SymNode mul(const c10::SymNode &other) override;
  c10::SymNode truediv(const c10::SymNode &other) override;
  c10::SymNode pow(const c10::SymNode &other) override;
  c10::SymNode floordiv(const c10::SymNode &other) override;
  c10::SymNode mod(const c10::SymNode &other) override;
  c10::SymNode eq(const c10::SymNode &other) override;
  c10::SymNode ne(const c10::SymNode &other) override;
  c10::SymNode gt(const c10::SymNode &other) override;
  c10::SymNode lt(const c10::SymNode &other) override;
  c10::SymNode le(const c10::SymNode &other) override;
  c10::SymNode ge(const c10::SymNode &other) override;
  c10::SymNode ceil() override;
  c10::SymNode floor() override;
  c10::SymNode neg() override;
  c10::SymNode sym_min(const c10::SymNode &other) override;
  c10::SymNode sym_max(const c10::SymNode &other) override;
  c10::SymNode sym_or(const c10::SymNode &other) override;
  c10::SymNode sym_and(const c10::SymNode &other) override;
  c10::SymNode sym_not() override;
  c10::SymNode sym_ite(const c10::SymNode &then, const c10::SymNode &otherwise) override {
    return guard_bool("", 0) ? then : otherwise;
  }
  c10::SymNode sym_float() override;
  c10::SymNode sqrt();                  // torch.sym_sqrt, which PyTorch's bindings of nodes lack
  c10::SymNode real(ScalarOp function); // math.cos and its kin
  c10::SymNode trunc();                 // int(x), math.trunc(x)
  c10::SymNode round();
  c10::SymNode clone() override;
  c10::SymNode wrap_int(int64_t number) override;
  c10::SymNode wrap_float(double number) override;
  c10::SymNode wrap_bool(bool number) override;
  c10::SymNode is_contiguous(c10::ArrayRef<c10::SymNode> sizes,
                             c10::ArrayRef<c10::SymNode> strides) override;
  c10::SymNode is_channels_last_contiguous_2d(c10::ArrayRef<c10::SymNode> sizes,
                                              c10::ArrayRef<c10::SymNode> strides) override;
  c10::SymNode is_channels_last_contiguous_3d(c10::ArrayRef<c10::SymNode> sizes,
                                              c10::ArrayRef<c10::SymNode> strides) override;
  c10::SymNode is_channels_last_strides_2d(c10::ArrayRef<c10::SymNode> sizes,
                                           c10::ArrayRef<c10::SymNode> strides) override;
  c10::SymNode is_channels_last_strides_3d(c10::ArrayRef<c10::SymNode> sizes,
                                           c10::ArrayRef<c10::SymNode> strides) override;
  c10::SymNode is_non_overlapping_and_dense(c10::ArrayRef<c10::SymNode> sizes,
                                            c10::ArrayRef<c10::SymNode> strides) override;
  int64_t guard_int(const char *file, int64_t line) override;
  bool guard_bool(const char *file, int64_t line) override;
  double guard_float(const char *file, int64_t line) override;
  bool guard_or_false(const char *file, int64_t line) override;
  bool guard_or_true(const char *file, int64_t line) override;
  bool statically_known_true(const char *file, int64_t line) override;
  bool expect_true(const char *file, int64_t line) override;
  int64_t int_() override { return guard_int("", 0); }
  bool bool_() override;
  bool has_hint() override { return known_; }
  std::string str() override; // what Python prints
  std::optional<int64_t> constant_int() override;
  std::optional<bool> constant_bool() override;
  std::optional<int64_t> maybe_as_int() override { return constant_int(); }
  // Never: Python's wrappers would take a constant float for something else.
  bool is_constant() override { return false; }
  bool is_symbolic() override { return true; }

  SymbolicScalar(std::shared_ptr<Recording> recording, Kind kind)
      : recording_(std::move(recording)), kind_(kind) {}

private:
  friend class SizeQuestion;
  enum class Form : uint8_t { Constant, Dim, Expression, Recorded };
  using Nodes = c10::ArrayRef<c10::SymNode>;

  std::string text(bool withSizes = true) const; // for messages
  void appendText(std::string &text, bool withSizes) const;
  // What Python asks of it differs for other sizes.
  [[noreturn]] void needSizes(const std::string &why) const;
  void noteNeeded() const;
  c10::SymNode constant(Kind kind, int64_t number, double real) const;
  c10::SymNode binary(ScalarOp op, const c10::SymNode &other);
  c10::SymNode unary(ScalarOp op);
  c10::intrusive_ptr<SymbolicScalar> own(const c10::SymNode &node);
  Recording::OperandKey key() const;
  // The truth of a comparison that the assumptions about sizes settle already.
  static std::optional<bool> settled(ScalarOp op, const SymbolicScalar &a, const SymbolicScalar &b);
  static void evaluate(ScalarOp op, const SymbolicScalar &a, const SymbolicScalar *b,
                       SymbolicScalar &result, int world);
  // The number, as all that follows may take it to be: asserted where only the run knows it.
  c10::Scalar assumed(const char *what);
  void assertHolds(bool expected);
  ValueId record(GraphRecorder &graph);
  static std::optional<bool> settledOfSizes(ScalarOp op, const SymbolicScalar &a,
                                            const SymbolicScalar &b);
  // Stand-ins that follow from those of the operands.
  bool inferStandIns();
  bool isLinear() const;
  bool isCount() const; // no run finds it below zero
  template <typename Predicate>
  c10::SymNode layoutIs(Nodes sizes, Nodes strides, const char *what, Predicate predicate);

  std::shared_ptr<Recording> recording_;
  Kind kind_;
  Form form_ = Form::Constant;
  bool known_ = true;
  bool standsIn_ = false; // of a number that is not known: what it has in the worlds is a stand-in
  bool isSize_ = false;   // that is not known
  bool atLeastTwo_ = false; // a size of an input, or a multiple of one
  bool asserted_ = false;
  std::optional<c10::Scalar> foreseen_; // of a number that is not known
  std::optional<int64_t> decided_;
  int64_t ints_[2] = {0, 0};
  double floats_[2] = {0, 0};
  ValueId value_ = kNoValue;
  ValueId recorded_ = kNoValue; // Form::Recorded
  ValueId tensor_ = kNoValue;   // Form::Dim
  int64_t dim_ = 0;
  ScalarOp op_ = ScalarOp::Add; // Form::Expression
  c10::intrusive_ptr<SymbolicScalar> operands_[2];
};

// The type of a number of the graph of that kind, and back.
ValueType typeOf(SymbolicScalar::Kind kind);
SymbolicScalar::Kind kindOf(const ValueType &number);

// What a symbolic or plain scalar is in a world; nothing for a number read from a tensor that is no
// size.
std::optional<int64_t> sizeIn(const c10::SymInt &value, int world);
// What a number read from a tensor is on the path that is captured, for a shape that depends on it.
std::optional<int64_t> decidedSize(const c10::SymInt &value);

} // namespace bifront
