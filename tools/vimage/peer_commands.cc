// Images from and to other hosts of the cluster and registries: pull, push, prestage.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "common/printable.h"
#include "imaged/api/peer.grpc.pb.h"
#include "tools/cli/human.h"
#include "tools/cli/progress.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/registry_transfer.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::TransferService::Stub;
using EventReader = std::unique_ptr<grpc::ClientReader<api::PullEvent>>;

struct PullArguments {
  std::string host;
  std::string reference;
  std::string name;
  std::string limit;
  bool replace = false;
  bool lazy = false;
  bool cached = false;
  RegistryArguments registry;

  bool IsForRegistry() const { return host.starts_with("docker://"); }
};

// What a transfer with a registry is asked for; `name` is what the image is called here.
Result<RegistryArguments> ForRegistry(const PullArguments& arguments, const std::string& name) {
  if (!arguments.limit.empty()) {
    return Error(Code::kInvalidArgument, "--limit is for hosts of the cluster");
  }
  RegistryArguments registry = arguments.registry;
  registry.location = arguments.host;
  registry.name = name;
  registry.replace = arguments.replace;
  return registry;
}

std::string Describe(const api::PullResult& result) {
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%.1f s", result.seconds());
  std::string text = Printable(FullName(result.image())) + ": " + HumanCount(result.objects()) +
                     " objects of " + HumanBytes(result.bytes()) + " were missing, " +
                     HumanBytes(result.wire_bytes()) + " went over the wire in " + seconds;
  if (result.resumed_bytes() > 0) {
    text += ", " + HumanBytes(result.resumed_bytes()) + " had come before";
  }
  if (result.objects_to_come() > 0) {
    text += "; it can be used, " + HumanCount(result.objects_to_come()) + " objects of " +
            HumanBytes(result.bytes_to_come()) + " come in the background";
  }
  return text;
}

