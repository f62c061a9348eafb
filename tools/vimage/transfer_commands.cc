#include <google/protobuf/struct.pb.h>
#include <unistd.h>

#include <optional>
#include <ostream>

#include "common/printable.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/vimage/archive_format.h"
#include "tools/vimage/output_file.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

struct ExportArguments {
  std::string reference;
  std::string path = "-";
  std::string format = "tar";
  std::string compression;
};

Result<api::ExportRequest> MakeRequest(const ExportArguments& arguments) {
  api::ExportRequest request;
  request.set_reference(arguments.reference);
  ASSIGN_OR_RETURN(const api::ArchiveFormat format, ParseArchiveFormat(arguments.format));
  request.set_format(format);
  if (arguments.compression == "gzip") request.set_compression(api::LAYER_GZIP);
  if (arguments.compression == "zstd") request.set_compression(api::LAYER_ZSTD);
  if (arguments.compression == "none") request.set_compression(api::LAYER_PLAIN);
  return request;
}

// Bytes written.
Result<uint64_t> ExportTo(Tool& tool, const ExportArguments& arguments, OutputFile& output) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  ASSIGN_OR_RETURN(const api::ExportRequest request, MakeRequest(arguments));
  const auto reader = api::ImageService::NewStub(channel)->Export(call.context(), request);
  ProgressLine progress(tool.console(), "export " + Printable(arguments.reference), tool.json());
  uint64_t bytes = 0;
  Status written;
  api::ExportChunk chunk;
  while (written.ok() && reader->Read(&chunk)) {
    if (chunk.has_progress()) {
      const api::Progress& at = chunk.progress();
      progress.Update({at.stage(), at.bytes(), at.bytes_total(), true, at.entries()});
      continue;
    }
    written = output.Write(chunk.tar());
    bytes += chunk.tar().size();
    progress.Update({"write", bytes, 0, true, 0});
  }
  if (!written.ok()) call.context()->TryCancel();
  const grpc::Status status = reader->Finish();
  RETURN_IF_ERROR(written);
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  return bytes;
}

Result<int> Export(Tool& tool, const ExportArguments& arguments) {
  const bool to_stdout = arguments.path == "-";
  if (to_stdout && tool.json()) {
    return Error(Code::kInvalidArgument,
                 "--json prints on standard output, where the archive goes: name a file");
  }
  if (to_stdout && ::isatty(tool.console().stdout_fd) == 1) {
    return Error(Code::kInvalidArgument,
                 "standard output is a terminal: name a file, or pipe the archive somewhere");
  }
  ASSIGN_OR_RETURN(OutputFile output, to_stdout ? OutputFile::Of(tool.console().stdout_fd)
                                                : OutputFile::Create(arguments.path));
  ASSIGN_OR_RETURN(const uint64_t bytes, ExportTo(tool, arguments, output));
  RETURN_IF_ERROR(output.Publish());
  if (to_stdout) return kExitOk;
  if (tool.json()) {
    google::protobuf::Struct result;
    (*result.mutable_fields())["reference"].set_string_value(arguments.reference);
    (*result.mutable_fields())["path"].set_string_value(arguments.path);
    (*result.mutable_fields())["bytes"].set_string_value(std::to_string(bytes));
    RETURN_IF_ERROR(PrintJson(result, tool.console().out));
  } else {
    tool.console().out << Printable(arguments.path) << ": " << HumanBytes(bytes) << '\n';
  }
  return kExitOk;
}

Status PrintFsckJson(const api::FsckResult& result, const google::protobuf::ListValue& problems,
                     std::ostream& out) {
  google::protobuf::Struct json;
  auto& fields = *json.mutable_fields();
  fields["images"].set_string_value(std::to_string(result.images()));
  fields["objects"].set_string_value(std::to_string(result.objects()));
  fields["bytes"].set_string_value(std::to_string(result.bytes()));
  *fields["problems"].mutable_list_value() = problems;
  return PrintJson(json, out);
}

