// vimage build.
#include <google/protobuf/struct.pb.h>
#include <grpcpp/channel.h>

#include <algorithm>
#include <ostream>
#include <set>

#include "common/file_io.h"
#include "common/printable.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/vimage/build/base_images.h"
#include "tools/vimage/build/parallel_stages.h"
#include "tools/vimage/build/publisher.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using imaged::build::Arguments;
using imaged::build::BuildPlan;
using imaged::build::Dockerfile;

constexpr size_t kSecretBytesMax = 500 * 1024;  // As BuildKit.

struct BuildArguments {
  std::string directory = ".";
  std::string file;
  std::vector<std::string> tags;
  std::vector<std::string> images;  // "stage=name"
  std::string target;
  std::vector<std::string> build_args;
  std::vector<std::string> secrets;
  size_t jobs = 4;
  bool no_cache = false;
  bool quiet = false;
  std::string progress = "lines";
  bool keep_secrets = false;
  bool pull = false;
  std::string mount_cache_limit = "4G";
  RegistryArguments registry;
};

struct Wanted {
  std::string stage;  // "" is the last.
  ImageName name;
};

Error Wrong(const std::string& message) { return Error(Code::kInvalidArgument, message); }

// "key=value"; `what` is the option.
Result<std::pair<std::string, std::string>> Split(const std::string& what,
                                                  const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Wrong(what + " " + Printable(text) + ": write NAME=VALUE");
  }
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

Result<std::vector<Wanted>> WantedImages(const BuildArguments& arguments) {
  std::vector<Wanted> wanted;
  for (const std::string& tag : arguments.tags) {
    ASSIGN_OR_RETURN(ImageName name, ParseImageName(tag), "--tag");
    wanted.push_back({arguments.target, std::move(name)});
  }
  for (const std::string& image : arguments.images) {
    ASSIGN_OR_RETURN(const auto pair, Split("--image", image));
    ASSIGN_OR_RETURN(ImageName name, ParseImageName(pair.second), "--image");
    wanted.push_back({pair.first, std::move(name)});
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (const Wanted& each : wanted) {
    if (!seen.insert({each.name.path, each.name.tag}).second) {
      return Wrong(each.name.path + ":" + each.name.tag + " is to be two images");
    }
  }
  if (wanted.empty()) return Wrong("what it makes needs a name: --tag NAME, or --image STAGE=NAME");
  return wanted;
}

Result<Arguments> GivenArguments(const BuildArguments& arguments) {
  Arguments given;
  for (const std::string& text : arguments.build_args) {
    if (text.find('=') == std::string::npos) {  // As Docker: from the environment.
      if (const char* value = ::getenv(text.c_str()); value != nullptr) given[text] = value;
      continue;
    }
    ASSIGN_OR_RETURN(const auto pair, Split("--build-arg", text));
    given[pair.first] = pair.second;
  }
  return given;
}

// "id=NAME,src=FILE"
Result<std::map<std::string, std::string>> Secrets(const BuildArguments& arguments) {
  std::map<std::string, std::string> secrets;
  for (const std::string& text : arguments.secrets) {
    std::string id, source;
    for (size_t at = 0; at <= text.size();) {
      const size_t comma = std::min(text.find(',', at), text.size());
      ASSIGN_OR_RETURN(const auto pair, Split("--secret", text.substr(at, comma - at)));
      if (pair.first == "id") {
        id = pair.second;
      } else if (pair.first == "src" || pair.first == "source") {
        source = pair.second;
      } else if (pair.first != "type" || pair.second != "file") {
        return Wrong("--secret id=NAME,src=FILE");
      }
      at = comma + 1;
    }
    if (id.empty() || source.empty()) return Wrong("--secret id=NAME,src=FILE");
    ASSIGN_OR_RETURN(secrets[id], ReadFile(source, kSecretBytesMax), "--secret " + Printable(id));
  }
  return secrets;
}

struct Input {
  Dockerfile file;
  std::string digest;  // Of the Dockerfile.
  imaged::build::IgnoreFile ignore;
};

Result<Input> ReadInput(const BuildArguments& arguments) {
  Input input;
  std::string path = arguments.file;
  if (path.empty()) {
    path = arguments.directory + "/Dockerfile";
    if (!PathExists(path) && PathExists(arguments.directory + "/Containerfile")) {
      path = arguments.directory + "/Containerfile";
    }
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, imaged::build::kDockerfileBytesMax + 1));
  input.digest = Hasher::Of(text).ToString();
  ASSIGN_OR_RETURN(input.file, imaged::build::ParseDockerfile(
                                   text, Printable(path.substr(path.rfind('/') + 1))));
  for (const std::string& ignore :
       {path + ".dockerignore", arguments.directory + "/.containerignore",
        arguments.directory + "/.dockerignore"}) {
    if (!PathExists(ignore)) continue;
    ASSIGN_OR_RETURN(const std::string patterns,
                     ReadFile(ignore, imaged::build::kIgnoreBytesMax + 1));
    ASSIGN_OR_RETURN(input.ignore, imaged::build::IgnoreFile::Parse(patterns, Printable(ignore)));
    break;
  }
  return input;
}

