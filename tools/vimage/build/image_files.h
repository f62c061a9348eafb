// The files of one image, asked of imaged as they are needed. Used by one thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "common/result.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/vimage/build/open_calls.h"
#include "tools/vimage/build/tar_entries.h"

namespace strata::tools {

class ImageFiles {
 public:
  // An empty `reference` is an image without files. REQUIRES: the others outlive this.
  ImageFiles(imaged::v1::ImageService::Stub& imaged, OpenCalls& calls, std::string reference)
      : imaged_(imaged), calls_(calls), reference_(std::move(reference)) {}

  struct Found {
    std::string path;                          // Without symbolic links, as far as it is there.
    std::optional<imaged::v1::FileInfo> info;  // Absent: it is not there. The root has only a mode.
  };
  // Follows symbolic links, at the end too if `follow_last`, as a process in the image would.
  Result<Found> Resolve(const std::string& path, bool follow_last = true);

  using Directory = std::map<std::string, imaged::v1::FileInfo>;
  // REQUIRES: `path` came from Resolve and is a directory.
  Result<const Directory*> List(const std::string& path);

  // `path` (resolved) and what is below it.
  Status ReadEntries(const std::string& path, const TarVisitor& visit);
  // A small file's text; empty when there is none.
  Result<std::string> ReadText(const std::string& path);

 private:
  imaged::v1::ImageService::Stub& imaged_;
  OpenCalls& calls_;
  const std::string reference_;
  std::map<std::string, Directory> known_;
};

}  // namespace strata::tools
