#include "common/http/metrics_page.h"

#include <prometheus/text_serializer.h>

#include "common/metrics.h"

namespace strata::http {
namespace {

constexpr unsigned kConnectionsMax = 16;

Response Plain(int status, std::string text) {
  Response response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
  response.text = std::move(text);
  return response;
}

}  // namespace

prometheus::MetricFamily Gauge(const std::string& name, const std::string& help, double value) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  family.metric.emplace_back().gauge.value = value;
  return family;
}

prometheus::MetricFamily Counter(const std::string& name, const std::string& help, double value) {
  prometheus::MetricFamily family = Gauge(name, help, 0);
  family.type = prometheus::MetricType::Counter;
  family.metric[0] = {};
  family.metric[0].counter.value = value;
  return family;
}

void AddGauge(const std::string& label, const std::string& of, double value,
              prometheus::MetricFamily* family) {
  prometheus::ClientMetric& metric = family->metric.emplace_back();
  metric.label.push_back({label, of});
  metric.gauge.value = value;
}

class MetricsPage::Handler final : public http::Handler {
 public:
  explicit Handler(Look look) : look_(std::move(look)) {}

  Answer Handle(const Request& request) override {
    if (request.path != "/metrics") return Plain(404, "see /metrics\n");
    if (request.method != "GET" && request.method != "HEAD") {
      Response refused = Plain(405, "");
      refused.headers.push_back({"Allow", "GET, HEAD"});
      return refused;
    }
    return Plain(200, MetricsText() + prometheus::TextSerializer().Serialize(look_()));
  }

 private:
  const Look look_;
};

MetricsPage::~MetricsPage() = default;

Result<std::unique_ptr<MetricsPage>> MetricsPage::Start(const std::string& address, Look look) {
  std::unique_ptr<MetricsPage> page(new MetricsPage());
  page->handler_ = std::make_unique<Handler>(std::move(look));
  ServerOptions options;
  options.address = address;
  options.limits.connections = kConnectionsMax;
  options.limits.connections_per_address = kConnectionsMax / 2;
  ASSIGN_OR_RETURN(page->server_, Server::Start(std::move(options), page->handler_.get()));
  return page;
}

}  // namespace strata::http
