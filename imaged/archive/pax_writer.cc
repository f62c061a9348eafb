#include "imaged/archive/pax_writer.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/log.h"
#include "imaged/archive/posix_acl.h"

namespace strata::imaged {
namespace {

constexpr uint64_t kBlock = 512;
constexpr std::array<char, kBlock> kZeros{};

uint64_t Padding(uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

// "27 path=some/where\n": the length counts itself.
void AddRecord(std::string* records, const std::string& key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;  // Space, '=' and newline.
  size_t length = rest + 1;
  while (rest + std::to_string(length).size() != length) {
    length = rest + std::to_string(length).size();
  }
  *records += std::to_string(length) + " " + key + "=";
  *records += value;
  *records += '\n';
}

// Seconds with a decimal fraction; a negative time counts its fraction upwards in struct timespec
// and away from zero in text.
std::string TimeText(int64_t seconds, uint32_t nanoseconds) {
  const bool negative = seconds < 0;
  if (negative && nanoseconds > 0) {
    ++seconds;
    nanoseconds = 1'000'000'000 - nanoseconds;
  }
  std::string text = negative && seconds == 0 ? "-0" : std::to_string(seconds);
  if (nanoseconds == 0) return text;
  std::string fraction = std::to_string(1'000'000'000 + nanoseconds);
  fraction[0] = '.';
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return text + fraction;
}

// GNU tar's spelling of names that could not be pax keywords (xheader.c, xattr_encode_keyword).
std::string EncodeKeyword(std::string_view name) {
  std::string encoded;
  for (const char c : name) {
    if (c == '=') {
      encoded += "%3D";
    } else if (c == '%') {
      encoded += "%25";
    } else {
      encoded += c;
    }
  }
  return encoded;
}

void AddXattr(std::string* records, const Xattr& xattr) {
  const bool access = xattr.name == kAccessAclXattr;
  if (access || xattr.name == kDefaultAclXattr) {
    // One the kernel would refuse goes as it is: nothing is lost.
    if (const auto acl = ParseAclXattr(xattr.value); acl.ok()) {
      AddRecord(records, access ? "SCHILY.acl.access" : "SCHILY.acl.default", AclText(*acl));
      return;
    }
  }
  AddRecord(records, "SCHILY.xattr." + EncodeKeyword(xattr.name), xattr.value);
}

char TypeFlag(const PaxEntry& entry) {
  if (entry.hard_link) return '1';
  switch (entry.mode & S_IFMT) {
    case S_IFREG:
      return '0';
    case S_IFLNK:
      return '2';
    case S_IFCHR:
      return '3';
    case S_IFBLK:
      return '4';
    case S_IFDIR:
      return '5';
    case S_IFIFO:
      return '6';
    default:
      return '\0';
  }
}

std::string StoredPath(const PaxEntry& entry) {
  if (entry.path.empty()) return "./";
  return S_ISDIR(entry.mode) ? entry.path + "/" : entry.path;
}

std::string SparseMap(const PaxEntry& entry) {
  std::vector<Extent> extents = entry.extents;
  // GNU tar learns the length of a trailing hole from an empty extent.
  if (extents.empty() || extents.back().offset + extents.back().size < entry.size) {
    extents.push_back({entry.size, 0});
  }
  std::string map = std::to_string(extents.size()) + "\n";
  for (const Extent& extent : extents) {
    map += std::to_string(extent.offset) + "\n" + std::to_string(extent.size) + "\n";
  }
  map.append(Padding(map.size()), '\0');
  return map;
}

}  // namespace

// POSIX ustar header block.
struct PaxWriter::Header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
  char magic[8], user[32], group[32], major[8], minor[8], prefix[155], unused[12];

  // Cut off where it is too long: a pax record then has the whole.
  template <size_t kSize>
  static bool SetText(char (&field)[kSize], std::string_view text) {
    std::memcpy(field, text.data(), std::min(kSize, text.size()));
    return text.size() <= kSize;
  }

  // Octal digits and a NUL; false (and zero) when it does not fit.
  template <size_t kSize>
  static bool SetNumber(char (&field)[kSize], uint64_t value) {
    const bool fits = value >> (3 * (kSize - 1)) == 0;
    if (!fits) value = 0;
    for (size_t i = kSize - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + value % 8);
    return fits;
  }

  void Seal() {
    std::memcpy(magic, "ustar\00000", sizeof(magic));
    std::memset(checksum, ' ', sizeof(checksum));
    uint64_t sum = 0;
    for (const char c : View()) sum += static_cast<uint8_t>(c);
    char digits[7] = {};
    SetNumber(digits, sum);
    std::memcpy(checksum, digits, sizeof(digits));
  }

  std::string_view View() const { return {reinterpret_cast<const char*>(this), sizeof(*this)}; }
};

Status PaxWriter::Put(std::string_view data) {
  while (!data.empty()) {
    const size_t n = std::min(data.size(), kSinkBytesMax - buffer_.size());
    buffer_ += data.substr(0, n);
    data.remove_prefix(n);
    if (buffer_.size() < kSinkBytesMax) break;
    RETURN_IF_ERROR(sink_(buffer_));
    buffer_.clear();
  }
  return Ok();
}

Status PaxWriter::Pad(uint64_t size) { return Put({kZeros.data(), Padding(size)}); }

Status PaxWriter::WriteExtended(const PaxEntry& entry, const std::string& records) {
  static_assert(sizeof(Header) == kBlock);
  Header header{};
  const size_t slash = entry.path.rfind('/');
  Header::SetText(header.name,
                  "PaxHeaders/" + entry.path.substr(slash == std::string::npos ? 0 : slash + 1));
  Header::SetNumber(header.mode, 0644);
  Header::SetNumber(header.uid, 0);
  Header::SetNumber(header.gid, 0);
  Header::SetNumber(header.size, records.size());
  Header::SetNumber(header.mtime, 0);
  header.type = 'x';
  header.Seal();
  RETURN_IF_ERROR(Put(header.View()));
  RETURN_IF_ERROR(Put(records));
  return Pad(records.size());
}

Status PaxWriter::Begin(const PaxEntry& entry) {
  CHECK(missing_bytes_ == 0);
  Header header{};
  std::string records;
  header.type = TypeFlag(entry);
  if (header.type == '\0') return Error(Code::kInvalidArgument, "tar cannot hold a socket");

  const bool regular = header.type == '0';
  std::string map;
  body_bytes_ = regular ? entry.size : 0;
  std::string path = StoredPath(entry);
  if (regular && entry.sparse) {
    map = SparseMap(entry);
    body_bytes_ = map.size();
    for (const Extent& extent : entry.extents) body_bytes_ += extent.size;
    AddRecord(&records, "GNU.sparse.major", "1");
    AddRecord(&records, "GNU.sparse.minor", "0");
    AddRecord(&records, "GNU.sparse.name", path);
    AddRecord(&records, "GNU.sparse.realsize", std::to_string(entry.size));
    path = "GNUSparseFile.0/" + path.substr(path.rfind('/') + 1, 80);
  }
  if (!Header::SetText(header.name, path)) AddRecord(&records, "path", path);
  if (!Header::SetText(header.link, entry.link)) AddRecord(&records, "linkpath", entry.link);
  Header::SetNumber(header.mode, entry.mode & 07777);
  if (!Header::SetNumber(header.uid, entry.uid)) {
    AddRecord(&records, "uid", std::to_string(entry.uid));
  }
  if (!Header::SetNumber(header.gid, entry.gid)) {
    AddRecord(&records, "gid", std::to_string(entry.gid));
  }
  if (!Header::SetNumber(header.size, body_bytes_)) {
    AddRecord(&records, "size", std::to_string(body_bytes_));
  }
  if (!Header::SetNumber(header.mtime, static_cast<uint64_t>(entry.mtime_s)) ||
      entry.mtime_ns != 0) {
    AddRecord(&records, "mtime", TimeText(entry.mtime_s, entry.mtime_ns));
  }
  if (!entry.hard_link) {
    for (const Xattr& xattr : entry.xattrs) AddXattr(&records, xattr);
  }
  const bool device = header.type == '3' || header.type == '4';
  Header::SetNumber(header.major, device ? major(entry.rdev) : 0);
  Header::SetNumber(header.minor, device ? minor(entry.rdev) : 0);
  header.Seal();
  if (!records.empty()) RETURN_IF_ERROR(WriteExtended(entry, records));
  RETURN_IF_ERROR(Put(header.View()));
  missing_bytes_ = body_bytes_ - map.size();
  return Put(map);
}

Status PaxWriter::Write(std::string_view data) {
  CHECK(data.size() <= missing_bytes_);
  missing_bytes_ -= data.size();
  return Put(data);
}

Status PaxWriter::End() {
  CHECK(missing_bytes_ == 0);
  return Pad(body_bytes_);
}

Status PaxWriter::Finish() {
  for (int i = 0; i < 2; ++i) RETURN_IF_ERROR(Put({kZeros.data(), kZeros.size()}));
  if (buffer_.empty()) return Ok();
  RETURN_IF_ERROR(sink_(buffer_));
  buffer_.clear();
  return Ok();
}

}  // namespace strata::imaged
