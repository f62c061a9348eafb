// Images from and to other hosts of the cluster and registries: pull, push, prestage.
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

struct PrestageArguments {
  std::string reference;
  std::vector<std::string> hosts;
  std::string limit;
  bool replace = false;
};

// 1 when a host failed.
Result<int> Prestage(Tool& tool, const PrestageArguments& arguments) {
  api::PrestageRequest request;
  request.set_reference(arguments.reference);
  for (const std::string& host : arguments.hosts) request.add_hosts(host);
  request.set_replace(arguments.replace);
  if (!arguments.limit.empty()) {
    ASSIGN_OR_RETURN(const uint64_t limit, ParseBytes(arguments.limit));
    request.set_bytes_per_second(limit);
  }
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
      "  vimage pull docker://quay.io/org/app:1.2 app:1.2\n"
      "After a break the same command goes on.",
      [&tool, pull] { return Pull(tool, *pull); });
  command
      ->add_option("HOST", pull->host,
                   "As 'vimage host list' calls it, or docker://HOST[:PORT]/NAME[:TAG]")
      ->required();
  command->add_option("IMAGE", pull->reference,
                      "[OWNER/]NAME[:TAG] there; from a registry, what it is called here");
  AddOptions(command, pull.get(), "here");
  AddRegistryOptions(command, &pull->registry);
  command
      ->add_option("--platform", pull->registry.platform,
                   "Of a registry's image for several: linux/arm64 (default: this host's)")
      ->group("Registries (docker://)");

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
                            "Name hosts that are neighbours in the network next to each other.",
                            [&tool, prestage] { return Prestage(tool, *prestage); });
  command->add_option("IMAGE", prestage->reference, "[OWNER/]NAME[:TAG]")->required();
  command->add_option("HOST", prestage->hosts, "As 'vimage host list' calls them")->required();
  command->add_option("--limit", prestage->limit, "Bytes per second and host at most, as 10M");
  command->add_flag("--replace", prestage->replace, "Give it the name if that is taken");
}

}  // namespace strata::tools
