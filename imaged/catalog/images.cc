// Finding images. What changes them is in image_changes.cc.
#include "imaged/catalog/images.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

constexpr size_t kShortDigest = 12;

std::string AccessName(const Access& access, const v1::Grant& grant) {
  switch (access.kind) {
    case AccessKind::kOwner:
      return "owner";
    case AccessKind::kRoot:
      return "root";
    case AccessKind::kPublic:
      return "public";
    case AccessKind::kGrant:
      if (grant.kind() == v1::GRANT_GROUP) return "group " + grant.name();
      if (grant.kind() == v1::GRANT_CLASS) return "class " + grant.name();
      return "user";
    case AccessKind::kNone:
      break;
  }
  return "";
}

// Fields one after the other, lists and maps with how many there are.
template <typename Add>
void AddOciConfig(const v1::OciConfig& oci, const Add& add) {
  const auto add_all = [&](const auto& values) {
    add(std::to_string(values.size()));
    for (const std::string& value : values) add(value);
  };
  for (const std::string* text :
       {&oci.os(), &oci.architecture(), &oci.variant(), &oci.created(), &oci.author(), &oci.user(),
        &oci.working_dir(), &oci.stop_signal()}) {
    add(*text);
  }
  add_all(oci.entrypoint());
  add_all(oci.cmd());
  add_all(oci.exposed_ports());
  add_all(oci.volumes());
  const std::map<std::string, std::string> labels(oci.labels().begin(), oci.labels().end());
  add(std::to_string(labels.size()));
  for (const auto& [key, value] : labels) {
    add(key);
    add(value);
  }
  for (const v1::OciHistory& step : oci.history()) {
    for (const std::string* text :
         {&step.created(), &step.created_by(), &step.author(), &step.comment(), &step.layer()}) {
      add(*text);
    }
  }
}

}  // namespace

Digest ImageDigest(const v1::Image& image) {
  Hasher hasher;
  // Length-prefixed fields, so that no two images collide.
  const auto add = [&hasher](const std::string& field) {
    hasher.Update(std::to_string(field.size()) + ":");
    hasher.Update(field);
  };
  hasher.Update("strata image v1\n");
  for (const v1::Layer& layer : image.layers()) add(layer.digest());
  hasher.Update("command\n");
  for (const std::string& word : image.config().command()) add(word);
  hasher.Update("env\n");
  for (const std::string& entry : image.config().env()) add(entry);
  if (image.config().has_oci()) {
    hasher.Update("oci\n");
    AddOciConfig(image.config().oci(), add);
  }
  return hasher.Finish();
}

std::string DisplayName(const v1::Image& image) {
  const std::string name = image.owner() + "/" + image.name();
  if (!image.tag().empty()) return name + ":" + image.tag();
  const auto digest = Digest::Parse(image.digest());
  return name + "@" + (digest.ok() ? digest->Hex().substr(0, kShortDigest) : image.digest());
}

Result<std::vector<Digest>> LayerDigests(const v1::Image& image) {
  std::vector<Digest> digests;
  for (const v1::Layer& layer : image.layers()) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer.digest()), DisplayName(image));
    digests.push_back(digest);
  }
  if (digests.empty()) return Error(Code::kCorrupt, DisplayName(image) + " has no layers");
  return digests;
}

Error Images::NoSuchImage(const Reference& reference) const {
  return Error(Code::kNotFound, "there is no image " + reference.ToString(accounts_) +
                                    " that you may use ('vimage browse' lists them)");
}

Result<Images::Found> Images::Resolve(const Viewer& viewer, const Reference& reference) const {
  const int64_t now = now_();
  if (!reference.has_digest()) {
    const auto tag = index_.FindTag(TagKey(reference));
    if (tag == nullptr || !AccessOf(viewer, reference.owner_uid, tag->record, now)) {
      return NoSuchImage(reference);
    }
    return Found{tag->version, tag};
  }
  std::vector<Found> found;
  for (const auto& version : index_.VersionsOf(reference, reference.digest_prefix)) {
    const auto tags = index_.TagsOf(reference, version->digest);
    const auto usable = std::find_if(tags.begin(), tags.end(), [&](const auto& tag) {
      return static_cast<bool>(AccessOf(viewer, reference.owner_uid, tag->record, now));
    });
    if (usable != tags.end()) {
      found.push_back({version, *usable});
    } else if (viewer.Owns(reference.owner_uid)) {
      found.push_back({version, nullptr});
    }
  }
  if (found.empty()) return NoSuchImage(reference);
  if (found.size() > 1) {
    return Error(Code::kInvalidArgument, "the digest " + reference.digest_prefix +
                                             " begins several versions of " + reference.name +
                                             ": give more of it");
  }
  return found.front();
}

