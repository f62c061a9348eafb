#include "common/records/etcd/etcd_record_store.h"

#include <map>

#include "common/records/etcd/etcd_watch.h"
#include "common/records/etcd/etcd_writer.h"
#include "common/records/etcd/random_id.h"
#include "common/records/etcd/record_mirror.h"

namespace strata::records {
namespace {

constexpr char kScopes[] = "scopes/";

etcdserverpb::Compare Compared(const std::string& key, const std::optional<std::string>& value) {
  etcdserverpb::Compare compare;
  compare.set_key(key);
  if (value) {
    compare.set_target(etcdserverpb::Compare::VALUE);
    compare.set_value(*value);
  } else {
    compare.set_target(etcdserverpb::Compare::CREATE);
    compare.set_create_revision(0);
  }
  return compare;
}

Error TooLarge(const std::string& what) {
  return Error(Code::kResourceExhausted,
               "the change is too large for etcd: " + what +
                   " (a change is made at once or not at all); do it in parts");
}

class Store final : public EtcdRecordStore {
 public:
  Store(std::unique_ptr<EtcdClient> client, const EtcdOptions& options)
      : client_(std::move(client)),
        prefix_(options.location.prefix + "/"),
        mirror_(options.tables),
        writer_(client_.get(), prefix_ + "writers/" + options.host, options.host, options.remedies),
        watch_(client_.get(), &mirror_, prefix_) {}

  Status Start(const EtcdOptions& options) {
    RETURN_IF_ERROR(FindIdentity(options));
    RETURN_IF_ERROR(writer_.TakeOver({options.memory_path, id_}, options.accept_older));
    RETURN_IF_ERROR(watch_.Load());
    watch_.Start();
    return Ok();
  }

  const std::string& store_id() const override { return id_; }
  Status Health() const override { return watch_.Health(); }

  Result<std::optional<std::string>> Get(Table table, const std::string& key) override {
    return mirror_.Get(mirror_.KeyOf(table, key));
  }
  Status Scan(Table table, const std::string& prefix, const Visitor& visit) override {
    return mirror_.Scan(table, prefix, visit);
  }
  ScopeMark Mark(const std::string& scope) override {
    return {scope, mirror_.RevisionOf(kScopes + scope)};
  }
  Status Commit(const std::vector<RecordExpectation>& expected,
                const std::vector<RecordChange>& changes,
                const std::vector<ScopeMark>& scopes) override;
  Status Follow(Listener listener) override {
    mirror_.Follow(std::move(listener));
    return Ok();
  }
  void Unfollow() override { mirror_.Unfollow(); }

 private:
  Status FindIdentity(const EtcdOptions& options);
  Result<etcdserverpb::TxnRequest> RequestFor(const std::vector<RecordExpectation>& expected,
                                              const std::vector<RecordChange>& changes,
                                              const std::vector<ScopeMark>& scopes) const;