void WarnOfUnused(const Dockerfile& file, const Arguments& given, BuildLog& log) {
  std::set<std::string> declared;
  const auto add = [&](const imaged::build::Instruction& instruction) {
    const auto words = imaged::build::SplitWords(instruction.text, file.escape);
    if (instruction.keyword != "ARG" || !words.ok()) return;
    for (const std::string& word : *words) declared.insert(word.substr(0, word.find('=')));
  };
  for (const auto& argument : file.global_arguments) add(argument);
  for (const auto& stage : file.stages) {
    for (const auto& instruction : stage.instructions) add(instruction);
  }
  for (const auto& [name, value] : given) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(), ::tolower);
    if (declared.contains(name) || lower.ends_with("_proxy")) continue;
    log.Warn("--build-arg " + Printable(name) + ": no ARG of " + file.path + " is called so");
  }
}

// The image that a stage rests on, through the stages between.
std::string BaseOf(const BuildPlan& plan, size_t stage) {
  for (auto planned = plan.stages.rbegin(); planned != plan.stages.rend(); ++planned) {
    if (planned->stage != stage) continue;
    if (!planned->base.stage) return planned->base.image;
    stage = *planned->base.stage;  // An earlier one.
  }
  return "";
}

Result<std::vector<Publication>> Publications(
    const std::vector<Wanted>& wanted, const BuildPlan& plan, const Input& input,
    const std::map<size_t, std::shared_ptr<const BuiltStage>>& built,
    const std::map<std::string, BaseImage>& bases) {
  std::vector<Publication> publications;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const BuiltStage& stage = *built.at(plan.targets[i]);
    if (stage.files.reference.empty()) {
      return Wrong(input.file.path + ": the image would have no files");
    }
    Publication publication;
    publication.name = wanted[i].name;
    publication.reference = stage.files.reference;
    publication.config = stage.settings.config();
    publication.labels[kDockerfileLabel] = input.digest;
    const imaged::build::Stage& of = input.file.stages[plan.targets[i]];
    publication.labels[kStageLabel] = of.name.empty() ? std::to_string(plan.targets[i]) : of.name;
    if (const auto base = bases.find(BaseOf(plan, plan.targets[i])); base != bases.end()) {
      publication.labels[kBaseLabel] = base->second.location;
    }
    publications.push_back(std::move(publication));
  }
  return publications;
}

Result<int> Report(Tool& tool, const std::vector<Published>& images, const BuildContext& context) {
  if (tool.json()) {
    google::protobuf::Struct result;
    auto& fields = *result.mutable_fields();
    fields["steps"].set_number_value(context.steps);
    fields["cached_steps"].set_number_value(context.cached_steps);
    auto& list = *fields["images"].mutable_list_value();
    for (const Published& image : images) {
      auto& entry = *list.add_values()->mutable_struct_value()->mutable_fields();
      entry["reference"].set_string_value(image.reference);
      entry["digest"].set_string_value(image.digest);
      entry["build"].set_string_value(image.build);
    }
    RETURN_IF_ERROR(PrintJson(result, tool.console().out));
    return kExitOk;
  }
  for (const Published& image : images) {
    tool.console().out << Printable(image.reference) << " is " << ShortDigest(image.digest) << ", "
                       << image.build << '\n';
  }
  tool.console().out << context.steps << " steps, " << context.cached_steps
                     << " of them from the cache\n";
  return kExitOk;
}

