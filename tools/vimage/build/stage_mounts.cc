#include "tools/vimage/build/stage_mounts.h"

#include <set>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/vimage/build/layer_upload.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

constexpr size_t kTagHex = 32;

// Visits a source's files, and digests everything of them but times.
Status Walk(CopySource& source, const std::string& path, EntryFingerprint* print,
            const EntryVisitor& visit) {
  return source.Walk(path,
                     [&](const std::string& relative, imaged::PaxEntry entry,
                         const FileContent& content) -> Status {
                       imaged::PaxEntry printed = entry;
                       printed.path = relative;
                       print->Begin(printed);
                       return visit(relative, std::move(entry), [&](const imaged::ByteSink& sink) {
                         return content([&](std::string_view bytes) {
                           print->Content(bytes);
                           return sink(bytes);
                         });
                       });
                     });
}

std::string TagOf(const std::string& id) {
  return "mount-" + Hasher::Of(id).Hex().substr(0, kTagHex);
}

}  // namespace

Result<std::shared_ptr<StageMounts::Bound>> StageMounts::Bind(const TreeMount& mount,
                                                              const ReferenceOf& reference_of,
                                                              bool* is_file) {
  auto bound = std::make_shared<Bound>();
  bound->path = imaged::build::CleanPath(mount.source);
  if (mount.from.empty()) {
    ASSIGN_OR_RETURN(bound->source, OpenContext(context_.directory, context_.ignore));
  } else {
    ASSIGN_OR_RETURN(const std::string reference, reference_of(mount.from));
    if (reference.empty()) return Error(Code::kNotFound, Printable(mount.from) + " has no files");
    bound->files = std::make_unique<ImageFiles>(imaged_, context_.calls, reference);
    bound->source = ImageSource(*bound->files);
  }
  ASSIGN_OR_RETURN(const bool is_directory, bound->source->IsDirectory(bound->path));
  *is_file = !is_directory;
  EntryFingerprint print;
  RETURN_IF_ERROR(Walk(*bound->source, bound->path, &print,
                       [](const std::string&, const imaged::PaxEntry&, const FileContent& content) {
                         return content([](std::string_view) { return Ok(); });
                       }));
  bound->fingerprint = print.Finish();
  return bound;
}

Status StageMounts::Add(const TreeMount& mount, const ReferenceOf& reference_of,
                        imaged::build::CacheKey* key) {
  NodeMount& added = mounts_.emplace_back();
  added.mount = mount;
  key->AddList({mount.kind == TreeMount::Kind::kTmpfs  ? "tmpfs"
                : mount.kind == TreeMount::Kind::kBind ? "bind"
                                                       : "cache",
                mount.target, mount.id, mount.read_only ? "ro" : "rw",
                std::to_string(mount.size_bytes), std::to_string(mount.mode),
                std::to_string(mount.uid), std::to_string(mount.gid)});
  if (mount.kind == TreeMount::Kind::kBind) {
    ASSIGN_OR_RETURN(const auto bound, Bind(mount, reference_of, &added.is_file));
    key->Add(bound->fingerprint.Hex());
    added.entries = [bound](const EntryVisitor& visit) -> Status {
      EntryFingerprint print;
      RETURN_IF_ERROR(Walk(*bound->source, bound->path, &print, visit));
      if (print.Finish() == bound->fingerprint) return Ok();
      return Error(Code::kFailedPrecondition, "its files changed during the build");
    };
  } else if (mount.kind == TreeMount::Kind::kCache) {
    // What is in there is in no key, as in Docker: it may only make a step faster.
    const std::string reference = std::string(kCacheName) + ":" + TagOf(mount.id);
    added.entries = [this, reference](const EntryVisitor& visit) {
      return VisitKept(reference, visit);
    };
    if (!mount.read_only) {
      added.keep = [this, mount, reference](const BuildNode::Input& archive) {
        return Keep(mount, reference, archive);
      };
    }
  }
  return Ok();
}

std::vector<NodeMount> StageMounts::ForNode() {
  std::set<std::string> ids;  // In order, so that no two steps wait for each other.
  for (const NodeMount& mount : mounts_) {
    if (mount.mount.kind == TreeMount::Kind::kCache) ids.insert(mount.mount.id);
  }
  for (const std::string& id : ids) held_.emplace_back(context_.KeyMutex("mount " + id));
  return mounts_;
}

Status StageMounts::VisitKept(const std::string& reference, const EntryVisitor& visit) {
  api::ShowRequest request;
  request.set_reference(reference);
  const auto shown =
      context_.calls.Ask(imaged_, Daemon::kImaged, &api::ImageService::Stub::Show, request);
  if (!shown.ok() && shown.error().code() == Code::kNotFound) return Ok();
  if (!shown.ok()) return shown.error();
  ImageFiles files(imaged_, context_.calls, reference);
  return files.ReadEntries("", [&](imaged::PaxEntry entry, const FileContent& content) {
    const std::string path = entry.path;
    return visit(path, std::move(entry), content);
  });
}

Status StageMounts::Keep(const TreeMount& mount, const std::string& reference,
                         const BuildNode::Input& archive) {
  api::ImportOptions options;
  options.set_reference(reference);
  options.set_format(api::ARCHIVE_TAR);
  options.set_literal_names(true);
  options.set_replace(true);
  (*options.mutable_labels())[kMountLabel] = Printable(mount.id, 200);
  options.mutable_lineage()->set_origin("build");
  const uint64_t limit = context_.mount_bytes_max;
  const auto kept =
      UploadArchive(imaged_, context_.calls, options, [&](const imaged::ByteSink& sink) -> Status {
        uint64_t bytes = 0;
        return archive([&](std::string_view piece) -> Status {
          bytes += piece.size();
          if (bytes <= limit) return sink(piece);
          return Error(Code::kResourceExhausted,
                       "it is larger than " + HumanBytes(limit) + " (--mount-cache-limit)");
        });
      });
  RETURN_IF_ERROR(context_.calls.Check());
  if (!kept.ok()) {  // The step's result is none the worse for it.
    context_.log.Warn("the cache mount " + Printable(mount.id) +
                      " stays as it was: " + kept.error().message());
  }
  return Ok();
}

}  // namespace strata::tools
