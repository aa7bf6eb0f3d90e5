#include "passes/fuse_pointwise.h"

#include "ir/aten_op.h"
#include "ir/vector_library.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bifront {
namespace {

// A member may move up to its group over at most this many ops: what moves further up lives longer.
constexpr unsigned kMaxHoist = 32;

RankedTensorType spaceOf(bf::PointwiseOp op) {
  return cast<RankedTensorType>(op.getResult(0).getType());
}

bool sameSpace(RankedTensorType a, RankedTensorType b) {
  auto deviceOf = [](RankedTensorType type) {
    auto encoding = dyn_cast_or_null<bf::TensorEncodingAttr>(type.getEncoding());
    return encoding ? encoding.getDevice() : StringRef();
  };
  return haveSameShape(a, b) && deviceOf(a) == deviceOf(b);
}

// Such a group is one call.
bool isOfLibrary(bf::PointwiseOp op) {
  return llvm::any_of(*op.getBodyBlock(),
                      [](Operation &inner) { return inner.hasAttr(bf::kFromLibraryAttr); });
}

// Dynamic sizes are read off the operands, so one of them must have the whole shape.
bool keepsSizes(bf::PointwiseOp op, unsigned without) {
  if (spaceOf(op).hasStaticShape())
    return true;
  for (auto [i, input] : llvm::enumerate(op.getInputs()))
    if (auto type = dyn_cast<RankedTensorType>(input.getType());
        type && i != without && haveSameShape(type, spaceOf(op)))
      return true;
  return false;
}

// An operand that is one value everywhere (zeros, a full) is computed in the body instead.
void inlineSplats(bf::PointwiseOp op) {
  Block *body = op.getBodyBlock();
  for (unsigned i = body->getNumArguments(); i-- > 0;) {
    auto splat = op.getInputs()[i].getDefiningOp<bf::PointwiseOp>();
    bool isSplat =
        splat && !llvm::any_of(splat.getInputs().getTypes(), llvm::IsaPred<RankedTensorType>);
    if (!isSplat || splat.getNumResults() != 1 || !keepsSizes(op, i))
      continue;
    IRMapping map;
    for (auto [input, argument] :
         llvm::zip(splat.getInputs(), splat.getBodyBlock()->getArguments())) {
      op->insertOperands(op->getNumOperands(), input);
      map.map(argument, body->addArgument(argument.getType(), argument.getLoc()));
    }
    OpBuilder builder = OpBuilder::atBlockBegin(body);
    for (Operation &inner : splat.getBodyBlock()->without_terminator())
      builder.clone(inner, map);
    Value value = map.lookupOrDefault(splat.getBodyBlock()->getTerminator()->getOperand(0));
    body->getArgument(i).replaceAllUsesWith(value);
    body->eraseArgument(i);
    op->eraseOperand(i);
  }
}

// Operands are broadcast anyway.
void forwardExpands(bf::PointwiseOp op) {
  for (unsigned i = 0; i < op.getInputs().size(); ++i) {
    auto expand = op.getInputs()[i].getDefiningOp<bf::AtenOp>();
    if (!expand || expand.getSchema() != "aten::expand" || !keepsSizes(op, i))
      continue;
    Value source = expand.getInputs()[0];
    if (source.getType() != expand.getResult(0).getType())
      op->setOperand(i, source);
  }
}

// Members of a group are merged where its last member by program order stands; a group is open as
// long as nobody else uses its results, so that open groups may move down and merge freely.
struct Group {
  SmallVector<bf::PointwiseOp> members; // in program order
  RankedTensorType space;
  unsigned bodyOps = 0;
  DenseSet<Value> reads; // from outside, but for what later joined
  unsigned results = 0;  // that may leave
  unsigned anchor = 0;   // index of the last member that was not hoisted
  bool isOpen = true;
};

class BlockFusion {
public:
  BlockFusion(Block &block, const FusionOptions &options) : block(block), options(options) {}

  void run() {
    unsigned index = 0;
    for (Operation &op : block) {
      indexOf[&op] = index++;
      if (auto pointwise = dyn_cast<bf::PointwiseOp>(op); pointwise && !isOfLibrary(pointwise))
        place(pointwise);
      else
        op.walk([&](Operation *inner) { closeOperands(inner, kNone); });
    }
    for (unsigned id = 0; id < groups.size(); ++id)
      if (groups[id].members.size() > 1)
        merge(groups[id]);
  }

private:
  static constexpr unsigned kNone = ~0u;

  unsigned find(unsigned id) {
    while (parent[id] != id)
      id = parent[id] = parent[parent[id]];
    return id;
  }

