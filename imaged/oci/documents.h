// The JSON documents of OCI images (image-spec 1.1: descriptor.md, manifest.md, image-index.md,
// config.md) and of Docker (image manifest V2 schema 2), as plain structs. Parse* takes foreign
// bytes within limits and names the field of every fault: kInvalidArgument, kResourceExhausted
// beyond a limit, kUnsupported for what Strata does not know. What it does not keep is ignored.
// Print* is deterministic.
//
// Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/sha256.h"

namespace strata::imaged::oci {

inline constexpr size_t kDocumentBytesMax = 4u << 20;
inline constexpr size_t kDocumentDepthMax = 32;
inline constexpr size_t kLayersMax = 500;
inline constexpr size_t kIndexEntriesMax = 1000;

inline constexpr char kOciManifestType[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciIndexType[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciConfigType[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kOciLayerType[] = "application/vnd.oci.image.layer.v1.tar";
inline constexpr char kOciLayerGzipType[] = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr char kOciLayerZstdType[] = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr char kDockerManifestType[] =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerIndexType[] =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr char kDockerConfigType[] = "application/vnd.docker.container.image.v1+json";
inline constexpr char kDockerLayerType[] = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr char kDockerLayerGzipType[] = "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr char kDockerLayerZstdType[] = "application/vnd.docker.image.rootfs.diff.tar.zstd";

inline constexpr char kRefNameAnnotation[] = "org.opencontainers.image.ref.name";

bool IsManifestType(std::string_view media_type);
bool IsIndexType(std::string_view media_type);
bool IsLayerType(std::string_view media_type);

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  // "os/architecture[/variant]".
  std::string ToString() const;
  auto operator<=>(const Platform&) const = default;
};
// "linux/amd64", "linux/arm64/v8".
Result<Platform> ParsePlatform(std::string_view text);
// linux and the architecture of this build.
Platform HostPlatform();

struct Descriptor {
  std::string media_type;
  Sha256Digest digest;
  uint64_t size = 0;
  std::optional<Platform> platform;                // In an index.
  std::map<std::string, std::string> annotations;  // In an index and of layers.
};

struct Manifest {
  std::string media_type;  // kOciManifestType or kDockerManifestType.
  Descriptor config;
  std::vector<Descriptor> layers;  // Bottom first; their media types are known ones.
  std::map<std::string, std::string> annotations;
};

struct Index {
  std::string media_type;  // kOciIndexType or kDockerIndexType.
  std::vector<Descriptor> manifests;
};

struct HistoryEntry {
  std::string created;  // RFC 3339.
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
};

struct ImageConfig {
  Platform platform;
  std::string created;  // RFC 3339; empty: not said.
  std::string author;
  std::vector<std::string> env;  // "NAME=value"
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string user;
  std::string working_dir;
  std::string stop_signal;
  std::map<std::string, std::string> labels;
  std::vector<std::string> exposed_ports;  // "80/tcp", ascending.
  std::vector<std::string> volumes;        // Paths, ascending.
  std::vector<Sha256Digest> diff_ids;      // Of the uncompressed layers, bottom first.
  std::vector<HistoryEntry> history;
};

Result<Manifest> ParseManifest(std::string_view json);
Result<Index> ParseIndex(std::string_view json);
Result<ImageConfig> ParseImageConfig(std::string_view json);

std::string PrintManifest(const Manifest& manifest);
std::string PrintIndex(const Index& index);
std::string PrintImageConfig(const ImageConfig& config);

// "oci-layout" of a layout: kUnsupported for a version that is not 1.x.
Status ParseLayoutMark(std::string_view json);
std::string PrintLayoutMark();

// "manifest.json" of a `docker save` archive.
struct DockerArchiveImage {
  std::string config_path;
  std::vector<std::string> repo_tags;
  std::vector<std::string> layer_paths;  // Bottom first.
};
Result<std::vector<DockerArchiveImage>> ParseDockerArchive(std::string_view json);
std::string PrintDockerArchive(const std::vector<DockerArchiveImage>& images);

}  // namespace strata::imaged::oci
