// A file system of a few MiB: ext4 in a sparse file, loop-mounted while the object lives.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <memory>
#include <string>

#include "common/file_io.h"
#include "common/subprocess.h"

namespace strata::imaged {

class SmallDisk {
 public:
  static std::unique_ptr<SmallDisk> Mount(const std::string& directory, off_t size_bytes) {
    const std::string image = directory + "/disk.img";
    const std::string path = directory + "/disk";
    auto fd = Open(image, O_RDWR | O_CREAT, 0600);
    if (!fd.ok() || ::ftruncate(fd->get(), size_bytes) != 0) return nullptr;
    if (!RunChecked({"mke2fs", "-q", "-t", "ext4", "-m", "0", image}).ok()) return nullptr;
    if (!MakeDirectories(path).ok()) return nullptr;
    if (!RunChecked({"mount", "-o", "loop", image, path}).ok()) return nullptr;
    return std::unique_ptr<SmallDisk>(new SmallDisk(path));
  }
  // The loop device is freed by the kernel when the mount ends (mount -o loop sets autoclear).
  ~SmallDisk() { EXPECT_EQ(::umount2(path_.c_str(), 0), 0) << path_; }
  const std::string& path() const { return path_; }

 private:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace strata::imaged
