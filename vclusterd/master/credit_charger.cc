#include "vclusterd/master/credit_charger.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/log.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kLookEvery(10);
constexpr int64_t kWriteEveryMs = kMinuteMs;
// What nodes used in a longer pause of ours is not known.
constexpr int64_t kPauseMsMax = kMinuteMs;
constexpr uint32_t kRecordVersion = 1;
constexpr double kCpusMax = 1e6;  // More is no sample.

// Its container is there: while its end hook runs, and when it is not ready, too.
bool Runs(const host::v1::NodeStatus& status) {
  return status.state() == host::v1::STARTING || status.state() == host::v1::READY ||
         status.init_pid() != 0;
}

void AddTo(UseRate* rate, const host::v1::NodeStatus& status) {
  if (!Runs(status)) return;
  ++rate->nodes;
  const double cpus = status.usage().cpus();
  if (cpus > 0 && cpus < kCpusMax) {
    rate->cpus_milli += static_cast<uint64_t>(std::llround(cpus * 1000));
  }
  rate->memory_mib += status.usage().memory_bytes() >> 20;
}

bool AnyWanted(const master::v1::Vcluster& record) {
  return std::any_of(record.nodes().begin(), record.nodes().end(),
                     [](const master::v1::Node& node) { return node.wanted(); });
}

}  // namespace

CreditCharger::~CreditCharger() {
  if (!thread_.joinable()) return;
  closing_ = true;
  thread_.request_stop();
  thread_.join();
}

void CreditCharger::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    std::string told;
    std::unique_lock lock(wake_mutex_);
    while (!wake_.wait_for(lock, stop, kLookEvery, [] { return false; }) &&
           !stop.stop_requested()) {
      const Status looked = Look();
      const std::string problem = looked.ok() ? "" : looked.error().message();
      if (problem != told && !problem.empty()) LOG_WARNING("credits: " + problem);
      told = problem;
    }
  });
}

Status CreditCharger::TakeOver() {
  ASSIGN_OR_RETURN(written_, store_.Get(kLeaderTable, kCreditMeterKey));
  if (written_.has_value()) {
    master::v1::CreditMeter record;
    if (!record.ParseFromString(*written_) || record.version() != kRecordVersion) {
      // The next write replaces it: to charge nothing for ever would be worse.
      LOG_ERROR("what was used and is not charged yet is damaged: it is not charged");
    } else {
      meter_.FromProto(record, master_.NowUnixMs());
    }
  }
  RETURN_IF_ERROR(Write(master_.NowUnixMs()));  // From here on the last leader cannot write.
  taken_over_ = true;
  return Ok();
}

Status CreditCharger::Look() {
  const std::lock_guard lock(mutex_);
  if (!taken_over_) RETURN_IF_ERROR(TakeOver());
  const int64_t now_ms = master_.NowUnixMs();
  Measure(now_ms);
  const bool is_due = !meter_.Ended(now_ms).empty();
  if (is_due || now_ms - written_ms_ >= kWriteEveryMs) RETURN_IF_ERROR(Write(now_ms));
  const Status charged = is_due ? Charge(now_ms) : Ok();
  RETURN_IF_ERROR(StopWhoHasNothing());
  return charged;
}

void CreditCharger::Measure(int64_t now_ms) {
  const auto last_ms = std::exchange(measured_ms_, now_ms);
  if (!last_ms.has_value() || now_ms <= *last_ms || now_ms - *last_ms > kPauseMsMax) return;
  std::map<uint32_t, UseRate> rates;  // By owner.
  master_.EachNode([&](uint32_t owner, const host::v1::NodeStatus& status) {
    if (owner != 0) AddTo(&rates[owner], status);
  });
  for (const auto& [owner, rate] : rates) meter_.Add(owner, rate, *last_ms, now_ms);
}

Status CreditCharger::Write(int64_t now_ms) {
  master::v1::CreditMeter record;
  record.set_version(kRecordVersion);
  record.set_epoch(master_.epoch());
  meter_.ToProto(&record);
  std::string bytes = record.SerializeAsString();
  written_ms_ = now_ms;
  if (bytes == written_) return Ok();
  const Status stored = store_.Commit({{kLeaderTable, kCreditMeterKey, written_}},
                                      {{kLeaderTable, kCreditMeterKey, bytes}});
  if (stored.ok()) {
    written_ = std::move(bytes);
    return Ok();
  }
  written_ms_ = 0;  // At the next look again.
  // Of a write without an answer nobody knows whether it was made: who leads finds out.
  const auto found = store_.Get(kLeaderTable, kCreditMeterKey);
  if (found.ok() && *found == bytes) {
    written_ = std::move(bytes);
    return Ok();
  }
  return stored.error().Wrap("what was used is not written");
}

Status CreditCharger::Charge(int64_t now_ms) {
  CreditBook& credits = users_.credits();
  Status charged = Ok();
  for (const CreditMeter::Due& due : meter_.Ended(now_ms)) {
    if (closing_) break;  // Who leads next goes on: what is charged already, he charges not again.
    const auto result = credits.Charge(due.uid, due.hour, due.use, credits.prices());
    if (!result.ok()) {
      // One damaged record is not in the way of all others.
      charged = result.error().Wrap("an hour of " + users_.NameOf(due.uid));
      if (result.error().code() == Code::kUnavailable) break;
      continue;
    }
    meter_.Drop(due.hour, due.uid);
    if (result->warning.has_value()) {
      LOG_INFO("user " + users_.NameOf(due.uid) + " has " + InCredits(result->balance) +
               " credits left");
    }
  }
  RETURN_IF_ERROR(Write(now_ms));
  return charged;
}

Status CreditCharger::StopWhoHasNothing() {
  const auto has_nothing = [&](const master::v1::Vcluster& record) {
    return record.phase() != master::v1::DELETING && AnyWanted(record) &&
           users_.credits().VerdictInForce(record.owner_uid()) == CreditVerdict::kStop;
  };
  for (const VclusterView& view : master_.All(has_nothing)) {
    if (closing_) break;
    const master::v1::Vcluster& record = view.vcluster->record;
    const std::string why = users_.CreditNotice(record.owner_uid());
    if (why.empty()) continue;  // He has got some meanwhile.
    LOG_INFO("Vcluster " + record.name() + " is stopped: " + why);
    const Status stopped = master_.Change({record.number()}, [&](master::v1::Vcluster* changed) {
      if (changed->phase() == master::v1::DELETING) return Ok();
      for (master::v1::Node& node : *changed->mutable_nodes()) node.set_wanted(false);
      changed->set_last_problem(why);
      return Ok();
    });
    if (!stopped.ok() && stopped.error().code() != Code::kNotFound) return stopped;
  }
  return Ok();
}

}  // namespace strata::vcluster
