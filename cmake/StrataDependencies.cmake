# Everything that comes from elsewhere. `tools/setup/install` provides all of it.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(libdeflate REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(archive REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(lxc REQUIRED IMPORTED_TARGET lxc)
pkg_check_modules(rocksdb REQUIRED IMPORTED_TARGET rocksdb)
pkg_check_modules(nl_route REQUIRED IMPORTED_TARGET libnl-route-3.0)
pkg_check_modules(nftables REQUIRED IMPORTED_TARGET libnftables)
pkg_check_modules(ldns REQUIRED IMPORTED_TARGET ldns)
pkg_check_modules(seccomp REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET openssl)
pkg_check_modules(curl REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(microhttpd REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(yaml_cpp REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(grpcpp REQUIRED IMPORTED_TARGET grpc++)
pkg_check_modules(protobuf REQUIRED IMPORTED_TARGET protobuf)
pkg_check_modules(argon2 REQUIRED IMPORTED_TARGET libargon2)
pkg_check_modules(pam REQUIRED IMPORTED_TARGET pam)
find_package(prometheus-cpp REQUIRED)
find_program(STRATA_PROTOC protoc REQUIRED)
find_program(STRATA_GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# gRPC and protobuf. Of a command's start, 6 of 10 ms went into loading their 50 shared libraries;
# so what a user runs has them linked in (strata_command), and daemons share them.
set(STRATA_GRPC_ARCHIVES)
foreach(name ${grpcpp_STATIC_LIBRARIES} ${protobuf_STATIC_LIBRARIES})
  find_library(STRATA_ARCHIVE_${name} lib${name}.a)
  if(name MATCHES "^(ssl|crypto|z|dl|rt|atomic|pthread)$" OR NOT STRATA_ARCHIVE_${name})
    list(APPEND STRATA_GRPC_ARCHIVES -l${name})
  else()
    list(APPEND STRATA_GRPC_ARCHIVES ${STRATA_ARCHIVE_${name}})
  endif()
endforeach()
list(REMOVE_DUPLICATES STRATA_GRPC_ARCHIVES)
add_library(strata_grpc INTERFACE)
target_include_directories(strata_grpc SYSTEM INTERFACE ${grpcpp_INCLUDE_DIRS} ${protobuf_INCLUDE_DIRS})
set(linked_in $<BOOL:$<TARGET_PROPERTY:STRATA_GRPC_LINKED_IN>>)
target_link_libraries(
  strata_grpc
  INTERFACE "$<${linked_in}:-Wl,--start-group;${STRATA_GRPC_ARCHIVES};-Wl,--end-group;Threads::Threads>"
            "$<$<NOT:${linked_in}>:PkgConfig::grpcpp;PkgConfig::protobuf>")

# libfuse >= 3.17 (passthrough API): a static library in a private prefix, because Debian 12 ships
# 3.14. tools/setup/build-libfuse builds it from Debian's source package.
set(STRATA_DEPS_PREFIX "/opt/strata/deps" CACHE PATH "Where tools/setup installs private builds")
find_library(STRATA_FUSE3_LIBRARY libfuse3.a PATHS ${STRATA_DEPS_PREFIX}/fuse3/lib NO_DEFAULT_PATH)
find_path(STRATA_FUSE3_INCLUDE fuse_lowlevel.h PATHS ${STRATA_DEPS_PREFIX}/fuse3/include/fuse3
          NO_DEFAULT_PATH)
if(NOT STRATA_FUSE3_LIBRARY OR NOT STRATA_FUSE3_INCLUDE)
  message(FATAL_ERROR "libfuse >= 3.17 is not in ${STRATA_DEPS_PREFIX}/fuse3: "
                      "run tools/setup/install as root")
endif()
add_library(strata_fuse3 INTERFACE)
target_include_directories(strata_fuse3 SYSTEM INTERFACE ${STRATA_FUSE3_INCLUDE})
target_compile_definitions(strata_fuse3 INTERFACE FUSE_USE_VERSION=317)
target_link_libraries(strata_fuse3 INTERFACE ${STRATA_FUSE3_LIBRARY} Threads::Threads dl rt)

# BLAKE3's official C and assembly files, as Debian's librust-blake3-dev installs them.
file(GLOB STRATA_BLAKE3_DIRS /usr/share/cargo/registry/blake3-*/c)
if(NOT STRATA_BLAKE3_DIRS)
  message(FATAL_ERROR "BLAKE3's C files are missing: install librust-blake3-dev "
                      "(tools/setup/install does it)")
endif()
list(GET STRATA_BLAKE3_DIRS 0 STRATA_BLAKE3_DIR)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(STRATA_BLAKE3_SIMD blake3_sse2_x86-64_unix.S blake3_sse41_x86-64_unix.S
                         blake3_avx2_x86-64_unix.S blake3_avx512_x86-64_unix.S)
else()
  message(FATAL_ERROR "only x86_64 is built and tested so far, this is ${CMAKE_SYSTEM_PROCESSOR}")
endif()
list(TRANSFORM STRATA_BLAKE3_SIMD PREPEND ${STRATA_BLAKE3_DIR}/)
add_library(strata_blake3 STATIC ${STRATA_BLAKE3_DIR}/blake3.c ${STRATA_BLAKE3_DIR}/blake3_dispatch.c
                                 ${STRATA_BLAKE3_DIR}/blake3_portable.c ${STRATA_BLAKE3_SIMD})
target_include_directories(strata_blake3 SYSTEM PUBLIC ${STRATA_BLAKE3_DIR})
target_compile_options(strata_blake3 PRIVATE -O3)
