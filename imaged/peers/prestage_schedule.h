// PrestageSchedule: prestages that run at a time, by themselves: the image of tomorrow's class goes
// to its hosts at night (docs/transfer.md, "At a time").
//
// Kept in one file (PrestageScheduleFile), replaced durably at every change. One that imaged was
// killed in runs again from its start when imaged is back: hosts that have the image cost nothing
// then. One whose time passed while imaged was away runs at once. They run one after another, since
// they would share this host's link. What has ended is kept for a week to be looked at.
//
// Thread-safe. The clock is the host's wall clock, looked at every half a minute at least, so it
// may be set.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/peer.pb.h"

namespace strata::imaged {

class PrestageSchedule {
 public:
  // Runs one, and tells how every host ended; PrestageImage.
  using Run = std::function<Status(uid_t uid, const v1::PrestageRequest& request,
                                   const std::function<void(const v1::PrestageHost&)>& report,
                                   const CancelToken& cancel)>;

  // kCorrupt names the file.
  static Result<std::unique_ptr<PrestageSchedule>> Open(const std::string& path, Run run);
  // Stops the one that runs, which will run again.
  ~PrestageSchedule();

  // kInvalidArgument; kResourceExhausted when the user has too many.
  Result<v1::ScheduledPrestage> Add(uid_t uid, const std::string& user,
                                    const v1::SchedulePrestageRequest& request);
  // The user's own, of root all, by time.
  v1::PrestageList List(uid_t uid) const;
  // kNotFound: there is none that the user may see.
  Result<v1::ScheduledPrestage> Cancel(uid_t uid, const std::string& id);

 private:
  PrestageSchedule(std::string path, Run run) : path_(std::move(path)), run_(std::move(run)) {}
  // REQUIRES: mutex_ is held, for these. Nothing has changed when a save fails.
  Status Save(const v1::PrestageScheduleFile& file);
  v1::ScheduledPrestage* Find(const std::string& id);
  const v1::ScheduledPrestage* Next() const;

  void Loop(const std::stop_token& stop);
  void RunOne(const std::string& id);
  void End(const std::string& id, const Status& status,
           const std::map<std::string, v1::PrestageHost>& hosts);

  const std::string path_;
  const Run run_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable_any changed_;
  v1::PrestageScheduleFile file_;
  std::string running_;  // Empty: none.
  std::shared_ptr<CancelToken> cancel_running_;
  std::jthread thread_;  // Last: it uses all of the above.
};

}  // namespace strata::imaged
