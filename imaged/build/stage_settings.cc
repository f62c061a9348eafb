#include "imaged/build/stage_settings.h"

#include <algorithm>
#include <set>

#include "common/printable.h"
#include "imaged/build/ignore_file.h"

namespace strata::imaged::build {
namespace {

// RUN has them without an ARG, and they are in no key.
const std::set<std::string>& ProxyNames() {
  static const std::set<std::string> names = {
      "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
      "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy"};
  return names;
}

Error Wrong(const std::string& message) { return Error(Code::kInvalidArgument, message); }

std::optional<std::string> Find(const Arguments& from, const std::string& name) {
  const auto at = from.find(name);
  if (at == from.end()) return std::nullopt;
  return at->second;
}

void Assign(const std::vector<std::string>& from,
            google::protobuf::RepeatedPtrField<std::string>* to) {
  to->Assign(from.begin(), from.end());
}

void AddSorted(const std::string& value, google::protobuf::RepeatedPtrField<std::string>* list) {
  std::set<std::string> all(list->begin(), list->end());
  all.insert(value);
  list->Assign(all.begin(), all.end());
}

// "80", "80/udp", "8000-8010/tcp".
Status CheckPort(const std::string& port) {
  const size_t slash = port.find('/');
  const std::string protocol = slash == std::string::npos ? "tcp" : port.substr(slash + 1);
  const std::string number = port.substr(0, slash);
  const bool good = (protocol == "tcp" || protocol == "udp" || protocol == "sctp") &&
                    !number.empty() && number.size() <= 11 &&
                    number.find_first_not_of("0123456789-") == std::string::npos &&
                    number.front() != '-' && number.back() != '-';
  return good ? Ok() : Status(Wrong("'" + Printable(port, 60) + "' is no port, such as 80/tcp"));
}

}  // namespace

StageSettings::StageSettings(const Arguments& given, const Arguments& global)
    : given_(given), global_(global) {}

void StageSettings::StartFrom(const v1::ImageConfig& config) {
  config_ = config;
  if (config_.mutable_oci()->os().empty()) {
    const Arguments platform = PlatformArguments();
    config_.mutable_oci()->set_os("linux");
    config_.mutable_oci()->set_architecture(platform.at("TARGETARCH"));
  }
  config_.mutable_oci()->clear_created();
}

void StageSettings::StartFrom(const StageSettings& stage) {
  config_ = stage.config_;
  arguments_ = stage.arguments_;
  shell_ = stage.shell_;
}

VariableLookup StageSettings::Lookup() const {
  return [this](const std::string& name) -> std::optional<std::string> {
    for (const std::string& entry : config_.env()) {
      if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
        return entry.substr(name.size() + 1);
      }
    }
    return Find(arguments_, name);
  };
}

Result<std::string> StageSettings::Expand(const std::string& text, char escape) const {
  return ExpandWord(text, Lookup(), escape);
}

Result<std::vector<std::string>> StageSettings::ExpandAll(const std::string& text,
                                                          char escape) const {
  return ExpandWords(text, Lookup(), escape);
}

std::vector<std::string> StageSettings::Environment() const {
  Arguments all = arguments_;
  for (const std::string& entry : config_.env()) {
    const size_t equals = entry.find('=');
    all[entry.substr(0, equals)] = equals == std::string::npos ? "" : entry.substr(equals + 1);
  }
  std::vector<std::string> list;
  for (const auto& [name, value] : all) list.push_back(name + "=" + value);
  return list;
}

std::vector<std::string> StageSettings::EnvironmentWithProxies() const {
  std::vector<std::string> list = Environment();
  for (const auto& [name, value] : given_) {
    if (ProxyNames().contains(name) && !Lookup()(name)) list.push_back(name + "=" + value);
  }
  return list;
}

std::vector<std::string> StageSettings::CommandOf(const Instruction& run) const {
  if (run.words) return *run.words;
  std::string script = run.text;
  if (run.heredocs.size() == 1 && run.text.starts_with("<<") &&
      run.text.find_first_of(" \t;|&>") == std::string::npos) {
    script = run.heredocs[0].content;  // The lines are the command.
  } else {
    for (const Heredoc& heredoc : run.heredocs) {
      script += "\n" + heredoc.content + heredoc.name;
    }
    if (!run.heredocs.empty()) script += "\n";
  }
  std::vector<std::string> command = shell_;
  command.push_back(std::move(script));
  return command;
}

