// The pieces of tests/bench/run that need our libraries or a loop without a shell in it:
//   layerfs_bench image SOURCE TARGET          make an image of a directory
//   layerfs_bench clone IMAGE DIR COUNT SHIFT  COUNT roots in turn, then COUNT in parallel:
//                                              prints microseconds: median, p90, parallel wall
//   layerfs_bench hold IMAGE                   mounts a root at <line>/root for each line of its
//                                              input, as a daemon of many roots does: answers "ok"
//   layerfs_bench random FILE READS            4 KiB reads: prints microseconds in all
//   layerfs_bench readall DIR                  opens, reads and closes every file below DIR: prints
//                                              microseconds in all and the number of files
//   layerfs_bench readlist DIR                 the same for the paths on its input
//   layerfs_bench map FILE                     touches each page of a shared map, 10 times
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/file_io.h"
#include "common/mount.h"
#include "layerfs/root.h"
#include "layerfs/tree_mounts.h"
#include "tests/bench/directory_image.h"

namespace strata::bench {
namespace {

using Clock = std::chrono::steady_clock;

double MicrosSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// What vclusterd does for a new node: a volume, an upper, a root, attached.
Status CloneOne(const std::string& image, const std::string& volume, bool shift,
                layerfs::TreeMounts& trees) {
  layerfs::RootSpec spec{.tree_path = image + "/tree",
                         .objects_dir = image + "/objects",
                         .upper_dir = volume + "/upper",
                         .work_dir = volume + "/work"};
  if (shift) spec.id_shift = layerfs::IdShift{.first_id = 100000, .count = 65536};
  RETURN_IF_ERROR(MakeDirectories(volume + "/root"));
  RETURN_IF_ERROR(layerfs::PrepareUpper(spec));
  ASSIGN_OR_RETURN(const UniqueFd root, layerfs::MountRoot(layerfs::Driver::kKernel, spec, trees));
  return AttachMount(root.get(), volume + "/root");
}

Status Clones(const std::string& image, const std::string& directory, int count, bool shift) {
  layerfs::TreeMounts trees;
  RETURN_IF_ERROR(CloneOne(image, directory + "/warm", shift, trees));
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto start = Clock::now();
    RETURN_IF_ERROR(CloneOne(image, directory + "/s" + std::to_string(i), shift, trees));
    times.push_back(MicrosSince(start));
  }
  std::sort(times.begin(), times.end());
  std::vector<Status> results(static_cast<size_t>(count));
  const auto start = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        results[static_cast<size_t>(i)] =
            CloneOne(image, directory + "/p" + std::to_string(i), shift, trees);
      });
    }
  }
  const double parallel = MicrosSince(start);
  for (const Status& result : results) RETURN_IF_ERROR(result);
  std::printf("%.0f %.0f %.0f\n", times[times.size() / 2], times[times.size() * 9 / 10], parallel);
  return Ok();
}

Status HoldRoots(const std::string& image) {
  layerfs::TreeMounts trees;
  for (std::string volume; std::getline(std::cin, volume);) {
    RETURN_IF_ERROR(CloneOne(image, volume, /*shift=*/false, trees));
    std::printf("ok\n");
    std::fflush(stdout);
  }
  return Ok();
}

Status RandomReads(const std::string& path, int reads) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY));
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0) return Errno(path);
  std::mt19937_64 random(1);
  char buffer[4096];
  const auto start = Clock::now();
  for (int i = 0; i < reads; ++i) {
    const auto page = static_cast<off_t>(random() % static_cast<uint64_t>(st.st_size / 4096));
    if (::pread(fd.get(), buffer, sizeof(buffer), page * 4096) < 0) return Errno(path);
  }
  std::printf("%.0f\n", MicrosSince(start));
  return Ok();
}

Status ReadPaths(const std::vector<std::string>& paths) {
  std::vector<char> buffer(1 << 20);
  const auto start = Clock::now();
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY));
    ssize_t n;
    while ((n = ::read(fd.get(), buffer.data(), buffer.size())) > 0) {
    }
    if (n < 0) return Errno("read " + path);
  }
  std::printf("%.0f %zu\n", MicrosSince(start), paths.size());
  return Ok();
}

// The paths on standard input, one a line, below a directory.
Status ReadListed(const std::string& directory) {
  std::vector<std::string> paths;
  for (std::string path; std::getline(std::cin, path);) paths.push_back(directory + "/" + path);
  return ReadPaths(paths);
}

Status ReadAllFiles(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error)) {
    if (entry.is_regular_file() && !entry.is_symlink()) paths.push_back(entry.path());
  }
  if (error) return Errno("list " + directory, error.value());
  return ReadPaths(paths);
}

Status MapAndTouch(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY));
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0) return Errno(path);
  const auto size = static_cast<size_t>(st.st_size);
  const auto start = Clock::now();
  unsigned sum = 0;
  for (int round = 0; round < 10; ++round) {
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return Errno("mmap " + path);
    for (size_t at = 0; at < size; at += 4096) sum += static_cast<const volatile char*>(memory)[at];
    ::munmap(memory, size);
  }
  std::printf("%.0f\n", MicrosSince(start));
  std::fprintf(stderr, "%u\n", sum);
  return Ok();
}

Status Dispatch(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "image") return ImageFromDirectory(words[1], words[2]);
  if (words.size() == 5 && words[0] == "clone") {
    return Clones(words[1], words[2], std::stoi(words[3]), words[4] == "shift");
  }
  if (words.size() == 2 && words[0] == "hold") return HoldRoots(words[1]);
  if (words.size() == 3 && words[0] == "random") return RandomReads(words[1], std::stoi(words[2]));
  if (words.size() == 2 && words[0] == "readall") return ReadAllFiles(words[1]);
  if (words.size() == 2 && words[0] == "readlist") return ReadListed(words[1]);
  if (words.size() == 2 && words[0] == "map") return MapAndTouch(words[1]);
  return Error(Code::kInvalidArgument, "see the head of layerfs_bench.cc");
}

}  // namespace
}  // namespace strata::bench

int main(int argc, char** argv) {
  try {
    const strata::Status done = strata::bench::Dispatch({argv + 1, argv + argc});
    if (done.ok()) return 0;
    std::fprintf(stderr, "layerfs_bench: %s\n", done.error().message().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "layerfs_bench: %s\n", error.what());
  }
  return 1;
}
