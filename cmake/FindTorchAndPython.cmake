# The interpreter decides: its headers, its torch and its nanobind are the ones used.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(
  COMMAND ${Python_EXECUTABLE} -c
    "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
  OUTPUT_VARIABLE TORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(
  COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
find_package(nanobind CONFIG REQUIRED)

# Torch's headers are heavy: only capture, the runtime's bridge, the reference and the bindings link this.
# Libraries go by full path so that programs of the build tree find them; the installed module has no
# run path, `import torch` has loaded them before.
add_library(bifront_torch INTERFACE)
target_include_directories(bifront_torch SYSTEM INTERFACE
  ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include ${Python_INCLUDE_DIRS})
target_link_libraries(bifront_torch INTERFACE ${TORCH_ROOT}/lib/libtorch_cpu.so
                                              ${TORCH_ROOT}/lib/libc10.so)

# Whoever touches Python objects; the symbols of CPython itself come from the process.
add_library(bifront_torch_python INTERFACE)
target_link_libraries(bifront_torch_python INTERFACE bifront_torch
                                                     ${TORCH_ROOT}/lib/libtorch_python.so)
