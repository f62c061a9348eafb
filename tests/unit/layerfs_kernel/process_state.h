// What tests look at to prove that nothing stayed behind, and to wait for another process.
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <chrono>
#include <string>
#include <thread>

#include "common/file_io.h"

namespace strata::layerfs {

inline size_t OpenDescriptors() {
  size_t count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (directory != nullptr && ::readdir(directory) != nullptr) ++count;
  if (directory != nullptr) ::closedir(directory);
  return count;
}

// Mounts are told apart by the directory's name: others work on this machine too.
inline size_t MountsNaming(const std::string& text) {
  const auto mounts = ReadFile("/proc/self/mountinfo", 16u << 20);
  EXPECT_TRUE(mounts.ok());
  size_t count = 0;
  for (size_t at = mounts->find(text); at != std::string::npos; at = mounts->find(text, at + 1)) {
    ++count;
  }
  return count;
}

// Read from sysfs: a device that is free has no backing file.
inline size_t LoopDevicesOf(const std::string& text) {
  size_t count = 0;
  for (int number = 0; number < 64; ++number) {
    const auto backing =
        ReadFile("/sys/block/loop" + std::to_string(number) + "/loop/backing_file", 1u << 16);
    if (backing.ok() && backing->find(text) != std::string::npos) ++count;
  }
  return count;
}

// Returns when a process has been put to sleep inside of open(2): /proc/PID/syscall names the call
// that a blocked process is in.
inline void AwaitOpenCall(pid_t process) {
  const std::string path = "/proc/" + std::to_string(process) + "/syscall";
  const std::string wanted = std::to_string(SYS_openat) + " ";
  for (auto text = ReadFile(path); !text.ok() || !text->starts_with(wanted);
       text = ReadFile(path)) {
    ASSERT_TRUE(text.ok()) << text.error().message();
    std::this_thread::yield();
  }
}

}  // namespace strata::layerfs
