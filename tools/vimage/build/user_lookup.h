// "user", "user:group", "1000", "1000:100", as USER and --chown say them, in an image's own
// /etc/passwd and /etc/group.
#pragma once

#include <string>

#include "common/result.h"
#include "tools/vimage/build/copy_step.h"
#include "tools/vimage/build/image_files.h"

namespace strata::tools {

class UserLookup {
 public:
  // REQUIRES: `files` outlives this.
  explicit UserLookup(ImageFiles& files) : files_(files) {}

  // Without a group: that of the user in passwd(5), or 0 for a number that is not there.
  // kNotFound: the image has no such name.
  Result<CopyOrder::Owner> Find(const std::string& text);

 private:
  ImageFiles& files_;
};

}  // namespace strata::tools
