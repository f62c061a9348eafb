#include "imaged/archive/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <array>
#include <utility>

#include "common/printable.h"

namespace strata::imaged {
namespace {

class CLocale {
 public:
  CLocale() : previous_(::uselocale(Get())) {}
  ~CLocale() { ::uselocale(previous_); }
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;

 private:
  static locale_t Get() {
    static const locale_t locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
    return locale;
  }
  locale_t previous_;
};

constexpr std::string_view kGzipMagic("\x1f\x8b", 2);
constexpr std::array<std::string_view, 3> kOtherMagics = {std::string_view("\x28\xb5\x2f\xfd", 4),
                                                          std::string_view("\xfd"
                                                                           "7zXZ\0",
                                                                           6),
                                                          std::string_view("BZh", 3)};
constexpr size_t kMagicMax = 6;

// ARCHIVE_RETRY is what libarchive says of a header with a bad checksum: no entry is skipped here.
bool Usable(int status) { return status == ARCHIVE_OK || status == ARCHIVE_WARN; }

}  // namespace

// One libarchive handle and the source it reads.
class TarReader::Stage {
 public:
  explicit Stage(ByteSource source) : source_(std::move(source)), handle_(::archive_read_new()) {}
  ~Stage() { ::archive_read_free(handle_); }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  archive* handle() const { return handle_; }
  bool source_ended() const { return ended_; }
  uint64_t source_bytes() const { return bytes_; }
  const std::optional<Error>& source_error() const { return error_; }

  int Open() { return ::archive_read_open(handle_, this, nullptr, &Stage::Read, nullptr); }

  // The error of the source when it has one, else libarchive's.
  Error Failure() const {
    if (error_) return *error_;
    const char* text = ::archive_error_string(handle_);
    return Error(Code::kCorrupt, text == nullptr ? "not readable" : text);
  }

  // Reads what is left, so that a sender is not stuck and checksums at the end are checked.
  Status Drain() {
    while (!ended_) {
      ASSIGN_OR_RETURN(const std::string_view data, source_());
      ended_ = data.empty();
    }
    return Ok();
  }

 private:
  static la_ssize_t Read(archive* handle, void* self, const void** buffer) {
    auto& stage = *static_cast<Stage*>(self);
    if (stage.ended_) return 0;
    Result<std::string_view> data = stage.source_();
    if (!data.ok()) {
      stage.error_ = data.error();
      ::archive_set_error(handle, EIO, "%s", "the source failed");
      return -1;
    }
    stage.ended_ = data->empty();
    stage.bytes_ += data->size();
    *buffer = data->data();
    return static_cast<la_ssize_t>(data->size());
  }

