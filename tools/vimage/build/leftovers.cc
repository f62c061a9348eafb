#include "tools/vimage/build/leftovers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <sstream>

#include "common/file_io.h"
#include "tools/cli/tool.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

constexpr std::string_view kPrefix = "build-";
constexpr size_t kStatBytesMax = 4096;
constexpr int kStartField = 22;  // Of /proc/PID/stat (proc_pid_stat(5)), from 1.

struct Running {
  char state = 0;
  uint64_t start_ticks = 0;
};

Result<Running> ReadStat(const std::string& pid) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/" + pid + "/stat", kStatBytesMax));
  const size_t name_end = text.rfind(')');  // The name may hold anything.
  if (name_end == std::string::npos) return Error(Code::kInternal, "/proc: no stat of " + pid);
  std::istringstream rest(text.substr(name_end + 1));
  Running running;
  std::string field;
  for (int number = 3; number <= kStartField && rest >> field; ++number) {
    if (number == 3) running.state = field[0];
    if (number == kStartField) {
      std::from_chars(field.data(), field.data() + field.size(), running.start_ticks);
    }
  }
  if (running.start_ticks == 0) return Error(Code::kInternal, "/proc: no start of " + pid);
  return running;
}

Result<uint64_t> ThisPidNamespace() {
  struct stat st;
  if (::stat("/proc/self/ns/pid", &st) != 0) return Errno("/proc/self/ns/pid");
  return static_cast<uint64_t>(st.st_ino);
}

}  // namespace

Result<BuildClient> ThisClient() {
  BuildClient client;
  ASSIGN_OR_RETURN(client.pid_namespace, ThisPidNamespace());
  client.pid = static_cast<uint64_t>(::getpid());
  ASSIGN_OR_RETURN(const Running self, ReadStat("self"));
  client.start_ticks = self.start_ticks;
  return client;
}

std::string BuildClusterName(const BuildClient& client, uint64_t count) {
  char name[100];
  std::snprintf(name, sizeof(name), "build-%lx-%lx-%lx-%lx",
                static_cast<unsigned long>(client.pid_namespace),
                static_cast<unsigned long>(client.pid),
                static_cast<unsigned long>(client.start_ticks), static_cast<unsigned long>(count));
  return name;
}

std::optional<BuildClient> ClientOf(const std::string& cluster) {
  if (!cluster.starts_with(kPrefix)) return std::nullopt;
  uint64_t numbers[4] = {};
  const char* at = cluster.data() + kPrefix.size();
  const char* const end = cluster.data() + cluster.size();
  for (size_t i = 0; i < 4; ++i) {
    const auto [next, error] = std::from_chars(at, end, numbers[i], 16);
    if (error != std::errc() || (i < 3 ? next == end || *next != '-' : next != end)) {
      return std::nullopt;
    }
    at = next + 1;
  }
  return BuildClient{numbers[0], numbers[1], numbers[2]};
}

bool IsGone(const BuildClient& client) {
  const auto own = ThisPidNamespace();
  if (!own.ok() || *own != client.pid_namespace) return false;
  const auto running = ReadStat(std::to_string(client.pid));
  if (!running.ok()) return running.error().code() == Code::kNotFound;
  if (running->start_ticks != client.start_ticks) return true;
  return running->state == 'Z' || running->state == 'X';  // Killed, and not waited for yet.
}

Result<std::vector<std::string>> RemoveLeftovers(api::VclusterService::Stub& vclusterd) {
  grpc::ClientContext list_context;
  api::Clusters clusters;
  const grpc::Status listed = vclusterd.List(&list_context, api::ListRequest(), &clusters);
  if (!listed.ok()) return CallError(listed, Daemon::kVclusterd);
  std::vector<std::string> removed;
  for (const api::VclusterInfo& cluster : clusters.clusters()) {
    if (cluster.owner_uid() != ::geteuid()) continue;  // Root sees everybody's.
    const auto client = ClientOf(cluster.name());
    if (!client || !IsGone(*client)) continue;
    grpc::ClientContext context;
    api::DeleteRequest request;
    request.set_name(cluster.name());
    api::DeleteResponse response;
    const grpc::Status deleted = vclusterd.Delete(&context, request, &response);
    // Another build may have come first.
    if (deleted.error_code() == grpc::StatusCode::NOT_FOUND) continue;
    if (!deleted.ok()) return CallError(deleted, Daemon::kVclusterd);
    removed.push_back(cluster.name());
  }
  return removed;
}

}  // namespace strata::tools
