// Who reads requests, and for how long a reader looks before it sleeps; without a mount.
#include "layerfs/server/leadership.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "layerfs/server/poll_window.h"

namespace strata::layerfs {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// A thread that takes turns, step by step as the test says.
class Worker {
 public:
  explicit Worker(Leadership& leadership) : leadership_(leadership), thread_([this] { Run(); }) {}

  void AwaitTurn() { Await(State::kReading); }
  bool IsReading() const { return Is(State::kReading); }
  bool leads() const { return turn_.leads(); }  // While it is to read.
  // It has read a request, and works on it until FinishServing.
  void Serve(bool at_once = false) {
    at_once_ = at_once;
    Set(State::kBegin);
    Await(State::kServing);
  }
  void StandAside() { leadership_.StandAside(&turn_); }
  void FinishServing() { Set(State::kFinish); }
  // The state after FinishServing: whether it reads on.
  bool ReadsOn() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return state_ == State::kReading || state_ == State::kWaiting; });
    return state_ == State::kReading;
  }
  // REQUIRES: Leadership::End.
  void LetEnd() {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }

 private:
  enum class State { kWaiting, kReading, kBegin, kServing, kFinish };

  bool Is(State state) const {
    const std::lock_guard lock(mutex_);
    return state_ == state;
  }
  void Set(State state) {
    const std::lock_guard lock(mutex_);
    state_ = state;
    changed_.notify_all();
  }
  void Await(State state) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return state_ == state || ending_; });
  }
  void Run() {
    while (leadership_.Take(&turn_)) {
      do {
        Set(State::kReading);
        Await(State::kBegin);
        leadership_.Begin(&turn_, at_once_);
        Set(State::kServing);
        Await(State::kFinish);
      } while (leadership_.Finish(&turn_) && !ending_);
      Set(State::kWaiting);
    }
  }

  Leadership& leadership_;
  Leadership::Turn turn_;
  bool at_once_ = false;
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;  // Guards state_.
  std::condition_variable changed_;
  State state_ = State::kWaiting;
  std::jthread thread_;
};

// The one that is to read; waits for it.
Worker& AwaitReader(std::vector<std::unique_ptr<Worker>>& workers, const Worker* except = nullptr) {
  while (true) {
    for (auto& worker : workers) {
      if (worker.get() != except && worker->IsReading()) return *worker;
    }
    std::this_thread::yield();
  }
}

class LeadershipTest : public ::testing::Test {
 protected:
  // Nobody is replaced for being slow, unless the test says so.
  void Start(unsigned threads, std::chrono::milliseconds patience = std::chrono::hours(1)) {
    leadership_.emplace(threads, patience);
    for (unsigned i = 0; i < threads; ++i) {
      workers_.push_back(std::make_unique<Worker>(*leadership_));
    }
  }
  void TearDown() override {
    leadership_->End();
    for (auto& worker : workers_) worker->LetEnd();
    workers_.clear();
  }
  size_t Reading() const {
    const auto reads = [](const auto& worker) { return worker->IsReading(); };
    return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(), reads));
  }

  std::optional<Leadership> leadership_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

TEST_F(LeadershipTest, TheLeaderServesOneRequestAfterTheOther) {
  Start(4);
  Worker& leader = AwaitReader(workers_);
  for (int i = 0; i < 100; ++i) {
    leader.AwaitTurn();
    EXPECT_TRUE(leader.leads());
    EXPECT_EQ(Reading(), 1u);
    leader.Serve();
    leader.FinishServing();
  }
  leader.AwaitTurn();
}

TEST_F(LeadershipTest, WhoStandsAsideIsReplacedAtOnce) {
  Start(2);
  Worker& first = AwaitReader(workers_);
  first.Serve();
  first.StandAside();
  Worker& second = AwaitReader(workers_, &first);
  EXPECT_TRUE(second.leads());
  first.FinishServing();
  second.Serve();
  second.FinishServing();
  second.AwaitTurn();
  EXPECT_FALSE(first.ReadsOn());
}

TEST_F(LeadershipTest, WhoIsWithARequestForLongIsReplaced) {
  Start(3, std::chrono::milliseconds(1));
  Worker& first = AwaitReader(workers_);
  first.Serve();  // And never says that it waits.
  Worker& second = AwaitReader(workers_, &first);
  EXPECT_TRUE(second.leads());
  second.Serve();
  Worker* third = nullptr;
  while (third == nullptr) {
    Worker& found = AwaitReader(workers_, &first);
    if (&found != &second) third = &found;
  }
  EXPECT_TRUE(third->leads());
  first.FinishServing();
  second.FinishServing();
  EXPECT_FALSE(first.ReadsOn());
  EXPECT_FALSE(second.ReadsOn());
  EXPECT_TRUE(third->IsReading());
}

