#include "tools/vimage/build/stage_builder.h"

#include "common/printable.h"
#include "common/rpc/channel.h"
#include "tools/vimage/build/last_use.h"
#include "tools/vimage/build/layer_upload.h"
#include "tools/vimage/build/leftovers.h"
#include "tools/vimage/build/stage_mounts.h"
#include "tools/vimage/build/user_lookup.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using imaged::build::CacheKey;
using ImagedStub = api::ImageService::Stub;

constexpr size_t kHistoryTextMax = 2000;

// Whether a step makes or may make files.
bool MakesFiles(const std::string& keyword) {
  return keyword == "RUN" || keyword == "COPY" || keyword == "ADD" || keyword == "WORKDIR";
}

}  // namespace

std::string StepText(const imaged::build::Instruction& instruction) {
  std::string text = instruction.keyword;
  for (const imaged::build::Flag& flag : instruction.flags) {
    text += " --" + flag.name + (flag.value.empty() ? "" : "=" + flag.value);
  }
  return text + " " + instruction.text;
}

Result<std::shared_ptr<grpc::Channel>> BuildContext::Vclusterd() {
  const std::lock_guard lock(mutex);
  if (vclusterd_channel == nullptr) {
    ASSIGN_OR_RETURN(vclusterd_channel,
                     rpc::ConnectLocal(DefaultSocket(Daemon::kVclusterd), "vclusterd"),
                     "RUN needs a container");
    const auto stub = vcluster::v1::VclusterService::NewStub(vclusterd_channel);
    const auto removed = RemoveLeftovers(*stub);
    // What is left takes room, and hinders nobody.
    if (!removed.ok()) log.Warn("builds that were killed: " + removed.error().message());
    if (removed.ok() && !removed->empty()) {
      log.Say("[build] took away what " + std::to_string(removed->size()) + " killed steps left");
    }
  }
  return vclusterd_channel;
}

StageBuilder::StageBuilder(BuildContext& context, const imaged::build::PlannedStage& planned,
                           const std::map<size_t, std::shared_ptr<const BuiltStage>>& built)
    : context_(context),
      planned_(planned),
      built_(built),
      stage_(context.file.stages[planned.stage]),
      imaged_(api::ImageService::NewStub(context.imaged_channel)),
      settings_(context.given, context.plan.global) {}

Result<BuiltStage> StageBuilder::Build() {
  const auto at = [&](const Instruction& instruction, const Error& error) {
    if (error.code() == Code::kCancelled) return error;
    return imaged::build::ErrorAt(context_.file.path, instruction, error.code(), error.message());
  };
  if (const Status started = Start(); !started.ok()) return at(stage_.from, started.error());
  size_t number = 0;
  for (const Instruction& instruction : stage_.instructions) {
    RETURN_IF_ERROR(context_.calls.Check());
    ++number;
    StepLog log(context_.log,
                "[" + planned_.title + " " + std::to_string(number) + "/" +
                    std::to_string(stage_.instructions.size()) + "]",
                StepText(instruction));
    Status done = Ok();
    if (instruction.keyword == "RUN") {
      done = Run(instruction, log);
    } else if (instruction.keyword == "COPY" || instruction.keyword == "ADD") {
      done = Copy(instruction, log);
    } else {
      done = settings_.Apply(instruction, context_.file.escape);
      if (done.ok() && instruction.keyword == "WORKDIR") done = MakeWorkingDir(instruction, log);
    }
    if (!done.ok()) {
      log.Failed(done.error().message());
      return at(instruction, done.error());
    }
    if (!MakesFiles(instruction.keyword) && instruction.keyword != "ARG") {
      settings_.AddHistory(StepText(instruction).substr(0, kHistoryTextMax), "");
    }
    for (const std::string& warning : settings_.TakeWarnings()) {
      context_.log.Warn(at(instruction, Error(Code::kInternal, warning)).message());
    }
  }
  return BuiltStage{files_, settings_};
}

