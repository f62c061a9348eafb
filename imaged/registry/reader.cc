#include "imaged/registry/reader.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "common/http/piped_body.h"
#include "imaged/registry/pusher.h"
#include "imaged/registry/reply.h"

namespace strata::imaged {
namespace {

using Json = nlohmann::json;

constexpr size_t kPageMax = 10'000;

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

// Made for this reader alone: what lies before the part is made and dropped.
std::unique_ptr<http::BodySource> BlobBody(SharedOciImage image, const Sha256Digest& digest,
                                           const ByteRange& range) {
  const auto produce = [image = std::move(image), digest, range](
                           const http::PipedBody::Sink& sink, const CancelToken& cancel) -> Status {
    uint64_t skip = range.first;
    uint64_t left = range.size;
    const Error enough(Code::kCancelled, "the part is complete");
    const Status written = image->WriteBlob(
        digest,
        [&](std::string_view data) -> Status {
          const size_t skipped = std::min<uint64_t>(skip, data.size());
          skip -= skipped;
          data = data.substr(skipped).substr(0, std::min<uint64_t>(left, data.size()));
          left -= data.size();
          RETURN_IF_ERROR(sink(data));
          if (left == 0) return enough;
          return Ok();
        },
        cancel);
    return left == 0 ? Ok() : written;
  };
  return std::make_unique<http::PipedBody>("blob " + digest.ToString(), produce);
}

// One page of `names` (ascending), after `last`, at most `n`, and the link to the next.
struct Page {
  std::vector<std::string> names;
  std::string next;  // Value of a Link field; empty: that was all.
};
Result<Page> PageOf(const std::set<std::string>& names, const http::Request& request) {
  size_t size = kPageMax;
  if (const std::string_view text = http::Find(request.query, "n"); !text.empty()) {
    const auto n = ParseNumber(text);
    if (!n) return Error(Code::kInvalidArgument, "n is no number");
    size = std::min<uint64_t>(*n, kPageMax);
  }
  Page page;
  const std::string last(http::Find(request.query, "last"));
  auto at = last.empty() ? names.begin() : names.upper_bound(last);
  for (; at != names.end() && page.names.size() < size; ++at) page.names.push_back(*at);
  if (at != names.end() && !page.names.empty()) {
    page.next = "<" + request.path + "?n=" + std::to_string(size) +
                "&last=" + http::PercentEncode(page.names.back()) + ">; rel=\"next\"";
  }
  return page;
}

http::Response PageReply(const Page& page, Json document) {
  http::Response response =
      JsonReply(200, document.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!page.next.empty()) response.headers.push_back({"Link", page.next});
  return response;
}

}  // namespace

std::optional<ByteRange> ParseRange(std::string_view text, uint64_t total) {
  constexpr std::string_view kUnit = "bytes=";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = ParseNumber(text.substr(0, dash));
  const std::string_view end = text.substr(dash + 1);
  const auto last = end.empty() ? std::optional<uint64_t>(UINT64_MAX) : ParseNumber(end);
  if (!first || !last || *last < *first) return std::nullopt;
  if (*first >= total) return ByteRange{*first, 0};
  return ByteRange{*first, std::min(*last, total - 1) - *first + 1};
}

// What was pushed is made anew and has another manifest then: who may use the image is told.
http::Response Reader::NoManifest(uid_t caller, const Route& route, const Error& error) {
  const auto digest = Sha256Digest::Parse(route.reference);
  if (error.code() == Code::kNotFound && digest.ok()) {
    const auto versions = repository_->images().Versions(caller, route.repository);
    const std::string origin = PushOrigin(*digest);
    for (int i = 0; versions.ok() && i < versions->images_size(); ++i) {
      const v1::Image& image = versions->images(i);
      if (image.lineage().origin() != origin) continue;
      return ErrorReply(404, "MANIFEST_UNKNOWN",
                        "what was pushed as this is here as " + DisplayName(image) +
                            ", with another manifest, as it was made anew: pull it by its tag, or "
                            "by the digest that the tag has here");
    }
  }
  return ErrorReply(error, "MANIFEST_UNKNOWN");
}

http::Response Reader::Referrers(const Route& route, const http::Request& request) {
  const auto digest = Sha256Digest::Parse(route.reference);
  if (!digest.ok()) return ErrorReply(400, "DIGEST_INVALID", digest.error().message());
  oci::Index index;
  index.media_type = oci::kOciIndexType;
  http::Response response;
  response.headers = {{"Content-Type", oci::kOciIndexType}};
  if (!http::Find(request.query, "artifactType").empty()) {
    response.headers.push_back({"OCI-Filters-Applied", "artifactType"});
  }
  response.text = oci::PrintIndex(index);
  return response;
}

http::Response Reader::Manifest(const Bearer& bearer, const Route& route,
                                const http::Request& request) {
  const uid_t caller = bearer.uid;
  const bool by_digest = route.reference.find(':') != std::string::npos;
  const bool sends = request.method == "GET";
  Result<SharedOciImage> image = Error(Code::kNotFound, "");
  if (by_digest) {
    const auto digest = Sha256Digest::Parse(route.reference);
    if (!digest.ok()) return ErrorReply(400, "DIGEST_INVALID", digest.error().message());
    image = cache_->FindBlob(caller, route.repository, *digest, *request.stopping);
    if (image.ok() && (*image)->manifest().digest != *digest) {
      image = Error(Code::kNotFound, "");  // A blob of another kind.
    }
  } else if (IsWord(route.reference)) {
    image = cache_->Open(caller, route.repository + ":" + route.reference, *request.stopping);
  }
  const PullLog::Puller puller{&bearer, request.client};
  if (!image.ok()) {
    const std::string asked = route.repository + (by_digest ? "@" : ":") + route.reference;
    if (sends) pulls_->Refused(puller, asked, image.error());
    return NoManifest(caller, route, image.error());
  }
  const oci::Descriptor& manifest = (*image)->manifest();
  if (sends) {
    pulls_->Manifest(puller, (*image)->image(), by_digest ? "" : route.reference, manifest.digest);
  }
  http::Response response;
  response.headers = {{"Content-Type", manifest.media_type},
                      {"Docker-Content-Digest", manifest.digest.ToString()},
                      {"ETag", "\"" + manifest.digest.ToString() + "\""}};
  response.text = (*image)->manifest_bytes();
  return response;
}

std::unique_ptr<http::BodySource> Reader::BodyOf(const SharedOciImage& image,
                                                 const Sha256Digest& digest,
                                                 const ByteRange& part) {
  for (size_t i = 0; i < image->layers().size(); ++i) {
    if (image->layers()[i].digest != digest) continue;
    const auto layer = Digest::Parse(image->image().layers(static_cast<int>(i)).digest());
    if (!layer.ok()) break;
    auto body =
        blobs_->Read({*layer, digest}, image->layers()[i].size, part.first, part.size,
                     [image, digest](const BlobCache::Sink& sink, const CancelToken& cancel) {
                       return image->WriteBlob(digest, sink, cancel);
                     });
    if (body != nullptr) return body;
    break;
  }
  return BlobBody(image, digest, part);
}

http::Response Reader::Blob(const Bearer& bearer, const Route& route,
                            const http::Request& request) {
  const auto digest = Sha256Digest::Parse(route.reference);
  if (!digest.ok()) return ErrorReply(400, "DIGEST_INVALID", digest.error().message());
  const auto image = cache_->FindBlob(bearer.uid, route.repository, *digest, *request.stopping);
  if (!image.ok()) return ErrorReply(image.error(), "BLOB_UNKNOWN");
  const uint64_t total = FindDescriptor(**image, *digest)->size;
  http::Response response;
  response.headers = {{"Content-Type", "application/octet-stream"},
                      {"Docker-Content-Digest", digest->ToString()},
                      {"ETag", "\"" + digest->ToString() + "\""},
                      {"Accept-Ranges", "bytes"}};
  ByteRange part{0, total};
  if (const auto range = ParseRange(http::Find(request.headers, "Range"), total)) {
    if (range->size == 0) {
      response = ErrorReply(416, "SIZE_INVALID", "the blob ends before");
      response.headers.push_back({"Content-Range", "bytes */" + std::to_string(total)});
      return response;
    }
    part = *range;
    response.status = 206;
    response.headers.push_back({"Content-Range", "bytes " + std::to_string(part.first) + "-" +
                                                     std::to_string(part.first + part.size - 1) +
                                                     "/" + std::to_string(total)});
  }
  response.content_length = part.size;
  if (request.method == "GET") {
    pulls_->Blob({&bearer, request.client}, (*image)->image(), *digest);
    response.body = BodyOf(*image, *digest, part);
  }
  return response;
}

http::Response Reader::Tags(uid_t caller, const Route& route, const http::Request& request) {
  const auto names = repository_->images().Names(caller);
  if (!names.ok()) return ErrorReply(names.error(), "NAME_UNKNOWN");
  const std::string prefix = route.repository + ":";
  std::set<std::string> tags;
  for (const std::string& name : *names) {
    if (name.starts_with(prefix)) tags.insert(name.substr(prefix.size()));
  }
  if (tags.empty()) return ErrorReply(Error(Code::kNotFound, ""), "NAME_UNKNOWN");
  const auto page = PageOf(tags, request);
  if (!page.ok()) return ErrorReply(400, "PAGINATION_NUMBER_INVALID", page.error().message());
  return PageReply(*page, {{"name", route.repository}, {"tags", page->names}});
}

http::Response Reader::Catalog(uid_t caller, const http::Request& request) {
  const auto names = repository_->images().Names(caller);
  if (!names.ok()) return ErrorReply(names.error(), "NAME_UNKNOWN");
  std::set<std::string> repositories;
  for (const std::string& name : *names) {
    // What has a digest alone cannot be named by a tag.
    if (const size_t colon = name.find(':'); colon < name.find('@')) {
      repositories.insert(name.substr(0, colon));
    }
  }
  const auto page = PageOf(repositories, request);
  if (!page.ok()) return ErrorReply(400, "PAGINATION_NUMBER_INVALID", page.error().message());
  return PageReply(*page, {{"repositories", page->names}});
}

}  // namespace strata::imaged
