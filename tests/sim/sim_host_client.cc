// What the worker of a simulated host says to masters, as WorkerClient does.
#include <algorithm>

#include "tests/sim/sim_host.h"

namespace strata::sim {
namespace {

constexpr milliseconds kAnswerMax(5000);
constexpr milliseconds kRetryPause(500);

}  // namespace

void SimHost::WatchSilence() {
  vcluster::Obedience& obedience = process_->obedience;
  if (obedience.FallSilent(events_.now())) PauseFenced();
  const Time due =
      obedience.IsSilent() ? events_.now() + milliseconds(200) : obedience.SilentFrom();
  Later(std::chrono::ceil<milliseconds>(std::max<Duration>(due - events_.now(), milliseconds(1))),
        [this] { WatchSilence(); });
}

void SimHost::SayHello() {
  process_->leads = false;
  process_->calling = true;
  const std::string master = options_.masters[process_->next % options_.masters.size()];
  const auto request = std::make_shared<host::v1::HelloRequest>();
  request->set_session(process_->session);
  *request->mutable_capacity() = options_.capacity;
  process_->changed.clear();
  for (const auto& [number, part] : process_->parts) *request->add_parts() = StatusOf(number);
  const uint64_t hello = process_->obedience.BeginHello(events_.now());
  request->set_hello(hello);
  network_.Call<host::v1::HelloResponse>(
      name(), master, kAnswerMax,
      [this, master, request](const auto& answer) {
        MasterPort* port = find_master_(master);
        if (port == nullptr) return answer(Error(Code::kUnavailable, master + " is not there"));
        port->Hello(name(), request, answer);
      },
      [this, master, hello, process = processes_](const Result<host::v1::HelloResponse>& answer) {
        if (process_ == nullptr || processes_ != process) return;
        process_->calling = false;
        if (answer.ok() && answer->leads() && process_->obedience.HelloTaken(hello)) {
          process_->leader = master;
          process_->epoch = answer->epoch();
          process_->leads = true;
          process_->report_every = milliseconds(answer->report_every_ms());
          return ReportLater(process_->report_every);
        }
        ++process_->next;
        Later(kRetryPause, [this] { SayHello(); });
      });
}

void SimHost::ReportLater(milliseconds delay) {
  Later(delay, [this, timer = ++process_->timer] {
    if (process_->timer == timer) Report();
  });
}

// What has changed, or that it is there.
void SimHost::Report() {
  if (!process_->leads || process_->calling) return;
  process_->calling = true;
  const auto request = std::make_shared<host::v1::ReportRequest>();
  request->set_session(process_->session);
  request->set_epoch(process_->epoch);
  for (auto& [number, status] : process_->changed) *request->add_parts() = std::move(status);
  process_->changed.clear();
  const Time begun = events_.now();
  network_.Call<host::v1::ReportResponse>(
      name(), process_->leader, kAnswerMax,
      [this, master = process_->leader, request](const auto& answer) {
        MasterPort* port = find_master_(master);
        if (port == nullptr) return answer(Error(Code::kUnavailable, master + " is not there"));
        port->Report(name(), request, answer);
      },
      [this, begun, process = processes_](const Result<host::v1::ReportResponse>& answer) {
        if (process_ == nullptr || processes_ != process) return;
        process_->calling = false;
        if (answer.ok()) process_->obedience.ReportTaken(begun);
        if (!answer.ok() || process_->obedience.IsSilent()) return SayHello();
        if (!process_->changed.empty()) return Report();
        ReportLater(process_->report_every);
      });
}

}  // namespace strata::sim
