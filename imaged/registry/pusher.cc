#include "imaged/registry/pusher.h"

#include <charconv>
#include <functional>

#include "common/http/document_sink.h"
#include "imaged/oci/image_importer.h"
#include "imaged/oci/image_selection.h"
#include "imaged/registry/reply.h"
#include "imaged/service/audit.h"

namespace strata::imaged {
namespace {

constexpr char kUploadUnknown[] = "BLOB_UPLOAD_UNKNOWN";

std::string UploadLocation(const Route& route, const std::string& id) {
  return "/v2/" + route.repository + "/blobs/uploads/" + id;
}

// How far an upload is.
http::Response UploadReply(int status, const Route& route, const std::string& id, uint64_t bytes) {
  http::Response response;
  response.status = status;
  response.headers = {{"Location", UploadLocation(route, id)},
                      {"Docker-Upload-UUID", id},
                      {"Range", "0-" + std::to_string(bytes == 0 ? 0 : bytes - 1)}};
  return response;
}

http::Response CreatedReply(const Route& route, const char* kind, const std::string& digest) {
  http::Response response;
  response.status = 201;
  response.headers = {{"Location", "/v2/" + route.repository + "/" + kind + "/" + digest},
                      {"Docker-Content-Digest", digest}};
  return response;
}

http::Response DeletedReply() {
  http::Response response;
  response.status = 202;
  return response;
}

http::Response UploadError(const Error& error) {
  if (error.code() == Code::kFailedPrecondition) {
    return ErrorReply(409, "BLOB_UPLOAD_INVALID", error.message());
  }
  return ErrorReply(error, kUploadUnknown);
}

// Where a PATCH says that its piece begins: "5-9". nullopt: it does not say.
std::optional<uint64_t> FirstOf(std::string_view range) {
  uint64_t first = 0;
  const auto [end, error] = std::from_chars(range.data(), range.data() + range.size(), first);
  const bool good = error == std::errc() && end != range.data() + range.size() && *end == '-';
  return good ? std::optional<uint64_t>(first) : std::nullopt;
}

// A piece of an upload; with a digest, the last one.
class UploadSink : public http::BodySink {
 public:
  UploadSink(std::unique_ptr<Uploads::Writer> writer, Route route, std::string id,
             std::optional<Sha256Digest> digest)
      : writer_(std::move(writer)), route_(std::move(route)), id_(std::move(id)), digest_(digest) {}

  std::optional<http::Response> Write(std::string_view data) override {
    const Status taken = writer_->Append(data);
    if (taken.ok()) return std::nullopt;
    return UploadError(taken.error());
  }
  http::Response Finish() override {
    if (!digest_) return UploadReply(202, route_, id_, writer_->size());
    const Status finished = writer_->Finish(*digest_);
    if (!finished.ok()) return UploadError(finished.error());
    return CreatedReply(route_, "blobs", digest_->ToString());
  }

 private:
  const std::unique_ptr<Uploads::Writer> writer_;
  const Route route_;
  const std::string id_;
  const std::optional<Sha256Digest> digest_;
};

class SpoolBody : public http::BodySource {
 public:
  explicit SpoolBody(std::shared_ptr<const SpooledBlob> blob) : blob_(std::move(blob)) {}
  Result<size_t> Read(char* buffer, size_t size) override {
    ASSIGN_OR_RETURN(const size_t n, blob_->ReadAt(at_, buffer, size));
    at_ += n;
    return n;
  }

