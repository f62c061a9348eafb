#include "imaged/manifest/erofs_xattr.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/log.h"
#include "imaged/manifest/erofs_format.h"
#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged {

namespace {
constexpr std::string_view kOverlayName = "trusted.overlay.";
constexpr std::string_view kEscapedName = "trusted.overlay.overlay.";
}  // namespace

std::string EscapeXattrName(std::string_view canonical) {
  if (!canonical.starts_with(kOverlayName)) return std::string(canonical);
  return std::string(kEscapedName).append(canonical.substr(kOverlayName.size()));
}

std::optional<std::string> UnescapeXattrName(std::string_view stored) {
  if (stored.starts_with(kEscapedName)) {
    return std::string(kOverlayName).append(stored.substr(kEscapedName.size()));
  }
  if (stored.starts_with(kOverlayName)) return std::nullopt;
  return std::string(stored);
}

namespace erofs {
namespace {

struct Prefix {
  uint8_t number;
  std::string_view text;
};
// EROFS_XATTR_INDEX_*. The ACLs are whole names: their suffix is empty.
constexpr Prefix kPrefixes[] = {{1, "user."},
                                {2, "system.posix_acl_access"},
                                {3, "system.posix_acl_default"},
                                {kTrusted, "trusted."},
                                {6, "security."}};
constexpr uint32_t kFilterSeed = 0x25BBE08F;

const Prefix* PrefixOf(std::string_view name) {
  for (const Prefix& prefix : kPrefixes) {
    if (name.starts_with(prefix.text)) return &prefix;
  }
  return nullptr;
}

// "overlay." when a canonical name needs the escape, else nothing. The stored suffix is this plus
// the canonical suffix.
std::string_view EscapeOf(std::string_view canonical) {
  return canonical.starts_with(kOverlayName) ? kOverlay : std::string_view();
}

uint64_t EntrySize(size_t suffix_size, size_t value_size) {
  return AlignUp(sizeof(XattrEntry) + suffix_size + value_size, 4);
}

constexpr size_t kRedirectSize = 2 + 2 * Digest::kSize;  // Two slashes and the digits.

class AreaWriter {
 public:
  explicit AreaWriter(std::string* out) : out_(*out), start_(out->size()) {
    out_.append(sizeof(XattrHeader), '\0');
  }
  // The suffix is `head` + `tail`.
  void Add(uint8_t prefix, std::string_view head, std::string_view tail, std::string_view value) {
    XattrEntry entry;
    entry.name_size = static_cast<uint8_t>(head.size() + tail.size());
    entry.prefix = prefix;
    entry.value_size = static_cast<uint16_t>(value.size());
    out_.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
    const size_t name = out_.size();
    out_.append(head).append(tail);
    present_ |= 1u << (XXH32(out_.data() + name, entry.name_size, kFilterSeed + prefix) & 31);
    out_.append(value);
    out_.resize(start_ + AlignUp(out_.size() - start_, 4), '\0');
  }
  void Finish() {
    XattrHeader header = {};
    header.name_filter = ~present_;
    std::memcpy(out_.data() + start_, &header, sizeof(header));
  }

 private:
  std::string& out_;
  const size_t start_;
  uint32_t present_ = 0;
};

bool HasObject(const Inode& inode) { return inode.IsRegular() && !inode.object.IsZero(); }

}  // namespace

uint64_t XattrAreaSize(const Inode& inode) {
  uint64_t size = 0;
  if (HasObject(inode)) {
    size += EntrySize(kMetacopy.size(), 0) + EntrySize(kRedirect.size(), kRedirectSize);
  }
  if (inode.opaque) size += EntrySize(kOpaque.size(), 1);
  for (const Xattr& xattr : inode.xattrs) {
    const Prefix* prefix = PrefixOf(xattr.name);
    CHECK(prefix != nullptr);  // CheckInode came before.
    size += EntrySize(EscapeOf(xattr.name).size() + xattr.name.size() - prefix->text.size(),
                      xattr.value.size());
  }
  return size == 0 ? 0 : sizeof(XattrHeader) + size;
}

void AppendXattrArea(const Inode& inode, std::string* out) {
  if (!HasObject(inode) && !inode.opaque && inode.xattrs.empty()) return;
  AreaWriter writer(out);
  if (HasObject(inode)) {
    writer.Add(kTrusted, kMetacopy, "", "");
    writer.Add(kTrusted, kRedirect, "", RedirectOf(inode.object));
  }
  if (inode.opaque) writer.Add(kTrusted, kOpaque, "", "y");
  for (const Xattr& xattr : inode.xattrs) {
    const Prefix* prefix = PrefixOf(xattr.name);
    CHECK(prefix != nullptr);
    writer.Add(prefix->number, EscapeOf(xattr.name),
               std::string_view(xattr.name).substr(prefix->text.size()), xattr.value);
  }
  writer.Finish();
}

Result<std::optional<StoredXattr>> NextXattr(std::string_view* area) {
  if (area->empty()) return std::optional<StoredXattr>();
  XattrEntry entry;
  if (area->size() < sizeof(entry)) return Error(Code::kCorrupt, "a cut attribute");
  std::memcpy(&entry, area->data(), sizeof(entry));
  const uint64_t size = EntrySize(entry.name_size, entry.value_size);
  if (area->size() < size) return Error(Code::kCorrupt, "an attribute past its area");
  StoredXattr xattr;
  xattr.prefix = entry.prefix;
  xattr.suffix = area->substr(sizeof(entry), entry.name_size);
  xattr.value = area->substr(sizeof(entry) + entry.name_size, entry.value_size);
  area->remove_prefix(size);
  return std::optional<StoredXattr>(xattr);
}

Result<std::string> StoredName(const StoredXattr& xattr) {
  for (const Prefix& prefix : kPrefixes) {
    if (prefix.number == xattr.prefix) return std::string(prefix.text).append(xattr.suffix);
  }
  return Error(Code::kCorrupt, "an attribute of unknown kind " + std::to_string(xattr.prefix));
}

std::string RedirectOf(const Digest& object) {
  std::string path = "/" + object.Hex();
  path.insert(3, 1, '/');
  return path;
}

Result<Digest> ParseRedirect(std::string_view redirect) {
  if (redirect.size() == kRedirectSize && redirect[0] == '/' && redirect[3] == '/') {
    char hex[2 * Digest::kSize];
    std::memcpy(hex, redirect.data() + 1, 2);
    std::memcpy(hex + 2, redirect.data() + 4, sizeof(hex) - 2);
    auto digest = Digest::FromHex(std::string_view(hex, sizeof(hex)));
    if (digest.ok() && !digest->IsZero()) return digest;
  }
  return Error(Code::kCorrupt, "a redirect that names no object");
}

}  // namespace erofs
}  // namespace strata::imaged