// Reads the events of a pull or push to their end.
Result<int> Follow(Tool& tool, const EventReader& reader, const std::string& title) {
  std::optional<api::PullResult> result;
  {
    ProgressLine progress(tool.console(), title, tool.json());
    api::PullEvent event;
    while (reader->Read(&event)) {
      if (event.has_result()) {
        result = event.result();
      } else {
        const api::PullProgress& at = event.progress();
        std::string stage = HumanBytes(static_cast<uint64_t>(at.wire_bytes_per_second())) + "/s";
        if (at.seconds_left() >= 0) {
          stage += ", " + std::to_string(static_cast<int64_t>(at.seconds_left())) + " s left";
        }
        progress.Update({stage, at.bytes(), at.bytes_total(), true, at.objects()});
      }
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (!result) return Error(Code::kInternal, "imaged ended the transfer without a result");
  return Show(tool, *result,
              [&](const auto& done) { tool.console().out << Describe(done) << '\n'; });
}

template <typename Request>
Status Fill(const PullArguments& arguments, Request* request) {
  request->set_host(arguments.host);
  request->set_reference(arguments.reference);
  request->set_new_reference(arguments.name);
  request->set_replace(arguments.replace);
  if (arguments.limit.empty()) return Ok();
  ASSIGN_OR_RETURN(const uint64_t limit, ParseBytes(arguments.limit));
  request->set_bytes_per_second(limit);
  return Ok();
}

Result<int> Pull(Tool& tool, const PullArguments& arguments) {
  if (arguments.IsForRegistry()) {
    const bool twice = !arguments.name.empty() && !arguments.reference.empty();
    if (twice) return Error(Code::kInvalidArgument, "give the name once");
    ASSIGN_OR_RETURN(
        const RegistryArguments registry,
        ForRegistry(arguments, arguments.name.empty() ? arguments.reference : arguments.name));
    return PullFromRegistry(tool, registry);
  }
  if (arguments.reference.empty()) {
    return Error(Code::kInvalidArgument, "which image of " + arguments.host + "?");
  }
  api::PullRequest request;
  RETURN_IF_ERROR(Fill(arguments, &request));
  request.set_lazy(arguments.lazy);
  request.set_cached(arguments.cached);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  Stub stub(channel);
  return Follow(tool, stub.Pull(call.context(), request), "pull " + Printable(arguments.reference));
}

Result<int> Push(Tool& tool, const PullArguments& arguments) {
  if (arguments.IsForRegistry()) {
    if (!arguments.name.empty()) {
      return Error(Code::kInvalidArgument, "what it is called there is part of docker://…");
    }
    ASSIGN_OR_RETURN(const RegistryArguments registry, ForRegistry(arguments, arguments.reference));
    return PushToRegistry(tool, registry);
  }
  api::PushRequest request;
  RETURN_IF_ERROR(Fill(arguments, &request));
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  Stub stub(channel);
  return Follow(tool, stub.Push(call.context(), request), "push " + Printable(arguments.reference));
}

struct FillsArguments {
  std::string reference;
  bool wait = false;
};

uint64_t BytesToCome(const api::FillList& list) {
  uint64_t bytes = 0;
  for (const api::LazyFill& fill : list.fills()) bytes += fill.bytes_to_come();
  return bytes;
}

// Until nothing is to come.
Result<api::FillList> AwaitFills(Tool& tool, const api::ListFillsRequest& request) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  Stub stub(channel);
  const auto reader = stub.WatchFills(call.context(), request);
  ProgressLine progress(tool.console(), "fill", tool.json());
  api::FillList list;
  uint64_t total = 0;
  while (reader->Read(&list)) {
    const uint64_t left = BytesToCome(list);
    total = std::max(total, left);
    progress.Update(
        {list.fills().empty() ? "" : list.fills(0).error(), total - left, total, true, 0});
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  return list;
}

Result<int> Fills(Tool& tool, const FillsArguments& arguments) {
  api::ListFillsRequest request;
  request.set_reference(arguments.reference);
  ASSIGN_OR_RETURN(const api::FillList list, arguments.wait ? AwaitFills(tool, request)
                                                            : Ask(tool, &Stub::ListFills, request));
  return Show(tool, list, [&](const auto& shown) {
    std::ostream& out = tool.console().out;
    for (const api::LazyFill& fill : shown.fills()) {
      out << Printable(FullName(fill.image())) << " from " << Printable(fill.host()) << ": "
          << HumanCount(fill.objects_to_come()) << " objects of "
          << HumanBytes(fill.bytes_to_come()) << " to come";
      if (fill.progress().wire_bytes_per_second() > 0) {
        out << ", " << HumanBytes(static_cast<uint64_t>(fill.progress().wire_bytes_per_second()))
            << "/s";
      }
      if (!fill.error().empty()) out << ": " << Printable(fill.error());
      out << '\n';
    }
    if (shown.fills().empty()) out << "complete\n";
  });
}

struct PrestageArguments {
  std::string reference;
  std::vector<std::string> hosts;
  bool all_hosts = false;
  std::string limit;
  bool replace = false;
  std::string at;
  bool list = false;
  std::string cancel;
};

std::string WhenAndWhat(const api::ScheduledPrestage& prestage) {
  return prestage.id() + ": " + Printable(prestage.request().reference()) + " to " +
         (prestage.request().hosts_size() == 0
              ? "all hosts"
              : HumanCount(static_cast<uint64_t>(prestage.request().hosts_size())) + " hosts") +
         " at " + LocalTime(prestage.at_unix_ms());
}

void Print(std::ostream& out, const api::ScheduledPrestage& prestage) {
  out << WhenAndWhat(prestage);
  if (prestage.state() == api::PRESTAGE_RUNNING) out << ", running";
  if (prestage.state() == api::PRESTAGE_ENDED)
    out << ", ended " << LocalTime(prestage.ended_unix_ms());
  if (!prestage.error().empty()) out << ": " << Printable(prestage.error());
  out << '\n';
  for (const api::PrestageHost& host : prestage.hosts()) {
    out << "  " << Printable(host.host()) << ": "
        << (host.has_error() ? Printable(host.error()) : Describe(host.result())) << '\n';
  }
}

Result<int> ListPrestages(Tool& tool) {
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListPrestages, api::ListPrestagesRequest()));
  return Show(tool, list, [&](const auto& answer) {
    for (const api::ScheduledPrestage& prestage : answer.prestages()) {
      Print(tool.console().out, prestage);
    }
    if (answer.prestages().empty()) tool.console().out << "nothing is to be prestaged\n";
  });
}

Result<int> CancelPrestage(Tool& tool, const std::string& id) {
  api::CancelPrestageRequest request;
  request.set_id(id);
  ASSIGN_OR_RETURN(const auto cancelled, Ask(tool, &Stub::CancelPrestage, request));
  return Show(tool, cancelled, [&](const auto& prestage) {
    tool.console().out << "cancelled " << WhenAndWhat(prestage) << '\n';
  });
}

Result<int> SchedulePrestage(Tool& tool, const api::PrestageRequest& prestage,
                             const std::string& at) {
  api::SchedulePrestageRequest request;
  *request.mutable_prestage() = prestage;
  ASSIGN_OR_RETURN(const int64_t when, ParseStart(at, NowUnixMs()));
  request.set_at_unix_ms(when);
  ASSIGN_OR_RETURN(const auto scheduled, Ask(tool, &Stub::SchedulePrestage, request));
  return Show(tool, scheduled,
              [&](const auto& answer) { tool.console().out << WhenAndWhat(answer) << '\n'; });
}

