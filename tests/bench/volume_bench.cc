// Costs of one volume: volume_bench KIND DIRECTORY [COUNT [MIB]]. Medians in milliseconds over
// COUNT volumes that exist at the same time, and what each takes on disk.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "common/file_io.h"
#include "common/paths.h"
#include "layerfs/volume/tree_usage.h"
#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

class Series {
 public:
  template <typename Work>
  Status Add(Work work) {
    const auto start = Clock::now();
    RETURN_IF_ERROR(work());
    ms_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    return Ok();
  }
  void Print(const char* what) {
    std::sort(ms_.begin(), ms_.end());
    std::printf("%-12s median %7.3f ms   95 %% %7.3f ms\n", what, ms_[ms_.size() / 2],
                ms_[ms_.size() * 95 / 100]);
  }

 private:
  std::vector<double> ms_;
};

Status Measure(VolumeKind kind, const std::string& parent, int count, uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(const TemporaryDirectory directory,
                   TemporaryDirectory::Create(parent, "volume-bench."));
  const std::string volumes = directory.path() + "/volumes";
  ASSIGN_OR_RETURN(const auto store,
                   OpenVolumeStore(kind, {.directory = volumes,
                                          .mount_dir = directory.path() + "/mounts",
                                          .lvm_pool = EnvironmentOr("STRATA_TEST_LVM_POOL", "")}));
  if (kind == VolumeKind::kNone) limit_bytes = 0;
  RETURN_IF_ERROR(store->Create("template", limit_bytes));  // The first makes the pattern.
  RETURN_IF_ERROR(store->Remove("template"));
  RETURN_IF_ERROR(SyncFileSystem(volumes));
  ASSIGN_OR_RETURN(const TreeUsage before, MeasureTree(volumes));
  Series create, activate, usage, resize, deactivate, remove;
  const auto name = [](int i) { return "v" + std::to_string(i); };
  for (int i = 0; i < count; ++i) {
    RETURN_IF_ERROR(create.Add([&] { return store->Create(name(i), limit_bytes); }));
    RETURN_IF_ERROR(activate.Add([&]() -> Status {
      RETURN_IF_ERROR(store->Activate(name(i)));
      return Ok();
    }));
    ASSIGN_OR_RETURN(const std::string path, store->Activate(name(i)));
    RETURN_IF_ERROR(MakeDirectories(path + "/upper"));
    RETURN_IF_ERROR(MakeDirectories(path + "/work"));
    RETURN_IF_ERROR(usage.Add([&]() -> Status {
      RETURN_IF_ERROR(store->Usage(name(i)));
      return Ok();
    }));
    if (limit_bytes == 0) continue;
    RETURN_IF_ERROR(resize.Add([&] { return store->Resize(name(i), limit_bytes * 2); }));
  }
  RETURN_IF_ERROR(SyncFileSystem(volumes));
  ASSIGN_OR_RETURN(const TreeUsage after, MeasureTree(volumes));
  for (int i = 0; i < count; ++i) {
    RETURN_IF_ERROR(deactivate.Add([&] { return store->Deactivate(name(i)); }));
    RETURN_IF_ERROR(remove.Add([&] { return store->Remove(name(i)); }));
  }
  create.Print("create");
  activate.Print("activate");
  usage.Print("usage");
  if (limit_bytes != 0) resize.Print("resize");
  deactivate.Print("deactivate");
  remove.Print("remove");
  std::printf("%-12s %7.1f kB\n", "disk",
              static_cast<double>(after.bytes - before.bytes) / count / 1000);
  return Ok();
}

}  // namespace
}  // namespace strata::layerfs

int main(int argc, char** argv) {
  using namespace strata::layerfs;
  if (argc < 3 || argc > 5) {
    std::fputs("usage: volume_bench KIND DIRECTORY [COUNT [MIB]]\n", stderr);
    return 2;
  }
  const auto kind = ParseVolumeKind(argv[1]);
  const int count = argc > 3 ? std::max(1, std::atoi(argv[3])) : 50;
  const uint64_t mebibytes = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 10240;
  const strata::Status measured =
      kind.ok() ? Measure(*kind, argv[2], count, mebibytes << 20) : strata::Status(kind.error());
  if (measured.ok()) return 0;
  std::fprintf(stderr, "volume_bench: %s\n", measured.error().message().c_str());
  return 1;
}
