#include <istream>
#include <map>
#include <ostream>

#include "common/file_io.h"
#include "common/printable.h"
#include "imaged/api/peer.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

using Stub = api::ClusterService::Stub;

constexpr size_t kFingerprintShown = 16;
constexpr size_t kTokenBytesMax = 4096;

// One call and its answer: `method` is the stub's.
template <typename Request, typename Response>
Result<Response> Ask(Tool& tool,
                     grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const Request& request) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::ClusterService::NewStub(channel);
  Call call;
  Response response;
  const grpc::Status status = (stub.get()->*method)(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  return response;
}

const api::Host* SelfIn(const api::ClusterState& state) {
  for (const api::Host& host : state.list().hosts()) {
    if (host.name() == state.self()) return &host;
  }
  return nullptr;
}

// JSON, or a line about it.
Result<int> Tell(Tool& tool, const google::protobuf::Message& message, const std::string& line) {
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(message, tool.console().out));
  } else {
    tool.console().out << line << '\n';
  }
  return kExitOk;
}

Result<int> Init(Tool& tool, const api::InitClusterRequest& request) {
  ASSIGN_OR_RETURN(const auto state, Ask(tool, &Stub::InitCluster, request));
  return Tell(tool, state,
              "this host is now '" + Printable(state.self()) +
                  "' of a new cluster; 'vimage host token' lets others join");
}

Result<int> MakeToken(Tool& tool, const api::MakeTokenRequest& request) {
  ASSIGN_OR_RETURN(const auto made, Ask(tool, &Stub::MakeToken, request));
  if (!tool.json()) {
    tool.console().err << "Good for one host, until " << LocalTime(made.expires_unix_ms())
                       << ". On that host: vimage host join TOKEN" << std::endl;
  }
  return Tell(tool, made, Printable(made.token(), kTokenBytesMax));
}

Result<int> Join(Tool& tool, api::JoinRequest request) {
  if (request.token() == "-") {
    ASSIGN_OR_RETURN(std::string token, ReadAll(tool.console().stdin_fd, kTokenBytesMax));
    token.erase(token.find_last_not_of(" \t\r\n") + 1);
    request.set_token(token);
  }
  ASSIGN_OR_RETURN(const auto state, Ask(tool, &Stub::Join, request));
  return Tell(tool, state,
              "this host is now '" + Printable(state.self()) + "' of a cluster of " +
                  HumanCount(static_cast<uint64_t>(state.list().hosts_size())) + " hosts");
}

void PrintHosts(const api::ClusterState& state, std::ostream& out) {
  Table table({"HOST", "ADDRESS", "ROLE", "CERTIFICATE", "EXPIRES", "LAST SEEN"});
  for (const api::Host& host : state.list().hosts()) {
    const bool self = host.name() == state.self();
    std::string fingerprint = "-";
    std::string expires = "-";
    if (host.certificates_size() > 0) {
      const auto& newest = host.certificates(host.certificates_size() - 1);
      fingerprint = newest.sha256().substr(0, kFingerprintShown);
      expires = LocalTime(newest.expires_unix_ms());
    }
    const std::string seen =
        host.last_seen_unix_ms() == 0 ? "-" : LocalTime(host.last_seen_unix_ms());
    table.Add({host.name(), host.address().empty() ? "-" : host.address(),
               host.issuer() ? "issuer" : "host", fingerprint, expires, self ? "this host" : seen});
  }
  table.Print(out);
}

Result<int> List(Tool& tool) {
  ASSIGN_OR_RETURN(const auto state, Ask(tool, &Stub::ListHosts, api::ListHostsRequest()));
  if (tool.json()) return Tell(tool, state, "");
  PrintHosts(state, tool.console().out);
  return kExitOk;
}

Result<int> Remove(Tool& tool, const std::string& name) {
  api::RemoveHostRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(const auto state, Ask(tool, &Stub::RemoveHost, request));
  return Tell(tool, state,
              Printable(name) +
                  " is removed: its certificates are refused here at once, and "
                  "within 10 seconds by the other hosts that reach this one");
}

Result<int> Renew(Tool& tool) {
  ASSIGN_OR_RETURN(const auto state, Ask(tool, &Stub::RenewCertificate, api::RenewRequest()));
  const api::Host* const self = SelfIn(state);
  std::string until;
  if (self != nullptr && self->certificates_size() > 0) {
    const auto& newest = self->certificates(self->certificates_size() - 1);
    until = ", good until " + LocalTime(newest.expires_unix_ms());
  }
  return Tell(tool, state, "a new certificate" + until);
}

// --name and --address, which init and join share.
template <typename Request>
void AddSelfOptions(CLI::App* command, const std::shared_ptr<Request>& request) {
  command
      ->add_option_function<std::string>(
          "--name", [request](const std::string& name) { request->set_host_name(name); },
          "What this host is called in the cluster (as imaged was started)")
      ->type_name("NAME");
  command
      ->add_option_function<std::string>(
          "--address", [request](const std::string& to) { request->set_address(to); },
          "Where the other hosts reach it (where imaged listens)")
      ->type_name("ADDRESS:PORT");
}

void AddMembershipCommands(Tool& tool, CLI::App* group) {
  auto init = std::make_shared<api::InitClusterRequest>();
  AddSelfOptions(tool.AddCommand(
                     "init", "Make a cluster of this host, which others can join",
                     "  vimage host init\n"
                     "  vimage host init --name lab-1 --address 10.0.0.1:7443",
                     [&tool, init] { return Init(tool, *init); }, group),
                 init);
  auto join = std::make_shared<api::JoinRequest>();
  CLI::App* command = tool.AddCommand(
      "join", "Make this host one of a cluster",
      "  vimage host join strata1-…\n  ssh lab-1 vimage host token | vimage host join -",
      [&tool, join] { return Join(tool, *join); }, group);
  command
      ->add_option_function<std::string>(
          "TOKEN", [join](const std::string& token) { join->set_token(token); },
          "What 'vimage host token' printed; - reads it from standard input, so that it does not "
          "show in the list of processes")
      ->required();
  AddSelfOptions(command, join);
}

}  // namespace

void AddHostCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("host", "The hosts that trust each other (as root)");
  AddMembershipCommands(tool, group);

  auto token = std::make_shared<api::MakeTokenRequest>();
  CLI::App* make = tool.AddCommand(
      "token", "A token with which one more host can join, once",
      "  vimage host token\n  vimage host token --ttl 10m",
      [&tool, token] { return MakeToken(tool, *token); }, group);
  make->add_option_function<int64_t>(
          "--ttl", [token](int64_t seconds) { token->set_ttl_s(seconds); },
          "How long it is good: 30s, 10m, 1h (default), up to 7d")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, int64_t>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}))
      ->check(CLI::PositiveNumber)
      ->type_name("TIME");

  tool.AddCommand(
      "list", "The hosts of the cluster",
      "  vimage host list\n  vimage host list --json | jq -r '.list.hosts[].name'",
      [&tool] { return List(tool); }, group);
  auto name = std::make_shared<std::string>();
  CLI::App* remove = tool.AddCommand(
      "remove", "Take a host out of the cluster: it is refused from now on",
      "  vimage host remove lab-3", [&tool, name] { return Remove(tool, *name); }, group);
  remove->add_option("HOST", *name, "Its name in 'vimage host list'")->required();
  tool.AddCommand(
      "renew", "A new key and certificate for this host (happens by itself in time)",
      "  vimage host renew", [&tool] { return Renew(tool); }, group);
}

}  // namespace strata::tools
