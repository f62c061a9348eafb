// A master that ends, or hears no answer, at every single commit of an operation. What was asked
// for comes true afterwards, or is gone; nothing is left of it, and what the user was told is so.
#include <gtest/gtest.h>

#include "common/log.h"
#include "tests/sim/world.h"

namespace strata::sim {
namespace {

using vcluster::Clusters;
using vcluster::Definition;
using vcluster::HostLoss;

using vcluster::kAlice;
constexpr seconds kSettleMax(400);

void Ignore(const std::string&, uint32_t, uint32_t) {}

template <typename T>
Status StatusOf(const Result<T>& result) {
  return result.ok() ? Ok() : Status(result.error());
}

enum class Crash { kKilledBefore, kKilledAfter, kNotMade, kAnswerLost };

constexpr std::pair<Crash, const char*> kCrashes[] = {{Crash::kKilledBefore, "killed before"},
                                                      {Crash::kKilledAfter, "killed after"},
                                                      {Crash::kNotMade, "refused"},
                                                      {Crash::kAnswerLost, "without an answer"}};

// What is asked of the world, and how many nodes of "a" there may be afterwards.
struct Scenario {
  std::string name;
  std::function<void(class Run&)> before;
  std::function<void(class Run&)> crashing;
  std::set<size_t> nodes;       // However it ended.
  std::optional<size_t> asked;  // When it was answered Ok.
};

class Run {
 public:
  // Crashes at the commit of this number after Arm; 0: at none.
  Run(uint64_t point, Crash crash) : world_({.seed = 1}), point_(point), crash_(crash) {
    world_.fate = [this](const auto&) {
      if (!armed_ || ++commits_ != point_) return CommitFate::kMade;
      if (crash_ == Crash::kNotMade) return CommitFate::kNotMade;
      if (crash_ == Crash::kAnswerLost) return CommitFate::kAnswerLost;
      // The process ends once it has the answer, which it does not use any more.
      world_.events.After(milliseconds(0), [this] { Die(); });
      dying_ = true;
      return crash_ == Crash::kKilledBefore ? CommitFate::kNotMade : CommitFate::kAnswerLost;
    };
    world_.Start();
    For(seconds(5));  // Hosts say hello.
    Settle();
  }

  World& world() { return world_; }
  uint64_t commits() const { return commits_; }
  const std::optional<Status>& answered() const { return answered_; }

  void Operate(std::function<Status(Clusters&)> work) {
    answered_.reset();
    world_.Leader()->Operate([this, work = std::move(work)](Clusters& clusters) {
      Status done = work(clusters);
      // A process that is dying says nothing any more.
      if (!dying_) answered_ = std::move(done);
    });
  }
  void Settle() {
    const auto trouble = world_.Await([&] { return world_.Unsettled(); }, kSettleMax);
    EXPECT_FALSE(trouble.has_value()) << *trouble;
    EXPECT_FALSE(world_.Failed()) << *world_.truth.failure();
  }
  void Must(std::function<Status(Clusters&)> work) {
    Operate(std::move(work));
    Settle();
    ASSERT_TRUE(answered_.has_value());
    ASSERT_TRUE(answered_->ok()) << answered_->error().message();
  }
  void Arm() { armed_ = true; }
  void Disarm() { armed_ = false; }
  void For(Duration time) {
    world_.events.RunUntil(world_.events.now() + time, [] { return false; });
  }

 private:
  void Die() {
    SimMaster& master = *world_.masters[0];
    master.Kill();
    dying_ = false;
    world_.events.After(seconds(1), [&master] { master.Start(); });
  }

