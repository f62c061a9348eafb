// Gives names to what was built: first every image as "NAME:build-N", which stays and can be gone
// back to, then the tags that people use. All tags move or none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/vimage/build/open_calls.h"

namespace strata::tools {

inline constexpr char kBuildTagPrefix[] = "build-";
// Labels of a build's image.
inline constexpr char kDockerfileLabel[] = "build.dockerfile";
inline constexpr char kStageLabel[] = "build.stage";

struct ImageName {
  std::string path;  // "[owner/]name"
  std::string tag;
};
// kInvalidArgument: a digest, or a name or tag that builds keep for themselves.
Result<ImageName> ParseImageName(const std::string& text);

// The number of "build-12"; nullopt for any other tag.
std::optional<uint64_t> BuildNumber(const std::string& tag);

struct Publication {
  ImageName name;
  std::string reference;  // Whose layers it has.
  imaged::v1::ImageConfig config;
  std::map<std::string, std::string> labels;
};
struct Published {
  std::string reference;  // "owner/name:tag"
  std::string digest;
  std::string build;  // "build-3"
};

class Publisher {
 public:
  // REQUIRES: both outlive this.
  Publisher(imaged::v1::ImageService::Stub& imaged, OpenCalls& calls, std::string command_line,
            bool keep_secrets)
      : imaged_(imaged),
        calls_(calls),
        command_line_(std::move(command_line)),
        keep_secrets_(keep_secrets) {}

  Result<std::vector<Published>> Publish(const std::vector<Publication>& publications);

 private:
  struct Placed {
    std::string build_reference;
    std::string build_tag;
    bool is_new = false;        // An equal build before has it already, otherwise.
    std::string tag_reference;  // "[owner/]name:tag"
    std::string digest;
    std::string before;  // "[owner/]name@digest" that the tag pointed to; empty: there was none.
    bool moved = false;
  };
  Status Place(const Publication& publication, Placed* placed);
  Status Move(Placed* placed);
  // Answers what could not be put back as it was.
  std::vector<std::string> TakeBack(const std::vector<Placed>& placed);

  imaged::v1::ImageService::Stub& imaged_;
  OpenCalls& calls_;
  const std::string command_line_;
  const bool keep_secrets_;
};

}  // namespace strata::tools
