// What changes images: publishing, sharing, tagging, editing, removing.
#include <algorithm>
#include <map>

#include "common/records/retry.h"
#include "imaged/catalog/images.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

constexpr size_t kDescriptionMax = 4096;
constexpr size_t kLabelsMax = 64;
constexpr size_t kLabelKeyMax = 128;
constexpr size_t kLabelValueMax = 1024;
constexpr int kGrantsMax = 1000;
constexpr size_t kConfigMax = 256 << 10;  // The history of an OCI image is a part of it.
constexpr size_t kLineageMax = 8 << 10;
constexpr size_t kVersionsPerOwnerMax = 20'000;
constexpr size_t kVersionsPerCommit = 100;  // A store may take no more at once.

bool IsLabelKey(const std::string& key) {
  return !key.empty() && key.size() <= kLabelKeyMax &&
         std::all_of(key.begin(), key.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-' || c == '/';
         });
}

bool SameGrantee(const catalog::GrantRecord& a, const catalog::GrantRecord& b) {
  return a.kind() == b.kind() && a.id() == b.id();
}

// Answers how many there were.
template <typename Predicate>
ptrdiff_t RemoveGrants(catalog::TagRecord* tag, const Predicate& predicate) {
  auto& grants = *tag->mutable_grants();
  const auto kept = std::remove_if(grants.begin(), grants.end(), predicate);
  const ptrdiff_t removed = grants.end() - kept;
  grants.erase(kept, grants.end());
  return removed;
}

// Without what other images must not know of this one.
catalog::ImageRecord RecordOf(const v1::Image& image) {
  catalog::ImageRecord record;
  *record.mutable_layers() = image.layers();
  *record.mutable_config() = image.config();
  *record.mutable_lineage() = image.lineage();
  record.set_description(image.description());
  *record.mutable_labels() = image.labels();
  record.set_created_unix_ms(image.created_unix_ms());
  record.set_secrets_checked(image.secrets_checked());
  return record;
}

}  // namespace

std::string OwnerScope(uid_t owner) { return "owner/" + std::to_string(owner); }

Status CheckDescription(const std::string& description) {
  if (description.size() <= kDescriptionMax) return Ok();
  return Error(Code::kInvalidArgument,
               "a description has at most " + std::to_string(kDescriptionMax) + " bytes");
}

Status CheckExtent(const v1::Image& image) {
  if (image.layers_size() > kImageLayersMax) {
    return Error(Code::kResourceExhausted,
                 "an image has at most " + std::to_string(kImageLayersMax) +
                     " layers: 'vimage export' and 'vimage import' make one layer of all of them");
  }
  if (image.config().ByteSizeLong() > kConfigMax) {
    return Error(Code::kInvalidArgument,
                 "the configuration of an image (command, environment, history) has at most " +
                     std::to_string(kConfigMax) + " bytes");
  }
  if (image.lineage().ByteSizeLong() > kLineageMax) {
    return Error(Code::kInvalidArgument, "how an image was made (origin, command) is told in at " +
                                             ("most " + std::to_string(kLineageMax)) + " bytes");
  }
  return Ok();
}

Status CheckLabels(const google::protobuf::Map<std::string, std::string>& labels) {
  if (labels.size() > kLabelsMax) {
    return Error(Code::kResourceExhausted,
                 "an image has at most " + std::to_string(kLabelsMax) + " labels");
  }
  for (const auto& [key, value] : labels) {
    if (!IsLabelKey(key)) {
      return Error(Code::kInvalidArgument, "'" + key.substr(0, 200) +
                                               "' is no label: 1-128 of letters, digits, '.', "
                                               "'_', '-', '/'");
    }
    if (value.size() > kLabelValueMax) {
      return Error(Code::kInvalidArgument, "the label " + key + " is longer than " +
                                               std::to_string(kLabelValueMax) + " bytes");
    }
  }
  return Ok();
}

Images::Reservation::~Reservation() {
  if (images_ == nullptr) return;
  const std::lock_guard lock(images_->mutex_);
  images_->reserved_.erase(TagKey(name_));
}

