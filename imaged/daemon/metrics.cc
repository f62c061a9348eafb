#include "imaged/daemon/metrics.h"

#include <sys/statvfs.h>

#include <algorithm>

namespace strata::imaged {
namespace {

// Looked at when somebody asks: cheap, but for nothing that grows with the objects.
http::MetricFamilies GaugesOf(Repository& repository) {
  http::MetricFamilies families;
  const auto add = [&](const char* name, const char* help, double value) {
    families.push_back(http::Gauge(name, help, value));
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

Result<std::unique_ptr<http::MetricsPage>> StartMetricsPage(const std::string& address,
                                                            Repository* repository) {
  return http::MetricsPage::Start(address, [repository] { return GaugesOf(*repository); });
}

}  // namespace strata::imaged
