// Which files of an image are secrets, and what becomes of them in one that others may use: the
// table of paths here, the table of contents in secret_content.h. All functions are thread-safe.
//
// False positives cost a user his file, so rules that hold at any depth spare what packages ship
// (IsShipped): documentation and tests are full of example keys.
#pragma once

#include <span>
#include <string_view>

namespace strata::imaged {

enum class SecretCategory { kHostKey, kPrivateKey, kCredential, kHistory, kMachineIdentity };
std::string_view CategoryName(SecretCategory category);

enum class SecretAction {
  kRemove,
  kEmpty,  // Keeps the name with no content: machine-id(5) wants an empty file in an image.
};

struct SecretRule {
  SecretCategory category;
  // "/etc/machine-id" is that path, ".aws/credentials" every path that ends so. A last component
  // "**" is everything below. One '*' per component stands for any characters of that component.
  std::string_view pattern;
  SecretAction action;
  std::string_view why;
  // Only files that hold this text.
  std::string_view holds = {};
};

std::span<const SecretRule> SecretPathRules();

// The first rule for `path` (relative to the root, "etc/machine-id"); null when there is none.
const SecretRule* FindSecretPath(std::string_view path);

// Below a directory that packages fill: /usr but for /usr/local, and what pip, npm, go and cargo
// unpack wherever they are.
bool IsShipped(std::string_view path);

}  // namespace strata::imaged
