#include "tests/property/operation.h"

#include <array>
#include <sstream>

namespace strata::property {
namespace {

constexpr std::array<std::string_view, kKinds> kNames = {
    "create",     "open",      "close",     "reopen",    "write",    "map-write",
    "read",       "read-file", "ftruncate", "truncate",  "allocate", "seek",
    "copy-range", "sync",      "fstat",     "fchmod",    "futimens", "stat",
    "chmod",      "chown",     "utimes",    "set-xattr", "rm-xattr", "set-acl",
    "rm-acl",     "mkdir",     "rmdir",     "unlink",    "rename",   "rename-noreplace",
    "exchange",   "link",      "symlink",   "mknod",     "tmpfile",  "link-fd",
    "readlink",   "list",      "remount"};

std::string PathText(const std::string& path) { return path.empty() ? "." : path; }
std::string PathOf(const std::string& text) { return text == "." ? "" : text; }

}  // namespace

std::string_view KindName(Kind kind) { return kNames[static_cast<size_t>(kind)]; }

std::string Operation::Text() const {
  std::ostringstream text;
  text << KindName(kind) << ' ' << slot << ' ' << other_slot << ' ' << at << ' ' << size << ' '
       << number << ' ' << PathText(path) << ' ' << PathText(other);
  return text.str();
}

std::string OperationsText(const std::vector<Operation>& operations) {
  std::string text;
  for (const Operation& operation : operations) text += operation.Text() + "\n";
  return text;
}

Result<std::vector<Operation>> ParseOperations(std::string_view text) {
  std::vector<Operation> operations;
  std::istringstream lines{std::string(text)};
  std::string line;
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Operation operation;
    std::string name, path, other;
    words >> name >> operation.slot >> operation.other_slot >> operation.at >> operation.size >>
        operation.number >> path >> other;
    int kind = 0;
    while (kind < kKinds && kNames[static_cast<size_t>(kind)] != name) ++kind;
    const auto is_slot = [](int slot) { return slot >= 0 && slot < kSlots; };
    if (words.fail() || kind == kKinds || !is_slot(operation.slot) ||
        !is_slot(operation.other_slot)) {
      return Error(Code::kInvalidArgument, "not an operation: " + line);
    }
    operation.kind = static_cast<Kind>(kind);
    operation.path = PathOf(path);
    operation.other = PathOf(other);
    operations.push_back(std::move(operation));
  }
  return operations;
}

std::string Pattern(uint64_t number, size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>('A' + (number + i + (i >> 9)) % 57);
  }
  return bytes;
}

}  // namespace strata::property
