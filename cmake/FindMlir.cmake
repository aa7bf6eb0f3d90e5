# MLIR's exported targets mix static and shared LLVM, which fails at start; link one kind by hand.
find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

add_library(bifront_mlir INTERFACE)
target_include_directories(bifront_mlir SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
target_link_directories(bifront_mlir INTERFACE ${LLVM_LIBRARY_DIRS})
if(BIFRONT_STATIC_LLVM)
  file(GLOB MLIR_ARCHIVES ${LLVM_LIBRARY_DIRS}/libMLIR*.a)
  file(GLOB LLVM_ARCHIVES ${LLVM_LIBRARY_DIRS}/libLLVM*.a)
  target_link_libraries(bifront_mlir INTERFACE
    -Wl,--start-group ${MLIR_ARCHIVES} ${LLVM_ARCHIVES} -Wl,--end-group
    -Wl,--gc-sections -Wl,--exclude-libs,ALL zstd z xml2)
else()
  target_link_libraries(bifront_mlir INTERFACE MLIR LLVM-22)
endif()
