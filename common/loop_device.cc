#include "common/loop_device.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <memory>

#include "common/file_io.h"

namespace strata {
namespace {

constexpr size_t kPathMax = 8192;

Result<std::string> BackingFile(const std::string& block_dir) {
  auto text = ReadFile(block_dir + "/loop/backing_file", kPathMax);
  if (!text.ok()) {
    // ENXIO: it was just freed.
    return Error(Code::kNotFound, block_dir + ": no loop device", text.error().sys_errno());
  }
  if (text->ends_with('\n')) text->pop_back();
  return text;
}

// Whether the open device shows `file` (and not another of the same name).
bool Shows(int loop, const struct stat& file) {
  loop_info64 info = {};
  return ::ioctl(loop, LOOP_GET_STATUS64, &info) == 0 && info.lo_inode == file.st_ino &&
         info.lo_device == file.st_dev;
}

}  // namespace

Result<LoopDevice> AttachLoop(int file, const LoopOptions& options) {
  ASSIGN_OR_RETURN(const UniqueFd control, Open("/dev/loop-control", O_RDWR));
  loop_config config = {};
  config.fd = static_cast<__u32>(file);
  config.block_size = options.block_size;
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (options.read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  if (options.direct_io) config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
  // Another process may take the free number first; then there is another one.
  for (int attempt = 0; attempt < 64; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return Errno("find a free loop device");
    LoopDevice loop;
    loop.path = "/dev/loop" + std::to_string(number);
    ASSIGN_OR_RETURN(loop.fd, Open(loop.path, options.read_only ? O_RDONLY : O_RDWR));
    if (::ioctl(loop.fd.get(), LOOP_CONFIGURE, &config) == 0) return loop;
    if (errno != EBUSY) return Errno("set up a loop device");
  }
  return Error(Code::kUnavailable, "no loop device stayed free long enough");
}

Result<std::optional<LoopDevice>> FindLoop(int file, const std::string& basename) {
  struct stat st;
  if (::fstat(file, &st) != 0) return Errno("stat " + basename);
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> blocks(::opendir("/sys/block"));
  if (blocks == nullptr) return Errno("opendir /sys/block");
  while (const dirent* entry = ::readdir(blocks.get())) {
    const std::string name = entry->d_name;
    if (!name.starts_with("loop")) continue;
    const auto backing = BackingFile("/sys/block/" + name);
    if (!backing.ok() || !backing->ends_with("/" + basename)) continue;
    LoopDevice loop;
    loop.path = "/dev/" + name;
    auto fd = Open(loop.path, O_RDWR);
    // Asked once it is open: from here on it cannot free itself.
    if (!fd.ok() || !Shows(fd->get(), st)) continue;
    loop.fd = std::move(*fd);
    return std::optional<LoopDevice>(std::move(loop));
  }
  return std::optional<LoopDevice>();
}

Status RefreshLoopSize(const LoopDevice& loop) {
  if (::ioctl(loop.fd.get(), LOOP_SET_CAPACITY, 0) != 0) return Errno("resize " + loop.path);
  return Ok();
}

Result<std::string> LoopFileOf(dev_t device) {
  return BackingFile("/sys/dev/block/" + std::to_string(major(device)) + ":" +
                     std::to_string(minor(device)));
}

}  // namespace strata
