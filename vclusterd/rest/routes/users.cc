// Accounts.
#include "vclusterd/api/account_words.h"
#include "vclusterd/rest/routes/account_json.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

bool SeesInFull(const Exchange& exchange, uint32_t uid) {
  return exchange.services.users.Allows(exchange.caller, Operation::kUserEdit,
                                        UserTarget(exchange, uid));
}

Reply AnswerAccount(const Exchange& exchange, const users::v1::Account& account, int status = 200) {
  return Answer(ToJson(account, SeesInFull(exchange, account.uid())), status);
}

Result<Reply> List(Exchange& exchange) {
  Json list = Json::array();
  for (const AccountPtr& account : exchange.services.users.accounts().All()) {
    const bool sees = exchange.services.users.Allows(exchange.caller, Operation::kUserList,
                                                     UserTarget(exchange, account->uid()));
    if (sees) list.push_back(ToJson(*account, SeesInFull(exchange, account->uid())));
  }
  return Answer({{"users", std::move(list)}});
}

Result<AccountPtr> AccountOf(const Exchange& exchange, uint32_t uid) {
  AccountPtr account = exchange.services.users.accounts().Find(uid);
  if (account == nullptr) {
    return Error(Code::kNotFound,
                 "user " + exchange.services.users.NameOf(uid) + " has no account in Strata");
  }
  return account;
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kUserList));
  RETURN_IF_ERROR(exchange.services.users.Authorize(exchange.caller, Operation::kUserList,
                                                    UserTarget(exchange, uid)));
  ASSIGN_OR_RETURN(const AccountPtr account, AccountOf(exchange, uid));
  return AnswerAccount(exchange, *account);
}

Result<Reply> Create(Exchange& exchange) {
  NewAccount wanted;
  wanted.name = exchange.Given<std::string>("name", "");
  wanted.real_name = exchange.Given<std::string>("real_name", "");
  wanted.mail = exchange.Given<std::string>("mail", "");
  wanted.note = exchange.Given<std::string>("note", "");
  wanted.password = exchange.Given<std::string>("password");
  wanted.pam = exchange.Given("pam", false);
  wanted.role =
      users::v1::RoleOfWord(exchange.Given<std::string>("role", "user")).value_or(users::v1::USER);
  ASSIGN_OR_RETURN(const AccountPtr account,
                   exchange.services.users.CreateAccount(exchange.caller, wanted,
                                                         exchange.Given("of_host", false)));
  Reply reply = AnswerAccount(exchange, *account, 201);
  reply.headers.push_back({"Location", "/v1/users/" + account->name()});
  return reply;
}

std::optional<users::v1::OpenIdSubject> SubjectIn(const Exchange& exchange, const char* name) {
  const auto found = exchange.body.find(name);
  if (found == exchange.body.end()) return std::nullopt;
  users::v1::OpenIdSubject subject;
  subject.set_issuer(found->at("issuer").get<std::string>());
  subject.set_subject(found->at("subject").get<std::string>());
  return subject;
}

Result<Reply> Edit(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kUserEdit));
  AccountEdit edit;
  edit.revision = exchange.Given<uint64_t>("revision");
  edit.real_name = exchange.Given<std::string>("real_name");
  edit.mail = exchange.Given<std::string>("mail");
  edit.note = exchange.Given<std::string>("note");
  edit.pam = exchange.Given<bool>("pam");
  if (const auto role = exchange.Given<std::string>("role"))
    edit.role = users::v1::RoleOfWord(*role);
  if (const auto status = exchange.Given<std::string>("status")) {
    edit.status = *status == "active" ? users::v1::ACTIVE : users::v1::LOCKED;
  }
  edit.link = SubjectIn(exchange, "link");
  edit.unlink = SubjectIn(exchange, "unlink");
  ASSIGN_OR_RETURN(const AccountPtr account,
                   exchange.services.users.EditAccount(exchange.caller, uid, edit));
  return AnswerAccount(exchange, *account);
}

