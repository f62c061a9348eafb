#include "imaged/catalog/access.h"

#include <algorithm>
#include <charconv>

#include "imaged/catalog/classes.h"

namespace strata::imaged {
namespace {

std::optional<uint32_t> Number(const std::string& text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool Names(const catalog::GrantRecord& grant, const Viewer& viewer) {
  switch (grant.kind()) {
    case v1::GRANT_USER:
      return Number(grant.id()) == viewer.uid();
    case v1::GRANT_GROUP: {
      const auto gid = Number(grant.id());
      return gid && viewer.InGroup(*gid);
    }
    case v1::GRANT_CLASS:
      return viewer.InClass(grant);
    default:  // Of a later version: it grants nothing to this one.
      return false;
  }
}

}  // namespace

bool Viewer::InGroup(gid_t gid) const {
  if (!groups_) groups_ = accounts_.GroupsOf(uid_);
  return std::find(groups_->begin(), groups_->end(), gid) != groups_->end();
}

bool Viewer::InClass(const catalog::GrantRecord& grant) const {
  return classes_.Contains(grant, uid_);
}

bool IsExpired(const catalog::GrantRecord& grant, int64_t now_unix_ms) {
  return grant.expires_unix_ms() != 0 && grant.expires_unix_ms() <= now_unix_ms;
}

Access AccessOf(const Viewer& viewer, uid_t owner_uid, const catalog::TagRecord& tag,
                int64_t now_unix_ms) {
  if (viewer.uid() == owner_uid) return {AccessKind::kOwner};
  if (viewer.IsRoot()) return {AccessKind::kRoot};
  if (tag.visibility() == v1::PUBLIC) return {AccessKind::kPublic};
  for (const catalog::GrantRecord& grant : tag.grants()) {
    if (!IsExpired(grant, now_unix_ms) && Names(grant, viewer)) return {AccessKind::kGrant, &grant};
  }
  return {};
}

bool IsShared(const catalog::TagRecord& tag, int64_t now_unix_ms) {
  return tag.visibility() == v1::PUBLIC ||
         std::any_of(tag.grants().begin(), tag.grants().end(),
                     [&](const auto& grant) { return !IsExpired(grant, now_unix_ms); });
}

}  // namespace strata::imaged
