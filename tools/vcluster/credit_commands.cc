// Credits: credit show, history, apply, applications, decide, grant, budget.
#include <ostream>

#include "common/printable.h"
#include "common/thousandths.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vcluster/account_commands.h"
#include "tools/vcluster/account_words.h"

namespace strata::tools {
namespace {

namespace api = accounts::v1;
using Stub = api::UserService::Stub;

struct Arguments {
  std::string user;
  std::string amount;
  std::string reason;
  uint32_t number = 0;
  std::string decision;
  bool all = false;
  bool take = false;
};

void PrintBalance(const api::CreditsView& view, std::ostream& out) {
  out << Printable(view.user().name()) << ": " << ThousandthsText(view.balance_milli())
      << " credits";
  if (view.budget_milli() != 0) {
    out << ", and a budget of " << ThousandthsText(view.budget_milli()) << " to give";
  }
  out << '\n';
  if (!view.charged()) {
    out << "hours are not charged here\n";
  } else if (view.verdict() == "stop") {
    out << "nothing is left: Vclusters are stopped; ask for more with: vcluster credit apply\n";
  } else if (view.verdict() == "warn") {
    out << "little is left; ask for more with: vcluster credit apply\n";
  }
}

void PrintApplications(const api::ApplicationList& list, std::ostream& out) {
  Table table({"USER", ">NUMBER", ">AMOUNT", "STATUS", "MADE", "REASON", "DECIDED BY", "COMMENT"});
  for (const api::ApplicationInfo& application : list.applications()) {
    table.Add({application.user().name(), std::to_string(application.number()),
               ThousandthsText(application.amount_milli()), WordOf(application.status()),
               LocalTime(application.created_unix_ms()), application.reason(),
               application.has_decided_by() ? application.decided_by().name() : "-",
               application.comment()});
  }
  table.Print(out);
}

Result<int> ShowView(Tool& tool, const api::CreditsView& view) {
  return Show(tool, view,
              [&](const api::CreditsView& shown) { PrintBalance(shown, tool.console().out); });
}

Result<int> ShowList(Tool& tool, const api::ApplicationList& list) {
  return Show(tool, list, [&](const api::ApplicationList& applications) {
    PrintApplications(applications, tool.console().out);
  });
}

Result<int> ShowCredits(Tool& tool, const Arguments& arguments) {
  api::CreditsRequest request;
  request.set_user(arguments.user);
  ASSIGN_OR_RETURN(const auto view, Ask(tool, &Stub::ShowCredits, request));
  return ShowView(tool, view);
}

Result<int> History(Tool& tool, const Arguments& arguments) {
  api::CreditsRequest request;
  request.set_user(arguments.user);
  request.set_history(true);
  ASSIGN_OR_RETURN(const auto view, Ask(tool, &Stub::ShowCredits, request));
  return Show(tool, view, [&](const api::CreditsView& shown) {
    Table table({"TIME", "KIND", ">AMOUNT", ">BALANCE", "REASON"});
    for (const users::v1::CreditEntry& entry : shown.history()) {
      table.Add({LocalTime(entry.time_unix_ms()), WordOf(entry.kind()),
                 ThousandthsText(entry.amount_milli()), ThousandthsText(entry.balance_milli()),
                 entry.reason()});
    }
    table.Print(tool.console().out);
  });
}

Result<int> Apply(Tool& tool, const Arguments& arguments) {
  api::ApplyForCreditsRequest request;
  ASSIGN_OR_RETURN(const int64_t amount, ParseThousandths(arguments.amount), "AMOUNT");
  request.set_amount_milli(amount);
  request.set_reason(arguments.reason);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ApplyForCredits, request));
  return ShowList(tool, list);
}

Result<int> Applications(Tool& tool, const Arguments& arguments) {
  api::ListApplicationsRequest request;
  request.set_user(arguments.user);
  request.set_only_pending(!arguments.all);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListApplications, request));
  return ShowList(tool, list);
}

