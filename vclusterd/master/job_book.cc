#include "vclusterd/master/job_book.h"

#include <algorithm>
#include <cstdio>

namespace strata::vcluster {
namespace {

constexpr uint32_t kVersion = 1;

std::string Digits(uint32_t number, int width) {
  char text[16];
  std::snprintf(text, sizeof(text), "%0*u", width, number);
  return text;
}

bool IsDone(const jobs::v1::Job& job) { return job.phase() == jobs::v1::DONE; }

}  // namespace

std::string JobKey(uint32_t number) { return Digits(number, 10); }

std::string OutputKey(uint32_t job, uint32_t task, uint32_t node) {
  return JobKey(job) + "/" + Digits(task, 3) + "/" + Digits(node, 3);
}

Status JobBook::Load(const std::string& key, std::string_view bytes) {
  jobs::v1::Job job;
  if (!job.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      job.version() != kVersion || JobKey(job.number()) != key) {
    return Error(Code::kCorrupt, "record of job " + key + " cannot be read");
  }
  Put(std::move(job));
  return Ok();
}

void JobBook::Put(jobs::v1::Job job) {
  const uint32_t number = job.number();
  std::set<uint32_t>& active = active_[job.vcluster_number()];
  if (IsDone(job)) {
    active.erase(number);
    if (active.empty()) active_.erase(job.vcluster_number());
  } else {
    active.insert(number);
  }
  jobs_[number].job = std::make_shared<const jobs::v1::Job>(std::move(job));
}

void JobBook::Remove(uint32_t number) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  const auto active = active_.find(found->second.job->vcluster_number());
  if (active != active_.end()) active->second.erase(number);
  jobs_.erase(found);
}

JobPtr JobBook::Find(uint32_t number) const {
  const auto found = jobs_.find(number);
  return found == jobs_.end() ? nullptr : found->second.job;
}

std::vector<JobPtr> JobBook::All() const {
  std::vector<JobPtr> all;
  for (const auto& [number, entry] : jobs_) all.push_back(entry.job);
  return all;
}

std::vector<JobPtr> JobBook::ActiveOf(uint32_t vcluster) const {
  std::vector<JobPtr> active;
  const auto found = active_.find(vcluster);
  if (found == active_.end()) return active;
  for (const uint32_t number : found->second) active.push_back(jobs_.at(number).job);
  return active;
}

size_t JobBook::ActiveOfOwner(uint32_t uid) const {
  return static_cast<size_t>(std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
    return entry.second.job->owner_uid() == uid && !IsDone(*entry.second.job);
  }));
}

std::vector<uint32_t> JobBook::Outdated(int64_t now_unix_ms) const {
  std::vector<uint32_t> outdated;
  std::map<uint32_t, size_t> kept;  // By owner; the newest first.
  for (auto it = jobs_.rbegin(); it != jobs_.rend(); ++it) {
    const jobs::v1::Job& job = *it->second.job;
    if (!IsDone(job)) continue;
    const bool old = now_unix_ms - job.ended_unix_ms() > kFinishedJobAgeMaxMs;
    if (old || ++kept[job.owner_uid()] > kFinishedJobsMax) outdated.push_back(job.number());
  }
  return outdated;
}

void JobBook::SetDue(uint32_t number, int64_t unix_ms) {
  const auto found = jobs_.find(number);
  if (found != jobs_.end()) found->second.due_unix_ms = unix_ms;
}

std::set<uint32_t> JobBook::DueAt(int64_t unix_ms) const {
  std::set<uint32_t> due;
  for (const auto& [number, entry] : jobs_) {
    if (entry.due_unix_ms <= unix_ms) due.insert(number);
  }
  return due;
}

int64_t JobBook::NextDue() const {
  int64_t next = kNever;
  for (const auto& [number, entry] : jobs_) next = std::min(next, entry.due_unix_ms);
  return next;
}

}  // namespace strata::vcluster
