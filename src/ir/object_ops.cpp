#include "ir/object_ops.h"

#include "ir/aten_op.h"
#include "ir/bf_dialect.h"

#include "llvm/ADT/TypeSwitch.h"

namespace bifront {

static bool isObject(mlir::Value value) { return mlir::isa<bf::ObjectType>(value.getType()); }

std::optional<ObjectRead> objectReadOf(mlir::Operation *op) {
  using Kind = ObjectRead::Kind;
  std::optional<Kind> kind =
      llvm::TypeSwitch<mlir::Operation *, std::optional<Kind>>(op)
          .Case([](bf::ReadAttrOp) { return Kind::Attribute; })
          .Case([](bf::ReadItemOp op) {
            return isObject(op.getIndex()) ? Kind::ItemUnder : Kind::Item;
          })
          .Case([](bf::HasItemOp op) {
            return isObject(op.getKey()) ? Kind::HasItemUnder : Kind::HasItem;
          })
          .Case([](bf::LengthOp) { return Kind::Length; })
          .Case([](bf::UnboxOp) { return Kind::Unbox; })
          .Case([](bf::IsMethodOp) { return Kind::IsMethod; })
          .Case([](bf::IsClassOp) { return Kind::IsClass; })
          .Case([](bf::IsEqualOp) { return Kind::IsEqual; })
          .Default([](mlir::Operation *) { return std::nullopt; });
  if (!kind)
    return std::nullopt;
  auto name = op->getAttrOfType<mlir::StringAttr>("name");
  return ObjectRead{*kind, name ? name.str() : "", valueTypeOf(op->getResult(0).getType())};
}

PythonCall pythonCallOf(bf::PycallOp op) {
  PythonCall call{op.getName().str(), {}, {}};
  for (mlir::Value operand : op.getInputs())
    call.operands.push_back(valueTypeOf(operand.getType()).kind);
  if (auto keywords = op.getKeywords())
    for (auto keyword : keywords->getAsRange<mlir::StringAttr>())
      call.keywords.push_back(keyword.str());
  call.site = op.getSite().value_or("").str();
  return call;
}

} // namespace bifront