Result<int> Build(Tool& tool, const BuildArguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<Wanted> wanted, WantedImages(arguments));
  ASSIGN_OR_RETURN(const Arguments given, GivenArguments(arguments));
  ASSIGN_OR_RETURN(const auto secrets, Secrets(arguments));
  ASSIGN_OR_RETURN(const uint64_t mount_bytes_max, ParseBytes(arguments.mount_cache_limit),
                   "--mount-cache-limit");
  ASSIGN_OR_RETURN(const Input input, ReadInput(arguments));
  std::vector<std::string> targets;
  for (const Wanted& each : wanted) targets.push_back(each.stage);
  ASSIGN_OR_RETURN(const BuildPlan plan, imaged::build::PlanBuild(input.file, given, targets));
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const bool quiet = arguments.quiet || tool.json();
  BuildLog log(tool.console(), arguments.progress == "json" ? BuildLog::Form::kJson
                               : quiet                      ? BuildLog::Form::kQuiet
                                                            : BuildLog::Form::kLines);
  WarnOfUnused(input.file, given, log);
  ASSIGN_OR_RETURN(const auto bases,
                   BringBases(tool, plan, arguments.registry, arguments.pull, log));
  std::map<std::string, std::string> brought;
  for (const auto& [text, base] : bases) brought[text] = base.reference;

  OpenCalls calls;
  const InterruptWatcher watcher([&] { calls.Cancel(); });
  BuildContext context{.file = input.file,
                       .plan = plan,
                       .given = given,
                       .secrets = secrets,
                       .directory = arguments.directory,
                       .ignore = input.ignore,
                       .brought = std::move(brought),
                       .no_cache = arguments.no_cache,
                       .mount_bytes_max = mount_bytes_max,
                       .imaged_channel = channel,
                       .calls = calls,
                       .log = log,
                       .mutex = {},
                       .key_mutexes = {},
                       .vclusterd_channel = nullptr};
  const auto built = BuildStages(context, arguments.jobs);
  if (watcher.interrupted()) return Error(Code::kCancelled, "cancelled: nothing was built");
  if (!built.ok()) return built.error();
  ASSIGN_OR_RETURN(const auto publications, Publications(wanted, plan, input, *built, bases));
  const auto imaged = api::ImageService::NewStub(channel);
  Publisher publisher(*imaged, calls, tool.command_line(), arguments.keep_secrets);
  ASSIGN_OR_RETURN(const std::vector<Published> images, publisher.Publish(publications));
  return Report(tool, images, context);
}

}  // namespace

void AddBuildCommand(Tool& tool) {
  auto arguments = std::make_shared<BuildArguments>();
  BuildArguments& to = *arguments;
  CLI::App* command = tool.AddCommand(
      "build", "Make images of a Dockerfile, its steps in containers, what is known from a cache",
      "  vimage build -t tools:v2 .\n"
      "  vimage build -t web --build-arg VERSION=3 --target final src\n"
      "  vimage build --image master=spark-master --image worker=spark-worker .\n"
      "  vimage build -t app --secret id=token,src=$HOME/.token .\n"
      "  vimage build -t app --pull .      # FROM registry.lab:5000/team/base:1",
      [&tool, arguments] { return Build(tool, *arguments); });
  command->add_option("DIRECTORY", to.directory, "What COPY takes files from")
      ->capture_default_str();
  command->add_option("-f,--file", to.file, "The Dockerfile; DIRECTORY/Dockerfile when not given");
  command->add_option("-t,--tag", to.tags, "NAME[:TAG] of the last stage's image; repeatable")
      ->allow_extra_args(false);
  command->add_option("--image", to.images, "STAGE=NAME[:TAG]: one more image; repeatable")
      ->allow_extra_args(false);
  command->add_option("--target", to.target, "The stage that --tag is for, instead of the last");
  command->add_option("--build-arg", to.build_args, "NAME=VALUE for an ARG, or NAME of a variable")
      ->allow_extra_args(false);
  command->add_option("--secret", to.secrets, "id=NAME,src=FILE for RUN --mount=type=secret")
      ->allow_extra_args(false);
  command->add_option("--jobs", to.jobs, "How many stages at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_flag("--pull", to.pull,
                    "Ask registries again for bases that were brought here before");
  command->add_flag("--no-cache", to.no_cache, "Do every step anew");
  command
      ->add_option("--mount-cache-limit", to.mount_cache_limit,
                   "How much a RUN --mount=type=cache may keep")
      ->capture_default_str();
  command->add_option("--progress", to.progress, "json: one object per line, on the error stream")
      ->check(CLI::IsMember({"lines", "json"}))
      ->capture_default_str();
  command->add_flag("--quiet", to.quiet, "Only say what failed");
  command->add_flag("--keep-secrets", to.keep_secrets,
                    "Also when the name is shared and containers left keys or tokens");
  AddRegistryOptions(command, &to.registry, /*one_registry=*/false);
}

}  // namespace strata::tools
