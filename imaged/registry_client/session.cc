#include "imaged/registry_client/session.h"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "imaged/oci/image_selection.h"

namespace strata::imaged {
namespace {

using Json = nlohmann::json;

constexpr int kAttemptsMax = 6;
constexpr std::chrono::seconds kPauseMax{60};
constexpr size_t kMessageBytesMax = 300;

// Failures that pass.
bool Passes(int status) { return status == 429 || status == 408 || status / 100 == 5; }
bool Passes(const Error& error) { return error.code() == Code::kUnavailable; }

std::string AcceptedManifests() {
  std::string accepted;
  for (const char* type : {oci::kOciManifestType, oci::kOciIndexType, oci::kDockerManifestType,
                           oci::kDockerIndexType}) {
    accepted += (accepted.empty() ? "" : ", ") + std::string(type);
  }
  return accepted;
}

// What the registry says of an error, for people.
std::string MessageOf(const http::Incoming& answer) {
  const Json json = Json::parse(answer.text, nullptr, false);
  const auto errors = json.is_object() ? json.find("errors") : json.end();
  if (!json.is_object() || errors == json.end() || !errors->is_array() || errors->empty() ||
      !errors->front().is_object()) {
    return "";
  }
  const Json& error = errors->front();
  const auto text = [&](const char* name) {
    const auto field = error.find(name);
    return field != error.end() && field->is_string() ? field->get<std::string>() : std::string();
  };
  return (text("code") + ": " + text("message")).substr(0, kMessageBytesMax);
}

Status CheckDocument(const oci::Descriptor& descriptor, const std::string& bytes) {
  if (bytes.size() == descriptor.size && Sha256Hasher::Of(bytes) == descriptor.digest) return Ok();
  return Error(Code::kCorrupt,
               "the registry gives another document as " + descriptor.digest.ToString());
}

}  // namespace

Result<std::unique_ptr<RegistrySession>> RegistrySession::Create(RegistryLocation location,
                                                                 bool push,
                                                                 RegistrySessionOptions options,
                                                                 const CancelToken* cancel) {
  ASSIGN_OR_RETURN(auto client, http::Client::Create(options.http));
  std::unique_ptr<RegistrySession> session(new RegistrySession(
      std::move(location), push, std::move(options), cancel, std::move(client)));
  http::Outgoing hello;
  hello.url = session->Address("/v2/");
  const auto answer = session->Ask(hello);
  if (!answer.ok() && answer.error().code() == Code::kUnavailable &&
      session->options_.allow_plain_http) {
    session->scheme_ = "http";
  } else if (!answer.ok()) {
    return answer.error();
  }
  return session;
}

std::string RegistrySession::Address(const std::string& path) const {
  return scheme_ + "://" + location_.Endpoint() + path;
}

Error RegistrySession::Refusal(const http::Incoming& answer, const std::string& what) const {
  std::string text = location_.host + ": " + what + ": ";
  const std::string said = MessageOf(answer);
  text += said.empty() ? "status " + std::to_string(answer.status) : said;
  switch (answer.status) {
    case 401:
      return Error(Code::kPermissionDenied,
                   text + (options_.credentials ? "" : " (no credentials were given)"));
    case 403:
      return Error(Code::kPermissionDenied, text);
    case 404:
      return Error(Code::kNotFound, text);
    case 429:
    case 413:
      return Error(Code::kResourceExhausted, text);
    default:
      return Error(answer.status / 100 == 5 ? Code::kUnavailable : Code::kFailedPrecondition, text);
  }
}

Status RegistrySession::FetchToken(const http::Challenge& challenge) {
  const std::string realm(http::Find(challenge.parameters, "realm"));
  ASSIGN_OR_RETURN(const http::Url url, http::ParseUrl(realm));
  if (scheme_ == "https" && url.scheme != "https") {
    return Error(Code::kPermissionDenied, location_.host + " wants the password without TLS");
  }
  const std::string scope = "repository:" + location_.repository + (push_ ? ":pull,push" : ":pull");
  http::Outgoing request;
  request.url = realm + (url.path.find('?') == std::string::npos ? "?" : "&") +
                "scope=" + http::PercentEncode(scope);
  if (const std::string_view service = http::Find(challenge.parameters, "service");
      !service.empty()) {
    request.url += "&service=" + http::PercentEncode(service);
  }
  if (options_.credentials) {
    request.headers.push_back(
        {"Authorization", "Basic " + http::Base64(options_.credentials->user + ":" +
                                                  options_.credentials->password)});
  }
  ASSIGN_OR_RETURN(const http::Incoming answer, client_->Perform(request, nullptr, *cancel_));
  if (answer.status != 200) return Refusal(answer, "login");
  const Json json = Json::parse(answer.text, nullptr, false);
  for (const char* name : {"token", "access_token"}) {
    const auto token = json.is_object() ? json.find(name) : json.end();
    if (json.is_object() && token != json.end() && token->is_string()) {
      authorization_ = "Bearer " + token->get<std::string>();
      return Ok();
    }
  }
  return Error(Code::kCorrupt, location_.host + " gives no token");
}

Status RegistrySession::Authorize(const http::Incoming& answer) {
  const auto challenge = http::ParseChallenge(http::Find(answer.headers, "WWW-Authenticate"));
  if (challenge && challenge->scheme == "bearer") return FetchToken(*challenge);
  if (challenge && challenge->scheme == "basic" && options_.credentials) {
    authorization_ =
        "Basic " + http::Base64(options_.credentials->user + ":" + options_.credentials->password);
    return Ok();
  }
  return Refusal(answer, "login");
}

Result<http::Incoming> RegistrySession::Ask(http::Outgoing request,
                                            const http::BodyReceiver& sink) {
  const std::string used = authorization_;
  const auto with = [&](const std::string& authorization) {
    http::Outgoing next = request;
    // An upload may lead to another host, which must not see it.
    const auto url = http::ParseUrl(request.url);
    if (!authorization.empty() && url.ok() && url->host == location_.Endpoint()) {
      next.headers.push_back({"Authorization", authorization});
    }
    return next;
  };
  auto answer = client_->Perform(with(used), sink, *cancel_);
  if (!answer.ok()) return answer.error().Wrap(location_.host);
  if (answer->status != 401) return answer;
  RETURN_IF_ERROR(Authorize(*answer));
  if (authorization_ == used) return answer;
  if (request.body) return answer;  // It was read already.
  answer = client_->Perform(with(authorization_), sink, *cancel_);
  if (!answer.ok()) return answer.error().Wrap(location_.host);
  return answer;
}

Status RegistrySession::Pause(int attempt, std::string_view retry_after) {
  std::chrono::milliseconds pause = options_.first_pause * (1 << attempt);
  int seconds = 0;
  const char* const end = retry_after.data() + retry_after.size();
  if (std::from_chars(retry_after.data(), end, seconds).ec == std::errc() && seconds > 0) {
    pause = std::chrono::seconds(seconds);
  }
  const auto until =
      std::chrono::steady_clock::now() + std::min<std::chrono::milliseconds>(pause, kPauseMax);
  while (std::chrono::steady_clock::now() < until) {
    RETURN_IF_ERROR(cancel_->Check());
    ::poll(nullptr, 0, 50);  // The token can only be asked.
  }
  return Ok();
}

Result<http::Incoming> RegistrySession::AskPatiently(const http::Outgoing& request) {
  for (int attempt = 0;; ++attempt) {
    auto answer = Ask(request);
    const bool passes = answer.ok() ? Passes(answer->status) : Passes(answer.error());
    if (!passes || attempt + 1 == kAttemptsMax) return answer;
    RETURN_IF_ERROR(Pause(attempt, answer.ok() ? http::Find(answer->headers, "Retry-After") : ""));
  }
}

Result<RegistrySession::Document> RegistrySession::GetStart() {
  http::Outgoing request;
  request.url =
      Address("/v2/" + location_.repository + "/manifests/" + location_.ManifestReference());
  request.headers = {{"Accept", AcceptedManifests()}};
  ASSIGN_OR_RETURN(http::Incoming answer, AskPatiently(request));
  if (answer.status != 200) return Refusal(answer, location_.ToString());
  Document document;
  const std::string_view type = http::Find(answer.headers, "Content-Type");
  document.descriptor.media_type = type.substr(0, type.find(';'));
  document.descriptor.digest = Sha256Hasher::Of(answer.text);
  document.descriptor.size = answer.text.size();
  document.bytes = std::move(answer.text);
  if (location_.digest && *location_.digest != document.descriptor.digest) {
    return Error(Code::kCorrupt, location_.host + " gives another manifest than was asked for");
  }
  return document;
}

// Manifests and indexes, for the choice among them.
class RegistrySession::Documents : public oci::BlobSource {
 public:
  Documents(RegistrySession* session, Document start)
      : session_(session), start_(std::move(start)) {}
  Status Read(const oci::Descriptor& blob, const ByteSink& sink, const CancelToken&) override {
    if (blob.digest == start_.descriptor.digest) return sink(start_.bytes);
    ASSIGN_OR_RETURN(const std::string bytes, session_->GetManifest(blob));
    return sink(bytes);
  }

