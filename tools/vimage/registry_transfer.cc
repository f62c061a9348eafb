#include "tools/vimage/registry_transfer.h"

#include <google/protobuf/struct.pb.h>

#include <ostream>

#include "common/file_io.h"
#include "common/printable.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/api/registry.grpc.pb.h"
#include "imaged/registry_client/session.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/vimage/import_stream.h"
#include "tools/vimage/layout_reader.h"
#include "tools/vimage/registry_source.h"
#include "tools/vimage/unary_call.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
namespace oci = imaged::oci;
using imaged::RegistrySession;

constexpr size_t kPasswordBytesMax = 4096;
constexpr std::string_view kBlobs = "blobs/sha256/";

Result<std::optional<imaged::RegistryCredentials>> Credentials(
    Tool& tool, const RegistryArguments& arguments, const imaged::RegistryLocation& location) {
  if (arguments.username.empty() != !arguments.password_stdin) {
    return Error(Code::kInvalidArgument, "--username and --password-stdin go together");
  }
  if (!arguments.password_stdin) return imaged::LoadCredentials(arguments.creds_file, location);
  ASSIGN_OR_RETURN(std::string password, ReadAll(tool.console().stdin_fd, kPasswordBytesMax));
  while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) {
    password.pop_back();
  }
  return std::optional<imaged::RegistryCredentials>({arguments.username, password});
}

Result<std::unique_ptr<RegistrySession>> Connect(Tool& tool, const RegistryArguments& arguments,
                                                 bool push, const CancelToken* cancel) {
  ASSIGN_OR_RETURN(imaged::RegistryLocation location,
                   imaged::ParseRegistryLocation(arguments.location));
  imaged::RegistrySessionOptions options;
  ASSIGN_OR_RETURN(options.credentials, Credentials(tool, arguments, location));
  options.http.verify_tls = arguments.tls_verify != "false";
  options.http.ca_file = arguments.ca_file;
  options.allow_plain_http = !options.http.verify_tls;
  return RegistrySession::Create(std::move(location), push, std::move(options), cancel);
}

// "spark:v1" for docker://host/alice/spark:v1.
std::string NameOf(const imaged::RegistryLocation& location) {
  return location.repository.substr(location.repository.rfind('/') + 1) +
         (location.tag.empty() ? "" : ":" + location.tag);
}

Result<size_t> CountKnown(Tool& tool, const RegistrySession::Image& image) {
  api::KnownLayersRequest request;
  for (const Sha256Digest& diff_id : image.config.diff_ids) {
    request.add_diff_ids(diff_id.ToString());
  }
  ASSIGN_OR_RETURN(const api::KnownLayersResponse response,
                   Ask(tool, &api::RegistryService::Stub::KnownLayers, request));
  return std::min<size_t>(response.count(), image.manifest.layers.size());
}

// What imaged exports, as pieces.
class ExportStream {
 public:
  ExportStream(Tool& tool, const RegistryArguments& arguments, grpc::ClientContext* context,
               const std::shared_ptr<grpc::Channel>& channel)
      : progress_(tool.console(), "push " + Printable(arguments.name), tool.json()) {
    api::ExportRequest request;
    request.set_reference(arguments.name);
    request.set_format(api::ARCHIVE_OCI);
    reader_ = api::ImageService::NewStub(channel)->Export(context, request);
  }

  // Empty at the end.
  Result<std::string_view> Next() {
    while (reader_->Read(&chunk_)) {
      if (chunk_.has_progress()) {
        const api::Progress& at = chunk_.progress();
        progress_.Update({at.stage(), at.bytes(), at.bytes_total(), true, 0});
      }
      if (!chunk_.tar().empty()) return std::string_view(chunk_.tar());
    }
    const grpc::Status status = reader_->Finish();
    if (!status.ok()) return CallError(status, Daemon::kImaged);
    return std::string_view();
  }
  ProgressLine& progress() { return progress_; }

 private:
  ProgressLine progress_;
  std::unique_ptr<grpc::ClientReader<api::ExportChunk>> reader_;
  api::ExportChunk chunk_;
};

struct Pushed {
  oci::Descriptor manifest;
  uint64_t blobs = 0;
  uint64_t bytes = 0;
  uint64_t known_blobs = 0;  // That the registry had.
};

Status PushBlob(RegistrySession& session, LayoutReader& reader, const LayoutReader::File& file,
                ProgressLine& progress, Pushed* pushed) {
  oci::Descriptor blob;
  ASSIGN_OR_RETURN(blob.digest, Sha256Digest::FromHex(file.path.substr(kBlobs.size())));
  blob.size = file.size;
  ASSIGN_OR_RETURN(const bool known, session.HasBlob(blob));
  if (known) {
    ++pushed->known_blobs;
    return Ok();
  }
  RETURN_IF_ERROR(session.PutBlob(blob, [&](char* buffer, size_t size) -> Result<size_t> {
    ASSIGN_OR_RETURN(const size_t n, reader.Read(buffer, size));
    pushed->bytes += n;
    progress.Update({"upload", pushed->bytes, 0, true, 0});
    return n;
  }));
  ++pushed->blobs;
  return Ok();
}

