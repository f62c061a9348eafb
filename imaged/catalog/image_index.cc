#include "imaged/catalog/image_index.h"

#include <algorithm>
#include <charconv>
#include <mutex>

#include "common/log.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

constexpr uint32_t kPageSizeDefault = 100;

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// The order of a listing. Names make it total, so that a page can go on where another ended.
class Order {
 public:
  Order(v1::SortKey key, bool descending) : key_(key), descending_(descending) {}

  int64_t ValueOf(const ImageIndex::Tag& tag) const {
    if (key_ == v1::SORT_CREATED) return tag.version->created_unix_ms;
    if (key_ == v1::SORT_SIZE) return static_cast<int64_t>(tag.version->size_bytes);
    return 0;
  }
  bool Before(int64_t a, std::string_view a_name, int64_t b, std::string_view b_name) const {
    if (a != b) return descending_ ? a > b : a < b;
    // Equal sizes or times are listed by name, ascending; names themselves as was asked.
    return descending_ && key_ == v1::SORT_NAME ? a_name > b_name : a_name < b_name;
  }
  bool operator()(const ImageIndex::Tag* a, const ImageIndex::Tag* b) const {
    return Before(ValueOf(*a), a->order, ValueOf(*b), b->order);
  }

 private:
  const v1::SortKey key_;
  const bool descending_;
};

// A page token: what the page before ended with, "<value> <Tag::order>".
struct Position {
  int64_t value = 0;
  std::string name;
};

Result<Position> ParseToken(const std::string& token) {
  Position position;
  const auto [end, error] =
      std::from_chars(token.data(), token.data() + token.size(), position.value);
  const size_t digits = static_cast<size_t>(end - token.data());
  if (error != std::errc() || digits >= token.size() || token[digits] != ' ') {
    return Error(Code::kInvalidArgument, "the page token is none that a listing has answered");
  }
  position.name = token.substr(digits + 1);
  return position;
}

bool HasLabels(const ImageIndex::Version& version, const v1::ListRequest& request) {
  return std::all_of(request.labels().begin(), request.labels().end(), [&](const auto& wanted) {
    const auto it = version.labels.find(wanted.first);
    return it != version.labels.end() && (wanted.second.empty() || wanted.second == it->second);
  });
}

}  // namespace

void ImageIndex::Apply(const std::vector<records::RecordChange>& changes) {
  const std::unique_lock lock(mutex_);
  // Versions first: a tag takes hold of the one that it points to.
  for (const records::RecordChange& change : changes) {
    if (change.table == kImages) ApplyVersion(change);
  }
  for (const records::RecordChange& change : changes) {
    if (change.table == kTags) ApplyTag(change);
  }
}

void ImageIndex::ApplyVersion(const records::RecordChange& change) {
  if (!change.value) {
    versions_.erase(change.key);
    return;
  }
  catalog::ImageRecord record;
  const auto name = ParseKey(change.key);
  const auto digest = name ? Digest::FromHex(name->digest_prefix) : Error(Code::kCorrupt, "");
  if (!digest.ok() || !record.ParseFromString(*change.value)) {
    LOG_ERROR("catalog: the image record " + change.key + " is damaged, nobody finds it");
    return;
  }
  auto version = std::make_shared<Version>();
  version->name = *name;
  version->digest = *digest;
  version->text = record.description();
  version->created_unix_ms = record.created_unix_ms();
  for (const auto& [label, value] : record.labels()) {
    version->labels.emplace(label, value);
    version->text += "\n" + label + "=" + value;
  }
  version->text = Lower(std::move(version->text));
  for (const v1::Layer& layer : record.layers()) {
    const auto layer_digest = Digest::Parse(layer.digest());
    const auto image = Digest::Parse(layer.history().image_digest());
    version->layers.push_back({layer_digest.ok() ? *layer_digest : Digest(),
                               image.ok() ? *image : Digest(), layer.history().creator_uid(),
                               layer.content_bytes(), layer.manifest_bytes()});
    version->size_bytes += layer.content_bytes();
  }
  std::shared_ptr<const Version> changed = std::move(version);
  versions_[change.key] = changed;
  // Tags that point to it hold the one before.
  const std::string prefix = TagPrefix(*name);
  for (auto it = tags_.lower_bound(prefix); it != tags_.end() && it->first.starts_with(prefix);
       ++it) {
    if (it->second->version == nullptr || it->second->version->digest != changed->digest) continue;
    auto tag = std::make_shared<Tag>(*it->second);
    tag->version = changed;
    it->second = std::move(tag);
  }
}

void ImageIndex::ApplyTag(const records::RecordChange& change) {
  if (!change.value) {
    tags_.erase(change.key);
    return;
  }
  auto tag = std::make_shared<Tag>();
  const auto name = ParseKey(change.key);
  if (!name || name->tag.empty() || !tag->record.ParseFromString(*change.value)) {
    LOG_ERROR("catalog: the tag record " + change.key + " is damaged, nobody finds it");
    return;
  }
  tag->name = *name;
  tag->display = name->ToString(accounts_);
  tag->lower = Lower(tag->display);
  // Below every byte that a name may have.
  tag->order = accounts_.UserName(name->owner_uid) + "\x01" + name->name + "\x01" + name->tag;
  const auto digest = Digest::Parse(tag->record.digest());
  const auto version = digest.ok() ? versions_.find(ImageKey(*name, *digest)) : versions_.end();
  if (version == versions_.end()) {
    LOG_ERROR("catalog: the tag " + change.key + " points to an image that is not there");
    tags_.erase(change.key);
    return;
  }
  tag->version = version->second;
  tags_[change.key] = std::move(tag);
}

