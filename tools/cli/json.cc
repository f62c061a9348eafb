#include "tools/cli/json.h"

#include <google/protobuf/util/json_util.h>

#include <ostream>
#include <string>

namespace strata::tools {

Status PrintJson(const google::protobuf::Message& message, std::ostream& out) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) {
    return Error(Code::kInternal, "cannot print as JSON: " + std::string(status.message()));
  }
  out << text;
  if (!text.ends_with('\n')) out << '\n';
  return Ok();
}

}  // namespace strata::tools
