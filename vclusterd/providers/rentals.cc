#include "vclusterd/providers/rentals.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "common/log.h"

namespace strata::vcluster {
namespace {

using master::v1::MachineRecord;

constexpr uint32_t kVersion = 1;
constexpr char kNotHeardOf[] = "nothing is heard of it";

std::string NameOf(const MachineRecord& machine) {
  return "machine " + (machine.id().empty() ? machine.tag() : machine.id()) + " of " +
         machine.provider();
}

uint64_t NumberOf(const std::string& tag, const std::string& prefix) {
  uint64_t number = 0;
  if (tag.size() > prefix.size()) {
    std::from_chars(tag.data() + prefix.size(), tag.data() + tag.size(), number);
  }
  return number;
}

// What it really has.
void NoteSize(const RentalSite::Host& host, MachineRecord* machine) {
  machine->set_cpus(host.cpus);
  machine->set_memory_bytes(host.memory_bytes);
  machine->set_disk_bytes(host.disk_bytes);
}

}  // namespace

Result<std::unique_ptr<Rentals>> Rentals::Open(RentalOptions options, std::vector<Lender> lenders,
                                               RentalSite& site) {
  std::unique_ptr<Rentals> rentals(new Rentals(std::move(options), site));
  for (Lender& lender : lenders) rentals->states_.emplace_back().lender = std::move(lender);
  ASSIGN_OR_RETURN(const auto stored, site.Stored());
  for (const auto& [tag, bytes] : stored) {
    MachineRecord& machine = rentals->machines_[tag];
    if (!machine.ParseFromString(bytes) || machine.version() != kVersion || machine.tag() != tag) {
      return Error(Code::kCorrupt, "the record of the rented machine " + tag +
                                       " cannot be read; look at the provider what it is");
    }
  }
  rentals->Publish();
  if (rentals->options_.threaded) {
    rentals->thread_ =
        std::jthread([raw = rentals.get()](const std::stop_token& stop) { raw->Work(stop); });
  }
  return rentals;
}

Rentals::~Rentals() {
  closing_.Cancel();
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Rentals::Work(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Step();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, options_.every, [] { return false; });
  }
}

std::vector<Rentals::View> Rentals::Views() {
  const std::lock_guard lock(mutex_);
  return views_;
}

Rentals::State* Rentals::FindLender(const std::string& name) {
  for (State& state : states_) {
    if (state.lender.config.rules.name == name) return &state;
  }
  return nullptr;
}

void Rentals::Step() {
  for (State& state : states_) {
    const int64_t next = state.looked_ms + options_.look_every.count();
    if (state.looked_ms == 0 || site_.NowUnixMs() >= next) Look(state);
  }
  const auto hosts = site_.Hosts();
  std::vector<std::string> tags;
  for (const auto& [tag, machine] : machines_) tags.push_back(tag);
  for (const std::string& tag : tags) {
    if (closing_.cancelled()) return;
    Advance(machines_.at(tag), hosts);
  }
  if (!closing_.cancelled()) Plan();
  Publish();
}

// What the provider offers, and has of us.
void Rentals::Look(State& state) {
  HostProvider& provider = *state.lender.provider;
  const auto offers = provider.Offers(closing_);
  const auto machines = provider.Machines(options_.tag_prefix, closing_);
  if (closing_.cancelled()) return;
  state.looked_ms = site_.NowUnixMs();
  const std::string before = std::exchange(state.problem, "");
  if (!offers.ok()) state.problem = "offers: " + offers.error().message();
  if (!machines.ok()) state.problem = "machines: " + machines.error().message();
  if (!state.problem.empty() && state.problem != before) {
    LOG_WARNING("provider " + state.lender.config.rules.name + ": " + state.problem);
  }
  if (offers.ok()) state.offers = *offers;
  if (!machines.ok()) return;
  state.listed_ms = state.looked_ms;
  state.listed.clear();
  for (const Machine& machine : *machines) state.listed[machine.tag] = machine.id;
  StopStrays(state);
}