Result<int> Decide(Tool& tool, const Arguments& arguments) {
  if (arguments.decision != "approve" && arguments.decision != "deny") {
    return Error(Code::kInvalidArgument, "say approve or deny");
  }
  api::DecideApplicationRequest request;
  request.set_user(arguments.user);
  request.set_number(arguments.number);
  request.set_approve(arguments.decision == "approve");
  request.set_comment(arguments.reason);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::DecideApplication, request));
  return ShowList(tool, list);
}

Result<int> Grant(Tool& tool, const Arguments& arguments) {
  api::GrantCreditsRequest request;
  request.set_user(arguments.user);
  ASSIGN_OR_RETURN(const int64_t amount, ParseThousandths(arguments.amount), "AMOUNT");
  request.set_amount_milli(arguments.take ? -amount : amount);
  request.set_reason(arguments.reason);
  ASSIGN_OR_RETURN(const auto view, Ask(tool, &Stub::GrantCredits, request));
  return ShowView(tool, view);
}

Result<int> Budget(Tool& tool, const Arguments& arguments) {
  api::SetCreditBudgetRequest request;
  request.set_user(arguments.user);
  ASSIGN_OR_RETURN(const int64_t amount, ParseThousandths(arguments.amount), "AMOUNT");
  request.set_budget_milli(amount);
  ASSIGN_OR_RETURN(const auto view, Ask(tool, &Stub::SetCreditBudget, request));
  return ShowView(tool, view);
}

}  // namespace

void AddCreditCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("credit", "What users have to spend on hours of nodes");
  auto arguments = std::make_shared<Arguments>();
  const auto command = [&](const char* name, const char* description, const char* examples,
                           Result<int> (*act)(Tool&, const Arguments&)) {
    return tool.AddCommand(
        name, description, examples, [&tool, arguments, act] { return act(tool, *arguments); },
        group);
  };
  const auto add_user = [&](CLI::App* app, const char* what) {
    return app->add_option("USER", arguments->user, what);
  };
  const auto add_amount = [&](CLI::App* app, const char* what) {
    return app->add_option("AMOUNT", arguments->amount, what)->required();
  };
  add_user(command("show", "What is left", "  vcluster credit show\n  vcluster credit show alice",
                   ShowCredits),
           "Whose (yours)");
  add_user(command("history", "What was charged and given", "  vcluster credit history", History),
           "Whose (yours)");

  CLI::App* apply =
      command("apply", "Ask for more, with a reason",
              "  vcluster credit apply 100 --reason 'training runs for the thesis'", Apply);
  add_amount(apply, "How many credits");
  apply->add_option("--reason", arguments->reason, "What for")->required();

  CLI::App* applications = command(
      "applications", "What you, or those whom you may see, have asked for",
      "  vcluster credit applications\n  vcluster credit applications alice --all", Applications);
  add_user(applications, "Whose (all that you may see)");
  applications->add_flag("--all", arguments->all, "Also those that are decided");

  CLI::App* decide = command("decide",
                             "Approve or deny an application (admins; teachers of "
                             "theirs, from their budget)",
                             "  vcluster credit decide alice 1 approve\n"
                             "  vcluster credit decide bob 2 deny --comment 'too much'",
                             Decide);
  add_user(decide, "Whose")->required();
  decide->add_option("NUMBER", arguments->number, "Which")->required();
  decide->add_option("DECISION", arguments->decision, "approve or deny")->required();
  decide->add_option("--comment", arguments->reason, "Why");

  CLI::App* grant = command("grant", "Give credits, or take them (admins)",
                            "  vcluster credit grant alice 100 --reason 'won the contest'\n"
                            "  vcluster credit grant alice 5 --take --reason 'a mistake'",
                            Grant);
  add_user(grant, "Whom")->required();
  add_amount(grant, "How many credits");
  grant->add_option("--reason", arguments->reason, "Why");
  grant->add_flag("--take", arguments->take, "Take so many away instead");

  CLI::App* budget = command("budget", "What a teacher may give to those he teaches (admins)",
                             "  vcluster credit budget tina 1000", Budget);
  add_user(budget, "The teacher")->required();
  add_amount(budget, "How many credits");
}

}  // namespace strata::tools
