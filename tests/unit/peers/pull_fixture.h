// Two hosts of a cluster, and images that move between them.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <random>
#include <thread>

#include "tests/unit/imaged/repository_fixture.h"
#include "tests/unit/peers/cluster_fixture.h"

namespace strata::imaged {

// Bytes that do not compress.
inline std::string Noise(unsigned seed, size_t size) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class PullTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    a_ = &Init("a");
    b_ = &Add("b");
    ASSERT_OK(Join(*b_, Token(*a_)));
    for (unsigned i = 0; i < 40; ++i) {
      files_.push_back({"f" + std::to_string(i), Noise(i, 20'000 + i)});
    }
    files_.push_back({"large", Noise(99, 9'000'000)});
    files_.push_back({"small", "inline"});
  }
  void TearDown() override {
    for (auto& [name, host] : hosts_) {
      host.listener.reset();
      host.puller.reset();  // With what it does in the background.
      EXPECT_EQ(CountFiles(host.directory + "/store/staging"), 0u) << name;
    }
    ClusterTest::TearDown();
  }

  Result<v1::ImportResult> Import(TestHost& host, uid_t caller, const std::string& reference,
                                  const std::string& base = "") {
    v1::ImportOptions options;
    options.set_reference(reference);
    options.set_base(base);
    options.set_replace(true);
    const std::string tar = MakeTar(directory_->path() + "/scratch", files_);
    return host.repository->Import(caller, options, SourceOf(tar, 1 << 20), cancel_, {});
  }
  Result<v1::PullResult> Pull(uid_t caller, const std::string& reference,
                              const ImagePuller::Progress& progress = {},
                              const CancelToken& cancel = CancelToken()) {
    v1::PullRequest request;
    request.set_host("a");
    request.set_reference(reference);
    request.set_replace(true);
    return b_->puller->Pull(caller, request, progress, cancel);
  }
  void Share(const std::string& reference) {
    v1::ShareRequest request;
    request.set_reference(reference);
    request.set_visibility(v1::PUBLIC);
    ASSERT_OK(a_->repository->images().Share(kAlice, request));
  }
  static std::string Export(TestHost& host, uid_t caller, const std::string& reference) {
    std::string tar;
    EXPECT_TRUE(host.repository
                    ->Export(
                        caller, reference,
                        [&](std::string_view data) -> Status {
                          tar += data;
                          return Ok();
                        },
                        CancelToken())
                    .ok());
    return tar;
  }
  void ExpectSound(TestHost& host) {
    const auto checked = host.repository->Fsck(
        0, "", cancel_, {}, [](const std::string& problem) { ADD_FAILURE() << problem; });
    ASSERT_OK(checked);
  }
  static std::optional<std::string> FirstFileIn(const std::string& directory) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) return entry.path();
    return std::nullopt;
  }
  std::string alice() const { return std::to_string(kAlice); }

  TestHost* a_ = nullptr;
  TestHost* b_ = nullptr;
  std::vector<File> files_;
  CancelToken cancel_;
};

}  // namespace strata::imaged