Result<Images::Reservation> Images::Reserve(uid_t caller, const std::string& text, bool replace) {
  ASSIGN_OR_RETURN(Reference name, ParseReference(text, caller, accounts_));
  if (name.has_digest()) {
    return Error(Code::kInvalidArgument,
                 "'" + text + "' names a version, which never changes: write [owner/]name[:tag]");
  }
  if (!ViewerOf(caller).Owns(name.owner_uid)) {
    return Error(Code::kPermissionDenied, "you may not write images of " +
                                              accounts_.UserName(name.owner_uid) +
                                              ": leave the owner out of '" + text + "'");
  }
  const std::lock_guard lock(mutex_);
  if (reserved_.contains(TagKey(name))) {
    return Error(Code::kFailedPrecondition,
                 name.ToString(accounts_) + " is being written by another operation");
  }
  if (index_.FindTag(TagKey(name)) != nullptr) {
    if (!replace) {
      return Error(Code::kAlreadyExists, "there is an image " + name.ToString(accounts_) +
                                             " already: choose another name or tag, or --replace");
    }
  } else if (index_.VersionCount(name.owner_uid) >= kVersionsPerOwnerMax) {
    return Error(Code::kResourceExhausted, accounts_.UserName(name.owner_uid) + " has " +
                                               std::to_string(kVersionsPerOwnerMax) +
                                               " images: delete some first");
  }
  reserved_.insert(TagKey(name));
  return Reservation(this, std::move(name), replace);
}

Result<bool> Images::WillBeShared(const Reservation& name, v1::Visibility visibility) const {
  if (visibility == v1::PUBLIC) return true;
  const auto tag = index_.FindTag(TagKey(name.name()));
  if (tag == nullptr) return false;
  catalog::TagRecord record = tag->record;
  if (visibility != v1::VISIBILITY_UNSPECIFIED) record.set_visibility(visibility);
  return IsShared(record, now_());
}

std::vector<records::RecordChange> Images::OldVersions(const Reference& moving,
                                                       const Digest& target) const {
  std::vector<std::shared_ptr<const ImageIndex::Version>> untagged;
  for (const auto& version : index_.VersionsOf(moving, "")) {
    if (version->digest == target) continue;
    const auto tags = index_.TagsOf(moving, version->digest);
    const bool stays = std::any_of(tags.begin(), tags.end(),
                                   [&](const auto& tag) { return tag->name.tag != moving.tag; });
    if (!stays) untagged.push_back(version);
  }
  std::stable_sort(untagged.begin(), untagged.end(), [](const auto& a, const auto& b) {
    return a->created_unix_ms > b->created_unix_ms;
  });
  std::vector<records::RecordChange> changes;
  for (size_t i = versions_kept_; i < untagged.size(); ++i) {
    changes.push_back({kImages, ImageKey(moving, untagged[i]->digest), std::nullopt});
  }
  return changes;
}

void Images::AddHistory(const Reference& name, v1::Image* draft) const {
  for (int i = 0; i < draft->layers_size(); ++i) {
    v1::LayerHistory* history = draft->mutable_layers(i)->mutable_history();
    const bool topmost = i + 1 == draft->layers_size();
    const bool is_new = history->creator().empty();
    if (!is_new && !(topmost && history->image_digest().empty())) continue;
    if (topmost) {
      history->set_image_digest(draft->digest());
      history->set_image_reference(name.ToString(accounts_));
    }
    if (!is_new) continue;
    history->set_creator(accounts_.UserName(name.owner_uid));
    history->set_creator_uid(name.owner_uid);
    history->set_created_unix_ms(draft->created_unix_ms());
    history->set_origin(draft->lineage().origin());
    history->set_command(draft->lineage().command());
  }
}

Result<v1::Image> Images::Publish(const Reservation& reservation, v1::Image draft,
                                  const std::vector<records::ScopeMark>& as_of) {
  const std::lock_guard lock(change_mutex_);
  if (!as_of.empty()) return PublishLocked(reservation, std::move(draft), as_of);
  const std::string scope = OwnerScope(reservation.name().owner_uid);
  return records::RetryWhileChanged(
      [&] { return PublishLocked(reservation, draft, {records_.Mark(scope)}); });
}

