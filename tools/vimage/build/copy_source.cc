#include "tools/vimage/build/copy_source.h"

#include <sys/stat.h>

#include <algorithm>

#include "common/printable.h"
#include "tools/vimage/build/tar_entries.h"

namespace strata::tools {
namespace {

class ImageTree : public CopySource {
 public:
  explicit ImageTree(ImageFiles& files) : files_(files) {}

  Result<std::vector<std::string>> List(const std::string& path) override {
    std::vector<std::string> names;
    ASSIGN_OR_RETURN(const ImageFiles::Found found, files_.Resolve(path));
    if (!found.info || !S_ISDIR(found.info->mode())) return names;
    ASSIGN_OR_RETURN(const ImageFiles::Directory* directory, files_.List(found.path));
    for (const auto& [name, info] : *directory) names.push_back(name);
    return names;
  }

  Result<bool> IsDirectory(const std::string& path) override {
    ASSIGN_OR_RETURN(const ImageFiles::Found found, files_.Resolve(path));
    if (!found.info) return Error(Code::kNotFound, "/" + Printable(path) + " is not in the image");
    return S_ISDIR(found.info->mode());
  }

  Status Walk(const std::string& path, const EntryVisitor& visit) override {
    ASSIGN_OR_RETURN(const ImageFiles::Found found, files_.Resolve(path));
    return files_.ReadEntries(found.path, [&](imaged::PaxEntry entry, const FileContent& content) {
      const auto relative = [&](const std::string& whole) {
        if (whole == found.path) return std::string();
        return whole.substr(found.path.empty() ? 0 : found.path.size() + 1);
      };
      const std::string name = relative(entry.path);
      if (entry.hard_link) entry.link = relative(entry.link);
      return visit(name, std::move(entry), content);
    });
  }

  Result<UniqueFd> OpenFile(const std::string&) override { return UniqueFd(); }

 private:
  ImageFiles& files_;
};

Status Match(CopySource& source, const std::string& at, const std::string& rest,
             std::vector<std::string>* found) {
  const size_t slash = rest.find('/');
  const std::string part = rest.substr(0, slash);
  const std::string behind = slash == std::string::npos ? "" : rest.substr(slash + 1);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, source.List(at));
  for (const std::string& name : names) {
    if (!imaged::build::MatchesPattern(part, name)) continue;
    const std::string path = at.empty() ? name : at + "/" + name;
    if (behind.empty()) {
      found->push_back(path);
    } else {
      RETURN_IF_ERROR(Match(source, path, behind, found));
    }
  }
  return Ok();
}

}  // namespace

Result<std::vector<std::string>> MatchSources(CopySource& source, const std::string& pattern) {
  const std::string clean = imaged::build::CleanPath(pattern);
  if (!imaged::build::IsPattern(clean)) {
    ASSIGN_OR_RETURN(const bool is_directory, source.IsDirectory(clean));
    (void)is_directory;  // It is there.
    return std::vector<std::string>{clean};
  }
  std::vector<std::string> found;
  RETURN_IF_ERROR(Match(source, "", clean, &found));
  if (found.empty()) return Error(Code::kNotFound, "nothing matches '" + Printable(clean) + "'");
  return found;
}

std::unique_ptr<CopySource> ImageSource(ImageFiles& files) {
  return std::make_unique<ImageTree>(files);
}

}  // namespace strata::tools
