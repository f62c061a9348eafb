#include "tools/vimage/build/tar_entries.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "common/printable.h"
#include "imaged/build/ignore_file.h"

namespace strata::tools {
namespace {

struct FreeArchive {
  void operator()(archive* a) const { ::archive_read_free(a); }
};
using ArchivePtr = std::unique_ptr<archive, FreeArchive>;

ArchivePtr NewArchive() {
  ArchivePtr made(::archive_read_new());
  ::archive_read_support_format_tar(made.get());
  ::archive_read_support_filter_gzip(made.get());
  ::archive_read_support_filter_bzip2(made.get());
  ::archive_read_support_filter_xz(made.get());
  ::archive_read_support_filter_zstd(made.get());
  return made;
}

struct Reader {
  const Pieces& pieces;
  Status status;
};

la_ssize_t ReadPiece(archive* a, void* data, const void** buffer) {
  auto* reader = static_cast<Reader*>(data);
  const Result<std::string_view> piece = reader->pieces();
  if (!piece.ok()) {
    reader->status = piece.error();
    ::archive_set_error(a, EIO, "%s", "the stream ended");
    return -1;
  }
  *buffer = piece->data();
  return static_cast<la_ssize_t>(piece->size());
}

std::string Text(const char* text) { return text == nullptr ? "" : text; }

imaged::PaxEntry EntryOf(archive_entry* from) {
  imaged::PaxEntry entry;
  entry.path = imaged::build::CleanPath(Text(::archive_entry_pathname(from)));
  entry.mode = ::archive_entry_mode(from);
  entry.uid = static_cast<uint32_t>(::archive_entry_uid(from));
  entry.gid = static_cast<uint32_t>(::archive_entry_gid(from));
  entry.rdev = ::archive_entry_rdev(from);
  entry.mtime_s = ::archive_entry_mtime(from);
  entry.mtime_ns = static_cast<uint32_t>(::archive_entry_mtime_nsec(from));
  if (const char* target = ::archive_entry_hardlink(from); target != nullptr) {
    entry.hard_link = true;
    entry.link = imaged::build::CleanPath(target);
    return entry;
  }
  if (S_ISREG(entry.mode)) entry.size = static_cast<uint64_t>(::archive_entry_size(from));
  entry.link = Text(::archive_entry_symlink(from));
  ::archive_entry_xattr_reset(from);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (::archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    entry.xattrs.push_back({name, std::string(static_cast<const char*>(value), size)});
  }
  std::sort(entry.xattrs.begin(), entry.xattrs.end());
  return entry;
}

// All of an entry's bytes, holes as zeros.
Status CopyData(archive* from, const imaged::ByteSink& sink) {
  char buffer[128 * 1024];
  while (true) {
    const la_ssize_t n = ::archive_read_data(from, buffer, sizeof(buffer));
    if (n == 0) return Ok();
    if (n < 0) return Error(Code::kCorrupt, "archive: " + Text(::archive_error_string(from)));
    RETURN_IF_ERROR(sink({buffer, static_cast<size_t>(n)}));
  }
}

}  // namespace

Status ReadTar(const Pieces& pieces, const TarVisitor& visit) {
  const ArchivePtr opened = NewArchive();
  Reader reader{pieces, Ok()};
  const auto fail = [&]() -> Status {
    RETURN_IF_ERROR(reader.status);
    return Error(Code::kCorrupt, "archive: " + Text(::archive_error_string(opened.get())));
  };
  if (::archive_read_open(opened.get(), &reader, nullptr, ReadPiece, nullptr) != ARCHIVE_OK) {
    return fail();
  }
  while (true) {
    archive_entry* entry = nullptr;
    const int code = ::archive_read_next_header(opened.get(), &entry);
    if (code == ARCHIVE_EOF) return Ok();
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return fail();
    imaged::PaxEntry made = EntryOf(entry);
    const std::string path = made.path;
    RETURN_IF_ERROR(
        visit(std::move(made),
              [&](const imaged::ByteSink& sink) { return CopyData(opened.get(), sink); }),
        Printable(path));
  }
}

struct GnuTarWriter::State {
  imaged::ByteSink sink;
  Status status = Ok();  // The sink's.
  archive* out = nullptr;

  Status Check(la_ssize_t result) const {
    RETURN_IF_ERROR(status);
    if (result >= 0 || result == ARCHIVE_WARN) return Ok();
    return Error(Code::kInternal, "archive: " + Text(::archive_error_string(out)));
  }
};

GnuTarWriter::GnuTarWriter(imaged::ByteSink sink) : state_(std::make_unique<State>()) {
  state_->sink = std::move(sink);
  state_->out = ::archive_write_new();
  ::archive_write_set_format_gnutar(state_->out);
  ::archive_write_set_bytes_in_last_block(state_->out, 1);
  ::archive_write_open(
      state_->out, state_.get(), nullptr,
      [](archive* a, void* data, const void* bytes, size_t size) -> la_ssize_t {
        auto* state = static_cast<State*>(data);
        if (state->status.ok())
          state->status = state->sink({static_cast<const char*>(bytes), size});
        if (state->status.ok()) return static_cast<la_ssize_t>(size);
        ::archive_set_error(a, EIO, "%s", "the reader ended");
        return -1;
      },
      nullptr);
}

GnuTarWriter::~GnuTarWriter() {
  if (state_->status.ok()) state_->status = Error(Code::kCancelled, "not finished");
  ::archive_write_free(state_->out);
}

Status GnuTarWriter::Begin(const imaged::PaxEntry& entry) {
  const std::unique_ptr<archive_entry, decltype(&::archive_entry_free)> to(::archive_entry_new(),
                                                                           ::archive_entry_free);
  ::archive_entry_set_pathname(to.get(), entry.path.c_str());
  ::archive_entry_set_mode(to.get(), entry.mode);
  ::archive_entry_set_uid(to.get(), entry.uid);
  ::archive_entry_set_gid(to.get(), entry.gid);
  ::archive_entry_set_mtime(to.get(), entry.mtime_s, 0);
  ::archive_entry_set_size(to.get(), 0);
  if (entry.hard_link) {
    ::archive_entry_set_hardlink(to.get(), entry.link.c_str());
  } else if (S_ISLNK(entry.mode)) {
    ::archive_entry_set_symlink(to.get(), entry.link.c_str());
  } else if (S_ISREG(entry.mode)) {
    ::archive_entry_set_size(to.get(), static_cast<la_int64_t>(entry.size));
  }
  return state_->Check(::archive_write_header(state_->out, to.get()));
}

Status GnuTarWriter::Write(std::string_view data) {
  return state_->Check(::archive_write_data(state_->out, data.data(), data.size()));
}

Status GnuTarWriter::Finish() { return state_->Check(::archive_write_close(state_->out)); }

bool IsTar(int fd) {
  const ArchivePtr opened = NewArchive();
  archive_entry* entry = nullptr;
  constexpr size_t kBlockBytes = 64 * 1024;
  if (::archive_read_open_fd(opened.get(), fd, kBlockBytes) != ARCHIVE_OK) return false;
  const int code = ::archive_read_next_header(opened.get(), &entry);
  return code == ARCHIVE_OK || code == ARCHIVE_WARN;
}

}  // namespace strata::tools
