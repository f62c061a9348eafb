// Format 1: images "<uid>/<name>:<tag>" -> v1.Image, which had the visibility; leases ->
// "<length of name>:<name><v1.Image>".
#include "imaged/catalog/catalog_upgrade.h"

#include <charconv>
#include <optional>

#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/reference.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

catalog::ImageRecord RecordOf(const v1::Image& image) {
  catalog::ImageRecord record;
  *record.mutable_layers() = image.layers();
  *record.mutable_config() = image.config();
  *record.mutable_lineage() = image.lineage();
  record.set_description(image.description());
  record.set_created_unix_ms(image.created_unix_ms());
  if (record.layers_size() > 0) {
    v1::LayerHistory* history = record.mutable_layers()->rbegin()->mutable_history();
    history->set_image_digest(image.digest());
    history->set_image_reference(image.owner() + "/" + image.name() + ":" + image.tag());
    history->set_creator(image.owner());
    history->set_creator_uid(image.owner_uid());
    history->set_created_unix_ms(image.created_unix_ms());
    history->set_origin(image.lineage().origin());
    history->set_command(image.lineage().command());
  }
  return record;
}

Result<v1::Image> ParseImage(const std::string& key, std::string_view text) {
  v1::Image image;
  if (image.ParseFromArray(text.data(), static_cast<int>(text.size()))) return image;
  return Error(Code::kCorrupt, "catalog: the record of " + key + " is damaged");
}

Result<catalog::LeaseRecord> ParseLease(const std::string& name, std::string_view text) {
  size_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  const size_t digits = static_cast<size_t>(end - text.data());
  if (error != std::errc() || digits >= text.size() || text[digits] != ':' ||
      length > text.size() - digits - 1) {
    return Error(Code::kCorrupt, "catalog: the lease " + name + " is damaged");
  }
  ASSIGN_OR_RETURN(const v1::Image image, ParseImage(name, text.substr(digits + 1 + length)));
  catalog::LeaseRecord lease;
  *lease.mutable_image() = image;
  return lease;
}

}  // namespace

Result<std::vector<records::RecordChange>> UpgradeFromFormat1(const records::TableScan& scan) {
  std::vector<records::RecordChange> changes;
  RETURN_IF_ERROR(scan(kImages, [&](const std::string& key, const std::string& text) -> Status {
    ASSIGN_OR_RETURN(const v1::Image image, ParseImage(key, text));
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(image.digest()), key);
    const Reference name{image.owner_uid(), image.name(), image.tag(), ""};
    catalog::TagRecord tag;
    tag.set_digest(image.digest());
    tag.set_visibility(image.visibility());
    tag.set_moved_unix_ms(image.created_unix_ms());
    changes.push_back({kImages, key, std::nullopt});
    changes.push_back({kImages, ImageKey(name, digest), RecordOf(image).SerializeAsString()});
    changes.push_back({kTags, TagKey(name), tag.SerializeAsString()});
    return Ok();
  }));
  RETURN_IF_ERROR(scan(kLeases, [&](const std::string& name, const std::string& text) -> Status {
    ASSIGN_OR_RETURN(const catalog::LeaseRecord lease, ParseLease(name, text));
    changes.push_back({kLeases, name, lease.SerializeAsString()});
    return Ok();
  }));
  return changes;
}

}  // namespace strata::imaged