Result<catalog::ImageRecord> Images::ReadRecord(const std::string& key, std::string* text) const {
  ASSIGN_OR_RETURN(const auto value, records_.Get(kImages, key));
  if (!value) {
    return Error(Code::kNotFound, "the image " + key + " was deleted a moment ago");
  }
  catalog::ImageRecord record;
  if (!record.ParseFromString(*value)) {
    return Error(Code::kCorrupt, "catalog: the record of " + key + " is damaged");
  }
  if (text != nullptr) *text = *value;
  return record;
}

v1::Grant Images::DescribeGrant(const catalog::GrantRecord& record) const {
  v1::Grant grant;
  grant.set_kind(record.kind());
  if (record.kind() == v1::GRANT_CLASS) {
    grant.set_name(classes_.DisplayName(record.id()));
  } else {
    const auto number = static_cast<uint32_t>(std::strtoul(record.id().c_str(), nullptr, 10));
    grant.set_name(record.kind() == v1::GRANT_GROUP ? accounts_.GroupName(number)
                                                    : accounts_.UserName(number));
  }
  grant.set_expires_unix_ms(record.expires_unix_ms());
  grant.set_granted_unix_ms(record.granted_unix_ms());
  grant.set_granted_by(accounts_.UserName(record.granted_by_uid()));
  return grant;
}

Result<v1::Image> Images::DescribeRecord(const Viewer& viewer, const Reference& name,
                                         const catalog::TagRecord* tag, const Digest& digest,
                                         const catalog::ImageRecord& record) const {
  v1::Image image;
  image.set_digest(digest.ToString());
  image.set_owner(accounts_.UserName(name.owner_uid));
  image.set_owner_uid(name.owner_uid);
  image.set_name(name.name);
  image.set_description(record.description());
  *image.mutable_labels() = record.labels();
  *image.mutable_layers() = record.layers();
  *image.mutable_config() = record.config();
  *image.mutable_lineage() = record.lineage();
  image.set_created_unix_ms(record.created_unix_ms());
  image.set_secrets_checked(record.secrets_checked());
  image.set_visibility(v1::PRIVATE);
  const catalog::TagRecord untagged;
  const int64_t now = now_();
  const Access access = AccessOf(viewer, name.owner_uid, tag != nullptr ? *tag : untagged, now);
  image.set_access(
      AccessName(access, access.grant != nullptr ? DescribeGrant(*access.grant) : v1::Grant()));
  if (tag == nullptr) return image;
  image.set_tag(name.tag);
  if (tag->visibility() != v1::VISIBILITY_UNSPECIFIED) image.set_visibility(tag->visibility());
  if (viewer.Owns(name.owner_uid)) {
    for (const catalog::GrantRecord& grant : tag->grants()) {
      if (!IsExpired(grant, now)) *image.add_grants() = DescribeGrant(grant);
    }
  }
  return image;
}

Result<v1::Image> Images::Describe(const Viewer& viewer, const Found& found) const {
  const Reference& name = found.tag != nullptr ? found.tag->name : found.version->name;
  ASSIGN_OR_RETURN(const catalog::ImageRecord record,
                   ReadRecord(ImageKey(name, found.version->digest), nullptr));
  return DescribeRecord(viewer, name, found.tag != nullptr ? &found.tag->record : nullptr,
                        found.version->digest, record);
}

Result<std::vector<v1::Image>> Images::DescribeAll(const Viewer& viewer,
                                                   const std::vector<Found>& found) const {
  std::vector<v1::Image> described;
  for (const Found& one : found) {
    auto image = Describe(viewer, one);
    if (!image.ok() && image.error().code() == Code::kNotFound) continue;
    if (!image.ok()) return image.error();
    described.push_back(std::move(*image));
  }
  return described;
}

Result<v1::Image> Images::Find(uid_t caller, const std::string& text) const {
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(text, caller, accounts_));
  const Viewer viewer = ViewerOf(caller);
  ASSIGN_OR_RETURN(const Found found, Resolve(viewer, reference));
  return Describe(viewer, found);
}

Result<v1::Image> Images::FindOwned(uid_t caller, const std::string& text) const {
  ASSIGN_OR_RETURN(const Found found, ResolveOwned(caller, text));
  return Describe(ViewerOf(caller), found);
}

std::set<Digest> Images::ReadableLayers(uid_t caller, const std::set<Digest>& layers) const {
  const Viewer viewer = ViewerOf(caller);
  const int64_t now = now_();
  std::set<Digest> readable;
  index_.ForEachTag([&](const ImageIndex::Tag& tag) {
    if (!AccessOf(viewer, tag.name.owner_uid, tag.record, now)) return;
    for (const auto& layer : tag.version->layers) {
      if (layers.contains(layer.digest)) readable.insert(layer.digest);
    }
  });
  return readable;
}

