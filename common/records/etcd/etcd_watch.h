// EtcdWatch: keeps a mirror up with etcd, on a thread of its own: loads everything, then watches
// from that revision on. When the connection or the member is lost it goes on with the next one
// where it was; when etcd has compacted what was missed it loads everything again.
//
// Other records than before, or those of an earlier revision than was seen (a backup that was put
// back), are not taken: their owner would act on what never was, and remove what they do not name.
// Then the mirror stays as it is, until the process is started again.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/records/etcd/etcd_client.h"
#include "common/records/etcd/record_mirror.h"

namespace strata::records {

class EtcdWatch {
 public:
  // Both must outlive this. `prefix` ends with '/'.
  EtcdWatch(EtcdClient* client, RecordMirror* mirror, std::string prefix)
      : client_(*client), mirror_(*mirror), prefix_(std::move(prefix)) {}

  // Loads everything. To be called once, before Start.
  Status Load();
  void Start();
  // Ok while the mirror is being kept up; otherwise why not.
  Status Health() const;

 private:
  void Run(const std::stop_token& stop);
  // Until the watch ends; says why.
  Error WatchOnce(const std::stop_token& stop);
  // kCorrupt when etcd does not have what the mirror came from.
  Status CheckSameData();
  void Take(const etcdserverpb::WatchResponse& response);
  void SetHealth(Status health);

  EtcdClient& client_;
  RecordMirror& mirror_;
  const std::string prefix_;
  uint64_t cluster_id_ = 0;
  bool reload_ = false;
  mutable std::mutex mutex_;  // Guards health_.
  std::condition_variable_any wake_;
  std::optional<Error> health_;
  std::jthread thread_;  // Last: it uses all of the above.
};

// The end of the range of keys that start with `prefix`.
std::string PrefixEnd(std::string prefix);

}  // namespace strata::records