Result<v1::Image> Images::PublishLocked(const Reservation& reservation, v1::Image draft,
                                        const std::vector<records::ScopeMark>& as_of) {
  draft.mutable_labels()->erase(kCachedLabel);
  const Reference& name = reservation.name();
  RETURN_IF_ERROR(CheckDescription(draft.description()));
  RETURN_IF_ERROR(CheckLabels(draft.labels()));
  RETURN_IF_ERROR(CheckExtent(draft));
  const Digest digest = ImageDigest(draft);
  draft.set_digest(digest.ToString());
  draft.set_created_unix_ms(now_());
  AddHistory(name, &draft);
  ASSIGN_OR_RETURN(const auto before, records_.Get(kTags, TagKey(name)));
  catalog::TagRecord tag;
  // What nobody finds is no tag: its rights do not pass on to an image that somebody makes anew.
  const bool known = index_.FindTag(TagKey(name)) != nullptr;
  if (known && !reservation.replace_) {
    return Error(Code::kAlreadyExists, "another host made an image " + name.ToString(accounts_) +
                                           " meanwhile: choose another name or tag, or --replace");
  }
  if (known && before && !tag.ParseFromString(*before)) {
    return Error(Code::kCorrupt, "catalog: the tag " + TagKey(name) + " is damaged");
  }
  tag.set_digest(draft.digest());
  if (draft.visibility() != v1::VISIBILITY_UNSPECIFIED) tag.set_visibility(draft.visibility());
  if (tag.visibility() == v1::VISIBILITY_UNSPECIFIED) tag.set_visibility(v1::PRIVATE);
  tag.set_moved_unix_ms(draft.created_unix_ms());
  std::vector<records::RecordChange> changes = OldVersions(name, digest);
  const catalog::ImageRecord record = RecordOf(draft);
  changes.push_back({kImages, ImageKey(name, digest), record.SerializeAsString()});
  changes.push_back({kTags, TagKey(name), tag.SerializeAsString()});
  RETURN_IF_ERROR(records_.Commit({{kTags, TagKey(name), before}}, changes, as_of));
  return DescribeRecord(ViewerOf(name.owner_uid), name, &tag, digest, record);
}

Result<Images::Found> Images::ResolveOwned(uid_t caller, const std::string& text) const {
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(text, caller, accounts_));
  const Viewer viewer = ViewerOf(caller);
  ASSIGN_OR_RETURN(Found found, Resolve(viewer, reference));
  if (viewer.Owns(reference.owner_uid)) return found;
  const std::string owner = accounts_.UserName(reference.owner_uid);
  return Error(Code::kPermissionDenied, reference.ToString(accounts_) + " belongs to " + owner +
                                            ": only the owner may change it");
}

Result<catalog::GrantRecord> Images::ResolveGrant(uid_t caller, const v1::Grant& grant) const {
  catalog::GrantRecord record;
  record.set_kind(grant.kind());
  if (grant.kind() == v1::GRANT_CLASS) {
    ASSIGN_OR_RETURN(*record.mutable_id(), classes_.KeyOf(caller, grant.name()));
    record.set_class_id(classes_.IdOf(record.id()));
    return record;
  }
  if (grant.kind() != v1::GRANT_USER && grant.kind() != v1::GRANT_GROUP) {
    return Error(Code::kInvalidArgument, "an image is shared with a user, a group or a class");
  }
  const bool user = grant.kind() == v1::GRANT_USER;
  const auto id = user ? accounts_.UidOf(grant.name()) : accounts_.GidOf(grant.name());
  if (!id) {
    return Error(Code::kNotFound, "there is no " + std::string(user ? "user" : "group") + " '" +
                                      grant.name().substr(0, 100) + "' on this host");
  }
  record.set_id(std::to_string(*id));
  return record;
}

