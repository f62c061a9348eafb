#include "imaged/peers/base_images.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <tuple>

namespace strata::imaged {
namespace {

constexpr size_t kBaseImagesMax = 3;
constexpr size_t kNewestLayersMax = 512;

// Calls `visit` for every tag that the user may use, under the index's lock.
void ForEachUsable(Repository& repository, uid_t uid,
                   const std::function<void(const ImageIndex::Tag&)>& visit) {
  std::set<std::string> names;
  if (auto usable = repository.images().Names(uid); usable.ok()) {
    names.insert(usable->begin(), usable->end());
  }
  repository.catalog().index().ForEachTag([&](const ImageIndex::Tag& tag) {
    if (names.contains(tag.display)) visit(tag);
  });
}

}  // namespace

std::vector<std::string> FindBaseImages(Repository& repository, uid_t uid, const v1::Image& image) {
  struct Candidate {
    bool same_name;
    size_t shared_layers;
    int64_t created;
    std::string reference;
    auto Rank() const { return std::tuple(same_name, shared_layers, created); }
  };
  std::vector<Candidate> candidates;
  ForEachUsable(repository, uid, [&](const ImageIndex::Tag& tag) {
    Candidate candidate{tag.name.name == image.name(), 0, tag.version->created_unix_ms,
                        tag.display};
    for (int i = 0; i < image.layers_size(); ++i) {
      const bool shared = std::any_of(
          tag.version->layers.begin(), tag.version->layers.end(),
          [&](const auto& layer) { return layer.digest.ToString() == image.layers(i).digest(); });
      candidate.shared_layers += shared;
    }
    if (candidate.same_name || candidate.shared_layers > 0) candidates.push_back(candidate);
  });
  std::sort(candidates.begin(), candidates.end(),
            [](const auto& a, const auto& b) { return a.Rank() > b.Rank(); });
  if (candidates.size() > kBaseImagesMax) candidates.resize(kBaseImagesMax);
  std::vector<std::string> references;
  for (const Candidate& candidate : candidates) references.push_back(candidate.reference);
  return references;
}

std::vector<Digest> NewestLayers(Repository& repository, uid_t uid) {
  std::vector<std::shared_ptr<const ImageIndex::Version>> versions;
  ForEachUsable(repository, uid,
                [&](const ImageIndex::Tag& tag) { versions.push_back(tag.version); });
  std::stable_sort(versions.begin(), versions.end(), [](const auto& one, const auto& other) {
    return one->created_unix_ms > other->created_unix_ms;
  });
  std::vector<Digest> layers;
  std::set<Digest> seen;
  for (const auto& version : versions) {
    for (const auto& layer : version->layers) {
      if (layers.size() < kNewestLayersMax && seen.insert(layer.digest).second) {
        layers.push_back(layer.digest);
      }
    }
  }
  return layers;
}

}  // namespace strata::imaged
