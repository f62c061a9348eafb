#include "imaged/repository/adopt_layers.h"

#include <sys/stat.h>

namespace strata::imaged {
namespace {

Result<v1::Layer> DescribeLayer(const LayerStore& layers, const Digest& digest) {
  RETURN_IF_ERROR(layers.VerifyManifest(digest));
  struct stat st;
  const std::string path = layers.ManifestPath(digest);
  if (::stat(path.c_str(), &st) != 0) return Errno("stat " + path);
  ASSIGN_OR_RETURN(const auto reader, layers.OpenManifest(digest));
  ASSIGN_OR_RETURN(const Tree tree, reader->LoadTree(), path);
  v1::Layer layer;
  layer.set_digest(digest.ToString());
  layer.set_manifest_bytes(static_cast<uint64_t>(st.st_size));
  layer.set_entries(tree.entry_count());
  uint64_t bytes = 0;
  for (InodeIndex i = 0; i < tree.inode_count(); ++i) {
    if (S_ISREG(tree.inode(i).mode)) bytes += tree.inode(i).size;
  }
  layer.set_content_bytes(bytes);
  return layer;
}

}  // namespace

Result<std::vector<std::string>> AdoptUnnamedLayers(
    Repository& repository, const std::function<void(const std::string&)>& problem) {
  std::vector<std::string> adopted;
  ASSIGN_OR_RETURN(const Liveness::Roots roots, repository.liveness().Mark());
  ASSIGN_OR_RETURN(const std::vector<Digest> layers, repository.layers().All());
  for (const Digest& digest : layers) {
    if (roots.layers.contains(digest)) continue;
    auto layer = DescribeLayer(repository.layers(), digest);
    if (!layer.ok()) {
      problem(layer.error().message());
      continue;
    }
    const Liveness::Hold hold = repository.liveness().HoldStack({digest});
    const std::string reference = "recovered-" + digest.Short();
    ASSIGN_OR_RETURN(const Images::Reservation name,
                     repository.images().Reserve(0, reference, /*replace=*/false));
    v1::Image draft;
    *draft.add_layers() = std::move(*layer);
    draft.set_description("A layer whose names were lost with the catalog");
    draft.set_visibility(v1::PRIVATE);
    draft.mutable_lineage()->set_origin("recovery");
    RETURN_IF_ERROR(repository.PublishStack(name, std::move(draft)), reference);
    adopted.push_back(reference);
  }
  return adopted;
}

}  // namespace strata::imaged
