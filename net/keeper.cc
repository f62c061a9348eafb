#include "net/keeper.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <utility>

#include "common/file_io.h"
#include "common/log.h"
#include "net/message.h"
#include "net/network_watch.h"
#include "net/plan_text.h"

namespace strata::net {
namespace {

// While changes do not end, a tenth of one CPU goes into looking at them.
constexpr int kRestPerLook = 9;
constexpr std::chrono::milliseconds kToldOfMax(100);

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<UniqueFd> LockAlone(const std::string& run_dir) {
  ASSIGN_OR_RETURN(UniqueFd lock, Open(run_dir + "/networks.lock", O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Errno("lock " + run_dir + "/networks.lock");
    return Error(Code::kFailedPrecondition,
                 "another process keeps the networks of " + run_dir + ": vnetd?");
  }
  return lock;
}

// Whether it is more than what the links of nodes need that have come since the last look.
bool MendsSomething(const NetworkPlan& plan, bool new_rules, const std::set<std::string>& linked) {
  NetworkPlan rest = plan;
  std::erase_if(rest.set_ports,
                [&](const PortSettings& port) { return !linked.contains(port.name); });
  std::erase_if(rest.set_rates, [&](const Veth& veth) { return !linked.contains(veth.name); });
  return new_rules || !DescribeChanges(rest).empty();
}

}  // namespace

NetworkKeeper::NetworkKeeper(Options options) : options_(std::move(options)) {}

Result<std::unique_ptr<NetworkKeeper>> NetworkKeeper::Open(Options options) {
  RETURN_IF_ERROR(MakeDirectories(options.run_dir));
  std::unique_ptr<NetworkKeeper> keeper(new NetworkKeeper(std::move(options)));
  ASSIGN_OR_RETURN(keeper->lock_, LockAlone(keeper->options_.run_dir));
  ASSIGN_OR_RETURN(keeper->watch_, NetworkWatch::Open(keeper->options_.instance));
  {
    const std::lock_guard lock(keeper->mutex_);
    // Before there are many descriptors (net/nft.h).
    RETURN_IF_ERROR(keeper->rules_.nft().Start());
    RETURN_IF_ERROR(keeper->TakeOver());
  }
  keeper->thread_ = std::thread([raw = keeper.get()] { raw->Run(); });
  return keeper;
}

NetworkKeeper::~NetworkKeeper() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  watch_->Wake();
  thread_.join();
}

Status NetworkKeeper::TakeOver() {
  if (!options_.file.empty()) {
    RETURN_IF_ERROR(ReadFileAgain());
    (void)Make(/*asked=*/true);  // It is in the state, and in the log.
    return Ok();
  }
  if (PathExists(KeptPath())) {
    auto kept = ReadFile(KeptPath(), kNetworksFileBytesMax);
    if (!kept.ok()) return kept.error();
    auto desired = DeserializeNetworks(*kept);
    // Whoever put it puts it again; until then what is there stays as it is.
    if (!desired.ok()) {
      LOG_WARNING(KeptPath() + " is not used: " + desired.error().message());
      return Ok();
    }
    if (desired->instance != options_.instance) {
      return Error(Code::kFailedPrecondition,
                   options_.run_dir + " is another instance's, " + desired->instance);
    }
    state_.desired = std::move(*desired);
  }
  LookAgain();
  return Ok();
}

// What a file says that cannot be meant is not followed, and what it said before still holds.
Status NetworkKeeper::ReadFileAgain() {
  ASSIGN_OR_RETURN(std::string text, ReadFile(options_.file, kNetworksFileBytesMax));
  if (text == file_text_) return Ok();
  ASSIGN_OR_RETURN(DesiredNetwork desired, ParseNetworks(text), options_.file);
  if (desired.instance != options_.instance) {
    return Error(Code::kInvalidArgument, options_.file + ": instance: this one is " +
                                             options_.instance + ", not " + desired.instance);
  }
  file_text_ = std::move(text);
  state_.desired = std::move(desired);
  return Ok();
}

Status NetworkKeeper::Put(DesiredNetwork desired) {
  if (!options_.file.empty()) {
    return Error(Code::kFailedPrecondition,
                 "the networks of this host are as " + options_.file + " says: change that");
  }
  if (desired.instance != options_.instance) {
    return Error(Code::kInvalidArgument, "vnetd keeps instance " + options_.instance + ", not " +
                                             desired.instance + ": give both the same --state-dir");
  }
  RETURN_IF_ERROR(CheckDesired(desired));
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(WriteFileAtomically(KeptPath(), SerializeNetworks(desired), 0600));
  state_.desired = std::move(desired);
  return Make(/*asked=*/true);
}

Result<NetworkKeeper::Planned> NetworkKeeper::Plan(const std::optional<DesiredNetwork>& desired) {
  const std::lock_guard lock(mutex_);
  const std::optional<DesiredNetwork>& wanted = desired.has_value() ? desired : state_.desired;
  if (!wanted.has_value()) {
    return Error(Code::kFailedPrecondition, "nobody has said yet how the networks should be");
  }
  ASSIGN_OR_RETURN(const std::vector<ObservedLink> links, ObserveLinks());
  Planned planned;
  ASSIGN_OR_RETURN(planned.plan, MakePlan(*wanted, links));
  planned.new_rules = !rules_.Has(planned.plan.ruleset);
  return planned;
}

NetworkKeeper::State NetworkKeeper::Look() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

Status NetworkKeeper::Make(bool asked) {
  Event event;
  event.unix_ms = NowUnixMs();
  Status made = MakeSo(asked, &event);
  if (made.ok() && file_problem_.has_value()) made = *file_problem_;
  ++state_.looks;
  if (event.repair) {
    ++state_.repairs;
    state_.last_repair_unix_ms = event.unix_ms;
    for (const std::string& change : event.changes) LOG_INFO("mended: " + change);
  }
  const bool same_problem = !made.ok() && state_.problem.has_value() &&
                            state_.problem->message() == made.error().message();
  state_.problem = made.ok() ? std::nullopt : std::optional(made.error());
  if (!made.ok()) event.problem = made.error().message();
  if (!made.ok() && !same_problem) LOG_WARNING(event.problem);
  if (!event.changes.empty() || (!made.ok() && !same_problem)) options_.listener(event);
  return made;
}

Status NetworkKeeper::MakeSo(bool asked, Event* event) {
  const DesiredNetwork& desired = *state_.desired;
  if (!desired.bridges.empty()) RETURN_IF_ERROR(EnableForwarding(MarkerPath()));
  ASSIGN_OR_RETURN(const std::vector<ObservedLink> links, ObserveLinks());
  ASSIGN_OR_RETURN(const NetworkPlan plan, MakePlan(desired, links));
  ASSIGN_OR_RETURN(const bool new_rules, ApplyPlan(plan, &rules_));
  event->changes = DescribeChanges(plan);
  if (new_rules) event->changes.push_back("~ rules of table " + TableName(desired.instance));
  // Of what an earlier process put, it is not known whether it is in force still.
  const bool known = std::exchange(rules_were_put_, true);
  event->repair = !asked && MendsSomething(plan, new_rules && known, linked_);
  linked_.clear();
  for (const ObservedLink& link : links) {
    if (IsNameOf(link.name, desired.instance, LinkKind::kVeth)) linked_.insert(link.name);
  }
  return desired.bridges.empty() ? RestoreForwarding(MarkerPath(), rules_.nft()) : Ok();
}

void NetworkKeeper::LookAgain() {
  if (!options_.file.empty()) {
    const std::string before = file_text_;
    const Status read = ReadFileAgain();
    file_problem_ = read.ok() ? std::nullopt : std::optional(read.error());
    if (file_text_ != before && state_.desired.has_value()) {
      (void)Make(/*asked=*/true);  // It is in the state, and in the log.
      return;
    }
  }
  if (state_.desired.has_value()) (void)Make(/*asked=*/false);
}

// A transaction is told of a moment after it is in force. Others' would be taken for changes of
// ours.
void NetworkKeeper::HearOut() {
  const auto until = NetworkWatch::Clock::now() + kToldOfMax;
  while (NetworkWatch::Clock::now() < until) {
    {
      const std::lock_guard lock(mutex_);
      const auto generation = rules_.nft().Generation();
      if (stop_ || !generation.ok() || *generation == watch_->generation()) return;
    }
    const NetworkWatch::Heard heard = watch_->Wait(until);
    const std::lock_guard lock(mutex_);
    rules_.Heard(heard.transactions);
  }
}

void NetworkKeeper::Run() {
  auto next = NetworkWatch::Clock::now() + options_.every;
  NetworkWatch::Clock::duration gather = options_.gather;
  while (true) {
    const NetworkWatch::Heard heard = watch_->Wait(next);
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      rules_.Heard(heard.transactions);
    }
    const auto now = NetworkWatch::Clock::now();
    if (heard.links || heard.rules) next = std::min(next, now + gather);
    if (now < next) continue;
    HearOut();
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    LookAgain();
    const auto end = NetworkWatch::Clock::now();
    next = end + options_.every;
    gather = std::clamp<NetworkWatch::Clock::duration>(kRestPerLook * (end - now), options_.gather,
                                                       options_.every);
  }
}

}  // namespace strata::net
