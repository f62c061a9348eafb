#include "imaged/oci/documents.h"

#include <algorithm>
#include <array>

#include "common/printable.h"
#include "imaged/oci/json_fields.h"

namespace strata::imaged::oci {
namespace {

constexpr size_t kHistoryMax = 4 * kLayersMax;
constexpr char kSupportedLayers[] =
    "supported are tar layers of OCI and Docker, plain or compressed with gzip or zstd";

bool IsOneOf(std::string_view type, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), type) != known.end();
}

Result<std::optional<Platform>> ReadPlatform(const Field& field) {
  if (!field.present()) return std::optional<Platform>();
  RETURN_IF_ERROR(field.CheckObject());
  Platform platform;
  ASSIGN_OR_RETURN(platform.os, field["os"].Text());
  ASSIGN_OR_RETURN(platform.architecture, field["architecture"].Text());
  ASSIGN_OR_RETURN(platform.variant, field["variant"].Text());
  return std::optional<Platform>(std::move(platform));
}

Result<Descriptor> ReadDescriptor(const Field& field) {
  RETURN_IF_ERROR(field.CheckObject());
  Descriptor descriptor;
  ASSIGN_OR_RETURN(descriptor.media_type, field["mediaType"].Text());
  ASSIGN_OR_RETURN(const std::string digest, field["digest"].RequiredText());
  ASSIGN_OR_RETURN(descriptor.digest, Sha256Digest::Parse(digest),
                   "the field '" + field["digest"].path() + "'");
  ASSIGN_OR_RETURN(descriptor.size, field["size"].Size());
  ASSIGN_OR_RETURN(descriptor.platform, ReadPlatform(field["platform"]));
  ASSIGN_OR_RETURN(descriptor.annotations, field["annotations"].TextMap());
  return descriptor;
}

Status CheckSchema(const Field& document) {
  ASSIGN_OR_RETURN(const uint64_t version, document["schemaVersion"].Size());
  if (version == 2) return Ok();
  return Error(Code::kUnsupported, "schemaVersion " + std::to_string(version) +
                                       ": only version 2 is supported (Docker since 1.10)");
}

Error UnknownType(const Field& field, const std::string& type, const char* supported) {
  return Error(Code::kUnsupported,
               "the field '" + field.path() + "' is '" + Printable(type, 100) + "': " + supported);
}

Json PlatformJson(const Platform& platform) {
  Json json = {{"architecture", platform.architecture}, {"os", platform.os}};
  if (!platform.variant.empty()) json["variant"] = platform.variant;
  return json;
}

Json DescriptorJson(const Descriptor& descriptor) {
  Json json = {{"mediaType", descriptor.media_type},
               {"digest", descriptor.digest.ToString()},
               {"size", descriptor.size}};
  if (descriptor.platform) json["platform"] = PlatformJson(*descriptor.platform);
  if (!descriptor.annotations.empty()) json["annotations"] = descriptor.annotations;
  return json;
}

// nlohmann's objects are sorted by key, so equal documents give equal bytes.
std::string Print(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

void PutText(Json* json, const char* key, const std::string& text) {
  if (!text.empty()) (*json)[key] = text;
}

template <typename Container>
void PutAll(Json* json, const char* key, const Container& values) {
  if (!values.empty()) (*json)[key] = values;
}

void PutSet(Json* json, const char* key, const std::vector<std::string>& keys) {
  for (const std::string& each : keys) (*json)[key][each] = Json::object();
}

Status ReadExecution(const Field& field, ImageConfig* config) {
  if (!field.present()) return Ok();
  RETURN_IF_ERROR(field.CheckObject());
  ASSIGN_OR_RETURN(config->env, field["Env"].Texts());
  ASSIGN_OR_RETURN(config->entrypoint, field["Entrypoint"].Texts());
  ASSIGN_OR_RETURN(config->cmd, field["Cmd"].Texts());
  ASSIGN_OR_RETURN(config->user, field["User"].Text());
  ASSIGN_OR_RETURN(config->working_dir, field["WorkingDir"].Text());
  ASSIGN_OR_RETURN(config->stop_signal, field["StopSignal"].Text());
  ASSIGN_OR_RETURN(config->labels, field["Labels"].TextMap());
  ASSIGN_OR_RETURN(config->exposed_ports, field["ExposedPorts"].Keys());
  ASSIGN_OR_RETURN(config->volumes, field["Volumes"].Keys());
  return Ok();
}

Result<HistoryEntry> ReadHistory(const Field& field) {
  RETURN_IF_ERROR(field.CheckObject());
  HistoryEntry entry;
  ASSIGN_OR_RETURN(entry.created, field["created"].Text());
  ASSIGN_OR_RETURN(entry.created_by, field["created_by"].Text());
  ASSIGN_OR_RETURN(entry.author, field["author"].Text());
  ASSIGN_OR_RETURN(entry.comment, field["comment"].Text());
  ASSIGN_OR_RETURN(entry.empty_layer, field["empty_layer"].Flag());
  return entry;
}

Json HistoryJson(const HistoryEntry& entry) {
  Json json = Json::object();
  PutText(&json, "created", entry.created);
  PutText(&json, "created_by", entry.created_by);
  PutText(&json, "author", entry.author);
  PutText(&json, "comment", entry.comment);
  if (entry.empty_layer) json["empty_layer"] = true;
  return json;
}

}  // namespace

