#include "vclusterd/users/sign_in_guard.h"

#include <arpa/inet.h>

#include <algorithm>

#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {
namespace {

constexpr int64_t kKnownMs = 30 * kDayMs;

std::string PairOf(const std::string& name, const std::string& source_group) {
  return name + " " + source_group;  // Names have no blanks.
}

bool IsPairOf(const std::string& pair, const std::string& name) {
  return pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == ' ';
}

}  // namespace

const SignInGuard::Policy SignInGuard::kOfAccount = {5, kSecondMs, 15 * kMinuteMs, kHourMs};
const SignInGuard::Policy SignInGuard::kOfAdmin = {5, kSecondMs, kMinuteMs, kHourMs};
const SignInGuard::Policy SignInGuard::kOfSource = {50, kSecondMs, 15 * kMinuteMs, kHourMs};

std::string SourceGroup(const std::string& address) {
  in6_addr six;
  if (::inet_pton(AF_INET6, address.c_str(), &six) != 1) return address.substr(0, 64);
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    char text[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, &six.s6_addr[12], text, sizeof(text));
    return text;
  }
  std::fill(std::begin(six.s6_addr) + 8, std::end(six.s6_addr), 0);
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &six, text, sizeof(text));
  return std::string(text) + "/64";
}

Status SignInGuard::Check(const Failures& failures, const Policy& policy, int64_t now_ms) {
  const int64_t left_ms = failures.until_ms - now_ms;
  // More than the longest: the clock was set back.
  if (left_ms <= 0 || left_ms > policy.longest_ms) return Ok();
  return Error(Code::kResourceExhausted, "too many attempts: try again in " +
                                             std::to_string((left_ms + 999) / kSecondMs) + " s");
}

void SignInGuard::Count(const Policy& policy, int64_t now_ms, Failures* failures) {
  if (now_ms - failures->last_ms > policy.forget_ms) *failures = Failures();
  failures->last_ms = now_ms;
  failures->count = std::min(failures->count + 1, policy.free + 40);
  const int beyond = failures->count - policy.free;
  if (beyond <= 0) return;
  failures->until_ms = now_ms + std::min(policy.first_ms << (beyond - 1), policy.longest_ms);
}

bool SignInGuard::IsKnown(const std::string& pair, int64_t now_ms) {
  const int64_t* last_ms = known_.Find(pair);
  return last_ms != nullptr && now_ms - *last_ms <= kKnownMs;
}

Status SignInGuard::Begin(const std::string& name, const std::string& source, bool is_admin,
                          int64_t now_ms) {
  const std::string group = SourceGroup(source);
  const std::string pair = PairOf(name, group);
  const std::lock_guard lock(mutex_);
  const bool is_known = IsKnown(pair, now_ms);
  const Failures* of_source = sources_.Find(group);
  if (!is_known && of_source != nullptr) {
    RETURN_IF_ERROR(Check(*of_source, kOfSource, now_ms));
  }
  const Policy& policy = is_admin ? kOfAdmin : kOfAccount;
  RecentMap<Failures>& failures = is_known ? pairs_ : accounts_;
  const std::string& key = is_known ? pair : name;
  if (const Failures* of = failures.Find(key)) RETURN_IF_ERROR(Check(*of, policy, now_ms));
  Count(policy, now_ms, &failures.Touch(key));
  return Ok();
}

Status SignInGuard::CheckSource(const std::string& source, int64_t now_ms) {
  const std::string group = SourceGroup(source);
  const std::lock_guard lock(mutex_);
  const Failures* of = sources_.Find(group);
  return of == nullptr ? Ok() : Check(*of, kOfSource, now_ms);
}

void SignInGuard::Failed(const std::string& source, int64_t now_ms) {
  const std::string group = SourceGroup(source);
  const std::lock_guard lock(mutex_);
  Count(kOfSource, now_ms, &sources_.Touch(group));
}

void SignInGuard::Succeeded(const std::string& name, const std::string& source, int64_t now_ms) {
  const std::string pair = PairOf(name, SourceGroup(source));
  const std::lock_guard lock(mutex_);
  // Where he is known, what strangers did elsewhere stands.
  if (!IsKnown(pair, now_ms)) accounts_.Erase(name);
  pairs_.Erase(pair);
  known_.Touch(pair) = now_ms;
}

void SignInGuard::TakeBack(const std::string& name, const std::string& source, int64_t now_ms) {
  const std::string pair = PairOf(name, SourceGroup(source));
  const std::lock_guard lock(mutex_);
  Failures* of = IsKnown(pair, now_ms) ? pairs_.Find(pair) : accounts_.Find(name);
  if (of == nullptr || of->count == 0) return;
  --of->count;
  of->until_ms = 0;
}

void SignInGuard::UnlockAccount(const std::string& name) {
  const std::lock_guard lock(mutex_);
  accounts_.Erase(name);
  pairs_.EraseIf([&](const std::string& pair) { return IsPairOf(pair, name); });
}

void SignInGuard::UnlockSource(const std::string& source) {
  const std::string group = SourceGroup(source);
  const std::lock_guard lock(mutex_);
  sources_.Erase(group);
}

size_t SignInGuard::entries() const {
  const std::lock_guard lock(mutex_);
  return accounts_.size() + sources_.size() + pairs_.size() + known_.size();
}

}  // namespace strata::vcluster
