// The audit log: what is asked of it, how long it remembers, and that refusals do not push the past
// out of it.
#include "vclusterd/users/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/file_io.h"
#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using users::v1::AuditEvent;

AuditEvent Event(uint32_t uid, const std::string& operation, const std::string& object,
                 uint32_t owner) {
  AuditEvent event;
  event.set_uid(uid);
  event.set_user("u" + std::to_string(uid));
  event.set_source("192.0.2." + std::to_string(uid % 250));
  event.set_operation(operation);
  event.set_object(object);
  event.set_owner_uid(owner);
  event.set_owned(true);
  return event;
}

Error Refused() { return Error(Code::kPermissionDenied, "no"); }

class AuditLogTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-audit.")));
    Open(AuditLog::DefaultLimits());
  }
  void Open(EventLogLimits limits) {
    log_.reset();
    auto opened = AuditLog::Open(directory_->path(), clock_.clock(), limits);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    log_ = std::move(*opened);
  }
  std::vector<std::string> Find(const AuditQuery& query) {
    std::vector<std::string> lines;
    const auto events = log_->Find(query);
    EXPECT_TRUE(events.ok());
    for (const AuditEvent& event : *events) {
      lines.push_back(event.user() + " " + event.operation() + " " + event.object() + " " +
                      event.outcome());
    }
    return lines;
  }

  FakeClock clock_;
  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditLogTest, ChangesAndRefusalsAreFoundByUserObjectOperationAndTime) {
  const int64_t start = clock_.now_ms;
  log_->Record(Event(0, "user.create", "alice", 5), Ok());
  clock_.now_ms += kHourMs;
  log_->Record(Event(5, "vcluster.create", "alice/hpc", 5), Ok());
  log_->Record(Event(55, "vcluster.exec", "alice/hpc", 5), Refused());
  clock_.now_ms += kHourMs;
  log_->Record(Event(5, "vcluster.delete", "alice/hpc", 5), Ok());
  Open(AuditLog::DefaultLimits());
  EXPECT_THAT(Find({.uid = 5}),
              ElementsAre("u5 vcluster.create alice/hpc ok", "u5 vcluster.delete alice/hpc ok"));
  EXPECT_THAT(Find({.uid = 0}), ElementsAre("u0 user.create alice ok"));
  EXPECT_THAT(Find({.object = "alice"}), ElementsAre("u0 user.create alice ok"));
  EXPECT_THAT(Find({.operation = "vcluster.exec"}),
              ElementsAre("u55 vcluster.exec alice/hpc permission denied"));
  EXPECT_THAT(Find({.since_unix_ms = start + 1, .until_unix_ms = start + kHourMs}),
              ElementsAre("u5 vcluster.create alice/hpc ok",
                          "u55 vcluster.exec alice/hpc permission denied"));
  EXPECT_THAT(Find({.after = 3}), ElementsAre("u5 vcluster.delete alice/hpc ok"));
  EXPECT_THAT(Find({.last = 1}), ElementsAre("u5 vcluster.delete alice/hpc ok"));
}

TEST_F(AuditLogTest, AUserSeesWhatHeDidAndWhatWasDoneToHis) {
  log_->Record(Event(0, "user.lock", "bob", 6), Ok());
  log_->Record(Event(7, "vcluster.exec", "alice/hpc", 5), Ok());
  log_->Record(Event(55, "vcluster.exec", "alice/hpc", 5), Refused());
  AuditEvent stranger = Event(5, "user.sign-in", "alice", 5);
  stranger.clear_user();  // Nobody, yet.
  log_->Record(stranger, Refused());
  EXPECT_THAT(Find({.visible_to = 5}), ElementsAre("u7 vcluster.exec alice/hpc ok"));
  EXPECT_THAT(Find({.visible_to = 55}),
              ElementsAre("u55 vcluster.exec alice/hpc permission denied"));
  EXPECT_EQ(Find({}).size(), 4u);
}

TEST_F(AuditLogTest, TextOfStrangersIsDataAndIsFoundAgain) {
  const std::string evil = "x\"},{\"uid\":0}\n\xff";
  log_->Record(Event(5, "vcluster.create", evil, 5), Ok());
  log_->Record(Event(6, "vcluster.create", "b", 6), Ok());
  EXPECT_EQ(Find({}).size(), 2u);
  const auto events = log_->Find({});
  EXPECT_EQ((*events)[0].object(), "x\"},{\"uid\":0}\\x0a\\xff");
  EXPECT_EQ(Find({.object = (*events)[0].object()}).size(), 1u);
}

TEST_F(AuditLogTest, ManyRefusalsAreCountedInsteadOfWritten) {
  log_->Record(Event(1, "user.create", "first", 1), Ok());
  AuditEvent guess = Event(5, "user.sign-in", "alice", 5);
  for (int i = 0; i < 1000; ++i) log_->Record(guess, Refused());
  EXPECT_EQ(Find({}).size(), 61u);
  for (int i = 0; i < 10'000; ++i) {
    guess.set_source("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250));
    log_->Record(guess, Refused());
  }
  EXPECT_EQ(Find({.last = 10'000}).size(), 601u);
  log_->Record(Event(2, "user.create", "second", 2), Ok());
  EXPECT_EQ(Find({.operation = "user.create"}).size(), 2u) << "what was done is always written";
  clock_.now_ms += kMinuteMs;
  log_->Record(guess, Refused());
  uint32_t left_out = 0;
  const auto events = log_->Find({.last = 10'000});
  for (const AuditEvent& event : *events) left_out += event.left_out();
  EXPECT_EQ(left_out, 11'000u - 600u);
}

TEST_F(AuditLogTest, WhatIsTooOldGoesByWholeFilesAndNumbersGoOn) {
  Open({.file_bytes_max = 4u << 20,
        .files_max = 64,
        .file_age_ms_max = 7 * kDayMs,
        .age_ms_max = 30 * kDayMs});
  for (int day = 0; day < 100; ++day) {
    log_->Record(Event(5, "day", std::to_string(day), 5), Ok());
    clock_.now_ms += kDayMs;
  }
  auto events = log_->Find({});
  EXPECT_GE(events->front().time_unix_ms(), clock_.now_ms - 40 * kDayMs);
  EXPECT_LE(events->front().time_unix_ms(), clock_.now_ms - 30 * kDayMs);
  EXPECT_EQ(events->back().number(), 100u);
  Open({.file_bytes_max = 4u << 20,
        .files_max = 64,
        .file_age_ms_max = 7 * kDayMs,
        .age_ms_max = 10 * kDayMs});
  clock_.now_ms += 8 * kDayMs;
  log_->Record(Event(5, "day", "last", 5), Ok());
  events = log_->Find({});
  EXPECT_GE(events->front().time_unix_ms(), clock_.now_ms - 20 * kDayMs) << "after a restart too";
  EXPECT_EQ(events->back().number(), 101u);
}

TEST_F(AuditLogTest, SizeIsBounded) {
  Open({.file_bytes_max = 1000, .files_max = 3});
  for (int i = 0; i < 100; ++i) log_->Record(Event(5, "x", std::to_string(i), 5), Ok());
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_->path())) {
    bytes += entry.file_size();
  }
  EXPECT_LE(bytes, 3 * 1300u);
  EXPECT_THAT(Find({.last = 1}), ElementsAre("u5 x 99 ok"));
}

}  // namespace
}  // namespace strata::vcluster