Status StageBuilder::Start() {
  if (planned_.base.stage) {
    const BuiltStage& base = *built_.at(*planned_.base.stage);
    files_ = base.files;
    settings_.StartFrom(base.settings);
    return Ok();
  }
  if (planned_.base.image == "scratch") {
    settings_.StartFrom(api::ImageConfig());
    return Ok();
  }
  api::ShowRequest request;
  request.set_reference(context_.NameHere(planned_.base.image));
  const auto shown = context_.calls.Ask(*imaged_, Daemon::kImaged, &ImagedStub::Show, request);
  if (!shown.ok()) {
    const Error& error = shown.error();
    if (error.code() != Code::kNotFound && error.code() != Code::kInvalidArgument) return error;
    return Error(error.code(), error.message() +
                                   ": an image of a registry is named with its host, as "
                                   "docker.io/library/debian:12");
  }
  settings_.StartFrom(shown->image().config());
  // By digest: the tag may move while this goes on.
  ASSIGN_OR_RETURN(files_, Open(shown->image().owner() + "/" + shown->image().name() + "@" +
                                shown->image().digest()));
  return Ok();
}

Result<BuiltFiles> StageBuilder::Open(const std::string& reference, api::Image* image) {
  api::ShowRequest request;
  request.set_reference(reference);
  ASSIGN_OR_RETURN(const api::ShowResponse shown,
                   context_.calls.Ask(*imaged_, Daemon::kImaged, &ImagedStub::Show, request));
  BuiltFiles files;
  files.reference = reference;
  for (const api::Layer& layer : shown.image().layers()) files.layers.push_back(layer.digest());
  files.plain = shown.image().config().ByteSizeLong() == 0;
  if (image != nullptr) *image = shown.image();
  return files;
}

Result<std::optional<BuiltFiles>> StageBuilder::FindCached(const std::string& reference,
                                                           size_t new_layers) {
  api::Image image;
  Result<BuiltFiles> found = Open(reference, &image);
  if (!found.ok()) {
    if (found.error().code() == Code::kNotFound || found.error().code() == Code::kCorrupt) {
      return std::optional<BuiltFiles>();
    }
    return found.error();
  }
  const bool fits = found->plain && found->layers.size() == files_.layers.size() + new_layers &&
                    std::equal(files_.layers.begin(), files_.layers.end(), found->layers.begin());
  if (fits) NoteUse(*imaged_, context_.calls, reference, image);
  return fits ? std::optional(std::move(*found)) : std::nullopt;
}

Status StageBuilder::FindOrMake(const std::string& key, const Instruction& instruction,
                                StepLog& log,
                                const std::function<Status(const std::string&)>& make) {
  const std::string reference = std::string(kCacheName) + ":" + key;
  const std::lock_guard one_at_a_time(context_.KeyMutex(key));
  std::optional<BuiltFiles> made;
  if (!context_.no_cache) {
    ASSIGN_OR_RETURN(made, FindCached(reference, 1));
  }
  const bool cached = made.has_value();
  if (cached) {
    log.Cached();
  } else {
    log.Start();
    RETURN_IF_ERROR(make(reference));
    log.Done();
    ASSIGN_OR_RETURN(made, FindCached(reference, 1));
    if (!made) {
      return Error(Code::kFailedPrecondition,
                   reference + " was changed or deleted during the build");
    }
  }
  files_ = std::move(*made);
  settings_.AddHistory(StepText(instruction).substr(0, kHistoryTextMax), files_.layers.back());
  const std::lock_guard lock(context_.mutex);
  ++context_.steps;
  if (cached) ++context_.cached_steps;
  return Ok();
}

Result<std::string> StageBuilder::PlainImage() {
  if (files_.reference.empty()) {
    return Error(Code::kInvalidArgument, "there is nothing to run in an image without files");
  }
  if (files_.plain) return files_.reference;
  const std::string key = CacheKey(files_.layers, "base").Finish();
  const std::string reference = std::string(kCacheName) + ":" + key;
  const std::lock_guard one_at_a_time(context_.KeyMutex(key));
  ASSIGN_OR_RETURN(const auto found, FindCached(reference, 0));
  if (found) return reference;
  api::ConfigureRequest request;
  request.set_reference(files_.reference);
  request.set_new_reference(reference);
  request.mutable_lineage()->set_origin("build");
  request.set_replace(true);
  RETURN_IF_ERROR(context_.calls.Ask(*imaged_, Daemon::kImaged, &ImagedStub::Configure, request));
  return reference;
}

