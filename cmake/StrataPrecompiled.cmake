# Precompiled headers: most of a file's compile time went into reading the same headers again.
# Every target of the house uses one of two shared sets, or names its own with strata_precompile().
# The presets asan, tsan and fuzz build without any, which shows that files include what they use.
set(strata_common_headers
    algorithm array atomic charconv chrono condition_variable cstdint functional future map memory
    mutex optional set sstream string string_view thread unordered_map utility variant vector
    tl/expected.hpp google/protobuf/map.h google/protobuf/message.h
    google/protobuf/repeated_ptr_field.h google/protobuf/unknown_field_set.h)

if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
  # ccache(1), PRECOMPILED HEADERS. GCC 12 forgets which precompiled headers are the system's, and
  # its wrong warnings inside std::string (GCC bugs 105329, 105651) are not kept back any more.
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess;-Wno-array-bounds;-Wno-restrict>"
                      "$<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow;-Wno-stringop-overread>")
endif()

# Headers are paths below the source tree, or what stands between < and >.
function(strata_add_headers target)
  foreach(header ${ARGN})
    if(EXISTS ${CMAKE_SOURCE_DIR}/${header})
      set(header "${CMAKE_SOURCE_DIR}/${header}")
    else()
      set(header "<${header}$<ANGLE-R>")
    endif()
    target_precompile_headers(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${header}>")
  endforeach()
endfunction()

# A shared set is built once, with the flags that all its users have.
file(WRITE ${CMAKE_BINARY_DIR}/precompiled.cc "// Belongs to a set of precompiled headers.\n")
function(strata_shared_headers name)
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/precompiled.cc)
  strata_add_headers(${name} ${ARGN})
endfunction()
strata_shared_headers(strata_common_pch ${strata_common_headers})

# strata_precompile(target headers...): the headers that most files of a large target include.
function(strata_precompile target)
  strata_add_headers(${target} ${strata_common_headers} ${ARGN})
endfunction()

# Which set a target takes that names no headers of its own: a shared one, or "" for none.
function(strata_shared_set target shared)
  set_property(TARGET ${target} PROPERTY STRATA_SHARED_SET "${shared}")
endfunction()

# Done when the directory of the target has been read: a set cannot be taken back.
function(strata_take_shared_set target)
  get_target_property(own ${target} PRECOMPILE_HEADERS)
  get_target_property(shared ${target} STRATA_SHARED_SET)
  if(shared AND NOT own AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    target_precompile_headers(${target} REUSE_FROM ${shared})
  endif()
endfunction()

function(strata_precompiled_target target)
  strata_shared_set(${target} strata_common_pch)
  cmake_language(EVAL CODE "cmake_language(DEFER CALL strata_take_shared_set [[${target}]])")
endfunction()
