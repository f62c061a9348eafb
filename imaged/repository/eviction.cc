#include "imaged/repository/eviction.h"

#include <sys/statvfs.h>

#include <algorithm>

#include "common/log.h"

namespace strata::imaged {
namespace {

struct Candidate {
  std::shared_ptr<const ImageIndex::Version> version;
  int64_t last_use_unix_ms = 0;
};

Result<uint64_t> CapacityOf(const std::string& store, const EvictionRule& rule, uint64_t used) {
  if (rule.capacity_bytes != 0) return rule.capacity_bytes;
  struct statvfs disk;
  if (::statvfs(store.c_str(), &disk) != 0) return Errno("statvfs " + store);
  return used + static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
}

// Copies that nothing holds, least recently used first.
Result<std::vector<Candidate>> CandidatesOf(Repository& repository) {
  std::vector<Candidate> candidates;
  repository.catalog().index().ForEachVersion([&](const ImageIndex::Version& version) {
    if (!version.labels.contains(kCachedLabel)) return;
    candidates.push_back({std::make_shared<ImageIndex::Version>(version), version.created_unix_ms});
  });
  for (auto candidate = candidates.begin(); candidate != candidates.end();) {
    const ImageIndex::Version& version = *candidate->version;
    ASSIGN_OR_RETURN(const auto leases,
                     repository.catalog().leases().Of(version.digest.ToString()));
    if (!leases.empty()) {
      candidate = candidates.erase(candidate);
      continue;
    }
    LayerStack stack;
    for (const ImageIndex::Version::Layer& layer : version.layers) stack.push_back(layer.digest);
    candidate->last_use_unix_ms =
        std::max(candidate->last_use_unix_ms, repository.layers().LastUse(stack));
    ++candidate;
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    return a.last_use_unix_ms < b.last_use_unix_ms;
  });
  return candidates;
}

}  // namespace

Result<Evicted> Evict(Repository& repository, const EvictionRule& rule, const CancelToken& cancel) {
  Evicted evicted;
  const auto live = repository.collector().last_live();
  // A shared catalog would lose the name, and not this host the copy.
  if (repository.catalog().shared()) return evicted;
  if (rule.threshold <= 0 || !live) return evicted;
  const uint64_t used = live->bytes;
  ASSIGN_OR_RETURN(const uint64_t capacity, CapacityOf(repository.objects().root(), rule, used));
  if (static_cast<double>(used) <= rule.threshold * static_cast<double>(capacity)) return evicted;
  const uint64_t wanted = used / 2;
  ASSIGN_OR_RETURN(const std::vector<Candidate> candidates, CandidatesOf(repository));
  for (auto next = candidates.begin(); next != candidates.end() && evicted.bytes < wanted;) {
    RETURN_IF_ERROR(cancel.Check());
    // As many as would do if they shared nothing with others; a collection says what they freed.
    for (uint64_t hoped = evicted.bytes; next != candidates.end() && hoped < wanted; ++next) {
      const auto removed =
          repository.images().RemoveCached(next->version->name, next->version->digest);
      if (!removed.ok() && removed.error().code() != Code::kNotFound) return removed.error();
      if (!removed.ok()) continue;  // It is kept by now, or gone.
      LOG_INFO("evicted " + DisplayName(*removed) + ", a copy of another host's image");
      hoped += next->version->size_bytes;
      evicted.images.push_back(*removed);
    }
    const auto freed = repository.collector().Collect(cancel);
    if (!freed.ok()) {
      // What was removed was removed; the next collection frees it.
      repository.collector().Request();
      return evicted;
    }
    evicted.bytes += freed->bytes;
  }
  return evicted;
}

}  // namespace strata::imaged
