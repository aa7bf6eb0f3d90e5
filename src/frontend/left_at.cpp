#include "frontend/left_at.h"

#include "capture/python_values.h"
#include "frontend/interpreter.h"

namespace bifront {
namespace {

struct LeftAt {
  SourceLine line;
  const PythonFrame *next = nullptr; // that the same exception leaves next
};

LeftAt &last() {
  thread_local LeftAt at;
  return at;
}

} // namespace

SourceLine leftAt() { return last().line; }

void forgetLeftAt() { last() = {}; }

void noteLeaving(const PythonFrame &frame) {
  LeftAt &at = last();
  for (const PythonFrame *loop = frame.consumer; loop; loop = loop->consumer)
    if (at.next == loop)
      return;            // it comes from there
  if (at.next != &frame) // another exception
    at = {};
  at.next = frame.caller;
  auto *code = reinterpret_cast<PyCodeObject *>(frame.syntax.code.get());
  const char *file = PyUnicode_AsUTF8(code->co_filename);
  if (at.line.line == 0 && file && !isLibraryFile(file))
    at.line = {file, frame.line};
}

void noteRaisedIn(const PythonFrame &frame) {
  LeftAt &at = last();
  if (at.next != &frame)
    at = {{}, &frame};
}

} // namespace bifront
