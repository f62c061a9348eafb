#include "vclusterd/remote/worker_fabric.h"

#include "common/log.h"

namespace strata::vcluster {
namespace {

// Keys change by themselves: ESP's sessions. What failed is tried again.
constexpr std::chrono::seconds kLookEvery(2);

}  // namespace

WorkerFabric::WorkerFabric(HostNodes& nodes, std::function<void()> changed)
    : nodes_(nodes), changed_(std::move(changed)) {
  Look(std::nullopt, &report_);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

WorkerFabric::~WorkerFabric() {
  thread_.request_stop();
  thread_.join();
}

void WorkerFabric::Take(const host::v1::FabricOrder& order) {
  const std::lock_guard lock(mutex_);
  if (order_ && order_->revision() >= order.revision()) return;
  order_ = order;
  wake_.notify_all();
}

host::v1::FabricReport WorkerFabric::Report() {
  const std::lock_guard lock(mutex_);
  return report_;
}

void WorkerFabric::Look(std::optional<host::v1::FabricOrder> order,
                        host::v1::FabricReport* report) {
  report->clear_problem();
  if (order) {
    if (const Status set = nodes_.SetFabric(*order); set.ok()) {
      report->set_revision(order->revision());
    } else {
      report->set_problem(set.error().message());
    }
  }
  auto part = nodes_.FabricPart();
  if (part.ok()) {
    *report->mutable_part() = std::move(*part);
  } else if (report->problem().empty()) {
    report->set_problem(part.error().message());
  }
}

void WorkerFabric::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::optional<host::v1::FabricOrder> order;
    host::v1::FabricReport report;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, kLookEvery, [&] {
        return order_.has_value() && order_->revision() != report_.revision() &&
               report_.problem().empty();
      });
      if (stop.stop_requested()) return;
      if (order_ && order_->revision() != report_.revision()) order = order_;
      report = report_;
    }
    // Of a host without a fabric nothing changes.
    if (!order && report.problem().empty() && nodes_.FabricOrdered().prefix().empty()) continue;
    Look(std::move(order), &report);
    bool changed = false;
    {
      const std::lock_guard lock(mutex_);
      changed = report.SerializeAsString() != report_.SerializeAsString();
      if (changed && !report.problem().empty()) LOG_WARNING("fabric: " + report.problem());
      report_ = report;
    }
    if (changed) changed_();
  }
}

}  // namespace strata::vcluster
