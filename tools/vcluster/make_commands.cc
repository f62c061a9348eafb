#include <optional>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/progress.h"
#include "tools/vcluster/follow.h"
#include "tools/vcluster/print_clusters.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

struct CreateArguments {
  api::CreateRequest request;
  uint32_t nodes = 1;
  double cpus = 0;
  std::string memory = "0";
  std::string disk;  // Empty: the host's default.
  std::string file;  // Empty: the options say it all.
  std::string from;  // A template.
  uint32_t count = 1;
  uint64_t processes = 0;
};

struct CloneArguments {
  std::string source;
  uint32_t count = 1;
  std::string prefix;
  std::string image;
};

using ClustersReader = grpc::ClientReader<api::ClustersEvent>;

Result<int> ShowMade(Tool& tool, Call& call, ClustersReader& reader, const std::string& what) {
  ASSIGN_OR_RETURN(const api::Clusters made,
                   Follow(tool, call, reader, what, "cancelled: what was begun is taken back"));
  RETURN_IF_ERROR(PrintClusters(tool, made));
  return kExitOk;
}

Result<int> Create(Tool& tool, CreateArguments& arguments) {
  api::CreateRequest& request = arguments.request;
  if (!arguments.from.empty()) {
    if (request.name().empty()) return Error(Code::kInvalidArgument, "say NAME");
    return CreateFromTemplate(tool, request.name(), arguments.from, arguments.count,
                              request.driver());
  }
  ASSIGN_OR_RETURN(const uint64_t memory_bytes, ParseBytes(arguments.memory), "--memory");
  request.set_nodes(arguments.nodes);
  request.mutable_limits()->set_cpus(arguments.cpus);
  request.mutable_limits()->set_memory_bytes(memory_bytes);
  request.mutable_limits()->set_processes(arguments.processes);
  request.set_default_disk(arguments.disk.empty());
  if (!arguments.disk.empty()) {
    ASSIGN_OR_RETURN(const uint64_t disk_bytes, ParseBytes(arguments.disk), "--disk");
    request.mutable_limits()->set_disk_bytes(disk_bytes);
  }
  if (arguments.file.empty() && (request.name().empty() || request.image().empty())) {
    return Error(Code::kInvalidArgument, "say NAME and --image, or -f FILE");
  }
  if (!arguments.file.empty()) {
    ASSIGN_OR_RETURN(*request.mutable_definition(), ReadDefinitionFile(arguments.file));
    request.set_file_name(arguments.file);
  }
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::VclusterService::NewStub(channel)->Create(call.context(), request);
  return ShowMade(tool, call, *reader,
                  "create " + Printable(request.name().empty() ? arguments.file : request.name()));
}

Result<int> Clone(Tool& tool, const CloneArguments& arguments) {
  api::CloneRequest request;
  request.set_source(arguments.source);
  request.set_count(arguments.count);
  request.set_prefix(arguments.prefix);
  request.set_image(arguments.image);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::VclusterService::NewStub(channel)->Clone(call.context(), request);
  return ShowMade(tool, call, *reader, "clone " + Printable(arguments.source));
}

}  // namespace

void AddMakeCommands(Tool& tool) {
  auto create_arguments = std::make_shared<CreateArguments>();
  CLI::App* create = tool.AddCommand(
      "create", "Make a Vcluster and start its nodes",
      "  vcluster create hpc --image debian --nodes 3\n"
      "  vcluster create lab --image alice/tools:v2 --nodes 2 --cpus 1.5 --memory 512M --disk 5G\n"
      "  vcluster create -f spark.yaml\n"
      "  vcluster create mine --template alice/course:v2\n"
      "  vcluster create team --template course --count 30",
      [&tool, create_arguments] { return Create(tool, *create_arguments); });
  CreateArguments& made = *create_arguments;
  create->add_option("NAME", *made.request.mutable_name(),
                     "What it is called; with -f: instead of the file's name");
  CLI::Option* file = create->add_option("-f,--file", made.file,
                                         "A Vcluster file (docs/definition.md); -: standard input");
  CLI::Option* from =
      create->add_option("--template", made.from, "[OWNER/]NAME[:TAG] (vcluster template list)")
          ->excludes(file);
  create->add_option("--count", made.count, "With --template: NAME-1, NAME-2, …")
      ->needs(from)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  create->add_option("--image", *made.request.mutable_image(), "[OWNER/]NAME[:TAG]")
      ->excludes(file);
  create->add_option("--nodes", made.nodes, "How many")->excludes(file)->capture_default_str();
  create->add_option("--cpus", made.cpus, "Of each node, such as 1.5; 0: no limit")
      ->excludes(file)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  create->add_option("--memory", made.memory, "Of each node, such as 512M; 0: no limit")
      ->excludes(file)
      ->capture_default_str();
  create->add_option("--processes", made.processes, "Of each node; 0: the host's default")
      ->excludes(file)
      ->capture_default_str();
  create
      ->add_option("--disk", made.disk,
                   "What each node may write, such as 5G; 0: no limit (the host's default)")
      ->excludes(file);
  create
      ->add_option("--driver", *made.request.mutable_driver(),
                   "kernel or fuse; the host's best when not given")
      ->check(CLI::IsMember({"kernel", "fuse"}));
  create
      ->add_flag_callback(
          "--preempt", [create_arguments] { create_arguments->request.set_preempts(true); },
          "Nodes of lower priority stop if it finds no room otherwise (admins)")
      ->excludes(from);

  auto clone_arguments = std::make_shared<CloneArguments>();
  CLI::App* clone =
      tool.AddCommand("clone", "Make copies of a Vcluster that share everything they do not change",
                      "  vcluster clone lab --count 30 --prefix student-\n"
                      "  vcluster clone hpc --count 10 --image tools:v2",
                      [&tool, clone_arguments] { return Clone(tool, *clone_arguments); });
  clone->add_option("NAME", clone_arguments->source, "The Vcluster to copy")->required();
  clone->add_option("--count", clone_arguments->count, "How many copies")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  clone->add_option("--prefix", clone_arguments->prefix,
                    "Copies are PREFIX1, PREFIX2, …; NAME- when not given");
  clone->add_option("--image", clone_arguments->image,
                    "Start from this image, not from those of the nodes");
}

}  // namespace strata::tools
