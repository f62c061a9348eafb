#include "vclusterd/rest/rest_api.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <exception>

#include "common/http/document_sink.h"
#include "common/json_text.h"
#include "common/log.h"
#include "vclusterd/rest/cookie.h"
#include "vclusterd/rest/problem.h"

namespace strata::vcluster::rest {
namespace {

constexpr size_t kJsonDepthMax = 32;

bool ChangesNothing(const std::string& method) { return method == "GET" || method == "HEAD"; }

// The value of a cookie of that name; empty: there is none.
std::string_view BearerOf(const http::Request& request) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view field = http::Find(request.headers, "Authorization");
  if (field.size() <= kScheme.size()) return {};
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(field[i])) != kScheme[i]) return {};
  }
  return field.substr(kScheme.size());
}

// Other sites can send a browser's cookie along, but neither this header nor our origin.
bool IsOfOurPages(const http::Request& request) {
  if (http::Find(request.headers, kCsrfHeader).empty()) return false;
  const std::string_view origin = http::Find(request.headers, "Origin");
  return origin.empty() || origin == "https://" + std::string(http::Find(request.headers, "Host"));
}

// The media type without its parameters.
std::string_view TypeOf(const http::Request& request) {
  const std::string_view field = http::Find(request.headers, "Content-Type");
  std::string_view type = field.substr(0, std::min(field.find(';'), field.size()));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type;
}

bool IsFor(BodyKind kind, std::string_view type) {
  switch (kind) {
    case BodyKind::kNone:
      return true;
    case BodyKind::kJson:
      return type == "application/json";
    case BodyKind::kForm:
      return type == "application/x-www-form-urlencoded";
    case BodyKind::kDefinition:
      return type == "application/json" || type == "application/yaml";
  }
  return false;
}

// What an address or a form says, as a value of this schema's type; what is none stays text, and
// the check of the schema says so.
Json ValueOf(const std::string& text, const Json& schema) {
  const std::string type = schema.value("type", "string");
  if (type == "integer") {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return number;
  } else if (type == "boolean") {
    if (text == "true") return true;
    if (text == "false") return false;
  }
  return text;
}

// `open`: fields that are not among the members are passed over.
Status ReadFields(const http::Fields& fields, const Json& members, bool open, Json* values) {
  for (const http::Field& field : fields) {
    const auto member = members.find(field.name);
    if (member == members.end()) {
      if (open) continue;
      return Error(Code::kInvalidArgument, "there is no parameter '" + field.name + "'");
    }
    if (values->contains(field.name)) {
      return Error(Code::kInvalidArgument, "'" + field.name + "' is given twice");
    }
    (*values)[field.name] = ValueOf(field.value, *member);
  }
  return Ok();
}

Json QuerySchema(const Route& route) {
  schema::Members members("Parameters of the address.");
  for (const QueryParameter& parameter : route.query) {
    members.May(parameter.name, parameter.schema);
  }
  return members;
}

http::Response TooLong(const Route& route) {
  return Problem(413, "too-long",
                 "the body is at most " + std::to_string(route.body_bytes_max) + " bytes long");
}

// Fields that every answer has.
http::Response Finish(http::Response response) {
  response.headers.push_back({"Cache-Control", "no-store"});
  response.headers.push_back({"X-Content-Type-Options", "nosniff"});
  response.headers.push_back({"X-Request-Id", RequestScope::Current()});
  return response;
}

http::Response ToResponse(Reply reply) {
  http::Response response;
  response.status = reply.status;
  response.headers = std::move(reply.headers);
  if (reply.stream != nullptr) {
    response.body = std::move(reply.stream);
  } else if (!reply.body.is_null()) {
    response.text = reply.body.dump(-1, ' ', false, Json::error_handler_t::replace);
    reply.content_type = "application/json";
  } else {
    response.text = std::move(reply.text);
  }
  if (!reply.content_type.empty()) {
    response.headers.push_back({"Content-Type", reply.content_type});
  }
  return response;
}

}  // namespace

Result<std::unique_ptr<RestApi>> RestApi::Create(Services& services, RateLimits limits) {
  std::unique_ptr<RestApi> api(new RestApi(services, limits));
  const auto& named = services.table.schemas();
  for (const auto& route : services.table.routes()) {
    Checks& checks = api->checks_[route.get()];
    if (!route->query.empty()) {
      ASSIGN_OR_RETURN(BodyCheck query, BodyCheck::Of(QuerySchema(*route), named), route->id);
      checks.query = std::make_unique<BodyCheck>(std::move(query));
    }
    if (route->request.empty() || route->body == BodyKind::kDefinition) continue;
    ASSIGN_OR_RETURN(BodyCheck body, BodyCheck::Of(schema::Ref(route->request), named), route->id);
    checks.body = std::make_unique<BodyCheck>(std::move(body));
  }
  return api;
}

