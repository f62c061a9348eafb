// MasterService (vclusterd/api/worker.proto): workers say what they have, and that they are there.
// A worker of which nothing is heard for a while is taken from the master's hosts; its nodes stay
// its own.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

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

#include "common/result.h"
#include "vclusterd/api/worker.pb.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/master.h"
#include "vclusterd/remote/membership.h"

namespace strata::vcluster {

struct HostSessionsOptions {
  std::chrono::milliseconds report_every{2000};
  std::chrono::milliseconds lost_after{15'000};
  // Set: there is no thread; whoever made it calls Look often enough.
  std::function<std::chrono::steady_clock::time_point()> steady_now;
};

// The workers that this leader hears. Thread-safe.
class HostSessions {
 public:
  using MakeLink = std::function<Result<std::shared_ptr<HostLink>>(
      const std::string& host, const host::v1::HelloRequest& request)>;

  // Both must outlive this.
  HostSessions(HostSessionsOptions options, Master& master, Membership& membership);
  HostSessions(HostSessionsOptions options, Master& master, MakeLink make_link);
  ~HostSessions();

  // Ok without an epoch: the host is to make the fabric that the response says, by which it is
  // called, and to say hello again.
  Status Hello(const std::string& host, const host::v1::HelloRequest& request,
               host::v1::HelloResponse* response);
  // kFailedPrecondition: its session is not known here.
  Status Report(const std::string& host, const host::v1::ReportRequest& request,
                host::v1::ReportResponse* response);
  // Ends the sessions of workers that have been silent for too long.
  void Look();

 private:
  using Clock = std::chrono::steady_clock;
  struct Session {
    uint64_t number = 0;
    uint64_t hello = 0;
    std::shared_ptr<HostLink> link;
    Clock::time_point heard;
  };
  Clock::time_point Now() const {
    return options_.steady_now ? options_.steady_now() : Clock::now();
  }
  void Watch(const std::stop_token& stop);

  const HostSessionsOptions options_;
  Master& master_;
  const MakeLink make_link_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable_any wake_;
  std::map<std::string, Session> sessions_;  // By host.
  // Held while a host of the name joins; taken before mutex_.
  std::map<std::string, std::shared_ptr<std::mutex>> joining_;
  std::jthread watcher_;  // Last: it uses all of the above.
};

// Who answers Hello: the leader's sessions, or who leads.
struct LeaderView {
  std::shared_ptr<HostSessions> sessions;  // nullptr: this master does not lead.
  std::string leader;                      // Its host, as far as that is known.
  std::shared_ptr<Clusters> clusters;      // nullptr as `sessions`. For what nodes ask.
};
using FindLeader = std::function<LeaderView()>;

std::unique_ptr<grpc::Service> MakeMasterService(FindLeader find, Membership& membership);

}  // namespace strata::vcluster