// Machines of ours that no record names: seen at two looks, so that one whose record was just
// written by a master of now is not taken for one.
void Rentals::StopStrays(State& state) {
  const int64_t now = site_.NowUnixMs();
  std::erase_if(state.strays, [&](const auto& stray) {
    return !state.listed.contains(stray.first) || machines_.contains(stray.first);
  });
  std::set<std::string> ids;
  for (const auto& [tag, id] : state.listed) ids.insert(id);
  std::erase_if(state.stopped, [&](const auto& stopped) { return !ids.contains(stopped.first); });
  for (const auto& [tag, id] : state.listed) {
    if (machines_.contains(tag)) continue;
    const auto before = state.stopped.find(id);
    if (before != state.stopped.end()) {
      if (now - before->second >= options_.stop_again.count()) StopAgain(state, id);
      continue;
    }
    const auto [seen, is_new] = state.strays.emplace(tag, now);
    if (is_new) {
      LOG_WARNING("provider " + state.lender.config.rules.name + " has a machine " + id +
                  " with our tag " + tag + " that no record names");
      continue;
    }
    const Status leads = site_.StillLeads();
    if (!leads.ok()) return;
    const Status stopped = state.lender.provider->Stop(id, closing_);
    if (stopped.ok()) {
      state.stopped[id] = now;
      ++state.strays_stopped;
      LOG_WARNING("machine " + id + " (" + tag + ") was stopped: no record names it");
    } else {
      LOG_WARNING("machine " + id + " (" + tag +
                  ") cannot be stopped: " + stopped.error().message());
    }
  }
}

// Its provider has said that it costs nothing any more, and lists it still.
void Rentals::StopAgain(State& state, const std::string& id) {
  if (!site_.StillLeads().ok()) return;
  LOG_WARNING("provider " + state.lender.config.rules.name + " still lists machine " + id +
              ", which was stopped: it is stopped again");
  const Status stopped = state.lender.provider->Stop(id, closing_);
  if (!stopped.ok()) {
    LOG_WARNING("machine " + id + " cannot be stopped: " + stopped.error().message());
  }
  state.stopped[id] = site_.NowUnixMs();
}

void Rentals::Advance(MachineRecord& machine,
                      const std::map<std::string, RentalSite::Host>& hosts) {
  State* state = FindLender(machine.provider());
  const auto found = hosts.find(machine.host());
  const RentalSite::Host* host = found == hosts.end() ? nullptr : &found->second;
  if (state == nullptr) {
    const std::string problem = "there is no provider '" + machine.provider() +
                                "' any more: it is paid for until it is stopped there";
    if (machine.problem() == problem) return;
    LOG_ERROR(NameOf(machine) + ": " + problem);
    SetStage(machine, machine.stage(), problem);
    return;
  }
  switch (machine.stage()) {
    case master::v1::STARTING:
      return AdvanceStarting(*state, machine);
    case master::v1::JOINING:
    case master::v1::RUNNING:
      return AdvanceRunning(*state, machine, host);
    case master::v1::RETURNING:
      return AdvanceReturning(machine, host);
    default:
      return AdvanceStopping(*state, machine, host);
  }
}

// The master that asked for it has ended before the answer.
void Rentals::AdvanceStarting(State& state, MachineRecord& machine) {
  if (state.looked_ms < machine.since_unix_ms()) state.looked_ms = 0;
  const auto listed = state.listed.find(machine.tag());
  if (listed != state.listed.end()) {
    machine.set_id(listed->second);
    SetStage(machine, master::v1::JOINING, "");
    return;
  }
  // The program may still be at it.
  const auto wait = std::chrono::milliseconds(state.lender.config.exec.timeout);
  if (site_.NowUnixMs() - machine.since_unix_ms() > wait.count()) {
    SetStage(machine, master::v1::STOPPING, "its start was broken off");
  }
}

