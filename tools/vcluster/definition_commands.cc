#include <charconv>
#include <optional>
#include <ostream>

#include "common/file_io.h"
#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/cli/unary_call.h"
#include "tools/vcluster/follow.h"
#include "tools/vcluster/print_clusters.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/vcluster.grpc.pb.h"
#include "vclusterd/definition/schema.h"
#include "vclusterd/definition/units.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

constexpr int kExitDiffers = 1;  // As diff(1).

struct ApplyArguments {
  std::string file;
  std::string name;
  bool dry_run = false;
  bool recreate = false;
};

const char* EffectText(api::ChangeEffect effect) {
  switch (effect) {
    case api::AT_ONCE:
      return "at once";
    case api::NEXT_START:
      return "at each node's next start";
    case api::RECREATES:
      return "nodes are made anew, what they wrote is lost";
    default:
      return "refused";
  }
}

void PrintChanges(const api::ApplyResult& result, std::ostream& out) {
  for (const api::DefinitionChange& change : result.changes()) {
    const std::string from = change.from().empty() ? "(none)" : change.from();
    const std::string to = change.to().empty() ? "(none)" : change.to();
    out << Printable(change.path()) << ": " << Printable(from) << " -> " << Printable(to) << " ("
        << EffectText(change.effect()) << ")\n";
  }
}

constexpr char kCancelled[] = "cancelled: what was asked for goes on (vcluster list -l)";

Status PrintApplied(Tool& tool, const api::ApplyResult& result) {
  if (tool.json()) return PrintJson(result, tool.console().out);
  PrintChanges(result, tool.console().out);
  api::Clusters clusters;
  *clusters.mutable_clusters() = result.clusters();
  if (!clusters.clusters().empty()) PrintNodeTable(clusters, tool.console().out);
  return Ok();
}

Result<int> Apply(Tool& tool, const ApplyArguments& arguments) {
  api::ApplyRequest request;
  ASSIGN_OR_RETURN(*request.mutable_definition(), ReadDefinitionFile(arguments.file));
  request.set_file_name(arguments.file);
  request.set_name(arguments.name);
  request.set_dry_run(arguments.dry_run);
  request.set_recreate(arguments.recreate);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::VclusterService::NewStub(channel)->Apply(call.context(), request);
  ASSIGN_OR_RETURN(const api::ApplyResult result,
                   Follow(tool, call, *reader, "apply " + Printable(arguments.file), kCancelled));
  RETURN_IF_ERROR(PrintApplied(tool, result));
  if (!tool.json() && arguments.dry_run && result.created()) {
    tool.console().out << "it would be made\n";
  }
  const bool differs = result.created() || result.changes_size() > 0;
  return arguments.dry_run && differs ? kExitDiffers : kExitOk;
}

// "web=5"
Result<int> Scale(Tool& tool, const std::string& name, const std::string& change) {
  api::ScaleRequest request;
  const size_t equals = change.find('=');
  uint32_t count = 0;
  const char* const end = change.data() + change.size();
  const char* const digits = change.data() + (equals == std::string::npos ? 0 : equals + 1);
  const auto parsed = std::from_chars(digits, end, count);
  if (digits == end || parsed.ec != std::errc() || parsed.ptr != end) {
    return Error(Code::kInvalidArgument,
                 "'" + change + "' is no ROLE=NUMBER, as in: vcluster scale web worker=5");
  }
  request.set_name(name);
  request.set_role(equals == std::string::npos ? "node" : change.substr(0, equals));
  request.set_count(count);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::VclusterService::NewStub(channel)->Scale(call.context(), request);
  ASSIGN_OR_RETURN(const api::ApplyResult result,
                   Follow(tool, call, *reader, "scale " + Printable(name), kCancelled));
  RETURN_IF_ERROR(PrintApplied(tool, result));
  return kExitOk;
}

Result<int> RotateKeys(Tool& tool, const std::string& name) {
  api::RotateKeysRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(
      const auto clusters,
      AskDaemon(tool, Daemon::kVclusterd, &api::VclusterService::Stub::RotateKeys, request));
  return Show(tool, clusters, [&](const api::Clusters& changed) {
    for (const api::VclusterInfo& cluster : changed.clusters()) {
      tool.console().out << Printable(cluster.name())
                         << ": new keys are given out; the old ones end when all nodes have them\n";
    }
  });
}

Result<int> Extend(Tool& tool, const std::string& name, const std::string& time) {
  api::ExtendRequest request;
  request.set_name(name);
  if (time != "never") {
    ASSIGN_OR_RETURN(const auto duration, vcluster::ParseDuration(time), "TIME");
    request.set_for_seconds(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  }
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Clusters clusters;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Extend(call.context(), request, &clusters);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(clusters, tool.console().out));
    return kExitOk;
  }
  for (const api::VclusterInfo& cluster : clusters.clusters()) {
    tool.console().out << Printable(cluster.name()) << ": "
                       << (cluster.expires_unix_s() == 0
                               ? "no end"
                               : "until " + LocalTime(cluster.expires_unix_s() * 1000))
                       << '\n';
  }
  return kExitOk;
}

