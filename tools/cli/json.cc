#include "tools/cli/json.h"

#include <google/protobuf/util/json_util.h>

#include <ostream>
#include <string>

namespace strata::tools {
namespace {

Status Print(const google::protobuf::Message& message, bool in_lines, std::ostream& out) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = in_lines;
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

}  // namespace

Status PrintJson(const google::protobuf::Message& message, std::ostream& out) {
  return Print(message, /*in_lines=*/true, out);
}

Status PrintJsonLine(const google::protobuf::Message& message, std::ostream& out) {
  return Print(message, /*in_lines=*/false, out);
}

}  // namespace strata::tools