// 1 when a host failed.
Result<int> Prestage(Tool& tool, const PrestageArguments& arguments) {
  if (arguments.list) return ListPrestages(tool);
  if (!arguments.cancel.empty()) return CancelPrestage(tool, arguments.cancel);
  if (arguments.reference.empty() || arguments.hosts.empty() != arguments.all_hosts) {
    return Error(Code::kInvalidArgument, "name the image, and its hosts or --all-hosts");
  }
  api::PrestageRequest request;
  request.set_reference(arguments.reference);
  for (const std::string& host : arguments.hosts) request.add_hosts(host);
  request.set_replace(arguments.replace);
  if (!arguments.limit.empty()) {
    ASSIGN_OR_RETURN(const uint64_t limit, ParseBytes(arguments.limit));
    request.set_bytes_per_second(limit);
  }
  if (!arguments.at.empty()) return SchedulePrestage(tool, request, arguments.at);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  Stub stub(channel);
  const auto reader = stub.Prestage(call.context(), request);
  api::PrestageHost state;
  bool failed = false;
  while (reader->Read(&state)) {
    if (state.has_progress()) continue;
    failed |= state.has_error();
    RETURN_IF_ERROR(Show(tool, state, [&](const auto& host) {
      tool.console().out << Printable(host.host()) << ": "
                         << (host.has_error() ? Printable(host.error()) : Describe(host.result()))
                         << '\n';
    }));
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  return failed ? 1 : 0;
}

void AddOptions(CLI::App* command, PullArguments* arguments, const std::string& where) {
  command->add_option("--as", arguments->name, "What it is called " + where + ": NAME[:TAG]");
  command->add_option("--limit", arguments->limit, "Bytes per second at most, as 10M");
  command->add_flag("--replace", arguments->replace, "Give it the name if that is taken");
}

}  // namespace

void AddPeerCommands(Tool& tool) {
  auto pull = std::make_shared<PullArguments>();
  CLI::App* command = tool.AddCommand(
      "pull",
      "Bring an image of another host, or of a registry, here; only what is missing "
      "moves",
      "  vimage pull node2 alice/spark:v1\n  vimage pull node2 alice/spark:v1 --as "
      "spark --limit 10M\n"
      "  vimage pull docker://registry.lab:5000/team/app:1.2 app:1.2\n"
      "After a break the same command goes on.",
      [&tool, pull] { return Pull(tool, *pull); });
  command
      ->add_option("HOST", pull->host,
                   "As 'vimage host list' calls it, or docker://HOST[:PORT]/NAME[:TAG]")
      ->required();
  command->add_option("IMAGE", pull->reference,
                      "[OWNER/]NAME[:TAG] there; from a registry, what it is called here");
  AddOptions(command, pull.get(), "here");
  command->add_flag("--lazy", pull->lazy,
                    "Done as soon as containers can start; the rest comes in the background");
  command->add_flag("--cached", pull->cached,
                    "imaged may remove it when room is short: a copy that HOST has as well");

  AddRegistryOptions(command, &pull->registry);
  command
      ->add_option("--platform", pull->registry.platform,
                   "Of a registry's image for several: linux/arm64 (default: this host's)")
      ->group("Registries (docker://)");

  auto fills = std::make_shared<FillsArguments>();
  command = tool.AddCommand("fills", "Show the lazy images that are not complete yet",
                            "  vimage fills\n  vimage fills spark:v1 --wait",
                            [&tool, fills] { return Fills(tool, *fills); });
  command->add_option("IMAGE", fills->reference, "[OWNER/]NAME[:TAG]; otherwise all of yours");
  command->add_flag("--wait", fills->wait, "Return when nothing is to come any more");

  auto push = std::make_shared<PullArguments>();
  command = tool.AddCommand(
      "push", "Have another host bring an image of this one there, or put it into a registry",
      "  vimage push spark:v1 node2\n  vimage push spark:v1 node2 --replace\n"
      "  vimage push spark:v1 docker://registry.lab:5000/team/spark:v1",
      [&tool, push] { return Push(tool, *push); });
  command->add_option("IMAGE", push->reference, "[OWNER/]NAME[:TAG]")->required();
  command
      ->add_option("HOST", push->host,
                   "As 'vimage host list' calls it, or docker://HOST[:PORT]/NAME[:TAG]")
      ->required();
  AddOptions(command, push.get(), "there");
  AddRegistryOptions(command, &push->registry);

  auto prestage = std::make_shared<PrestageArguments>();
  command = tool.AddCommand("prestage",
                            "Bring an image of this host to many; they pass it on to each other",
                            "  vimage prestage spark:v1 node2 node3 node4 node5\n"
                            "  vimage prestage spark:v1 --all-hosts --at 03:00\n"
                            "  vimage prestage --list\n"
                            "Name hosts that are neighbours in the network next to each other.",
                            [&tool, prestage] { return Prestage(tool, *prestage); });
  command->add_option("IMAGE", prestage->reference, "[OWNER/]NAME[:TAG]");
  command->add_option("HOST", prestage->hosts, "As 'vimage host list' calls them");
  command->add_flag("--all-hosts", prestage->all_hosts, "Every other host of the cluster");
  command->add_option("--at", prestage->at,
                      "Begin then and not now: 03:00, '2026-12-24 18:00', 12h or 90m");
  command->add_flag("--list", prestage->list, "Show what is to be prestaged, and how it ended");
  command->add_option("--cancel", prestage->cancel, "Call one off, by the id that --list shows");
  command->add_option("--limit", prestage->limit, "Bytes per second and host at most, as 10M");
  command->add_flag("--replace", prestage->replace, "Give it the name if that is taken");
}

}  // namespace strata::tools
