// The entries of a tar archive, plain or compressed, through libarchive.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "common/result.h"
#include "imaged/archive/pax_writer.h"

namespace strata::tools {

// Gives a regular file's bytes, as many as its entry says.
using FileContent = std::function<Status(const imaged::ByteSink&)>;
// The next bytes of an archive; empty at its end.
using Pieces = std::function<Result<std::string_view>()>;
// In the archive's order; paths are clean, "" is the root, hard links name paths of the archive.
using TarVisitor = std::function<Status(imaged::PaxEntry entry, const FileContent& content)>;

// kCorrupt for what is no tar; errors of the source and of `visit`.
Status ReadTar(const Pieces& pieces, const TarVisitor& visit);

// Writes a tar in GNU's format, which every tar in an image reads, whatever the length of names:
// entries without attributes, sparse files whole. Used by one thread.
class GnuTarWriter {
 public:
  explicit GnuTarWriter(imaged::ByteSink sink);
  ~GnuTarWriter();
  Status Begin(const imaged::PaxEntry& entry);
  Status Write(std::string_view data);
  Status Finish();

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// Whether the file at `fd` is a tar (plain, gzip, bzip2, xz or zstd); its offset moves.
bool IsTar(int fd);

}  // namespace strata::tools
