#include "vclusterd/users/audit_log.h"

#include <algorithm>

#include "common/printable.h"
#include "vclusterd/users/sign_in_guard.h"

namespace strata::vcluster {
namespace {

using users::v1::AuditEvent;

constexpr uint32_t kRefusalsPerSource = 60;  // In a minute.
constexpr uint32_t kRefusalsOfAll = 600;

bool Matches(const AuditQuery& query, const AuditEvent& event) {
  if (query.uid && event.uid() != *query.uid) return false;
  if (!query.object.empty() && event.object() != query.object) return false;
  if (!query.operation.empty() && event.operation() != query.operation) return false;
  if (event.time_unix_ms() > query.until_unix_ms) return false;
  if (!query.visible_to) return true;
  // Of a refused call only its caller hears: it may have been about what he may not know of.
  const bool is_to_his =
      event.owned() && event.owner_uid() == *query.visible_to && event.outcome() == "ok";
  return (event.uid() == *query.visible_to && !event.user().empty()) || is_to_his;
}

// Whether it is in JSON as it is.
bool IsPlain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./:@ ").find(c) != std::string_view::npos;
  });
}

// What every line of a wanted event has in it: to parse all of 128 MiB takes 20 s, to look through
// it less than one. A number that is 0 is in no line.
std::string HintOf(const AuditQuery& query) {
  if (IsPlain(query.object)) return "\"" + query.object + "\"";
  if (query.uid.value_or(0) != 0) return "\"uid\":" + std::to_string(*query.uid);
  if (query.visible_to.value_or(0) != 0) {
    return "uid\":" + std::to_string(*query.visible_to);  // Also of "owner_uid".
  }
  return IsPlain(query.operation) ? "\"" + query.operation + "\"" : "";
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& directory, UnixClock now,
                                                 EventLogLimits limits, AuditBounds bounds) {
  ASSIGN_OR_RETURN(auto log, EventLog<AuditEvent>::Open(directory, limits, now));
  return std::unique_ptr<AuditLog>(new AuditLog(std::move(log), std::move(now), bounds));
}

bool AuditLog::Refusals::Admit(uint32_t max, int64_t now_ms) {
  if (now_ms - since_ms >= kMinuteMs || now_ms < since_ms) {
    since_ms = now_ms;
    written = 0;
  }
  if (written >= max) return false;
  ++written;
  return true;
}

std::optional<uint32_t> AuditLog::AdmitRefusal(const std::string& source) {
  const int64_t now_ms = now_();
  const std::lock_guard lock(mutex_);
  Refusals& of = by_source_.Touch(SourceGroup(source));
  if (!of.Admit(kRefusalsPerSource, now_ms) || !all_.Admit(kRefusalsOfAll, now_ms)) {
    ++all_.left_out;
    return std::nullopt;
  }
  return std::exchange(all_.left_out, 0);
}

void AuditLog::Record(AuditEvent event, const Status& status) {
  if (!status.ok()) {
    const auto left_out = AdmitRefusal(event.source());
    if (!left_out) return;
    event.set_left_out(*left_out);
  }
  event.set_request(RequestScope::Current());
  event.set_user(Printable(event.user()));
  event.set_source(Printable(event.source()));
  event.set_object(Printable(event.object()));
  event.set_detail(Printable(event.detail(), 1000));
  event.set_outcome(status.ok() ? "ok" : std::string(CodeName(status.error().code())));
  event.set_error(status.ok() ? "" : Printable(status.error().message(), 1000));
  log_->Record(std::move(event));
}

Status AuditLog::Enter(uint32_t asker) {
  const std::lock_guard lock(mutex_);
  if (askers_.contains(asker)) {
    return Error(Code::kResourceExhausted,
                 "your last question to the audit log is being answered: ask again when it is");
  }
  if (askers_.size() >= bounds_.questions_max) {
    return Error(Code::kResourceExhausted,
                 "others are searching the audit log: ask again in a moment");
  }
  askers_.insert(asker);
  return Ok();
}

Result<AuditLog::Found> AuditLog::Find(const AuditQuery& query, uint32_t asker) {
  RETURN_IF_ERROR(Enter(asker));
  EventLog<AuditEvent>::Search search;
  search.after = query.after;
  search.before = query.before;
  search.since_unix_ms = query.since_unix_ms;
  search.max = std::min(query.last, kEventsPerQueryMax);
  search.wanted = [&](const AuditEvent& event) { return Matches(query, event); };
  search.hint = HintOf(query);
  search.read_bytes_max = bounds_.read_bytes_max;
  search.parsed_bytes_max = bounds_.parsed_bytes_max;
  auto found = log_->Find(search);
  const std::lock_guard lock(mutex_);
  askers_.erase(asker);
  return found;
}

}  // namespace strata::vcluster
