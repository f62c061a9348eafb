// FuseRoot: a root of a test image, mounted at a directory by either driver. The fuse server is a
// child process of the test (fork, no exec), so that a test needs no installed binary, and its end
// is part of the unmount: nothing stays behind.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/file_io.h"
#include "common/result.h"
#include "layerfs/root.h"
#include "tests/conformance/test_image.h"

namespace strata::layerfs {

class FuseRoot {
 public:
  // Image and empty upper in a directory of its own below `parent` (which needs trusted.*).
  static std::unique_ptr<FuseRoot> Create(const testing::TestImage& image,
                                          const std::string& parent = "/var/tmp");
  ~FuseRoot();

  RootSpec& spec() { return spec_; }
  // "/mnt/<name>" of the mounted root.
  std::string path(const std::string& name = "") const;
  std::string upper(const std::string& name) const { return spec_.upper_dir + "/" + name; }
  pid_t server() const { return server_; }

  void Mount(Driver driver, bool passthrough = true);
  void Unmount();
  // Puts upper and work below `volume_dir`. REQUIRES: not mounted yet.
  void UseVolume(const std::string& volume_dir);

 private:
  explicit FuseRoot(TemporaryDirectory directory) : directory_(std::move(directory)) {}
  void MountFuse(bool passthrough);

  TemporaryDirectory directory_;
  RootSpec spec_;
  pid_t server_ = -1;
  bool mounted_ = false;
};

// Small file calls that fail the test.
std::string ReadText(const std::string& path);
void WriteText(const std::string& path, std::string_view content, int flags = 0);
struct stat StatOf(const std::string& path);
bool IsWhiteoutAt(const std::string& path);
std::string XattrAt(const std::string& path, const std::string& name);  // "" when absent.

// Everything a union shows, one line per name: type, mode, owner, links, size, content, attributes.
// Hard links are told by a number per inode in order of appearance.
std::string Describe(const std::string& directory);

}  // namespace strata::layerfs