std::optional<v1::Layer> Images::ReadableLayer(uid_t caller, const Digest& layer) const {
  const Viewer viewer = ViewerOf(caller);
  const int64_t now = now_();
  std::shared_ptr<const ImageIndex::Version> version;
  index_.ForEachTag([&](const ImageIndex::Tag& tag) {
    if (version != nullptr || !AccessOf(viewer, tag.name.owner_uid, tag.record, now)) return;
    const auto& layers = tag.version->layers;
    const bool has = std::any_of(layers.begin(), layers.end(),
                                 [&](const auto& each) { return each.digest == layer; });
    if (has) version = tag.version;
  });
  if (version == nullptr) return std::nullopt;
  const auto record = ReadRecord(ImageKey(version->name, version->digest), nullptr);
  if (!record.ok()) return std::nullopt;
  for (const v1::Layer& each : record->layers()) {
    if (each.digest() == layer.ToString()) return each;
  }
  return std::nullopt;
}

Result<v1::ListResponse> Images::List(uid_t caller, const v1::ListRequest& request) const {
  const Viewer viewer = ViewerOf(caller);
  ASSIGN_OR_RETURN(const ImageIndex::Page page, index_.Search(viewer, request, now_()));
  v1::ListResponse response;
  response.set_next_page_token(page.next_page_token);
  response.set_total(page.total);
  std::vector<Found> found;
  for (const auto& tag : page.tags) found.push_back({tag->version, tag});
  ASSIGN_OR_RETURN(std::vector<v1::Image> images, DescribeAll(viewer, found));
  for (v1::Image& image : images) {
    // Large, and for who looks at one image: a page has to fit into a message.
    image.clear_config();
    for (v1::Layer& layer : *image.mutable_layers()) layer.clear_history();
    *response.add_images() = std::move(image);
  }
  return response;
}

Result<v1::VersionsResponse> Images::Versions(uid_t caller, const std::string& text) const {
  ASSIGN_OR_RETURN(Reference reference, ParseReference(text, caller, accounts_));
  const Viewer viewer = ViewerOf(caller);
  const int64_t now = now_();
  std::vector<Found> found;
  for (const auto& version : index_.VersionsOf(reference, "")) {
    bool tagged = false;
    for (const auto& tag : index_.TagsOf(reference, version->digest)) {
      tagged = true;
      if (AccessOf(viewer, reference.owner_uid, tag->record, now)) found.push_back({version, tag});
    }
    if (!tagged && viewer.Owns(reference.owner_uid)) found.push_back({version, nullptr});
  }
  if (found.empty()) return NoSuchImage(reference);
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.version->created_unix_ms > b.version->created_unix_ms;
  });
  ASSIGN_OR_RETURN(std::vector<v1::Image> images, DescribeAll(viewer, found));
  v1::VersionsResponse response;
  for (v1::Image& image : images) *response.add_images() = std::move(image);
  return response;
}

Result<std::vector<std::string>> Images::Names(uid_t caller) const {
  const Viewer viewer = ViewerOf(caller);
  const int64_t now = now_();
  std::vector<std::string> names;
  index_.ForEachTag([&](const ImageIndex::Tag& tag) {
    if (AccessOf(viewer, tag.name.owner_uid, tag.record, now)) names.push_back(tag.display);
  });
  ASSIGN_OR_RETURN(const std::vector<v1::Image> untagged, Untagged(caller, viewer.IsRoot()));
  for (const v1::Image& image : untagged) {
    names.push_back(image.owner() + "/" + image.name() + "@" + image.digest());
  }
  return names;
}

Status Images::ForEachStack(
    const std::function<void(const std::string& key, std::vector<Digest>)>& visit) const {
  return records_.Scan(kImages, "", [&](const std::string& key, const std::string& text) -> Status {
    catalog::ImageRecord record;
    if (!record.ParseFromString(text)) {
      return Error(Code::kCorrupt, "catalog: the record of " + key + " is damaged");
    }
    std::vector<Digest> stack;
    for (const v1::Layer& layer : record.layers()) {
      ASSIGN_OR_RETURN(stack.emplace_back(), Digest::Parse(layer.digest()), key);
    }
    visit(key, std::move(stack));
    return Ok();
  });
}

Result<std::vector<v1::Image>> Images::Untagged(uid_t caller, bool all_owners) const {
  if (all_owners && caller != 0) {
    return Error(Code::kPermissionDenied, "only root may look at everybody's versions");
  }
  std::vector<std::shared_ptr<const ImageIndex::Version>> versions;
  index_.ForEachVersion([&](const ImageIndex::Version& version) {
    if (!all_owners && version.name.owner_uid != caller) return;
    versions.push_back(std::make_shared<const ImageIndex::Version>(version));
  });
  std::vector<Found> untagged;
  for (const auto& version : versions) {
    if (index_.TagsOf(version->name, version->digest).empty())
      untagged.push_back({version, nullptr});
  }
  return DescribeAll(ViewerOf(caller), untagged);
}

}  // namespace strata::imaged