 private:
  RegistrySession* const session_;
  const Document start_;
};

Result<RegistrySession::Image> RegistrySession::GetImage(const oci::Platform& platform) {
  ASSIGN_OR_RETURN(Document start, GetStart());
  const oci::Descriptor first = start.descriptor;
  Documents documents(this, std::move(start));
  Image image;
  ASSIGN_OR_RETURN(image.descriptor, oci::SelectManifest(documents, first, platform, *cancel_));
  ASSIGN_OR_RETURN(image.manifest_bytes, oci::ReadDocument(documents, image.descriptor, *cancel_));
  ASSIGN_OR_RETURN(image.manifest, oci::ParseManifest(image.manifest_bytes));
  ASSIGN_OR_RETURN(image.config_bytes, GetDocument(image.manifest.config));
  ASSIGN_OR_RETURN(image.config, oci::ParseImageConfig(image.config_bytes));
  return image;
}

Result<std::string> RegistrySession::GetManifest(const oci::Descriptor& descriptor) {
  http::Outgoing request;
  request.url =
      Address("/v2/" + location_.repository + "/manifests/" + descriptor.digest.ToString());
  request.headers = {{"Accept", AcceptedManifests()}};
  ASSIGN_OR_RETURN(http::Incoming answer, AskPatiently(request));
  if (answer.status != 200) return Refusal(answer, descriptor.digest.ToString());
  RETURN_IF_ERROR(CheckDocument(descriptor, answer.text));
  return std::move(answer.text);
}

Result<std::string> RegistrySession::GetDocument(const oci::Descriptor& descriptor) {
  if (descriptor.size > oci::kDocumentBytesMax) {
    return Error(Code::kResourceExhausted, "a document of the image is too large");
  }
  std::string bytes;
  RETURN_IF_ERROR(GetBlob(descriptor, [&](std::string_view data) -> Status {
    bytes.append(data);
    return Ok();
  }));
  return bytes;
}

Status RegistrySession::GetBlobOnce(const oci::Descriptor& blob, const Sink& sink,
                                    uint64_t* received) {
  http::Outgoing request;
  request.url = Address("/v2/" + location_.repository + "/blobs/" + blob.digest.ToString());
  if (*received > 0) {
    request.headers.push_back({"Range", "bytes=" + std::to_string(*received) + "-"});
  }
  const uint64_t asked_from = *received;
  uint64_t at = 0;
  bool begun = false;
  const http::BodyReceiver take = [&](const http::Incoming& head, std::string_view data) -> Status {
    // Who does not know Range sends all of it again: what came before is passed over.
    if (!begun) at = head.status == 206 ? asked_from : 0;
    begun = true;
    const uint64_t skip = std::min<uint64_t>(data.size(), *received - std::min(at, *received));
    at += data.size();
    data.remove_prefix(skip);
    if (*received + data.size() > blob.size) {
      return Error(Code::kCorrupt, location_.host + " gives more than the blob's size");
    }
    RETURN_IF_ERROR(sink(data));
    *received += data.size();
    return Ok();
  };
  ASSIGN_OR_RETURN(const http::Incoming answer, Ask(request, take));
  if (answer.status / 100 != 2) return Refusal(answer, blob.digest.ToString());
  if (*received < blob.size) {
    return Error(Code::kUnavailable, location_.host + ": the blob broke off");
  }
  return Ok();
}

Status RegistrySession::GetBlob(const oci::Descriptor& blob, const Sink& sink) {
  Sha256Hasher hasher;
  const Sink hashing = [&](std::string_view data) -> Status {
    hasher.Update(data);
    return sink(data);
  };
  uint64_t received = 0;
  for (int attempt = 0; received < blob.size; ++attempt) {
    const uint64_t before = received;
    const Status got = GetBlobOnce(blob, hashing, &received);
    if (got.ok()) break;
    if (received > before) attempt = 0;  // It goes on.
    if (!Passes(got.error()) || attempt + 1 == kAttemptsMax) return got;
    RETURN_IF_ERROR(Pause(attempt, ""));
  }
  if (hasher.Finish() == blob.digest) return Ok();
  return Error(Code::kCorrupt, location_.host + " gives another blob as " + blob.digest.ToString());
}

Result<bool> RegistrySession::HasBlob(const oci::Descriptor& blob) {
  http::Outgoing request;
  request.method = "HEAD";
  request.url = Address("/v2/" + location_.repository + "/blobs/" + blob.digest.ToString());
  ASSIGN_OR_RETURN(const http::Incoming answer, AskPatiently(request));
  if (answer.status == 200) return true;
  if (answer.status == 404) return false;
  return Refusal(answer, blob.digest.ToString());
}

Status RegistrySession::PutBlob(const oci::Descriptor& blob, const Source& read) {
  http::Outgoing start;
  start.method = "POST";
  start.url = Address("/v2/" + location_.repository + "/blobs/uploads/");
  ASSIGN_OR_RETURN(const http::Incoming started, AskPatiently(start));
  if (started.status != 202) return Refusal(started, "upload");
  http::Outgoing put;
  put.method = "PUT";
  ASSIGN_OR_RETURN(put.url, http::ResolveUrl(start.url, http::Find(started.headers, "Location")));
  ASSIGN_OR_RETURN(const http::Url url, http::ParseUrl(put.url));
  if (scheme_ == "https" && url.scheme != "https") {
    return Error(Code::kPermissionDenied, location_.host + " wants the upload without TLS");
  }
  put.url += (url.path.find('?') == std::string::npos ? "?" : "&");
  put.url += "digest=" + http::PercentEncode(blob.digest.ToString());
  put.headers = {{"Content-Type", "application/octet-stream"}};
  put.body = read;
  put.body_bytes = blob.size;
  ASSIGN_OR_RETURN(const http::Incoming answer, Ask(put));
  if (answer.status != 201) return Refusal(answer, blob.digest.ToString());
  return Ok();
}

Status RegistrySession::PutManifest(const oci::Descriptor& descriptor, const std::string& bytes) {
  http::Outgoing request;
  request.method = "PUT";
  request.url =
      Address("/v2/" + location_.repository + "/manifests/" + location_.ManifestReference());
  request.headers = {{"Content-Type", descriptor.media_type}};
  request.text = bytes;
  ASSIGN_OR_RETURN(const http::Incoming answer, AskPatiently(request));
  if (answer.status != 201) return Refusal(answer, location_.ToString());
  return Ok();
}

}  // namespace strata::imaged