void Rentals::AdvanceRunning(State& state, MachineRecord& machine, const RentalSite::Host* host) {
  const int64_t now = site_.NowUnixMs();
  const ProviderConfig& config = state.lender.config;
  const bool present = host != nullptr && host->present;
  if (machine.stage() == master::v1::JOINING) {
    if (present) {
      NoteSize(*host, &machine);
      state.failures = 0;
      state.last_failure.clear();
      LOG_INFO(NameOf(machine) + " is host " + machine.host());
      SetStage(machine, master::v1::RUNNING, "");
    } else if (now - machine.since_unix_ms() > std::chrono::milliseconds(config.join).count()) {
      FailStart(state,
                "a machine did not join within " + std::to_string(config.join.count()) + " s");
      SetStage(machine, master::v1::STOPPING, "it did not join");
    }
    return;
  }
  const std::string problem = present ? "" : kNotHeardOf;
  if (machine.problem() != problem && !SetStage(machine, machine.stage(), problem)) return;
  // What its nodes have written is there: it is kept, and paid for, until somebody decides.
  if (host != nullptr && host->nodes != 0) {
    idle_since_ms_.erase(machine.tag());
    return;
  }
  const int64_t since = idle_since_ms_.emplace(machine.tag(), now).first->second;
  if (now - since < std::chrono::milliseconds(config.idle).count()) return;
  LOG_INFO(NameOf(machine) + " has had no nodes for " + std::to_string(config.idle.count()) +
           " s and is given back");
  if (SetStage(machine, master::v1::RETURNING, "") && present) Drain(machine.host(), true);
}

void Rentals::AdvanceReturning(MachineRecord& machine, const RentalSite::Host* host) {
  idle_since_ms_.erase(machine.tag());
  if (host == nullptr || !host->present) {
    if (host != nullptr && host->nodes != 0) return UseAgain(machine, *host);
    SetStage(machine, master::v1::STOPPING, kNotHeardOf);
    return;
  }
  if (!host->draining) {
    // A crash came between the two, or somebody resumed it.
    const bool just_begun =
        site_.NowUnixMs() - machine.since_unix_ms() < options_.drain_max.count();
    if (host->nodes == 0 && just_begun) {
      Drain(machine.host(), true);
    } else {
      SetStage(machine, master::v1::RUNNING, "");
    }
    return;
  }
  if (host->looked && host->nodes == 0) {
    SetStage(machine, master::v1::STOPPING, "");
    return;
  }
  const bool too_long = site_.NowUnixMs() - machine.since_unix_ms() > options_.drain_max.count();
  if (!host->stays && !too_long) return;
  UseAgain(machine, *host);
}

bool Rentals::Drain(const std::string& host, bool drain) {
  const Status drained = site_.Drain(host, drain);
  if (!drained.ok()) LOG_WARNING("host " + host + ": " + drained.error().message());
  return drained.ok();
}

void Rentals::UseAgain(MachineRecord& machine, const RentalSite::Host& host) {
  LOG_INFO("host " + machine.host() + " is used again: nodes stay there");
  if (host.draining && !Drain(machine.host(), false)) return;
  if (host.present) NoteSize(host, &machine);
  SetStage(machine, master::v1::RUNNING, host.present ? "" : kNotHeardOf);
}

// A machine that joined late may have got nodes, and one may join while it is being stopped. So
// its host is drained before the provider is asked, whether it is there or not.
bool Rentals::StaysEmpty(MachineRecord& machine, const RentalSite::Host* host) {
  if (host != nullptr && host->nodes != 0) {
    UseAgain(machine, *host);
    return false;
  }
  if (host == nullptr || !host->draining) {
    Drain(machine.host(), true);  // What came before that is seen at the next step.
    return false;
  }
  return !host->present || host->looked;
}

