#include "imaged/registry/authenticator.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "imaged/registry/reply.h"

namespace strata::imaged {
namespace {

using Json = nlohmann::json;

constexpr size_t kScopesMax = 16;
constexpr char kService[] = "strata";

// "Bearer x" -> "x" for the scheme "bearer".
std::string_view CredentialsOf(const http::Request& request, std::string_view scheme) {
  std::string_view text = http::Find(request.headers, "Authorization");
  const bool same = text.size() > scheme.size() && text[scheme.size()] == ' ' &&
                    std::equal(scheme.begin(), scheme.end(), text.begin(), [](char a, char b) {
                      return a == std::tolower(static_cast<unsigned char>(b));
                    });
  if (!same) return {};
  text.remove_prefix(scheme.size());
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

bool IsHost(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view(".-:[]_").find(c) != std::string_view::npos;
  });
}

// What of the scopes that are asked for this caller can get at all. Whether the images are his to
// use is looked at when he uses them.
Result<std::vector<Scope>> Grant(const http::Request& request, const Bearer& bearer) {
  const bool may_change = bearer.uid != kAnonymousUid && !bearer.read_only;
  std::vector<Scope> scopes;
  for (const http::Field& field : request.query) {
    if (field.name != "scope") continue;
    std::istringstream words(field.value);
    for (std::string word; words >> word;) {
      if (scopes.size() == kScopesMax) {
        return Error(Code::kInvalidArgument, "too many scopes at once");
      }
      ASSIGN_OR_RETURN(Scope scope, ParseScope(word));
      std::set<std::string> granted;
      const bool all = scope.actions.contains("*");
      if (scope.type == "registry" && scope.name == "catalog" && all) granted = {"*"};
      if (scope.type == "repository") {
        if (all || scope.actions.contains("pull")) granted.insert("pull");
        for (const char* change : {"push", "delete"}) {
          if (may_change && (all || scope.actions.contains(change))) granted.insert(change);
        }
      }
      scope.actions = std::move(granted);
      if (!scope.actions.empty()) scopes.push_back(std::move(scope));
    }
  }
  return scopes;
}

}  // namespace

http::Response Authenticator::GiveToken(const http::Request& request) {
  if (request.method != "GET") return MethodReply("GET");
  Bearer bearer;
  if (!http::Find(request.headers, "Authorization").empty()) {
    const auto plain = http::ParseBase64(CredentialsOf(request, "basic"));
    const size_t colon = plain ? plain->find(':') : std::string::npos;
    if (colon == std::string::npos) {
      return ErrorReply(401, "UNAUTHORIZED", "log in with a user's name and a token of his");
    }
    const auto token =
        book_->LogIn(plain->substr(0, colon), plain->substr(colon + 1), request.client, now_());
    if (!token.ok()) {
      const bool slowed = token.error().code() == Code::kResourceExhausted;
      return slowed ? ErrorReply(429, "TOOMANYREQUESTS", token.error().message())
                    : ErrorReply(401, "UNAUTHORIZED", token.error().message());
    }
    bearer.uid = token->uid();
    bearer.token_id = token->id();
    bearer.read_only = token->read_only();
  }
  Result<std::vector<Scope>> scopes = Grant(request, bearer);
  if (!scopes.ok()) return ErrorReply(400, "UNSUPPORTED", scopes.error().message());
  bearer.scopes = std::move(*scopes);
  const std::string token = signer_.Sign(std::move(bearer), now_());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kBearerLife).count();
  const Json answer = {{"token", token}, {"access_token", token}, {"expires_in", seconds}};
  http::Response response = JsonReply(200, answer.dump());
  response.headers.push_back({"Cache-Control", "no-store"});
  return response;
}

http::Response Authenticator::Challenge(const http::Request& request, const Need& need) const {
  http::Response response =
      ErrorReply(401, "UNAUTHORIZED", "get a token at the address in WWW-Authenticate");
  const std::string_view host = http::Find(request.headers, "Host");
  std::string challenge = "Bearer realm=\"" + scheme_ + "://" +
                          std::string(IsHost(host) ? host : "localhost") +
                          "/v2/token\",service=\"" + kService + "\"";
  if (!need.type.empty()) {
    // A pusher looks first whether things are there.
    const std::string actions = need.action == "push" ? "pull,push" : need.action;
    challenge += ",scope=\"" + need.type + ":" + need.name + ":" + actions + "\"";
  }
  response.headers.push_back({"WWW-Authenticate", challenge});
  // Old clients of docker know by it that they speak to a registry.
  response.headers.push_back({"Docker-Distribution-Api-Version", "registry/2.0"});
  return response;
}

Authenticator::Verdict Authenticator::Judge(const http::Request& request, const Need& need) {
  Result<Bearer> bearer = signer_.Verify(CredentialsOf(request, "bearer"), now_());
  if (!bearer.ok()) return {{}, Challenge(request, need)};
  if (!bearer->token_id.empty() && !book_->IsGood(bearer->token_id, now_())) {
    return {{}, Challenge(request, need)};
  }
  if (need.type.empty() || bearer->Allows(need.type, need.name, need.action)) {
    return {std::move(*bearer), std::nullopt};
  }
  if (bearer->read_only && need.action != "pull") {
    return {{}, ErrorReply(403, "DENIED", "this token may only read")};
  }
  return {{}, Challenge(request, need)};
}

}  // namespace strata::imaged
