#include "imaged/registry/registry.h"

#include <exception>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/registry/reply.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::seconds kTidyEvery{10};
constexpr std::chrono::seconds kImageUnusedMax{60};

bool IsRead(const http::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// What a request needs; the challenge names it too.
Authenticator::Need NeedOf(const Route& route, const http::Request& request) {
  switch (route.kind) {
    case Route::Kind::kBase:
    case Route::Kind::kToken:
      return {};
    case Route::Kind::kCatalog:
      return {"registry", "catalog", "*"};
    case Route::Kind::kUploads:
    case Route::Kind::kUpload:
      return {"repository", route.repository, "push"};
    case Route::Kind::kTags:
    case Route::Kind::kManifest:
    case Route::Kind::kReferrers:
    case Route::Kind::kBlob:
      break;
  }
  // Tools of others ask for "delete" or "push" as they like; deleting a tag is changing it.
  return {"repository", route.repository, IsRead(request) ? "pull" : "push"};
}

http::Response BaseReply() {
  http::Response response = JsonReply(200, "{}");
  response.headers.push_back({"Docker-Distribution-Api-Version", "registry/2.0"});
  return response;
}

}  // namespace

Registry::Registry(Repository* repository, Authenticator authenticator,
                   std::unique_ptr<Uploads> uploads, std::unique_ptr<BlobCache> blobs)
    : repository_(repository),
      authenticator_(std::move(authenticator)),
      uploads_(std::move(uploads)),
      blobs_(std::move(blobs)),
      cache_(repository),
      pulls_(repository, [] { return PullLog::Clock::now(); }),
      reader_(repository, &cache_, blobs_.get(), &pulls_),
      pusher_(repository, &cache_, uploads_.get()),
      tidier_([this](const std::stop_token& stop) { KeepTidy(stop); }) {}

Result<std::unique_ptr<Registry>> Registry::Create(Repository* repository, TokenBook* book,
                                                   const std::string& scheme,
                                                   const std::string& cache_directory,
                                                   uint64_t cache_bytes_max) {
  ASSIGN_OR_RETURN(BearerSigner signer, BearerSigner::Create());
  ASSIGN_OR_RETURN(auto uploads,
                   Uploads::Create(
                       repository->objects().root(),
                       [repository](uid_t uid) { return repository->usage().Room(uid); },
                       [] { return Uploads::Clock::now(); }));
  ASSIGN_OR_RETURN(auto blobs, BlobCache::Open(cache_directory, cache_bytes_max));
  Authenticator authenticator(book, std::move(signer), scheme,
                              [] { return std::chrono::system_clock::now(); });
  return std::unique_ptr<Registry>(
      new Registry(repository, std::move(authenticator), std::move(uploads), std::move(blobs)));
}

void Registry::KeepTidy(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, stop, kTidyEvery, [] { return false; });
    }
    try {
      cache_.DropUnused(ImageCache::Clock::now() - kImageUnusedMax);
      uploads_->DropOld();
      blobs_->Sweep([this](const Digest& layer) {
        return PathExists(repository_->layers().ManifestPath(layer));
      });
    } catch (const std::exception& e) {
      LOG_ERROR(std::string("registry: ") + e.what());
    }
  }
}

Registry::Owned Registry::OwnerOf(uid_t caller, const std::string& repository) const {
  const Accounts& accounts = repository_->catalog().accounts();
  const size_t slash = repository.find('/');
  const auto uid = accounts.UidOf(repository.substr(0, slash));
  if (!uid) return {repository, false};  // Nobody's, and so nobody finds anything there.
  return {accounts.UserName(*uid) + repository.substr(slash), caller == *uid || caller == 0};
}

http::Answer Registry::Handle(const http::Request& request) {
  std::optional<Route> route = ParseRoute(request.path);
  if (route && route->kind == Route::Kind::kToken) return authenticator_.GiveToken(request);
  Authenticator::Verdict verdict =
      authenticator_.Judge(request, route ? NeedOf(*route, request) : Authenticator::Need{});
  if (verdict.refusal) return std::move(*verdict.refusal);
  if (!route) return ErrorReply(404, "NAME_UNKNOWN", "there is nothing at this address");
  const uid_t caller = verdict.bearer.uid;
  switch (route->kind) {
    case Route::Kind::kBase:
      return BaseReply();
    case Route::Kind::kCatalog:
      return IsRead(request) ? reader_.Catalog(caller, request) : MethodReply("GET");
    default:
      break;
  }
  const bool changes = NeedOf(*route, request).action == "push";
  return changes ? Push(verdict.bearer, *route, request) : Pull(verdict.bearer, *route, request);
}

http::Answer Registry::Pull(const Bearer& bearer, const Route& asked,
                            const http::Request& request) {
  const uid_t caller = bearer.uid;
  if (asked.kind == Route::Kind::kReferrers) return reader_.Referrers(asked, request);
  Route route = asked;
  const Owned owned = OwnerOf(caller, asked.repository);
  route.repository = owned.name;
  if (route.kind == Route::Kind::kTags) return reader_.Tags(caller, route, request);
  // What he is pushing he may look at.
  if (owned.own) {
    if (auto uploaded = pusher_.Uploaded(caller, route, request)) return std::move(*uploaded);
  }
  return route.kind == Route::Kind::kBlob ? reader_.Blob(bearer, route, request)
                                          : reader_.Manifest(bearer, route, request);
}

http::Answer Registry::Push(const Bearer& bearer, const Route& asked,
                            const http::Request& request) {
  Route route = asked;
  const Owned owned = OwnerOf(bearer.uid, asked.repository);
  route.repository = owned.name;
  // Whether or not there is such a user, or such an image.
  if (!owned.own) return ErrorReply(403, "DENIED", "you may push to your own repositories only");
  switch (route.kind) {
    case Route::Kind::kUploads: {
      const std::string_view from = http::Find(request.query, "from");
      return pusher_.StartUpload(bearer.uid, route, request,
                                 bearer.Allows("repository", from, "pull"));
    }
    case Route::Kind::kUpload:
      return pusher_.ContinueUpload(bearer.uid, route, request);
    case Route::Kind::kManifest:
      if (request.method == "PUT") return pusher_.PutManifest(bearer.uid, route, request);
      if (request.method == "DELETE") return pusher_.DeleteManifest(bearer.uid, route, request);
      return MethodReply("GET, HEAD, PUT, DELETE");
    default:
      return MethodReply("GET, HEAD");
  }
}

}  // namespace strata::imaged
