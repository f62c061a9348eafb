// Objects from another host of the cluster, over TLS.
#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "imaged/fetch/object_fetcher.h"
#include "imaged/peers/cluster.h"

namespace strata::imaged {

class HostFetcher final : public ObjectFetcher {
 public:
  // Connects at the first use, and again after a failure, with the identity and the address of
  // that time; the host need not be known yet. `cluster` must outlive this.
  HostFetcher(Cluster* cluster, std::string host) : cluster_(cluster), host_(std::move(host)) {}

  std::string Name() const override { return "host " + host_; }
  Result<uint64_t> SizeOf(const Digest& digest) override;
  // kDeadlineExceeded when no byte comes for half a minute.
  Status Fetch(const Digest& digest, const Sink& sink, const CancelToken& cancel) override;

 private:
  Result<std::shared_ptr<grpc::Channel>> Connect();
  // Tells why a call failed; a channel that may be out of date is given up.
  Error Failed(const grpc::Status& status);

  Cluster* const cluster_;
  const std::string host_;
  std::mutex mutex_;  // Guards what follows. Held while connecting, so that one thread does it.
  std::shared_ptr<grpc::Channel> channel_;
  std::optional<Error> unreachable_;  // Said to those who waited, instead of trying for each.
  std::chrono::steady_clock::time_point unreachable_since_;
};

}  // namespace strata::imaged
