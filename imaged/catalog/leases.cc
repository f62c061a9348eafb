#include "imaged/catalog/leases.h"

#include "imaged/catalog/images.h"
#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

constexpr size_t kNameMax = 256;

Result<v1::Image> Parse(const std::string& name, const std::string& text) {
  catalog::LeaseRecord record;
  if (record.ParseFromString(text)) return record.image();
  return Error(Code::kCorrupt, "catalog: the lease " + name + " is damaged");
}

}  // namespace

Result<std::optional<v1::Image>> Leases::Find(const std::string& name) const {
  ASSIGN_OR_RETURN(const auto text, records_.Get(kLeases, KeyOf(name)));
  if (!text) return std::optional<v1::Image>();
  ASSIGN_OR_RETURN(v1::Image image, Parse(name, *text));
  return std::optional<v1::Image>(std::move(image));
}

Result<std::set<std::string>> Leases::FreeOf(const std::vector<std::string>& names,
                                             const v1::Image& image) const {
  std::set<std::string> free;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto held, Find(name));
    if (!held) {
      free.insert(name);
    } else if (held->digest() != image.digest()) {
      return Error(Code::kAlreadyExists, "the lease " + name + " holds another image, " +
                                             held->owner() + "/" + held->name());
    }
  }
  return free;
}

Status Leases::Take(const std::vector<std::string>& names, const v1::Image& image) {
  for (const std::string& name : names) {
    if (name.empty() || name.size() > kNameMax) {
      return Error(Code::kInvalidArgument, "a lease's name has 1-256 bytes");
    }
  }
  catalog::LeaseRecord record;
  *record.mutable_image() = image;
  record.mutable_image()->clear_grants();
  record.set_host(host_);
  const std::string text = record.SerializeAsString();
  for (std::set<std::string> before;;) {
    ASSIGN_OR_RETURN(std::set<std::string> free, FreeOf(names, image));
    if (free.empty()) return Ok();
    std::vector<records::RecordExpectation> conditions;
    std::vector<records::RecordChange> changes;
    for (const std::string& name : free) {
      conditions.push_back({kLeases, KeyOf(name), std::nullopt});
      changes.push_back({kLeases, KeyOf(name), text});
    }
    // Who is about to delete the image, because nobody holds it, looks again.
    const Status taken =
        records_.Commit(conditions, changes, {{OwnerScope(image.owner_uid()), std::nullopt}});
    if (taken.ok() || taken.error().code() != Code::kFailedPrecondition) return taken;
    if (free == before) return taken;
    before = std::move(free);  // Somebody was faster with some.
  }
}

Status Leases::Release(const std::string& name) { return records_.Delete(kLeases, KeyOf(name)); }

Status Leases::ForEach(const Visitor& visit) const {
  return records_.Scan(kLeases, "",
                       [&](const std::string& name, const std::string& text) -> Status {
                         ASSIGN_OR_RETURN(const v1::Image image, Parse(name, text));
                         return visit(name, image);
                       });
}

Result<std::vector<std::string>> Leases::Of(const std::string& image_digest) const {
  std::vector<std::string> names;
  RETURN_IF_ERROR(
      records_.Scan(kLeases, "", [&](const std::string& key, const std::string& text) -> Status {
        catalog::LeaseRecord record;
        if (!record.ParseFromString(text)) return Parse(key, text).error();
        if (record.image().digest() != image_digest) return Ok();
        const bool shared = !record.host().empty() && key.starts_with(record.host() + "/");
        names.push_back(shared ? key.substr(record.host().size() + 1) + " on host " + record.host()
                               : key);
        return Ok();
      }));
  return names;
}

}  // namespace strata::imaged
