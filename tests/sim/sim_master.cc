#include "tests/sim/sim_master.h"

#include <algorithm>

namespace strata::sim {
namespace {

using vcluster::HostLink;
using vcluster::Master;

constexpr milliseconds kAnswerMax(20'000);
constexpr milliseconds kPumpEvery(100);
constexpr milliseconds kLookEvery(500);

// A host as a master of the simulation sees it; orders go by SimMaster::Send.
class SimLink final : public HostLink {
 public:
  SimLink(uint64_t of_epoch, uint64_t of_hello, host::v1::Capacity capacity)
      : epoch(of_epoch), hello(of_hello), capacity_(std::move(capacity)) {}

  const uint64_t epoch;
  const uint64_t hello;

  Result<host::v1::UsageHistory> History(uint32_t, uint32_t) override {
    return host::v1::UsageHistory();
  }
  Result<host::v1::UsageHistory> HostHistory() override { return host::v1::UsageHistory(); }
  Result<std::vector<host::v1::PartStatus>> Apply(const std::vector<host::v1::Part>&) override {
    return NotHere();
  }
  Result<std::vector<net::ObservedLink>> Links() override {
    return std::vector<net::ObservedLink>();
  }
  host::v1::Capacity Capacity() override { return capacity_; }
  Status Resize(uint32_t, uint32_t, uint64_t) override { return NotHere(); }
  Result<host::v1::PartStatus> Look(uint32_t) override { return NotHere(); }
  Result<vcluster::SaveNodeResult> Save(uint32_t, uint32_t, const vcluster::SaveNodeParameters&,
                                        const vcluster::NodeLife::ProgressFn&,
                                        const CancelToken&) override {
    return NotHere();
  }
  Result<std::unique_ptr<vcluster::RunningCommand>> Exec(uint32_t, uint32_t,
                                                         const vcluster::ExecParameters&,
                                                         vcluster::TerminalSize,
                                                         vcluster::ExecListener&) override {
    return NotHere();
  }

 private:
  static Error NotHere() { return Error(Code::kUnsupported, "not in a simulation"); }
  const host::v1::Capacity capacity_;
};

}  // namespace

SimMaster::SimMaster(SimMasterOptions options, EventQueue& events, Random& random, Network& network,
                     records::RecordStore& store, vcluster::Users& users, FaultyStore::Fate fate,
                     FaultyStore::Made made, FindHost find_host)
    : options_(std::move(options)),
      events_(events),
      random_(random),
      network_(network),
      shared_store_(store),
      users_(users),
      fate_(std::move(fate)),
      made_(std::move(made)),
      find_host_(std::move(find_host)),
      awake_from_(events.now()) {}

void SimMaster::Start() {
  if (up()) return;
  ++processes_;
  pump_asked_ = false;
  awake_from_ = events_.now();
  waiting_.clear();
  store_ = std::make_unique<FaultyStore>(shared_store_, fate_, made_);
  vcluster::Leadership::Options options;
  options.master.name = options_.name;
  options.master.pool = net::Ipv4Prefix::Parse("10.0.0.0/8").value();
  options.master.every = options_.every;
  options.master.placer = options_.placer;
  options.master.recreate_after =
      options_.mistake == Mistake::kRecreatesAtOnce ? milliseconds(0) : options_.recreate_after;
  options.master.user_name = [](uint32_t uid) { return std::to_string(uid); };
  options.master.check_quota = [most = options_.owner_nodes_max](
                                   uint32_t uid, const vcluster::QuotaDemand& asked,
                                   const vcluster::QuotasUsed& used) -> Status {
    constexpr auto kNodes = vcluster::Resource::kNodes;
    if (used(uid)[kNodes] + asked.amounts[kNodes] <= most) return Ok();
    return Error(Code::kResourceExhausted,
                 "you may have at most " + std::to_string(most) + " nodes");
  };
  options.master.steady_now = [this] { return events_.now(); };
  options.master.now_unix_ms = [this] {
    return std::chrono::duration_cast<milliseconds>(events_.now().time_since_epoch()).count();
  };
  options.master.pause = Fiber::Wait;
  options.takeover_after = options_.takeover_after;
  options.beat_every = options_.takeover_after / 3;
  if (options_.mistake == Mistake::kMasterWithoutLease) options.lead_lasts = std::chrono::hours(9);
  leadership_ = std::make_unique<vcluster::Leadership>(
      std::move(options), *store_, [this](Master& master) { Won(master); },
      [this](Master& master) { Lost(master); });
  Beat();
  LookAtSessions();
}

void SimMaster::Kill() {
  if (!up()) return;
  store_->Die();
  ++processes_;
  leadership_.reset();
  store_.reset();
}

void SimMaster::Stop() {
  if (!up()) return;
  ++processes_;
  leadership_.reset();
  store_.reset();
}

void SimMaster::Stall(milliseconds time) {
  awake_from_ = events_.now() + time;
  events_.After(time, [this] { Wake(); });
}

void SimMaster::Wake() {
  if (!up() || Stalls()) return;
  for (const std::function<void()>& what : std::exchange(waiting_, {})) {
    if (up()) what();
  }
}

void SimMaster::Later(milliseconds delay, std::function<void()> what) {
  events_.After(delay, [this, process = processes_, what = std::move(what)] {
    if (!up() || processes_ != process) return;
    if (Stalls()) {
      waiting_.push_back(what);
    } else {
      what();
    }
  });
}

void SimMaster::Won(Master& master) {
  master_ = &master;
  vcluster::HostSessionsOptions options;
  options.lost_after = options_.lost_after;
  options.report_every = options_.lost_after / 7;
  options.steady_now = [this] { return events_.now(); };
  sessions_ = std::make_shared<vcluster::HostSessions>(
      options, master,
      [epoch = master.epoch()](const std::string&, const host::v1::HelloRequest& request)
          -> Result<std::shared_ptr<HostLink>> {
        return std::make_shared<SimLink>(epoch, request.hello(), request.capacity());
      });
  clusters_ = std::make_shared<vcluster::Clusters>(master, users_);
  ContinueOperations();
  Pump();
}

void SimMaster::Lost(Master& master) {
  master.EndWaits();
  for (const auto& operation : operations_) {
    while (operation->Resume()) {
    }
  }
  operations_.clear();
  sessions_.reset();
  clusters_.reset();
  master_ = nullptr;
}

void SimMaster::Beat() {
  leadership_->Step();
  if (master_ != nullptr) Pump();
  Later(options_.takeover_after / 3 + random_.Between(milliseconds(0), milliseconds(50)),
        [this] { Beat(); });
}

void SimMaster::LookAtSessions() {
  if (sessions_ != nullptr) sessions_->Look();
  Pump();
  Later(kLookEvery, [this] { LookAtSessions(); });
}

void SimMaster::Pump() {
  if (std::exchange(pump_asked_, true)) return;
  Later(random_.Between(milliseconds(1), milliseconds(5)), [this] { PumpNow(); });
}

void SimMaster::PumpNow() {
  pump_asked_ = false;
  if (master_ == nullptr) return;
  master_->Step();
  for (Master::Dispatch& dispatch : master_->TakeOrders()) Send(std::move(dispatch));
}

void SimMaster::Send(Master::Dispatch dispatch) {
  const auto sent = std::make_shared<const Master::Dispatch>(std::move(dispatch));
  const auto& link = static_cast<const SimLink&>(*sent->link);
  const auto request = std::make_shared<host::v1::ApplyRequest>();
  request->set_epoch(link.epoch);
  request->set_hello(link.hello);
  request->mutable_orders()->Assign(sent->orders.begin(), sent->orders.end());
  using Statuses = std::vector<host::v1::PartStatus>;
  network_.Call<Statuses>(
      name(), sent->host, kAnswerMax,
      [this, host = sent->host, request](const auto& answer) {
        SimHost* found = find_host_(host);
        answer(found == nullptr ? Error(Code::kUnavailable, host + " is not there")
                                : found->Apply(*request, name()));
      },
      [this, sent, process = processes_](const Result<Statuses>& answer) {
        if (!up() || processes_ != process) return;
        Later(milliseconds(0), [this, sent, answer] {
          if (master_ == nullptr) return;
          master_->Answer(*sent, answer);
          Pump();
        });
      });
}

void SimMaster::Operate(std::function<void(vcluster::Clusters&)> work) {
  operations_.push_back(
      std::make_unique<Fiber>([work = std::move(work), clusters = clusters_] { work(*clusters); }));
}

void SimMaster::ContinueOperations() {
  if (master_ == nullptr) return;
  for (size_t i = 0; i < operations_.size(); ++i) operations_[i]->Resume();
  std::erase_if(operations_, [](const auto& operation) { return operation->ended(); });
  if (!operations_.empty()) Pump();
  Later(kPumpEvery, [this] { ContinueOperations(); });
}

void SimMaster::Hello(const std::string& host,
                      std::shared_ptr<const host::v1::HelloRequest> request, HelloAnswer answer) {
  Later(milliseconds(0), [this, host, request, answer = std::move(answer)] {
    host::v1::HelloResponse response;
    response.set_leader(leadership_->Leader());
    if (sessions_ == nullptr) return answer(response);
    const Status joined = sessions_->Hello(host, *request, &response);
    if (!joined.ok()) return answer(joined.error());
    response.set_leads(true);
    Pump();
    answer(response);
  });
}

void SimMaster::Report(const std::string& host,
                       std::shared_ptr<const host::v1::ReportRequest> request,
                       ReportAnswer answer) {
  Later(milliseconds(0), [this, host, request, answer = std::move(answer)] {
    if (sessions_ == nullptr) {
      return answer(Error(Code::kFailedPrecondition, "this master does not lead"));
    }
    host::v1::ReportResponse response;
    const Status heard = sessions_->Report(host, *request, &response);
    if (!heard.ok()) return answer(heard.error());
    Pump();
    answer(response);
  });
}

}  // namespace strata::sim
