#include "tools/vimage/layout_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <cerrno>

namespace strata::tools {

LayoutReader::LayoutReader(Pieces pieces)
    : pieces_(std::move(pieces)), archive_(::archive_read_new()) {
  ::archive_read_support_format_tar(archive_);
}

LayoutReader::~LayoutReader() { ::archive_read_free(archive_); }

Error LayoutReader::Fail() const {
  if (!status_.ok()) return status_.error();
  const char* text = ::archive_error_string(archive_);
  return Error(Code::kCorrupt, std::string("imaged's archive: ") + (text == nullptr ? "?" : text));
}

Result<std::optional<LayoutReader::File>> LayoutReader::Next() {
  if (!opened_) {
    const auto read = [](archive* a, void* cls, const void** buffer) -> la_ssize_t {
      auto* reader = static_cast<LayoutReader*>(cls);
      const Result<std::string_view> piece = reader->pieces_();
      if (!piece.ok()) {
        reader->status_ = piece.error();
        ::archive_set_error(a, EIO, "%s", "the stream ended");
        return -1;
      }
      *buffer = piece->data();
      return static_cast<la_ssize_t>(piece->size());
    };
    opened_ = true;
    if (::archive_read_open(archive_, this, nullptr, read, nullptr) != ARCHIVE_OK) return Fail();
  }
  while (true) {
    archive_entry* entry = nullptr;
    const int code = ::archive_read_next_header(archive_, &entry);
    if (code == ARCHIVE_EOF) return std::optional<File>();
    if (code != ARCHIVE_OK) return Fail();
    if (!S_ISREG(::archive_entry_mode(entry))) continue;
    const char* path = ::archive_entry_pathname(entry);
    return std::optional<File>(
        {path == nullptr ? "" : path, static_cast<uint64_t>(::archive_entry_size(entry))});
  }
}

Result<size_t> LayoutReader::Read(char* buffer, size_t size) {
  const la_ssize_t n = ::archive_read_data(archive_, buffer, size);
  if (n < 0) return Fail();
  return static_cast<size_t>(n);
}

Result<std::string> LayoutReader::ReadText(size_t bytes_max) {
  std::string text;
  char buffer[16 * 1024];
  while (true) {
    ASSIGN_OR_RETURN(const size_t n, Read(buffer, sizeof(buffer)));
    if (n == 0) return text;
    text.append(buffer, n);
    if (text.size() > bytes_max) return Error(Code::kCorrupt, "a document is too long");
  }
}

}  // namespace strata::tools
