// What COPY and ADD put where, as entries of a layer (https://docs.docker.com/reference/dockerfile,
// "COPY"). Two passes give the same entries: one for the cache's key, one for the layer.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "tools/vimage/build/copy_source.h"

namespace strata::tools {

struct CopyOrder {
  struct InlineFile {
    std::string name;
    std::string content;
  };
  std::vector<std::string> sources;  // Paths or patterns.
  std::vector<InlineFile> inline_files;
  std::string destination;  // Absolute; with a '/' at its end if it was written so.
  struct Owner {
    uint32_t uid = 0;
    uint32_t gid = 0;
  };
  std::optional<Owner> owner;
  std::optional<uint32_t> mode;
  bool keep_owner = false;      // From an image: files stay whose they are.
  bool unpack = false;          // ADD: archives become what is in them.
  bool directory_only = false;  // WORKDIR: the destination alone, no sources.
};

// An entry's path is where it goes, without symbolic links.
using LayerVisitor =
    std::function<Status(const imaged::PaxEntry& entry, const FileContent& content)>;

class CopyStep {
 public:
  // `base`: what it is put on. REQUIRES: both outlive this.
  CopyStep(CopySource& source, ImageFiles& base, CopyOrder order)
      : source_(source), base_(base), order_(std::move(order)) {}

  // kNotFound: a source is not there; kInvalidArgument: it cannot go there.
  Status Emit(const LayerVisitor& visit);
  // The same to a digest of everything but times.
  Result<Digest> Fingerprint();

 private:
  // One source at its place.
  Status EmitSource(const std::string& path, bool into_directory);
  Status EmitTree(const std::string& path, const std::string& place);
  Status EmitArchive(int fd, const std::string& place);
  Status EmitFile(imaged::PaxEntry entry, const std::string& place, const FileContent& content);
  // One entry of a tree at `place`.
  Status Place(const std::string& place, imaged::PaxEntry entry, const FileContent& content);
  // Makes what is missing of a directory's path; answers it without symbolic links.
  Result<std::string> MakeDirectory(const std::string& path);
  // Whether the image, or what was emitted so far, has a directory there.
  Result<bool> IsDirectory(const std::string& path);
  void Own(imaged::PaxEntry* entry) const;

  CopySource& source_;
  ImageFiles& base_;
  const CopyOrder order_;
  const LayerVisitor* visit_ = nullptr;  // While Emit runs.
  std::set<std::string> made_;           // Directories that were emitted.
};

// Feeds everything of an entry but its time.
class EntryFingerprint {
 public:
  void Begin(const imaged::PaxEntry& entry);
  void Content(std::string_view bytes) { hasher_.Update(bytes); }
  Digest Finish() const { return hasher_.Finish(); }

 private:
  Hasher hasher_;
};

}  // namespace strata::tools
