// Times an import into a fresh store: ingest_bench STORE_DIR tar|dir PATH.
// STORE_DIR must not exist. Run it beside tar -xf and casync make on the same input, page cache
// warm.
#include <fcntl.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "imaged/archive/directory_import.h"
#include "imaged/archive/tar_export.h"
#include "imaged/archive/tar_import.h"

namespace strata::imaged {
namespace {

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

Result<ImportedLayer> ImportFrom(const std::string& kind, const std::string& path, Ingest& ingest) {
  if (kind == "dir") {
    DirectoryImportOptions options;
    options.caller_is_root = true;
    return ImportDirectory(path, ingest, options);
  }
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY));
  std::vector<char> buffer(256 * 1024);  // Pieces as they come from a client.
  TarImportOptions options;
  options.caller_is_root = true;
  return ImportTar(
      [&]() -> Result<std::string_view> {
        const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
        if (n < 0) return Errno("read");
        return std::string_view(buffer.data(), static_cast<size_t>(n));
      },
      ingest, options);
}

Status Measure(const std::string& root, const std::string& kind, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ObjectStore> store, ObjectStore::Open(root));
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const std::unique_ptr<Ingest> ingest, store->StartIngest());
  ASSIGN_OR_RETURN(const ImportedLayer layer, ImportFrom(kind, path, *ingest));
  const double read = Seconds(start);
  RETURN_IF_ERROR(ingest->Commit());
  const double all = Seconds(start);
  const auto export_start = std::chrono::steady_clock::now();
  uint64_t exported = 0;
  RETURN_IF_ERROR(ExportTar(layer.tree, *store, [&](std::string_view data) -> Status {
    exported += data.size();
    return Ok();
  }));
  const double mb = static_cast<double>(layer.content_bytes) / 1e6;
  const IngestStats stats = ingest->stats();
  std::printf(
      "%s: %llu entries, %.0f MB, %llu objects: read %.3f s, with commit %.3f s "
      "(%.0f MB/s, %.0f entries/s); export %.3f s (%.0f MB/s)\n",
      kind.c_str(), static_cast<unsigned long long>(layer.entries), mb,
      static_cast<unsigned long long>(stats.objects), read, all, mb / all,
      static_cast<double>(layer.entries) / all, Seconds(export_start),
      static_cast<double>(exported) / 1e6 / Seconds(export_start));
  return Ok();
}

}  // namespace
}  // namespace strata::imaged

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: ingest_bench STORE_DIR tar|dir PATH\n");
    return 2;
  }
  const strata::Status measured = strata::imaged::Measure(argv[1], argv[2], argv[3]);
  if (measured.ok()) return 0;
  std::fprintf(stderr, "ingest_bench: %s\n", measured.error().message().c_str());
  return 1;
}
