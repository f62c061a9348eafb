// MetricsPage: answers GET /metrics for Prometheus (exposition format 0.0.4): what the parts of the
// program count (common/metrics.h), and gauges that are looked at when somebody asks.
//
// There is no TLS and nobody is asked who he is: listen on the loopback, or on a network of the
// administrators.
#pragma once

#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/http/server.h"

namespace strata::http {

using MetricFamilies = std::vector<prometheus::MetricFamily>;

// A family of one gauge without labels.
prometheus::MetricFamily Gauge(const std::string& name, const std::string& help, double value);
// The same of one counter.
prometheus::MetricFamily Counter(const std::string& name, const std::string& help, double value);
// Adds a gauge with a label to a family.
void AddGauge(const std::string& label, const std::string& of, double value,
              prometheus::MetricFamily* family);

class MetricsPage {
 public:
  // Called for every answer, from any thread, several at once.
  using Look = std::function<MetricFamilies()>;

  // Errors are Server's.
  static Result<std::unique_ptr<MetricsPage>> Start(const std::string& address, Look look);
  ~MetricsPage();
  int port() const { return server_->port(); }

 private:
  class Handler;
  MetricsPage() = default;

  std::unique_ptr<Handler> handler_;
  std::unique_ptr<Server> server_;
};

}  // namespace strata::http
