// Accounts.
#include "vclusterd/api/account_words.h"
#include "vclusterd/rest/routes/account_json.h"
#include "vclusterd/rest/routes/handler_parts.h"
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
  ASSIGN_OR_RETURN(const uint32_t uid,
                   UserIn(exchange, exchange.path.at("user"), Operation::kUserList));
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
  wanted.role = users::v1::RoleOfWord(exchange.Given<std::string>("role", "user")).value_or(users::v1::USER);
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
  ASSIGN_OR_RETURN(const uint32_t uid,
                   UserIn(exchange, exchange.path.at("user"), Operation::kUserEdit));
  AccountEdit edit;
  edit.revision = exchange.Given<uint64_t>("revision");
  edit.real_name = exchange.Given<std::string>("real_name");
  edit.mail = exchange.Given<std::string>("mail");
  edit.note = exchange.Given<std::string>("note");
  edit.pam = exchange.Given<bool>("pam");
  if (const auto role = exchange.Given<std::string>("role")) edit.role = users::v1::RoleOfWord(*role);
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
  ASSIGN_OR_RETURN(const uint32_t uid,
                   UserIn(exchange, exchange.path.at("user"), Operation::kUserDelete));
  std::optional<uint64_t> revision;
  if (exchange.query.contains("revision")) revision = exchange.Asked<uint64_t>("revision", 0);
  RETURN_IF_ERROR(exchange.services.users.DeleteAccount(exchange.caller, uid, revision));
  return NoContent();
}

Result<Reply> SetPassword(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid,
                   UserIn(exchange, exchange.path.at("user"), Operation::kUserPassword));
  RETURN_IF_ERROR(exchange.services.users.SetPassword(exchange.caller, uid,
                                                      exchange.Given<std::string>("old", ""),
                                                      exchange.Given<std::string>("new", "")));
  return NoContent();
}

Result<Reply> Unlock(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid,
                   UserIn(exchange, exchange.path.at("user"), Operation::kUserUnlock));
  RETURN_IF_ERROR(exchange.services.users.UnlockSignIn(exchange.caller, uid));
  return NoContent();
}

Route RouteOf(const std::string& method, const std::string& path, const std::string& id,
              Operation right, const std::string& summary) {
  Route route;
  route.method = method;
  route.path = "/v1/users" + path;
  route.id = id;
  route.tag = "users";
  route.operation = right;
  route.summary = summary;
  return route;
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
  Route list = RouteOf("GET", "", "listUsers", Operation::kUserList, "Those whom one may see");
  list.answers = {{200, "AccountList"}};
  list.handle = List;
  table->Add(std::move(list));
  Route create = RouteOf("POST", "", "createUser", Operation::kUserCreate, "Makes an account");
  create.body = BodyKind::kJson;
  create.request = "NewAccount";
  create.answers = {{201, "Account"}};
  create.handle = Create;
  table->Add(std::move(create));
  Route get = RouteOf("GET", "/{user}", "getUser", Operation::kUserList, "By name or number");
  get.answers = {{200, "Account"}};
  get.handle = Get;
  table->Add(std::move(get));
  Route edit = RouteOf("PATCH", "/{user}", "editUser", Operation::kUserEdit,
                       "Changes him; role, status and links need rights of their own");
  edit.body = BodyKind::kJson;
  edit.request = "AccountEdit";
  edit.answers = {{200, "Account"}};
  edit.handle = Edit;
  table->Add(std::move(edit));
  Route remove = RouteOf("DELETE", "/{user}", "deleteUser", Operation::kUserDelete,
                         "Deletes him; his number is never another's");
  remove.query = {{"revision", RevisionSchema()}};
  remove.answers = {{204, ""}};
  remove.handle = Delete;
  table->Add(std::move(remove));
  Route password = RouteOf("PUT", "/{user}/password", "setPassword", Operation::kUserPassword,
                           "Sets his password; his sessions end");
  password.body = BodyKind::kJson;
  password.request = "NewPassword";
  password.answers = {{204, ""}};
  password.exhausted_status = 429;
  password.handle = SetPassword;
  table->Add(std::move(password));
  Route unlock = RouteOf("POST", "/{user}/unlock", "unlockSignIn", Operation::kUserUnlock,
                         "He is listened to again, however many have guessed");
  unlock.answers = {{204, ""}};
  unlock.handle = Unlock;
  table->Add(std::move(unlock));
}

}  // namespace strata::vcluster::rest