Result<int> Export(Tool& tool, api::ExportRequest request) {
  request.set_json(tool.json());
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ExportResponse response;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Export(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  tool.console().out << response.definition();
  if (!response.definition().ends_with('\n')) tool.console().out << '\n';
  return kExitOk;
}

Result<int> Hooks(Tool& tool, const std::string& name) {
  api::ListRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Clusters clusters;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->List(call.context(), request, &clusters);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(clusters, tool.console().out));
    return kExitOk;
  }
  for (const api::VclusterInfo& cluster : clusters.clusters()) {
    for (const api::NodeInfo& node : cluster.nodes()) {
      for (const api::HookRun& run : node.hooks()) {
        std::ostream& out = tool.console().out;
        out << "== " << Printable(node.name()) << " " << Printable(run.hook()) << ", "
            << LocalTime(run.unix_ms()) << ", " << static_cast<int>(run.seconds() * 1000)
            << " ms: ";
        out << (run.problem().empty() ? "done" : Printable(run.problem())) << '\n';
        out << PrintableText(run.output());
        if (!run.output().empty() && !run.output().ends_with('\n')) out << '\n';
      }
    }
  }
  return kExitOk;
}

void AddApply(Tool& tool) {
  auto arguments = std::make_shared<ApplyArguments>();
  CLI::App* apply =
      tool.AddCommand("apply", "Make a Vcluster as a file says: anew, or by changing what is there",
                      "  vcluster apply -f spark.yaml\n  vcluster apply -f spark.yaml --dry-run\n"
                      "  vcluster export spark | sed 's/count: 3/count: 5/' | vcluster apply -f -",
                      [&tool, arguments] { return Apply(tool, *arguments); });
  apply->add_option("-f,--file", arguments->file, "A Vcluster file; -: standard input")->required();
  apply->add_option("--name", arguments->name, "Another name than the file's");
  apply->add_flag("--dry-run", arguments->dry_run, "Only say what would change");
  apply->add_flag("--recreate", arguments->recreate,
                  "Let nodes whose image changes be made anew: what they wrote is lost");

  auto compared = std::make_shared<ApplyArguments>();
  compared->dry_run = true;
  CLI::App* diff = tool.AddCommand(
      "diff", "What `apply` would change; exits with 1 when it is something",
      "  vcluster diff -f spark.yaml", [&tool, compared] { return Apply(tool, *compared); });
  diff->add_option("-f,--file", compared->file, "A Vcluster file; -: standard input")->required();
  diff->add_option("--name", compared->name, "Another name than the file's");
}

void AddExport(Tool& tool) {
  auto name = std::make_shared<std::string>();
  auto pin = std::make_shared<bool>(false);
  CLI::App* exported = tool.AddCommand(
      "export", "The file that makes this Vcluster again (--json: as JSON)",
      "  vcluster export spark > spark.yaml\n  vcluster export spark --pin > as-it-is-now.yaml",
      [&tool, name, pin] {
        api::ExportRequest request;
        request.set_name(*name);
        request.set_pin(*pin);
        return Export(tool, request);
      });
  exported->add_option("NAME", *name, "Which")->required();
  exported->add_flag("--pin", *pin,
                     "With the exact images of its nodes, whatever their names mean later");
}

}  // namespace

Result<std::string> ReadDefinitionFile(const std::string& path) {
  constexpr size_t kBytesMax = 2u << 20;  // More than vclusterd takes: it says so better.
  if (path == "-") return ReadAll(0, kBytesMax);
  return ReadFile(path, kBytesMax);
}

void AddDefinitionCommands(Tool& tool) {
  AddApply(tool);
  AddExport(tool);
  auto name = std::make_shared<std::string>();
  auto change = std::make_shared<std::string>();
  CLI::App* scale = tool.AddCommand("scale", "Change how many nodes a role has",
                                    "  vcluster scale spark worker=5\n  vcluster scale hpc 4",
                                    [&tool, name, change] { return Scale(tool, *name, *change); });
  scale->add_option("NAME", *name, "Which")->required();
  scale->add_option("ROLE=NUMBER", *change, "NUMBER alone: of a Vcluster without roles")
      ->required();

  auto time = std::make_shared<std::string>();
  CLI::App* extend = tool.AddCommand("extend", "Move the end of a Vcluster's time",
                                     "  vcluster extend lab 2h\n  vcluster extend lab never",
                                     [&tool, name, time] { return Extend(tool, *name, *time); });
  extend->add_option("NAME", *name, "Which")->required();
  extend->add_option("TIME", *time, "From now, as in 90m, 8h, 7d; or never")->required();

  CLI::App* rotate = tool.AddCommand(
      "rotate-keys", "New keys for ssh between a Vcluster's nodes; the old ones end",
      "  vcluster rotate-keys hpc", [&tool, name] { return RotateKeys(tool, *name); });
  rotate->add_option("NAME", *name, "Which")->required();

  CLI::App* hooks = tool.AddCommand("hooks", "What the hooks of nodes did, with their output",
                                    "  vcluster hooks spark\n  vcluster hooks spark/worker-1",
                                    [&tool, name] { return Hooks(tool, *name); });
  hooks->add_option("TARGET", *name, "NAME or NAME/NODE")->required();

  tool.AddCommand("schema", "The JSON schema of Vcluster files, for editors",
                  "  vcluster schema > vcluster.schema.json", [&tool]() -> Result<int> {
                    tool.console().out << vcluster::VclusterSchema();
                    return kExitOk;
                  });
}

}  // namespace strata::tools
