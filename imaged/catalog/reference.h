// References: how people name images, and the keys of the records behind the names.
//   [owner/]name[:tag]       "spark", "debian:bookworm", "alice/spark:v2"
//   [owner/]name@digest      one version, whatever tags do: "spark@blake3:<64 hex>", or at least 8
//                            of the hex digits
// The owner is a user of this host (a name, or a number), by default the caller.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/catalog/accounts.h"

namespace strata::imaged {

struct Reference {
  uid_t owner_uid = 0;
  std::string name;
  std::string tag;            // Empty when a digest is given.
  std::string digest_prefix;  // Hex digits.

  bool has_digest() const { return !digest_prefix.empty(); }
  // For people: "owner/name:tag".
  std::string ToString(const Accounts& accounts) const;
};

// kInvalidArgument says what is wrong; kNotFound when the owner is no user of this host. Names and
// tags: 1-128 of [a-z A-Z 0-9 . _ -], the first a letter or digit.
Result<Reference> ParseReference(std::string_view text, uid_t caller_uid, const Accounts& accounts);

// "[owner/]name" of a class: the same rules.
Result<Reference> ParseClassName(std::string_view text, uid_t caller_uid, const Accounts& accounts);

// Keys: "<uid>/<name>" of a class, "<uid>/<name>:<tag>", "<uid>/<name>@<hex>".
std::string ClassKey(const Reference& reference);
std::string TagKey(const Reference& reference);
std::string ImageKey(const Reference& reference, const Digest& digest);
// What all images, or all tags, of "owner/name" start with.
std::string ImagePrefix(const Reference& reference);
std::string TagPrefix(const Reference& reference);

// The reference that a key of any of the three kinds was made from (a full digest in
// digest_prefix); nullopt for anything else.
std::optional<Reference> ParseKey(std::string_view key);

}  // namespace strata::imaged
