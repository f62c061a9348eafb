// EntrySpool: the files of a tar stream on disk, by name. An image archive comes as a stream, and
// what says which of its files are which may come last.
//
// Names are taken as ImportTar takes them (".." is refused) and never become names of this host's
// files: all content lies in one scratch file. Symbolic and hard links between files of the archive
// are followed, as old `docker save` archives have them.
//
// Read-only once it was read, and then thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/import.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/archive/tar_reader.h"
#include "imaged/repository/scratch_file.h"

namespace strata::imaged::oci {

struct SpoolLimits {
  uint64_t bytes_max = 1ull << 40;
  size_t entries_max = 20'000;
};

class EntrySpool {
 public:
  // Reads `tar` (plain or compressed as a whole) to its end. kInvalidArgument: a name that comes
  // twice. kResourceExhausted: a limit, or the disk. Errors name the entry.
  static Result<EntrySpool> Read(const ByteSource& tar, ScratchFile file, const SpoolLimits& limits,
                                 const ImportControl& control);

  struct File {
    uint64_t offset = 0;
    uint64_t size = 0;
  };
  std::optional<File> Find(const std::string& path) const;

  // A file's content, in pieces.
  Status Give(const File& file, const ByteSink& sink, const CancelToken& cancel) const;
  // The first bytes of it, at most `size`.
  Result<std::string> Head(const File& file, size_t size) const;
  // A document: kNotFound, kResourceExhausted beyond kDocumentBytesMax.
  Result<std::string> Document(const std::string& path) const;

 private:
  class Reader;
  struct Entry {
    File file;
    std::optional<std::string> link;  // Another entry's path.
  };
  explicit EntrySpool(ScratchFile file) : file_(std::move(file)) {}

  ScratchFile file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace strata::imaged::oci
