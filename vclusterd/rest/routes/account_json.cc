#include "vclusterd/rest/routes/account_json.h"

#include "vclusterd/api/account_words.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

std::string KindOf(users::v1::TokenKind kind) {
  if (kind == users::v1::SESSION) return "session";
  return kind == users::v1::NODE ? "node" : "api";
}

}  // namespace

Json ToJson(const users::v1::Account& account, bool in_full) {
  Json json = {{"uid", account.uid()},
               {"name", account.name()},
               {"real_name", account.real_name()},
               {"role", WordOf(account.role())},
               {"status", WordOf(account.status())}};
  if (!in_full) return json;
  json["mail"] = account.mail();
  json["note"] = account.note();
  json["revision"] = account.revision();
  json["of_host"] = account.of_host();
  json["has_password"] = account.has_password();
  json["pam"] = account.pam();
  json["created_unix_ms"] = account.created_unix_ms();
  Json& issuers = json["open_ids"] = Json::array();
  for (const users::v1::OpenIdSubject& subject : account.open_ids()) {
    issuers.push_back({{"issuer", subject.issuer()}, {"subject", subject.subject()}});
  }
  return json;
}

Json AccountSchema() {
  return Members("An account.")
      .Must("uid", Whole("His number, everywhere."))
      .Must("name", Text("His name."))
      .Must("real_name", Text("As people call him."))
      .Must("role", Word("What he may do.", {"user", "teacher", "admin"}))
      .Must("status",
            Word("Whether he may do anything.", {"waiting", "active", "locked", "deleted"}))
      .May("mail", Text("His address."))
      .May("note", Text("Why he asked for it, or why it is locked."))
      .May("revision", Whole("Moved on by every change."))
      .May("of_host", Flag("The host has a user of this name and number."))
      .May("has_password", Flag("He signs in with a password that is kept here."))
      .May("pam", Flag("He signs in with his password on the host."))
      .May("created_unix_ms", Whole("When it was made."))
      .May("open_ids", ListOf(Members("Somebody at an issuer.")
                                  .Must("issuer", Text("Its address.", 2000))
                                  .Must("subject", Text("Who, there.", 2000)),
                              "He signs in as these, too."));
}

Json ToJson(const Token& token) {
  Json json = {{"id", token.id},
               {"kind", KindOf(token.record.kind())},
               {"name", token.record.name()},
               {"uid", token.record.uid()},
               {"created_unix_ms", token.record.created_unix_ms()},
               {"expires_unix_ms", token.record.expires_unix_ms()},
               {"used_unix_ms", token.used_unix_ms.load()}};
  if (!token.record.everything()) {
    Json& operations = json["operations"] = Json::array();
    for (const Operation operation : token.scope.operations.List()) {
      operations.push_back(vcluster::NameOf(operation));
    }
  }
  if (!token.scope.vcluster.empty()) json["vcluster"] = token.scope.vcluster;
  return json;
}

namespace {

Members TokenMembers(const std::string& description) {
  return Members(description)
      .Must("id", Text("Names it."))
      .Must("kind", Word("Of a sign-in, a program or a node.", {"session", "api", "node"}))
      .Must("name", Text("What its user calls it."))
      .Must("uid", Whole("Whose it is."))
      .Must("created_unix_ms", Whole("When it was made."))
      .Must("expires_unix_ms", Whole("When it ends."))
      .Must("used_unix_ms", Whole("About when it was used last; 0: not yet."))
      .May("operations", ListOf(Text("vcluster.list"), "It is for these alone."))
      .May("vcluster", Text("It is for this one alone."));
}

}  // namespace

Json TokenSchema() { return TokenMembers("A token."); }

Json ToJson(const MadeToken& made) {
  Json json = ToJson(*made.token);
  json["token"] = made.text;
  return json;
}

Json MadeTokenSchema() {
  return TokenMembers("A new token.").Must("token", Text("Its text, which is seen this once."));
}

}  // namespace strata::vcluster::rest
