// Where COPY and ADD take files from: the context of the build, or an image. Paths are relative
// and clean ("a/b"), "" is the root; what leads to them may be symbolic links, which end in the
// source's own tree. Errors name the path. Used by one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/build/ignore_file.h"
#include "tools/vimage/build/image_files.h"

namespace strata::tools {

// `relative` is below what was asked for, "" itself; directories before what is in them. A hard
// link's `link` is relative in the same way.
using EntryVisitor = std::function<Status(const std::string& relative, imaged::PaxEntry entry,
                                          const FileContent& content)>;

class CopySource {
 public:
  virtual ~CopySource() = default;
  // Names in a directory, sorted; none when it is no directory.
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
  // kNotFound when there is nothing (that is not left out).
  virtual Result<bool> IsDirectory(const std::string& path) = 0;
  virtual Status Walk(const std::string& path, const EntryVisitor& visit) = 0;
  // The file itself, for ADD of an archive; an invalid one when there is none.
  virtual Result<UniqueFd> OpenFile(const std::string& path) = 0;
};

// What a pattern (or a plain path) names, sorted. kNotFound: nothing.
Result<std::vector<std::string>> MatchSources(CopySource& source, const std::string& pattern);

// The directory `path` without what `ignore` leaves out. REQUIRES: `ignore` outlives it.
Result<std::unique_ptr<CopySource>> OpenContext(const std::string& path,
                                                const imaged::build::IgnoreFile& ignore);
// REQUIRES: `files` outlives it.
std::unique_ptr<CopySource> ImageSource(ImageFiles& files);

}  // namespace strata::tools