  unsigned groupOf(Value value) {
    auto op = value.getDefiningOp<bf::PointwiseOp>();
    auto found = op ? memberOf.find(op) : memberOf.end();
    return found == memberOf.end() ? kNone : find(found->second);
  }

  void closeOperands(Operation *op, unsigned except) {
    for (Value operand : op->getOperands())
      if (unsigned id = groupOf(operand); id != kNone && id != except)
        groups[id].isOpen = false;
  }

  // Where a value is for certain defined: that of an open group may still move down.
  std::optional<unsigned> definedAt(Value value) {
    Operation *op = value.getDefiningOp();
    if (!op)
      return 0;
    unsigned id = groupOf(value);
    if (id == kNone)
      return indexOf.lookup(op);
    return groups[id].isOpen ? std::nullopt : std::optional(groups[id].anchor);
  }

  bool fits(const Group &group, unsigned bodyOps, unsigned tensors) const {
    return group.bodyOps + bodyOps <= options.maxBodyOps &&
           group.reads.size() + group.results + tensors <= options.maxTensors;
  }

  unsigned absorb(unsigned into, unsigned from) {
    Group &a = groups[into], &b = groups[from];
    SmallVector<bf::PointwiseOp> members;
    std::merge(a.members.begin(), a.members.end(), b.members.begin(), b.members.end(),
               std::back_inserter(members), [&](bf::PointwiseOp left, bf::PointwiseOp right) {
                 return indexOf.lookup(left) < indexOf.lookup(right);
               });
    a.members = std::move(members);
    a.bodyOps += b.bodyOps;
    a.reads.insert(b.reads.begin(), b.reads.end());
    a.results += b.results;
    a.anchor = std::max(a.anchor, b.anchor);
    b.members.clear();
    parent[from] = into;
    return into;
  }

  void append(unsigned id, bf::PointwiseOp op, unsigned bodyOps, bool moves) {
    Group &group = groups[id];
    group.members.push_back(op);
    group.bodyOps += bodyOps;
    group.results += op.getNumResults();
    for (Value input : op.getInputs()) {
      if (groupOf(input) != id) {
        if (isa<RankedTensorType>(input.getType()))
          group.reads.insert(input);
      } else if (input.hasOneUse()) {
        --group.results; // its only reader has joined
      }
    }
    if (moves)
      group.anchor = indexOf.lookup(op);
    memberOf[op] = id;
  }

  // Open groups that the op may join: those it reads from, and those that read what it reads.
  llvm::SmallSetVector<unsigned, 4> openNeighbours(bf::PointwiseOp op) {
    llvm::SmallSetVector<unsigned, 4> found;
    auto consider = [&](unsigned id) {
      if (id != kNone && groups[id].isOpen && sameSpace(groups[id].space, spaceOf(op)))
        found.insert(id);
    };
    for (Value input : op.getInputs())
      consider(groupOf(input));
    for (Value input : op.getInputs()) {
      // Reading one number or one row together is no reason to meet.
      auto type = dyn_cast<RankedTensorType>(input.getType());
      auto reader =
          type && sameSpace(type, spaceOf(op)) ? lastReader.find(input) : lastReader.end();
      if (reader != lastReader.end())
        consider(find(reader->second));
    }
    return found;
  }

  // A closed group whose place all other operands reach, close above.
  unsigned hoistTarget(bf::PointwiseOp op, unsigned bodyOps, unsigned tensors) {
    unsigned index = indexOf.lookup(op);
    for (Value input : op.getInputs()) {
      unsigned id = groupOf(input);
      if (id == kNone || groups[id].isOpen || !sameSpace(groups[id].space, spaceOf(op)) ||
          index - groups[id].anchor > kMaxHoist || !fits(groups[id], bodyOps, tensors))
        continue;
      bool reach = llvm::all_of(op.getInputs(), [&](Value other) {
        if (groupOf(other) == id)
          return true;
        std::optional<unsigned> at = definedAt(other);
        return at && *at < groups[id].anchor;
      });
      if (reach)
        return id;
    }
    return kNone;
  }