std::optional<http::Response> RestApi::Recognize(const Route& route, Exchange* exchange) {
  const http::Request& request = exchange->request;
  exchange->caller.via = "rest";
  exchange->caller.source = request.client;
  std::string_view token = BearerOf(request);
  const bool by_cookie = token.empty() && services_.options.tls;
  if (by_cookie) token = CookieOf(request, kSessionCookie);
  const auto now = RateLimit::Clock::now();
  if (!token.empty()) {
    auto caller = services_.users.CallerOf(token, "rest", request.client);
    if (caller.ok()) {
      exchange->caller = std::move(*caller);
      exchange->signed_in = true;
    }
  }
  if (!exchange->signed_in) {
    if (!of_addresses_.Admit(request.client, now)) {
      return Problem(429, "too-many-requests", "too many requests from your address");
    }
    if (route.access == Access::kOpen) return std::nullopt;
    return Problem(401, "unauthenticated",
                   token.empty() ? "sign in (POST /v1/session), or show a token"
                                 : "this token is not good: sign in again");
  }
  if (!of_users_.Admit(std::to_string(exchange->caller.uid), now)) {
    return Problem(429, "too-many-requests", "too many requests of yours");
  }
  if (by_cookie && !ChangesNothing(request.method) && !IsOfOurPages(request)) {
    if (route.access == Access::kOpen) {
      exchange->signed_in = false;
      exchange->caller = {0, "rest", request.client, nullptr};
      return std::nullopt;
    }
    return Problem(
        403, "other-origin",
        std::string("changes by a cookie need the header ") + kCsrfHeader + " and our own origin");
  }
  return std::nullopt;
}

Status RestApi::ReadQuery(const Route& route, Exchange* exchange) const {
  const http::Fields& fields = exchange->request.query;
  if (fields.empty()) return Ok();
  Json members = Json::object();
  for (const QueryParameter& parameter : route.query) members[parameter.name] = parameter.schema;
  RETURN_IF_ERROR(ReadFields(fields, members, /*open=*/false, &exchange->query));
  const auto& check = checks_.at(&route).query;
  return check == nullptr ? Ok() : (*check)(exchange->query);
}

Status RestApi::ReadBody(const Route& route, std::string text, Exchange* exchange) const {
  if (route.body == BodyKind::kDefinition) {
    exchange->text = std::move(text);
    return Ok();
  }
  exchange->body = Json::object();
  if (route.body == BodyKind::kForm) {
    ASSIGN_OR_RETURN(const http::Fields fields, http::ParseQuery(text), "the form");
    const Json& form = services_.table.schemas().at(route.request);
    RETURN_IF_ERROR(ReadFields(fields, form.at("properties"), form.at("additionalProperties"),
                               &exchange->body));
  } else if (!text.empty()) {
    ASSIGN_OR_RETURN(exchange->body, ParseJsonText(text, route.body_bytes_max, kJsonDepthMax));
  }
  return (*checks_.at(&route).body)(exchange->body);
}

http::Response RestApi::Respond(const Route& route, Exchange& exchange) const {
  try {
    if (route.only_leader) {
      if (const auto clusters = services_.clusters(); !clusters.ok()) {
        return Problem(clusters.error());
      }
    }
    Result<Reply> reply = route.handle(exchange);
    if (!reply.ok()) return Problem(reply.error(), route.exhausted_status);
    return ToResponse(std::move(*reply));
  } catch (const std::exception& e) {
    return Problem(Error(Code::kInternal, route.id + ": exception: " + e.what()));
  }
}

http::Answer RestApi::Handle(const http::Request& request) {
  const RequestScope scope;
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  RouteTable::Found found = services_.table.Find(method, request.path);
  if (found.route == nullptr) {
    if (!of_addresses_.Admit(request.client, RateLimit::Clock::now())) {
      return Finish(Problem(429, "too-many-requests", "too many requests from your address"));
    }
    if (found.allowed.empty()) {
      return Finish(Problem(404, "not-found", "there is no such address (see /v1/openapi.json)"));
    }
    http::Response response =
        Problem(405, "method-not-allowed", "this address takes " + found.allowed);
    response.headers.push_back({"Allow", found.allowed});
    return Finish(std::move(response));
  }
  const Route& route = *found.route;
  auto exchange = std::make_shared<Exchange>(Exchange{request, services_, {}});
  exchange->path = std::move(found.path);
  if (auto refusal = Recognize(route, exchange.get())) return Finish(std::move(*refusal));
  if (Status read = ReadQuery(route, exchange.get()); !read.ok()) {
    return Finish(Problem(read.error()));
  }
  if (route.body == BodyKind::kNone) return Finish(Respond(route, *exchange));
  const bool comes = request.content_length.value_or(0) > 0 ||
                     !http::Find(request.headers, "Transfer-Encoding").empty();
  if (comes && !IsFor(route.body, TypeOf(request))) {
    return Finish(Problem(415, "unsupported-media-type",
                          route.body == BodyKind::kForm ? "send application/x-www-form-urlencoded"
                          : route.body == BodyKind::kJson
                              ? "send application/json"
                              : "send application/json or application/yaml"));
  }
  if (request.content_length.value_or(0) > route.body_bytes_max) return Finish(TooLong(route));
  return std::make_unique<http::DocumentSink>(
      route.body_bytes_max, Finish(TooLong(route)),
      [this, &route, exchange](const std::string& text) -> http::Response {
        const RequestScope request_scope;
        if (Status read = ReadBody(route, text, exchange.get()); !read.ok()) {
          return Finish(Problem(read.error(), /*exhausted_status=*/400));
        }
        return Finish(Respond(route, *exchange));
      });
}

}  // namespace strata::vcluster::rest
