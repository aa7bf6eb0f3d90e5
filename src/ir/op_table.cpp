#include "ir/op_table.h"

#include "ir/schema.h"

#include "llvm/ADT/StringMap.h"

#include <initializer_list>
#include <string>
#include <unordered_map>

namespace bifront {
namespace {

using Table = std::unordered_map<std::string, OpRow>;

void add(Table &table, OpKind kind, std::initializer_list<const char *> names) {
  for (const char *name : names)
    table.emplace(std::string("aten::") + name, OpRow{kind});
}

Table makeTable() {
  Table table;
  add(table, OpKind::Pointwise,
      {"add",
       "sub",
       "mul",
       "div",
       "rsub",
       "neg",
       "abs",
       "sign",
       "sgn",
       "sqrt",
       "rsqrt",
       "reciprocal",
       "square",
       "exp",
       "exp2",
       "expm1",
       "log",
       "log2",
       "log10",
       "log1p",
       "sin",
       "cos",
       "tan",
       "asin",
       "acos",
       "atan",
       "sinh",
       "cosh",
       "tanh",
       "asinh",
       "acosh",
       "atanh",
       "atan2",
       "erf",
       "erfc",
       "erfinv",
       "lgamma",
       "digamma",
       "sigmoid",
       "logit",
       "relu",
       "relu6",
       "threshold",
       "threshold_backward",
       "gelu",
       "gelu_backward",
       "silu",
       "silu_backward",
       "mish",
       "mish_backward",
       "hardtanh",
       "hardtanh_backward",
       "hardsigmoid",
       "hardsigmoid_backward",
       "hardswish",
       "hardswish_backward",
       "leaky_relu",
       "leaky_relu_backward",
       "elu",
       "elu_backward",
       "celu",
       "selu",
       "softplus",
       "softplus_backward",
       "log_sigmoid_forward",
       "log_sigmoid_backward",
       "tanh_backward",
       "sigmoid_backward",
       "logit_backward",
       "_prelu_kernel",
       "_prelu_kernel_backward",
       "addcmul",
       "addcdiv",
       "lerp",
       "pow",
       "maximum",
       "minimum",
       "fmax",
       "fmin",
       "fmod",
       "remainder",
       "clamp",
       "clamp_min",
       "clamp_max",
       "floor",
       "ceil",
       "round",
       "trunc",
       "frac",
       "floor_divide",
       "true_divide",
       "where",
       "eq",
       "ne",
       "lt",
       "le",
       "gt",
       "ge",
       "isnan",
       "isinf",
       "isfinite",
       "logical_and",
       "logical_or",
       "logical_xor",
       "logical_not",
       "bitwise_and",
       "bitwise_or",
       "bitwise_xor",
       "bitwise_not",
       "bitwise_left_shift",
       "bitwise_right_shift",
       "__and__",
       "__or__",
       "__xor__",
       "masked_fill",
       "fill",
       "zero",
       "copy",
       "_to_copy",
       "clone",
       "_conj_physical",
       "angle",
       "xlogy",
       "hypot",
       "copysign",
       "heaviside",
       "nan_to_num",
       "native_dropout_backward",
       "mse_loss_backward",
       "smooth_l1_loss_backward",
       "huber_loss_backward",
       "binary_cross_entropy_backward",
       "zeros_like",
       "ones_like",
       "full_like"});
  add(table, OpKind::Reduction,
      {"sum",
       "mean",
       "prod",
       "amax",
       "amin",
       "max",
       "min",
       "argmax",
       "argmin",
       "all",
       "any",
       "var",
       "std",
       "var_mean",
       "std_mean",
       "norm",
       "linalg_vector_norm",
       "logsumexp",
       "_softmax",
       "_log_softmax",
       "_softmax_backward_data",
       "_log_softmax_backward_data",
       "cumsum",
       "cumprod",
       "native_layer_norm",
       "native_layer_norm_backward",
       "native_group_norm",
       "native_group_norm_backward",
       "native_batch_norm_backward",
       "mse_loss",
       "l1_loss",
       "smooth_l1_loss",
       "huber_loss",
       "binary_cross_entropy",
       "nll_loss_forward",
       "nll_loss_backward",
       "nll_loss2d_forward",
       "nll_loss2d_backward",
       "max_pool2d_with_indices",
       "max_pool2d_with_indices_backward",
       "avg_pool2d",
       "avg_pool2d_backward",
       "_adaptive_avg_pool2d",
       "_adaptive_avg_pool2d_backward",
       "topk",
       "sort",
       "median",
       "nonzero",
       "unique_consecutive"});
  add(table, OpKind::View, {"view",       "_unsafe_view", "_reshape_alias",
                            "reshape",    "contiguous",   "transpose",
                            "t",          "permute",      "squeeze",
                            "unsqueeze",  "expand",       "expand_as",
                            "select",     "slice",        "narrow",
                            "diagonal",   "detach",       "alias",
                            "as_strided", "split",        "split_with_sizes",
                            "unbind",     "chunk",        "unfold",
                            "view_as",    "view_as_real", "view_as_complex",
                            "_conj",      "_neg_view",    "movedim",
                            "flatten",    "unflatten",    "swapaxes",
                            "lift_fresh", "numpy_T",      "mT",
                            "mH",         "adjoint",      "T",
                            "H",          "real",         "imag"});
  add(table, OpKind::Contraction,
      {"mm",
       "addmm",
       "bmm",
       "baddbmm",
       "addbmm",
       "mv",
       "addmv",
       "dot",
       "vdot",
       "ger",
       "addr",
       "matmul",
       "linear",
       "convolution",
       "convolution_backward",
       "convolution_overrideable",
       "convolution_backward_overrideable",
       "mkldnn_convolution",
       "einsum",
       "linear_backward"});
  add(table, OpKind::Random,
      {"bernoulli",
       "normal",
       "normal_functional",
       "uniform",
       "random",
       "randn",
       "rand",
       "randint",
       "randperm",
       "rand_like",
       "randn_like",
       "randint_like",
       "native_dropout",
       "multinomial",
       "exponential",
       "geometric",
       "cauchy",
       "log_normal",
       "poisson",
       "binomial",
       "_standard_gamma",
       "_sample_dirichlet",
       "rrelu_with_noise",
       "_scaled_dot_product_flash_attention",
       "_scaled_dot_product_efficient_attention",
       "_fused_dropout"});
  // Random with a dropout probability only, and then captured as its parts.
  add(table, OpKind::Contraction,
      {"_scaled_dot_product_flash_attention_for_cpu",
       "_scaled_dot_product_flash_attention_for_cpu_backward"});
  add(table, OpKind::Factory,
      {"zeros", "ones", "full", "empty", "empty_strided", "empty_like", "empty_permuted",
       "new_empty", "new_empty_strided", "new_zeros", "new_ones", "new_full", "arange", "linspace",
       "eye", "scalar_tensor", "tril_indices", "triu_indices"});
  add(table, OpKind::Data,
      {"cat",
       "stack",
       "index",
       "index_select",
       "index_put",
       "index_add",
       "index_copy",
       "index_fill",
       "gather",
       "scatter",
       "scatter_add",
       "scatter_reduce",
       "embedding",
       "embedding_dense_backward",
       "select_backward",
       "slice_backward",
       "select_scatter",
       "slice_scatter",
       "diagonal_scatter",
       "as_strided_scatter",
       "unfold_backward",
       "diagonal_backward",
       "masked_scatter",
       "masked_select",
       "flip",
       "roll",
       "repeat",
       "tril",
       "triu",
       "constant_pad_nd",
       "reflection_pad2d",
       "im2col",
       "col2im",
       "one_hot",
       "repeat_interleave"});
  add(table, OpKind::HostOnly, {"_local_scalar_dense", "item", "equal", "is_nonzero"});
  add(table, OpKind::Assert,
      {"_assert_async", "_functional_assert_async", "_assert_scalar", "_functional_assert_scalar",
       "_assert_tensor_metadata"});
  table.emplace("bifront::first_rows", OpRow{OpKind::View});
  table.emplace("bifront::sized", OpRow{OpKind::View});
  table.emplace("bifront::other_contents", OpRow{OpKind::Data});
  const std::vector<const char *> runningStats = {"running_mean", "running_var"};
  for (const char *name : {"native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"})
    table.emplace(std::string("aten::") + name, OpRow{OpKind::Reduction, runningStats, "training"});
  table.emplace("aten::_batch_norm_impl_index", OpRow{OpKind::Reduction, runningStats, "training"});
  for (const char *name : {"get_rng_state", "set_rng_state", "manual_seed"})
    table.emplace(std::string("bifront::") + name, OpRow{OpKind::Random});
  table.emplace("aten::batch_norm", OpRow{OpKind::Reduction, runningStats, "training"});
  table.emplace("aten::instance_norm", OpRow{OpKind::Reduction, runningStats, "use_input_stats"});
  return table;
}

} // namespace

static const OpRow nothingKnown;

static const OpRow &findRow(std::string_view schemaName) {
  static const Table table = makeTable();
  static const OpRow random{OpKind::Random};
  if (auto found = table.find(std::string(schemaName)); found != table.end())
    return found->second;
  std::string base(schemaName.substr(0, schemaName.find('.')));
  if (auto found = table.find(base); found != table.end())
    return found->second;
  if (base.ends_with('_') && !base.ends_with("__")) {
    base.pop_back();
    if (auto found = table.find(base); found != table.end())
      return found->second;
  }
  if (const Schema *schema = lookupSchema(schemaName))
    for (const SchemaArg &arg : schema->args)
      if (arg.type == "Generator?" || arg.type == "Generator")
        return random;
  return nothingKnown;
}

// Passes ask for each op again and again.
const OpRow &opRow(std::string_view schemaName) {
  thread_local llvm::StringMap<const OpRow *> known;
  if (auto found = known.find(schemaName); found != known.end())
    return *found->second;
  const OpRow &row = findRow(schemaName);
  if (&row != &nothingKnown || lookupSchema(schemaName)) // its schema may be there later
    known[schemaName] = &row;
  return row;
}

const char *nameOf(OpKind kind) {
  switch (kind) {
  case OpKind::Opaque: return "opaque";
  case OpKind::Pointwise: return "pointwise";
  case OpKind::Reduction: return "reduction";
  case OpKind::View: return "view";
  case OpKind::Contraction: return "contraction";
  case OpKind::Random: return "random";
  case OpKind::Factory: return "factory";
  case OpKind::Data: return "data";
  case OpKind::HostOnly: return "host-only";
  case OpKind::Assert: return "assert";
  }
  return "unknown";
}

} // namespace bifront