bool IsManifestType(std::string_view type) {
  return IsOneOf(type, {kOciManifestType, kDockerManifestType});
}

bool IsIndexType(std::string_view type) { return IsOneOf(type, {kOciIndexType, kDockerIndexType}); }

bool IsLayerType(std::string_view type) {
  return IsOneOf(type, {kOciLayerType, kOciLayerGzipType, kOciLayerZstdType, kDockerLayerType,
                        kDockerLayerGzipType, kDockerLayerZstdType});
}

std::string Platform::ToString() const {
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

Result<Platform> ParsePlatform(std::string_view text) {
  std::array<std::string, 3> parts;
  size_t count = 0;
  std::string_view rest = text;
  while (count < parts.size()) {
    const size_t slash = rest.find('/');
    parts[count++] = rest.substr(0, slash);
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
    if (count == parts.size()) count = parts.size() + 1;
  }
  const bool good =
      (count == 2 || count == 3) && std::all_of(parts.begin(), parts.begin() + count,
                                                [](const auto& part) { return !part.empty(); });
  if (good) return Platform{parts[0], parts[1], parts[2]};
  return Error(Code::kInvalidArgument, "'" + Printable(text, 100) +
                                           "' is no platform: write os/architecture[/variant], as "
                                           "linux/amd64");
}

Platform HostPlatform() {
#if defined(__x86_64__)
  return {"linux", "amd64", ""};
#elif defined(__aarch64__)
  return {"linux", "arm64", ""};
#else
#error "name this architecture as Go does"
#endif
}

Result<Manifest> ParseManifest(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const Field document(json);
  RETURN_IF_ERROR(CheckSchema(document));
  // A document that is both means one thing to one reader and another to the next
  // (CVE-2021-41190).
  if (document["manifests"].present()) return document["manifests"].Bad("is not of a manifest");
  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.media_type, document["mediaType"].Text());
  if (manifest.media_type.empty()) manifest.media_type = kOciManifestType;
  if (!IsManifestType(manifest.media_type)) {
    return UnknownType(document["mediaType"], manifest.media_type,
                       "supported are manifests of OCI and of Docker's version 2, schema 2");
  }
  ASSIGN_OR_RETURN(manifest.config, ReadDescriptor(document["config"]));
  if (!IsOneOf(manifest.config.media_type, {kOciConfigType, kDockerConfigType})) {
    return UnknownType(document["config"]["mediaType"], manifest.config.media_type,
                       "not a container image of OCI or Docker");
  }
  ASSIGN_OR_RETURN(const std::vector<Field> layers, document["layers"].Items(kLayersMax));
  for (const Field& layer : layers) {
    ASSIGN_OR_RETURN(Descriptor descriptor, ReadDescriptor(layer));
    if (!IsLayerType(descriptor.media_type)) {
      return UnknownType(layer["mediaType"], descriptor.media_type, kSupportedLayers);
    }
    manifest.layers.push_back(std::move(descriptor));
  }
  ASSIGN_OR_RETURN(manifest.annotations, document["annotations"].TextMap());
  return manifest;
}

Result<Index> ParseIndex(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const Field document(json);
  RETURN_IF_ERROR(CheckSchema(document));
  for (const char* key : {"config", "layers"}) {
    if (document[key].present()) return document[key].Bad("is not of an index");
  }
  Index index;
  ASSIGN_OR_RETURN(index.media_type, document["mediaType"].Text());
  if (index.media_type.empty()) index.media_type = kOciIndexType;
  if (!IsIndexType(index.media_type)) {
    return UnknownType(document["mediaType"], index.media_type,
                       "supported are indexes of OCI and manifest lists of Docker");
  }
  ASSIGN_OR_RETURN(const std::vector<Field> manifests,
                   document["manifests"].Items(kIndexEntriesMax));
  for (const Field& manifest : manifests) {
    ASSIGN_OR_RETURN(index.manifests.emplace_back(), ReadDescriptor(manifest));
  }
  return index;
}

