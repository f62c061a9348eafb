#include "net/keeper.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/file_io.h"
#include "common/log.h"
#include "net/connections.h"
#include "net/health.h"
#include "net/host_network.h"
#include "net/message.h"
#include "net/network_watch.h"

namespace strata::net {
namespace {

// While changes do not end, a tenth of one CPU goes into looking at them.
constexpr int kRestPerLook = 9;
// While they go on, as when many nodes start, it is looked after so many times the pause in which
// it would be looked if they had ended: those who start them wait for the kernel's lock too.
constexpr int kGathersMax = 10;
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

HostNetwork::Options HostOptions(const NetworkKeeper::Options& options) {
  HostNetwork::Options out;
  out.instance = options.instance;
  out.run_dir = options.run_dir;
  out.state_dir = options.state_dir;
  out.driver = options.means.driver;
  out.fast_path = options.means.fast_path;
  out.names_program = options.means.names_program;
  out.ovs.run_dir = options.means.ovs_run_dir;
  out.ovs.tunnel = options.means.gre ? TunnelKind::kGre : TunnelKind::kVxlan;
  out.ovs.controller = options.means.controller;
  return out;
}

}  // namespace

NetworkKeeper::NetworkKeeper(Options options) : options_(std::move(options)) {}

Result<std::unique_ptr<NetworkKeeper>> NetworkKeeper::Open(Options options) {
  RETURN_IF_ERROR(MakeDirectories(options.run_dir));
  std::unique_ptr<NetworkKeeper> keeper(new NetworkKeeper(std::move(options)));
  ASSIGN_OR_RETURN(keeper->lock_, LockAlone(keeper->options_.run_dir));
  ASSIGN_OR_RETURN(keeper->watch_, NetworkWatch::Open(keeper->options_.instance));
  ASSIGN_OR_RETURN(keeper->health_, HealthChecker::Open({}, [raw = keeper.get()] {
                     raw->targets_changed_ = true;
                     raw->watch_->Wake();
                   }));
  {
    const std::lock_guard lock(keeper->mutex_);
    ASSIGN_OR_RETURN(keeper->network_, HostNetwork::Open(HostOptions(keeper->options_)));
    keeper->needs_checksums_ = keeper->network_->NeedsChecksums();
    RETURN_IF_ERROR(keeper->TakeOver());
  }
  keeper->thread_ = std::thread([raw = keeper.get()] { raw->Run(); });
  return keeper;
}

NetworkKeeper::~NetworkKeeper() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    watch_->Wake();
    thread_.join();
  }
  health_.reset();  // Its thread uses what is destroyed next.
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
  if (state_.desired.has_value()) (void)Make(/*asked=*/false);
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
  RETURN_IF_ERROR(CheckOverFabric(desired));
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(WriteFileAtomically(KeptPath(), SerializeNetworks(desired), 0600));
  state_.desired = std::move(desired);
  Status made = Make(/*asked=*/true);
  watch_->Wake();  // It may have another process of names to follow.
  return made;
}

Result<PlannedChanges> NetworkKeeper::Plan(const std::optional<DesiredNetwork>& desired) {
  const std::lock_guard lock(mutex_);
  if (!desired.has_value() && !state_.desired.has_value()) {
    return Error(Code::kFailedPrecondition, "nobody has said yet how the networks should be");
  }
  return network_->Plan(desired.has_value() ? *desired : Reachable());
}

NetworkKeeper::State NetworkKeeper::Look() const {
  const std::lock_guard lock(mutex_);
  State state = state_;
  if (const auto counts = network_->FastCounts()) {
    state.fast_frames =
        std::accumulate(counts->begin(), counts->begin() + kFastSentOn, uint64_t{0});
  }
  state.name_counts = network_->names().Count().value_or(NameCounts());
  state.names_problem = network_->names().problem();
  if (state.desired) network_->names().Mark(&*state.desired);
  return state;
}

Result<FabricView> NetworkKeeper::LookAtFabric() {
  const std::lock_guard lock(mutex_);
  return network_->LookAtFabric(state_.desired ? state_.desired->fabric : std::nullopt);
}

Result<FabricKeys> NetworkKeeper::KeysOfFabric() {
  ASSIGN_OR_RETURN(const FabricView view, LookAtFabric());
  return FabricKeys{view.key, view.next_key, view.session};
}