 private:
  const std::shared_ptr<const SpooledBlob> blob_;
  uint64_t at_ = 0;
};

// The media type of a manifest or an index; "" for anything else.
std::string DocumentType(const SpooledBlob& blob) {
  std::string bytes(blob.size(), '\0');
  const auto read = blob.ReadAt(0, bytes.data(), bytes.size());
  if (!read.ok() || *read != bytes.size()) return "";
  if (const auto manifest = oci::ParseManifest(bytes); manifest.ok()) return manifest->media_type;
  const auto index = oci::ParseIndex(bytes);
  return index.ok() ? index->media_type : "";
}

}  // namespace

std::string PushOrigin(const Sha256Digest& manifest) {
  return "push to the registry of " + manifest.ToString();
}

Status PushedBlobs::Read(const oci::Descriptor& blob, const ByteSink& sink,
                         const CancelToken& cancel) {
  if (const auto uploaded = uploads_->Find(place_, blob.digest)) {
    return uploaded->Read([&](std::string_view data) -> Status {
      RETURN_IF_ERROR(cancel.Check());
      return sink(data);
    });
  }
  ASSIGN_OR_RETURN(const SharedOciImage image,
                   cache_->FindBlob(place_.uid, place_.repository, blob.digest, cancel));
  return image->WriteBlob(blob.digest, sink, cancel);
}

std::optional<http::Response> Pusher::Uploaded(uid_t caller, const Route& route,
                                               const http::Request& request) {
  const auto digest = Sha256Digest::Parse(route.reference);
  if (!digest.ok()) return std::nullopt;
  auto blob = uploads_->Find({caller, route.repository}, *digest);
  if (blob == nullptr) return std::nullopt;
  http::Response response;
  response.headers = {{"Docker-Content-Digest", digest->ToString()}};
  if (route.kind == Route::Kind::kManifest) {
    const std::string type = blob->size() > oci::kDocumentBytesMax ? "" : DocumentType(*blob);
    if (type.empty()) return std::nullopt;  // It is no manifest.
    response.headers.push_back({"Content-Type", type});
  }
  response.content_length = blob->size();
  if (request.method == "GET") response.body = std::make_unique<SpoolBody>(std::move(blob));
  return response;
}

http::Answer Pusher::StartUpload(uid_t caller, const Route& route, const http::Request& request,
                                 bool may_mount) {
  if (request.method != "POST") return MethodReply("POST");
  const UploadPlace place{caller, route.repository};
  const std::string from(http::Find(request.query, "from"));
  const auto mount = Sha256Digest::Parse(http::Find(request.query, "mount"));
  // What cannot be mounted is uploaded: the client goes on with the 202.
  if (mount.ok() && may_mount && uploads_->Mount(place, from, *mount)) {
    return CreatedReply(route, "blobs", mount->ToString());
  }
  const std::string_view digest_text = http::Find(request.query, "digest");
  const auto digest = Sha256Digest::Parse(digest_text);
  if (!digest_text.empty() && !digest.ok()) {
    return ErrorReply(400, "DIGEST_INVALID", digest.error().message());
  }
  const Result<std::string> id = uploads_->Start(place);
  if (!id.ok()) return UploadError(id.error());
  if (digest_text.empty()) return UploadReply(202, route, *id, 0);
  // The blob comes with this very request.
  auto writer = uploads_->Write(place, *id);
  if (!writer.ok()) return UploadError(writer.error());
  return std::make_unique<UploadSink>(std::move(*writer), route, *id, *digest);
}

http::Answer Pusher::ContinueUpload(uid_t caller, const Route& route,
                                    const http::Request& request) {
  const UploadPlace place{caller, route.repository};
  const std::string& id = route.reference;
  if (request.method == "GET") {
    const auto size = uploads_->SizeOf(place, id);
    return size.ok() ? UploadReply(204, route, id, *size) : UploadError(size.error());
  }
  if (request.method == "DELETE") {
    const Status cancelled = uploads_->Cancel(place, id);
    if (!cancelled.ok()) return UploadError(cancelled.error());
    http::Response response;
    response.status = 204;
    return response;
  }
  if (request.method != "PATCH" && request.method != "PUT") {
    return MethodReply("GET, PATCH, PUT, DELETE");
  }
  std::optional<Sha256Digest> digest;
  if (request.method == "PUT") {
    const auto parsed = Sha256Digest::Parse(http::Find(request.query, "digest"));
    if (!parsed.ok()) {
      (void)uploads_->Cancel(place, id);  // As with a wrong one.
      return ErrorReply(400, "DIGEST_INVALID", parsed.error().message());
    }
    digest = *parsed;
  }
  auto writer = uploads_->Write(place, id);
  if (!writer.ok()) return UploadError(writer.error());
  const auto first = FirstOf(http::Find(request.headers, "Content-Range"));
  if (first && *first != (*writer)->size()) {
    http::Response response = UploadReply(416, route, id, (*writer)->size());
    return response;
  }
  return std::make_unique<UploadSink>(std::move(*writer), route, id, digest);
}

http::Answer Pusher::PutManifest(uid_t caller, const Route& route, const http::Request& request) {
  const bool by_digest = route.reference.find(':') != std::string::npos;
  if (!by_digest && !IsWord(route.reference)) {
    return ErrorReply(400, "TAG_INVALID", "this is no tag");
  }
  std::string media_type(http::Find(request.headers, "Content-Type"));
  return std::make_unique<http::DocumentSink>(
      oci::kDocumentBytesMax,
      ErrorReply(413, "MANIFEST_INVALID", "a manifest is at most 4 MiB long"),
      [=, this, &request](const std::string& bytes) {
        return TakeManifest(caller, route, request, media_type, bytes);
      });
}

Status Pusher::CheckBlobs(const UploadPlace& place, const oci::Manifest& manifest,
                          const CancelToken& cancel) {
  std::vector<oci::Descriptor> blobs = manifest.layers;
  blobs.push_back(manifest.config);
  for (const oci::Descriptor& blob : blobs) {
    if (uploads_->Find(place, blob.digest) != nullptr) continue;
    if (cache_->FindBlob(place.uid, place.repository, blob.digest, cancel).ok()) continue;
    return Error(Code::kNotFound, blob.digest.ToString() + " was not uploaded");
  }
  return Ok();
}

Status Pusher::Import(const UploadPlace& place, const std::string& tag,
                      const oci::Descriptor& start, const CancelToken& cancel) {
  PushedBlobs source(place, uploads_, cache_);
  oci::ImageImport import;
  import.caller = place.uid;
  ASSIGN_OR_RETURN(import.manifest, oci::SelectManifest(source, start, import.platform, cancel));
  import.options.set_reference(place.repository + ":" + tag);
  import.options.set_replace(true);
  import.options.mutable_lineage()->set_origin(PushOrigin(start.digest));
  RETURN_IF_ERROR(oci::ImportImage(*repository_, import, source, cancel, {}));
  uploads_->MarkUsed(place);
  return Ok();
}

http::Response Pusher::TakeManifest(uid_t caller, const Route& route, const http::Request& request,
                                    const std::string& media_type, const std::string& bytes) {
  const UploadPlace place{caller, route.repository};
  oci::Descriptor document;
  document.media_type = media_type;
  document.digest = Sha256Hasher::Of(bytes);
  document.size = bytes.size();
  const bool by_digest = route.reference.find(':') != std::string::npos;
  if (by_digest && route.reference != document.digest.ToString()) {
    return ErrorReply(400, "DIGEST_INVALID", "the manifest has another digest");
  }
  if (oci::IsManifestType(media_type)) {
    const auto manifest = oci::ParseManifest(bytes);
    if (!manifest.ok()) return ErrorReply(400, "MANIFEST_INVALID", manifest.error().message());
    const Status complete = CheckBlobs(place, *manifest, *request.stopping);
    if (!complete.ok()) return ErrorReply(400, "MANIFEST_BLOB_UNKNOWN", complete.error().message());
  } else if (oci::IsIndexType(media_type)) {
    const auto index = oci::ParseIndex(bytes);
    if (!index.ok()) return ErrorReply(400, "MANIFEST_INVALID", index.error().message());
  } else {
    return ErrorReply(415, "MANIFEST_INVALID", "manifests of this media type are not taken");
  }
  // One that is named by its digest waits for the index, or the tag, that will name it.
  const Status kept = uploads_->Add(place, document.digest, bytes);
  if (!kept.ok()) return ErrorReply(kept.error(), "MANIFEST_INVALID");
  if (!by_digest) {
    const RequestScope scope;
    v1::Event event = EventOf("push", caller, route.repository + ":" + route.reference);
    event.set_via("registry");
    const Status imported = Import(place, route.reference, document, *request.stopping);
    RecordOutcome(repository_, std::move(event), imported);
    if (!imported.ok()) return ErrorReply(imported.error(), "MANIFEST_BLOB_UNKNOWN");
  }
  return CreatedReply(route, "manifests", document.digest.ToString());
}

http::Response Pusher::DeleteManifest(uid_t caller, const Route& route,
                                      const http::Request& request) {
  v1::DeleteRequest deletion;
  if (route.reference.find(':') == std::string::npos) {
    if (!IsWord(route.reference)) return ErrorReply(400, "TAG_INVALID", "this is no tag");
    deletion.set_reference(route.repository + ":" + route.reference);
  } else {
    const auto digest = Sha256Digest::Parse(route.reference);
    if (!digest.ok()) return ErrorReply(400, "DIGEST_INVALID", digest.error().message());
    // What was pushed may wait there, and is to be pulled no more.
    const bool waited = uploads_->Drop({caller, route.repository}, *digest);
    const auto image = cache_->FindBlob(caller, route.repository, *digest, *request.stopping);
    if (!image.ok() || (*image)->manifest().digest != *digest) {
      if (waited) return DeletedReply();
      return ErrorReply(Error(Code::kNotFound, ""), "MANIFEST_UNKNOWN");
    }
    deletion.set_reference(route.repository + "@" + (*image)->image().digest());
  }
  cache_->DropUnused(ImageCache::Clock::now());
  const RequestScope scope;
  v1::Event event = EventOf("delete", caller, deletion.reference());
  event.set_via("registry");
  const auto deleted = repository_->Delete(caller, deletion);
  RecordOutcome(repository_, std::move(event), deleted.ok() ? Ok() : Status(deleted.error()));
  if (!deleted.ok()) return ErrorReply(deleted.error(), "MANIFEST_UNKNOWN");
  return DeletedReply();
}

}  // namespace strata::imaged
