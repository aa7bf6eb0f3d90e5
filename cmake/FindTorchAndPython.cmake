# The interpreter decides: its headers, its torch and its nanobind are the ones used.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(
  COMMAND ${Python_EXECUTABLE} -c "import torch, os; print(os.path.dirname(torch.__file__))"
  OUTPUT_VARIABLE TORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(
  COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
find_package(nanobind CONFIG REQUIRED)

# Torch's headers are heavy: only capture, the runtime's bridge, the reference and the bindings link this.
add_library(bifront_torch INTERFACE)
target_include_directories(bifront_torch SYSTEM INTERFACE
  ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include ${Python_INCLUDE_DIRS})
target_link_directories(bifront_torch INTERFACE ${TORCH_ROOT}/lib)
target_link_libraries(bifront_torch INTERFACE torch torch_cpu c10 torch_python)