void Rentals::AdvanceStopping(State& state, MachineRecord& machine, const RentalSite::Host* host) {
  if (!StaysEmpty(machine, host)) return;
  std::string id = machine.id();
  if (id.empty()) {
    // Whether there is one is seen by its tag.
    if (state.listed_ms <= machine.since_unix_ms()) Look(state);
    if (state.listed_ms <= machine.since_unix_ms()) return;
    const auto listed = state.listed.find(machine.tag());
    if (listed != state.listed.end()) id = listed->second;
  }
  if (!id.empty()) {
    const Status stopped = state.lender.provider->Stop(id, closing_);
    if (!stopped.ok()) {
      if (closing_.cancelled()) return;
      const std::string problem = "it cannot be stopped: " + stopped.error().message();
      if (machine.problem() == problem) return;
      LOG_ERROR(NameOf(machine) + ": " + problem);
      SetStage(machine, machine.stage(), problem);
      return;
    }
  }
  if (!id.empty()) state.stopped[id] = site_.NowUnixMs();
  if (Status forgotten = site_.Forget(machine.host()); !forgotten.ok()) {
    LOG_WARNING("host " + machine.host() + ": " + forgotten.error().message());
    return;
  }
  const std::string name = NameOf(machine);
  const std::string tag = machine.tag();
  if (!site_.Store(tag, std::nullopt).ok()) return;
  LOG_INFO(name + " is stopped");
  idle_since_ms_.erase(tag);
  machines_.erase(tag);  // `machine` is gone.
}

void Rentals::Plan() {
  RentalQuestion question = site_.WantedRoom();
  if (question.wanted.empty()) return;
  const int64_t now = site_.NowUnixMs();
  for (State& state : states_) {
    ProviderState& provider = question.providers.emplace_back();
    provider.rules = state.lender.config.rules;
    for (const Offer& offer : state.offers) provider.offers.push_back(AsSeen(state, offer));
    for (const auto& [tag, machine] : machines_) {
      if (machine.provider() != provider.rules.name) continue;
      ++provider.machines;
      provider.price_per_hour += machine.price_per_hour();
      provider.starting |= machine.stage() == master::v1::STARTING;
    }
    if (!state.problem.empty()) provider.unusable = state.problem;
    if (state.not_before_ms > now && !state.last_failure.empty()) {
      provider.unusable = state.last_failure;
    } else {
      provider.starting |= state.not_before_ms > now;  // It only cools down.
    }
  }
  for (const auto& [tag, machine] : machines_) {
    if (machine.stage() > master::v1::JOINING) continue;
    Offer offer;
    offer.cpus = machine.cpus();
    offer.memory_bytes = machine.memory_bytes();
    offer.disk_bytes = machine.disk_bytes();
    offer.labels.assign(machine.labels().begin(), machine.labels().end());
    question.coming.push_back(HostOf(offer, machine.host(), question));
  }
  const RentalDecision decision = PlanRentals(question);
  site_.Answer(decision.answers);
  if (!decision.start.has_value()) return;
  const RentalChoice& choice = *decision.start;
  StartMachine(states_[choice.provider], question.providers[choice.provider].offers[choice.offer]);
}

// An offer with what its machines have really had, where that was less: what was rented once for a
// node that then did not fit is not rented for it again.
Offer Rentals::AsSeen(State& state, Offer offer) {
  for (const auto& [tag, machine] : machines_) {
    const bool is_of_it = machine.provider() == state.lender.config.rules.name &&
                          machine.offer() == offer.name && machine.stage() == master::v1::RUNNING;
    if (!is_of_it) continue;
    Offer& seen = state.seen.emplace(offer.name, offer).first->second;
    seen.cpus = std::min(seen.cpus, machine.cpus());
    seen.memory_bytes = std::min(seen.memory_bytes, machine.memory_bytes());
    seen.disk_bytes = std::min(seen.disk_bytes, machine.disk_bytes());
  }
  if (const auto seen = state.seen.find(offer.name); seen != state.seen.end()) {
    offer.cpus = std::min(offer.cpus, seen->second.cpus);
    offer.memory_bytes = std::min(offer.memory_bytes, seen->second.memory_bytes);
    offer.disk_bytes = std::min(offer.disk_bytes, seen->second.disk_bytes);
  }
  return offer;
}

