#include "vclusterd/master/lead.h"

#include <utility>

#include "vclusterd/api/records.pb.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

Result<std::unique_ptr<Lead>> Lead::Take(Terms terms, records::RecordStore& store) {
  std::unique_ptr<Lead> lead(new Lead(std::move(terms), store));
  RETURN_IF_ERROR(lead->TakeNow());
  return lead;
}

Status Lead::TakeNow() {
  ASSIGN_OR_RETURN(const auto before, store_.Get(kLeaderTable, kLeaderKey));
  if (terms_.takes_over_from.has_value() && before != *terms_.takes_over_from) {
    return Error(Code::kFailedPrecondition, "another master has taken the lead");
  }
  master::v1::Leader leader;
  if (before.has_value() && !leader.ParseFromString(*before)) {
    return Error(Code::kCorrupt, "the record of the leader cannot be read");
  }
  epoch_ = leader.epoch() + 1;
  leader.set_host(terms_.host);
  leader.set_epoch(epoch_);
  record_ = leader.SerializeAsString();
  begun_ = terms_.now();
  std::vector<records::RecordExpectation> expected = {{kLeaderTable, kLeaderKey, before}};
  if (terms_.last_beat_seen.has_value()) {
    expected.push_back({kLeaderTable, kBeatKey, *terms_.last_beat_seen});
  }
  return store_.Commit(expected, {{kLeaderTable, kLeaderKey, record_}, NextBeat()});
}

records::RecordChange Lead::NextBeat() {
  return {kLeaderTable, kBeatKey, std::to_string(epoch_) + "." + std::to_string(++beats_)};
}

Status Lead::Commit(std::vector<records::RecordChange> changes) {
  return store_.Commit({{kLeaderTable, kLeaderKey, record_}}, changes);
}

Status Lead::Beat() {
  const Clock::time_point begun = terms_.now();
  RETURN_IF_ERROR(Pass());
  begun_ = begun;
  return Ok();
}

Status Lead::Pass() { return Commit({NextBeat()}); }

bool Lead::Holds() const { return !terms_.lasts || terms_.now() - begun_.load() < *terms_.lasts; }

Status Lead::GiveUp() { return Commit({{kLeaderTable, kBeatKey, std::nullopt}}); }

}  // namespace strata::vcluster
