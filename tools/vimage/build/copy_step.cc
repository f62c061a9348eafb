#include "tools/vimage/build/copy_step.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/printable.h"

namespace strata::tools {
namespace {

constexpr uint32_t kNewDirectoryMode = S_IFDIR | 0755;

std::string Join(const std::string& directory, const std::string& name) {
  if (name.empty()) return directory;
  return directory.empty() ? name : directory + "/" + name;
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

void EntryFingerprint::Begin(const imaged::PaxEntry& entry) {
  const auto add = [&](const std::string& text) {
    hasher_.Update(std::to_string(text.size()) + ":" + text);
  };
  add(entry.path);
  add(std::to_string(entry.mode) + " " + std::to_string(entry.uid) + " " +
      std::to_string(entry.gid) + " " + std::to_string(entry.rdev) + " " +
      std::to_string(entry.size) + (entry.hard_link ? " hard" : ""));
  add(entry.link);
  add(std::to_string(entry.xattrs.size()));
  for (const Xattr& xattr : entry.xattrs) {
    add(xattr.name);
    add(xattr.value);
  }
}

Result<Digest> CopyStep::Fingerprint() {
  EntryFingerprint print;
  RETURN_IF_ERROR(Emit([&](const imaged::PaxEntry& entry, const FileContent& content) {
    print.Begin(entry);
    return content([&](std::string_view bytes) {
      print.Content(bytes);
      return Ok();
    });
  }));
  return print.Finish();
}

void CopyStep::Own(imaged::PaxEntry* entry) const {
  if (order_.owner) {
    entry->uid = order_.owner->uid;
    entry->gid = order_.owner->gid;
  }
  if (order_.mode && !S_ISLNK(entry->mode)) {
    entry->mode = (entry->mode & S_IFMT) | *order_.mode;
  }
}

Status CopyStep::Emit(const LayerVisitor& visit) {
  visit_ = &visit;
  made_.clear();
  if (order_.directory_only) {
    ASSIGN_OR_RETURN(const std::string made,
                     MakeDirectory(imaged::build::CleanPath(order_.destination)));
    return Ok();
  }
  std::vector<std::string> paths;
  for (const std::string& source : order_.sources) {
    ASSIGN_OR_RETURN(const auto matched, MatchSources(source_, source));
    paths.insert(paths.end(), matched.begin(), matched.end());
  }
  const std::string place = imaged::build::CleanPath(order_.destination);
  const bool slash = order_.destination.ends_with('/') || order_.destination.ends_with("/.");
  if (!slash && paths.size() + order_.inline_files.size() > 1) {
    return Error(Code::kInvalidArgument,
                 "several files go into a directory: write its name with a '/' at the end");
  }
  ASSIGN_OR_RETURN(const bool exists, IsDirectory(place));
  for (const std::string& path : paths) {
    RETURN_IF_ERROR(EmitSource(path, slash || exists));
  }
  for (const CopyOrder::InlineFile& file : order_.inline_files) {
    imaged::PaxEntry entry;
    entry.mode = S_IFREG | 0644;
    entry.size = file.content.size();
    const std::string to = slash || exists ? Join(place, file.name) : place;
    RETURN_IF_ERROR(EmitFile(std::move(entry), to,
                             [&](const imaged::ByteSink& sink) { return sink(file.content); }));
  }
  return Ok();
}

Status CopyStep::EmitSource(const std::string& path, bool into_directory) {
  const std::string place = imaged::build::CleanPath(order_.destination);
  ASSIGN_OR_RETURN(const bool is_directory, source_.IsDirectory(path));
  if (is_directory) return EmitTree(path, place);
  if (order_.unpack) {
    ASSIGN_OR_RETURN(const UniqueFd fd, source_.OpenFile(path));
    if (fd.valid() && IsTar(fd.get())) {
      if (::lseek(fd.get(), 0, SEEK_SET) != 0) return Errno(Printable(path));
      return EmitArchive(fd.get(), place);
    }
  }
  const std::string to = into_directory ? Join(place, BaseName(path)) : place;
  return source_.Walk(path,
                      [&](const std::string&, imaged::PaxEntry entry, const FileContent& content) {
                        return EmitFile(std::move(entry), to, content);
                      });
}

Status CopyStep::EmitFile(imaged::PaxEntry entry, const std::string& place,
                          const FileContent& content) {
  ASSIGN_OR_RETURN(const std::string parent, MakeDirectory(Parent(place)));
  if (!order_.keep_owner) entry.uid = entry.gid = 0;
  entry.hard_link = false;  // Alone it is the first name.
  return Place(Join(parent, BaseName(place)), std::move(entry), content);
}

Status CopyStep::EmitTree(const std::string& path, const std::string& place) {
  // Where each directory of the source went: the image may have a symbolic link there.
  std::map<std::string, std::string> places;
  return source_.Walk(
      path,
      [&](const std::string& relative, imaged::PaxEntry entry,
          const FileContent& content) -> Status {
        if (!order_.keep_owner) entry.uid = entry.gid = 0;
        if (relative.empty()) {
          ASSIGN_OR_RETURN(const bool exists, IsDirectory(place));
          ASSIGN_OR_RETURN(const std::string parent, MakeDirectory(Parent(place)));
          ASSIGN_OR_RETURN(const ImageFiles::Found found, base_.Resolve(place));
          places[""] = exists && found.info ? found.path : Join(parent, BaseName(place));
          if (exists) return Ok();
          return Place(places[""], std::move(entry), content);
        }
        auto above = places.find(Parent(relative));
        if (above ==
            places.end()) {  // A directory that is left out, with something in it that is not.
          ASSIGN_OR_RETURN(const std::string made,
                           MakeDirectory(Join(places[""], Parent(relative))));
          above = places.emplace(Parent(relative), made).first;
        }
        const std::string to = Join(above->second, BaseName(relative));
        if (entry.hard_link) {
          entry.link = Join(places[Parent(entry.link)], BaseName(entry.link));
        }
        if (S_ISDIR(entry.mode) && !entry.hard_link) {
          ASSIGN_OR_RETURN(const ImageFiles::Found found, base_.Resolve(to));
          places[relative] = found.info && S_ISDIR(found.info->mode()) ? found.path : to;
          ASSIGN_OR_RETURN(const bool exists, IsDirectory(to));
          if (exists) return Ok();
        }
        return Place(to, std::move(entry), content);
      });
}

Status CopyStep::EmitArchive(int fd, const std::string& place) {
  std::string buffer(128 * 1024, '\0');
  const Pieces pieces = [&]() -> Result<std::string_view> {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0) return Errno("read");
    return std::string_view(buffer.data(), static_cast<size_t>(n));
  };
  ASSIGN_OR_RETURN(const std::string root, MakeDirectory(place));
  return ReadTar(pieces, [&](imaged::PaxEntry entry, const FileContent& content) -> Status {
    if (entry.path.empty()) return Ok();  // The destination itself.
    ASSIGN_OR_RETURN(const std::string above, MakeDirectory(Join(root, Parent(entry.path))));
    if (entry.hard_link) {
      ASSIGN_OR_RETURN(const std::string linked, MakeDirectory(Join(root, Parent(entry.link))));
      entry.link = Join(linked, BaseName(entry.link));
    }
    const std::string to = Join(above, BaseName(entry.path));
    if (S_ISDIR(entry.mode) && !entry.hard_link) {
      ASSIGN_OR_RETURN(const bool exists, IsDirectory(to));
      if (exists && !made_.contains(to)) return Ok();
    }
    return Place(to, std::move(entry), content);
  });
}

Status CopyStep::Place(const std::string& place, imaged::PaxEntry entry,
                       const FileContent& content) {
  Own(&entry);
  entry.path = place;
  if (entry.hard_link) {
    entry.size = 0;
  } else if (S_ISDIR(entry.mode)) {
    made_.insert(place);
  } else {
    ASSIGN_OR_RETURN(const ImageFiles::Found found, base_.Resolve(place, /*follow_last=*/false));
    if (made_.contains(place) || (found.info && S_ISDIR(found.info->mode()))) {
      return Error(Code::kInvalidArgument,
                   "/" + Printable(place) + " is a directory: a file cannot take its place");
    }
  }
  return (*visit_)(entry, content);
}

Result<bool> CopyStep::IsDirectory(const std::string& path) {
  if (path.empty() || made_.contains(path)) return true;
  ASSIGN_OR_RETURN(const ImageFiles::Found found, base_.Resolve(path));
  return (found.info && S_ISDIR(found.info->mode())) || made_.contains(found.path);
}

Result<std::string> CopyStep::MakeDirectory(const std::string& path) {
  if (path.empty() || made_.contains(path)) return path;
  ASSIGN_OR_RETURN(const ImageFiles::Found found, base_.Resolve(path));
  if (found.info) {
    if (S_ISDIR(found.info->mode())) return found.path;
    return Error(Code::kInvalidArgument, "/" + Printable(found.path) + " is no directory");
  }
  if (made_.contains(found.path)) return found.path;
  ASSIGN_OR_RETURN(const std::string above, MakeDirectory(Parent(found.path)));
  imaged::PaxEntry entry;
  entry.path = Join(above, BaseName(found.path));
  entry.mode = kNewDirectoryMode;
  if (order_.owner) {
    entry.uid = order_.owner->uid;
    entry.gid = order_.owner->gid;
  }
  made_.insert(entry.path);
  RETURN_IF_ERROR((*visit_)(entry, [](const imaged::ByteSink&) { return Ok(); }));
  return entry.path;
}

}  // namespace strata::tools
