// Credits: balances, grants, budgets, and what users apply for. Amounts are thousandths.
#include "vclusterd/api/account_words.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

Json ToJson(const Exchange& exchange, const users::v1::CreditApplication& application) {
  Json json = {{"uid", application.uid()},
               {"user", exchange.services.users.NameOf(application.uid())},
               {"number", application.number()},
               {"amount_milli", application.amount_milli()},
               {"reason", application.reason()},
               {"created_unix_ms", application.created_unix_ms()},
               {"status", WordOf(application.status())}};
  if (application.status() != users::v1::PENDING) {
    json["decided_by_uid"] = application.decided_by_uid();
    json["decided_unix_ms"] = application.decided_unix_ms();
    json["comment"] = application.comment();
  }
  return json;
}

Result<Reply> Balance(Exchange& exchange, uint32_t uid) {
  CreditBook& credits = exchange.services.users.credits();
  return Answer({{"uid", uid},
                 {"balance_milli", credits.Balance(uid)},
                 {"budget_milli", credits.Budget(uid)}});
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kCreditList));
  Users& users = exchange.services.users;
  RETURN_IF_ERROR(
      users.Authorize(exchange.caller, Operation::kCreditList, UserTarget(exchange, uid)));
  ASSIGN_OR_RETURN(const auto history, users.credits().History(uid));
  ASSIGN_OR_RETURN(Reply reply, Balance(exchange, uid));
  Json& list = reply.body["history"] = Json::array();
  for (const users::v1::CreditEntry& entry : history) {
    list.push_back({{"time_unix_ms", entry.time_unix_ms()},
                    {"kind", WordOf(entry.kind())},
                    {"amount_milli", entry.amount_milli()},
                    {"balance_milli", entry.balance_milli()},
                    {"by_uid", entry.by_uid()},
                    {"reason", entry.reason()}});
  }
  return reply;
}

Result<Reply> Grant(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kCreditGrant));
  RETURN_IF_ERROR(exchange.services.users.GrantCredits(exchange.caller, uid,
                                                       exchange.Given<int64_t>("amount_milli", 0),
                                                       exchange.Given<std::string>("reason", "")));
  return Balance(exchange, uid);
}

Result<Reply> SetBudget(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kCreditGrant));
  RETURN_IF_ERROR(exchange.services.users.SetCreditBudget(
      exchange.caller, uid, exchange.Given<int64_t>("budget_milli", 0)));
  return Balance(exchange, uid);
}

Result<Reply> ListApplications(Exchange& exchange) {
  Users& users = exchange.services.users;
  Json list = Json::array();
  for (const auto& application :
       users.credits().Applications(std::nullopt, exchange.Asked("pending", false))) {
    const bool sees = users.Allows(exchange.caller, Operation::kCreditList,
                                   UserTarget(exchange, application.uid()));
    if (sees) list.push_back(ToJson(exchange, application));
  }
  return Answer({{"applications", std::move(list)}});
}

Result<Reply> Apply(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto application,
                   exchange.services.users.ApplyForCredits(
                       exchange.caller, exchange.Given<int64_t>("amount_milli", 0),
                       exchange.Given<std::string>("reason", "")));
  return Answer(ToJson(exchange, application), 201);
}

Result<Reply> Decide(Exchange& exchange) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, Operation::kCreditDecide));
  uint32_t number = 0;
  for (const char c : exchange.path.at("number")) {
    if (c < '0' || c > '9' || number > 100'000'000) {
      return Error(Code::kNotFound, "there is no such application");
    }
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  ASSIGN_OR_RETURN(const auto application,
                   exchange.services.users.DecideApplication(
                       exchange.caller, uid, number, exchange.Given("approve", false),
                       exchange.Given<std::string>("comment", "")));
  return Answer(ToJson(exchange, application));
}

Json Amount(const std::string& description) {
  return Whole(description, -kMilliCreditsMax, kMilliCreditsMax);
}

void AddSchemas(RouteTable* table) {
  const Json entry =
      Members("A change of the balance.")
          .Must("time_unix_ms", Whole("When."))
          .Must("kind", Word("What for.", {"initial", "charge", "grant", "approval", "other"}))
          .Must("amount_milli", Amount("By how much."))
          .Must("balance_milli", Amount("Afterwards."))
          .Must("by_uid", Whole("Who."))
          .Must("reason", Text("Why.", 2000));
  table->AddSchema("Credits", Members("What a user has.")
                                  .Must("uid", Whole("His number."))
                                  .Must("balance_milli", Amount("To spend."))
                                  .Must("budget_milli", Amount("To give to those he teaches."))
                                  .May("history", ListOf(entry, "Of the last months.")));
  table->AddSchema("Grant", Members("Credits for somebody.")
                                .Must("amount_milli", Amount("Negative takes away."))
                                .Must("reason", Text("Why.")));
  table->AddSchema("Budget", Members("What a teacher may give.")
                                 .Must("budget_milli", Whole("In all.", 0, kMilliCreditsMax)));
  table->AddSchema("CreditApplication", Members("Somebody applies for credits.")
                                            .Must("uid", Whole("Who."))
                                            .Must("user", Text("His name."))
                                            .Must("number", Whole("Of his applications."))
                                            .Must("amount_milli", Amount("How much."))
                                            .Must("reason", Text("Why.", 2000))
                                            .Must("created_unix_ms", Whole("When."))
                                            .Must("status", Word("Whether it is decided.",
                                                                 {"pending", "approved", "denied"}))
                                            .May("decided_by_uid", Whole("By whom."))
                                            .May("decided_unix_ms", Whole("When."))
                                            .May("comment", Text("What he says to it.", 2000)));
  table->AddSchema("CreditApplicationList",
                   Members("Applications.")
                       .Must("applications", ListOf(Ref("CreditApplication"), "Oldest first.")));
  table->AddSchema("NewCreditApplication",
                   Members("What one asks for.")
                       .Must("amount_milli", Whole("How much.", 1, kMilliCreditsMax))
                       .Must("reason", Text("Why.")));
  table->AddSchema("CreditDecision", Members("A decision.")
                                         .Must("approve", Flag("Whether he gets it."))
                                         .May("comment", Text("For him.")));
}

}  // namespace

void AddCreditRoutes(RouteTable* table) {
  AddSchemas(table);
  const RouteRow of_users[] = {
      {"GET", "/{user}", "getCredits", Operation::kCreditList,
       "What he has, and how it came to that", "", 200, "Credits", Get},
      {"POST", "/{user}/grants", "grantCredits", Operation::kCreditGrant,
       "Gives to him, or takes away", "Grant", 200, "Credits", Grant},
      {"PUT", "/{user}/budget", "setCreditBudget", Operation::kCreditGrant,
       "What a teacher may give", "Budget", 200, "Credits", SetBudget},
  };
  AddRows(of_users, "/v1/credits", "credits", table);
  const RouteRow applications[] = {
      {"GET",
       "",
       "listCreditApplications",
       Operation::kCreditList,
       "Those that one may see",
       "",
       200,
       "CreditApplicationList",
       ListApplications,
       {{"pending", Flag("Only those that are not decided (false).")}}},
      {"POST", "", "applyForCredits", Operation::kCreditApply, "Applies for more",
       "NewCreditApplication", 201, "CreditApplication", Apply},
      {"POST", "/{user}/{number}/decision", "decideCreditApplication", Operation::kCreditDecide,
       "Approves or denies; a teacher from his budget", "CreditDecision", 200, "CreditApplication",
       Decide},
  };
  AddRows(applications, "/v1/credit-applications", "credits", table);
}

}  // namespace strata::vcluster::rest
