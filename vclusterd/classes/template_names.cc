#include "vclusterd/classes/template_names.h"

#include <algorithm>
#include <cstdio>

#include "common/printable.h"
#include "vclusterd/runtime/ssh_keys.h"

namespace strata::vcluster {
namespace {

constexpr size_t kTagMax = 40;
constexpr size_t kMarkBytes = 4;
constexpr size_t kShownMax = 60;

bool IsTag(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && text.size() <= kTagMax && good(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return good(c) || c == '.' || c == '_' || c == '-'; });
}

std::string Uid(uint32_t uid) {
  char text[16];
  std::snprintf(text, sizeof(text), "%010u", uid);
  return text;
}

}  // namespace

Result<TemplateName> ParseTemplateName(std::string_view text) {
  const Error wrong(
      Code::kInvalidArgument,
      "'" + Printable(text, kShownMax) +
          "' is no name of a template: [OWNER/]NAME[:TAG], such as lab or alice/lab:v2");
  TemplateName name;
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    name.owner = text.substr(0, slash);
    text.remove_prefix(slash + 1);
    if (name.owner.empty() || name.owner.size() > kShownMax) return wrong;
  }
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    name.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  name.name = text;
  if (!CheckClusterName(name.name).ok() || !IsTag(name.tag)) return wrong;
  return name;
}

std::string TemplateKey(uint32_t uid, const std::string& name, const std::string& tag) {
  return Uid(uid) + "/" + name + ":" + tag;
}

std::string StudentKey(const std::string& class_key, const std::string& user) {
  return class_key + "/" + user;
}

std::string NodeImageName(const std::string& front, const master::v1::Node& node,
                          const std::string& tag, const std::string& mark) {
  std::string name = front + "-" + node.role() + "-" + std::to_string(node.ordinal());
  // What names of users may have, and names of images not.
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '@' || c == '+'; }, '-');
  return name + ":" + tag + "-" + mark;
}

Result<std::string> NewMark() {
  ASSIGN_OR_RETURN(const std::string bytes, RandomBytes(kMarkBytes));
  return ToHex(bytes);
}

std::string ByDigest(const std::string& reference, const std::string& digest) {
  return reference.substr(0, reference.rfind(':')) + "@" + digest;
}

Result<Definition> DefinitionOfSaved(
    const Vcluster& saved,
    const google::protobuf::RepeatedPtrField<master::v1::TemplateImage>& images) {
  Definition definition = saved.definition;
  definition.expires.reset();  // A moment of the past, for most who use it.
  for (Role& role : definition.roles) {
    std::map<uint32_t, const master::v1::TemplateImage*> by_ordinal;
    for (const master::v1::TemplateImage& image : images) {
      if (image.role() == role.name) by_ordinal[image.ordinal()] = &image;
    }
    role.count = static_cast<uint32_t>(by_ordinal.size());
    role.images.clear();
    for (const auto& [ordinal, image] : by_ordinal) {
      role.images.push_back(ByDigest(image->reference(), image->digest()));
    }
    if (!role.images.empty()) role.image = role.images.front();
    const auto same = [&](const std::string& image) { return image == role.image; };
    if (std::all_of(role.images.begin(), role.images.end(), same)) role.images.clear();
    // A limit of disk that single nodes have got since holds for all.
    for (const master::v1::Node& node : saved.record.nodes()) {
      if (node.role() != role.name || node.leaving() || !node.has_disk_bytes()) continue;
      role.limits.disk_bytes =
          node.disk_bytes() == 0 ? 0
                                 : std::max(role.limits.disk_bytes.value_or(0), node.disk_bytes());
      if (node.disk_bytes() == 0) break;
    }
  }
  RETURN_IF_ERROR(CheckDefinition(definition));
  return definition;
}

}  // namespace strata::vcluster
