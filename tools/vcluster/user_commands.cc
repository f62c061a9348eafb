// Accounts: user list, show, add, edit, lock, unlock, approve, role, passwd, delete.
#include <unistd.h>

#include <optional>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/password.h"
#include "tools/cli/table.h"
#include "tools/vcluster/account_commands.h"
#include "tools/vcluster/account_words.h"

namespace strata::tools {
namespace {

namespace api = accounts::v1;
using Stub = api::UserService::Stub;

struct AddArguments {
  api::AddUserRequest request;
  std::string role = "user";
  bool password = false;
  bool password_stdin = false;
};

// Absent options stay.
struct EditArguments {
  std::string user;
  std::optional<std::string> real_name;
  std::optional<std::string> mail;
  std::optional<std::string> note;
  bool pam = false;
  bool no_pam = false;
  std::vector<std::string> link;
  std::vector<std::string> unlink;
};

void PrintTable(const api::UserList& list, std::ostream& out) {
  Table table({"USER", ">UID", "NAME", "ROLE", "STATUS", "SIGNS IN BY", "MAIL"});
  for (const users::v1::Account& account : list.users()) {
    table.Add({account.name(), std::to_string(account.uid()), account.real_name(),
               WordOf(account.role()), WordOf(account.status()), SignsInBy(account),
               account.mail()});
  }
  table.Print(out);
}

void PrintInFull(const api::UserList& list, std::ostream& out) {
  for (const users::v1::Account& account : list.users()) {
    out << "user      " << Printable(account.name()) << " (" << account.uid()
        << (account.of_host() ? ", of the host)\n" : ")\n");
    out << "name      " << Printable(account.real_name()) << '\n';
    out << "mail      " << Printable(account.mail()) << '\n';
    out << "role      " << WordOf(account.role()) << '\n';
    out << "status    " << WordOf(account.status()) << '\n';
    if (!account.note().empty()) out << "note      " << Printable(account.note()) << '\n';
    out << "signs in  " << SignsInBy(account) << '\n';
    for (const users::v1::OpenIdSubject& subject : account.open_ids()) {
      out << "issuer    " << Printable(subject.issuer()) << ", subject "
          << Printable(subject.subject()) << '\n';
    }
    if (account.created_unix_ms() != 0) {
      out << "made      " << LocalTime(account.created_unix_ms()) << '\n';
    }
  }
}

// Prints what has become of the account.
Result<int> ShowChanged(Tool& tool, const api::UserList& list) {
  return Show(tool, list,
              [&](const api::UserList& users) { PrintTable(users, tool.console().out); });
}

Result<int> List(Tool& tool) {
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListUsers, api::ListUsersRequest()));
  return ShowChanged(tool, list);
}

Result<int> ShowUser(Tool& tool, std::string user) {
  api::ListUsersRequest request;
  if (user.empty()) user = std::to_string(::geteuid());
  request.set_user(user);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListUsers, request));
  return Show(tool, list,
              [&](const api::UserList& users) { PrintInFull(users, tool.console().out); });
}

Result<int> Add(Tool& tool, AddArguments& arguments) {
  api::AddUserRequest& request = arguments.request;
  ASSIGN_OR_RETURN(const users::v1::Role role, ParseRole(arguments.role));
  request.set_role(role);
  if (arguments.password_stdin) {
    ASSIGN_OR_RETURN(const auto lines, ReadPasswords(tool.console(), {"the password"}));
    request.set_password(lines[0]);
  } else if (arguments.password) {
    ASSIGN_OR_RETURN(*request.mutable_password(), TypeNewPassword(tool.console()));
  }
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::AddUser, request));
  return ShowChanged(tool, list);
}

Status SetSubject(const std::vector<std::string>& words, users::v1::OpenIdSubject* subject) {
  if (words.size() != 2) {
    return Error(Code::kInvalidArgument, "say the issuer and the subject: ISSUER SUBJECT");
  }
  subject->set_issuer(words[0]);
  subject->set_subject(words[1]);
  return Ok();
}

Result<int> Edit(Tool& tool, const EditArguments& arguments) {
  api::EditUserRequest request;
  request.set_user(arguments.user);
  if (arguments.real_name) request.set_real_name(*arguments.real_name);
  if (arguments.mail) request.set_mail(*arguments.mail);
  if (arguments.note) request.set_note(*arguments.note);
  if (arguments.pam || arguments.no_pam) request.set_pam(arguments.pam);
  if (!arguments.link.empty()) {
    RETURN_IF_ERROR(SetSubject(arguments.link, request.mutable_link()), "--link");
  }
  if (!arguments.unlink.empty()) {
    RETURN_IF_ERROR(SetSubject(arguments.unlink, request.mutable_unlink()), "--unlink");
  }
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::EditUser, request));
  return ShowChanged(tool, list);
}

