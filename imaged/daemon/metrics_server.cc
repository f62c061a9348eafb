#include "imaged/daemon/metrics_server.h"

#include <prometheus/text_serializer.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "common/metrics.h"

namespace strata::imaged {
namespace {

prometheus::MetricFamily Gauge(const char* name, const char* help, double value) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  family.metric.emplace_back().gauge.value = value;
  return family;
}

http::Response Plain(int status, std::string text) {
  http::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
  response.text = std::move(text);
  return response;
}

// Looked at when somebody asks: cheap, but for nothing that grows with the objects.
std::vector<prometheus::MetricFamily> GaugesOf(Repository& repository) {
  std::vector<prometheus::MetricFamily> families;
  const auto add = [&](const char* name, const char* help, double value) {
    families.push_back(Gauge(name, help, value));
  };
  double tags = 0;
  double versions = 0;
  double content = 0;
  const ImageIndex& index = repository.catalog().index();
  index.ForEachTag([&](const ImageIndex::Tag&) { ++tags; });
  index.ForEachVersion([&](const ImageIndex::Version& version) {
    ++versions;
    content += static_cast<double>(version.size_bytes);
  });
  add("strata_tags", "Names of images", tags);
  add("strata_image_versions", "Versions of images, with a tag or kept without", versions);
  if (const auto live = repository.collector().last_live()) {
    const auto bytes = static_cast<double>(live->bytes);
    add("strata_store_objects", "Objects that images name, at the last collection",
        static_cast<double>(live->objects));
    add("strata_store_bytes", "Their content, each once", bytes);
    add("strata_sharing_saved_bytes",
        "What copies of all versions would take beyond what is stored",
        std::max(0.0, content - bytes));
  }
  struct statvfs disk;
  if (::statvfs(repository.objects().root().c_str(), &disk) == 0) {
    add("strata_store_free_bytes", "Room on the file system of the store",
        static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize));
  }
  const v1::BackgroundCheck check = repository.background_check().State();
  add("strata_check_damaged_objects", "Objects found damaged since the beginning",
      static_cast<double>(check.damaged()));
  add("strata_check_healed_objects", "Of those, replaced from elsewhere",
      static_cast<double>(check.healed()));
  add("strata_check_unhealed", "Objects and layers that nobody has a sound copy of",
      check.unhealed_size());
  add("strata_check_last_pass_timestamp_seconds", "When all bytes had been read last; 0: never",
      static_cast<double>(check.last_pass_ended_unix_ms()) / 1000);
  add("strata_catalog_up", "Whether the catalog is kept up: 0 while etcd cannot be reached",
      repository.catalog().records().Health().ok() ? 1 : 0);
  add("strata_events", "The number of the last event",
      static_cast<double>(repository.events().last_number()));
  return families;
}

}  // namespace

class MetricsServer::Handler final : public http::Handler {
 public:
  explicit Handler(Repository* repository) : repository_(*repository) {}

  http::Answer Handle(const http::Request& request) override {
    if (request.path != "/metrics") return Plain(404, "see /metrics\n");
    if (request.method != "GET" && request.method != "HEAD") {
      http::Response refused = Plain(405, "");
      refused.headers.push_back({"Allow", "GET, HEAD"});
      return refused;
    }
    return Plain(200,
                 MetricsText() + prometheus::TextSerializer().Serialize(GaugesOf(repository_)));
  }

 private:
  Repository& repository_;
};

MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address,
                                                            Repository* repository) {
  std::unique_ptr<MetricsServer> started(new MetricsServer());
  started->handler_ = std::make_unique<Handler>(repository);
  http::ServerOptions options;
  options.address = address;
  options.limits.connections = 16;
  options.limits.connections_per_address = 8;
  ASSIGN_OR_RETURN(started->server_,
                   http::Server::Start(std::move(options), started->handler_.get()));
  return started;
}

}  // namespace strata::imaged
