// Vclusters of builds whose client was killed. A build's Vcluster is named by the process that made
// it, "build-NAMESPACE-PID-START-COUNT" (of its pid namespace, in hex), so that it can be told
// whether that still runs. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {

struct BuildClient {
  uint64_t pid_namespace = 0;
  uint64_t pid = 0;
  uint64_t start_ticks = 0;  // Since boot: another process with the same pid has another one.
  bool operator==(const BuildClient&) const = default;
};

// Of this process.
Result<BuildClient> ThisClient();
std::string BuildClusterName(const BuildClient& client, uint64_t count);
// Who made a Vcluster; nullopt: no build.
std::optional<BuildClient> ClientOf(const std::string& cluster);
// Whether it is gone for sure: one of another pid namespace never is.
bool IsGone(const BuildClient& client);

// Deletes the Vclusters of the caller's own builds that are gone; answers their names.
Result<std::vector<std::string>> RemoveLeftovers(vcluster::v1::VclusterService::Stub& vclusterd);

}  // namespace strata::tools
