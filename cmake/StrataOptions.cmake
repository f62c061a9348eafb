# Compile options that every target of the project shares.
set(STRATA_SANITIZE "" CACHE STRING "Sanitizers, comma separated, for example address,undefined")
option(STRATA_FUZZ "Build the libFuzzer targets (needs clang)" OFF)

# _FILE_OFFSET_BITS is a given on 64-bit; _GNU_SOURCE for the Linux system calls we exist for.
add_compile_definitions(_GNU_SOURCE)
include_directories(${CMAKE_SOURCE_DIR})

if(STRATA_SANITIZE)
  add_compile_options(-fsanitize=${STRATA_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${STRATA_SANITIZE})
endif()
if(STRATA_FUZZ)  # Coverage feedback from the libraries; the targets link libFuzzer itself.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
find_program(STRATA_MOLD mold)
if(STRATA_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Warnings are errors in our own code only; generated and foreign sources do not link this.
add_library(strata_warnings INTERFACE)
target_compile_options(
  strata_warnings INTERFACE -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wcast-align
                            -Woverloaded-virtual -Wformat=2 -Wno-missing-field-initializers)

# strata_library(name SOURCES... ) with one include root and the house's warnings.
function(strata_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PRIVATE strata_warnings)
  strata_precompiled_target(${name})
endfunction()

function(strata_executable name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE strata_warnings)
  strata_precompiled_target(${name})
endfunction()

# strata_command(name sources...): one that users run, which is to start at once
# (StrataDependencies).
function(strata_command name)
  strata_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES STRATA_GRPC_LINKED_IN ON)
endfunction()
