// The way from a call described as data to ATen's dispatcher.
#pragma once

#include "runtime/float_products.h"
#include "support/aten_call.h"

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <span>
#include <vector>

namespace bifront {

// An ATen call whose operator is resolved and whose constants are converted to what the schema
// wants. Immutable, so shared by threads; what one call in progress needs is in a Scratch, to be
// reused so that a call allocates nothing of ours.
class BoundCall {
public:
  struct Scratch {
    std::vector<c10::IValue> stack;
    std::vector<c10::IValue> written;
    std::vector<c10::impl::GenericList> lists;
  };

  // Throws c10::Error where the operator is unknown or a constant does not fit the schema.
  explicit BoundCall(const AtenCall &call);

  // Results: one per schema return, lists spread, then the new contents of each written operand.
  // Written operands are copied first.
  void run(std::span<const c10::IValue> operands, std::vector<c10::IValue> &results) const;

  // The same for a caller that has a BelowAutograd. Where reuse[k] is set (it may be shorter than
  // the written operands), the k-th written operand's contents are overwritten instead of copied.
  // `packed` is for the right factor of a product.
  void invoke(std::span<const c10::IValue> operands, const std::vector<bool> &reuse,
              Scratch &scratch, std::vector<c10::IValue> &results,
              PackedRight *packed = nullptr) const;

  size_t numOperands() const { return operandCount; }
  const std::string &schemaName() const { return name; }

private:
  // What an argument or an element of a list argument accepts.
  enum class Accepts : uint8_t { Anything, Tensor, Int, Float, Bool, Number, String, Device };
  struct OperandPlace {
    uint32_t argument;
    int32_t list; // index into `lists`, or -1: the argument itself
    uint32_t element;
    Accepts accepts;
    int32_t written; // its number among the written operands, or -1
  };
  struct ListTemplate {
    uint32_t argument;
    c10::TypePtr elementType;
    std::vector<c10::IValue> elements; // operands' elements are None
  };

  static Accepts acceptsOf(const c10::TypePtr &type);
  c10::IValue constant(const AtenArg &value, const c10::TypePtr &type,
                       const std::string &argument) const;
  void bindArgument(const AtenArg &value, const c10::Argument &argument, uint32_t index);
  void bindList(const AtenArg::List &list, const c10::ListType &type, uint32_t index,
                const std::string &argument);
  void addOperand(uint32_t operand, OperandPlace place);
  c10::IValue writable(const c10::IValue &operand, bool reuse) const;
  static c10::IValue coerced(const c10::IValue &operand, Accepts accepts);

  c10::OperatorHandle op;
  OwnFunction own; // tried before it; or null
  std::string name;
  std::vector<c10::IValue> arguments; // the stack before operands are put in
  std::vector<ListTemplate> lists;
  std::vector<OperandPlace> places; // by operand
  size_t operandCount = 0;
  size_t writtenCount = 0;
  bool changesMetadata = false; // of the tensor it writes, such as t_ and resize_
};

} // namespace bifront
