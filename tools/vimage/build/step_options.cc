#include "tools/vimage/build/step_options.h"

#include <charconv>

#include "common/printable.h"

namespace strata::tools {
namespace {

using imaged::build::Flag;
using imaged::build::Instruction;
using imaged::build::StageSettings;

Error Wrong(const std::string& message) { return Error(Code::kInvalidArgument, message); }

Result<uint32_t> Number(const std::string& text, int base, uint32_t max) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > max) {
    return Wrong("'" + Printable(text, 40) + "' is no number that fits here");
  }
  return value;
}

Status ReadSecretField(const std::string& field, SecretMount* mount) {
  const size_t equals = field.find('=');
  const std::string key = field.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
  if (key == "type") return Ok();
  if (key == "id") {
    mount->id = value;
  } else if (key == "target" || key == "dst" || key == "destination") {
    mount->target = value;
  } else if (key == "mode") {
    ASSIGN_OR_RETURN(mount->mode, Number(value, 8, 07777), "mode");
  } else if (key == "uid") {
    ASSIGN_OR_RETURN(mount->uid, Number(value, 10, 65535), "uid");
  } else if (key == "gid") {
    ASSIGN_OR_RETURN(mount->gid, Number(value, 10, 65535), "gid");
  } else if (key == "required") {
    mount->required = value.empty() || value == "true" || value == "1";
  } else {
    return Error(Code::kUnsupported, "a secret's mount knows no '" + Printable(key, 40) + "'");
  }
  return Ok();
}

Result<SecretMount> ReadMount(const std::string& text) {
  std::vector<std::string> fields;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    fields.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  std::string type = "bind";  // Docker's default.
  for (const std::string& field : fields) {
    if (field.starts_with("type=")) type = field.substr(5);
  }
  if (type != "secret") {
    return Error(Code::kUnsupported,
                 "--mount=type=" + Printable(type, 40) +
                     " is not supported, only type=secret: COPY --from brings files in");
  }
  SecretMount mount;
  for (const std::string& field : fields) RETURN_IF_ERROR(ReadSecretField(field, &mount));
  if (mount.id.empty()) mount.id = mount.target.substr(mount.target.rfind('/') + 1);
  if (mount.id.empty()) return Wrong("--mount=type=secret needs an id");
  if (mount.target.empty()) mount.target = "/run/secrets/" + mount.id;
  if (mount.target.front() != '/') return Wrong("a secret's target is an absolute path");
  return mount;
}

}  // namespace

Result<std::vector<SecretMount>> SecretMounts(const Instruction& run, const StageSettings& settings,
                                              char escape) {
  std::vector<SecretMount> mounts;
  for (const Flag& flag : run.flags) {
    if (flag.name == "network" && flag.value == "default") continue;
    if (flag.name != "mount") {
      return Error(Code::kUnsupported, "RUN --" + Printable(flag.name, 40) + " is not supported");
    }
    ASSIGN_OR_RETURN(const std::string value, settings.Expand(flag.value, escape));
    ASSIGN_OR_RETURN(mounts.emplace_back(), ReadMount(value));
  }
  return mounts;
}

Result<CopyOptions> ReadCopyOptions(const Instruction& instruction, const StageSettings& settings,
                                    char escape) {
  CopyOptions options;
  for (const Flag& flag : instruction.flags) {
    ASSIGN_OR_RETURN(const std::string value, settings.Expand(flag.value, escape));
    if (flag.name == "from" && instruction.keyword == "COPY") {
      options.from = flag.value;
    } else if (flag.name == "chown" && !value.empty()) {
      options.owner = value;
    } else if (flag.name == "chmod") {
      ASSIGN_OR_RETURN(options.mode, Number(value, 8, 07777), "--chmod takes an octal mode");
    } else if (flag.name == "link") {
      continue;  // Another way to the same files.
    } else {
      return Error(Code::kUnsupported,
                   instruction.keyword + " --" + Printable(flag.name, 40) + " is not supported");
    }
  }
  if (instruction.words) {
    for (const std::string& word : *instruction.words) {
      ASSIGN_OR_RETURN(options.words.emplace_back(), settings.Expand(word, escape));
    }
  } else {
    ASSIGN_OR_RETURN(const auto words, imaged::build::SplitWords(instruction.text, escape));
    for (const std::string& word : words) {
      ASSIGN_OR_RETURN(options.words.emplace_back(), settings.Expand(word, escape));
    }
  }
  if (options.words.size() < 2) return Wrong(instruction.keyword + " SOURCE… DESTINATION");
  for (const std::string& word : options.words) {
    if (word.empty()) return Wrong("the variables of a path leave nothing of it");
  }
  return options;
}

}  // namespace strata::tools
