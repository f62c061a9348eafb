// A node as liblxc configuration. Pure.
#pragma once

#include <string>
#include <vector>

#include "vclusterd/runtime/node_spec.h"
#include "vclusterd/shim/node_request.h"

namespace strata::vcluster {

inline constexpr char kNodeLink[] = "eth0";  // As a node calls it.

// `cores_are_piped`: see CoresArePiped.
StartNodeRequest MakeStartRequest(const NodeSpec& spec, const HostLayout& host,
                                  bool cores_are_piped = false);

// What a command in a node starts with: a PATH, what OpenMPI needs to run as root in a container,
// then the image's variables, then `extra`; later ones win.
std::vector<std::string> NodeEnvironment(const std::vector<std::string>& image_env,
                                         const std::vector<std::string>& extra);

}  // namespace strata::vcluster