// The watcher may be the one that is called to help: then another follower watches.
TEST_F(LeadershipTest, SlowRequestsOfLeaderAndHelperDoNotHoldUpTheRest) {
  Start(4, std::chrono::milliseconds(1));
  std::vector<Worker*> slow;
  while (slow.size() < workers_.size()) {
    Worker* reader = nullptr;
    while (reader == nullptr) {
      for (auto& worker : workers_) {
        if (worker->IsReading()) reader = worker.get();
      }
    }
    for (int i = 0; i < 64 && reader->IsReading(); ++i) {
      reader->Serve(/*at_once=*/true);
      reader->FinishServing();
      if (!reader->ReadsOn()) break;
    }
    if (!reader->IsReading()) continue;
    reader->Serve(/*at_once=*/true);  // And never ends.
    slow.push_back(reader);
  }
  EXPECT_EQ(slow.size(), workers_.size());  // Every thread came to read.
}

TEST_F(LeadershipTest, TheOnlyThreadThatIsFreeTakesTheLeadThatNobodyHas) {
  Start(2);
  Worker& first = AwaitReader(workers_);
  first.Serve();
  first.StandAside();
  Worker& second = AwaitReader(workers_, &first);
  second.Serve();
  second.StandAside();  // Nobody is left.
  first.FinishServing();
  first.AwaitTurn();
  EXPECT_TRUE(first.leads());
  second.FinishServing();
}

TEST_F(LeadershipTest, RequestsThatQueueUpCallHelpers) {
  Start(2);
  Worker& leader = AwaitReader(workers_);
  bool helped = false;
  for (int i = 0; i < 1000 && !helped; ++i) {
    leader.AwaitTurn();
    leader.Serve(/*at_once=*/true);
    leader.FinishServing();
    helped = Reading() > 1;
  }
  while (Reading() < 2) std::this_thread::yield();  // Called, and on its way.
  leader.AwaitTurn();
  EXPECT_TRUE(leader.leads());
  for (auto& worker : workers_) {
    EXPECT_EQ(worker->leads(), worker.get() == &leader);
  }
}

TEST_F(LeadershipTest, OneThreadAloneKeepsTheLead) {
  Start(1);
  Worker& only = AwaitReader(workers_);
  only.Serve();
  only.StandAside();
  only.FinishServing();
  only.AwaitTurn();
  EXPECT_TRUE(only.leads());
}

// Many threads, requests of all kinds: every request is served once, and at most one thread leads.
TEST(Leadership, HoldsUnderLoad) {
  constexpr unsigned kThreads = 8;
  constexpr unsigned kRequests = 20000;
  Leadership leadership(kThreads);
  std::atomic<unsigned> requests{0};
  std::atomic<int> leaders_reading{0};
  std::atomic<bool> failed{false};
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Leadership::Turn turn;
      while (leadership.Take(&turn)) {
        do {
          const bool leads = turn.leads();
          if (leads && leaders_reading.fetch_add(1) != 0) failed = true;
          const unsigned number = requests.fetch_add(1);
          if (leads) leaders_reading.fetch_sub(1);
          if (number >= kRequests) {
            leadership.End();
            return;
          }
          leadership.Begin(&turn, number % 3 != 0);
          if (number % 7 == t % 7) leadership.StandAside(&turn);
          // So long that another thread takes the lead.
          while (number % 1000 == 0 && requests.load() == number + 1) std::this_thread::yield();
        } while (leadership.Finish(&turn));
      }
    });
  }
  threads.clear();
  EXPECT_FALSE(failed);
  EXPECT_GE(requests.load(), kRequests);
}

TEST(PollWindow, GrowsWhileWaitsAreShortAndClosesAfterALongOne) {
  PollWindow window;
  EXPECT_EQ(window.length(), microseconds(0));
  window.Waited(microseconds(5));
  EXPECT_EQ(window.length(), PollWindow::kFirst);
  window.Waited(microseconds(5));
  EXPECT_EQ(window.length(), PollWindow::kFirst) << "long enough already";
  for (int i = 0; i < 10; ++i) window.Waited(microseconds(45));
  EXPECT_EQ(window.length(), PollWindow::kLongest);
  window.Waited(seconds(1));
  EXPECT_EQ(window.length(), microseconds(0));
}

TEST(PollWindow, LooksAgainUntilItsLengthIsOver) {
  PollWindow window;
  window.Begin();
  EXPECT_FALSE(window.LooksAgain(microseconds(0)));
  window.Waited(microseconds(5));
  window.Begin();
  EXPECT_TRUE(window.LooksAgain(microseconds(1)));
  EXPECT_TRUE(window.LooksAgain(microseconds(9)));
  EXPECT_FALSE(window.LooksAgain(PollWindow::kFirst));
}

TEST(PollWindow, StaysClosedForAWhileWhenTheReaderWasHeldUp) {
  PollWindow window;
  window.Waited(microseconds(5));
  window.Begin();
  EXPECT_TRUE(window.LooksAgain(microseconds(1)));
  EXPECT_FALSE(window.LooksAgain(microseconds(2) + PollWindow::kHeldUp));
  window.Waited(microseconds(5));
  for (unsigned i = 1; i < PollWindow::kWaitsClosed; ++i) {
    EXPECT_EQ(window.length(), microseconds(0));
    window.Waited(microseconds(5));
  }
  window.Waited(microseconds(5));
  EXPECT_EQ(window.length(), PollWindow::kFirst);
}

}  // namespace
}  // namespace strata::layerfs