bool NetworkKeeper::KeysChange() const {
  if (!state_.desired.has_value() || !state_.desired->fabric) return false;
  const std::vector<FabricMember>& peers = state_.desired->fabric->peers;
  return std::any_of(peers.begin(), peers.end(),
                     [](const FabricMember& peer) { return peer.next_key.has_value(); });
}

DesiredNetwork NetworkKeeper::Reachable() const {
  DesiredNetwork desired = *state_.desired;
  MarkDown(health_->Down(), &desired);
  return desired;
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
  health_->Watch(TargetsOf(*state_.desired));
  const auto catch_up = [&] {
    if (!asked && thread_.get_id() == std::this_thread::get_id()) HearOut();
  };
  ASSIGN_OR_RETURN(HostNetwork::Made made, network_->Make(Reachable(), catch_up));
  event->changes = std::move(made.changes);
  event->repair = !asked && made.mends;
  return Ok();
}

void NetworkKeeper::LookAgain() {
  bool asked = targets_changed_.exchange(false);
  if (!options_.file.empty()) {
    const std::string before = file_text_;
    const Status read = ReadFileAgain();
    file_problem_ = read.ok() ? std::nullopt : std::optional(read.error());
    asked |= file_text_ != before;
  }
  if (!state_.desired.has_value()) return;
  (void)Make(asked);  // It is in the state, and in the log.
  TellOfDrained();
}

void NetworkKeeper::TellOfDrained() {
  std::set<std::string> drained;
  Event event;
  event.unix_ms = NowUnixMs();
  for (const Bridge& bridge : state_.desired->bridges) {
    for (const Forward& forward : bridge.forwards) {
      if (!IsLeaving(bridge, forward)) continue;
      const auto connections = CountConnections(forward);
      if (!connections.ok()) {
        LOG_WARNING(connections.error().message());
        return;
      }
      if (*connections != 0) continue;
      const std::string name = std::string(ProtocolName(forward.protocol)) + " " +
                               std::to_string(forward.host_port) + " to " +
                               forward.address.ToString() + ":" + std::to_string(forward.node_port);
      drained.insert(name);
      if (!drained_.contains(name)) event.changes.push_back("= forward " + name + " is drained");
    }
  }
  drained_ = std::move(drained);
  if (!event.changes.empty()) options_.listener(event);
}

// A transaction is told of a moment after it is in force. Others' would be taken for changes of
// ours.
void NetworkKeeper::HearOut() {
  const auto until = NetworkWatch::Clock::now() + kToldOfMax;
  while (NetworkWatch::Clock::now() < until) {
    const auto generation = network_->rules().nft().Generation();
    if (stop_ || !generation.ok() || *generation == watch_->generation()) return;
    const NetworkWatch::Heard heard = watch_->Wait(until);
    network_->rules().Heard(heard.transactions);
    look_soon_ |= heard.links || heard.rules;
  }
}

void NetworkKeeper::Run() {
  auto latest = NetworkWatch::Clock::now() + options_.every;
  auto next = latest;
  constexpr auto kNever = NetworkWatch::Clock::time_point::max();
  auto gathered_at = kNever;  // What was heard since the last look is waited with no longer.
  NetworkWatch::Clock::duration gather = options_.gather;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      watch_->Follow(network_->names().descriptor());
    }
    const NetworkWatch::Heard heard = watch_->Wait(next);
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    network_->rules().Heard(heard.transactions);
    const auto now = NetworkWatch::Clock::now();
    if (heard.links || heard.rules || targets_changed_) {
      gathered_at = std::min(gathered_at, now + kGathersMax * gather);
      next = std::min({latest, now + gather, gathered_at});
    }
    if (now < next) continue;
    gathered_at = kNever;
    look_soon_ = false;
    LookAgain();
    const auto end = NetworkWatch::Clock::now();
    gather = std::clamp<NetworkWatch::Clock::duration>(kRestPerLook * (end - now), options_.gather,
                                                       options_.every);
    latest =
        end + (KeysChange() ? std::min(options_.every, options_.every_of_keys) : options_.every);
    next = look_soon_ ? end + gather : latest;
  }
}

}  // namespace strata::net
