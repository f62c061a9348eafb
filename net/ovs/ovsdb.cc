#include "net/ovs/ovsdb.h"

#include <optional>
#include <utility>

#include "common/json_text.h"
#include "common/printable.h"

namespace strata::net {
namespace {

constexpr size_t kReadBytes = 64u << 10;

Error NotOvsdb(const std::string& what) {
  return Error(Code::kCorrupt, "not as OVSDB has it: " + what);
}

std::string Said(const Json& value) {
  return Printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// {"error": "constraint violation", "details": "..."}
Error Refusal(const Json& result) {
  const auto text = [&](const char* key) {
    const auto found = result.find(key);
    return found != result.end() && found->is_string() ? Printable(found->get<std::string>()) : "";
  };
  const std::string error = text("error");
  const std::string details = text("details");
  return Error(error == "timed out" ? Code::kDeadlineExceeded : Code::kFailedPrecondition,
               "ovsdb-server says: " + error + (details.empty() ? "" : ": " + details));
}

// ["set", [...]] or one alone.
Result<std::vector<Json>> Elements(const Json& value) {
  if (!value.is_array()) return std::vector<Json>{value};
  if (value.size() != 2 || !value[0].is_string()) return NotOvsdb(Said(value));
  if (value[0] != "set") return std::vector<Json>{value};
  if (!value[1].is_array()) return NotOvsdb(Said(value));
  return value[1].get<std::vector<Json>>();
}

Result<std::optional<Json>> AtMostOne(const Json& value) {
  ASSIGN_OR_RETURN(std::vector<Json> elements, Elements(value));
  if (elements.size() > 1) return NotOvsdb("one value at most: " + Said(value));
  return elements.empty() ? std::nullopt : std::optional(std::move(elements[0]));
}

}  // namespace

Result<Json> OvsdbClient::NextMessage(UnixStream::Clock::time_point until) {
  for (;;) {
    ASSIGN_OR_RETURN(const auto text, incoming_.Next(), stream_.name());
    if (text.has_value()) {
      return ParseJsonText(*text, kOvsdbMessageBytesMax, kOvsdbDepthMax);
    }
    ASSIGN_OR_RETURN(const std::string bytes, stream_.Receive(kReadBytes, until));
    incoming_.Push(bytes);
  }
}

Result<Json> OvsdbClient::Call(const std::string& method, Json params) {
  const auto until = UnixStream::Clock::now() + patience_;
  const uint64_t id = ++last_id_;
  const Json request = {{"method", method}, {"params", std::move(params)}, {"id", id}};
  RETURN_IF_ERROR(stream_.Send(request.dump(), until));
  for (;;) {
    ASSIGN_OR_RETURN(const Json message, NextMessage(until));
    // "echo" asks whether we are there; all else that is no answer of ours is left alone.
    if (const auto asked = message.find("method"); asked != message.end()) {
      if (*asked != "echo" || !message.contains("params") || !message.contains("id")) continue;
      const Json here = {{"result", message["params"]}, {"error", nullptr}, {"id", message["id"]}};
      RETURN_IF_ERROR(
          stream_.Send(here.dump(-1, ' ', false, Json::error_handler_t::replace), until));
    } else if (const auto answered = message.find("id");
               answered != message.end() && *answered == id) {
      return message;
    }
  }
}

Result<std::vector<Json>> OvsdbClient::Transact(const std::vector<Json>& operations) {
  Json params = Json::array({kOvsDatabase});
  for (const Json& operation : operations) params.push_back(operation);
  ASSIGN_OR_RETURN(const Json message, Call("transact", std::move(params)));
  return ParseTransactReply(message, operations.size());
}

Result<std::vector<Json>> ParseTransactReply(const Json& message, size_t operations) {
  if (!message.is_object()) return NotOvsdb("an answer that is no object");
  const auto error = message.find("error");
  if (error != message.end() && !error->is_null()) {
    if (error->is_object()) return Refusal(*error);
    return Error(Code::kFailedPrecondition, "ovsdb-server says: " + Said(*error));
  }
  const auto result = message.find("result");
  if (result == message.end() || !result->is_array()) return NotOvsdb("an answer without results");
  // What did not come to its turn is null; a commit that failed is one more element.
  for (const Json& one : *result) {
    if (one.is_object() && one.contains("error")) return Refusal(one);
  }
  if (result->size() != operations) return NotOvsdb("another number of results");
  for (const Json& one : *result) {
    if (!one.is_object()) return NotOvsdb("a result that is no object");
  }
  return result->get<std::vector<Json>>();
}

Json OvsdbUuid(const std::string& uuid) { return Json::array({"uuid", uuid}); }
Json OvsdbNewRow(const std::string& uuid_name) { return Json::array({"named-uuid", uuid_name}); }
Json OvsdbSet(std::vector<Json> elements) {
  return Json::array({"set", Json(Json::array_t(std::move(elements)))});
}

Json OvsdbMap(const OvsdbStrings& map) {
  Json pairs = Json::array();
  for (const auto& [key, value] : map) pairs.push_back(Json::array({key, value}));
  return Json::array({"map", pairs});
}

Result<std::string> TakeUuid(const Json& value) {
  if (!value.is_array() || value.size() != 2 || value[0] != "uuid" || !value[1].is_string()) {
    return NotOvsdb("a UUID: " + Said(value));
  }
  return value[1].get<std::string>();
}

Result<std::vector<std::string>> TakeUuids(const Json& value) {
  ASSIGN_OR_RETURN(const std::vector<Json> elements, Elements(value));
  std::vector<std::string> uuids;
  for (const Json& element : elements) {
    ASSIGN_OR_RETURN(uuids.emplace_back(), TakeUuid(element));
  }
  return uuids;
}

Result<OvsdbStrings> TakeMap(const Json& value) {
  if (!value.is_array() || value.size() != 2 || value[0] != "map" || !value[1].is_array()) {
    return NotOvsdb("a map: " + Said(value));
  }
  OvsdbStrings map;
  for (const Json& pair : value[1]) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return NotOvsdb("a map of strings: " + Said(value));
    }
    map.emplace(pair[0].get<std::string>(), pair[1].get<std::string>());
  }
  return map;
}

Result<std::string> TakeString(const Json& value) {
  ASSIGN_OR_RETURN(const auto one, AtMostOne(value));
  if (!one.has_value()) return std::string();
  if (!one->is_string()) return NotOvsdb("a string: " + Said(value));
  return one->get<std::string>();
}

Result<int64_t> TakeInteger(const Json& value) {
  ASSIGN_OR_RETURN(const auto one, AtMostOne(value));
  if (!one.has_value()) return int64_t{0};
  if (!one->is_number_integer()) return NotOvsdb("an integer: " + Said(value));
  return one->get<int64_t>();
}

}  // namespace strata::net
