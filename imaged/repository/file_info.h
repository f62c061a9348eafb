// A file of an image as clients see it.
#pragma once

#include <string_view>

#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/manifest/erofs_reader.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

// Without a name.
v1::FileInfo FileInfoOf(const Inode& inode);
Result<v1::FileInfo> FileInfoOf(const ErofsReader& reader, std::string_view name, Nid nid);

}  // namespace strata::imaged