std::string StageSettings::working_dir() const {
  return config_.oci().working_dir().empty() ? "/" : config_.oci().working_dir();
}

void StageSettings::AddHistory(const std::string& text, const std::string& layer) {
  v1::OciHistory* step = config_.mutable_oci()->add_history();
  step->set_created_by(text);
  step->set_layer(layer);
}

Status StageSettings::Apply(const Instruction& instruction, char escape) {
  const std::string& keyword = instruction.keyword;
  if (keyword == "ARG") return ApplyArgument(instruction, escape);
  if (keyword == "ENV" || keyword == "LABEL") return ApplyEnvironment(instruction, escape);
  if (keyword == "CMD" || keyword == "ENTRYPOINT" || keyword == "SHELL") {
    return ApplyCommand(instruction);
  }
  if (keyword == "WORKDIR") return ApplyWorkingDir(instruction, escape);
  if (keyword == "EXPOSE" || keyword == "VOLUME") return ApplyList(instruction, escape);
  if (keyword == "HEALTHCHECK" || keyword == "ONBUILD") {
    warnings_.push_back(keyword + " is not kept: images of OCI's format have no place for it");
    return Ok();
  }
  return ApplyText(instruction, escape);
}

Status StageSettings::ApplyArgument(const Instruction& instruction, char escape) {
  ASSIGN_OR_RETURN(const auto words, SplitWords(instruction.text, escape));
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (name.empty() || name.find_first_of("\"'$") != std::string::npos) {
      return Wrong("ARG NAME or ARG NAME=VALUE");
    }
    std::optional<std::string> value = Find(given_, name);
    if (!value && equals != std::string::npos) {
      ASSIGN_OR_RETURN(value, Expand(word.substr(equals + 1), escape));
    }
    if (!value) value = Find(global_, name);
    if (value) arguments_[name] = *value;
  }
  return Ok();
}

Result<std::vector<std::pair<std::string, std::string>>> StageSettings::Pairs(
    const Instruction& instruction, char escape) const {
  std::vector<std::pair<std::string, std::string>> pairs;
  ASSIGN_OR_RETURN(const auto words, SplitWords(instruction.text, escape));
  if (words.empty()) return Wrong(instruction.keyword + " NAME=VALUE");
  if (words[0].find('=') == std::string::npos) {  // "NAME the rest".
    if (words.size() < 2) return Wrong(instruction.keyword + " NAME=VALUE");
    const size_t value_at = instruction.text.find_first_not_of(" \t", words[0].size());
    ASSIGN_OR_RETURN(std::string value, Expand(instruction.text.substr(value_at), escape));
    pairs.emplace_back(words[0], std::move(value));
    return pairs;
  }
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Wrong("'" + Printable(word, 60) + "': write NAME=VALUE");
    }
    ASSIGN_OR_RETURN(std::string name, Expand(word.substr(0, equals), escape));
    ASSIGN_OR_RETURN(std::string value, Expand(word.substr(equals + 1), escape));
    if (name.empty() || name.find('=') != std::string::npos) {
      return Wrong("'" + Printable(word, 60) + "': write NAME=VALUE");
    }
    pairs.emplace_back(std::move(name), std::move(value));
  }
  return pairs;
}

void StageSettings::SetVariable(const std::string& name, const std::string& value) {
  for (std::string& entry : *config_.mutable_env()) {
    if (entry.starts_with(name) && entry.size() > name.size() && entry[name.size()] == '=') {
      entry = name + "=" + value;
      return;
    }
  }
  config_.add_env(name + "=" + value);
}

Status StageSettings::ApplyEnvironment(const Instruction& instruction, char escape) {
  ASSIGN_OR_RETURN(const auto pairs, Pairs(instruction, escape));
  for (const auto& [name, value] : pairs) {
    if (value.find('\0') != std::string::npos) return Wrong(name + ": a zero byte");
    if (instruction.keyword == "LABEL") {
      (*config_.mutable_oci()->mutable_labels())[name] = value;
    } else {
      SetVariable(name, value);
    }
  }
  return Ok();
}

