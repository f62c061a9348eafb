// RUN: a command in a Vcluster of one node that is made for it, and what it changed as an image.
// The Vcluster is gone afterwards, whatever happened.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "tools/vimage/build/build_log.h"
#include "tools/vimage/build/node_mounts.h"
#include "tools/vimage/build/open_calls.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {

struct BuildSecret {
  std::string target;  // Absolute path.
  std::string content;
  uint32_t mode = 0400;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct RunOrder {
  std::string image;  // The node's; its configuration has no command.
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string working_dir;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<BuildSecret> secrets;
  std::vector<NodeMount> mounts;
  std::string result;        // Reference of the image that is made.
  std::string command_line;  // For its lineage.
};

// kInternal: the command failed; the message says how.
Status RunInNode(vcluster::v1::VclusterService::Stub& vclusterd, OpenCalls& calls,
                 const RunOrder& order, StepLog& log);

}  // namespace strata::tools
