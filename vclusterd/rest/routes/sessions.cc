// Signing in and out, and asking for an account.
#include "vclusterd/api/account_words.h"
#include "vclusterd/rest/rest_api.h"
#include "vclusterd/rest/routes/account_json.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"
#include "vclusterd/rest/routes/session_cookie.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

Json SessionJson(const Exchange& exchange, uint32_t uid) {
  const Users& users = exchange.services.users;
  const AccountPtr account = users.accounts().Find(uid);
  Json json = {{"uid", uid},
               {"name", users.NameOf(uid)},
               {"role", WordOf(users.accounts().RoleOf(uid).value_or(users::v1::USER))}};
  if (account != nullptr) json["real_name"] = account->real_name();
  return json;
}

Result<Reply> SignIn(Exchange& exchange) {
  const bool as_cookie = exchange.Given("cookie", false);
  if (as_cookie && !exchange.services.options.tls) {
    return Error(Code::kUnsupported, "cookies are given out over HTTPS alone");
  }
  ASSIGN_OR_RETURN(const MadeToken made,
                   exchange.services.users.SignInWithPassword(
                       exchange.Given<std::string>("name", ""),
                       exchange.Given<std::string>("password", ""), exchange.caller.source));
  Json json = SessionJson(exchange, made.token->record.uid());
  json["expires_unix_ms"] = made.token->record.expires_unix_ms();
  if (!as_cookie) json["token"] = made.text;
  Reply reply = Answer(std::move(json), 201);
  if (as_cookie) reply.headers.push_back(SessionCookie(made.text));
  return reply;
}

Result<Reply> Show(Exchange& exchange) {
  Json json = SessionJson(exchange, exchange.caller.uid);
  json["expires_unix_ms"] = exchange.caller.token->record.expires_unix_ms();
  return Answer(std::move(json));
}

// Who shows a token may end it, whatever else it is for.
Result<Reply> SignOut(Exchange& exchange) {
  Caller caller = exchange.caller;
  caller.token = nullptr;
  RETURN_IF_ERROR(exchange.services.users.RevokeToken(caller, exchange.caller.token->id));
  Reply reply = NoContent();
  if (exchange.services.options.tls) reply.headers.push_back(NoSessionCookie());
  return reply;
}

Result<Reply> Register(Exchange& exchange) {
  if (!exchange.services.options.registration) {
    return Error(Code::kPermissionDenied, "accounts are made by admins here");
  }
  NewAccount wanted;
  wanted.name = exchange.Given<std::string>("name", "");
  wanted.password = exchange.Given<std::string>("password", "");
  wanted.real_name = exchange.Given<std::string>("real_name", "");
  wanted.mail = exchange.Given<std::string>("mail", "");
  wanted.note = exchange.Given<std::string>("note", "");
  ASSIGN_OR_RETURN(const AccountPtr account,
                   exchange.services.users.Register(wanted, exchange.caller.source));
  return Answer(ToJson(*account, /*in_full=*/false), 201);
}

}  // namespace

http::Field SessionCookie(const std::string& token) {
  return {"Set-Cookie", std::string(kSessionCookie) + "=" + token +
                            "; Path=/; Secure; HttpOnly; SameSite=Strict"};
}

http::Field NoSessionCookie() {
  return {"Set-Cookie",
          std::string(kSessionCookie) + "=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"};
}

void AddSessionRoutes(RouteTable* table) {
  const auto session = [](const std::string& description) {
    return Members(description)
        .Must("uid", Whole("His number."))
        .Must("name", Text("His name."))
        .Must("role", Word("What he may do.", {"user", "teacher", "admin"}))
        .May("real_name", Text("As people call him."))
        .Must("expires_unix_ms", Whole("When the token ends."));
  };
  table->AddSchema("Session", session("Who calls."));
  table->AddSchema("NewSession", session("Who has signed in.")
                                     .May("token", Text("Shown as Authorization: Bearer TOKEN; "
                                                        "seen this once. Not with a cookie.")));
  table->AddSchema("SignIn",
                   Members("Who signs in.")
                       .Must("name", Text("His name.", 64))
                       .Must("password", Text("His password.", 1024))
                       .May("cookie", Flag("For browsers: the token goes into a cookie that pages "
                                           "cannot read (false).")));
  table->AddSchema("Registration", Members("Who asks for an account.")
                                       .Must("name", Text("That he wants.", 64))
                                       .Must("password", Text("At least 10 bytes.", 1024))
                                       .May("real_name", Text("As people call him."))
                                       .May("mail", Text("His address."))
                                       .May("note", Text("Why he asks.")));
  Route sign_in{"POST", "/v1/session", "signIn", "session", "Signs in with a password"};
  sign_in.access = Access::kOpen;
  sign_in.body = BodyKind::kJson;
  sign_in.request = "SignIn";
  sign_in.answers = {{201, "NewSession"}};
  sign_in.exhausted_status = 429;
  sign_in.handle = SignIn;
  table->Add(std::move(sign_in));
  Route show{"GET", "/v1/session", "showSession", "session", "Who one is"};
  show.answers = {{200, "Session"}};
  show.handle = Show;
  table->Add(std::move(show));
  Route sign_out{"DELETE", "/v1/session", "signOut", "session", "Signs out: the token ends"};
  sign_out.answers = {{204, ""}};
  sign_out.handle = SignOut;
  table->Add(std::move(sign_out));
  Route enrol{"POST", "/v1/registrations", "register", "session",
              "Asks for an account (--rest-registration)"};
  enrol.access = Access::kOpen;
  enrol.body = BodyKind::kJson;
  enrol.request = "Registration";
  enrol.answers = {{201, "Account"}};
  enrol.exhausted_status = 429;
  enrol.handle = Register;
  table->Add(std::move(enrol));
}

}  // namespace strata::vcluster::rest
