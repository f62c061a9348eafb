// make_oci_seeds DOCUMENTS ARCHIVES: fills two directories with small valid inputs for
// fuzz_oci_documents and fuzz_oci_archive.
#include <sys/stat.h>

#include <cstdio>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/oci/block_compressor.h"
#include "imaged/oci/documents.h"

namespace strata::imaged::oci {
namespace {

struct File {
  std::string path;
  std::string content;
};

std::string TarOf(const std::vector<File>& files) {
  std::string tar;
  PaxWriter writer([&tar](std::string_view data) -> Status {
    tar += data;
    return Ok();
  });
  for (const File& file : files) {
    PaxEntry entry;
    entry.path = file.path;
    entry.mode = S_IFREG | 0644;
    entry.size = file.content.size();
    CHECK(writer.Begin(entry).ok() && writer.Write(file.content).ok() && writer.End().ok());
  }
  CHECK(writer.Finish().ok());
  return tar;
}

Descriptor Describe(const char* type, const std::string& bytes) {
  Descriptor descriptor;
  descriptor.media_type = type;
  descriptor.digest = Sha256Hasher::Of(bytes);
  descriptor.size = bytes.size();
  return descriptor;
}

Status Write(const std::string& directory, const std::string& name, const std::string& bytes) {
  return WriteFileAtomically(directory + "/" + name, bytes);
}

Status MakeSeeds(const std::string& documents, const std::string& archives) {
  RETURN_IF_ERROR(MakeDirectories(documents));
  RETURN_IF_ERROR(MakeDirectories(archives));
  const std::string layer = TarOf({{"d/.wh.f", ""}, {"d/.wh..wh..opq", ""}, {"file", "content"}});
  ImageConfig config;
  config.platform = HostPlatform();
  config.env = {"A=1"};
  config.labels = {{"k", "v"}};
  config.exposed_ports = {"80/tcp"};
  config.diff_ids = {Sha256Hasher::Of(layer)};
  config.history = {{"2024-01-02T03:04:05Z", "RUN", "me", "", false}};
  const std::string config_text = PrintImageConfig(config);
  Manifest manifest;
  manifest.media_type = kOciManifestType;
  manifest.config = Describe(kOciConfigType, config_text);
  manifest.layers = {Describe(kOciLayerType, layer)};
  const std::string manifest_text = PrintManifest(manifest);
  Index index;
  index.media_type = kOciIndexType;
  index.manifests = {Describe(kOciManifestType, manifest_text)};
  index.manifests[0].platform = HostPlatform();
  index.manifests[0].annotations[kRefNameAnnotation] = "image:1";
  const std::string docker_text = PrintDockerArchive({{"c.json", {"a:1"}, {"layer.tar"}}});
  RETURN_IF_ERROR(Write(documents, "manifest", manifest_text));
  RETURN_IF_ERROR(Write(documents, "config", config_text));
  RETURN_IF_ERROR(Write(documents, "index", PrintIndex(index)));
  RETURN_IF_ERROR(Write(documents, "docker", docker_text));
  const auto blob = [](const std::string& bytes) {
    return File{"blobs/sha256/" + Sha256Hasher::Of(bytes).Hex(), bytes};
  };
  const std::string layout = TarOf({{"oci-layout", PrintLayoutMark()},
                                    {"index.json", PrintIndex(index)},
                                    blob(manifest_text),
                                    blob(config_text),
                                    blob(layer)});
  RETURN_IF_ERROR(Write(archives, "layout", layout));
  RETURN_IF_ERROR(Write(
      archives, "docker",
      TarOf({{"layer.tar", layer}, {"c.json", config_text}, {"manifest.json", docker_text}})));
  RETURN_IF_ERROR(Write(archives, "layer", layer));
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    ASSIGN_OR_RETURN(const std::string compressed, CompressBlock(compression, layer));
    const char* name = compression == Compression::kGzip ? "layer.gz" : "layer.zst";
    RETURN_IF_ERROR(Write(archives, name, compressed));
  }
  return Ok();
}

}  // namespace
}  // namespace strata::imaged::oci

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: make_oci_seeds DOCUMENTS ARCHIVES\n");
    return 2;
  }
  const strata::Status made = strata::imaged::oci::MakeSeeds(argv[1], argv[2]);
  if (made.ok()) return 0;
  std::fprintf(stderr, "make_oci_seeds: %s\n", made.error().message().c_str());
  return 1;
}
