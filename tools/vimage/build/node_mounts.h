// RUN --mount=type=tmpfs, bind and cache in a build's node. The node's root mounts them there (a
// container may, within its own user namespace); what they show is unpacked beside its files, on
// its own disk, and taken away before the node is saved, so no layer sees any of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/result.h"
#include "tools/vimage/build/build_node.h"
#include "tools/vimage/build/copy_source.h"
#include "tools/vimage/build/step_options.h"

namespace strata::tools {

// A mount, and where its bytes come from and go.
struct NodeMount {
  TreeMount mount;
  bool is_file = false;  // A bind of one file, the only entry of `entries`.
  // Visits what is to be in it; null: nothing.
  std::function<Status(const EntryVisitor& visit)> entries;
  // Keeps what the command left; null: it goes. `archive` writes it as a tar to a sink.
  std::function<Status(const BuildNode::Input& archive)> keep;
};

// What a file that is mounted alone is called among its entries.
inline constexpr char kMountedFile[] = "file";

// In their order.
Status MountTrees(BuildNode& node, const std::vector<NodeMount>& mounts);
// Keeps what is to be kept; no mount and no mount point that was made for one is left.
Status UnmountTrees(BuildNode& node, const std::vector<NodeMount>& mounts);

}  // namespace strata::tools
