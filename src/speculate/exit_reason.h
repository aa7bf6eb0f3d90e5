// Why a call ran in CPython instead of a graph, or a function was not converted: a closed list.
// One row: name, code, one sentence, what the user can do about it.
#pragma once

#include <cstdint>
#include <string_view>

#define BIFRONT_EXIT_REASONS(X)                                                                    \
  X(ArgumentStructure, "BF001",                                                                    \
    "The arguments are nested otherwise, or a plain value among them changed.",                    \
    "Pass what changes from call to call as a tensor.")                                            \
  X(TensorMismatch, "BF002",                                                                       \
    "A tensor has another dtype, shape, layout, device or requires_grad.",                         \
    "Sizes that vary become dynamic by themselves; give tensors one dtype and layout.")            \
  X(GlobalMode, "BF003",                                                                           \
    "A mode of PyTorch changed: grad mode, autocast, default dtype, determinism.",                 \
    "Set modes once, or inside the function.")                                                     \
  X(GradPresence, "BF004",                                                                         \
    "A parameter's .grad was None when the graph was made and is not now, or the other way "       \
    "round.",                                                                                      \
    "Clear gradients at the same place in every step.")                                            \
  X(PythonState, "BF008",                                                                          \
    "A Python value that the function reaches has changed: an attribute, a module's mode, a "      \
    "global.",                                                                                     \
    "Keep what changes at every step in a tensor.")                                                \
  X(Aliasing, "BF005", "Two arguments share memory, and the graph writes one of them.",            \
    "Pass tensors that do not overlap, or clone one.")                                             \
  X(UnsupportedTensor, "BF006", "An argument is sparse, nested, quantised or a tensor subclass.",  \
    "Such tensors run in CPython for now.")                                                        \
  X(ForeignMode, "BF007",                                                                          \
    "Another mode is active: of operators, functions, transforms or saved tensors.",               \
    "Call the function outside of that mode to run its graph.")                                    \
  X(AnomalyDetection, "BF009",                                                                     \
    "torch.autograd.detect_anomaly is on, which tells each operator where it was called.",         \
    "Turn it off to run the graph.")                                                               \
  X(CaptureFailed, "BF010", "The function could not be captured.",                                 \
    "The message says what stopped it.")                                                           \
  X(CompileFailed, "BF011", "The captured graph could not be compiled.",                           \
    "The message says what stopped it.")                                                           \
  X(ReturnsTrainable, "BF012",                                                                     \
    "A returned tensor can still be differentiated, and is a view of one that others have too.",   \
    "Return a clone of it, detach it, or call backward inside the function.")                      \
  X(CompilesLater, "BF013", "The graph is being compiled by another thread.",                      \
    "It runs the calls from then on; BIFRONT_BACKGROUND=0 has the call wait for it.")              \
  X(TooManyGraphs, "BF020", "The function has as many graphs as the limit allows.",                \
    "Pass what changes from call to call as a tensor, or allow more by `max_graphs=`.")            \
  X(TooManyWays, "BF021",                                                                          \
    "The function's assumptions about tensors' values failed more often than they held.",          \
    "Decide by tensors (torch.where) what changes from call to call.")                             \
  X(NewChoice, "BF022",                                                                            \
    "An argument that decides the path has a value that no graph knows, and that calls have not "  \
    "come back to.",                                                                               \
    "Pass what is another at every call as a tensor or a number, or leave it out of the "          \
    "function.")                                                                                   \
  X(GraphRaised, "BF030",                                                                          \
    "An operator raised inside the graph; CPython ran the call again to raise it.",                \
    "The exception is the program's own.")                                                         \
  X(AssertionFailed, "BF031", "An assumption inside the graph did not hold.",                      \
    "Another graph ran the call, or CPython.")

namespace bifront {

enum class ExitReason : uint8_t {
#define BIFRONT_EXIT_NAME(name, code, sentence, hint) name,
  BIFRONT_EXIT_REASONS(BIFRONT_EXIT_NAME)
#undef BIFRONT_EXIT_NAME
};

struct ExitReasonText {
  std::string_view name, code, sentence, hint;
};

inline constexpr ExitReasonText kExitReasons[] = {
#define BIFRONT_EXIT_TEXT(name, code, sentence, hint) {#name, code, sentence, hint},
    BIFRONT_EXIT_REASONS(BIFRONT_EXIT_TEXT)
#undef BIFRONT_EXIT_TEXT
};

inline const ExitReasonText &textOf(ExitReason reason) {
  return kExitReasons[static_cast<int>(reason)];
}

} // namespace bifront