Result<CopyOrder::Owner> StageBuilder::ResolveUser(const std::string& text,
                                                   ImageFiles& base) const {
  UserLookup users(base);
  return users.Find(text);
}

Result<std::vector<BuildSecret>> StageBuilder::SecretsOf(const std::vector<SecretMount>& mounts,
                                                         CacheKey* key) {
  std::vector<BuildSecret> secrets;
  for (const SecretMount& mount : mounts) {
    const auto given = context_.secrets.find(mount.id);
    // Their bytes are in no key: a changed secret alone makes nothing anew.
    key->AddList({mount.id, mount.target, std::to_string(mount.mode), std::to_string(mount.uid),
                  std::to_string(mount.gid), given == context_.secrets.end() ? "absent" : "given"});
    if (given == context_.secrets.end()) {
      if (!mount.required) continue;
      return Error(Code::kInvalidArgument, "the secret '" + Printable(mount.id) +
                                               "' is required: --secret id=" + Printable(mount.id) +
                                               ",src=FILE");
    }
    secrets.push_back({mount.target, given->second, mount.mode, mount.uid, mount.gid});
  }
  return secrets;
}

Status StageBuilder::Run(const Instruction& instruction, StepLog& log) {
  RunOrder order;
  order.argv = settings_.CommandOf(instruction);
  order.env = settings_.EnvironmentWithProxies();
  order.working_dir = settings_.working_dir();
  order.command_line = StepText(instruction).substr(0, kHistoryTextMax);
  if (order.argv.empty()) return Error(Code::kInvalidArgument, "RUN needs a command");
  CacheKey key(files_.layers, "run");
  key.AddList(order.argv).AddList(settings_.Environment()).Add(order.working_dir);
  key.Add(settings_.config().oci().user());
  ASSIGN_OR_RETURN(const RunMounts flags,
                   ReadRunMounts(instruction, settings_, context_.file.escape));
  ASSIGN_OR_RETURN(order.secrets, SecretsOf(flags.secrets, &key));
  StageMounts mounts(context_, *imaged_);
  for (const TreeMount& mount : flags.trees) {
    RETURN_IF_ERROR(mounts.Add(
        mount, [&](const std::string& from) { return ReferenceOf(from); }, &key));
  }
  return FindOrMake(key.Finish(), instruction, log, [&](const std::string& reference) -> Status {
    if (const std::string& user = settings_.config().oci().user(); !user.empty()) {
      ImageFiles base(*imaged_, context_.calls, files_.reference);
      ASSIGN_OR_RETURN(const CopyOrder::Owner found, ResolveUser(user, base), "USER");
      order.uid = found.uid;
      order.gid = found.gid;
    }
    ASSIGN_OR_RETURN(order.image, PlainImage());
    order.result = reference;
    order.mounts = mounts.ForNode();
    ASSIGN_OR_RETURN(const auto channel, context_.Vclusterd());
    const auto vclusterd = vcluster::v1::VclusterService::NewStub(channel);
    return RunInNode(*vclusterd, context_.calls, order, log);
  });
}

Result<CopyOrder> StageBuilder::OrderOf(const Instruction& instruction, const std::string& owner,
                                        std::vector<std::string> words, ImageFiles& base) const {
  CopyOrder order;
  order.unpack = instruction.keyword == "ADD";
  const std::string destination = words.back();
  words.pop_back();
  order.destination =
      destination.front() == '/' ? destination : settings_.working_dir() + "/" + destination;
  if (destination == "." || destination == "..") order.destination += "/";
  if (order.destination.ends_with("/..")) order.destination += "/";
  size_t heredoc = 0;
  for (std::string& word : words) {
    if (word.starts_with("<<") && heredoc < instruction.heredocs.size()) {
      const imaged::build::Heredoc& from = instruction.heredocs[heredoc++];
      std::string content = from.content;
      if (from.expand) {
        ASSIGN_OR_RETURN(
            content, imaged::build::ExpandLines(content, settings_.Lookup(), context_.file.escape));
      }
      order.inline_files.push_back({from.name, std::move(content)});
      continue;
    }
    if (word.find("://") != std::string::npos || word.starts_with("git@")) {
      return Error(Code::kUnsupported, "'" + Printable(word, 100) +
                                           "': a build fetches nothing itself, so that it can be "
                                           "repeated; write RUN curl, with a checksum");
    }
    order.sources.push_back(std::move(word));
  }
  if (!owner.empty()) {
    UserLookup users(base);
    ASSIGN_OR_RETURN(order.owner, users.Find(owner), "--chown");
  }
  return order;
}

