// Prestages at a time: they run when it comes, once, and a restart forgets none.
#include "imaged/peers/prestage_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>

#include "common/file_io.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

using std::chrono::system_clock;
using testing::HasSubstr;
using testing::SizeIs;

constexpr uid_t kAlice = 1001;
constexpr uid_t kBob = 1002;

class PrestageScheduleTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(*TemporaryDirectory::Create("/var/tmp", "strata-schedule."));
  }
  std::string path() const { return directory_->path() + "/prestages"; }

  std::unique_ptr<PrestageSchedule> Open(PrestageSchedule::Run run) {
    auto opened = PrestageSchedule::Open(path(), std::move(run));
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    return std::move(*opened);
  }
  // Runs nothing: its time is far.
  std::unique_ptr<PrestageSchedule> OpenIdle() {
    return Open([](auto, const auto&, const auto&, const auto&) -> Status {
      ADD_FAILURE() << "nothing is due";
      return Ok();
    });
  }
  static v1::SchedulePrestageRequest In(std::chrono::milliseconds time,
                                        const std::string& image = "tools") {
    v1::SchedulePrestageRequest request;
    request.mutable_prestage()->set_reference(image);
    request.mutable_prestage()->add_hosts("b");
    request.set_at_unix_ms(UnixMs(system_clock::now() + time));
    return request;
  }
  static Status RunUntilCancelled(std::promise<void>* began, const CancelToken& cancel) {
    began->set_value();
    while (!cancel.cancelled()) std::this_thread::yield();
    return cancel.Check();
  }

  std::optional<TemporaryDirectory> directory_;
};

TEST_F(PrestageScheduleTest, RunsWhenItsTimeComesAndTellsHowItEnded) {
  std::promise<int64_t> ran;
  auto schedule = Open([&](uid_t uid, const v1::PrestageRequest& request, const auto& report,
                           const CancelToken&) -> Status {
    EXPECT_EQ(uid, kAlice);
    EXPECT_EQ(request.reference(), "tools");
    v1::PrestageHost host;
    host.set_host("b");
    host.mutable_progress();
    report(host);
    host.set_error("is down");
    report(host);
    ran.set_value(UnixMs(system_clock::now()));
    return Ok();
  });
  const auto added = schedule->Add(kAlice, "alice", In(std::chrono::milliseconds(200)));
  ASSERT_TRUE(added.ok()) << added.error().message();
  EXPECT_GE(ran.get_future().get(), added->at_unix_ms());
  v1::PrestageList list = schedule->List(kAlice);
  while (list.prestages(0).state() != v1::PRESTAGE_ENDED) list = schedule->List(kAlice);
  ASSERT_THAT(list.prestages(0).hosts(), SizeIs(1));
  EXPECT_EQ(list.prestages(0).hosts(0).error(), "is down");
  schedule.reset();
  EXPECT_EQ(OpenIdle()->List(kAlice).prestages(0).state(), v1::PRESTAGE_ENDED)
      << "it does not run again";
}

TEST_F(PrestageScheduleTest, ARestartForgetsNoneAndRunsWhatIsLate) {
  {
    auto schedule = OpenIdle();
    ASSERT_TRUE(schedule->Add(kAlice, "alice", In(std::chrono::hours(5))).ok());
    ASSERT_TRUE(schedule->Add(kBob, "bob", In(std::chrono::hours(2), "spark")).ok());
  }
  {
    const auto list = OpenIdle()->List(0);
    ASSERT_THAT(list.prestages(), SizeIs(2));
    EXPECT_EQ(list.prestages(0).request().reference(), "spark") << "the next first";
  }
  // imaged ends in the middle of one.
  std::promise<void> began;
  {
    auto schedule = Open([&](auto, const auto&, const auto&, const CancelToken& cancel) {
      return RunUntilCancelled(&began, cancel);
    });
    ASSERT_TRUE(schedule->Add(kAlice, "alice", In(std::chrono::hours(-1), "late")).ok());
    began.get_future().wait();
  }
  std::promise<std::string> again;
  auto schedule = Open([&](auto, const v1::PrestageRequest& request, const auto&, const auto&) {
    again.set_value(request.reference());
    return Status(Ok());
  });
  EXPECT_EQ(again.get_future().get(), "late");
  EXPECT_THAT(schedule->List(0).prestages(), SizeIs(3));
}