Result<ImageConfig> ParseImageConfig(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const Field document(json);
  ImageConfig config;
  ASSIGN_OR_RETURN(config.platform.os, document["os"].RequiredText());
  ASSIGN_OR_RETURN(config.platform.architecture, document["architecture"].RequiredText());
  ASSIGN_OR_RETURN(config.platform.variant, document["variant"].Text());
  ASSIGN_OR_RETURN(config.created, document["created"].Text());
  ASSIGN_OR_RETURN(config.author, document["author"].Text());
  RETURN_IF_ERROR(ReadExecution(document["config"], &config));
  const Field rootfs = document["rootfs"];
  RETURN_IF_ERROR(rootfs.CheckObject());
  ASSIGN_OR_RETURN(const std::string type, rootfs["type"].Text());
  if (type != "layers") return UnknownType(rootfs["type"], type, "supported is 'layers'");
  ASSIGN_OR_RETURN(const std::vector<Field> diff_ids, rootfs["diff_ids"].Items(kLayersMax));
  for (const Field& diff_id : diff_ids) {
    ASSIGN_OR_RETURN(const std::string digest, diff_id.RequiredText());
    ASSIGN_OR_RETURN(config.diff_ids.emplace_back(), Sha256Digest::Parse(digest),
                     "the field '" + diff_id.path() + "'");
  }
  ASSIGN_OR_RETURN(const std::vector<Field> history, document["history"].Items(kHistoryMax));
  for (const Field& entry : history) {
    ASSIGN_OR_RETURN(config.history.emplace_back(), ReadHistory(entry));
  }
  return config;
}

std::string PrintManifest(const Manifest& manifest) {
  Json json = {{"schemaVersion", 2},
               {"mediaType", manifest.media_type},
               {"config", DescriptorJson(manifest.config)},
               {"layers", Json::array()}};
  for (const Descriptor& layer : manifest.layers) json["layers"].push_back(DescriptorJson(layer));
  PutAll(&json, "annotations", manifest.annotations);
  return Print(json);
}

std::string PrintIndex(const Index& index) {
  Json json = {{"schemaVersion", 2}, {"mediaType", index.media_type}, {"manifests", Json::array()}};
  for (const Descriptor& entry : index.manifests) {
    json["manifests"].push_back(DescriptorJson(entry));
  }
  return Print(json);
}

std::string PrintImageConfig(const ImageConfig& config) {
  Json execution = Json::object();
  PutAll(&execution, "Env", config.env);
  PutAll(&execution, "Entrypoint", config.entrypoint);
  PutAll(&execution, "Cmd", config.cmd);
  PutText(&execution, "User", config.user);
  PutText(&execution, "WorkingDir", config.working_dir);
  PutText(&execution, "StopSignal", config.stop_signal);
  PutAll(&execution, "Labels", config.labels);
  PutSet(&execution, "ExposedPorts", config.exposed_ports);
  PutSet(&execution, "Volumes", config.volumes);
  Json json = PlatformJson(config.platform);
  PutText(&json, "created", config.created);
  PutText(&json, "author", config.author);
  json["config"] = std::move(execution);
  json["rootfs"] = {{"type", "layers"}, {"diff_ids", Json::array()}};
  for (const Sha256Digest& diff_id : config.diff_ids) {
    json["rootfs"]["diff_ids"].push_back(diff_id.ToString());
  }
  for (const HistoryEntry& entry : config.history) json["history"].push_back(HistoryJson(entry));
  return Print(json);
}

Status ParseLayoutMark(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const Field document(json);
  ASSIGN_OR_RETURN(const std::string version, document["imageLayoutVersion"].RequiredText());
  if (version.starts_with("1.")) return Ok();
  return Error(Code::kUnsupported,
               "an OCI layout of version '" + Printable(version, 100) + "': supported is 1.x");
}

std::string PrintLayoutMark() { return Print({{"imageLayoutVersion", "1.0.0"}}); }

Result<std::vector<DockerArchiveImage>> ParseDockerArchive(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, Json::value_t::array));
  ASSIGN_OR_RETURN(const std::vector<Field> items, Field(json).Items(kIndexEntriesMax));
  std::vector<DockerArchiveImage> images;
  for (const Field& item : items) {
    RETURN_IF_ERROR(item.CheckObject());
    DockerArchiveImage& image = images.emplace_back();
    ASSIGN_OR_RETURN(image.config_path, item["Config"].RequiredText());
    ASSIGN_OR_RETURN(image.repo_tags, item["RepoTags"].Texts());
    ASSIGN_OR_RETURN(image.layer_paths, item["Layers"].Texts());
    if (image.layer_paths.size() > kLayersMax) {
      return Error(Code::kResourceExhausted, "the field '" + item["Layers"].path() +
                                                 "' has more than " + std::to_string(kLayersMax) +
                                                 " elements");
    }
  }
  return images;
}

std::string PrintDockerArchive(const std::vector<DockerArchiveImage>& images) {
  Json json = Json::array();
  for (const DockerArchiveImage& image : images) {
    Json tags = nullptr;
    if (!image.repo_tags.empty()) tags = image.repo_tags;
    json.push_back({{"Config", image.config_path},
                    {"RepoTags", std::move(tags)},
                    {"Layers", image.layer_paths}});
  }
  return Print(json);
}

}  // namespace strata::imaged::oci
