#include "imaged/peers/prestage_schedule.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>

#include "common/file_io.h"
#include "common/log.h"
#include "common/printable.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

using Clock = std::chrono::system_clock;

constexpr uint32_t kFormat = 1;
constexpr int kPerUserMax = 100;
constexpr int kFileMax = 2000;
constexpr size_t kRequestBytesMax = 24 << 10;
constexpr size_t kErrorBytesMax = 512;
constexpr size_t kFileBytesMax = 256 << 20;  // More than all that fits the limits above.
constexpr std::chrono::hours kKeptEnded{7 * 24};
constexpr std::chrono::hours kAheadMax{366 * 24};
constexpr std::chrono::seconds kLookAtClock{30};

std::string Title(const v1::ScheduledPrestage& prestage) {
  return "prestage " + prestage.id() + " of " + prestage.request().reference();
}

bool Sees(uid_t uid, const v1::ScheduledPrestage& prestage) {
  return uid == 0 || prestage.uid() == uid;
}

void ForgetOld(v1::PrestageScheduleFile* file) {
  const int64_t oldest = UnixMs(Clock::now() - kKeptEnded);
  auto* all = file->mutable_prestages();
  all->erase(std::remove_if(all->begin(), all->end(),
                            [&](const v1::ScheduledPrestage& prestage) {
                              return prestage.state() == v1::PRESTAGE_ENDED &&
                                     prestage.ended_unix_ms() < oldest;
                            }),
             all->end());
}

}  // namespace

Result<std::unique_ptr<PrestageSchedule>> PrestageSchedule::Open(const std::string& path, Run run) {
  std::unique_ptr<PrestageSchedule> schedule(new PrestageSchedule(path, std::move(run)));
  v1::PrestageScheduleFile& file = schedule->file_;
  file.set_format(kFormat);
  file.set_next_id(1);
  if (PathExists(path)) {
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileBytesMax));
    if (!file.ParseFromString(bytes) || file.format() == 0) {
      return Error(Code::kCorrupt,
                   path + " is not a file of prestages: move it away to begin anew");
    }
    if (file.format() > kFormat) {
      return Error(Code::kUnsupported, path + " is of a later version of imaged");
    }
  }
  // It was running when imaged ended.
  for (v1::ScheduledPrestage& prestage : *file.mutable_prestages()) {
    if (prestage.state() == v1::PRESTAGE_RUNNING) prestage.set_state(v1::PRESTAGE_WAITING);
  }
  schedule->thread_ = std::jthread(
      [schedule = schedule.get()](const std::stop_token& stop) { schedule->Loop(stop); });
  return schedule;
}

PrestageSchedule::~PrestageSchedule() {
  thread_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    if (cancel_running_ != nullptr) cancel_running_->Cancel();
  }
  if (thread_.joinable()) thread_.join();
}

Status PrestageSchedule::Save(const v1::PrestageScheduleFile& file) {
  RETURN_IF_ERROR(WriteFileDurably(path_, file.SerializeAsString(), 0600));
  file_ = file;
  changed_.notify_all();
  return Ok();
}

v1::ScheduledPrestage* PrestageSchedule::Find(const std::string& id) {
  for (v1::ScheduledPrestage& prestage : *file_.mutable_prestages()) {
    if (prestage.id() == id) return &prestage;
  }
  return nullptr;
}

const v1::ScheduledPrestage* PrestageSchedule::Next() const {
  const v1::ScheduledPrestage* next = nullptr;
  for (const v1::ScheduledPrestage& prestage : file_.prestages()) {
    if (prestage.state() != v1::PRESTAGE_WAITING) continue;
    if (next == nullptr || prestage.at_unix_ms() < next->at_unix_ms()) next = &prestage;
  }
  return next;
}

Result<v1::ScheduledPrestage> PrestageSchedule::Add(uid_t uid, const std::string& user,
                                                    const v1::SchedulePrestageRequest& request) {
  if (request.at_unix_ms() <= 0 || request.at_unix_ms() > UnixMs(Clock::now() + kAheadMax)) {
    return Error(Code::kInvalidArgument, "a prestage begins within a year");
  }
  v1::PrestageRequest prestage = request.prestage();
  prestage.DiscardUnknownFields();
  if (prestage.ByteSizeLong() > kRequestBytesMax) {
    return Error(Code::kInvalidArgument, "the list of hosts is too long");
  }
  const std::lock_guard lock(mutex_);
  v1::PrestageScheduleFile file = file_;
  ForgetOld(&file);
  const auto own = std::count_if(file.prestages().begin(), file.prestages().end(),
                                 [&](const auto& each) { return each.uid() == uid; });
  if (own >= kPerUserMax || file.prestages_size() >= kFileMax) {
    return Error(Code::kResourceExhausted,
                 "too many prestages are kept: forget some with 'vimage prestage --cancel ID'");
  }
  v1::ScheduledPrestage* added = file.add_prestages();
  added->set_id(std::to_string(file.next_id()));
  added->set_user(user);
  added->set_uid(uid);
  *added->mutable_request() = std::move(prestage);
  added->set_at_unix_ms(request.at_unix_ms());
  added->set_state(v1::PRESTAGE_WAITING);
  const v1::ScheduledPrestage answer = *added;
  file.set_next_id(file.next_id() + 1);
  RETURN_IF_ERROR(Save(file));
  return answer;
}

