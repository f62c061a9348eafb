#include "imaged/registry/image_cache.h"

#include <algorithm>
#include <vector>

namespace strata::imaged {
namespace {

constexpr oci::Compression kCompression = oci::Compression::kGzip;  // Every client reads it.
constexpr int kOpeningMax = 2;
constexpr size_t kEntriesMax = 64;
constexpr int kVersionsLookedAtMax = 256;

std::string KeyOf(const v1::Image& image) {
  return image.owner() + "/" + image.name() + "@" + image.digest();
}

}  // namespace

const oci::Descriptor* FindDescriptor(const oci::OciImage& image, const Sha256Digest& digest) {
  if (image.manifest().digest == digest) return &image.manifest();
  if (image.config().digest == digest) return &image.config();
  const auto layer = std::find_if(image.layers().begin(), image.layers().end(),
                                  [&](const oci::Descriptor& one) { return one.digest == digest; });
  return layer == image.layers().end() ? nullptr : &*layer;
}

Result<SharedOciImage> ImageCache::Open(uid_t caller, const std::string& reference,
                                        const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const v1::Image image, repository_->images().Find(caller, reference));
  return OpenVersion(caller, image, cancel);
}

Result<SharedOciImage> ImageCache::OpenVersion(uid_t caller, const v1::Image& image,
                                               const CancelToken& cancel) {
  const std::string key = KeyOf(image);
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= kEntriesMax && !entries_.contains(key)) {
      entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](auto& a, auto& b) {
        return a.second->used < b.second->used;
      }));
    }
    std::shared_ptr<Entry>& place = entries_[key];
    if (place == nullptr) place = std::make_shared<Entry>();
    place->used = Clock::now();
    entry = place;
  }
  const std::lock_guard entry_lock(entry->mutex);
  if (entry->image != nullptr) return entry->image;
  {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return opening_ < kOpeningMax; });
    ++opening_;
  }
  auto opened = oci::OciImage::Open(*repository_, caller, key, kCompression, cancel, {});
  {
    const std::lock_guard lock(mutex_);
    --opening_;
    opened_.notify_all();
    entry->used = Clock::now();
    if (!opened.ok()) entries_.erase(key);
  }
  if (!opened.ok()) return opened.error();
  entry->image = std::move(*opened);
  return entry->image;
}

SharedOciImage ImageCache::FindOpen(uid_t caller, const std::string& owner_and_name,
                                    const Sha256Digest& digest) {
  std::vector<std::pair<std::string, std::shared_ptr<Entry>>> candidates;
  {
    const std::lock_guard lock(mutex_);
    const std::string prefix = owner_and_name + "@";
    for (auto at = entries_.lower_bound(prefix);
         at != entries_.end() && at->first.starts_with(prefix); ++at) {
      candidates.emplace_back(*at);
    }
  }
  for (const auto& [key, entry] : candidates) {
    const std::unique_lock entry_lock(entry->mutex, std::try_to_lock);
    if (!entry_lock.owns_lock() || entry->image == nullptr) continue;  // It is being opened.
    if (FindDescriptor(*entry->image, digest) == nullptr) continue;
    if (!repository_->images().Find(caller, key).ok()) continue;
    const std::lock_guard lock(mutex_);
    entry->used = Clock::now();
    return entry->image;
  }
  return nullptr;
}

bool ImageCache::IsConverted(const v1::Image& image) const {
  const LayerConversions& known = repository_->layers().conversions();
  return std::all_of(image.layers().begin(), image.layers().end(), [&](const v1::Layer& layer) {
    const auto digest = Digest::Parse(layer.digest());
    return digest.ok() && known.FindEncoding(*digest, oci::EncodingName(kCompression)).has_value();
  });
}

Result<SharedOciImage> ImageCache::FindBlob(uid_t caller, const std::string& owner_and_name,
                                            const Sha256Digest& digest, const CancelToken& cancel) {
  if (SharedOciImage open = FindOpen(caller, owner_and_name, digest)) return open;
  ASSIGN_OR_RETURN(const v1::VersionsResponse versions,
                   repository_->images().Versions(caller, owner_and_name));
  for (int i = 0; i < std::min(versions.images_size(), kVersionsLookedAtMax); ++i) {
    const v1::Image& image = versions.images(i);
    if (!IsConverted(image)) continue;
    const auto opened = OpenVersion(caller, image, cancel);
    if (opened.ok() && FindDescriptor(**opened, digest) != nullptr) return *opened;
  }
  return Error(Code::kNotFound, "no image of " + owner_and_name + " has " + digest.ToString());
}

void ImageCache::DropUnused(Clock::time_point before) {
  std::vector<std::shared_ptr<Entry>> dropped;  // Let go without the lock.
  const std::lock_guard lock(mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->second->used < before && at->second.use_count() == 1) {
      dropped.push_back(at->second);
      at = entries_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace strata::imaged