void Rentals::StartMachine(State& state, const Offer& offer) {
  const int64_t now = site_.NowUnixMs();
  // Tags are not used again while a machine or a provider remembers them.
  auto number = static_cast<uint64_t>(now / 1000);
  for (const auto& [tag, machine] : machines_) {
    number = std::max(number, NumberOf(tag, options_.tag_prefix) + 1);
  }
  MachineRecord machine;
  machine.set_version(kVersion);
  machine.set_tag(options_.tag_prefix + std::to_string(number));
  machine.set_provider(state.lender.config.rules.name);
  machine.set_offer(offer.name);
  machine.set_price_per_hour(offer.price_per_hour);
  machine.set_host(state.lender.config.rules.name + "-" + std::to_string(number));
  machine.set_started_unix_ms(now);
  machine.set_cpus(offer.cpus);
  machine.set_memory_bytes(offer.memory_bytes);
  machine.set_disk_bytes(offer.disk_bytes);
  machine.mutable_labels()->Assign(offer.labels.begin(), offer.labels.end());
  const auto token = site_.JoinToken();
  if (!token.ok()) return FailStart(state, "no machine can join: " + token.error().message());
  if (!SetStage(machine, master::v1::STARTING, "")) return;
  MachineRecord& stored = machines_[machine.tag()] = machine;
  LOG_INFO("a machine is rented of " + machine.provider() + ": " + offer.name + ", to be host " +
           machine.host());
  Publish();
  StartOrder order;
  order.offer = offer.name;
  order.tag = machine.tag();
  order.host = machine.host();
  order.token = *token;
  order.masters = options_.masters;
  order.labels = offer.labels;
  const auto id = state.lender.provider->Start(order, closing_);
  state.not_before_ms =
      site_.NowUnixMs() + std::chrono::milliseconds(state.lender.config.cool_down).count();
  if (id.ok()) {
    stored.set_id(*id);
    SetStage(stored, master::v1::JOINING, "");
    return;
  }
  if (closing_.cancelled()) return;  // The next master finds it by its tag.
  FailStart(state, "a start has failed: " + id.error().message());
  SetStage(stored, master::v1::STOPPING, id.error().message());
}

void Rentals::FailStart(State& state, const std::string& why) {
  const int64_t most = options_.back_off_max.count();
  int64_t pause = options_.back_off.count();
  for (uint32_t i = 0; i < state.failures && pause < most; ++i) pause *= 2;
  ++state.failures;
  state.last_failure = why;
  state.not_before_ms = site_.NowUnixMs() + std::min(pause, most);
  LOG_WARNING("provider " + state.lender.config.rules.name + ": " + why + "; nothing of it is " +
              "rented for " + std::to_string(std::min(pause, most) / 1000) + " s");
}

bool Rentals::SetStage(MachineRecord& machine, master::v1::MachineStage stage,
                       const std::string& problem) {
  MachineRecord changed = machine;
  if (stage != machine.stage() || machine.since_unix_ms() == 0) {
    changed.set_since_unix_ms(site_.NowUnixMs());
  }
  changed.set_stage(stage);
  changed.set_problem(problem);
  if (Status stored = site_.Store(changed.tag(), changed.SerializeAsString()); !stored.ok()) {
    LOG_WARNING(NameOf(machine) + ": " + stored.error().message());
    return false;
  }
  machine = changed;
  return true;
}

void Rentals::Publish() {
  std::map<std::string, RentalSite::Rent> rents;
  std::vector<View> views;
  for (const State& state : states_) {
    View& view = views.emplace_back();
    view.rules = state.lender.config.rules;
    view.offers = state.offers;
    view.problem = state.problem;
    view.strays = state.strays_stopped;
    if (view.problem.empty() && state.not_before_ms > site_.NowUnixMs()) {
      view.problem = state.last_failure;
    }
    for (const auto& [tag, machine] : machines_) {
      if (machine.provider() != view.rules.name) continue;
      view.machines.push_back(machine);
      view.price_per_hour += machine.price_per_hour();
      rents[machine.host()] = {machine.provider(), machine.price_per_hour()};
    }
  }
  site_.ShowRents(rents);
  const std::lock_guard lock(mutex_);
  views_ = std::move(views);
}

}  // namespace strata::vcluster
