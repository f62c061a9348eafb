#include "tools/vimage/build/image_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "common/printable.h"
#include "imaged/build/ignore_file.h"
#include "tools/vimage/build/tar_entries.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

constexpr int kLinksMax = 40;  // As the kernel's.
constexpr size_t kTextBytesMax = 4u << 20;
constexpr int kListedMax = 10'000;  // What imaged lists of a directory.

}  // namespace

Result<const ImageFiles::Directory*> ImageFiles::List(const std::string& path) {
  const auto [at, is_new] = known_.try_emplace(path);
  if (!is_new || reference_.empty()) return &at->second;
  api::ListFilesRequest request;
  request.set_reference(reference_);
  request.set_path(path);
  const auto response =
      calls_.Ask(imaged_, Daemon::kImaged, &api::ImageService::Stub::ListFiles, request);
  if (!response.ok()) {
    known_.erase(at);
    return response.error();
  }
  if (response->files_size() >= kListedMax) {
    return Error(Code::kUnsupported, "/" + Printable(path) + " has too many files to look into");
  }
  for (const api::FileInfo& info : response->files()) at->second[info.name()] = info;
  return &at->second;
}

Result<ImageFiles::Found> ImageFiles::Resolve(const std::string& path, bool follow_last) {
  std::string rest = path;
  Found found;
  found.info.emplace().set_mode(S_IFDIR | 0755);
  for (int links = 0; !rest.empty();) {
    const size_t slash = rest.find('/');
    const std::string name = rest.substr(0, slash);
    rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      found.path.resize(found.path.find('/') == std::string::npos ? 0 : found.path.rfind('/'));
      found.info.emplace().set_mode(S_IFDIR | 0755);
      continue;
    }
    std::optional<api::FileInfo> next;
    if (found.info && S_ISDIR(found.info->mode())) {
      ASSIGN_OR_RETURN(const Directory* directory, List(found.path));
      if (const auto at = directory->find(name); at != directory->end()) next = at->second;
    } else if (found.info) {
      return Error(Code::kInvalidArgument, "/" + Printable(found.path) + " is no directory");
    }
    if (next && S_ISLNK(next->mode()) && (follow_last || !rest.empty())) {
      if (++links > kLinksMax) {
        return Error(Code::kInvalidArgument, "/" + Printable(path) + ": too many symbolic links");
      }
      rest = next->target() + "/" + rest;
      if (next->target().starts_with('/')) {
        found.path.clear();
        found.info.emplace().set_mode(S_IFDIR | 0755);
      }
      continue;
    }
    found.path += (found.path.empty() ? "" : "/") + name;
    found.info = std::move(next);
  }
  return found;
}

Status ImageFiles::ReadEntries(const std::string& path, const TarVisitor& visit) {
  api::ExportRequest request;
  request.set_reference(reference_);
  request.set_format(api::ARCHIVE_TAR);
  request.add_paths(path);
  OpenCalls::Call call(calls_);
  const auto reader = imaged_.Export(call.context(), request);
  api::ExportChunk chunk;
  bool ended = false;
  const Status read = ReadTar(
      [&]() -> Result<std::string_view> {
        do {
          ended = !reader->Read(&chunk);
        } while (!ended && chunk.tar().empty());
        return ended ? std::string_view() : std::string_view(chunk.tar());
      },
      visit);
  if (read.ok()) {
    while (!ended) ended = !reader->Read(&chunk);  // What pads the archive.
  } else if (!ended) {
    call.context()->TryCancel();
  }
  const grpc::Status status = reader->Finish();
  if (!read.ok() && (status.ok() || !ended)) return read;
  if (!status.ok()) return CallError(status, Daemon::kImaged);  // Also why a tar broke off.
  return Ok();
}

Result<std::string> ImageFiles::ReadText(const std::string& path) {
  ASSIGN_OR_RETURN(const Found found, Resolve(path));
  if (!found.info || !S_ISREG(found.info->mode())) return std::string();
  if (found.info->size() > kTextBytesMax) {
    return Error(Code::kUnsupported, "/" + path + " is larger than 4 MiB");
  }
  std::string text;
  RETURN_IF_ERROR(ReadEntries(found.path, [&](imaged::PaxEntry, const FileContent& content) {
    return content([&](std::string_view bytes) {
      text.append(bytes);
      return Ok();
    });
  }));
  return text;
}

}  // namespace strata::tools
