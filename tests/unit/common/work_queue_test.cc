// WorkQueue: order, delays, bounds, and threads only where there is work.
#include "common/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "common/file_io.h"

namespace strata {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

size_t ThreadsOfThisProcess() {
  const std::string status = ReadFile("/proc/self/status").value();
  return std::stoul(status.substr(status.find("Threads:") + 8));
}

TEST(WorkQueue, PiecesThatAreNotDueTakeNoThreadEach) {
  const size_t before = ThreadsOfThisProcess();
  WorkQueue queue(100);
  for (int i = 0; i < 100; ++i) queue.Push([] {}, hours(1));
  std::latch done(1);
  queue.Push([&] { done.count_down(); });
  done.wait();
  EXPECT_LE(ThreadsOfThisProcess(), before + 2);
}

TEST(WorkQueue, AsManyPiecesRunAtOnceAsThereMayBeThreads) {
  constexpr int kThreads = 5;
  WorkQueue queue(kThreads);
  std::latch together(kThreads);
  std::latch done(kThreads + 1);
  for (int i = 0; i < kThreads; ++i) {
    queue.Push([&] {
      together.arrive_and_wait();  // Ends only when all of them are here.
      done.count_down();
    });
  }
  queue.Push([&] { done.count_down(); });
  done.wait();
  EXPECT_EQ(ThreadsOfThisProcess() >= kThreads, true);
}

TEST(WorkQueue, APieceIsDoneWhenItIsDueAlsoWhileAnotherOneTakesLong) {
  WorkQueue queue(2);
  std::latch release(1);
  std::latch later(1);
  queue.Push([&] { release.wait(); });
  queue.Push([&] { later.count_down(); }, milliseconds(20));
  later.wait();
  release.count_down();
}

TEST(WorkQueue, CloseWaitsForWhatRunsAndDropsTheRest) {
  std::atomic<int> done = 0;
  std::latch begun(1);
  {
    WorkQueue queue(1);
    queue.Push([&] {
      begun.count_down();
      ++done;
    });
    begun.wait();
    queue.Push([&] { ++done; }, hours(1));
    queue.Close();
    queue.Push([&] { ++done; });
  }
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace strata
