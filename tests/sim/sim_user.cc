#include "tests/sim/sim_user.h"

#include <memory>

#include "tests/unit/vclusterd/test_users.h"

namespace strata::sim {
namespace {

using vcluster::Clusters;
using vcluster::Definition;
using vcluster::HostLoss;
using vcluster::Role;

const vcluster::Caller kUsers[] = {vcluster::kAlice, vcluster::kBob};

void Ignore(const std::string&, uint32_t, uint32_t) {}

template <typename T>
Status StatusOf(const Result<T>& result) {
  return result.ok() ? Ok() : Status(result.error());
}

}  // namespace

SimUser::SimUser(SimUserOptions options, EventQueue& events, Random& random, Truth& truth,
                 std::function<void(const std::string&)> trace)
    : options_(std::move(options)),
      events_(events),
      random_(random),
      truth_(truth),
      trace_(std::move(trace)) {}

Definition SimUser::AnyDefinition(const std::string& name) {
  Definition definition;
  definition.name = name;
  const std::vector<std::string> names = {"web", "db"};
  const size_t roles = random_.Between(1, 2);
  for (size_t i = 0; i < roles; ++i) {
    Role& role = definition.roles.emplace_back();
    role.name = names[i];
    role.image = random_.OneIn(4) ? "other" : "tiny";
    role.count = static_cast<uint32_t>(random_.Between(1, options_.nodes_max));
    if (random_.OneIn(2)) role.host_loss = HostLoss::kRecreate;
    if (random_.OneIn(3)) role.limits.cpus = 1;
    if (random_.OneIn(3)) role.limits.memory_bytes = uint64_t{1} << 30;
    if (random_.OneIn(3)) role.placement.rank = vcluster::Rank::kSpread;
    if (random_.OneIn(8)) role.restart = vcluster::RestartPolicy::kNever;
    if (random_.OneIn(4)) role.scale_in = vcluster::ScaleIn::kOldest;
  }
  if (roles == 2 && random_.OneIn(2)) definition.roles[0].after = {"db"};
  return definition;
}

SimUser::Work SimUser::AnyWork(const vcluster::Caller& user, const std::string& name, std::string* what) {
  switch (random_.Below(12)) {
    case 0:
    case 1:
    case 2: {
      *what = "create";
      return
          [user, definition = AnyDefinition(name)](Clusters& clusters, const CancelToken& cancel) {
            return StatusOf(clusters.Create(user, definition, "", Ignore, cancel));
          };
    }
    case 3:
    case 4: {
      *what = "apply";
      const bool recreate = random_.OneIn(2);
      return [user, recreate, definition = AnyDefinition(name)](Clusters& clusters,
                                                               const CancelToken& cancel) {
        return StatusOf(clusters.Apply(user, definition, false, recreate, Ignore, cancel));
      };
    }
    case 5:
    case 6: {
      *what = "scale";
      const auto count = static_cast<uint32_t>(random_.Below(options_.nodes_max + 1));
      return [user, name, count](Clusters& clusters, const CancelToken& cancel) {
        return StatusOf(clusters.Scale(user, name, "web", count, Ignore, cancel));
      };
    }
    case 7:
      *what = "stop";
      return [user, name](Clusters& clusters, const CancelToken&) {
        return StatusOf(clusters.Stop(user, name, milliseconds(1000)));
      };
    case 8:
    case 9:
      *what = "start";
      return [user, name](Clusters& clusters, const CancelToken&) {
        return StatusOf(clusters.Start(user, name));
      };
    case 10:
      *what = "delete";
      return [user, name](Clusters& clusters, const CancelToken&) {
        return clusters.Delete(user, name);
      };
    default: {
      const bool drain = random_.OneIn(2);
      const std::string host = options_.hosts[random_.Below(options_.hosts.size())];
      *what = (drain ? "drain " : "resume ") + host + " beside";
      return [host, drain](Clusters& clusters, const CancelToken&) {
        return clusters.Drain(vcluster::kRoot, host, drain);
      };
    }
  }
}

void SimUser::Operate(SimMaster& leader) {
  const vcluster::Caller& user = kUsers[random_.Below(2)];
  const std::string name = "v" + std::to_string(random_.Below(options_.names));
  std::string what;
  Work work = AnyWork(user, name, &what);
  Begin(leader, what + " " + std::to_string(user.uid) + "/" + name, random_.OneIn(6), std::move(work));
}

void SimUser::CreateFirst(SimMaster& leader, const std::string& name, unsigned nodes) {
  Definition definition = vcluster::PlainDefinition(name, "tiny", nodes, {});
  definition.roles[0].placement.rank = vcluster::Rank::kSpread;
  if (random_.OneIn(2)) definition.roles[0].host_loss = HostLoss::kRecreate;
  Begin(leader, "create " + name, false,
        [definition](Clusters& clusters, const CancelToken& cancel) {
          return StatusOf(clusters.Create(kUsers[0], definition, "", Ignore, cancel));
        });
}

void SimUser::DeleteAll(SimMaster& leader) {
  Begin(leader, "delete all", false,
        [](Clusters& clusters, const CancelToken&) { return clusters.DeleteAll(/*force=*/false); });
}

void SimUser::Begin(SimMaster& leader, const std::string& what, bool may_cancel, Work work) {
  const uint64_t number = ++begun_;
  const std::string text = what + " #" + std::to_string(number);
  trace_(text);
  open_[number] = text;
  auto cancel = std::make_shared<CancelToken>();
  if (may_cancel) {
    events_.After(random_.Between(milliseconds(1), milliseconds(3000)),
                  [cancel] { cancel->Cancel(); });
  }
  leader.Operate([this, number, text, cancel, work = std::move(work)](Clusters& clusters) {
    const Status done = work(clusters, *cancel);
    open_.erase(number);
    if (!done.ok()) ++failed_;
    trace_(text + ": " + (done.ok() ? "ok" : done.error().message()));
    if (!done.ok() && done.error().message().empty()) {
      truth_.Fail(text + " fails without a word");
    }
  });
}

std::string SimUser::Open() const {
  std::string text;
  for (const auto& [number, what] : open_) text += (text.empty() ? "" : ", ") + what;
  return text;
}

}  // namespace strata::sim
