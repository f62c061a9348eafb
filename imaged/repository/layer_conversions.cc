#include "imaged/repository/layer_conversions.h"

#include <dirent.h>

#include <functional>
#include <memory>
#include <sstream>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

constexpr char kChainFormat[] = "strata-oci-chain1";
constexpr char kEncodingsFormat[] = "strata-oci-encodings1";
constexpr size_t kRecordBytesMax = 64 * 1024;

std::string Sharded(const std::string& hex) { return hex.substr(0, 2) + "/" + hex.substr(2); }

std::optional<Digest> ReadChain(const std::string& path) {
  const auto text = ReadFile(path, kRecordBytesMax);
  if (!text.ok()) return std::nullopt;
  std::istringstream stream(*text);
  std::string format;
  std::string layer;
  stream >> format >> layer;
  if (!stream || format != kChainFormat) return std::nullopt;
  const auto digest = Digest::Parse(layer);
  if (!digest.ok()) return std::nullopt;
  return *digest;
}

Status WriteRecord(const std::string& path, const std::string& text) {
  RETURN_IF_ERROR(MakeDirectories(path.substr(0, path.rfind('/'))));
  return WriteFileDurably(path, text);
}

Result<std::vector<std::string>> NamesIn(const std::string& directory) {
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return Errno("opendir " + directory);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(stream);
  return names;
}

// Removes the files below the shards of `folder` that are not to be kept.
Status SweepFolder(
    const std::string& folder,
    const std::function<bool(const std::string& path, const std::string& hex)>& keep) {
  ASSIGN_OR_RETURN(const std::vector<std::string> shards, NamesIn(folder));
  for (const std::string& shard : shards) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder + "/" + shard));
    for (const std::string& name : names) {
      const std::string path = folder + "/" + shard + "/" + name;
      if (keep(path, shard + name)) continue;
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
    }
  }
  return Ok();
}

}  // namespace

Sha256Digest ChainId(const std::optional<Sha256Digest>& below, const Sha256Digest& diff_id) {
  if (!below) return diff_id;
  return Sha256Hasher::Of(below->ToString() + " " + diff_id.ToString());
}

Result<std::unique_ptr<LayerConversions>> LayerConversions::Open(const std::string& root) {
  RETURN_IF_ERROR(MakeDirectories(root + "/oci/chains", 0700));
  RETURN_IF_ERROR(MakeDirectories(root + "/oci/encodings", 0700));
  return std::unique_ptr<LayerConversions>(new LayerConversions(root + "/oci"));
}

std::string LayerConversions::ChainPath(const Sha256Digest& chain, bool as_root) const {
  return root_ + "/chains/" + Sharded(chain.Hex()) + (as_root ? ".root" : "");
}

std::optional<Digest> LayerConversions::FindChain(const Sha256Digest& chain, bool as_root) const {
  return ReadChain(ChainPath(chain, as_root));
}

Status LayerConversions::RecordChain(const Sha256Digest& chain, bool as_root, const Digest& layer) {
  return WriteRecord(ChainPath(chain, as_root),
                     std::string(kChainFormat) + " " + layer.ToString() + "\n");
}

std::string LayerConversions::EncodingsPath(const Digest& layer) const {
  return root_ + "/encodings/" + Sharded(layer.Hex());
}

LayerConversions::Encodings LayerConversions::ReadEncodings(const Digest& layer) const {
  Encodings encodings;
  const auto text = ReadFile(EncodingsPath(layer), kRecordBytesMax);
  if (!text.ok()) return encodings;
  std::istringstream stream(*text);
  std::string format;
  if (!std::getline(stream, format) || format != kEncodingsFormat) return encodings;
  std::string form;
  std::string diff_id;
  std::string digest;
  for (uint64_t size = 0; stream >> form >> diff_id >> digest >> size;) {
    const auto parsed_diff_id = Sha256Digest::Parse(diff_id);
    const auto parsed_digest = Sha256Digest::Parse(digest);
    if (parsed_diff_id.ok() && parsed_digest.ok()) {
      encodings[form] = {*parsed_diff_id, *parsed_digest, size};
    }
  }
  return encodings;
}

Status LayerConversions::WriteEncodings(const Digest& layer, const Encodings& encodings) const {
  std::ostringstream text;
  text << kEncodingsFormat << '\n';
  for (const auto& [form, encoding] : encodings) {
    text << form << ' ' << encoding.diff_id.ToString() << ' ' << encoding.digest.ToString() << ' '
         << encoding.size << '\n';
  }
  return WriteRecord(EncodingsPath(layer), text.str());
}

std::optional<LayerConversions::Encoding> LayerConversions::FindEncoding(
    const Digest& layer, const std::string& form) const {
  const std::lock_guard lock(mutex_);
  const Encodings encodings = ReadEncodings(layer);
  const auto it = encodings.find(form);
  if (it == encodings.end()) return std::nullopt;
  return it->second;
}

Status LayerConversions::RecordEncoding(const Digest& layer, const std::string& form,
                                        const Encoding& encoding) {
  const std::lock_guard lock(mutex_);
  Encodings encodings = ReadEncodings(layer);
  encodings[form] = encoding;
  return WriteEncodings(layer, encodings);
}

Status LayerConversions::ForgetEncoding(const Digest& layer, const std::string& form) {
  const std::lock_guard lock(mutex_);
  Encodings encodings = ReadEncodings(layer);
  if (encodings.erase(form) == 0) return Ok();
  return WriteEncodings(layer, encodings);
}

Status LayerConversions::Sweep(const std::set<Digest>& live) {
  RETURN_IF_ERROR(SweepFolder(root_ + "/chains", [&](const std::string& path, const std::string&) {
    const std::optional<Digest> layer = ReadChain(path);
    return layer && live.contains(*layer);
  }));
  const std::lock_guard lock(mutex_);
  return SweepFolder(root_ + "/encodings", [&](const std::string&, const std::string& hex) {
    const auto layer = Digest::FromHex(hex);
    return layer.ok() && live.contains(*layer);
  });
}

}  // namespace strata::imaged
