#include "tools/vimage/describe.h"

#include "tools/cli/human.h"

namespace strata::tools {

std::string FullName(const imaged::v1::Image& image) {
  return image.owner() + "/" + image.name() + ":" + image.tag();
}

uint64_t ContentBytes(const imaged::v1::Image& image) {
  uint64_t bytes = 0;
  for (const auto& layer : image.layers()) bytes += layer.content_bytes();
  return bytes;
}

std::string GranteeName(const imaged::v1::Grant& grant) {
  if (grant.kind() == imaged::v1::GRANT_GROUP) return "group " + grant.name();
  if (grant.kind() == imaged::v1::GRANT_CLASS) return "class " + grant.name();
  return grant.name();
}

std::string SeenBy(const imaged::v1::Image& image) {
  if (image.visibility() == imaged::v1::PUBLIC) return "everybody";
  if (image.access() == "user") return "shared with you";
  if (image.access().starts_with("group ") || image.access().starts_with("class ")) {
    return "shared with " + image.access();
  }
  std::string grantees;
  for (const imaged::v1::Grant& grant : image.grants()) {
    grantees += (grantees.empty() ? "" : ", ") + GranteeName(grant);
    if (grant.expires_unix_ms() != 0) grantees += " until " + LocalTime(grant.expires_unix_ms());
  }
  return grantees.empty() ? "its owner" : grantees;
}

std::string ShortDigest(const std::string& digest) {
  constexpr size_t kShown = 12;
  return digest.substr(digest.find(':') + 1).substr(0, kShown);
}

std::string DescribeIngest(const imaged::v1::IngestSummary& summary) {
  return HumanCount(summary.entries()) + " entries, " + HumanBytes(summary.bytes()) + " read, " +
         HumanBytes(summary.new_bytes()) + " new in " + HumanCount(summary.new_objects()) +
         " objects, manifest " + HumanBytes(summary.manifest_bytes());
}

}  // namespace strata::tools
