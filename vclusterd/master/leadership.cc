#include "vclusterd/master/leadership.h"

#include <utility>

#include "common/log.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

Leadership::Leadership(Options options, records::RecordStore& store, Won won, Lost lost)
    : options_(std::move(options)),
      store_(store),
      won_(std::move(won)),
      lost_(std::move(lost)),
      seen_since_(Now()) {
  if (!options_.master.pause) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }
}

Leadership::~Leadership() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (master_ != nullptr) StepDown(/*give_up=*/true);
}

std::string Leadership::Leader() const {
  const auto record = store_.Get(kLeaderTable, kLeaderKey);
  master::v1::Leader leader;
  if (!record.ok() || !record->has_value() || !leader.ParseFromString(**record)) return {};
  return leader.host();
}

void Leadership::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Step();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, options_.beat_every, [] { return false; });
  }
}

void Leadership::Step() {
  if (master_ == nullptr) {
    const Status campaign = Campaign();
    const std::string trouble = campaign.ok() ? "" : campaign.error().message();
    if (trouble != std::exchange(trouble_, trouble) && !trouble.empty()) LOG_WARNING(trouble);
    return;
  }
  const Status beat = master_->Beat();
  if (beat.ok()) return;
  if (beat.error().code() == Code::kFailedPrecondition) {
    LOG_WARNING("another master leads now");
    StepDown(/*give_up=*/false);
  } else if (!master_->Leads()) {
    LOG_WARNING("no beat could be written, so another may lead: " + beat.error().message());
    StepDown(/*give_up=*/false);
  }
}

// Takes the lead when nobody has it, or who has it says nothing any more.
Status Leadership::Campaign() {
  ASSIGN_OR_RETURN(const auto leader, store_.Get(kLeaderTable, kLeaderKey));
  ASSIGN_OR_RETURN(const auto beat, store_.Get(kLeaderTable, kBeatKey));
  if (leader != seen_leader_ || beat != seen_beat_) {
    seen_leader_ = leader;
    seen_beat_ = beat;
    seen_since_ = Now();
  }
  // There is one master on a host at a time: the leader of our name was an earlier one.
  const bool given_up =
      !leader.has_value() || !beat.has_value() || Leader() == options_.master.name;
  if (!given_up && Now() - seen_since_ < options_.takeover_after) return Ok();
  MasterOptions master = options_.master;
  master.takes_over_from = leader;
  master.last_beat_seen = beat;
  master.lead_lasts = options_.lead_lasts.value_or(options_.takeover_after);
  auto opened = Master::Open(master, store_);
  if (!opened.ok()) {
    // Another was faster, or the store does not answer.
    return opened.error().code() == Code::kFailedPrecondition ? Ok() : Status(opened.error());
  }
  master_ = std::move(*opened);
  LOG_INFO("leads, epoch " + std::to_string(master_->epoch()));
  won_(*master_);
  return Ok();
}

void Leadership::StepDown(bool give_up) {
  lost_(*master_);
  if (give_up) {
    if (Status left = master_->GiveUp(); !left.ok()) {
      LOG_WARNING("the lead is not given up: " + left.error().message());
    }
  }
  master_.reset();
  seen_since_ = Now();
}

}  // namespace strata::vcluster
