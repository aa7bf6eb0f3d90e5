#include "capture/op_traits.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <unordered_map>

namespace bifront {
namespace {

const char *refusalOf(const std::string &name) {
  static const std::unordered_map<std::string, const char *> refusals = {
      {"aten::set_", "a tensor is given other memory"},
      {"aten::set_data", "a tensor is given other contents through `.data`"},
      {"aten::resize_", "a tensor is resized in place"},
      {"aten::resize_as_", "a tensor is resized in place"},
      {"aten::record_stream", "memory is tied to a stream"},
      {"aten::equal", "Python needs a tensor's value (torch.equal)"},
  };
  auto found = refusals.find(name);
  return found == refusals.end() ? nullptr : found->second;
}

// `transpose_` has no overload and `transpose` has `int`: where the names differ, the arguments
// decide.
std::string shapeTwinOf(const c10::OperatorHandle &op) {
  const c10::FunctionSchema &schema = op.schema();
  std::string name = schema.name().substr(0, schema.name().size() - 1);
  std::string twin;
  for (const c10::OperatorName &known : c10::Dispatcher::singleton().getAllOpNames()) {
    if (known.name != name)
      continue;
    auto args = c10::Dispatcher::singleton().findSchemaOrThrow(known.name.c_str(),
                                                               known.overload_name.c_str());
    c10::ArrayRef<c10::Argument> theirs = args.schema().arguments(), own = schema.arguments();
    bool same = theirs.size() == own.size();
    for (size_t i = 0; same && i < own.size(); ++i)
      same = *theirs[i].real_type() == *own[i].real_type();
    if (same)
      twin = known.overload_name.empty() ? name : name + "." + known.overload_name;
  }
  return twin;
}

// Whether an int decides the shape of a result, rather than which elements it is about.
bool isSize(const c10::FunctionSchema &schema, const c10::Argument &argument) {
  static constexpr std::string_view others[] = {"index",       "start",        "end",    "shifts",
                                                "padding_idx", "ignore_index", "offset", "seed"};
  c10::TypePtr type = argument.real_type();
  while (type->kind() == c10::TypeKind::OptionalType || type->kind() == c10::TypeKind::ListType)
    type = type->containedType(0);
  if (schema.name() == "aten::arange")
    return type->kind() == c10::TypeKind::NumberType;
  return type->kind() == c10::TypeKind::SymIntType &&
         std::find(std::begin(others), std::end(others), argument.name()) == std::end(others);
}

OpTraits describe(const c10::OperatorHandle &op) {
  const c10::FunctionSchema &schema = op.schema();
  OpTraits traits;
  traits.schema = schema.name();
  if (!schema.overload_name().empty())
    traits.schema += "." + schema.overload_name();
  traits.rule = shapeRule(traits.schema);
  traits.metaKernel = metaKernel(traits.schema);
  traits.arity = schema.arguments().size();
  for (const c10::Argument &result : schema.returns()) {
    int returned = -1;
    const c10::AliasInfo *alias = result.alias_info();
    traits.views = traits.views || (alias && !alias->isWrite());
    if (alias && alias->isWrite())
      for (size_t i = 0; i < schema.arguments().size() && returned < 0; ++i)
        if (const c10::AliasInfo *other = schema.arguments()[i].alias_info();
            other && *other == *alias)
          returned = static_cast<int>(i);
    traits.returnedArgument.push_back(returned);
  }
  for (size_t i = 0; i < schema.arguments().size(); ++i)
    if (schema.arguments()[i].name() == "device")
      traits.deviceArgument = static_cast<int>(i);
  traits.random = op.hasTag(at::Tag::nondeterministic_seeded);
  traits.decomposes = op.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd) &&
                      !op.hasKernelForDispatchKey(c10::DispatchKey::CPU);
  if (op.hasTag(at::Tag::inplace_view)) {
    traits.changesShape = true;
    if (schema.name().back() == '_')
      traits.shapeTwin = shapeTwinOf(op);
  }
  traits.passesThrough = schema.name().starts_with("profiler::");
  traits.lifts = schema.name() == "aten::lift_fresh" || schema.name() == "aten::lift";
  traits.readsNumber = schema.name() == "aten::_local_scalar_dense";
  traits.valueRule = valueShapeRule(traits.schema);
  traits.growsLists = schema.name().starts_with("bifront::") && !traits.random;
  traits.slices = schema.name() == "aten::slice";
  traits.masks = traits.schema == "aten::index.Tensor";
  traits.putsByMask =
      schema.name().starts_with("aten::index_put") || schema.name().starts_with("aten::_index_put");
  traits.dropsOnes = schema.name() == "aten::squeeze";
  for (const c10::Argument &argument : schema.arguments())
    traits.sizes.push_back(isSize(schema, argument));
  traits.refusal = refusalOf(schema.name());
  return traits;
}

} // namespace

const OpTraits &OpTraits::of(const c10::OperatorHandle &op) {
  struct Known {
    c10::OperatorName name;
    OpTraits traits;
  };
  // By address, which another operator may come to have after a library was unloaded: the name
  // decides.
  thread_local std::unordered_map<const void *, std::unique_ptr<Known>> known;
  std::unique_ptr<Known> &entry = known[&op.schema()];
  if (!entry || !(entry->name == op.operator_name()))
    entry = std::make_unique<Known>(Known{op.operator_name(), describe(op)});
  return entry->traits;
}

} // namespace bifront
