#include "passes/merge_paths.h"

#include "ir/aten_op.h"
#include "passes/functionalise.h"
#include "passes/lay_out_results.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OperationSupport.h"

#include <map>
#include <stdexcept>

using namespace mlir;

namespace bifront {
namespace {

constexpr const char *kApart = "the paths of a function part where they decide nothing";

// Where the merging is in one path.
struct Cursor {
  size_t path;
  Block::iterator at;
  IRMapping values;   // of the path, in the merged function
  size_t decided = 0; // how many of its decisions are behind it
};
using Group = std::vector<Cursor>;
using Outcomes = std::vector<std::pair<int64_t, Group>>;

Group &groupOf(Outcomes &outcomes, int64_t outcome) {
  auto found = llvm::find_if(outcomes, [&](const auto &entry) { return entry.first == outcome; });
  if (found == outcomes.end())
    found = outcomes.insert(outcomes.end(), {outcome, {}});
  return found->second;
}

Value isOutcome(OpBuilder &builder, Location loc, Value value, int64_t outcome) {
  if (!value.getType().isInteger(1)) {
    Value wanted = arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(outcome));
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, value, wanted);
  }
  if (outcome)
    return value;
  Value one = arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
  return arith::XOrIOp::create(builder, loc, value, one);
}

void assertOutcome(OpBuilder &builder, Location loc, Value value, int64_t outcome,
                   const std::string &text) {
  std::string message = value.getType().isInteger(1) ? (outcome ? text : "not " + text)
                                                     : text + " == " + std::to_string(outcome);
  bf::AssertOp::create(builder, loc, isOutcome(builder, loc, value, outcome), message);
}

class Merger {
public:
  Merger(std::span<const CapturedPath> paths, std::span<const std::optional<uint32_t>> aliasOf)
      : paths_(paths), aliasOf_(aliasOf), builder_(functionOf(paths[0]).getContext()) {}

  MergedPaths run() {
    for (const CapturedPath &path : paths_) {
      layOutResults(path.module);
      takeGradients(path);
    }
    planResults();
    OwningOpRef<ModuleOp> module = ModuleOp::create(builder_, builder_.getUnknownLoc());
    for (const CapturedPath &path : paths_)
      takeFunctions(path, *module);
    builder_.setInsertionPointToStart(module->getBody());
    Group all = begin();
    SmallVector<Value> returned = chooseForm(all);
    func::ReturnOp::create(builder_, builder_.getUnknownLoc(), returned);
    for (size_t i = 0; i < paths_.size(); ++i)
      for (auto &[input, result] : merged_[i].gradients)
        if (result)
          result = merged_[i].results[*result];
    return {std::move(module), std::move(merged_)};
  }

private:
  static func::FuncOp functionOf(const CapturedPath &path) {
    return *const_cast<CapturedPath &>(path).module.getOps<func::FuncOp>().begin();
  }

  // Gradients are stored behind the end of the path that has them: what they become are further
  // results of it.
  void takeGradients(const CapturedPath &path) {
    auto &gradients = merged_.emplace_back().gradients;
    func::FuncOp function = functionOf(path);
    Operation *end = function.front().getTerminator();
    SmallVector<bf::StoreAttrOp> stores(function.front().getOps<bf::StoreAttrOp>());
    for (bf::StoreAttrOp store : stores) {
      auto target = dyn_cast<BlockArgument>(store.getTarget());
      if (!target || store.getName() != "grad")
        throw std::invalid_argument("an attribute of a tensor is set on one of several paths");
      Value value = store.getValue();
      gradients.emplace_back(path.inputs[target.getArgNumber()], std::nullopt);
      if (value && !isa<NoneType>(value.getType())) {
        gradients.back().second = end->getNumOperands();
        end->insertOperands(end->getNumOperands(), value);
      }
      store.erase();
    }
  }

  // What a path calls. Where another path calls the same, by the same name, that is one function.
  static void takeFunctions(const CapturedPath &path, ModuleOp merged) {
    ModuleOp module = path.module;
    SmallVector<func::FuncOp> functions(llvm::drop_begin(module.getOps<func::FuncOp>()));
    SymbolTable known(merged);
    auto sameAs = [&](func::FuncOp function) {
      auto other = known.lookup<func::FuncOp>(function.getName());
      bool isSame = other && OperationEquivalence::isEquivalentTo(
                                 other, function, OperationEquivalence::IgnoreLocations);
      return std::pair(other, isSame);
    };
    // A function that calls one with another name is no longer the same.
    for (bool anyRenamed = true; anyRenamed;) {
      anyRenamed = false;
      for (func::FuncOp function : functions) {
        auto [other, isSame] = sameAs(function);
        if (other && !isSame) {
          rename(function, module, known);
          anyRenamed = true;
        }
      }
    }
    for (func::FuncOp function : functions) {
      if (sameAs(function).second) {
        function.erase();
        continue;
      }
      function->remove();
      merged.push_back(function);
    }
  }

