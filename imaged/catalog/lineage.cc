// Where an image comes from, and what came of it. Ancestors: the layers below tell whose topmost
// they were. Descendants: images that have this one's topmost layer among theirs.
#include <algorithm>
#include <map>

#include "imaged/catalog/images.h"

namespace strata::imaged {
namespace {

// The nodes of a lineage by the digest of their image.
class LineageTree {
 public:
  // Adds what the layers of one image tell, from `first` on, each the parent of the next.
  void Add(const google::protobuf::RepeatedPtrField<v1::Layer>& layers) {
    std::string parent;
    for (const v1::Layer& layer : layers) {
      const std::string& digest = layer.history().image_digest();
      if (digest.empty()) continue;
      const auto [it, added] = nodes_.try_emplace(digest);
      if (added) {
        it->second.set_digest(digest);
        it->second.set_parent_digest(parent);
        *it->second.mutable_history() = layer.history();
        it->second.set_content_bytes(layer.content_bytes());
        order_.push_back(digest);
      }
      parent = digest;
    }
  }

  v1::LineageNode* Find(const std::string& digest) {
    const auto it = nodes_.find(digest);
    return it == nodes_.end() ? nullptr : &it->second;
  }

  v1::LineageResponse Take() {
    v1::LineageResponse response;
    for (const std::string& digest : order_) *response.add_nodes() = std::move(nodes_[digest]);
    return response;
  }

 private:
  std::map<std::string, v1::LineageNode> nodes_;
  std::vector<std::string> order_;  // Parents come before their children.
};

}  // namespace

Result<v1::LineageResponse> Images::Lineage(uid_t caller, const std::string& text) const {
  ASSIGN_OR_RETURN(const v1::Image subject, Find(caller, text));
  if (subject.layers_size() == 0) return Error(Code::kCorrupt, text + " has no layers");
  LineageTree tree;
  tree.Add(subject.layers());
  const std::string& digest = subject.layers().rbegin()->history().image_digest();

  // Images that the caller may use and that are in the tree, or below its subject.
  const Viewer viewer = ViewerOf(caller);
  const int64_t now = now_();
  std::vector<std::shared_ptr<const ImageIndex::Tag>> related;
  index_.ForEachTag([&](const ImageIndex::Tag& tag) {
    if (!AccessOf(viewer, tag.name.owner_uid, tag.record, now)) return;
    const auto& layers = tag.version->layers;
    const bool descends = std::any_of(layers.begin(), layers.end(), [&](const auto& layer) {
      return layer.image.ToString() == digest;
    });
    const bool known = !layers.empty() && tree.Find(layers.back().image.ToString()) != nullptr;
    if (descends || known) related.push_back(std::make_shared<const ImageIndex::Tag>(tag));
  });
  std::vector<Found> found;
  for (const auto& tag : related) found.push_back({tag->version, tag});
  ASSIGN_OR_RETURN(const std::vector<v1::Image> images, DescribeAll(viewer, found));
  for (const v1::Image& image : images) {
    tree.Add(image.layers());
    if (image.layers_size() == 0) continue;
    v1::LineageNode* node = tree.Find(image.layers().rbegin()->history().image_digest());
    if (node != nullptr) node->add_references(DisplayName(image));
  }
  if (v1::LineageNode* node = tree.Find(digest)) node->set_subject(true);
  return tree.Take();
}

}  // namespace strata::imaged