v1::PrestageList PrestageSchedule::List(uid_t uid) const {
  v1::PrestageList list;
  {
    const std::lock_guard lock(mutex_);
    for (const v1::ScheduledPrestage& prestage : file_.prestages()) {
      if (Sees(uid, prestage)) *list.add_prestages() = prestage;
    }
  }
  std::stable_sort(list.mutable_prestages()->begin(), list.mutable_prestages()->end(),
                   [](const auto& a, const auto& b) { return a.at_unix_ms() < b.at_unix_ms(); });
  return list;
}

Result<v1::ScheduledPrestage> PrestageSchedule::Cancel(uid_t uid, const std::string& id) {
  const std::lock_guard lock(mutex_);
  const v1::ScheduledPrestage* found = Find(id);
  if (found == nullptr || !Sees(uid, *found)) {
    return Error(Code::kNotFound, "there is no prestage " + id + ": see 'vimage prestage --list'");
  }
  v1::ScheduledPrestage cancelled = *found;
  v1::PrestageScheduleFile file = file_;
  auto* all = file.mutable_prestages();
  all->erase(std::remove_if(all->begin(), all->end(),
                            [&](const auto& prestage) { return prestage.id() == id; }),
             all->end());
  RETURN_IF_ERROR(Save(file));
  if (running_ == id) cancel_running_->Cancel();
  return cancelled;
}

void PrestageSchedule::Loop(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const v1::ScheduledPrestage* next = Next();
    const int64_t now = UnixMs(Clock::now());
    if (next != nullptr && next->at_unix_ms() <= now) {
      const std::string id = next->id();
      running_ = id;
      cancel_running_ = std::make_shared<CancelToken>();
      Find(id)->set_state(v1::PRESTAGE_RUNNING);  // Not written: a new start waits for it anew.
      lock.unlock();
      RunOne(id);
      lock.lock();
      running_.clear();
      cancel_running_.reset();
      continue;
    }
    std::chrono::milliseconds pause = kLookAtClock;
    if (next != nullptr)
      pause = std::min(pause, std::chrono::milliseconds(next->at_unix_ms() - now));
    const uint64_t known = file_.next_id();
    changed_.wait_for(lock, stop, pause, [&] { return file_.next_id() != known; });
  }
}

void PrestageSchedule::RunOne(const std::string& id) {
  v1::ScheduledPrestage prestage;
  std::shared_ptr<CancelToken> cancel;
  {
    const std::lock_guard lock(mutex_);
    const v1::ScheduledPrestage* found = Find(id);
    if (found == nullptr) return;  // Cancelled just now.
    prestage = *found;
    cancel = cancel_running_;
  }
  LOG_INFO(Title(prestage) + " begins");
  std::map<std::string, v1::PrestageHost> hosts;
  Status status = Ok();
  try {
    status = run_(
        prestage.uid(), prestage.request(),
        [&](const v1::PrestageHost& host) {
          if (!host.has_progress()) hosts[host.host()] = host;
        },
        *cancel);
  } catch (const std::exception& e) {
    status = Error(Code::kInternal, e.what());
  }
  if (cancel->cancelled()) return;  // Forgotten by now, or to be run by the next imaged.
  End(id, status, hosts);
}

void PrestageSchedule::End(const std::string& id, const Status& status,
                           const std::map<std::string, v1::PrestageHost>& hosts) {
  const std::lock_guard lock(mutex_);
  v1::ScheduledPrestage* ended = Find(id);
  if (ended == nullptr) return;
  ended->set_state(v1::PRESTAGE_ENDED);
  ended->set_ended_unix_ms(UnixMs(Clock::now()));
  if (!status.ok()) ended->set_error(Printable(status.error().message(), kErrorBytesMax));
  size_t failed = 0;
  for (const auto& [name, host] : hosts) {
    v1::PrestageHost* kept = ended->add_hosts();
    *kept = host;
    if (kept->has_result()) kept->mutable_result()->clear_image();
    if (kept->has_error()) kept->set_error(Printable(kept->error(), kErrorBytesMax));
    failed += host.has_error();
    if (host.has_error()) LOG_WARNING(Title(*ended) + ": " + name + ": " + host.error());
  }
  LOG_INFO(Title(*ended) + " ended: " +
           (status.ok() ? std::to_string(hosts.size() - failed) + " hosts have it, " +
                              std::to_string(failed) + " failed"
                        : status.error().message()));
  v1::PrestageScheduleFile file = file_;
  ForgetOld(&file);
  // Without the record it runs once more after a restart, which does no harm.
  if (Status saved = Save(file); !saved.ok()) LOG_ERROR(saved.error().message());
}

}  // namespace strata::imaged