// Blobs as they come; the manifest, which names them, at last.
Result<Pushed> PushLayout(RegistrySession& session, LayoutReader& reader, ProgressLine& progress) {
  Pushed pushed;
  std::string manifest_bytes;
  while (true) {
    ASSIGN_OR_RETURN(const auto file, reader.Next());
    if (!file) break;
    if (file->path == "index.json") {
      ASSIGN_OR_RETURN(const std::string text, reader.ReadText(oci::kDocumentBytesMax));
      ASSIGN_OR_RETURN(const oci::Index index, oci::ParseIndex(text));
      if (index.manifests.size() == 1) pushed.manifest = index.manifests.front();
    } else if (file->path == std::string(kBlobs) + pushed.manifest.digest.Hex()) {
      ASSIGN_OR_RETURN(manifest_bytes, reader.ReadText(oci::kDocumentBytesMax));
    } else if (file->path.starts_with(kBlobs)) {
      RETURN_IF_ERROR(PushBlob(session, reader, *file, progress, &pushed));
    }
  }
  if (manifest_bytes.empty()) return Error(Code::kInternal, "imaged exported no manifest");
  RETURN_IF_ERROR(session.PutManifest(pushed.manifest, manifest_bytes));
  return pushed;
}

}  // namespace

void AddRegistryOptions(CLI::App* command, RegistryArguments* arguments, bool one_registry) {
  const std::string group = "Registries (docker://)";
  command
      ->add_option("--creds-file", arguments->creds_file,
                   "Credentials as podman login keeps them (default: $REGISTRY_AUTH_FILE, or where "
                   "podman keeps yours)")
      ->group(group);
  if (one_registry) {
    command->add_option("--username", arguments->username, "With --password-stdin")->group(group);
    command
        ->add_flag("--password-stdin", arguments->password_stdin,
                   "Read the password, or token, from standard input")
        ->group(group);
  }
  command
      ->add_option("--tls-verify", arguments->tls_verify,
                   "false: take any certificate, and plain HTTP if there is no TLS")
      ->check(CLI::IsMember({"true", "false"}))
      ->group(group);
  command
      ->add_option("--ca-file", arguments->ca_file,
                   "PEM of who signed the registry's certificate, instead of this machine's")
      ->group(group);
}

Result<RegistryImport> ImportFromRegistry(Tool& tool, const RegistryArguments& arguments,
                                          const std::string& known_location,
                                          const std::string& location_label) {
  CancelToken cancel;
  std::unique_ptr<RegistrySession> session;
  RegistrySession::Image image;
  oci::Platform platform = oci::HostPlatform();
  if (!arguments.platform.empty()) {
    ASSIGN_OR_RETURN(platform, oci::ParsePlatform(arguments.platform));
  }
  {
    const InterruptWatcher watcher([&] { cancel.Cancel(); });
    ASSIGN_OR_RETURN(session, Connect(tool, arguments, /*push=*/false, &cancel));
    ASSIGN_OR_RETURN(image, session->GetImage(platform));
  }
  RegistryImport imported;
  imaged::RegistryLocation found = session->location();
  found.digest = image.descriptor.digest;
  imported.location = found.ToString();
  if (imported.location == known_location) return imported;
  api::ImportOptions options;
  options.set_reference(arguments.name.empty() ? NameOf(session->location()) : arguments.name);
  options.set_replace(arguments.replace);
  options.set_format(api::ARCHIVE_OCI);
  options.set_platform(arguments.platform);
  options.mutable_lineage()->set_origin("pull " + session->location().ToString());
  options.mutable_lineage()->set_command(tool.command_line());
  if (!location_label.empty()) {
    (*options.mutable_labels())[location_label] = imported.location;
  }
  ASSIGN_OR_RETURN(size_t known, CountKnown(tool, image));
  while (true) {
    ASSIGN_OR_RETURN(const auto source, StartRegistrySource(session.get(), image, known, &cancel));
    options.set_bytes_total(source->size_bytes());
    Result<api::ImportResult> result = ImportStream(tool, *source, options);
    if (result.ok()) {
      imported.result = std::move(*result);
      return imported;
    }
    // What was here may have been deleted since.
    if (known == 0 || result.error().code() != Code::kNotFound) return result.error();
    known = 0;
  }
}

Result<int> PullFromRegistry(Tool& tool, const RegistryArguments& arguments) {
  ASSIGN_OR_RETURN(RegistryImport imported, ImportFromRegistry(tool, arguments, "", ""));
  return ShowImport(tool, {}, std::move(*imported.result));
}

Result<int> PushToRegistry(Tool& tool, const RegistryArguments& arguments) {
  CancelToken cancel;
  grpc::ClientContext context;
  const InterruptWatcher watcher([&] {
    cancel.Cancel();
    context.TryCancel();
  });
  ASSIGN_OR_RETURN(const auto session, Connect(tool, arguments, /*push=*/true, &cancel));
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  ExportStream stream(tool, arguments, &context, channel);
  LayoutReader reader([&] { return stream.Next(); });
  const Result<Pushed> pushed = PushLayout(*session, reader, stream.progress());
  stream.progress().Clear();
  if (!pushed.ok()) context.TryCancel();
  if (watcher.interrupted()) return Error(Code::kCancelled, "cancelled: no image was pushed");
  if (!pushed.ok()) return pushed.error();
  const std::string location = session->location().ToString();
  if (tool.json()) {
    google::protobuf::Struct result;
    auto& fields = *result.mutable_fields();
    fields["location"].set_string_value(location);
    fields["digest"].set_string_value(pushed->manifest.digest.ToString());
    fields["blobs"].set_string_value(std::to_string(pushed->blobs));
    fields["known_blobs"].set_string_value(std::to_string(pushed->known_blobs));
    fields["bytes"].set_string_value(std::to_string(pushed->bytes));
    RETURN_IF_ERROR(PrintJson(result, tool.console().out));
    return kExitOk;
  }
  tool.console().out << Printable(location) << ": " << HumanCount(pushed->blobs) << " blobs of "
                     << HumanBytes(pushed->bytes) << " were missing there, "
                     << HumanCount(pushed->known_blobs) << " were not; "
                     << pushed->manifest.digest.ToString() << '\n';
  return kExitOk;
}

}  // namespace strata::tools
