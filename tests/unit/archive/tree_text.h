// A Tree as text, one line per name: two trees are equal when their texts are.
#pragma once

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "common/printable.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

inline std::string HexOf(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

inline std::string TreeText(const Tree& tree) {
  std::map<InodeIndex, std::string> first;
  std::string text;
  const Status walked = tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    char mode[16];
    std::snprintf(mode, sizeof(mode), "%06o", inode.mode);
    text += "/" + Printable(path) + " " + mode;
    const auto [same, is_new] = first.emplace(index, path);
    if (!is_new) {
      text += " = /" + Printable(same->second) + "\n";
      return Ok();
    }
    text += " " + std::to_string(inode.uid) + ":" + std::to_string(inode.gid);
    text += " @" + std::to_string(inode.mtime_s) + "." + std::to_string(inode.mtime_ns);
    if (inode.rdev != 0) text += " rdev " + std::to_string(inode.rdev);
    if (inode.opaque) text += " opaque";
    if (inode.IsRegular()) text += " " + std::to_string(inode.size);
    if (!inode.object.IsZero()) text += " " + inode.object.Hex();
    if (!inode.data.empty()) text += " '" + Printable(inode.data, 600) + "'";
    for (const Xattr& xattr : inode.xattrs) text += " " + xattr.name + "=" + HexOf(xattr.value);
    text += "\n";
    return Ok();
  });
  return walked.ok() ? text : walked.error().message();
}

// The lines that only one of the two has; empty when the texts are equal.
inline std::string Difference(const std::string& expected, const std::string& found) {
  const auto lines = [](const std::string& text) {
    std::set<std::string> set;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) set.insert(line);
    return set;
  };
  std::string difference;
  for (const std::string& line : lines(expected)) {
    if (!lines(found).contains(line)) difference += "- " + line + "\n";
  }
  for (const std::string& line : lines(found)) {
    if (!lines(expected).contains(line)) difference += "+ " + line + "\n";
  }
  return expected == found || !difference.empty() ? difference : "another order";
}

}  // namespace strata::imaged
