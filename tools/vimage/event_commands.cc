// vimage events: who did what with the images.
#include <iomanip>

#include "common/printable.h"
#include "imaged/api/events.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

struct EventArguments {
  std::string image;
  std::string action;
  uint32_t last = 20;
  std::string since;
  bool follow = false;
};

// "2026-12-01", "2026-12-01 12:00", or "2h": so long ago.
Result<int64_t> ParseSince(const std::string& text) {
  const int64_t now = NowUnixMs();
  if (text.find('-') == std::string::npos) {
    ASSIGN_OR_RETURN(const int64_t ahead, ParseUntil(text, now));
    return now - (ahead - now);
  }
  return ParseUntil(text.find(':') == std::string::npos ? text + " 00:00" : text, now);
}

void PrintEvent(const api::Event& event, std::ostream& out) {
  out << LocalTime(event.time_unix_ms()) << "  " << std::left << std::setw(10) << event.user()
      << ' ' << std::setw(12) << event.action() << ' ' << event.image();
  if (!event.detail().empty()) out << "  " << event.detail();
  if (event.via() != "socket") out << "  (" << event.via() << ')';
  if (event.outcome() != "ok") out << "  failed: " << event.error();
  out << std::endl;
}

Result<int> Events(Tool& tool, const EventArguments& arguments) {
  api::WatchEventsRequest request;
  request.set_image(arguments.image);
  request.set_action(arguments.action);
  request.set_last(arguments.last);
  request.set_follow(arguments.follow);
  if (!arguments.since.empty()) {
    ASSIGN_OR_RETURN(const int64_t since, ParseSince(arguments.since));
    request.set_since_unix_ms(since);
  }
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::EventService::NewStub(channel)->Watch(call.context(), request);
  api::Event event;
  while (reader->Read(&event)) {
    if (tool.json()) {
      RETURN_IF_ERROR(PrintJsonLine(event, tool.console().out));
      tool.console().out.flush();  // Whoever follows sees it now.
    } else {
      PrintEvent(event, tool.console().out);
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  return kExitOk;
}

}  // namespace

void AddEventCommands(Tool& tool) {
  auto arguments = std::make_shared<EventArguments>();
  CLI::App* events = tool.AddCommand(
      "events", "Who did what with your images, and what you did",
      "  vimage events\n  vimage events alice/spark --action share --last 0\n  vimage events "
      "--follow --json | jq .action",
      [&tool, arguments] { return Events(tool, *arguments); });
  events->add_option("IMAGE", arguments->image, "Only of OWNER/NAME, or OWNER/NAME:TAG");
  events->add_option("--action", arguments->action, "Only of this kind, as share");
  events->add_option("--last", arguments->last, "So many of the latest at most; 0: 1000")
      ->capture_default_str();
  events
      ->add_option("--since", arguments->since,
                   "Not before this: 2026-12-01, \"2026-12-01 12:00\", or 2h (ago)")
      ->type_name("TIME");
  events->add_flag("-f,--follow", arguments->follow, "Then go on with what happens, until Ctrl-C");
}

}  // namespace strata::tools
