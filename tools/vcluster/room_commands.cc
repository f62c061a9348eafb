// Room on the hosts: kept for somebody, or made for what is important. For admins.
#include <ostream>
#include <string>
#include <vector>

#include "common/byte_size.h"
#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/moves.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

Result<int> Preempt(Tool& tool, const api::PreemptRequest& request) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::PreemptResponse response;
  const grpc::Status status =
      api::MoveService::NewStub(channel)->Preempt(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
    return kExitOk;
  }
  if (response.nodes().empty()) {
    tool.console().out << "nobody has to stop for " << Printable(request.vcluster()) << '\n';
  } else {
    Table table({"NODE", "HOST", "PRIORITY"});
    for (const api::PreemptedNode& node : response.nodes()) {
      table.Add({node.node(), node.host(), std::to_string(node.priority())});
    }
    table.Print(tool.console().out);
  }
  return kExitOk;
}

struct ReserveArguments {
  std::string name;
  std::string user;
  std::string vcluster;
  std::string class_name;
  uint32_t pieces = 1;
  double cpus = 0;
  std::string memory;
  std::string disk;
  std::vector<std::string> hosts;
  std::string from;
  std::string until;
};

Result<api::ReservationInfo> MessageOf(const ReserveArguments& arguments) {
  api::ReservationInfo info;
  info.set_name(arguments.name);
  info.set_user(arguments.user);
  info.set_vcluster(arguments.vcluster);
  info.set_class_name(arguments.class_name);
  info.set_pieces(arguments.pieces);
  info.set_cpus(arguments.cpus);
  info.mutable_hosts()->Assign(arguments.hosts.begin(), arguments.hosts.end());
  if (!arguments.memory.empty()) {
    ASSIGN_OR_RETURN(const uint64_t bytes, ParseBytes(arguments.memory), "--memory");
    info.set_memory_bytes(bytes);
  }
  if (!arguments.disk.empty()) {
    ASSIGN_OR_RETURN(const uint64_t bytes, ParseBytes(arguments.disk), "--disk");
    info.set_disk_bytes(bytes);
  }
  const int64_t now = NowUnixMs();
  if (!arguments.from.empty()) {
    ASSIGN_OR_RETURN(const int64_t from_ms, ParseStart(arguments.from, now), "--from");
    info.set_from_unix_s(from_ms / 1000);
  }
  if (!arguments.until.empty()) {
    ASSIGN_OR_RETURN(const int64_t until_ms, ParseUntil(arguments.until, now), "--until");
    info.set_until_unix_s(until_ms / 1000);
  }
  return info;
}

Result<int> Reserve(Tool& tool, const ReserveArguments& arguments) {
  ASSIGN_OR_RETURN(const api::ReservationInfo info, MessageOf(arguments));
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ReserveResponse response;
  const grpc::Status status =
      api::MoveService::NewStub(channel)->Reserve(call.context(), info, &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) RETURN_IF_ERROR(PrintJson(response, tool.console().out));
  return kExitOk;
}

Result<int> Unreserve(Tool& tool, const std::string& name) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::UnreserveRequest request;
  request.set_name(name);
  api::UnreserveResponse response;
  const grpc::Status status =
      api::MoveService::NewStub(channel)->Unreserve(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) RETURN_IF_ERROR(PrintJson(response, tool.console().out));
  return kExitOk;
}

// "2 x 1.5 CPUs, 4.0 GiB memory"
std::string RoomText(const api::ReservationInfo& info) {
  char cpus[32];
  std::snprintf(cpus, sizeof(cpus), "%g CPUs", info.cpus());
  std::string piece;
  const auto add = [&](bool some, const std::string& text) {
    if (some) piece += (piece.empty() ? "" : ", ") + text;
  };
  add(info.cpus() > 0, cpus);
  add(info.memory_bytes() > 0, HumanBytes(info.memory_bytes()) + " memory");
  add(info.disk_bytes() > 0, HumanBytes(info.disk_bytes()) + " disk");
  return std::to_string(info.pieces()) + " x " + piece;
}

