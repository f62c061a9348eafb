#include "tools/vimage/build/run_step.h"

#include <cstdio>

#include "tools/vimage/build/build_node.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;
using Stub = api::VclusterService::Stub;

// Where secrets lie: a tmpfs of the node's own, which no save sees. Their targets are symbolic
// links there, and are gone before the node is saved.
constexpr char kSecretDirectory[] = "/dev/shm/.build-secrets";

constexpr char kNeeds[] = "a secret needs sh, cat, mkdir, ln, chmod, chown and rm";

Status GiveSecrets(BuildNode& node, const std::vector<BuildSecret>& secrets) {
  for (size_t i = 0; i < secrets.size(); ++i) {
    const BuildSecret& secret = secrets[i];
    char mode[16];
    std::snprintf(mode, sizeof(mode), "%o", secret.mode);
    const std::string file = std::string(kSecretDirectory) + "/" + std::to_string(i);
    // Directories that are made for it are noted, to be taken away again.
    RETURN_IF_ERROR(
        node.Script("set -e; umask 077; d=$1; mkdir -p \"$d\"; chmod 711 \"$d\"; "
                    "cat >\"$2\"; chown \"$4\" \"$2\"; chmod \"$3\" \"$2\"; "
                    "umask 022; t=$5; p=${t%/*}; "
                    "while [ -n \"$p\" ] && [ ! -d \"$p\" ]; do echo \"$p\" >>\"$d/made\"; "
                    "p=${p%/*}; done; "
                    "mkdir -p \"${t%/*}/\"; ln -s \"$2\" \"$t\"",
                    {kSecretDirectory, file, mode,
                     std::to_string(secret.uid) + ":" + std::to_string(secret.gid), secret.target},
                    kNeeds, [&](const imaged::ByteSink& sink) { return sink(secret.content); }));
  }
  return Ok();
}

Status TakeSecretsBack(BuildNode& node, const std::vector<BuildSecret>& secrets) {
  for (const BuildSecret& secret : secrets) {
    RETURN_IF_ERROR(node.Script("if [ -L \"$1\" ]; then rm \"$1\"; fi", {secret.target}, kNeeds));
  }
  if (secrets.empty()) return Ok();
  return node.Script(
      "while read -r p; do rmdir \"$p\" 2>/dev/null || true; done "
      "<\"$1/made\" 2>/dev/null; rm -rf \"$1\"",
      {kSecretDirectory}, kNeeds);
}

Status RunCommand(BuildNode& node, const RunOrder& order, StepLog& log) {
  api::ExecStart start;
  for (const std::string& word : order.argv) start.add_argv(word);
  for (const std::string& variable : order.env) start.add_env(variable);
  start.set_working_directory(order.working_dir);
  start.set_uid(order.uid);
  start.set_gid(order.gid);
  ASSIGN_OR_RETURN(const int code, node.Exec(std::move(start), nullptr, [&](std::string_view text) {
    log.Output(text);
    return Ok();
  }));
  if (code == 0) return Ok();
  return Error(Code::kInternal, "the command exited with " + std::to_string(code));
}

}  // namespace

Status RunInNode(Stub& vclusterd, OpenCalls& calls, const RunOrder& order, StepLog& log) {
  BuildNode node(vclusterd, calls);
  RETURN_IF_ERROR(node.Create(order.image), "a node to run in");
  RETURN_IF_ERROR(MountTrees(node, order.mounts));
  RETURN_IF_ERROR(GiveSecrets(node, order.secrets));
  RETURN_IF_ERROR(RunCommand(node, order, log));
  RETURN_IF_ERROR(TakeSecretsBack(node, order.secrets));
  RETURN_IF_ERROR(UnmountTrees(node, order.mounts), "taking the step's mounts away");
  RETURN_IF_ERROR(node.Save(order.result, order.command_line), "saving");
  return node.Delete();
}

}  // namespace strata::tools
