// EtcdWriter: transactions of one host, each done once or not at all, also when answers are lost.
//
// The key writers/<host> holds the token of the host's last transaction. A transaction expects the
// key as the one before left it. When its answer is lost, a second one tries to put a fence there:
// either that finds the key untouched, and then the first cannot be done any more; or it finds the
// token of the first, which is then done.
//
// Thread-safe; one transaction at a time.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "common/records/etcd/etcd_client.h"
#include "common/records/etcd/writer_memory.h"

namespace strata::records {

// What the owner of the records tells its users to do, as the ends of errors.
struct EtcdRemedies {
  std::string same_host;  // Two writers have one name: "give every host a --peer-name of its own".
  std::string older;      // The records lack what this host wrote: what is lost, and how to go on.
};

class EtcdWriter {
 public:
  // `key`: the whole key. `client` must outlive this.
  EtcdWriter(EtcdClient* client, std::string key, std::string host, EtcdRemedies remedies)
      : client_(*client),
        key_(std::move(key)),
        host_(std::move(host)),
        remedies_(std::move(remedies)) {}

  // Takes the key over, and so ends what an earlier process of this host may have left on its way.
  // kFailedPrecondition when etcd lacks what `memory` says that this host wrote, unless
  // `accept_older`.
  Status TakeOver(WriterMemory memory, bool accept_older);

  // The revision of `request`, when it was done; nullopt when its comparisons do not hold, with the
  // revision of the look in `*seen`. kUnavailable says whether it may have been done.
  Result<std::optional<int64_t>> Run(const etcdserverpb::TxnRequest& request, int64_t* seen);

 private:
  using Deadline = EtcdClient::Clock::time_point;
  struct Answer {
    bool done = false;
    bool repeat = false;  // An own key of before was found: nothing is known of the comparisons.
    int64_t revision = 0;
  };
  Result<Answer> RunOnce(const etcdserverpb::TxnRequest& request, const std::string& token,
                         Deadline deadline);
  // What became of the transaction of `token`: its revision if it was done. After that it is done
  // or never will be.
  Result<std::optional<int64_t>> Settle(const std::string& token, Deadline deadline);
  Error TakenOver() const;
  Status CheckCovered() const;
  std::optional<int64_t> Done(int64_t revision);

  EtcdClient& client_;
  const std::string key_;
  const std::string host_;
  const EtcdRemedies remedies_;
  std::mutex mutex_;  // Guards the rest, while a transaction runs.
  std::optional<WriterMemory> memory_;
  std::string session_;
  uint64_t count_ = 0;
  int64_t key_revision_ = 0;
  std::optional<std::string> unsettled_;  // The token of one whose end is not known.
};

}  // namespace strata::records