  ByteSource source_;
  archive* handle_;
  bool ended_ = false;
  uint64_t bytes_ = 0;
  std::optional<Error> error_;
};

TarReader::TarReader(ByteSource source, bool may_be_compressed)
    : source_(std::move(source)), may_be_compressed_(may_be_compressed) {}
TarReader::~TarReader() = default;

// Reads the first bytes into head_ and tells what they are.
Result<TarReader::Compression> TarReader::DetectCompression() {
  while (head_.size() < kMagicMax) {
    ASSIGN_OR_RETURN(const std::string_view data, source_());
    if (data.empty()) break;
    head_ += data;
  }
  if (head_.empty()) return Error(Code::kCorrupt, "the archive is empty");
  if (!may_be_compressed_) return Compression::kNone;
  if (head_.starts_with(kGzipMagic)) return Compression::kGzip;
  for (const std::string_view magic : kOtherMagics) {
    if (head_.starts_with(magic)) return Compression::kOther;
  }
  return Compression::kNone;
}

Status TarReader::StartFilter(ByteSource bytes) {
  filter_ = std::make_unique<Stage>(std::move(bytes));
  archive* handle = filter_->handle();
  if (::archive_read_support_filter_zstd(handle) != ARCHIVE_OK ||
      ::archive_read_support_filter_xz(handle) != ARCHIVE_OK ||
      ::archive_read_support_filter_bzip2(handle) != ARCHIVE_OK ||
      ::archive_read_support_format_raw(handle) != ARCHIVE_OK) {
    return Error(Code::kUnsupported, "libarchive was built without zstd, xz or bzip2");
  }
  archive_entry* entry = nullptr;
  if (filter_->Open() != ARCHIVE_OK || !Usable(::archive_read_next_header(handle, &entry))) {
    return filter_->Failure().Wrap("decompress");
  }
  return Ok();
}

Result<std::string_view> TarReader::ReadFiltered() {
  const void* data = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  while (size == 0) {  // An empty block is not the end.
    const int status = ::archive_read_data_block(filter_->handle(), &data, &size, &offset);
    if (status == ARCHIVE_EOF) return std::string_view();
    if (!Usable(status)) return filter_->Failure();
  }
  return std::string_view(static_cast<const char*>(data), size);
}

Status TarReader::Start() {
  ASSIGN_OR_RETURN(const Compression compression, DetectCompression());
  ByteSource bytes = [this, first = true]() mutable -> Result<std::string_view> {
    if (std::exchange(first, false)) return std::string_view(head_);
    return source_();
  };
  if (compression == Compression::kGzip) {
    gzip_ = std::make_unique<GzipSource>(std::move(bytes));
    bytes = [this] { return gzip_->Next(); };
  } else if (compression == Compression::kOther) {
    RETURN_IF_ERROR(StartFilter(std::move(bytes)));
    bytes = [this] { return ReadFiltered(); };
  }
  tar_ = std::make_unique<Stage>(std::move(bytes));
  ::archive_read_support_format_tar(tar_->handle());
  ::archive_read_set_option(tar_->handle(), "tar", "hdrcharset", "BINARY");
  if (tar_->Open() != ARCHIVE_OK) return Fail();
  return Ok();
}

// What went wrong, told by where: the source, the compression, the end of the stream, the archive.
Error TarReader::Fail() const {
  const std::string where = entry_name_.empty() ? "at its start" : "in or after " + entry_name_;
  if (const auto& error = tar_->source_error()) {
    if (error->code() != Code::kCorrupt) return *error;
    return error->Wrap("the compressed archive is damaged or cut off, " + where);
  }
  if (entry_name_.empty()) return tar_->Failure().Wrap("this is not a tar archive");
  if (!tar_->source_ended()) return tar_->Failure().Wrap("the archive is damaged, " + where);
  return Error(Code::kCorrupt, "the archive ends in the middle of " + entry_name_);
}

Result<archive_entry*> TarReader::End() {
  // libarchive overlooks one when it looks for the second block of the end mark.
  if (tar_->source_error()) return Fail();
  // libarchive takes the end of the stream for the end of the archive; without the mark, entries
  // may be missing.
  const auto position = static_cast<uint64_t>(::archive_read_header_position(tar_->handle()));
  if (tar_->source_ended() && position >= tar_->source_bytes()) {
    return Error(Code::kCorrupt, "the archive ends without its end mark, after " + entry_name_);
  }
  if (Status drained = tar_->Drain(); !drained.ok()) return drained.error();
  return nullptr;
}

Result<archive_entry*> TarReader::Next() {
  const CLocale locale;
  if (tar_ == nullptr) RETURN_IF_ERROR(Start());
  archive_entry* entry = nullptr;
  const int status = ::archive_read_next_header(tar_->handle(), &entry);
  if (status == ARCHIVE_EOF) return End();
  if (!Usable(status)) return Fail();
  const char* name = ::archive_entry_pathname(entry);
  if (name == nullptr) return Error(Code::kCorrupt, "an entry without a name after " + entry_name_);
  entry_name_ = Printable(name);
  warning_.clear();
  if (status == ARCHIVE_WARN) {
    const char* text = ::archive_error_string(tar_->handle());
    if (text != nullptr) warning_ = text;
    if (warning_.find("current locale") != std::string::npos) warning_.clear();
  }
  return entry;
}

Result<std::optional<TarBlock>> TarReader::ReadBlock() {
  const CLocale locale;
  const void* data = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  const int status = ::archive_read_data_block(tar_->handle(), &data, &size, &offset);
  if (status == ARCHIVE_EOF) return std::optional<TarBlock>();
  if (!Usable(status) || offset < 0) return Fail();
  return TarBlock{static_cast<uint64_t>(offset), {static_cast<const char*>(data), size}};
}

}  // namespace strata::imaged
