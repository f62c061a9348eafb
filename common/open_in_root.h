// openat2(2) in a root whose symbolic links are others' (an image's, a node's, a user's): none
// leads out of it. Thread-safe.
#pragma once

#include <cstdint>

#include "common/unique_fd.h"

namespace strata {

// As openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS, and O_CLOEXEC added; an invalid
// descriptor and errno for an error. With a ".." on the way the kernel answers EAGAIN when anything
// of the host is renamed or mounted meanwhile: that is tried again, and an error only in the end.
UniqueFd OpenInRoot(int root, const char* path, uint64_t flags, uint64_t mode = 0);

}  // namespace strata
