#include "imaged/registry/reply.h"

#include <nlohmann/json.hpp>

#include "common/log.h"

namespace strata::imaged {
namespace {

using Json = nlohmann::json;

struct Kind {
  int status;
  std::string_view code;
};

Kind KindOf(Code code, std::string_view unknown) {
  switch (code) {
    case Code::kInvalidArgument:
      return {400, "MANIFEST_INVALID"};
    case Code::kNotFound:
      return {404, unknown};
    case Code::kAlreadyExists:
    case Code::kPermissionDenied:
    case Code::kFailedPrecondition:
    case Code::kResourceExhausted:  // Not 429: repeating it does not help.
      return {403, "DENIED"};
    case Code::kCorrupt:
      return {400, "DIGEST_INVALID"};
    case Code::kUnsupported:
      return {415, "UNSUPPORTED"};
    case Code::kUnavailable:
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
      return {503, "UNAVAILABLE"};
    case Code::kInternal:
      break;
  }
  return {500, "UNKNOWN"};
}

}  // namespace

http::Response JsonReply(int status, std::string json) {
  http::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.text = std::move(json);
  return response;
}

http::Response ErrorReply(int status, std::string_view code, std::string_view message) {
  const Json error = {{"code", code}, {"message", message}};
  const Json document = {{"errors", Json::array({error})}};
  return JsonReply(status, document.dump(-1, ' ', false, Json::error_handler_t::replace));
}

http::Response ErrorReply(const Error& error, std::string_view unknown) {
  const Kind kind = KindOf(error.code(), unknown);
  if (error.code() == Code::kNotFound) {
    // Always the same words: who may not know of a thing learns nothing from them.
    return ErrorReply(kind.status, kind.code, "there is none that you may use");
  }
  if (error.code() != Code::kInternal) return ErrorReply(kind.status, kind.code, error.message());
  LOG_ERROR("registry: " + error.message());
  return ErrorReply(kind.status, kind.code, "an error of the host, which is in its log");
}

http::Response MethodReply(std::string_view allowed) {
  http::Response response = ErrorReply(405, "UNSUPPORTED", "this method is not for this address");
  response.headers.push_back({"Allow", std::string(allowed)});
  return response;
}

}  // namespace strata::imaged
