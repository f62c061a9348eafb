#include "vclusterd/rest/vcluster_json.h"

#include "common/printable.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

constexpr double kCpusMax = 100'000;

std::string_view NameOf(ChangeEffect effect) {
  switch (effect) {
    case ChangeEffect::kLive:
      return "at-once";
    case ChangeEffect::kNextStart:
      return "next-start";
    case ChangeEffect::kRecreate:
      return "recreates";
    case ChangeEffect::kRefused:
      return "refused";
  }
  return "refused";
}

Json UsageJson(const host::v1::Usage& usage) {
  return {{"cpus", usage.cpus()},
          {"memory_bytes", usage.memory_bytes()},
          {"read_bytes_per_s", usage.read_bytes_per_s()},
          {"written_bytes_per_s", usage.written_bytes_per_s()},
          {"received_bytes_per_s", usage.received_bytes_per_s()},
          {"sent_bytes_per_s", usage.sent_bytes_per_s()},
          {"cpu_pressure", usage.cpu_pressure()},
          {"memory_pressure", usage.memory_pressure()},
          {"io_pressure", usage.io_pressure()},
          {"seconds", usage.seconds()}};
}

Json UsageSchema() {
  const auto pressure = [](const std::string& waited_for) {
    return Real("The share of ten seconds in which processes of it waited for " + waited_for +
                    " (PSI); 0 where the kernel does not tell.",
                0, 1);
  };
  return Members("What a node or a host used over some seconds.")
      .Must("cpus", Real("Mean; 1.5 is one and a half cores.", 0, kCpusMax))
      .Must("memory_bytes", Whole("Memory."))
      .Must("read_bytes_per_s", Whole("From block devices."))
      .Must("written_bytes_per_s", Whole("To block devices."))
      .Must("received_bytes_per_s", Whole("From the network."))
      .Must("sent_bytes_per_s", Whole("To the network."))
      .Must("cpu_pressure", pressure("a CPU"))
      .Must("memory_pressure", pressure("memory"))
      .Must("io_pressure", pressure("block devices"))
      .Must("seconds", Real("That it is of.", 0, 1e9));
}

Json HistorySchema() {
  return Members("What it used in the last six hours, as long as its host's daemon runs.")
      .Must("points",
            ListOf(Members("Means of a minute; minutes without a measurement are left out.")
                       .Must("unix_ms", Whole("Where the minute begins."))
                       .Must("usage", Ref("Usage"))
                       .May("disk_free_bytes", Whole("Of a host: for what its nodes write.")),
                   "The oldest first; the last is the running minute."));
}

Json HostSchema() {
  return Members("A host.")
      .Must("name", Text("Its name."))
      .Must("present", Flag("It is heard."))
      .Must("draining", Flag("It gets no nodes."))
      .Must("cpus", Real("Cores.", 0, kCpusMax))
      .Must("memory_bytes", Whole("Memory."))
      .Must("disk_bytes", Whole("Disk."))
      .Must("labels", ListOf(Text("A label."), "Its labels."))
      .Must("nodes", Whole("That are on it."))
      .May("usage", Ref("Usage"))
      .May("disk_free_bytes", Whole("For what its nodes write; with usage."));
}

