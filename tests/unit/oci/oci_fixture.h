// Images in OCI form made by hand, and a source of their blobs that can lie.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "imaged/archive/pax_writer.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/oci/block_compressor.h"
#include "imaged/oci/documents.h"
#include "imaged/oci/image_exporter.h"
#include "imaged/oci/image_importer.h"
#include "tests/unit/archive/tree_text.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged::oci {

struct Member {
  std::string path;
  uint32_t mode = S_IFREG | 0644;
  std::string content;
  std::string link;
  bool hard_link = false;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<Xattr> xattrs;
  int64_t mtime_s = 1'600'000'000;
  uint32_t mtime_ns = 0;
  dev_t rdev = 0;
};

inline Member Directory(const std::string& path, uint32_t mode = 0755) {
  return {path, S_IFDIR | mode, "", "", false, 0, 0, {}, 1'600'000'000, 0, 0};
}
inline Member HardLink(const std::string& path, const std::string& target) {
  return {path, S_IFREG | 0644, "", target, true, 0, 0, {}, 1'600'000'000, 0, 0};
}

inline ByteSink Into(std::string* bytes) {
  return [bytes](std::string_view data) -> Status {
    *bytes += data;
    return Ok();
  };
}

inline std::string TarOf(const std::vector<Member>& members) {
  std::string tar;
  PaxWriter writer(Into(&tar));
  for (const Member& member : members) {
    PaxEntry entry;
    entry.path = member.path;
    entry.mode = member.mode;
    entry.uid = member.uid;
    entry.gid = member.gid;
    entry.link = member.link;
    entry.hard_link = member.hard_link;
    entry.xattrs = member.xattrs;
    entry.mtime_s = member.mtime_s;
    entry.mtime_ns = member.mtime_ns;
    entry.rdev = member.rdev;
    entry.size = member.content.size();
    EXPECT_TRUE(writer.Begin(entry).ok());
    EXPECT_TRUE(writer.Write(member.content).ok());
    EXPECT_TRUE(writer.End().ok());
  }
  EXPECT_TRUE(writer.Finish().ok());
  return tar;
}

class FakeBlobSource : public BlobSource {
 public:
  Status Read(const Descriptor& blob, const ByteSink& sink, const CancelToken& cancel) override {
    ++reads[blob.digest];
    if (endless.contains(blob.digest)) {
      while (true) {
        RETURN_IF_ERROR(cancel.Check());
        RETURN_IF_ERROR(sink(std::string(10'000, 'e')));
      }
    }
    const auto it = blobs.find(blob.digest);
    if (it == blobs.end()) return Error(Code::kNotFound, "no such blob");
    for (size_t at = 0; at < it->second.size(); at += 3000) {
      RETURN_IF_ERROR(cancel.Check());
      RETURN_IF_ERROR(sink(std::string_view(it->second).substr(at, 3000)));
    }
    return Ok();
  }

  Descriptor Put(const std::string& media_type, const std::string& bytes) {
    Descriptor descriptor;
    descriptor.media_type = media_type;
    descriptor.digest = Sha256Hasher::Of(bytes);
    descriptor.size = bytes.size();
    blobs[descriptor.digest] = bytes;
    return descriptor;
  }

  std::map<Sha256Digest, std::string> blobs;
  std::set<Sha256Digest> endless;
  std::map<Sha256Digest, int> reads;  // How often each was asked for.
};

struct MadeImage {
  Descriptor descriptor;  // Of the manifest.
  Manifest manifest;
  ImageConfig config;
};

// Puts an image of these layers' tars into `source`.
inline MadeImage MakeImage(FakeBlobSource* source, const std::vector<std::string>& tars,
                           Compression compression = Compression::kNone) {
  MadeImage image;
  image.config.platform = HostPlatform();
  image.config.env = {"A=1", "B=two words"};
  image.config.cmd = {"sh"};
  image.config.created = "2024-01-02T03:04:05Z";
  image.config.history.push_back({"", "ENV", "", "", true});
  for (const std::string& tar : tars) {
    image.config.diff_ids.push_back(Sha256Hasher::Of(tar));
    image.config.history.push_back({"2024-01-02T03:04:05Z", "RUN", "", "", false});
    const std::string blob =
        compression == Compression::kNone ? tar : *CompressBlock(compression, tar);
    image.manifest.layers.push_back(source->Put(LayerTypeOf(compression), blob));
  }
  image.manifest.media_type = kOciManifestType;
  image.manifest.config = source->Put(kOciConfigType, PrintImageConfig(image.config));
  image.descriptor = source->Put(kOciManifestType, PrintManifest(image.manifest));
  return image;
}

class OciImageTest : public RepositoryTest {
 protected:
  Result<v1::ImportResult> ImportOci(uid_t caller, const std::string& reference,
                                     const MadeImage& image,
                                     const std::function<void(ImageImport*)>& more = {}) {
    ImageImport import;
    import.caller = caller;
    import.options.set_reference(reference);
    import.manifest = image.descriptor;
    if (more) more(&import);
    return ImportImage(*repository_, import, source_, cancel_, {});
  }
  // Imports as root, and the flattened tree.
  std::string FlattenedText(const std::vector<std::vector<Member>>& layers) {
    std::vector<std::string> tars;
    for (const auto& members : layers) tars.push_back(TarOf(members));
    const auto imported = ImportOci(0, "flat", MakeImage(&source_, tars),
                                    [](ImageImport* import) { import->options.set_replace(true); });
    EXPECT_TRUE(imported.ok()) << imported.error().message();
    return imported.ok() ? TreeText(TreeOf(0, "flat")) : "";
  }
  Tree TreeOf(uid_t caller, const std::string& reference) {
    const auto held = repository_->HoldImage(caller, reference);
    EXPECT_TRUE(held.ok());
    auto tree = repository_->LoadFlattened(held->hold.stack());
    EXPECT_TRUE(tree.ok());
    return std::move(*tree);
  }
  // Of the flattened tree's manifest: every byte of what a container sees but contents, and those
  // by their digests.
  Digest FlattenedDigest(uid_t caller, const std::string& reference) {
    const std::string path = directory_->path() + "/flat.erofs";
    ::unlink(path.c_str());
    const auto fd = Open(path, O_RDWR | O_CREAT, 0600);
    EXPECT_TRUE(fd.ok());
    const auto written = WriteErofs(TreeOf(caller, reference), fd->get());
    EXPECT_TRUE(written.ok());
    return written->digest;
  }

  FakeBlobSource source_;
};

}  // namespace strata::imaged::oci
