// Any bytes as an archive: an error or a tree whose inodes are possible, within the limits, never a
// crash. Contents go to a store on tmpfs and are never committed.
//   build/fuzz/bin/fuzz_tar_import -max_len=65536 CORPUS DIRECTORY_WITH_SMALL_TARS
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/archive/tar_import.h"

namespace strata::imaged {
namespace {

ObjectStore& Store() {
  static auto* const directory =
      new TemporaryDirectory(std::move(*TemporaryDirectory::Create("/dev/shm", "strata-fuzz.")));
  static const auto store = [] {
    std::atexit([] { delete directory; });
    return std::move(*ObjectStore::Open(directory->path() + "/store"));
  }();
  return *store;
}

void ImportOnce(std::string_view input, bool as_root) {
  TarImportOptions options;
  options.caller_is_root = as_root;
  options.limits.tree.entries_max = 1000;
  options.limits.tree.depth_max = 50;
  options.limits.content_bytes_max = 8u << 20;
  const auto ingest = std::move(*Store().StartIngest());
  const auto imported = ImportTar(
      [&]() -> Result<std::string_view> {
        const std::string_view piece = input.substr(0, 999);
        input.remove_prefix(piece.size());
        return piece;
      },
      *ingest, options);
  if (!imported.ok()) return;
  const Tree& tree = imported->tree;
  CHECK(tree.entry_count() <= 1000);
  for (InodeIndex i = 0; i < tree.inode_count(); ++i) CHECK(CheckInode(tree.inode(i)).ok());
  CHECK(tree.Walk([](const std::string&, InodeIndex) { return Ok(); }).ok());
}

}  // namespace
}  // namespace strata::imaged

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  strata::imaged::ImportOnce(input, size % 2 == 0);
  return 0;
}
