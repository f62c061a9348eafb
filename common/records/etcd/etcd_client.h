// EtcdClient: calls to the members of an etcd cluster (v3 API), one member at a time; one that does
// not answer gives way to the next. Nothing is repeated that may have been done: who calls knows
// what repeating means.
//
// Thread-safe.
#pragma once

#include <grpcpp/channel.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/records/etcd/etcd.grpc.pb.h"
#include "common/result.h"

namespace strata::records {

// "etcd://HOST:PORT[,HOST:PORT...][/PREFIX]", and how to get there.
struct EtcdLocation {
  std::vector<std::string> endpoints;
  std::string prefix = "/strata";
  // Mutual TLS, PEM files. Without them only members on this machine are called, unless `insecure`.
  // Programs call these options --etcd-ca, --etcd-cert, --etcd-key, --etcd-insecure; errors do too.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  bool insecure = false;
  // For one call with all its attempts.
  std::chrono::milliseconds answer_max{5000};

  // "etcd://...", for messages.
  std::string ToString() const;
};

// kInvalidArgument.
Result<EtcdLocation> ParseEtcdLocation(const std::string& text);

class EtcdClient {
 public:
  using Clock = std::chrono::steady_clock;

  // Connects to nobody yet. kInvalidArgument when members would be called without TLS; errors of
  // the files.
  static Result<std::unique_ptr<EtcdClient>> Open(const EtcdLocation& location);

  // One attempt. kUnavailable and kDeadlineExceeded leave it open whether it was done; the next
  // attempt goes to another member.
  Result<etcdserverpb::TxnResponse> Txn(const etcdserverpb::TxnRequest& request,
                                        Clock::time_point deadline);
  // Attempts until `deadline`. kUnavailable names the members and the remedy; kNotFound when the
  // revision that was asked for is compacted.
  Result<etcdserverpb::RangeResponse> Range(const etcdserverpb::RangeRequest& request,
                                            Clock::time_point deadline);
  Result<etcdserverpb::PutResponse> Put(const etcdserverpb::PutRequest& request,
                                        Clock::time_point deadline);
  Result<etcdserverpb::CompactionResponse> Compact(const etcdserverpb::CompactionRequest& request,
                                                   Clock::time_point deadline);

  // Waits a while for a connection to the member that is asked now. kUnavailable: the next is asked
  // from now on.
  Status Connect(Clock::time_point deadline);
  // For watches: the member that is asked now.
  std::unique_ptr<etcdserverpb::Watch::Stub> WatchStub() const;
  void TryNextMember() { current_.fetch_add(1); }

  Clock::time_point Deadline() const { return Clock::now() + location_.answer_max; }
  // kUnavailable: who did not answer and what to do.
  Error Unreachable(const Error& last) const;

 private:
  explicit EtcdClient(EtcdLocation location) : location_(std::move(location)) {}
  const std::shared_ptr<grpc::Channel>& Channel() const {
    return channels_[current_ % channels_.size()];
  }
  template <typename Call>
  Status Attempt(const Call& call, Clock::time_point deadline);
  template <typename Call>
  Status Repeat(const Call& call, Clock::time_point deadline);

  const EtcdLocation location_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;  // Of the endpoints.
  std::atomic<size_t> current_ = 0;
};

}  // namespace strata::records
