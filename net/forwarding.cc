#include "net/forwarding.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "common/file_io.h"
#include "net/names.h"

namespace strata::net {
namespace {

constexpr char kForwarding[] = "/proc/sys/net/ipv4/ip_forward";
constexpr char kLinks6[] = "/proc/sys/net/ipv6/conf";
constexpr char kForwarding6[] = "/proc/sys/net/ipv6/conf/all/forwarding";
constexpr char kDisabled6[] = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
constexpr size_t kMarkerBytesMax = 1 << 20;

Status Write(const std::string& path, std::string_view value) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY));
  RETURN_IF_ERROR(WriteAll(fd.get(), value), path);
  return fd.Close();
}

bool Reads(const std::string& path, char digit) {
  const auto value = ReadFile(path, 16);
  return value.ok() && value->starts_with(digit);
}

std::string AcceptRa(const std::string& link) {
  return std::string(kLinks6) + "/" + link + "/accept_ra";
}

// Links may go meanwhile.
Status SetAcceptRa(const std::string& link, char from, const char* to) {
  if (!Reads(AcceptRa(link), from)) return Ok();
  const Status written = Write(AcceptRa(link), to);
  return written.ok() || !PathExists(AcceptRa(link)) ? Ok() : written;
}

// Those in the marker: an Enable that did not come to its end has begun with them.
Result<std::set<std::string>> Marked(const std::string& marker_path) {
  std::set<std::string> links;
  if (!PathExists(marker_path)) return links;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(marker_path, kMarkerBytesMax));
  std::istringstream lines(text);
  for (std::string link; std::getline(lines, link);) {
    if (!link.empty() && link.find('/') == link.npos) links.insert(link);
  }
  return links;
}

Result<bool> OthersNeedIt(Nft& nft) {
  ASSIGN_OR_RETURN(const std::string tables, nft.Run("list tables"));
  return tables.find(kTablePrefix) != std::string::npos;
}

Status RemoveMarker(const std::string& path) {
  return ::unlink(path.c_str()) == 0 ? Ok() : Status(Errno("unlink " + path));
}

}  // namespace

Status EnableForwarding(const std::string& marker_path) {
  ASSIGN_OR_RETURN(const std::string value, ReadFile(kForwarding, 16));
  if (!value.starts_with('0')) return Ok();
  RETURN_IF_ERROR(WriteFileAtomically(marker_path, "0\n"));
  return Write(kForwarding, "1\n");
}

Status RestoreForwarding(const std::string& marker_path, Nft& nft) {
  if (!PathExists(marker_path)) return Ok();
  ASSIGN_OR_RETURN(const bool needed, OthersNeedIt(nft));
  if (!needed) RETURN_IF_ERROR(Write(kForwarding, "0\n"));
  return RemoveMarker(marker_path);
}

bool HasIpv6() { return Reads(kDisabled6, '0'); }

Status EnableForwarding6(const std::string& marker_path) {
  ASSIGN_OR_RETURN(const std::string value, ReadFile(kForwarding6, 16));
  if (!value.starts_with('0')) return Ok();
  ASSIGN_OR_RETURN(std::set<std::string> links, Marked(marker_path));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kLinks6, error)) {
    const std::string link = entry.path().filename();
    if (Reads(AcceptRa(link), '1')) links.insert(link);
  }
  std::string text;
  for (const std::string& link : links) text += link + "\n";
  RETURN_IF_ERROR(WriteFileAtomically(marker_path, text));
  for (const std::string& link : links) RETURN_IF_ERROR(SetAcceptRa(link, '1', "2\n"));
  return Write(kForwarding6, "1\n");
}

Status RestoreForwarding6(const std::string& marker_path, Nft& nft) {
  if (!PathExists(marker_path)) return Ok();
  ASSIGN_OR_RETURN(const bool needed, OthersNeedIt(nft));
  if (!needed) {
    ASSIGN_OR_RETURN(const std::set<std::string> links, Marked(marker_path));
    RETURN_IF_ERROR(Write(kForwarding6, "0\n"));
    for (const std::string& link : links) RETURN_IF_ERROR(SetAcceptRa(link, '2', "1\n"));
  }
  return RemoveMarker(marker_path);
}

}  // namespace strata::net
