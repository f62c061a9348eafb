#include "vclusterd/master/single_host.h"

#include "common/file_io.h"
#include "common/log.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

namespace {

// What nodes of the only host ask for.
class OwnDesk final : public NodeDesk {
 public:
  explicit OwnDesk(std::shared_ptr<Clusters> clusters) : clusters_(std::move(clusters)) {}

  Result<host::v1::NodeTokenResponse> MakeToken(
      const host::v1::NodeTokenRequest& request) override {
    return clusters_->MakeNodeToken(kSingleHostName, request);
  }
  Result<host::v1::NodeAskResponse> Ask(const host::v1::NodeAskRequest& request) override {
    return clusters_->AnswerNode(kSingleHostName, request);
  }

 private:
  const std::shared_ptr<Clusters> clusters_;
};

}  // namespace

Result<std::unique_ptr<records::RecordStore>> OpenDesiredState(const std::string& state_dir) {
  const std::string directory = state_dir + "/vclusterd/desired";
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  records::RocksOptions options;
  options.tables = DesiredTables();
  options.index_remedy =
      "remove " + records::IndexDirectory(directory) + ", which is made anew from its journal";
  options.journal_remedy = "put a backup of " + directory + " back";
  return records::OpenRocksRecordStore(directory, options);
}

MasterOptions MakeMasterOptions(const std::string& name, const net::Ipv4Prefix& pool,
                                Users& users) {
  MasterOptions options;
  options.name = name;
  options.pool = pool;
  options.user_name = [&users](uint32_t uid) { return users.NameOf(uid); };
  options.now_unix_ms = HostUnixMs;
  options.network_limit = [&users](uint32_t uid) { return NetworkLimitOf(users, uid); };
  options.check_quota = [&users](uint32_t uid, const QuotaDemand& asked, const QuotasUsed& used) {
    return CheckQuota(users, uid, asked, used);
  };
  options.retired = [&users](const master::v1::Vcluster& record) {
    const std::string deleted = users.NameOf(record.owner_uid()) + "/" + record.name();
    if (Status revoked = users.RevokeTokensOfVcluster(deleted); !revoked.ok()) {
      LOG_WARNING("tokens of the deleted Vcluster " + deleted + ": " + revoked.error().message());
    }
  };
  return options;
}

Result<std::unique_ptr<SingleHost>> SingleHost::Open(const HostConfig& config,
                                                     imaged::HostImageClient& images,
                                                     records::RecordStore& store, Users& users,
                                                     PlacerOptions placer) {
  std::unique_ptr<SingleHost> host(new SingleHost);
  ASSIGN_OR_RETURN(host->local_, LocalHost::Open(config, images));
  MasterOptions options = MakeMasterOptions(kSingleHostName, config.pool, users);
  options.placer = placer;
  options.reserved = config.reserved;
  if (!config.shared_dir.empty()) {
    if (auto shared = SharedDir::Open(config.shared_dir); shared.ok()) {
      options.shared = std::move(*shared);
    } else {
      LOG_WARNING("Vclusters can have no volumes: " + shared.error().message());
    }
  }
  ASSIGN_OR_RETURN(host->master_, Master::Open(options, store));
  host->local_->Join(kSingleHostName, *host->master_);
  host->clusters_ = std::make_shared<Clusters>(*host->master_, users);
  host->nodes().SetDesk(std::make_shared<OwnDesk>(host->clusters_));
  if (!users.credits().prices().IsNothing()) {
    host->charger_ = std::make_unique<CreditCharger>(store, *host->master_, users);
    host->charger_->Start();
  }
  return host;
}

SingleHost::~SingleHost() {
  if (local_ != nullptr) local_->nodes().SetDesk(nullptr);
  clusters_.reset();
  charger_.reset();
  if (local_ != nullptr) local_->Leave();
  master_.reset();
}

}  // namespace strata::vcluster
