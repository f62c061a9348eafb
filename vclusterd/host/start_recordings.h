// StartRecordings: has the first start of an image watched, and tells imaged what it opened
// (layerfs/start_recorder.h). One recording per image at a time; a hint, so nothing here fails.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "imaged/client/host_image_client.h"
#include "layerfs/start_recorder.h"

namespace strata::vcluster {

class StartRecordings {
 public:
  // `time`: of each recording; 0: none are made. `images` must outlive this.
  StartRecordings(imaged::HostImageClient& images, std::chrono::milliseconds time)
      : images_(images), time_(time) {}

  // `root`: about to be started from the image that `lease` holds; `mountpoint`: where it will be.
  void Begin(const std::string& tree_path, const std::string& lease, int root,
             const std::string& mountpoint);

 private:
  imaged::HostImageClient& images_;
  const std::chrono::milliseconds time_;
  std::mutex mutex_;                                                          // Guards recorders_.
  std::map<std::string, std::unique_ptr<layerfs::StartRecorder>> recorders_;  // By tree.
};

}  // namespace strata::vcluster