  const std::unique_ptr<EtcdClient> client_;
  const std::string prefix_;
  std::string id_;
  RecordMirror mirror_;
  EtcdWriter writer_;
  EtcdWatch watch_;  // Last: its thread uses the above.
};

Status Store::FindIdentity(const EtcdOptions& options) {
  const std::string key = prefix_ + "id";
  const auto deadline = client_->Deadline();
  etcdserverpb::RangeRequest look;
  look.set_key(key);
  ASSIGN_OR_RETURN(auto found, client_->Range(look, deadline));
  if (found.kvs_size() == 0) {
    if (!options.expected_id.empty() || !options.may_create) {
      return Error(Code::kNotFound, "there are no records at " + options.location.ToString() +
                                        ": is that the place, and has etcd all its data?");
    }
    // Of several hosts that begin at once one wins; a lost answer is found by the look.
    ASSIGN_OR_RETURN(const std::string id, NewRandomId());
    etcdserverpb::TxnRequest create;
    *create.add_compare() = Compared(key, std::nullopt);
    auto* put = create.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(id);
    const auto created = client_->Txn(create, deadline);
    ASSIGN_OR_RETURN(found, client_->Range(look, deadline));
    if (found.kvs_size() == 0) {
      if (created.ok()) return Error(Code::kInternal, "etcd has not kept the id of the records");
      return created.error();
    }
  }
  id_ = found.kvs(0).value();
  if (options.expected_id.empty() || id_ == options.expected_id) return Ok();
  return Error(Code::kCorrupt, "the records at " + options.location.ToString() + " are others (" +
                                   id_ + ") than this host used before (" + options.expected_id +
                                   ")");
}

Result<etcdserverpb::TxnRequest> Store::RequestFor(const std::vector<RecordExpectation>& expected,
                                                   const std::vector<RecordChange>& changes,
                                                   const std::vector<ScopeMark>& scopes) const {
  etcdserverpb::TxnRequest request;
  for (const RecordExpectation& expectation : expected) {
    *request.add_compare() =
        Compared(prefix_ + mirror_.KeyOf(expectation.table, expectation.key), expectation.value);
  }
  for (const ScopeMark& mark : scopes) {
    const std::string key = prefix_ + kScopes + mark.scope;
    if (mark.revision) {
      auto* compare = request.add_compare();
      compare->set_target(etcdserverpb::Compare::MOD);
      compare->set_key(key);
      compare->set_mod_revision(*mark.revision);
    }
    request.add_success()->mutable_request_put()->set_key(key);
  }
  // etcd takes a key once in a transaction: the last change of it counts.
  std::map<std::string, const RecordChange*> last;
  for (const RecordChange& change : changes) {
    last[mirror_.KeyOf(change.table, change.key)] = &change;
  }
  for (const auto& [key, change] : last) {
    auto* operation = request.add_success();
    if (change->value) {
      operation->mutable_request_put()->set_key(prefix_ + key);
      operation->mutable_request_put()->set_value(*change->value);
    } else {
      operation->mutable_request_delete_range()->set_key(prefix_ + key);
    }
  }
  if (last.size() > kEtcdChangesMax ||
      request.success_size() >= static_cast<int>(kEtcdOperationsMax) ||
      request.compare_size() >= static_cast<int>(kEtcdOperationsMax)) {
    return TooLarge(std::to_string(last.size()) + " records, at most " +
                    std::to_string(kEtcdChangesMax));
  }
  if (request.ByteSizeLong() > kEtcdBytesMax - 4096) {
    return TooLarge(std::to_string(request.ByteSizeLong()) + " bytes, at most " +
                    std::to_string(kEtcdBytesMax - 4096));
  }
  return request;
}

Status Store::Commit(const std::vector<RecordExpectation>& expected,
                     const std::vector<RecordChange>& changes,
                     const std::vector<ScopeMark>& scopes) {
  if (Status health = watch_.Health(); !health.ok() && health.error().code() == Code::kCorrupt) {
    return health;
  }
  ASSIGN_OR_RETURN(const auto request, RequestFor(expected, changes, scopes));
  int64_t seen = 0;
  ASSIGN_OR_RETURN(const std::optional<int64_t> done, writer_.Run(request, &seen));
  if (!done) {
    // Who tries again reads what has changed. Revisions of other keys do not come here.
    (void)mirror_.Await(seen, EtcdClient::Clock::now() + std::chrono::milliseconds(20));
    return Error(Code::kFailedPrecondition,
                 "what the change rests on changed meanwhile: try again");
  }
  if (mirror_.Await(*done, client_->Deadline())) return Ok();
  return Error(
      Code::kUnavailable,
      "the change is made, but etcd does not tell this host of changes: see that it can be "
      "reached from here");
}

}  // namespace

Result<std::unique_ptr<EtcdRecordStore>> EtcdRecordStore::Open(const EtcdOptions& options) {
  ASSIGN_OR_RETURN(auto client, EtcdClient::Open(options.location));
  auto store = std::make_unique<Store>(std::move(client), options);
  RETURN_IF_ERROR(store->Start(options));
  return std::unique_ptr<EtcdRecordStore>(std::move(store));
}

}  // namespace strata::records