Result<ImageIndex::Page> ImageIndex::Search(const Viewer& viewer, const v1::ListRequest& request,
                                            int64_t now_unix_ms) const {
  std::optional<Position> after;
  if (!request.page_token().empty()) {
    ASSIGN_OR_RETURN(after, ParseToken(request.page_token()));
  }
  std::optional<uid_t> owner;
  if (!request.owner().empty()) {
    owner = accounts_.UidOf(request.owner());
    if (!owner) return Error(Code::kNotFound, "there is no user '" + request.owner() + "'");
  }
  std::vector<std::string> words;
  for (const std::string& word : request.words()) words.push_back(Lower(word));
  const Order order(request.sort(), request.descending());
  const size_t page_size =
      std::min(request.page_size() == 0 ? kPageSizeDefault : request.page_size(), kPageSizeMax);

  Page page;
  std::vector<const Tag*> found;
  const std::shared_lock lock(mutex_);
  for (const auto& entry : tags_) {
    const std::shared_ptr<const Tag>& tag = entry.second;
    if (owner && tag->name.owner_uid != *owner) continue;
    if (!request.except_name().empty() && tag->name.name == request.except_name()) continue;
    if (!request.all_visible() && !viewer.Owns(tag->name.owner_uid)) continue;
    if (!AccessOf(viewer, tag->name.owner_uid, tag->record, now_unix_ms)) continue;
    const bool matches = std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      return tag->lower.find(word) != std::string::npos ||
             tag->version->text.find(word) != std::string::npos;
    });
    if (!matches || !HasLabels(*tag->version, request)) continue;
    ++page.total;
    if (!after || order.Before(after->value, after->name, order.ValueOf(*tag), tag->order)) {
      found.push_back(tag.get());
    }
  }
  const size_t shown = std::min(page_size, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<ptrdiff_t>(shown), found.end(),
                    order);
  for (size_t i = 0; i < shown; ++i) page.tags.push_back(tags_.at(TagKey(found[i]->name)));
  if (shown < found.size()) {
    const Tag& last = *page.tags.back();
    page.next_page_token = std::to_string(order.ValueOf(last)) + " " + last.order;
  }
  return page;
}

void ImageIndex::ForEachTag(const std::function<void(const Tag&)>& visit) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [key, tag] : tags_) visit(*tag);
}

void ImageIndex::ForEachVersion(const std::function<void(const Version&)>& visit) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [key, version] : versions_) visit(*version);
}

void ImageIndex::ForEachVersionOf(uid_t owner,
                                  const std::function<void(const Version&)>& visit) const {
  const std::string prefix = std::to_string(owner) + "/";
  const std::shared_lock lock(mutex_);
  for (auto it = versions_.lower_bound(prefix);
       it != versions_.end() && it->first.starts_with(prefix); ++it) {
    visit(*it->second);
  }
}

std::vector<uid_t> ImageIndex::Owners() const {
  std::vector<uid_t> owners;
  ForEachVersion([&owners](const Version& version) {  // Those of one owner follow each other.
    if (owners.empty() || owners.back() != version.name.owner_uid) {
      owners.push_back(version.name.owner_uid);
    }
  });
  return owners;
}

size_t ImageIndex::VersionCount(uid_t owner) const {
  size_t count = 0;
  ForEachVersionOf(owner, [&count](const Version&) { ++count; });
  return count;
}

size_t ImageIndex::TagCount(const Reference& name) const {
  const std::string prefix = TagPrefix(name);
  size_t count = 0;
  const std::shared_lock lock(mutex_);
  for (auto it = tags_.lower_bound(prefix); it != tags_.end() && it->first.starts_with(prefix);
       ++it) {
    ++count;
  }
  return count;
}

std::shared_ptr<const ImageIndex::Tag> ImageIndex::FindTag(const std::string& tag_key) const {
  const std::shared_lock lock(mutex_);
  const auto it = tags_.find(tag_key);
  return it == tags_.end() ? nullptr : it->second;
}

std::vector<std::shared_ptr<const ImageIndex::Tag>> ImageIndex::TagsOf(const Reference& name,
                                                                       const Digest& digest) const {
  std::vector<std::shared_ptr<const Tag>> found;
  const std::string prefix = TagPrefix(name);
  const std::shared_lock lock(mutex_);
  for (auto it = tags_.lower_bound(prefix); it != tags_.end() && it->first.starts_with(prefix);
       ++it) {
    if (it->second->version->digest == digest) found.push_back(it->second);
  }
  return found;
}

std::vector<std::shared_ptr<const ImageIndex::Version>> ImageIndex::VersionsOf(
    const Reference& name, std::string_view digest_prefix) const {
  std::vector<std::shared_ptr<const Version>> found;
  const std::string prefix = ImagePrefix(name) + std::string(digest_prefix);
  const std::shared_lock lock(mutex_);
  for (auto it = versions_.lower_bound(prefix);
       it != versions_.end() && it->first.starts_with(prefix); ++it) {
    found.push_back(it->second);
  }
  return found;
}

}  // namespace strata::imaged
