#include <google/protobuf/util/json_util.h>

#include <chrono>

#include "common/events/event_log.h"

namespace strata {

std::string EventLine(const google::protobuf::Message& event) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(event, &text, options).ok()) text.clear();
  return text;
}

bool ParseEventLine(std::string_view line, google::protobuf::Message* event) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // Of a later version.
  return google::protobuf::util::JsonStringToMessage(std::string(line), event, options).ok();
}

int64_t EventNowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace strata
