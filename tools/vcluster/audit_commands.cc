// audit: who did what, and who was refused what.
#include <ostream>

#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vcluster/account_commands.h"
#include "vclusterd/definition/units.h"

namespace strata::tools {
namespace {

namespace api = accounts::v1;
using Stub = api::UserService::Stub;

struct Arguments {
  api::ListEventsRequest request;
  std::string since;
};

// "rest from 192.0.2.7"
std::string From(const users::v1::AuditEvent& event) {
  return event.source().empty() ? event.via() : event.via() + " from " + event.source();
}

std::string Outcome(const users::v1::AuditEvent& event) {
  std::string text = event.error().empty() ? event.outcome() : event.error();
  if (event.left_out() > 0) {
    text += " (and " + std::to_string(event.left_out()) + " refusals before it)";
  }
  return text;
}

Result<int> Audit(Tool& tool, Arguments& arguments) {
  if (!arguments.since.empty()) {
    ASSIGN_OR_RETURN(const auto ago, vcluster::ParseDuration(arguments.since), "--since");
    arguments.request.set_since_unix_ms(NowUnixMs() - ago.count());
  }
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListEvents, arguments.request));
  return Show(tool, list, [&](const api::EventList& events) {
    Table table({"TIME", "USER", "OPERATION", "OBJECT", "DETAIL", "VIA", "OUTCOME"});
    for (const users::v1::AuditEvent& event : events.events()) {
      table.Add({LocalTime(event.time_unix_ms()), event.user(), event.operation(), event.object(),
                 event.detail(), From(event), Outcome(event)});
    }
    table.Print(tool.console().out);
    if (events.reached() != 0) {
      tool.Complain("earlier events were not looked at; go on with --before " +
                    std::to_string(events.reached()));
    }
  });
}

}  // namespace

void AddAuditCommand(Tool& tool) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* audit = tool.AddCommand(
      "audit",
      "What you did, and others did to what is yours (admins: everything); as recorded by the "
      "vclusterd that is asked",
      "  vcluster audit --since 2h\n  vcluster audit --user bob --operation vcluster.delete",
      [&tool, arguments] { return Audit(tool, *arguments); });
  api::ListEventsRequest& request = arguments->request;
  audit->add_option("--user", *request.mutable_user(), "Only what he did");
  audit->add_option("--object", *request.mutable_object(), "Only what was done to this");
  audit->add_option("--operation", *request.mutable_operation(), "Only this, as vcluster.delete");
  audit->add_option("--since", arguments->since, "Only of the last 90s, 2h, 7d");
  audit
      ->add_option_function<uint64_t>(
          "--before", [arguments](uint64_t before) { arguments->request.set_before(before); },
          "Only events with lower numbers, as an earlier answer said")
      ->check(CLI::PositiveNumber);
  audit
      ->add_option_function<uint32_t>(
          "--last", [arguments](uint32_t last) { arguments->request.set_last(last); },
          "The latest so many (100)")
      ->check(CLI::Range(1, 5000));
}

}  // namespace strata::tools