Status StageBuilder::Copy(const Instruction& instruction, StepLog& log) {
  ASSIGN_OR_RETURN(CopyOptions options,
                   ReadCopyOptions(instruction, settings_, context_.file.escape));
  ImageFiles base(*imaged_, context_.calls, files_.reference);
  ASSIGN_OR_RETURN(CopyOrder order, OrderOf(instruction, options.owner, options.words, base));
  order.mode = options.mode;
  if (options.from.empty()) {
    ASSIGN_OR_RETURN(const auto source, OpenContext(context_.directory, context_.ignore));
    return PutFiles(instruction, "copy", *source, base, order, log);
  }
  ASSIGN_OR_RETURN(const std::string reference, ReferenceOf(options.from));
  ImageFiles files(*imaged_, context_.calls, reference);
  const auto source = ImageSource(files);
  order.keep_owner = true;
  return PutFiles(instruction, "copy", *source, base, order, log);
}

Result<std::string> StageBuilder::ReferenceOf(const std::string& text) const {
  ASSIGN_OR_RETURN(const auto from,
                   imaged::build::ResolveFrom(context_.file, planned_.stage, text));
  if (from.stage) return built_.at(*from.stage)->files.reference;
  return from.image == "scratch" ? "" : context_.NameHere(from.image);
}

Status StageBuilder::PutFiles(const Instruction& instruction, const std::string& kind,
                              CopySource& source, ImageFiles& base, const CopyOrder& order,
                              StepLog& log) {
  CopyStep step(source, base, order);
  ASSIGN_OR_RETURN(const Digest fingerprint, step.Fingerprint());
  const std::string key = CacheKey(files_.layers, kind).Add(fingerprint.Hex()).Finish();
  return FindOrMake(key, instruction, log, [&](const std::string& reference) -> Status {
    api::ImportOptions options;
    options.set_reference(reference);
    options.set_base(files_.reference);
    options.set_format(api::ARCHIVE_TAR);
    options.set_literal_names(true);
    options.set_replace(true);
    options.mutable_lineage()->set_origin("build");
    options.mutable_lineage()->set_command(StepText(instruction).substr(0, kHistoryTextMax));
    const auto made =
        UploadLayer(*imaged_, context_.calls, options, [&](imaged::PaxWriter& writer) -> Status {
          EntryFingerprint print;
          RETURN_IF_ERROR(
              step.Emit([&](const imaged::PaxEntry& entry, const FileContent& content) -> Status {
                print.Begin(entry);
                RETURN_IF_ERROR(writer.Begin(entry));
                RETURN_IF_ERROR(content([&](std::string_view bytes) {
                  print.Content(bytes);
                  return writer.Write(bytes);
                }));
                return writer.End();
              }));
          if (print.Finish() == fingerprint) return Ok();
          return Error(Code::kFailedPrecondition, "its files changed during the build");
        });
    if (!made.ok()) return made.error();
    for (const std::string& warning : made->summary().warnings()) context_.log.Warn(warning);
    return Ok();
  });
}

Status StageBuilder::MakeWorkingDir(const Instruction& instruction, StepLog& log) {
  ImageFiles base(*imaged_, context_.calls, files_.reference);
  ASSIGN_OR_RETURN(const ImageFiles::Found found, base.Resolve(settings_.working_dir()));
  if (found.info && !files_.reference.empty()) {
    settings_.AddHistory(StepText(instruction).substr(0, kHistoryTextMax), "");
    return Ok();
  }
  // A directory is what a file in it would bring, less the file.
  const auto source = ImageSource(base);
  CopyOrder order;
  order.destination = settings_.working_dir();
  order.directory_only = true;
  return PutFiles(instruction, "workdir", *source, base, order, log);
}

}  // namespace strata::tools
