// ImageWorkload: users of an imaged that may die at any moment. Several threads import, tag, share,
// save and delete images, take leases, and change classes and quotas, each under names of its own;
// what was acknowledged is recorded (tests/crash/expected_state.h), and compared with what an
// imaged says after a crash.
#pragma once

#include <grpcpp/channel.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "imaged/client/host_image_client.h"
#include "tests/crash/expected_state.h"

namespace strata {

class ImageWorkload {
 public:
  // `scratch`: a directory for uppers and archives.
  ImageWorkload(std::string scratch, uint64_t seed);
  ~ImageWorkload() { Stop(); }

  // Imports every archive once, so that digests are known beforehand, and deletes them again.
  Status Calibrate(const std::shared_ptr<grpc::Channel>& channel);

  // Begins to work with the imaged that has this socket. Threads end when it does not answer.
  Status Start(const std::shared_ptr<grpc::Channel>& channel, const std::string& socket);
  // Ends after the operations that are under way.
  void Stop();
  // How many operations were acknowledged since the beginning; what failed though imaged was there.
  uint64_t done() const { return done_; }
  // Until that many are, or no more will be.
  void WaitForDone(uint64_t count);
  std::vector<std::string> Failures();

  ExpectedState& expected() { return expected_; }
  // What is wrong in an imaged that was started after a crash for which these outcomes are right.
  // With `settle`, the workload goes on from what was found.
  std::vector<std::string> Compare(const std::shared_ptr<grpc::Channel>& channel,
                                   const std::string& socket, const ExpectedState::Outcomes& right,
                                   bool settle);
  // Takes everything away again, and what is left then: nothing.
  std::vector<std::string> Clear(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& socket);

 private:
  class Worker;
  Result<std::map<std::string, std::string>> ReadState(
      const std::shared_ptr<grpc::Channel>& channel, const std::string& socket,
      const std::vector<std::string>& lease_keys);

  const std::string scratch_;
  std::mt19937_64 random_;
  std::vector<std::string> archives_;
  std::vector<std::string> digests_;  // Of the images that the archives make.
  ExpectedState expected_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> done_{0};
  std::mutex mutex_;  // Guards the next two, and orders changes of done_ with their news.
  std::condition_variable changed_;
  int working_ = 0;
  std::vector<std::string> failures_;
  std::vector<std::jthread> threads_;
};

}  // namespace strata
