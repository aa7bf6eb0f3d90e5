# MLIR's exported targets mix static and shared LLVM, which fails at start; link one kind by hand.
find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS})  # where tablegen looks too

add_library(bifront_mlir INTERFACE)
target_include_directories(bifront_mlir SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
if(BIFRONT_STATIC_LLVM)
  # mold and lld take archives in any order, and only the members that are needed.
  if(NOT MOLD)
    find_program(LLD ld.lld-22 REQUIRED)
    target_link_options(bifront_mlir INTERFACE -fuse-ld=lld)
  endif()
  file(GLOB MLIR_ARCHIVES ${LLVM_LIBRARY_DIR}/libMLIR*.a)
  file(GLOB LLVM_ARCHIVES ${LLVM_LIBRARY_DIR}/libLLVM*.a)
  # LLVM's compression and manifest code refers to these; static, so that the wheel needs no more than libc.
  find_library(ZSTD_ARCHIVE libzstd.a REQUIRED)
  find_library(ZLIB_ARCHIVE libz.a REQUIRED)
  target_link_libraries(bifront_mlir INTERFACE ${MLIR_ARCHIVES} ${LLVM_ARCHIVES} ${ZSTD_ARCHIVE}
                                               ${ZLIB_ARCHIVE})
else()
  target_link_directories(bifront_mlir INTERFACE ${LLVM_LIBRARY_DIR})
  target_link_libraries(bifront_mlir INTERFACE MLIR LLVM-22)
endif()