TEST_F(PrestageScheduleTest, OnesOwnAreSeenAndCancelledAndOneThatRunsIsStopped) {
  std::promise<void> began;
  std::promise<void> stopped;
  auto schedule = Open([&](auto, const auto&, const auto&, const CancelToken& cancel) {
    const Status status = RunUntilCancelled(&began, cancel);
    stopped.set_value();
    return status;
  });
  const auto alices = schedule->Add(kAlice, "alice", In(std::chrono::hours(5)));
  ASSERT_TRUE(alices.ok());
  EXPECT_THAT(schedule->List(kBob).prestages(), SizeIs(0));
  EXPECT_EQ(schedule->Cancel(kBob, alices->id()).error().code(), Code::kNotFound);
  EXPECT_TRUE(schedule->Cancel(kAlice, alices->id()).ok());
  EXPECT_THAT(schedule->List(0).prestages(), SizeIs(0));

  const auto running = schedule->Add(kBob, "bob", In(std::chrono::milliseconds(-1)));
  ASSERT_TRUE(running.ok());
  began.get_future().wait();
  EXPECT_EQ(schedule->List(kBob).prestages(0).state(), v1::PRESTAGE_RUNNING);
  EXPECT_TRUE(schedule->Cancel(0, running->id()).ok());
  stopped.get_future().wait();
  EXPECT_THAT(schedule->List(0).prestages(), SizeIs(0));
}

TEST_F(PrestageScheduleTest, AnyErrorIsKeptSoThatTheFileCanBeReadAgain) {
  {
    auto schedule = Open([](auto, const auto&, const auto& report, const auto&) -> Status {
      v1::PrestageHost host;
      host.set_host("b");
      host.set_error("x" + std::string(2000, '\xc3'));  // Cut halves of letters.
      report(host);
      return Error(Code::kInternal, "no \xff text");
    });
    ASSERT_TRUE(schedule->Add(kAlice, "alice", In(std::chrono::milliseconds(-1))).ok());
    while (schedule->List(kAlice).prestages(0).state() != v1::PRESTAGE_ENDED) {
    }
  }
  const auto again = OpenIdle()->List(kAlice);
  ASSERT_THAT(again.prestages(), SizeIs(1));
  EXPECT_THAT(again.prestages(0).error(), HasSubstr("no \\xff text"));
  EXPECT_LT(again.prestages(0).hosts(0).error().size(), 1000u);
}

TEST_F(PrestageScheduleTest, WhatCannotBeKeptIsRefused) {
  auto schedule = OpenIdle();
  EXPECT_EQ(schedule->Add(kAlice, "alice", In(std::chrono::hours(24 * 400))).error().code(),
            Code::kInvalidArgument);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(schedule->Add(kAlice, "alice", In(std::chrono::hours(1))).ok());
  }
  EXPECT_EQ(schedule->Add(kAlice, "alice", In(std::chrono::hours(1))).error().code(),
            Code::kResourceExhausted);
  EXPECT_TRUE(schedule->Add(kBob, "bob", In(std::chrono::hours(1))).ok());
  schedule.reset();
  ASSERT_TRUE(WriteFileAtomically(path(), "\xff\xff what").ok());
  const auto damaged = PrestageSchedule::Open(path(), {});
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().code(), Code::kCorrupt);
  EXPECT_THAT(damaged.error().message(), HasSubstr(path()));
}

}  // namespace
}  // namespace strata::imaged