Status Images::ChangeGrants(uid_t caller, const v1::ShareRequest& request,
                            catalog::TagRecord* tag) const {
  const int64_t now = now_();
  if (request.revoke_all()) {
    tag->clear_grants();
    tag->set_visibility(v1::PRIVATE);
  }
  const auto take_away = [tag](const catalog::GrantRecord& grant) {
    return RemoveGrants(tag, [&](const auto& known) { return SameGrantee(known, grant); }) > 0;
  };
  for (const v1::Grant& grant : request.revoke()) {
    ASSIGN_OR_RETURN(const catalog::GrantRecord record, ResolveGrant(caller, grant));
    if (!take_away(record)) {
      return Error(Code::kNotFound, "it is not shared with " + grant.name());
    }
  }
  for (const v1::Grant& grant : request.add()) {
    ASSIGN_OR_RETURN(catalog::GrantRecord record, ResolveGrant(caller, grant));
    record.set_expires_unix_ms(grant.expires_unix_ms());
    record.set_granted_unix_ms(now);
    record.set_granted_by_uid(caller);
    if (IsExpired(record, now)) {
      return Error(Code::kInvalidArgument, "sharing with " + grant.name() +
                                               " would end before it starts: give a later time");
    }
    take_away(record);
    *tag->add_grants() = std::move(record);
  }
  RemoveGrants(tag, [&](const auto& grant) { return IsExpired(grant, now); });
  if (tag->grants_size() > kGrantsMax) {
    return Error(Code::kResourceExhausted, "an image is shared with at most " +
                                               std::to_string(kGrantsMax) +
                                               " by name: make a class of them");
  }
  if (request.visibility() == v1::PUBLIC || request.visibility() == v1::PRIVATE) {
    tag->set_visibility(request.visibility());
  } else if (request.visibility() != v1::VISIBILITY_UNSPECIFIED) {
    return Error(Code::kInvalidArgument, "an image is shared as 'public' or 'private'");
  }
  return Ok();
}

Result<v1::Image> Images::Share(uid_t caller, const v1::ShareRequest& request,
                                const std::string& seen_digest) {
  ASSIGN_OR_RETURN(const Found found, ResolveOwned(caller, request.reference()));
  ASSIGN_OR_RETURN(const Reservation reservation, Reserve(caller, request.reference(), true));
  const std::string key = TagKey(reservation.name());
  ASSIGN_OR_RETURN(const auto before, records_.Get(kTags, key));
  catalog::TagRecord tag;
  if (!before || !tag.ParseFromString(*before)) return NoSuchImage(reservation.name());
  if (!seen_digest.empty() && tag.digest() != seen_digest) {
    return Error(Code::kFailedPrecondition, "another image got the name " + request.reference() +
                                                " meanwhile: share it again");
  }
  RETURN_IF_ERROR(ChangeGrants(caller, request, &tag));
  RETURN_IF_ERROR(records_.Commit({{kTags, key, before}}, {{kTags, key, tag.SerializeAsString()}}));
  return Find(caller, request.reference());
}

Result<v1::Image> Images::Tag(uid_t caller, const v1::TagRequest& request) {
  const std::lock_guard lock(change_mutex_);
  ASSIGN_OR_RETURN(const Reservation reservation,
                   Reserve(caller, request.new_reference(), request.replace()));
  return records::RetryWhileChanged([&]() -> Result<v1::Image> {
    const records::ScopeMark mark = records_.Mark(OwnerScope(reservation.name().owner_uid));
    ASSIGN_OR_RETURN(v1::Image image, Find(caller, request.reference()));
    image.set_visibility(v1::VISIBILITY_UNSPECIFIED);
    return PublishLocked(reservation, std::move(image), {mark});
  });
}

Result<v1::Image> Images::Edit(uid_t caller, const v1::EditRequest& request) {
  ASSIGN_OR_RETURN(const Found found, ResolveOwned(caller, request.reference()));
  const std::string key = ImageKey(found.version->name, found.version->digest);
  std::string before;
  ASSIGN_OR_RETURN(catalog::ImageRecord record, ReadRecord(key, &before));
  if (request.has_description()) record.set_description(request.description());
  for (const std::string& label : request.remove_labels()) {
    if (record.mutable_labels()->erase(label) == 0) {
      return Error(Code::kNotFound, "the image has no label " + label.substr(0, 200));
    }
  }
  for (const auto& [label, value] : request.set_labels()) {
    (*record.mutable_labels())[label] = value;
  }
  RETURN_IF_ERROR(CheckDescription(record.description()));
  RETURN_IF_ERROR(CheckLabels(record.labels()));
  RETURN_IF_ERROR(
      records_.Commit({{kImages, key, before}}, {{kImages, key, record.SerializeAsString()}}));
  return Find(caller, request.reference());
}

Status Images::Remove(uid_t caller, const std::string& text,
                      const std::vector<records::ScopeMark>& as_of) {
  const std::lock_guard lock(change_mutex_);
  if (!as_of.empty()) return RemoveLocked(caller, text, as_of);
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(text, caller, accounts_));
  return records::RetryWhileChanged(
      [&] { return RemoveLocked(caller, text, {records_.Mark(OwnerScope(reference.owner_uid))}); });
}