Result<int> Fsck(Tool& tool, const std::string& reference) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::FsckRequest request;
  request.set_reference(reference);
  const auto reader = api::ImageService::NewStub(channel)->Fsck(call.context(), request);
  ProgressLine progress(tool.console(), "fsck", tool.json());
  google::protobuf::ListValue problems;
  std::optional<api::FsckResult> result;
  api::FsckEvent event;
  while (reader->Read(&event)) {
    if (event.has_progress()) {
      const api::Progress& at = event.progress();
      progress.Update({at.stage(), at.bytes(), at.bytes_total(), true, at.entries()});
    } else if (event.has_result()) {
      result = event.result();
    } else {
      progress.Clear();
      problems.add_values()->set_string_value(event.problem());
      if (!tool.json()) tool.console().out << "problem: " << Printable(event.problem()) << '\n';
    }
  }
  const grpc::Status status = reader->Finish();
  progress.Clear();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (!result) return Error(Code::kInternal, "imaged ended the check without a result");
  if (tool.json()) {
    RETURN_IF_ERROR(PrintFsckJson(*result, problems, tool.console().out));
  } else {
    tool.console().out << HumanCount(result->images()) << " images, "
                       << HumanCount(result->objects()) << " objects, "
                       << HumanBytes(result->bytes()) << " read: " << HumanCount(result->problems())
                       << " problems\n";
  }
  return result->problems() == 0 ? kExitOk : kExitCorrupt;
}

Result<int> BackgroundCheckStatus(Tool& tool) {
  ASSIGN_OR_RETURN(const auto state, Ask(tool, &api::ImageService::Stub::GetBackgroundCheck,
                                         api::BackgroundCheckRequest()));
  const bool sound = state.still_damaged() == 0;
  RETURN_IF_ERROR(Show(tool, state, [&](const api::BackgroundCheck& check) {
    std::ostream& out = tool.console().out;
    out << "last full check: "
        << (check.passes() == 0 ? "none yet" : LocalTime(check.last_pass_ended_unix_ms())) << '\n';
    if (check.pass_started_unix_ms() != 0) {
      out << "under way: " << check.next_folder() * 100 / 256 << " % since "
          << LocalTime(check.pass_started_unix_ms()) << '\n';
    }
    out << "read: " << HumanCount(check.objects()) << " objects, " << HumanBytes(check.bytes())
        << "\ndamaged: " << HumanCount(check.damaged())
        << ", healed: " << HumanCount(check.healed()) << '\n';
    for (const std::string& what : check.unhealed()) out << "nobody has: " << what << '\n';
  }));
  return sound ? kExitOk : kExitCorrupt;
}

}  // namespace

void AddTransferCommands(Tool& tool) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* save = tool.AddCommand(
      "export", "Write an image as one archive: its files, or for other container tools",
      "  vimage export tools tools.tar\n  vimage export tools | zstd > tools.tar.zst\n"
      "  vimage export web --format oci -o web.oci.tar\n"
      "  vimage export web --format docker | docker load",
      [&tool, arguments] { return Export(tool, *arguments); });
  save->add_option("IMAGE", arguments->reference, "[OWNER/]NAME[:TAG]")->required();
  save->add_option("FILE,-o,--output", arguments->path, "Where to; standard output when not given");
  save->add_option("--format", arguments->format,
                   "tar (the files of the whole tree), oci (an image layout) or docker (as docker "
                   "save)")
      ->capture_default_str()
      ->check(CLI::IsMember({"tar", "oci", "docker"}));
  save->add_option("--compression", arguments->compression,
                   "Of the layers of --format oci: gzip (when not given), zstd or none")
      ->check(CLI::IsMember({"gzip", "zstd", "none"}));

  auto reference = std::make_shared<std::string>();
  auto status = std::make_shared<bool>(false);
  CLI::App* fsck = tool.AddCommand(
      "fsck", "Check that every stored byte is what it should be",
      "  vimage fsck\n  vimage fsck tools\n  vimage fsck --status\nExit code 8 when a problem was "
      "found.",
      [&tool, reference, status] {
        return *status ? BackgroundCheckStatus(tool) : Fsck(tool, *reference);
      });
  CLI::Option* image =
      fsck->add_option("IMAGE", *reference, "Only this one; all that you may read when not given");
  fsck->add_flag("--status", *status,
                 "What imaged's own check in the background found so far; reads nothing")
      ->excludes(image);
}

}  // namespace strata::tools
