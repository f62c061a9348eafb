// Protobuf messages as JSON for scripts: the field names of the .proto file, every field present.
// As everywhere in protobuf's JSON, 64-bit numbers are strings.
#pragma once

#include <google/protobuf/message.h>

#include <iosfwd>

#include "common/result.h"

namespace strata::tools {

Status PrintJson(const google::protobuf::Message& message, std::ostream& out);
// The same in one line, for one of many.
Status PrintJsonLine(const google::protobuf::Message& message, std::ostream& out);

}  // namespace strata::tools