  void place(bf::PointwiseOp op) {
    unsigned bodyOps = op.getBodyBlock()->getOperations().size();
    unsigned tensors = op.getNumResults();
    for (Value input : op.getInputs())
      tensors += isa<RankedTensorType>(input.getType()) && groupOf(input) == kNone;
    unsigned joined = kNone;
    for (unsigned id : openNeighbours(op)) {
      if (!fits(groups[id], bodyOps, tensors))
        continue;
      if (joined == kNone)
        joined = id;
      else if (fits(groups[joined], groups[id].bodyOps + bodyOps,
                    groups[id].reads.size() + groups[id].results + tensors))
        joined = groups[joined].members.size() >= groups[id].members.size() ? absorb(joined, id)
                                                                            : absorb(id, joined);
    }
    if (joined != kNone) {
      append(joined, op, bodyOps, true);
    } else if (unsigned above = hoistTarget(op, bodyOps, tensors); above != kNone) {
      append(joined = above, op, bodyOps, false);
    } else {
      joined = groups.size();
      groups.emplace_back().space = spaceOf(op);
      parent.push_back(joined);
      append(joined, op, bodyOps, true);
    }
    closeOperands(op, joined);
    for (Value input : op.getInputs())
      if (isa<RankedTensorType>(input.getType()))
        lastReader[input] = joined;
  }

  void merge(Group &group) {
    bf::PointwiseOp anchor;
    llvm::SmallPtrSet<Operation *, 16> members;
    for (bf::PointwiseOp member : group.members) {
      members.insert(member);
      if (indexOf.lookup(member) == group.anchor)
        anchor = member;
    }
    // What is read from outside, and what is used there.
    llvm::SmallSetVector<Value, 16> inputs;
    SmallVector<Value> outputs;
    SmallVector<Type> types;
    SmallVector<Location> locations;
    for (bf::PointwiseOp member : group.members) {
      locations.push_back(member.getLoc());
      for (Value input : member.getInputs())
        if (!input.getDefiningOp() || !members.contains(input.getDefiningOp()))
          inputs.insert(input);
      for (Value result : member.getResults()) {
        bool leaves = llvm::any_of(result.getUsers(),
                                   [&](Operation *user) { return !members.contains(user); });
        if (leaves) {
          outputs.push_back(result);
          types.push_back(result.getType());
        }
      }
    }
    if (outputs.empty())
      return; // dead: simplification removes the members
    OpBuilder builder(anchor);
    auto fused = bf::PointwiseOp::create(builder, anchor.getLoc(), types, inputs.getArrayRef());
    Block *body = builder.createBlock(&fused.getBody());
    DenseMap<Value, Value> element;
    for (Value input : inputs)
      element[input] = body->addArgument(bf::bodyTypeOf(input.getType()), input.getLoc());
    for (bf::PointwiseOp member : group.members) {
      Block *from = member.getBodyBlock();
      for (auto [input, argument] : llvm::zip(member.getInputs(), from->getArguments()))
        argument.replaceAllUsesWith(element.lookup(input));
      Operation *yield = from->getTerminator();
      for (auto [result, value] : llvm::zip(member.getResults(), yield->getOperands()))
        element[result] = value;
      body->getOperations().splice(body->end(), from->getOperations(), from->begin(),
                                   yield->getIterator());
    }
    SmallVector<Value> yielded;
    for (Value output : outputs)
      yielded.push_back(element.lookup(output));
    builder.setInsertionPointToEnd(body);
    bf::YieldOp::create(builder, anchor.getLoc(), yielded);
    for (auto [output, result] : llvm::zip(outputs, fused.getResults()))
      output.replaceAllUsesWith(result);
    for (bf::PointwiseOp member : llvm::reverse(group.members))
      member.erase();
  }

  Block &block;
  const FusionOptions &options;
  std::vector<Group> groups;
  std::vector<unsigned> parent;
  DenseMap<Operation *, unsigned> memberOf, indexOf;
  DenseMap<Value, unsigned> lastReader;
};

class FusePointwisePass : public PassWrapper<FusePointwisePass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FusePointwisePass)
  StringRef getArgument() const final { return "bf-fuse-pointwise"; }
  StringRef getDescription() const final { return "Merge pointwise groups"; }
  void runOnOperation() final { fusePointwise(getOperation()); }
};

} // namespace

// Each block of branches and loops on its own.
static void fuseBlocks(Region &region, const FusionOptions &options) {
  for (Block &block : region) {
    for (Operation &op : block)
      if (!isa<bf::PointwiseOp>(op))
        for (Region &inner : op.getRegions())
          fuseBlocks(inner, options);
    BlockFusion(block, options).run();
  }
}

void fusePointwise(ModuleOp module, const FusionOptions &options) {
  for (auto function : module.getOps<func::FuncOp>()) {
    function.walk([](bf::PointwiseOp op) {
      forwardExpands(op);
      if (!isOfLibrary(op))
        inlineSplats(op);
    });
    fuseBlocks(function.getBody(), options);
  }
}

std::unique_ptr<Pass> createFusePointwisePass() { return std::make_unique<FusePointwisePass>(); }

} // namespace bifront