  static void rename(func::FuncOp function, ModuleOp module, const SymbolTable &known) {
    SymbolTable own(module);
    std::string name = function.getName().str();
    do
      name += "'";
    while (known.lookup(name) || own.lookup(name));
    if (failed(own.rename(function, name)))
      throw std::invalid_argument("a function of a path cannot have another name");
  }

  void planResults() {
    types_.push_back(builder_.getI64Type()); // which path
    for (size_t i = 0; i < paths_.size(); ++i) {
      std::vector<bool> taken(types_.size());
      std::vector<uint32_t> &own = merged_[i].results;
      if (paths_[i].refusal)
        continue;
      for (Type type : functionOf(paths_[i]).front().getTerminator()->getOperandTypes()) {
        uint32_t place = 1;
        while (place < types_.size() &&
               (types_[place] != type || (place < taken.size() && taken[place])))
          ++place;
        if (place == types_.size())
          types_.push_back(type);
        taken.resize(types_.size());
        taken[place] = true;
        own.push_back(place);
      }
    }
  }

  // Makes the function, with its insertion point at its start.
  Group begin() {
    size_t numInputs = aliasOf_.size();
    SmallVector<Type> inputs(numInputs);
    SmallVector<DictionaryAttr> attrs(numInputs, builder_.getDictionaryAttr({}));
    for (const CapturedPath &path : paths_)
      for (auto [index, input] : llvm::enumerate(path.inputs)) {
        if (inputs[input])
          continue;
        inputs[input] = functionOf(path).getArgumentTypes()[index];
        NamedAttrList list(functionOf(path).getArgAttrDict(index));
        list.erase(kAliasOfAttr);
        if (aliasOf_[input])
          list.set(kAliasOfAttr, builder_.getI64IntegerAttr(*aliasOf_[input]));
        attrs[input] = list.getDictionary(builder_.getContext());
      }
    if (hasForms())
      inputs[0] = builder_.getI64Type();
    function_ = func::FuncOp::create(builder_, builder_.getUnknownLoc(), "step",
                                     builder_.getFunctionType(inputs, types_));
    function_.setAllArgAttrs(attrs);
    builder_.setInsertionPointToStart(function_.addEntryBlock());
    Group all;
    for (size_t i = 0; i < paths_.size(); ++i) {
      func::FuncOp function = functionOf(paths_[i]);
      Cursor cursor{i, function.front().begin(), {}, 0};
      for (auto [index, input] : llvm::enumerate(paths_[i].inputs))
        cursor.values.map(function.getArgument(index), function_.getArgument(input));
      all.push_back(std::move(cursor));
    }
    return all;
  }

  // The rest of these paths; gives the function's results.
  SmallVector<Value> merge(Group &group) {
    while (true) {
      Operation *op = &*group[0].at;
      if (auto decision = dyn_cast<bf::DecideOp>(op))
        return decide(group, decision);
      if (isa<func::ReturnOp>(op))
        return end(group);
      for (size_t i = 1; i < group.size(); ++i)
        if (!areSame(group[0], group[i]))
          throw std::invalid_argument(kApart);
      Operation *copy = builder_.clone(*op, group[0].values);
      for (Cursor &cursor : group) {
        cursor.values.map(cursor.at->getResults(), copy->getResults());
        ++cursor.at;
      }
    }
  }

  static bool areSame(const Cursor &a, const Cursor &b) {
    IRMapping inside; // values of regions
    auto same = [&](Value left, Value right) {
      if (Value known = inside.lookupOrNull(left))
        return success(known == right);
      Value merged = a.values.lookupOrNull(left);
      return success(merged && merged == b.values.lookupOrNull(right));
    };
    return OperationEquivalence::isEquivalentTo(
        &*a.at, &*b.at, same, [&](Value left, Value right) { inside.map(left, right); },
        OperationEquivalence::IgnoreLocations);
  }

  SmallVector<Value> decide(Group &group, bf::DecideOp decision) {
    Location loc = decision.getLoc();
    Value value = group[0].values.lookup(decision.getValue());
    Outcomes outcomes;
    for (Cursor &cursor : group) {
      auto own = dyn_cast<bf::DecideOp>(&*cursor.at);
      if (!own || cursor.values.lookup(own.getValue()) != value)
        throw std::invalid_argument(kApart);
      ++cursor.at;
      ++cursor.decided;
      groupOf(outcomes, static_cast<int64_t>(own.getOutcome())).push_back(std::move(cursor));
    }
    return choose(loc, value, outcomes);
  }

  bool hasForms() const {
    return llvm::any_of(paths_, [&](const auto &path) { return path.form != paths_[0].form; });
  }

  SmallVector<Value> chooseForm(Group &all) {
    if (!hasForms())
      return merge(all);
    Outcomes forms;
    for (Cursor &cursor : all)
      groupOf(forms, paths_[cursor.path].form).push_back(std::move(cursor));
    return choose(builder_.getUnknownLoc(), function_.getArgument(0), forms);
  }

