// A Vcluster of one node for one command of a build; it is gone with this. Used by one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "imaged/archive/pax_writer.h"
#include "tools/vimage/build/open_calls.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {

class BuildNode {
 public:
  using Stub = vcluster::v1::VclusterService::Stub;

  // REQUIRES: both outlive this.
  BuildNode(Stub& vclusterd, OpenCalls& calls) : vclusterd_(vclusterd), calls_(calls) {}
  BuildNode(const BuildNode&) = delete;
  BuildNode& operator=(const BuildNode&) = delete;
  ~BuildNode();

  Status Create(const std::string& image);
  // Not one of the build's calls: it has to happen after they were cancelled too.
  Status Delete();

  using Output = std::function<Status(std::string_view)>;
  // Gives what the command reads, to the end; null: nothing.
  using Input = std::function<Status(const imaged::ByteSink&)>;
  // The exit code. `errors` gets what the command writes there; null: `output` does. An error of
  // theirs, or of `input`, ends the command.
  Result<int> Exec(vcluster::v1::ExecStart start, const Input& input, const Output& output,
                   const Output& errors = nullptr);
  // A script of the node's root, with `words` as $1, $2, …. kFailedPrecondition when it fails: with
  // what it said, and what the image has to have for it (`needs`).
  Status Script(const std::string& script, const std::vector<std::string>& words,
                const std::string& needs, const Input& input = nullptr,
                const Output& output = nullptr);

  // What the node changed, as the image `reference`.
  Status Save(const std::string& reference, const std::string& command_line);

 private:
  Stub& vclusterd_;
  OpenCalls& calls_;
  std::string name_;
};

}  // namespace strata::tools