  World world_;
  const uint64_t point_;
  const Crash crash_;
  bool armed_ = false;
  bool dying_ = false;
  uint64_t commits_ = 0;
  std::optional<Status> answered_;
};

Definition Nodes(uint32_t count, HostLoss host_loss = HostLoss::kWait) {
  Definition definition = vcluster::PlainDefinition("a", "tiny", count, {});
  definition.roles[0].host_loss = host_loss;
  definition.roles[0].placement.rank = vcluster::Rank::kSpread;
  return definition;
}

std::function<Status(Clusters&)> Creating(const Definition& definition) {
  return [definition](Clusters& clusters) {
    return StatusOf(clusters.Create(kAlice, definition, "", Ignore, CancelToken()));
  };
}

std::function<Status(Clusters&)> Applying(const Definition& definition) {
  return [definition](Clusters& clusters) {
    return StatusOf(clusters.Apply(kAlice, definition, false, true, Ignore, CancelToken()));
  };
}

std::function<Status(Clusters&)> Scaling(uint32_t count) {
  return [count](Clusters& clusters) {
    return StatusOf(clusters.Scale(kAlice, "a", "node", count, Ignore, CancelToken()));
  };
}

std::function<Status(Clusters&)> Cloning() {
  return [](Clusters& clusters) {
    vcluster::CloneParameters parameters;
    parameters.source = "a";
    parameters.count = 2;
    return StatusOf(clusters.Clone(kAlice, parameters, Ignore, CancelToken()));
  };
}

Status Stopping(Clusters& clusters) {
  return StatusOf(clusters.Stop(kAlice, "a", milliseconds(0)));
}
Status Starting(Clusters& clusters) { return StatusOf(clusters.Start(kAlice, "a")); }
Status Deleting(Clusters& clusters) { return clusters.Delete(kAlice, "a"); }
Status Draining(Clusters& clusters) { return clusters.Drain(vcluster::kRoot, "h1", true); }

Definition OtherImage() {
  Definition definition = Nodes(4);
  definition.roles[0].image = "other";
  return definition;
}

std::vector<Scenario> Scenarios() {
  const auto with = [](const Definition& definition) {
    return [definition](Run& run) { run.Must(Creating(definition)); };
  };
  const auto nothing = [](Run&) {};
  const auto operate = [](std::function<Status(Clusters&)> work) {
    return [work](Run& run) { run.Operate(work); };
  };
  return {
      {"create", nothing, operate(Creating(Nodes(4))), {0, 4}, 4},
      {"create, cancelled",
       nothing,
       operate([](Clusters& clusters) {
         CancelToken cancel;
         cancel.Cancel();
         return StatusOf(clusters.Create(kAlice, Nodes(4), "", Ignore, cancel));
       }),
       {0},
       std::nullopt},
      {"clone", with(Nodes(3)), operate(Cloning()), {3, 9}, 9},
      {"apply", with(Nodes(4)), operate(Applying(OtherImage())), {4}, 4},
      {"apply: on-host-loss",
       with(Nodes(4)),
       operate(Applying(Nodes(4, HostLoss::kRecreate))),
       {4},
       4},
      {"scale out", with(Nodes(2)), operate(Scaling(5)), {2, 5}, 5},
      {"scale in", with(Nodes(5)), operate(Scaling(2)), {2, 5}, 2},
      {"stop", with(Nodes(3)), operate(Stopping), {0, 3}, 0},
      {"start",
       [](Run& run) {
         run.Must(Creating(Nodes(3)));
         run.Must(Stopping);
       },
       operate(Starting),
       {0, 3},
       3},
      {"delete", with(Nodes(3)), operate(Deleting), {0, 3}, 0},
      {"drain", with(Nodes(3)), operate(Draining), {3}, 3},
      {"two at once",
       with(Nodes(3)),
       [](Run& run) {
         run.Operate(Scaling(5));
         run.Operate(Deleting);
       },
       {0, 3, 5},
       std::nullopt},
      {"host loss",
       with(Nodes(4, HostLoss::kRecreate)),
       [](Run& run) {
         run.world().hosts[0]->LosePower();
         run.For(seconds(100));
         run.world().hosts[0]->StartWorker();
       },
       {4},
       std::nullopt},
      {"takeover",
       [](Run& run) {
         run.Must([](Clusters& clusters) {
           Definition other = Nodes(2);
           other.name = "b";
           return Creating(other)(clusters);
         });
         run.Operate(Creating(Nodes(4)));
         run.For(milliseconds(250));
         run.world().masters[0]->Kill();
       },
       [](Run& run) { run.world().masters[0]->Start(); },
       {2},
       std::nullopt},
  };
}

class CrashPointsTest : public ::testing::TestWithParam<Scenario> {
 protected:
  static void SetUpTestSuite() { InitLog("crash-points", LogLevel::kError); }

  // How many commits the operation took.
  static uint64_t Try(const Scenario& scenario, uint64_t point, Crash crash) {
    Run run(point, crash);
    scenario.before(run);
    run.Arm();
    scenario.crashing(run);
    run.For(seconds(3));
    run.Settle();
    run.Disarm();
    const size_t running = run.world().truth.containers().size();
    EXPECT_TRUE(scenario.nodes.contains(running)) << running << " nodes run";
    const auto& answered = run.answered();
    if (scenario.asked.has_value() && answered.has_value() && answered->ok()) {
      EXPECT_EQ(running, *scenario.asked) << "though it was answered as done";
    }
    if (answered.has_value() && !answered->ok()) {
      EXPECT_FALSE(answered->error().message().empty());
    }
    run.Operate([](Clusters& clusters) { return clusters.DeleteAll(/*force=*/false); });
    const auto left = run.world().Await([&] { return run.world().Left(); }, kSettleMax);
    EXPECT_FALSE(left.has_value()) << *left;
    EXPECT_FALSE(run.world().Failed()) << *run.world().truth.failure();
    return run.commits();
  }
};

TEST_P(CrashPointsTest, WhateverItEndsAtIsMadeGoodByTheNext) {
  const Scenario& scenario = GetParam();
  const uint64_t commits = Try(scenario, 0, Crash::kNotMade);
  ASSERT_GT(commits, 0u);
  for (uint64_t point = 1; point <= commits; ++point) {
    for (const auto& [crash, name] : kCrashes) {
      SCOPED_TRACE("commit " + std::to_string(point) + " of " + std::to_string(commits) + ": " +
                   name);
      EXPECT_GE(Try(scenario, point, crash), point);  // It was reached.
      if (HasFailure()) return;
    }
  }
  std::cout << scenario.name << ": " << commits << " commits, " << commits * std::size(kCrashes)
            << " crash points\n";
}

INSTANTIATE_TEST_SUITE_P(Operations, CrashPointsTest, ::testing::ValuesIn(Scenarios()),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                           return name;
                         });

}  // namespace
}  // namespace strata::sim