Result<Reply> Delete(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kUserDelete));
  RETURN_IF_ERROR(exchange.services.users.DeleteAccount(exchange.caller, uid,
                                                        exchange.Asked<uint64_t>("revision")));
  return NoContent();
}

Result<Reply> SetPassword(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kUserPassword));
  RETURN_IF_ERROR(exchange.services.users.SetPassword(exchange.caller, uid,
                                                      exchange.Given<std::string>("old", ""),
                                                      exchange.Given<std::string>("new", "")));
  return NoContent();
}

Result<Reply> Unlock(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kUserUnlock));
  RETURN_IF_ERROR(exchange.services.users.UnlockSignIn(exchange.caller, uid));
  return NoContent();
}

void AddSchemas(RouteTable* table) {
  const Json role = Word("What he may do.", {"user", "teacher", "admin"});
  const Json subject = Members("Somebody at an issuer of OpenID Connect.")
                           .Must("issuer", Text("Its address.", 2000))
                           .Must("subject", Text("Who, there.", 2000));
  table->AddSchema("Account", AccountSchema());
  table->AddSchema("AccountList",
                   Members("Accounts.").Must("users", ListOf(Ref("Account"), "By number.")));
  table->AddSchema("NewAccount",
                   Members("An account to make.")
                       .Must("name", Text("Not to be changed later.", 64))
                       .May("real_name", Text("As people call him."))
                       .May("mail", Text("His address."))
                       .May("note", Text("For admins."))
                       .May("password", Text("At least 10 bytes.", 1024))
                       .May("pam", Flag("He signs in with his password on the host (false)."))
                       .May("of_host", Flag("For a user of the host, who keeps his number."))
                       .May("role", role));
  table->AddSchema("AccountEdit",
                   Members("What is absent stays.")
                       .May("revision", RevisionSchema())
                       .May("real_name", Text("As people call him."))
                       .May("mail", Text("His address."))
                       .May("note", Text("For admins."))
                       .May("role", role)
                       .May("status", Word("Locked, he may do nothing.", {"active", "locked"}))
                       .May("pam", Flag("He signs in with his password on the host."))
                       .May("link", subject)
                       .May("unlink", subject));
  table->AddSchema("NewPassword",
                   Members("A password.")
                       .May("old", Text("The one before: whoever sets his own needs it.", 1024))
                       .Must("new", Text("At least 10 bytes.", 1024)));
}

}  // namespace

void AddUserRoutes(RouteTable* table) {
  AddSchemas(table);
  const std::string resource = "/v1/users";
  const RouteRow rows[] = {
      {"GET", "", "listUsers", Operation::kUserList, "Those whom one may see", "", 200,
       "AccountList", List},
      {"POST", "", "createUser", Operation::kUserCreate, "Makes an account", "NewAccount", 201,
       "Account", Create},
      {"GET", "/{user}", "getUser", Operation::kUserList, "By name or number", "", 200, "Account",
       Get},
      {"PATCH", "/{user}", "editUser", Operation::kUserEdit,
       "Changes him; role, status and links need rights of their own", "AccountEdit", 200,
       "Account", Edit},
      {"DELETE",
       "/{user}",
       "deleteUser",
       Operation::kUserDelete,
       "Deletes him; his number is never another's",
       "",
       204,
       "",
       Delete,
       {{"revision", RevisionSchema()}}},
      {"POST", "/{user}/unlock", "unlockSignIn", Operation::kUserUnlock,
       "He is listened to again, however many have guessed", "", 204, "", Unlock},
  };
  AddRows(rows, resource, "users", table);
  Route password =
      RouteOf({"PUT", "/{user}/password", "setPassword", Operation::kUserPassword,
               "Sets his password; his sessions end", "NewPassword", 204, "", SetPassword},
              resource, "users");
  password.exhausted_status = 429;
  table->Add(std::move(password));
}

}  // namespace strata::vcluster::rest
