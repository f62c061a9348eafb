#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <ostream>
#include <sstream>

#include "common/file_io.h"
#include "common/printable.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/vimage/archive_format.h"
#include "tools/vimage/command_words.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/import_stream.h"
#include "tools/vimage/tar_source.h"
#include "tools/vimage/upload.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

struct ImportArguments {
  SourceArguments source;
  std::string name;
  std::string description;
  std::string base;
  std::string command;
  std::vector<std::string> env;
  std::vector<std::string> labels;
  std::string format = "auto";
  std::string archive_reference;
  std::string platform;
  bool is_public = false;
  bool replace = false;
};

Result<api::ImportOptions> MakeOptions(const Tool& tool, const ImportArguments& arguments) {
  api::ImportOptions options;
  options.set_reference(arguments.name);
  options.set_description(arguments.description);
  if (arguments.is_public) options.set_visibility(api::PUBLIC);
  for (const std::string& label : arguments.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(Code::kInvalidArgument, "--label " + label + ": write KEY=VALUE");
    }
    (*options.mutable_labels())[label.substr(0, equals)] = label.substr(equals + 1);
  }
  options.set_base(arguments.base);
  options.set_replace(arguments.replace);
  if (arguments.format != "auto") {
    ASSIGN_OR_RETURN(const api::ArchiveFormat format, ParseArchiveFormat(arguments.format));
    options.set_format(format);
  }
  options.set_archive_reference(arguments.archive_reference);
  options.set_platform(arguments.platform);
  options.mutable_lineage()->set_origin("import " + arguments.source.source);
  options.mutable_lineage()->set_command(tool.command_line());
  ASSIGN_OR_RETURN(const std::vector<std::string> words, CommandWords(arguments.command));
  for (const std::string& word : words) options.mutable_config()->add_command(word);
  for (const std::string& entry : arguments.env) {
    if (entry.find('=') == std::string::npos || entry.front() == '=') {
      return Error(Code::kInvalidArgument, "--env " + entry + ": write NAME=value");
    }
    options.mutable_config()->add_env(entry);
  }
  return options;
}

// Whether a folder is an OCI image layout (image-spec, image-layout.md).
bool IsOciLayout(const std::string& directory) {
  return PathExists(directory + "/oci-layout") && PathExists(directory + "/index.json");
}

Result<int> Import(Tool& tool, const ImportArguments& arguments) {
  ASSIGN_OR_RETURN(api::ImportOptions options, MakeOptions(tool, arguments));
  ASSIGN_OR_RETURN(const auto source, OpenTarSource(arguments.source, tool.console().stdin_fd));
  // A folder is what it looks like from here; the archive of one tells less.
  if (options.format() == api::ARCHIVE_FORMAT_UNSPECIFIED && source->literal_names()) {
    options.set_format(IsOciLayout(arguments.source.source) ? api::ARCHIVE_OCI : api::ARCHIVE_TAR);
  }
  options.set_bytes_total(source->size_bytes());
  options.set_literal_names(source->literal_names());
  ASSIGN_OR_RETURN(api::ImportResult result, ImportStream(tool, *source, options));
  return ShowImport(tool, source->warnings(), std::move(result));
}

}  // namespace

Result<std::vector<std::string>> CommandWords(const std::string& text) {
  std::vector<std::string> words;
  if (text.starts_with('[')) {
    google::protobuf::ListValue list;
    bool good = google::protobuf::util::JsonStringToMessage(text, &list).ok();
    for (const auto& value : list.values()) {
      good = good && value.kind_case() == google::protobuf::Value::kStringValue;
      words.push_back(value.string_value());
    }
    if (!good) {
      return Error(Code::kInvalidArgument, "--command " + text + ": write [\"word\", \"word\", …]");
    }
    return words;
  }
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

void AddImportCommand(Tool& tool) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command = tool.AddCommand(
      "import", "Make an image of a tar archive, a directory or a Debian suite",
      "  vimage import debian:bookworm debian --packages python3,openssh-server --public\n"
      "  vimage import rootfs.tar.zst tools:v2 --description 'compilers' --replace\n"
      "  vimage import ./site web --base debian --command 'python3 -m http.server'\n"
      "  docker export c1 | vimage import - fromdocker\n"
      "  docker save nginx | vimage import - nginx\n"
      "  vimage import images.tar web --ref web:2 --platform linux/amd64",
      [&tool, arguments] { return Import(tool, *arguments); });
  SourceArguments& source = arguments->source;
  command
      ->add_option(
          "SOURCE", source.source,
          "A tar file (plain, gzip, zstd, xz, bzip2), an archive of an OCI image layout or "
          "of docker save, - for standard input, a directory (also an OCI image layout), or "
          "debian:SUITE")
      ->required();
  command->add_option("NAME", arguments->name, "What the image is called: NAME[:TAG]")->required();
  command->add_option("--description", arguments->description, "One line for those who browse");
  command->add_flag("--public", arguments->is_public, "Every user of this host may use it");
  command->add_option("--base", arguments->base, "Put the archive on top of this image");
  command->add_option("--command", arguments->command,
                      "What a node runs: words, or a JSON list when a word holds blanks");
  command->add_option("--env", arguments->env, "NAME=value for the node; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--label", arguments->labels, "KEY=VALUE; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--format", arguments->format,
                   "What SOURCE is: auto, tar (the files of one tree), oci or docker")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "tar", "oci", "docker"}));
  command->add_option("--ref", arguments->archive_reference,
                      "Which image of an archive that holds several");
  command->add_option("--platform", arguments->platform,
                      "OS/ARCHITECTURE of an OCI or Docker image; this host's when not given");
  command->add_flag("--replace", arguments->replace, "Give NAME to the new image if it is taken");
  command->add_option("--packages", source.packages, "debian:SUITE only: also these, a,b,c")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--variant", source.variant, "debian:SUITE only: mmdebstrap's variant")
      ->capture_default_str();
  command->add_option("--mirror", source.mirrors, "debian:SUITE only: instead of this host's")
      ->allow_extra_args(false);
}

}  // namespace strata::tools