  SmallVector<Value> choose(Location loc, Value value,
                            std::span<std::pair<int64_t, Group>> outcomes, bool isOther = false) {
    auto &[outcome, group] = outcomes.front();
    bool isLast = outcomes.size() == 1, isForm = hasForms() && value == function_.getArgument(0);
    // Neither a bool nor a form has another outcome.
    if (isLast && isOther && (value.getType().isInteger(1) || isForm))
      return merge(group);
    if (isLast) {
      const Cursor &any = group.front();
      assertOutcome(builder_, loc, value, outcome, paths_[any.path].texts[any.decided - 1]);
      return merge(group);
    }
    Value holds = isOutcome(builder_, loc, value, outcome);
    auto branch = scf::IfOp::create(builder_, loc, types_, holds, /*addThenBlock=*/true,
                                    /*addElseBlock=*/true);
    OpBuilder::InsertionGuard guard(builder_);
    auto fill = [&](Block *block, auto &&results) {
      builder_.setInsertionPointToStart(block);
      SmallVector<Value> yields = results();
      scf::YieldOp::create(builder_, loc, yields);
    };
    fill(branch.thenBlock(), [&] { return merge(group); });
    fill(branch.elseBlock(), [&] { return choose(loc, value, outcomes.subspan(1), true); });
    return branch.getResults();
  }

  SmallVector<Value> end(Group &group) {
    const Cursor &cursor = group[0];
    Location loc = cursor.at->getLoc();
    const CapturedPath &path = paths_[cursor.path];
    if (path.refusal) {
      Value never = arith::ConstantOp::create(builder_, loc, builder_.getBoolAttr(false));
      bf::AssertOp::create(builder_, loc, never, *path.refusal);
    }
    SmallVector<Value> values(types_.size());
    values[0] = arith::ConstantOp::create(
        builder_, loc, builder_.getI64IntegerAttr(static_cast<int64_t>(cursor.path)));
    if (!path.refusal)
      for (auto [index, place] : llvm::enumerate(merged_[cursor.path].results))
        values[place] = cursor.values.lookup(cursor.at->getOperand(index));
    for (size_t place = 1; place < types_.size(); ++place)
      if (!values[place])
        values[place] = nothing(loc, types_[place]);
    return values;
  }

  // A value of a type that nobody will look at.
  Value nothing(Location loc, Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (isa<bf::ObjectType>(type)) // a path that has one has an input of that type: its callee
      return *llvm::find_if(function_.getArguments(),
                            [&](BlockArgument input) { return input.getType() == type; });
    if (!tensor) {
      TypedAttr zero = builder_.getZeroAttr(type);
      return arith::ConstantOp::create(builder_, loc, zero);
    }
    ValueType described = valueTypeOf(type);
    AtenArg::List sizes;
    SmallVector<Value> operands;
    for (const Dim &dim : described.tensor.dims) {
      if (!dim.isDynamic()) {
        sizes.push_back({dim.world[0]});
        continue;
      }
      sizes.push_back({AtenArg::Operand{static_cast<uint32_t>(operands.size())}});
      operands.push_back(sizeLike(loc, dim));
    }
    std::vector<AtenArg> args{{std::move(sizes)},
                              {static_cast<int64_t>(described.tensor.dtype)},
                              {AtenArg::None{}},
                              {std::string(described.tensor.device)},
                              {AtenArg::None{}}};
    return createAten(builder_, loc, "aten::zeros", args, operands, type)->getResult(0);
  }

  // A dimension of an input that is known to be as large; any size, where there is none.
  Value sizeLike(Location loc, const Dim &wanted) {
    for (BlockArgument input : function_.getArguments()) {
      if (!isa<RankedTensorType>(input.getType()))
        continue;
      ValueType type = valueTypeOf(input.getType());
      for (auto [index, dim] : llvm::enumerate(type.tensor.dims))
        if (dim == wanted)
          return bf::DimOp::create(builder_, loc, builder_.getI64Type(), input,
                                   builder_.getI64IntegerAttr(static_cast<int64_t>(index)));
    }
    return arith::ConstantOp::create(builder_, loc, builder_.getI64IntegerAttr(0));
  }

  std::span<const CapturedPath> paths_;
  std::span<const std::optional<uint32_t>> aliasOf_;
  OpBuilder builder_;
  func::FuncOp function_;
  SmallVector<Type> types_; // of the results
  std::vector<MergedPaths::Path> merged_;
};

} // namespace

void assertDecisions(ModuleOp module, const std::vector<std::string> &texts) {
  OpBuilder builder(module.getContext());
  SmallVector<bf::DecideOp> decisions;
  module.walk([&](bf::DecideOp op) { decisions.push_back(op); });
  for (auto [op, text] : llvm::zip_equal(decisions, texts)) {
    builder.setInsertionPoint(op);
    assertOutcome(builder, op.getLoc(), op.getValue(), static_cast<int64_t>(op.getOutcome()), text);
    op.erase();
  }
}

MergedPaths mergePaths(std::span<const CapturedPath> paths,
                       std::span<const std::optional<uint32_t>> aliasOf) {
  return Merger(paths, aliasOf).run();
}

} // namespace bifront
