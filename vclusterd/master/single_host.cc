#include "vclusterd/master/single_host.h"

#include "common/file_io.h"
#include "common/log.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

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
  if (!users.credits().prices().IsNothing()) {
    host->charger_ = std::make_unique<CreditCharger>(store, *host->master_, users);
    host->charger_->Start();
  }
  return host;
}

SingleHost::~SingleHost() {
  clusters_.reset();
  charger_.reset();
  if (local_ != nullptr) local_->Leave();
  master_.reset();
}

}  // namespace strata::vcluster
