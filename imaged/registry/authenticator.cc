#include "imaged/registry/authenticator.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/http/document_sink.h"
#include "imaged/registry/reply.h"

namespace strata::imaged {
namespace {

using Json = nlohmann::json;

constexpr size_t kScopesMax = 16;
constexpr size_t kFormBytesMax = 16 * 1024;
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
Result<std::vector<Scope>> Grant(const http::Fields& parameters, const Bearer& bearer) {
  const bool may_change = bearer.uid != kAnonymousUid && !bearer.read_only;
  std::vector<Scope> scopes;
  for (const http::Field& field : parameters) {
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

struct Login {
  std::string user;
  std::string secret;
};

// "USER:SECRET" in base64.
std::optional<Login> ParseLogin(std::string_view text) {
  const auto plain = http::ParseBase64(text);
  const size_t colon = plain ? plain->find(':') : std::string::npos;
  if (colon == std::string::npos) return std::nullopt;
  return Login{plain->substr(0, colon), plain->substr(colon + 1)};
}

http::Response NoLogin() {
  return ErrorReply(401, "UNAUTHORIZED", "log in with a user's name and a token of his");
}

}  // namespace

http::Answer Authenticator::GiveToken(const http::Request& request) {
  if (request.method == "POST") {
    return std::make_unique<http::DocumentSink>(
        kFormBytesMax, ErrorReply(413, "UNSUPPORTED", "the form is too long"),
        [this, &request](const std::string& form) { return AnswerForm(request, form); });
  }
  if (request.method != "GET") return MethodReply("GET, POST");
  if (http::Find(request.headers, "Authorization").empty()) {
    return GiveBearer({}, request.query, "");
  }
  const auto login = ParseLogin(CredentialsOf(request, "basic"));
  if (!login) return NoLogin();
  return LogIn(login->user, login->secret, request.client, request.query, "");
}

http::Response Authenticator::AnswerForm(const http::Request& request, const std::string& text) {
  // Errors say nothing of what was sent: it is a password.
  const std::string_view type = http::Find(request.headers, "Content-Type");
  if (!type.starts_with("application/x-www-form-urlencoded")) {
    return ErrorReply(415, "UNSUPPORTED", "the body is to be application/x-www-form-urlencoded");
  }
  const Result<http::Fields> form = http::ParseQuery(text);
  if (!form.ok()) return ErrorReply(400, "UNSUPPORTED", "the body is no form");
  const std::string_view grant = http::Find(*form, "grant_type");
  if (grant == "password") {
    const std::string user(http::Find(*form, "username"));
    const std::string secret(http::Find(*form, "password"));
    const bool offline = http::Find(*form, "access_type") == "offline";
    return LogIn(user, secret, request.client, *form,
                 offline ? http::Base64(user + ":" + secret) : "");
  }
  if (grant == "refresh_token") {
    const std::string refresh(http::Find(*form, "refresh_token"));
    const auto login = ParseLogin(refresh);
    return login ? LogIn(login->user, login->secret, request.client, *form, refresh) : NoLogin();
  }
  return ErrorReply(400, "UNSUPPORTED", "grant_type is password or refresh_token");
}

http::Response Authenticator::LogIn(const std::string& user, std::string_view secret,
                                    const std::string& client, const http::Fields& parameters,
                                    const std::string& refresh) {
  const auto token = book_->LogIn(user, secret, client, now_());
  if (!token.ok()) {
    const bool slowed = token.error().code() == Code::kResourceExhausted;
    return slowed ? ErrorReply(429, "TOOMANYREQUESTS", token.error().message())
                  : ErrorReply(401, "UNAUTHORIZED", token.error().message());
  }
  Bearer bearer;
  bearer.uid = token->uid();
  bearer.token_id = token->id();
  bearer.read_only = token->read_only();
  return GiveBearer(std::move(bearer), parameters, refresh);
}

http::Response Authenticator::GiveBearer(Bearer bearer, const http::Fields& parameters,
                                         const std::string& refresh) {
  Result<std::vector<Scope>> scopes = Grant(parameters, bearer);
  if (!scopes.ok()) return ErrorReply(400, "UNSUPPORTED", scopes.error().message());
  bearer.scopes = std::move(*scopes);
  const std::string token = signer_.Sign(std::move(bearer), now_());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kBearerLife).count();
  Json answer = {{"token", token}, {"access_token", token}, {"expires_in", seconds}};
  if (!refresh.empty()) answer["refresh_token"] = refresh;
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