Json NodeSchema() {
  return Members("A node of a Vcluster.")
      .Must("name", Text("VCLUSTER/NODE"))
      .Must("hostname", Text("In its network."))
      .Must("role", Text("Its role."))
      .Must("host", Text("The host that has it; empty: none yet."))
      .Must("address", Text("In its network."))
      .Must("state", Word("How it is.", {"creating", "running", "stopped", "breakdown"}))
      .Must("ready", Flag("It runs, and its hooks and its check say so."))
      .Must("image", Text("As it was asked for."))
      .May("image_digest", Text("Which one that was."))
      .Must("limits", Members("What it may use; 0: no limit.")
                          .Must("cpus", Real("Cores.", 0, kCpusMax))
                          .Must("memory_bytes", Whole("Memory."))
                          .Must("processes", Whole("Processes; 0: the host's default."))
                          .Must("disk_bytes", Whole("Of its own changes.")))
      .May("driver", Text("Of its root: kernel, fuse."))
      .May("volume", Text("Kind of its volume."))
      .Must("upper_bytes", Whole("Disk that its changes take, as far as that was looked at."))
      .May("problem", Text("Why it is not as it should be.", 10'000))
      .Must("start_ms", Real("From its creation until it ran.", 0, 1e12))
      .Must("restarts", Whole("After breakdowns."))
      .Must("ports", ListOf(Members("A port of its host that leads to it.")
                                .Must("node_port", Whole("In the node.", 0, 65535))
                                .Must("host_port", Whole("Of the host.", 0, 65535))
                                .May("role_port", Whole("Of the host, too: it leads to all nodes "
                                                        "of the role.",
                                                        0, 65535))
                                .Must("protocol", Word("Which.", {"tcp", "udp"})),
                            "Ports."))
      .May("hooks", ListOf(Members("The last run of a hook.")
                               .Must("hook", Text("Which."))
                               .Must("unix_ms", Whole("When."))
                               .Must("seconds", Real("How long.", 0, 1e9))
                               .Must("exit_code", Whole("-1: it did not end by itself.", -1, 255))
                               .May("problem", Text("Why it failed.", 10'000))
                               .Must("output", Text("The end of what it said.", 400'000)),
                           "Hooks that ran."))
      .May("usage", Ref("Usage"));
}

Json VclusterSchemaOf(bool is_summary) {
  Members members(is_summary ? "What of a Vcluster is worth an event." : "A Vcluster.");
  members.Must("name", Text("Of the Vcluster."))
      .Must("owner", Text("Whose it is."))
      .Must("owner_uid", Whole("The owner's number."))
      .Must("address", Text("/v1/vclusters/OWNER:NAME"))
      .Must("expires_unix_s", Whole("When its time is over; 0: never."))
      .Must("notice", Text("What will happen to it soon, or has happened.", 10'000))
      .Must("node_count", Whole("Nodes."))
      .Must("ready_count", Whole("Of them, ready ones."));
  if (!is_summary) {
    members.Must("subnet", Text("Of its nodes."))
        .Must("created_unix_ms", Whole("When it was made."))
        .May("cloned_from", Text("OWNER/NAME"))
        .May("description", Text("For people.", 10'000))
        .May("nodes", ListOf(Ref("Node"), "Unless they were not asked for."));
    return members;
  }
  members.Must("states", Json{{"type", "object"},
                              {"description", "State by node."},
                              {"additionalProperties", {{"type", "string"}}}});
  return members;
}

}  // namespace

std::string_view NameOf(NodeCondition condition) {
  switch (condition) {
    case NodeCondition::kCreating:
      return "creating";
    case NodeCondition::kRunning:
      return "running";
    case NodeCondition::kStopped:
      return "stopped";
    case NodeCondition::kBreakdown:
      return "breakdown";
  }
  return "breakdown";
}

Json ToJson(const NodeView& node) {
  Json json = {{"name", node.name},
               {"hostname", node.hostname},
               {"role", node.role},
               {"host", node.host},
               {"address", node.address.ToString()},
               {"state", NameOf(node.condition)},
               {"ready", node.ready},
               {"image", node.image},
               {"limits",
                {{"cpus", node.limits.cpus},
                 {"memory_bytes", node.limits.memory_bytes},
                 {"processes", node.limits.processes},
                 {"disk_bytes", node.disk_limit_bytes}}},
               {"upper_bytes", node.upper_bytes},
               {"start_ms", node.start_ms},
               {"restarts", node.restarts}};
  if (!node.image_digest.empty()) json["image_digest"] = node.image_digest;
  if (!node.driver.empty()) json["driver"] = node.driver;
  if (!node.volume.empty()) json["volume"] = node.volume;
  if (!node.problem.empty()) json["problem"] = node.problem;
  Json& ports = json["ports"] = Json::array();
  for (const host::v1::Forward& port : node.ports) {
    ports.push_back({{"node_port", port.node_port()},
                     {"host_port", port.host_port()},
                     {"protocol", port.udp() ? "udp" : "tcp"}});
    if (port.role_port() != 0) ports.back()["role_port"] = port.role_port();
  }
  for (const host::v1::HookRun& run : node.hooks) {
    Json hook = {{"hook", run.hook()},
                 {"unix_ms", run.unix_ms()},
                 {"seconds", run.seconds()},
                 {"exit_code", run.exit_code()},
                 {"output", PrintableText(run.output())}};
    if (!run.problem().empty()) hook["problem"] = run.problem();
    json["hooks"].push_back(std::move(hook));
  }
  if (node.usage.has_value()) json["usage"] = UsageJson(*node.usage);
  return json;
}

namespace {

Json HeadJson(const ClusterView& view) {
  uint32_t ready = 0;
  for (const NodeView& node : view.nodes) ready += node.ready ? 1 : 0;
  return {{"name", view.name},
          {"owner", view.owner},
          {"owner_uid", view.owner_uid},
          {"address", "/v1/vclusters/" + view.owner + ":" + view.name},
          {"expires_unix_s", view.expires_unix_s},
          {"notice", view.notice},
          {"node_count", view.nodes.size()},
          {"ready_count", ready}};
}

}  // namespace

Json ToJson(const ClusterView& view, bool with_nodes) {
  Json json = HeadJson(view);
  json["subnet"] = view.prefix.ToString();
  json["created_unix_ms"] = view.created_unix_ms;
  if (!view.cloned_from.empty()) json["cloned_from"] = view.cloned_from;
  if (!view.description.empty()) json["description"] = view.description;
  if (!with_nodes) return json;
  Json& nodes = json["nodes"] = Json::array();
  for (const NodeView& node : view.nodes) nodes.push_back(ToJson(node));
  return json;
}

Json ToJson(const std::vector<ClusterView>& views) {
  Json list = Json::array();
  for (const ClusterView& view : views) list.push_back(ToJson(view, /*with_nodes=*/true));
  return {{"vclusters", std::move(list)}};
}

Json SummaryJson(const ClusterView& view) {
  Json json = HeadJson(view);
  Json& states = json["states"] = Json::object();
  for (const NodeView& node : view.nodes) states[node.name] = NameOf(node.condition);
  return json;
}

Json ToJson(const std::vector<DefinitionChange>& changes) {
  Json json = Json::array();
  for (const DefinitionChange& change : changes) {
    json.push_back({{"path", change.path},
                    {"from", change.from},
                    {"to", change.to},
                    {"effect", NameOf(change.effect)}});
  }
  return json;
}

Json ToJson(const Clusters::Applied& applied) {
  Json json = {{"changes", ToJson(applied.changes)}, {"created", applied.created}};
  if (applied.view.has_value()) json["vcluster"] = ToJson(*applied.view, /*with_nodes=*/true);
  return json;
}

Json ToJson(const std::vector<Master::HostView>& hosts) {
  Json list = Json::array();
  for (const Master::HostView& host : hosts) {
    Json labels = Json::array();
    for (const std::string& label : host.capacity.labels()) labels.push_back(label);
    Json json = {{"name", host.name},
                 {"present", host.present},
                 {"draining", host.draining},
                 {"cpus", host.capacity.cpus()},
                 {"memory_bytes", host.capacity.memory_bytes()},
                 {"disk_bytes", host.capacity.disk_bytes()},
                 {"labels", std::move(labels)},
                 {"nodes", host.nodes}};
    if (!host.notice.empty()) json["notice"] = host.notice;
    if (host.load.has_value()) {
      json["usage"] = UsageJson(host.load->usage());
      json["disk_free_bytes"] = host.load->disk_free_bytes();
    }
    list.push_back(std::move(json));
  }
  return {{"hosts", std::move(list)}};
}

Json ToJson(const host::v1::UsageHistory& history) {
  Json points = Json::array();
  for (const host::v1::UsagePoint& point : history.points()) {
    Json json = {{"unix_ms", point.unix_s() * 1000}, {"usage", UsageJson(point.usage())}};
    if (point.disk_free_bytes() != 0) json["disk_free_bytes"] = point.disk_free_bytes();
    points.push_back(std::move(json));
  }
  return {{"points", std::move(points)}};
}

Json ToJson(const SaveNodeResult& saved) {
  const auto ms = [](std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  Json scrubbed = Json::array();
  for (const imaged::ScrubbedSecret& secret : saved.image.scrubbed) {
    scrubbed.push_back({{"path", secret.path},
                        {"category", secret.category},
                        {"action", secret.action},
                        {"reason", secret.reason}});
  }
  return {{"reference", saved.image.reference},
          {"digest", saved.image.digest},
          {"entries", saved.image.entries},
          {"layer_bytes", saved.image.layer_bytes},
          {"new_bytes", saved.image.new_bytes},
          {"stall_ms", ms(saved.stall)},
          {"total_ms", ms(saved.total)},
          {"scrubbed", std::move(scrubbed)},
          {"scrubbed_count", saved.image.scrubbed_count}};
}

void AddVclusterSchemas(RouteTable* table) {
  table->AddSchema("Usage", UsageSchema());
  table->AddSchema("UsageHistory", HistorySchema());
  table->AddSchema("Node", NodeSchema());
  table->AddSchema("Vcluster", VclusterSchemaOf(/*is_summary=*/false));
  table->AddSchema("VclusterSummary", VclusterSchemaOf(/*is_summary=*/true));
  table->AddSchema("VclusterList",
                   Members("Vclusters, by owner and name.")
                       .Must("vclusters", ListOf(Ref("Vcluster"), "Those that you may see."))
                       .May("next", Text("There are more: ask again with after=")));
  const Json change =
      Members("A key of the definition that differs.")
          .Must("path", Text("roles.worker.count", 10'000))
          .Must("from", Text("What it is; empty: it is not there.", 1 << 20))
          .Must("to", Text("What it becomes; empty: it goes.", 1 << 20))
          .Must("effect", Word("When.", {"at-once", "next-start", "recreates", "refused"}));
  table->AddSchema("Changes", Members("What a definition would change.")
                                  .Must("changes", ListOf(change, "Key by key."))
                                  .Must("created", Flag("There is no such Vcluster yet.")));
  table->AddSchema("HostList",
                   Members("The hosts.").Must("hosts", ListOf(HostSchema(), "By name.")));
}

}  // namespace strata::vcluster::rest
