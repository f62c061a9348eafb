#include "tools/vimage/build/step_options.h"

#include <charconv>

#include "common/printable.h"
#include "imaged/build/ignore_file.h"
#include "imaged/build/mount_fields.h"
#include "tools/cli/human.h"

namespace strata::tools {
namespace {

using imaged::build::Flag;
using imaged::build::Instruction;
using imaged::build::MountField;
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

Status ReadSecretField(const MountField& field, SecretMount* mount) {
  const auto& [key, value] = field;
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

Result<SecretMount> ReadSecret(const std::vector<MountField>& fields) {
  SecretMount mount;
  for (const MountField& field : fields) RETURN_IF_ERROR(ReadSecretField(field, &mount));
  if (mount.id.empty()) mount.id = mount.target.substr(mount.target.rfind('/') + 1);
  if (mount.id.empty()) return Wrong("--mount=type=secret needs an id");
  if (mount.target.empty()) mount.target = "/run/secrets/" + mount.id;
  if (mount.target.front() != '/') return Wrong("a secret's target is an absolute path");
  return mount;
}

bool IsYes(const std::string& value) { return value.empty() || value == "true" || value == "1"; }

// What the kinds do not have in common; false: it is none of theirs.
Result<bool> ReadOwnField(const MountField& field, TreeMount* mount) {
  using Kind = TreeMount::Kind;
  const std::string& key = field.key;
  if (mount->kind == Kind::kTmpfs && key == "size") {
    ASSIGN_OR_RETURN(mount->size_bytes, ParseBytes(field.value), "size");
    if (mount->size_bytes == 0) return Wrong("size=0");
  } else if (mount->kind == Kind::kBind && key == "source") {
    mount->source = field.value;
  } else if (mount->kind == Kind::kBind && key == "from") {
    mount->from = field.value;
  } else if (mount->kind == Kind::kCache && key == "id") {
    mount->id = field.value;
  } else if (mount->kind == Kind::kCache && key == "mode") {
    ASSIGN_OR_RETURN(mount->mode, Number(field.value, 8, 07777), "mode");
  } else if (mount->kind == Kind::kCache && (key == "uid" || key == "gid")) {
    ASSIGN_OR_RETURN((key == "uid" ? mount->uid : mount->gid), Number(field.value, 10, 65535), key);
  } else if (mount->kind == Kind::kCache && key == "sharing") {
    if (field.value != "shared" && field.value != "private" && field.value != "locked") {
      return Wrong("sharing is shared, private or locked");
    }
  } else {
    return false;
  }
  return true;
}

Result<TreeMount> ReadTree(const std::string& type, const std::vector<MountField>& fields,
                           const std::string& working_dir) {
  using Kind = TreeMount::Kind;
  TreeMount mount;
  mount.kind = type == "tmpfs" ? Kind::kTmpfs : type == "cache" ? Kind::kCache : Kind::kBind;
  mount.read_only = mount.kind == Kind::kBind;
  for (const auto& [key, value] : fields) {
    if (key == "type") continue;
    if (key == "target" || key == "dst" || key == "destination") {
      mount.target = value;
    } else if (mount.kind != Kind::kTmpfs && (key == "ro" || key == "readonly")) {
      mount.read_only = IsYes(value);
    } else if (mount.kind != Kind::kTmpfs && (key == "rw" || key == "readwrite")) {
      mount.read_only = !IsYes(value);
    } else {
      ASSIGN_OR_RETURN(const bool known, ReadOwnField({key, value}, &mount));
      if (known) continue;
      return Error(Code::kUnsupported,
                   "--mount=type=" + type + " knows no '" + Printable(key, 40) + "'");
    }
  }
  if (mount.target.empty()) return Wrong("--mount=type=" + type + " needs a target");
  const std::string whole =
      mount.target.front() == '/' ? mount.target : working_dir + "/" + mount.target;
  mount.target = "/" + imaged::build::CleanPath(whole);
  if (mount.target == "/") return Wrong("the root cannot be a mount's target");
  if (mount.id.empty()) mount.id = mount.target;
  return mount;
}

}  // namespace

Result<RunMounts> ReadRunMounts(const Instruction& run, const StageSettings& settings,
                                char escape) {
  RunMounts mounts;
  for (const Flag& flag : run.flags) {
    if (flag.name == "network" && flag.value == "default") continue;
    if (flag.name != "mount") {
      return Error(Code::kUnsupported, "RUN --" + Printable(flag.name, 40) + " is not supported");
    }
    ASSIGN_OR_RETURN(const std::string value, settings.Expand(flag.value, escape));
    const std::vector<MountField> fields = imaged::build::MountFields(value);
    const std::string type = imaged::build::MountType(fields);
    if (type == "secret") {
      ASSIGN_OR_RETURN(mounts.secrets.emplace_back(), ReadSecret(fields));
    } else if (type == "tmpfs" || type == "bind" || type == "cache") {
      ASSIGN_OR_RETURN(mounts.trees.emplace_back(), ReadTree(type, fields, settings.working_dir()));
    } else {
      return Error(Code::kUnsupported, "--mount=type=" + Printable(type, 40) +
                                           " is not supported, only bind, cache, secret and tmpfs");
    }
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
