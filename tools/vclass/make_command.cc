#include "common/file_io.h"
#include "tools/cli/call.h"
#include "tools/cli/human.h"
#include "tools/vclass/vclass.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

// More than vclusterd takes: it says so better.
constexpr size_t kRosterBytesMax = 3'500'000;

struct MakeArguments {
  api::CreateClassRequest request;
  std::string starts;
  std::string ends;
  std::string memory = "0";
  std::string disk = "0";
  double cpus = 0;
  uint32_t nodes = 0;
  uint32_t parallel = 0;
  bool no_wait = false;
};

Result<int> Make(Tool& tool, MakeArguments& arguments) {
  api::CreateClassRequest& request = arguments.request;
  const std::string& file = request.roster_name();
  if (file == "-") {
    ASSIGN_OR_RETURN(*request.mutable_roster(), ReadAll(0, kRosterBytesMax));
  } else {
    ASSIGN_OR_RETURN(*request.mutable_roster(), ReadFile(file, kRosterBytesMax));
  }
  if (!arguments.starts.empty()) {
    ASSIGN_OR_RETURN(const int64_t at, ParseStart(arguments.starts, NowUnixMs()), "--start");
    request.set_starts_unix_s(at / 1000);
  }
  if (!arguments.ends.empty()) {
    ASSIGN_OR_RETURN(const int64_t at, ParseUntil(arguments.ends, NowUnixMs()), "--end");
    request.set_ends_unix_s(at / 1000);
  }
  api::ClassQuotaInfo* quota = request.mutable_quota();
  ASSIGN_OR_RETURN(const uint64_t memory_bytes, ParseBytes(arguments.memory), "--memory");
  ASSIGN_OR_RETURN(const uint64_t disk_bytes, ParseBytes(arguments.disk), "--disk");
  quota->set_memory_bytes(memory_bytes);
  quota->set_disk_bytes(disk_bytes);
  quota->set_cpus(arguments.cpus);
  quota->set_nodes(arguments.nodes);
  request.set_parallel(arguments.parallel);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  api::Classes made;
  {
    Call call;
    const grpc::Status status =
        api::ClassService::NewStub(channel)->Create(call.context(), request, &made);
    if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  }
  return FollowClass(tool, channel, request.name(), made, !arguments.no_wait);
}

}  // namespace

void AddClassMakeCommand(Tool& tool) {
  auto arguments = std::make_shared<MakeArguments>();
  MakeArguments& made = *arguments;
  CLI::App* create = tool.AddCommand(
      "create", "Make a class: a Vcluster for each student, now or at its start",
      "  vclass create os-lab --roster roster.csv --template course:v2\n"
      "  vclass create os-lab --roster roster.csv --template course:v2 --start 08:15 --end 12h "
      "--on-end delete --memory 1G",
      [&tool, arguments] { return Make(tool, *arguments); });
  create->add_option("NAME", *made.request.mutable_name(), "What each Vcluster is called, too")
      ->required();
  create
      ->add_option("--roster", *made.request.mutable_roster_name(),
                   "A CSV file: user[,name,mail,group], named in its first line; -: standard input")
      ->required();
  create->add_option("--template", *made.request.mutable_template_(), "[OWNER/]NAME[:TAG]")
      ->required();
  create->add_option("--start", made.starts, "18:00, '2026-12-24 08:15', 2h; now when not given");
  create->add_option("--end", made.ends, "As --start, or 2026-12-24; never when not given");
  create->add_option("--on-end", *made.request.mutable_on_end(), "What becomes of them then")
      ->check(CLI::IsMember({"stop", "delete"}));
  create->add_option("--nodes", made.nodes,
                     "A student's Vcluster may grow to so many; 0: no limit");
  create->add_option("--cpus", made.cpus, "Of each node at most; 0: as the template says")
      ->check(CLI::NonNegativeNumber);
  create->add_option("--memory", made.memory, "Of each node at most, such as 512M");
  create->add_option("--disk", made.disk, "What each node may write at most, such as 5G");
  create->add_option("--parallel", made.parallel, "So many Vclusters start at a time (64)");
  create->add_option("--description", *made.request.mutable_description(), "What it is for");
  create->add_flag_callback(
      "--no-prestage", [arguments] { arguments->request.set_no_prestage(true); },
      "Do not send the images to all hosts beforehand");
  create->add_flag_callback(
      "--keep-secrets", [arguments] { arguments->request.set_keep_secrets(true); },
      "Also when the template's images hold secrets");
  create->add_flag("--no-wait", made.no_wait, "Do not wait until the Vclusters run");
}

}  // namespace strata::tools
