#include "vclusterd/master/pin_images.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::vcluster {
namespace {

// "alice/spark" of "alice/spark:v2" and of "alice/spark@blake3:…".
std::string_view WithoutVersion(std::string_view reference) {
  const size_t slash = reference.find('/');
  return reference.substr(0, reference.find_first_of(":@", slash == reference.npos ? 0 : slash));
}

Status PinRole(const Vcluster& vcluster, const NodeStates& states, Role* role) {
  std::vector<const master::v1::Node*> nodes;
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (node.role() == role->name && !node.leaving()) nodes.push_back(&node);
  }
  std::sort(nodes.begin(), nodes.end(), [](const master::v1::Node* a, const master::v1::Node* b) {
    return a->ordinal() < b->ordinal();
  });
  std::vector<std::string> images;
  std::string further = role->image;
  for (const master::v1::Node* node : nodes) {
    const auto status = states.find(node->index());
    if (status == states.end() || status->second.image_digest().empty()) {
      return Error(Code::kFailedPrecondition,
                   "node " + vcluster.record.name() + "/" + vcluster.NodeName(*node) +
                       " is not made, or its host is not there, so that the version of its image "
                       "is not known: wait for it (vcluster list), or export without --pin");
    }
    const std::string& image = role->ImageOf(node->ordinal());
    images.push_back(std::string(WithoutVersion(image)) + "@" + status->second.image_digest());
    if (image == role->image) further = images.back();
  }
  while (!images.empty() && images.back() == further) images.pop_back();
  role->image = std::move(further);
  role->images = std::move(images);
  return Ok();
}

}  // namespace

Result<Definition> PinImages(const Vcluster& vcluster, const NodeStates& states) {
  Definition definition = vcluster.definition;
  for (Role& role : definition.roles) RETURN_IF_ERROR(PinRole(vcluster, states, &role));
  return definition;
}

}  // namespace strata::vcluster
