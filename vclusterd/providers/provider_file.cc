#include "vclusterd/providers/provider_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "common/file_io.h"
#include "common/json_text.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

constexpr size_t kFileBytesMax = 1u << 20;
constexpr size_t kDepthMax = 8;
constexpr size_t kWordsMax = 64;  // Of a command.
constexpr size_t kOwnersMax = 1000;
constexpr double kSecondsMax = 7 * 24 * 3600;

Error Wrong(const std::string& where, const std::string& what) {
  return Error(Code::kInvalidArgument, where + ": " + what);
}

Status CheckKeys(const std::string& where, const Json& json, const std::set<std::string>& known) {
  for (const auto& [key, value] : json.items()) {
    if (!known.contains(key)) return Wrong(where, "there is no such key as '" + key + "'");
  }
  return Ok();
}

Result<double> NumberOf(const std::string& where, const Json& json, const char* key, double least,
                        double max, double fallback) {
  const auto found = json.find(key);
  if (found == json.end()) return fallback;
  const bool sane = found->is_number() && std::isfinite(found->get<double>()) &&
                    found->get<double>() >= least && found->get<double>() <= max;
  if (sane) return found->get<double>();
  return Wrong(where + "." + key,
               "must be a number from " + std::to_string(least) + " to " + std::to_string(max));
}

Result<std::chrono::seconds> SecondsOf(const std::string& where, const Json& json, const char* key,
                                       std::chrono::seconds fallback) {
  ASSIGN_OR_RETURN(const double seconds, NumberOf(where, json, key, 1, kSecondsMax,
                                                  static_cast<double>(fallback.count())));
  return std::chrono::seconds(static_cast<int64_t>(seconds));
}

Result<std::vector<std::string>> WordsOf(const std::string& where, const Json& json,
                                         const char* key, size_t count_max) {
  std::vector<std::string> words;
  const auto found = json.find(key);
  if (found == json.end()) return words;
  if (!found->is_array() || found->size() > count_max) {
    return Wrong(where + "." + key, "must be a list of texts");
  }
  for (const Json& word : *found) {
    if (!word.is_string() || word.get_ref<const std::string&>().find('\0') != std::string::npos) {
      return Wrong(where + "." + key, "must be a list of texts");
    }
    words.push_back(word.get<std::string>());
  }
  return words;
}

Result<ProviderConfig> ParseProvider(const std::string& where, const Json& json) {
  if (!json.is_object()) return Wrong(where, "must be an object");
  RETURN_IF_ERROR(CheckKeys(where, json,
                            {"name", "command", "timeout_s", "machines_max", "price_per_hour_max",
                             "owners", "idle_s", "join_s", "cool_down_s"}));
  ProviderConfig config;
  const auto name = json.find("name");
  if (name == json.end() || !name->is_string()) return Wrong(where + ".name", "must be a text");
  config.rules.name = name->get<std::string>();
  const auto is_letter = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-';
  };
  if (config.rules.name.empty() || config.rules.name.size() > 40 ||
      !std::all_of(config.rules.name.begin(), config.rules.name.end(), is_letter)) {
    return Wrong(where + ".name", "must be up to 40 letters, digits and '-'");
  }
  ASSIGN_OR_RETURN(config.exec.command, WordsOf(where, json, "command", kWordsMax));
  if (config.exec.command.empty() || !config.exec.command[0].starts_with("/")) {
    return Wrong(where + ".command", "must start with the path of a program");
  }
  ASSIGN_OR_RETURN(config.exec.timeout, SecondsOf(where, json, "timeout_s", config.exec.timeout));
  ASSIGN_OR_RETURN(const double machines, NumberOf(where, json, "machines_max", 0, 1000, 1));
  config.rules.machines_max = static_cast<uint32_t>(machines);
  if (!json.contains("price_per_hour_max")) {
    return Wrong(where + ".price_per_hour_max", "must be there: what may be spent in an hour");
  }
  ASSIGN_OR_RETURN(config.rules.price_per_hour_max,
                   NumberOf(where, json, "price_per_hour_max", 0, 1e9, 0));
  ASSIGN_OR_RETURN(config.rules.owners, WordsOf(where, json, "owners", kOwnersMax));
  ASSIGN_OR_RETURN(config.idle, SecondsOf(where, json, "idle_s", config.idle));
  ASSIGN_OR_RETURN(config.join, SecondsOf(where, json, "join_s", config.join));
  ASSIGN_OR_RETURN(config.cool_down, SecondsOf(where, json, "cool_down_s", config.cool_down));
  return config;
}

}  // namespace

Result<ProviderFile> ParseProviderFile(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonText(text, kFileBytesMax, kDepthMax));
  if (!json.is_object()) return Wrong("the file", "must be an object");
  RETURN_IF_ERROR(CheckKeys("the file", json, {"masters", "providers"}));
  const auto list = json.find("providers");
  if (list == json.end() || !list->is_array() || list->size() > kProvidersMax) {
    return Wrong("providers", "must be a list of at most " + std::to_string(kProvidersMax));
  }
  ProviderFile file;
  if (const auto masters = json.find("masters"); masters != json.end()) {
    if (!masters->is_string()) return Wrong("masters", "must be a text: HOST=ADDRESS:PORT[,…]");
    file.masters = masters->get<std::string>();
  }
  std::set<std::string> names;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string where = "providers[" + std::to_string(i) + "]";
    ASSIGN_OR_RETURN(ProviderConfig config, ParseProvider(where, (*list)[i]));
    if (!names.insert(config.rules.name).second) return Wrong(where + ".name", "is there twice");
    file.providers.push_back(std::move(config));
  }
  return file;
}

Result<ProviderFile> ReadProviderFile(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY | O_NOFOLLOW));
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) return Errno("stat " + path);
  if (!S_ISREG(status.st_mode) || status.st_uid != 0 || (status.st_mode & 022) != 0) {
    return Error(Code::kPermissionDenied,
                 path +
                     " names programs that run as root: it must be root's, and nobody else's "
                     "to write (chown root, chmod go-w)");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadAll(fd.get(), kFileBytesMax));
  auto file = ParseProviderFile(text);
  if (!file.ok()) return file.error().Wrap(path);
  return file;
}

}  // namespace strata::vcluster
