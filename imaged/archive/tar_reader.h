// TarReader: the entries of a tar stream, through libarchive, limited to tar formats (ustar, pax,
// GNU) as they are or compressed as a whole with gzip, zstd, xz or bzip2.
//
// gzip is decompressed here, because libarchive does not check its CRC.
// libarchive converts names between charsets by the thread's locale. Here names are bytes: every
// call runs under the "C" locale, where a pax name that is not ASCII cannot be converted and
// libarchive hands out its bytes.
//
// Used by one thread. kCorrupt names the entry in which the stream ends or goes wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "imaged/archive/gzip_source.h"

struct archive;
struct archive_entry;

namespace strata::imaged {

// A piece of an entry's content; what lies between pieces is a hole.
struct TarBlock {
  uint64_t offset = 0;
  std::string_view data;
};

class TarReader {
 public:
  // `may_be_compressed` false: what looks compressed is no tar.
  explicit TarReader(ByteSource source, bool may_be_compressed = true);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // The next entry, valid until the next call; null at the end of the archive, which must carry its
  // end mark. What follows the mark is read and ignored, as tar does.
  Result<archive_entry*> Next();
  // What libarchive did not understand of the current entry; empty: nothing.
  const std::string& warning() const { return warning_; }
  // The next piece of the current entry's content; nullopt after the last.
  Result<std::optional<TarBlock>> ReadBlock();

 private:
  class Stage;
  enum class Compression { kNone, kGzip, kOther };
  Status Start();
  Result<Compression> DetectCompression();
  Status StartFilter(ByteSource bytes);
  Result<std::string_view> ReadFiltered();
  Result<archive_entry*> End();
  Error Fail() const;

  ByteSource source_;
  const bool may_be_compressed_;
  std::string head_;  // What DetectCompression read.
  // One of them decompresses; both are null when the stream is plain.
  std::unique_ptr<GzipSource> gzip_;
  std::unique_ptr<Stage> filter_;
  std::unique_ptr<Stage> tar_;
  std::string entry_name_;  // For errors.
  std::string warning_;
};

}  // namespace strata::imaged
