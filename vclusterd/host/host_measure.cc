// What commands in nodes say of themselves, for rules that follow it.
#include <charconv>
#include <cmath>

#include "common/printable.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/host/node_command.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTimeoutMax(60'000);
constexpr milliseconds kEveryMin(1000);
constexpr size_t kShown = 100;

// A number that is not negative, alone but for white space around it.
Result<double> NumberOf(const std::string& output) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = output.find_first_not_of(kSpace);
  const size_t last = output.find_last_not_of(kSpace);
  const std::string text = first == std::string::npos ? "" : output.substr(first, last - first + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(value) || value < 0) {
    return Error(Code::kInvalidArgument, "it printed no number: '" + Printable(text, kShown) + "'");
  }
  return value;
}

Result<double> Run(const NodeLife& life, const ExecTarget& target,
                   const host::v1::Measurement& measurement, const CancelToken& cancel) {
  const milliseconds timeout =
      std::clamp(milliseconds(measurement.every_ms()), kEveryMin, kTimeoutMax);
  std::string output;
  ASSIGN_OR_RETURN(const NodeCommandResult done,
                   RunInNode(life, target, {measurement.argv().begin(), measurement.argv().end()},
                             timeout, cancel, &output));
  if (done.exit_code != 0) {
    return Error(Code::kFailedPrecondition, "exit code " + std::to_string(done.exit_code) + ": " +
                                                Printable(done.output, kShown));
  }
  return NumberOf(done.output);
}

}  // namespace

void HostNodes::MeasureLater(const PartPtr& part, const NodePtr& node, uint32_t index,
                             milliseconds delay) {
  waiters_.Push([this, part, node, index] { Measure(part, node, index); }, delay);
}

void HostNodes::Measure(const PartPtr& part, const NodePtr& node, uint32_t index) {
  Job job;
  bool is_ready = false;
  {
    const std::lock_guard lock(part->mutex);
    const auto found = part->nodes.find(index);
    if (found != part->nodes.end() && found->second == node) job = TakeJob(part, node, index);
    if (!job.wanted.has_value() || !job.wanted->has_measurement()) {
      node->measuring = false;
      node->measured.reset();
      return;
    }
    is_ready = node->state == host::v1::READY && job.record.has_value();
    if (!is_ready) node->measured.reset();
  }
  if (is_ready) {
    const auto value = Run(*life_, TargetOf(job), job.wanted->measurement(), closing_);
    host::v1::Measured measured;
    if (value.ok()) {
      measured.set_value(*value);
    } else {
      measured.set_problem(value.error().message());
    }
    {
      const std::lock_guard lock(part->mutex);
      node->measured = std::move(measured);
    }
    Tell(part);
  }
  MeasureLater(part, node, index,
               std::max(milliseconds(job.wanted->measurement().every_ms()), kEveryMin));
}

}  // namespace strata::vcluster
