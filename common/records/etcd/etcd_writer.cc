#include "common/records/etcd/etcd_writer.h"

#include <condition_variable>

#include "common/records/etcd/random_id.h"

namespace strata::records {
namespace {

constexpr std::string_view kFence = "fence ";
constexpr std::chrono::milliseconds kPause{100};

bool MayPass(const Error& error) {
  return error.code() == Code::kUnavailable || error.code() == Code::kDeadlineExceeded;
}

etcdserverpb::Compare KeyAt(const std::string& key, int64_t revision) {
  etcdserverpb::Compare compare;
  compare.set_target(etcdserverpb::Compare::MOD);
  compare.set_key(key);
  compare.set_mod_revision(revision);
  return compare;
}

void AddPut(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* operations,
            const std::string& key, const std::string& value) {
  auto* put = operations->Add()->mutable_request_put();
  put->set_key(key);
  put->set_value(value);
}

}  // namespace

Error EtcdWriter::TakenOver() const {
  return Error(Code::kAlreadyExists, "another process writes to these records as host " + host_ +
                                         ": " + remedies_.same_host);
}

Status EtcdWriter::CheckCovered() const {
  etcdserverpb::RangeRequest request;
  request.set_key(key_);
  ASSIGN_OR_RETURN(const auto response, client_.Range(request, client_.Deadline()));
  const auto token = response.kvs_size() == 0 ? std::optional<std::string>()
                                              : std::optional<std::string>(response.kvs(0).value());
  if (memory_->Covers(token)) return Ok();
  return Error(Code::kFailedPrecondition,
               "etcd lacks what this host wrote into it last, as after the restore of an older "
               "snapshot: " +
                   remedies_.older);
}

Status EtcdWriter::TakeOver(WriterMemory memory, bool accept_older) {
  const std::lock_guard lock(mutex_);
  memory_.emplace(std::move(memory));
  RETURN_IF_ERROR(memory_->Load());
  if (!accept_older) RETURN_IF_ERROR(CheckCovered());
  ASSIGN_OR_RETURN(session_, NewRandomId());
  RETURN_IF_ERROR(memory_->Begin(session_));
  etcdserverpb::PutRequest request;
  request.set_key(key_);
  request.set_value(session_ + ":0");
  ASSIGN_OR_RETURN(const auto response, client_.Put(request, client_.Deadline()));
  key_revision_ = response.header().revision();
  memory_->Wrote(session_, 0);
  return Ok();
}

std::optional<int64_t> EtcdWriter::Done(int64_t revision) {
  memory_->Wrote(session_, count_);
  return revision;
}

Result<EtcdWriter::Answer> EtcdWriter::RunOnce(const etcdserverpb::TxnRequest& request,
                                               const std::string& token, Deadline deadline) {
  etcdserverpb::TxnRequest guarded = request;
  *guarded.add_compare() = KeyAt(key_, key_revision_);
  AddPut(guarded.mutable_success(), key_, token);
  guarded.add_failure()->mutable_request_range()->set_key(key_);
  ASSIGN_OR_RETURN(const auto response, client_.Txn(guarded, deadline));
  const int64_t revision = response.header().revision();
  if (response.succeeded()) {
    key_revision_ = revision;
    return Answer{true, false, revision};
  }
  if (response.responses_size() != 1 || response.responses(0).response_range().kvs_size() != 1) {
    return TakenOver();
  }
  const auto& found = response.responses(0).response_range().kvs(0);
  if (found.mod_revision() == key_revision_) return Answer{false, false, revision};
  // What an attempt of before did late.
  if (!found.value().starts_with(session_) &&
      !found.value().starts_with(std::string(kFence) + session_)) {
    return TakenOver();
  }
  key_revision_ = found.mod_revision();
  if (found.value() == token) return Answer{true, false, key_revision_};
  return Answer{false, true, revision};
}

Result<std::optional<int64_t>> EtcdWriter::Settle(const std::string& token, Deadline deadline) {
  const std::string fence = std::string(kFence) + token;
  etcdserverpb::TxnRequest request;
  *request.add_compare() = KeyAt(key_, key_revision_);
  AddPut(request.mutable_success(), key_, fence);
  request.add_failure()->mutable_request_range()->set_key(key_);
  while (true) {
    const auto response = client_.Txn(request, deadline);
    if (!response.ok()) {
      if (!MayPass(response.error())) return response.error();
      if (EtcdClient::Clock::now() >= deadline) return client_.Unreachable(response.error());
      std::mutex mutex;
      std::condition_variable never;
      std::unique_lock lock(mutex);
      never.wait_until(lock, std::min(deadline, EtcdClient::Clock::now() + kPause),
                       [] { return false; });
      continue;
    }
    if (response->succeeded()) {
      key_revision_ = response->header().revision();
      return std::optional<int64_t>();
    }
    if (response->responses_size() != 1 ||
        response->responses(0).response_range().kvs_size() != 1) {
      return TakenOver();
    }
    const auto& found = response->responses(0).response_range().kvs(0);
    if (found.value() != token && found.value() != fence) return TakenOver();
    key_revision_ = found.mod_revision();
    if (found.value() == fence) return std::optional<int64_t>();
    return std::optional<int64_t>(key_revision_);
  }
}

Result<std::optional<int64_t>> EtcdWriter::Run(const etcdserverpb::TxnRequest& request,
                                               int64_t* seen) {
  const std::lock_guard lock(mutex_);
  const Deadline deadline = client_.Deadline();
  if (unsettled_) {
    RETURN_IF_ERROR(Settle(*unsettled_, deadline), "the change was not made");
    unsettled_.reset();
  }
  while (true) {
    const std::string token = session_ + ":" + std::to_string(++count_);
    const auto answer = RunOnce(request, token, deadline);
    if (answer.ok()) {
      if (answer->done) return Done(answer->revision);
      if (answer->repeat) continue;
      *seen = answer->revision;
      return std::optional<int64_t>();
    }
    if (!MayPass(answer.error())) return answer.error();
    const auto settled = Settle(token, deadline);
    if (!settled.ok()) {
      unsettled_ = token;
      return settled.error().Wrap("it is not known whether the change was made, look again");
    }
    if (*settled) return Done(**settled);
    if (EtcdClient::Clock::now() >= deadline) {
      return client_.Unreachable(answer.error()).Wrap("the change was not made");
    }
  }
}

}  // namespace strata::records