Result<int> ListReservations(Tool& tool) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Reservations response;
  const grpc::Status status = api::MoveService::NewStub(channel)->ListReservations(
      call.context(), api::ListReservationsRequest(), &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
    return kExitOk;
  }
  Table table({"NAME", "FOR", "ROOM", "HOSTS", "FROM", "UNTIL", "NOW"});
  for (const api::ReservationInfo& info : response.reservations()) {
    std::string hosts;
    for (const std::string& host : info.hosts()) hosts += (hosts.empty() ? "" : ",") + host;
    const auto time = [](int64_t unix_s) {
      return unix_s == 0 ? std::string() : LocalTime(unix_s * 1000);
    };
    table.Add({info.name(), info.holder(), RoomText(info), hosts.empty() ? "any" : hosts,
               time(info.from_unix_s()), time(info.until_unix_s()), info.holds() ? "yes" : "no"});
  }
  table.Print(tool.console().out);
  return kExitOk;
}

void AddReservations(Tool& tool) {
  CLI::App* group = tool.AddGroup("reservation", "Room that is kept for somebody (admins)");
  auto arguments = std::make_shared<ReserveArguments>();
  CLI::App* add = tool.AddCommand(
      "add", "Keep room: PIECES times what a piece is, on each HOST, or anywhere",
      "  vcluster reservation add exam --for-class eve/os --pieces 90 --cpus 1 --memory 512M"
      " --from 09:00 --until 4h\n"
      "  vcluster reservation add ml --for-vcluster bob/train --cpus 8 --memory 32G --on lab-2",
      [&tool, arguments] { return Reserve(tool, *arguments); }, group);
  add->add_option("NAME", arguments->name, "What it is called")->required();
  CLI::Option* user = add->add_option("--for-user", arguments->user, "Whose nodes may have it");
  CLI::Option* vcluster =
      add->add_option("--for-vcluster", arguments->vcluster, "[OWNER/]NAME whose nodes may have it")
          ->excludes(user);
  add->add_option("--for-class", arguments->class_name,
                  "TEACHER/NAME whose students' nodes may have it; it need not be there yet")
      ->excludes(user)
      ->excludes(vcluster);
  add->add_option("--pieces", arguments->pieces, "How many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add->add_option("--cpus", arguments->cpus, "Of a piece")->check(CLI::NonNegativeNumber);
  add->add_option("--memory", arguments->memory, "Of a piece, such as 512M");
  add->add_option("--disk", arguments->disk, "Of a piece, such as 5G");
  add->add_option("--on", arguments->hosts,
                  "HOST on which it is kept (repeatable); none: anywhere");
  add->add_option("--from", arguments->from,
                  "When it begins: 09:00, '2026-12-24 09:00', 12h (now)");
  add->add_option("--until", arguments->until,
                  "When it ends: '2026-12-24 18:00', 8h (when it is deleted)");

  tool.AddCommand(
      "list", "What is kept for whom", "  vcluster reservation list",
      [&tool] { return ListReservations(tool); }, group);
  auto name = std::make_shared<std::string>();
  CLI::App* remove = tool.AddCommand(
      "delete", "Keep it no longer", "  vcluster reservation delete exam",
      [&tool, name] { return Unreserve(tool, *name); }, group);
  remove->add_option("NAME", *name, "Which")->required();
}

}  // namespace

void AddRoomCommands(Tool& tool) {
  auto preempts = std::make_shared<api::PreemptRequest>();
  CLI::App* preempt = tool.AddCommand(
      "preempt",
      "Stop nodes of lower priority, so that a Vcluster which has no room gets it (admins)",
      "  vcluster preempt exam --dry-run\n  vcluster preempt alice/exam",
      [&tool, preempts] { return Preempt(tool, *preempts); });
  preempt
      ->add_option_function<std::string>(
          "NAME", [preempts](const std::string& text) { preempts->set_vcluster(text); }, "Which")
      ->required();
  preempt->add_flag_callback(
      "--dry-run", [preempts] { preempts->set_dry_run(true); }, "Only say who would stop");
  preempt->add_option_function<int>(
      "--below", [preempts](int priority) { preempts->set_below(priority); },
      "Whose priority is lower than this (than that of its own nodes)");

  AddReservations(tool);
}

}  // namespace strata::tools
