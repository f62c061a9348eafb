// Any bytes as an archive of images, and as the blob of a layer on top of another: an error or
// something possible, within the limits. Contents go to a store on tmpfs and are never committed.
//   build/fuzz/bin/make_oci_seeds DOCUMENTS ARCHIVES
//   build/fuzz/bin/fuzz_oci_archive -max_len=65536 CORPUS ARCHIVES
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/archive/tar_import.h"
#include "imaged/oci/image_archive.h"
#include "imaged/oci/image_selection.h"
#include "imaged/oci/layer_stream.h"

namespace strata::imaged::oci {
namespace {

ObjectStore& Store() {
  static auto* const directory =
      new TemporaryDirectory(std::move(*TemporaryDirectory::Create("/dev/shm", "strata-fuzz.")));
  static const auto store = [] {
    std::atexit([] { delete directory; });
    return std::move(*ObjectStore::Open(directory->path() + "/store"));
  }();
  return *store;
}

ByteSource PiecesOf(std::string_view input) {
  return [input]() mutable -> Result<std::string_view> {
    const std::string_view piece = input.substr(0, 999);
    input.remove_prefix(piece.size());
    return piece;
  };
}

void ReadArchive(std::string_view input, ImageArchiveKind kind) {
  const CancelToken cancel;
  const auto ingest = std::move(*Store().StartIngest());
  SpoolLimits limits;
  limits.bytes_max = 8u << 20;
  limits.entries_max = 100;
  auto file = ScratchFile::Create(ingest->StagingPath("archive"));
  CHECK(file.ok());
  auto spool = EntrySpool::Read(PiecesOf(input), std::move(*file), limits, {});
  if (!spool.ok()) return;
  const auto archive = ImageArchive::Open(std::move(*spool), kind);
  if (!archive.ok()) return;
  const auto start = (*archive)->Find("", cancel);
  if (!start.ok()) return;
  const auto selected = SelectManifest(**archive, *start, HostPlatform(), cancel);
  if (!selected.ok()) return;
  const auto text = ReadDocument(**archive, *selected, cancel);
  if (!text.ok()) return;
  CHECK(Sha256Hasher::Of(*text) == selected->digest);
  const auto manifest = ParseManifest(*text);
  if (!manifest.ok()) return;
  for (const Descriptor& layer : manifest->layers) {
    BlobStream stream(**archive, layer, cancel);
    for (auto data = stream.Next(); data.ok() && !data->empty();) data = stream.Next();
  }
}

class OneBlob : public BlobSource {
 public:
  explicit OneBlob(std::string_view blob) : blob_(blob) {}
  Status Read(const Descriptor&, const ByteSink& sink, const CancelToken&) override {
    for (size_t at = 0; at < blob_.size(); at += 999) {
      RETURN_IF_ERROR(sink(blob_.substr(at, 999)));
    }
    return Ok();
  }

 private:
  std::string_view blob_;
};

void ImportLayer(std::string_view input) {
  static const Tree base = [] {
    Tree tree;
    Inode directory;
    directory.mode = S_IFDIR | 0755;
    Inode file;
    file.mode = S_IFREG | 0644;
    CHECK(tree.Link(Tree::kRoot, "d", *tree.AddInode(std::move(directory))).ok());
    CHECK(tree.Link(*tree.Find("d"), "f", *tree.AddInode(std::move(file))).ok());
    return tree;
  }();
  const CancelToken cancel;
  OneBlob source(input);
  Descriptor blob;
  blob.digest = Sha256Hasher::Of(input);
  blob.size = input.size();
  LayerStream stream(source, blob, Sha256Digest(), 8u << 20, cancel);
  TarImportOptions options;
  options.base = &base;
  options.may_be_compressed = false;
  options.limits.tree.entries_max = 1000;
  options.limits.tree.depth_max = 50;
  options.limits.content_bytes_max = 8u << 20;
  const auto ingest = std::move(*Store().StartIngest());
  const auto imported = ImportTar([&] { return stream.Next(); }, *ingest, options);
  CHECK(!imported.ok());  // Nothing has the digest of zeros.
}

}  // namespace
}  // namespace strata::imaged::oci

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata::imaged::oci;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  LooksLikeImageArchive(input);
  for (const auto kind :
       {ImageArchiveKind::kAny, ImageArchiveKind::kOci, ImageArchiveKind::kDocker}) {
    ReadArchive(input, kind);
  }
  ImportLayer(input);
  return 0;
}
