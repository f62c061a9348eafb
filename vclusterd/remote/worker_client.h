// WorkerClient: finds the leader among the masters, says hello, and reports until that fails; then
// it looks again. One thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/worker.grpc.pb.h"
#include "vclusterd/remote/membership.h"
#include "vclusterd/remote/obedience.h"

namespace strata::vcluster {

struct MasterAddress {
  std::string host;
  std::string address;  // "10.0.0.1:7445"
};
// "lab-1=10.0.0.1:7445,lab-2=10.0.0.2:7445". kInvalidArgument.
Result<std::vector<MasterAddress>> ParseMasters(const std::string& text);

class WorkerClient {
 public:
  struct Options {
    std::vector<MasterAddress> masters;
    std::string address;  // Where our own worker listens.
    host::v1::Capacity capacity;
    uint32_t underlay_mtu = 0;
    std::chrono::milliseconds retry_pause{500};
    std::chrono::milliseconds answer_max{5000};
  };
  // What the nodes are now, all of them.
  using Statuses = std::function<std::vector<host::v1::PartStatus>()>;
  // What the host uses, when that was measured since the last call.
  using Load = std::function<std::optional<host::v1::HostLoad>()>;
  using Addresses = std::function<Result<std::vector<std::string>>()>;
  // The host's part in the fabric: how it is, and how it should be. May be empty.
  struct Fabric {
    std::function<host::v1::FabricReport()> report;
    std::function<void(const host::v1::FabricOrder&)> take;
  };

  // `membership` and `obedience` must outlive this.
  WorkerClient(Options options, Membership& membership, Obedience& obedience, Statuses statuses,
               Addresses addresses, Load load, Fabric fabric = {});
  ~WorkerClient();

  // Of a part that has changed; told to the leader at once.
  void Tell(const host::v1::PartStatus& status);
  // The part in the fabric has changed; told to the leader at once.
  void TellFabric();
  // To the leader that takes our reports; nullptr: there is none just now.
  std::shared_ptr<grpc::Channel> Leader();

 private:
  void Run(const std::stop_token& stop);
  // Ok: this master leads, and `session` is open with it.
  Status SayHello(const MasterAddress& master, std::string* leader);
  void ReportOn(const std::stop_token& stop);

  const Options options_;
  Membership& membership_;
  Obedience& obedience_;
  const Statuses statuses_;
  const Addresses addresses_;
  const Load load_;
  const Fabric fabric_;
  const uint64_t session_;
  std::unique_ptr<host::v1::MasterService::Stub> leader_;  // Of the thread.
  host::v1::HelloResponse hello_;                          // Of the thread.
  std::mutex mutex_;                                       // Guards leader_channel_ and changed_.
  std::condition_variable_any wake_;
  std::shared_ptr<grpc::Channel> leader_channel_;
  std::map<uint32_t, host::v1::PartStatus> changed_;  // Not told yet, by number.
  bool fabric_changed_ = false;                       // Nor this.
  std::jthread thread_;                               // Last.
};

}  // namespace strata::vcluster
