// What the mounts of one RUN hold: files of the context, of another stage or an image (part of the
// step's key), or what earlier builds left in a cache mount, which is an image of the user's,
// "build-cache:mount-HASH". Used by one thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/build/cache_key.h"
#include "tools/vimage/build/node_mounts.h"
#include "tools/vimage/build/stage_builder.h"

namespace strata::tools {

// Label of a cache mount: its id.
inline constexpr char kMountLabel[] = "build.mount";

class StageMounts {
 public:
  // The image that "from=" means; empty: it has no files.
  using ReferenceOf = std::function<Result<std::string>(const std::string& from)>;

  // REQUIRES: `context` and `imaged` outlive this.
  StageMounts(BuildContext& context, imaged::v1::ImageService::Stub& imaged)
      : context_(context), imaged_(imaged) {}

  // Reads what it binds, once, for the key. kNotFound: it is not there.
  Status Add(const TreeMount& mount, const ReferenceOf& reference_of, imaged::build::CacheKey* key);
  // For a node. Other steps of this build that use the same cache mounts wait while this lives.
  std::vector<NodeMount> ForNode();

 private:
  struct Bound {
    std::unique_ptr<ImageFiles> files;  // Null: the context.
    std::unique_ptr<CopySource> source;
    std::string path;
    Digest fingerprint;
  };
  Result<std::shared_ptr<Bound>> Bind(const TreeMount& mount, const ReferenceOf& reference_of,
                                      bool* is_file);
  Status VisitKept(const std::string& reference, const EntryVisitor& visit);
  Status Keep(const TreeMount& mount, const std::string& reference,
              const BuildNode::Input& archive);

  BuildContext& context_;
  imaged::v1::ImageService::Stub& imaged_;
  std::vector<NodeMount> mounts_;
  std::vector<std::unique_lock<std::mutex>> held_;
};

}  // namespace strata::tools
