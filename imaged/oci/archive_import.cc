#include "imaged/oci/archive_import.h"

#include <string>
#include <utility>

#include "imaged/oci/entry_spool.h"
#include "imaged/oci/image_archive.h"
#include "imaged/oci/image_importer.h"
#include "imaged/oci/image_selection.h"

namespace strata::imaged::oci {
namespace {

constexpr size_t kHeadBytes = 64 * 1024;

// A stream whose first bytes can be looked at before it is read.
class PeekedStream {
 public:
  explicit PeekedStream(const ByteSource& stream) : stream_(stream) {}

  // At least kHeadBytes, unless there are fewer.
  Result<std::string_view> Peek() {
    while (head_.size() < kHeadBytes) {
      ASSIGN_OR_RETURN(const std::string_view data, stream_());
      if (data.empty()) break;
      head_ += data;
    }
    return std::string_view(head_);
  }

  Result<std::string_view> Next() {
    if (!std::exchange(head_given_, true) && !head_.empty()) return std::string_view(head_);
    return stream_();
  }

 private:
  const ByteSource& stream_;
  std::string head_;
  bool head_given_ = false;
};

Result<EntrySpool> ReceiveArchive(Repository& repository, const Ingest& staging, uid_t owner,
                                  uint64_t bytes_total, const ByteSource& stream,
                                  const CancelToken& cancel, const ProgressSink& progress) {
  SpoolLimits limits;
  ASSIGN_OR_RETURN(const auto room, repository.usage().Room(owner));
  if (room) limits.bytes_max = *room;
  v1::Progress state;
  state.set_stage("receive");
  state.set_bytes_total(bytes_total);
  ImportControl control;
  control.cancel = &cancel;
  control.progress = [&](uint64_t entries, uint64_t bytes) {
    state.set_entries(entries);
    state.set_bytes(bytes);
    if (progress) progress(state);
  };
  ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::Create(staging.StagingPath("archive")));
  return EntrySpool::Read(stream, std::move(file), limits, control);
}

Result<v1::ImportResult> ImportImageArchive(Repository& repository, uid_t caller,
                                            const v1::ImportOptions& options,
                                            const ByteSource& stream, const CancelToken& cancel,
                                            const ProgressSink& progress) {
  ImageImport import;
  import.caller = caller;
  import.options = options;
  if (!options.platform().empty()) {
    ASSIGN_OR_RETURN(import.platform, ParsePlatform(options.platform()));
  }
  uid_t owner = caller;
  {
    // A name that cannot be had is told before gigabytes are sent.
    ASSIGN_OR_RETURN(const Images::Reservation name,
                     repository.images().Reserve(caller, options.reference(), options.replace()));
    owner = name.name().owner_uid;
  }
  ImageArchiveKind kind = ImageArchiveKind::kAny;
  if (options.format() == v1::ARCHIVE_OCI) kind = ImageArchiveKind::kOci;
  if (options.format() == v1::ARCHIVE_DOCKER) kind = ImageArchiveKind::kDocker;
  ASSIGN_OR_RETURN(const auto staging, repository.objects().StartIngest());
  ASSIGN_OR_RETURN(
      EntrySpool spool,
      ReceiveArchive(repository, *staging, owner, options.bytes_total(), stream, cancel, progress));
  ASSIGN_OR_RETURN(const auto archive, ImageArchive::Open(std::move(spool), kind));
  ASSIGN_OR_RETURN(const Descriptor start, archive->Find(options.archive_reference(), cancel));
  ASSIGN_OR_RETURN(import.manifest, SelectManifest(*archive, start, import.platform, cancel));
  return ImportImage(repository, import, *archive, cancel, progress);
}

}  // namespace

Result<v1::ImportResult> ImportArchive(Repository& repository, uid_t caller,
                                       const v1::ImportOptions& options, const ByteSource& stream,
                                       const CancelToken& cancel, const ProgressSink& progress) {
  PeekedStream peeked(stream);
  bool is_image = options.format() == v1::ARCHIVE_OCI || options.format() == v1::ARCHIVE_DOCKER;
  if (options.format() == v1::ARCHIVE_FORMAT_UNSPECIFIED && !options.literal_names()) {
    ASSIGN_OR_RETURN(const std::string_view head, peeked.Peek());
    is_image = LooksLikeImageArchive(head);
  }
  const ByteSource whole = [&] { return peeked.Next(); };
  if (is_image) return ImportImageArchive(repository, caller, options, whole, cancel, progress);
  if (!options.archive_reference().empty() || !options.platform().empty()) {
    return Error(Code::kInvalidArgument,
                 "--ref and --platform are for OCI and Docker archives; this is a tar of files");
  }
  return repository.Import(caller, options, whole, cancel, progress);
}

}  // namespace strata::imaged::oci
