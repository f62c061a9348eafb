// Any bytes as what a provider's program answers, and as the file of providers: an error, or values
// within their limits.
//   build/fuzz/bin/make_provider_seeds CORPUS && build/fuzz/bin/fuzz_provider_answers CORPUS
#include <cmath>
#include <cstdint>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/providers/provider_answers.h"
#include "vclusterd/providers/provider_file.h"

namespace strata::vcluster {
namespace {

void CheckText(const std::string& text) {
  CHECK(!text.empty() && text.size() <= kProviderTextMax);
  CHECK(PrintablePrefix(text) == text.size());
}

void Try(std::string_view input) {
  if (const auto offers = ParseOffers(input); offers.ok()) {
    CHECK(offers->size() <= kOffersMax);
    for (const Offer& offer : *offers) {
      CheckText(offer.name);
      CHECK(std::isfinite(offer.cpus) && offer.cpus > 0 && offer.price_per_hour >= 0);
      CHECK(offer.memory_bytes > 0 && offer.memory_bytes <= kSchedulerBytesMax);
    }
  }
  if (const auto id = ParseStarted(input); id.ok()) CheckText(*id);
  (void)ParseStopped(input);
  if (const auto machines = ParseMachines(input, "strata-"); machines.ok()) {
    for (const Machine& machine : *machines) {
      CheckText(machine.id);
      CHECK(machine.tag.starts_with("strata-"));
    }
  }
  if (const auto file = ParseProviderFile(input); file.ok()) {
    CHECK(file->providers.size() <= kProvidersMax);
    for (const ProviderConfig& config : file->providers) {
      CHECK(config.exec.command.front().starts_with("/"));
      CHECK(config.idle.count() > 0 && config.exec.timeout.count() > 0);
    }
  }
}

}  // namespace
}  // namespace strata::vcluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  strata::vcluster::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
