// References: how people name images. "[owner/]name[:tag]", for example "spark", "debian:bookworm",
// "alice/spark:v2". The owner is a user of this host (a name, or a number), by default the caller.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::imaged {

struct Reference {
  uid_t owner_uid = 0;
  std::string name;
  std::string tag;

  // The key in the catalog: "<uid>/<name>:<tag>".
  std::string Key() const;
  // For people: "owner/name:tag".
  std::string ToString() const;
};

// kInvalidArgument says what is wrong; kNotFound when the owner is no user of this host. Names and
// tags: 1-128 of [a-z A-Z 0-9 . _ -], the first a letter or digit.
Result<Reference> ParseReference(std::string_view text, uid_t caller_uid);

// The user's name, or his number when the host knows none.
std::string UserName(uid_t uid);

}  // namespace strata::imaged
