#include "vclusterd/rest/problem.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/printable.h"

namespace strata::vcluster::rest {
namespace {

constexpr size_t kDetailBytesMax = 4000;
constexpr char kOurs[] = "an error of the host, which is in its log";

bool IsOurs(Code code) { return code == Code::kInternal || code == Code::kCorrupt; }

std::string WordOf(Code code) {
  std::string word(CodeName(code));
  std::replace(word.begin(), word.end(), ' ', '-');
  return word;
}

std::string_view TitleOf(int status) {
  static constexpr std::pair<int, std::string_view> kTitles[] = {
      {400, "Bad Request"},        {401, "Unauthorized"},
      {403, "Forbidden"},          {404, "Not Found"},
      {405, "Method Not Allowed"}, {409, "Conflict"},
      {413, "Content Too Large"},  {415, "Unsupported Media Type"},
      {429, "Too Many Requests"},  {500, "Internal Server Error"},
      {501, "Not Implemented"},    {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
  };
  for (const auto& [known, title] : kTitles) {
    if (known == status) return title;
  }
  return "Error";
}

Json Document(int status, std::string_view code, std::string_view detail) {
  Json document = {{"type", "about:blank"},
                   {"title", TitleOf(status)},
                   {"status", status},
                   {"code", code},
                   {"detail", PrintableText(detail.substr(0, kDetailBytesMax))}};
  if (!RequestScope::Current().empty()) document["request"] = RequestScope::Current();
  return document;
}

}  // namespace

int StatusOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kCancelled:
      return 409;
    case Code::kPermissionDenied:
    case Code::kResourceExhausted:  // Not 429: repeating it does not help.
      return 403;
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kUnsupported:
      return 501;
    case Code::kCorrupt:
    case Code::kInternal:
      break;
  }
  return 500;
}

http::Response Problem(int status, std::string_view code, std::string_view detail) {
  http::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/problem+json"}};
  if (status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer realm=\"strata\""});
  if (status == 429) response.headers.push_back({"Retry-After", "1"});
  response.text =
      Document(status, code, detail).dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

http::Response Problem(const Error& error, int exhausted_status) {
  const bool exhausted = error.code() == Code::kResourceExhausted;
  const int status = exhausted ? exhausted_status : StatusOf(error.code());
  if (!IsOurs(error.code())) return Problem(status, WordOf(error.code()), error.message());
  LOG_ERROR("rest: " + error.message());
  return Problem(status, WordOf(error.code()), kOurs);
}

Json ProblemJson(const Error& error) {
  if (!IsOurs(error.code())) {
    return Document(StatusOf(error.code()), WordOf(error.code()), error.message());
  }
  LOG_ERROR("rest: " + error.message());
  return Document(StatusOf(error.code()), WordOf(error.code()), kOurs);
}

Json ProblemSchema() {
  using namespace schema;
  return Members("Why something was not done (RFC 9457).")
      .Must("type", Text("about:blank: the status says what kind it is."))
      .Must("title", Text("The status in words."))
      .Must("status", Whole("The status of HTTP.", 400, 599))
      .Must("code", Text("What is wrong, for programs: not-found, permission-denied, …"))
      .Must("detail", Text("What is wrong, for people.", kDetailBytesMax * 4))
      .May("request", Text("Names the request in the log of the host."));
}

}  // namespace strata::vcluster::rest