Status StageSettings::ApplyCommand(const Instruction& instruction) {
  std::vector<std::string> words;
  if (instruction.words) {
    words = *instruction.words;
  } else if (instruction.keyword == "SHELL") {
    return Wrong("SHELL [\"program\", \"argument\", …]");
  } else {
    words = shell_;
    words.push_back(instruction.text);
  }
  if (instruction.keyword == "SHELL") {
    if (words.empty()) return Wrong("SHELL needs a program");
    shell_ = std::move(words);
    return Ok();
  }
  config_.clear_command();  // What somebody chose for the base's nodes is not this image's.
  v1::OciConfig* oci = config_.mutable_oci();
  if (instruction.keyword == "CMD") {
    Assign(words, oci->mutable_cmd());
    command_said_ = true;
    return Ok();
  }
  Assign(words, oci->mutable_entrypoint());
  if (!command_said_) oci->clear_cmd();  // The base's was for another program.
  return Ok();
}

Status StageSettings::ApplyWorkingDir(const Instruction& instruction, char escape) {
  ASSIGN_OR_RETURN(const std::string path, Expand(instruction.text, escape));
  if (path.empty()) return Wrong("WORKDIR needs a path");
  const std::string whole = path.front() == '/' ? path : working_dir() + "/" + path;
  config_.mutable_oci()->set_working_dir("/" + CleanPath(whole));
  return Ok();
}

Status StageSettings::ApplyList(const Instruction& instruction, char escape) {
  v1::OciConfig* oci = config_.mutable_oci();
  std::vector<std::string> words;
  if (instruction.words) {
    for (const std::string& word : *instruction.words) {
      ASSIGN_OR_RETURN(words.emplace_back(), Expand(word, escape));
    }
  } else {
    ASSIGN_OR_RETURN(words, ExpandAll(instruction.text, escape));
  }
  for (const std::string& word : words) {
    if (instruction.keyword == "VOLUME") {
      if (word.empty()) return Wrong("VOLUME needs a path");
      AddSorted(word, oci->mutable_volumes());
      continue;
    }
    RETURN_IF_ERROR(CheckPort(word));
    AddSorted(word.find('/') == std::string::npos ? word + "/tcp" : word,
              oci->mutable_exposed_ports());
  }
  return Ok();
}

Status StageSettings::ApplyText(const Instruction& instruction, char escape) {
  v1::OciConfig* oci = config_.mutable_oci();
  if (instruction.keyword == "MAINTAINER") {
    oci->set_author(instruction.text);
    return Ok();
  }
  ASSIGN_OR_RETURN(const std::string value, Expand(instruction.text, escape));
  if (value.empty()) return Wrong(instruction.keyword + ": its variables leave nothing of it");
  if (instruction.keyword == "USER") {
    oci->set_user(value);
  } else {
    oci->set_stop_signal(value);
  }
  return Ok();
}

Arguments PlatformArguments() {
#if defined(__x86_64__)
  const std::string architecture = "amd64";
#elif defined(__aarch64__)
  const std::string architecture = "arm64";
#else
#error "name this architecture as Go does"
#endif
  const std::string platform = "linux/" + architecture;
  return {{"TARGETPLATFORM", platform}, {"TARGETOS", "linux"},       {"TARGETARCH", architecture},
          {"TARGETVARIANT", ""},        {"BUILDPLATFORM", platform}, {"BUILDOS", "linux"},
          {"BUILDARCH", architecture},  {"BUILDVARIANT", ""}};
}

Result<Arguments> GlobalArguments(const Dockerfile& file, const Arguments& given) {
  Arguments all = PlatformArguments();
  for (const Instruction& instruction : file.global_arguments) {
    const auto wrap = [&](const Error& error) {
      return ErrorAt(file.path, instruction, error.code(), error.message());
    };
    const auto words = SplitWords(instruction.text, file.escape);
    if (!words.ok()) return wrap(words.error());
    for (const std::string& word : *words) {
      const size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      if (name.empty()) return wrap(Wrong("ARG NAME or ARG NAME=VALUE"));
      if (const auto value = Find(given, name)) {
        all[name] = *value;
      } else if (equals != std::string::npos) {
        const auto expanded = ExpandWord(
            word.substr(equals + 1), [&](const std::string& wanted) { return Find(all, wanted); },
            file.escape);
        if (!expanded.ok()) return wrap(expanded.error());
        all[name] = *expanded;
      }
    }
  }
  return all;
}

}  // namespace strata::imaged::build
