// SingleHost: a whole Strata on one host: the records, the nodes, and the master of both, in one
// process.
#pragma once

#include <memory>

#include "common/records/record_store.h"
#include "common/result.h"
#include "imaged/client/host_image_client.h"
#include "vclusterd/host/host_config.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/local_host.h"
#include "vclusterd/master/master.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

// What its only host is called in records.
inline constexpr char kSingleHostName[] = "local";

class SingleHost {
 public:
  // Takes over what runs on this host under this state directory, and removes what a crash left.
  // All must outlive the result. `store` is `config`'s own (OpenDesiredState).
  static Result<std::unique_ptr<SingleHost>> Open(const HostConfig& config,
                                                  imaged::HostImageClient& images,
                                                  records::RecordStore& store, Users& users,
                                                  PlacerOptions placer = {});
  ~SingleHost();

  const std::shared_ptr<Clusters>& clusters() { return clusters_; }
  Master& master() { return *master_; }
  HostNodes& nodes() { return local_->nodes(); }

 private:
  SingleHost() = default;
  std::shared_ptr<LocalHost> local_;
  std::unique_ptr<Master> master_;
  std::shared_ptr<Clusters> clusters_;
};

// With this host's clock; `users` names and limits owners, and must outlive the master.
MasterOptions MakeMasterOptions(const std::string& name, const net::Ipv4Prefix& pool, Users& users);

// The records below the state directory.
Result<std::unique_ptr<records::RecordStore>> OpenDesiredState(const std::string& state_dir);

}  // namespace strata::vcluster
