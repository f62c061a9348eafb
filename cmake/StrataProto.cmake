# strata_proto_library(name file.proto): C++ messages and gRPC stubs for one .proto file, included
# as "<directory>/<file>.pb.h". Generated code is compiled without the house's warnings.
function(strata_proto_library name proto)
  get_filename_component(absolute ${proto} ABSOLUTE)
  file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR} ${absolute})
  string(REGEX REPLACE "\\.proto$" "" stem ${relative})
  set(out ${CMAKE_BINARY_DIR}/generated)
  set(generated ${out}/${stem}.pb.cc ${out}/${stem}.grpc.pb.cc)
  file(MAKE_DIRECTORY ${out})
  add_custom_command(
    OUTPUT ${generated} ${out}/${stem}.pb.h ${out}/${stem}.grpc.pb.h
    COMMAND ${STRATA_PROTOC} --proto_path=${CMAKE_SOURCE_DIR} --cpp_out=${out} --grpc_out=${out}
            --plugin=protoc-gen-grpc=${STRATA_GRPC_CPP_PLUGIN} ${relative}
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    DEPENDS ${absolute})
  add_library(${name} STATIC ${generated})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_compile_options(${name} PRIVATE -O1 -g0)
  target_link_libraries(${name} PUBLIC strata_grpc)
endfunction()