Result<int> SetRole(Tool& tool, const std::string& user, const std::string& word) {
  api::EditUserRequest request;
  request.set_user(user);
  ASSIGN_OR_RETURN(const users::v1::Role role, ParseRole(word));
  request.set_role(role);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::EditUser, request));
  return ShowChanged(tool, list);
}

Result<int> Lock(Tool& tool, const std::string& user, const std::string& note) {
  api::EditUserRequest request;
  request.set_user(user);
  request.set_status(users::v1::LOCKED);
  if (!note.empty()) request.set_note(note);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::EditUser, request));
  return ShowChanged(tool, list);
}

Result<users::v1::Account> Find(Tool& tool, const std::string& user) {
  api::ListUsersRequest request;
  request.set_user(user);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListUsers, request));
  if (list.users_size() == 1) return list.users(0);
  return Error(Code::kInternal, "vclusterd did not say who '" + user + "' is");
}

Result<int> Activate(Tool& tool, const users::v1::Account& account) {
  api::EditUserRequest request;
  request.set_user(account.name());
  request.set_revision(account.revision());
  request.set_status(users::v1::ACTIVE);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::EditUser, request));
  return ShowChanged(tool, list);
}

Result<int> Approve(Tool& tool, const std::string& user) {
  ASSIGN_OR_RETURN(const users::v1::Account account, Find(tool, user));
  if (account.status() != users::v1::WAITING) {
    return Error(Code::kFailedPrecondition, "user " + Printable(user) +
                                                " does not wait for approval: his account is " +
                                                WordOf(account.status()));
  }
  return Activate(tool, account);
}

// Of an account that is locked, and of sign-ins that too many have guessed at.
Result<int> Unlock(Tool& tool, const std::string& user) {
  ASSIGN_OR_RETURN(const users::v1::Account account, Find(tool, user));
  if (account.status() == users::v1::WAITING) {
    return Error(Code::kFailedPrecondition, "user " + Printable(user) +
                                                " waits for approval: vcluster user approve " +
                                                Printable(user));
  }
  api::UserRequest request;
  request.set_user(user);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::UnlockSignIn, request));
  if (account.status() == users::v1::LOCKED) return Activate(tool, account);
  return ShowChanged(tool, list);
}

Result<int> Password(Tool& tool, const std::string& user, bool from_stdin) {
  api::SetPasswordRequest request;
  request.set_user(user);
  const bool own = user.empty() && ::geteuid() != 0;
  if (from_stdin) {
    std::vector<std::string> prompts = {"the new password"};
    if (own) prompts.insert(prompts.begin(), "the old password");
    ASSIGN_OR_RETURN(const auto lines, ReadPasswords(tool.console(), prompts));
    if (own) request.set_old_password(lines.front());
    request.set_new_password(lines.back());
  } else {
    if (own) {
      ASSIGN_OR_RETURN(*request.mutable_old_password(),
                       TypePassword(tool.console(), "Old password"));
    }
    ASSIGN_OR_RETURN(*request.mutable_new_password(), TypeNewPassword(tool.console()));
  }
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::SetPassword, request));
  return ShowChanged(tool, list);
}

Result<int> Delete(Tool& tool, const std::string& user) {
  api::UserRequest request;
  request.set_user(user);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::DeleteUser, request));
  return Show(tool, list, [&](const api::UserList&) {
    tool.console().out << Printable(user) << " deleted; his Vclusters and images stay\n";
  });
}