Status Images::RemoveLocked(uid_t caller, const std::string& text,
                            const std::vector<records::ScopeMark>& as_of) {
  ASSIGN_OR_RETURN(const Found found, ResolveOwned(caller, text));
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(text, caller, accounts_));
  std::optional<Reservation> reservation;
  if (!reference.has_digest()) {
    ASSIGN_OR_RETURN(Reservation reserved, Reserve(caller, text, true));
    reservation.emplace(std::move(reserved));
  }
  std::vector<records::RecordExpectation> expected;
  std::vector<records::RecordChange> changes;
  const auto remove_tag = [&](const ImageIndex::Tag& tag) {
    const std::string key = TagKey(tag.name);
    expected.push_back({kTags, key, tag.record.SerializeAsString()});
    changes.push_back({kTags, key, std::nullopt});
  };
  const auto remove_version = [&](const Digest& digest) {
    changes.push_back({kImages, ImageKey(reference, digest), std::nullopt});
  };
  const auto tags = index_.TagsOf(reference, found.version->digest);
  for (const auto& tag : tags) {
    if (reference.has_digest() || tag->name.tag == reference.tag) remove_tag(*tag);
  }
  if (changes.size() == tags.size()) remove_version(found.version->digest);
  // With the last tag of a name nothing is left behind.
  if (!reference.has_digest() && index_.TagCount(reference) == 1) {
    for (const auto& version : index_.VersionsOf(reference, "")) {
      if (version->digest != found.version->digest) remove_version(version->digest);
    }
  }
  return records_.Commit(expected, changes, as_of);
}

Status Images::RemoveVersions(const std::vector<v1::Image>& versions) {
  const std::lock_guard lock(change_mutex_);
  std::map<uid_t, std::vector<std::pair<Reference, Digest>>> by_owner;
  for (const v1::Image& image : versions) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(image.digest()));
    auto& batch = by_owner[image.owner_uid()];
    batch.emplace_back(Reference{image.owner_uid(), image.name(), "", digest.Hex()}, digest);
    if (batch.size() == kVersionsPerCommit) {
      RETURN_IF_ERROR(RemoveVersionsOf(image.owner_uid(), std::exchange(batch, {})));
    }
  }
  for (const auto& [owner, batch] : by_owner) RETURN_IF_ERROR(RemoveVersionsOf(owner, batch));
  return Ok();
}

Status Images::RemoveVersionsOf(uid_t owner,
                                const std::vector<std::pair<Reference, Digest>>& versions) {
  return records::RetryWhileChanged([&]() -> Status {
    const records::ScopeMark mark = records_.Mark(OwnerScope(owner));
    std::vector<records::RecordChange> changes;
    for (const auto& [name, digest] : versions) {
      // A tag may have been pointed to it meanwhile.
      if (!index_.TagsOf(name, digest).empty()) continue;
      changes.push_back({kImages, ImageKey(name, digest), std::nullopt});
    }
    return changes.empty() ? Ok() : records_.Commit({}, changes, {mark});
  });
}

Result<v1::Image> Images::RemoveCached(const Reference& name, const Digest& digest) {
  const std::lock_guard lock(change_mutex_);
  const std::string key = ImageKey(name, digest);
  return records::RetryWhileChanged([&]() -> Result<v1::Image> {
    const records::ScopeMark mark = records_.Mark(OwnerScope(name.owner_uid));
    std::string before;
    ASSIGN_OR_RETURN(const catalog::ImageRecord record, ReadRecord(key, &before));
    if (!record.labels().contains(kCachedLabel)) {
      return Error(Code::kNotFound, name.ToString(accounts_) + " is kept");
    }
    ASSIGN_OR_RETURN(v1::Image image, DescribeRecord(ViewerOf(0), name, nullptr, digest, record));
    std::vector<records::RecordExpectation> expected = {{kImages, key, before}};
    std::vector<records::RecordChange> changes = {{kImages, key, std::nullopt}};
    for (const auto& tag : index_.TagsOf(name, digest)) {
      expected.push_back({kTags, TagKey(tag->name), tag->record.SerializeAsString()});
      changes.push_back({kTags, TagKey(tag->name), std::nullopt});
    }
    RETURN_IF_ERROR(records_.Commit(expected, changes, {mark}));
    return image;
  });
}

}  // namespace strata::imaged