void AddAdd(Tool& tool, CLI::App* group) {
  auto arguments = std::make_shared<AddArguments>();
  CLI::App* add = tool.AddCommand(
      "add", "Make an account (admins)",
      "  vcluster user add alice --real-name 'Alice Doe' --mail alice@example.org --password\n"
      "  vcluster user add carol --host --role teacher",
      [&tool, arguments] { return Add(tool, *arguments); }, group);
  api::AddUserRequest& request = arguments->request;
  add->add_option("USER", *request.mutable_name(), "How he is called")->required();
  add->add_option("--real-name", *request.mutable_real_name(), "For people");
  add->add_option("--mail", *request.mutable_mail(), "Where he gets mail");
  add->add_option("--role", arguments->role, "user, teacher or admin")->capture_default_str();
  add->add_option("--note", *request.mutable_note(), "Why he has it");
  add->add_flag_callback(
      "--host", [arguments] { arguments->request.set_of_host(true); },
      "He is a user of this host and keeps his number");
  add->add_flag_callback(
      "--pam", [arguments] { arguments->request.set_pam(true); },
      "He signs in with the password that he has on this host");
  add->add_flag_callback(
      "--waiting", [arguments] { arguments->request.set_waiting(true); },
      "The account waits for approval");
  CLI::Option* typed = add->add_flag("--password", arguments->password, "Ask for a password");
  add->add_flag("--password-stdin", arguments->password_stdin,
                "Read the password from standard input")
      ->excludes(typed);
}

void AddEdit(Tool& tool, CLI::App* group) {
  auto arguments = std::make_shared<EditArguments>();
  CLI::App* edit = tool.AddCommand(
      "edit", "Change an account: your name and mail; the rest is for admins",
      "  vcluster user edit alice --mail alice@example.org\n"
      "  vcluster user edit alice --link https://id.example.org 248289761001",
      [&tool, arguments] { return Edit(tool, *arguments); }, group);
  edit->add_option("USER", arguments->user, "Whose")->required();
  edit->add_option("--real-name", arguments->real_name, "For people");
  edit->add_option("--mail", arguments->mail, "Where he gets mail");
  edit->add_option("--note", arguments->note, "What admins note of him");
  CLI::Option* pam = edit->add_flag("--pam", arguments->pam, "He signs in as on the host");
  edit->add_flag("--no-pam", arguments->no_pam, "He does not any more")->excludes(pam);
  edit->add_option("--link", arguments->link, "ISSUER SUBJECT: he signs in by OpenID Connect")
      ->expected(2);
  edit->add_option("--unlink", arguments->unlink, "ISSUER SUBJECT: he does not any more")
      ->expected(2);
}

}  // namespace

void AddUserCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("user", "Accounts");
  tool.AddCommand(
      "list", "The accounts that you may see", "  vcluster user list",
      [&tool] { return List(tool); }, group);
  auto user = std::make_shared<std::string>();
  CLI::App* show = tool.AddCommand(
      "show", "Everything about one", "  vcluster user show\n  vcluster user show alice",
      [&tool, user] { return ShowUser(tool, *user); }, group);
  show->add_option("USER", *user, "Whose (yours)");
  AddAdd(tool, group);
  AddEdit(tool, group);

  const auto command = [&](const char* name, const char* description, const char* example,
                           Tool::Action action) {
    CLI::App* added = tool.AddCommand(name, description, example, std::move(action), group);
    added->add_option("USER", *user, "Whose")->required();
    return added;
  };
  auto note = std::make_shared<std::string>();
  command("lock", "He may do nothing any more, and his sessions end (admins)",
          "  vcluster user lock bob --note 'left in June'",
          [&tool, user, note] { return Lock(tool, *user, *note); })
      ->add_option("--note", *note, "Why");
  command("unlock", "He may again; his sign-ins are listened to at once (admins)",
          "  vcluster user unlock bob", [&tool, user] { return Unlock(tool, *user); });
  command("approve", "Let in who waits for approval (admins)", "  vcluster user approve carol",
          [&tool, user] { return Approve(tool, *user); });
  auto role = std::make_shared<std::string>();
  command("role", "What he may do (admins)", "  vcluster user role tina teacher",
          [&tool, user, role] { return SetRole(tool, *user, *role); })
      ->add_option("ROLE", *role, "user, teacher or admin")
      ->required();
  command("delete", "Delete an account; what he has stays his number's (admins)",
          "  vcluster user delete bob", [&tool, user] { return Delete(tool, *user); });

  auto from_stdin = std::make_shared<bool>(false);
  CLI::App* password = tool.AddCommand(
      "passwd", "Set a password: yours, or as an admin another's; all its sessions end",
      "  vcluster user passwd\n  printf 'NEW\\n' | vcluster user passwd bob --password-stdin",
      [&tool, user, from_stdin] { return Password(tool, *user, *from_stdin); }, group);
  password->add_option("USER", *user, "Another's, as an admin");
  password->add_flag("--password-stdin", *from_stdin,
                     "From standard input: of yours the old one and the new one, a line each");
}

}  // namespace strata::tools
