// The registry over HTTP: what clients of OCI registries do, and what they should not.
#include <nlohmann/json.hpp>

#include "common/http/client.h"
#include "common/pki/authority.h"
#include "imaged/registry/listener.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using http::Find;
using http::Incoming;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class RegistryHttpTest : public RepositoryTest {
 protected:
  void SetUp() override {
    RepositoryTest::SetUp();
    book_ = std::move(
        *TokenBook::Open(directory_->path() + "/tokens.json", repository_->catalog().accounts()));
    client_ = std::move(*http::Client::Create({}));
    Serve();
    ASSERT_TRUE(Import(kAlice, "spark:v1", tar_).ok());
  }
  void TearDown() override {
    listener_.reset();
    RepositoryTest::TearDown();
  }
  void Serve() {
    listener_.reset();
    RegistryOptions options;
    options.address = "127.0.0.1:0";
    options.insecure = true;
    options.cache_directory = directory_->path() + "/cache";
    auto listener = RegistryListener::Start(options, "", repository_.get(), book_.get());
    ASSERT_OK(listener);
    listener_ = std::move(*listener);
    bearers_.clear();
  }
  Incoming Ask(const http::Outgoing& request) {
    auto answer = client_->Perform(request, nullptr, cancel_);
    EXPECT_TRUE(answer.ok()) << request.url << ": " << answer.error().message();
    return answer.ok() ? *answer : Incoming();
  }
  std::string Url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(listener_->port()) + path;
  }
  // A bearer token of the user for everything that these tests name.
  std::string BearerOf(uid_t uid) {
    std::string& bearer = bearers_[uid];
    if (!bearer.empty()) return bearer;
    http::Outgoing request;
    request.url = Url("/v2/token?scope=registry:catalog:*");
    for (const char* name : {"50001/spark", "50001/new", "50001/none", "50002/new", "60000/new"}) {
      request.url += std::string("&scope=repository:") + name + ":pull,push";
    }
    if (uid != kAnonymousUid) {
      const std::string secret = book_->Create(uid, {}, std::chrono::system_clock::now())->secret();
      request.headers = {
          {"Authorization", "Basic " + http::Base64(std::to_string(uid) + ":" + secret)}};
    }
    bearer = json::parse(Ask(request).text).at("token");
    return bearer;
  }
  Incoming Send(uid_t uid, const std::string& method, const std::string& path,
                std::string body = "", http::Fields headers = {}) {
    http::Outgoing request;
    request.method = method;
    request.url = path.starts_with("http") ? path : Url(path);
    request.headers = std::move(headers);
    request.headers.push_back({"Authorization", "Bearer " + BearerOf(uid)});
    request.text = std::move(body);
    return Ask(request);
  }
  Incoming Get(uid_t uid, const std::string& path, http::Fields headers = {}) {
    return Send(uid, "GET", path, "", std::move(headers));
  }
  static std::string CodeOf(const Incoming& answer) {
    const json document = json::parse(answer.text, nullptr, false);
    return document.is_object() ? document["errors"][0].value("code", "") : "";
  }
  static std::string DigestOf(const std::string& bytes) {
    return Sha256Hasher::Of(bytes).ToString();
  }
  // Where the new upload goes on.
  std::string StartUpload(uid_t uid, const std::string& repository, const std::string& query = "") {
    const Incoming answer = Send(uid, "POST", "/v2/" + repository + "/blobs/uploads/" + query);
    EXPECT_EQ(answer.status, 202) << answer.text;
    return std::string(Find(answer.headers, "Location"));
  }
  int Upload(uid_t uid, const std::string& repository, const std::string& blob) {
    return Send(uid, "PUT", StartUpload(uid, repository) + "?digest=" + DigestOf(blob), blob)
        .status;
  }
  struct Parts {
    std::string manifest;
    std::string config;
    std::vector<std::string> layers;
  };
  Parts Pull(uid_t uid, const std::string& repository, const std::string& tag) {
    Parts parts;
    parts.manifest = Get(uid, "/v2/" + repository + "/manifests/" + tag).text;
    const json manifest = json::parse(parts.manifest);
    const auto blob = [&](const json& descriptor) {
      const std::string digest = descriptor.at("digest");
      const Incoming answer = Get(uid, "/v2/" + repository + "/blobs/" + digest);
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(DigestOf(answer.text), digest);
      EXPECT_EQ(answer.text.size(), descriptor.at("size"));
      return answer.text;
    };
    parts.config = blob(manifest.at("config"));
    for (const json& layer : manifest.at("layers")) parts.layers.push_back(blob(layer));
    return parts;
  }
  int PutManifest(uid_t uid, const std::string& path, const std::string& manifest,
                  const std::string& type = oci::kOciManifestType, std::string* code = nullptr) {
    const Incoming answer = Send(uid, "PUT", path, manifest, {{"Content-Type", type}});
    if (code != nullptr) *code = CodeOf(answer);
    return answer.status;
  }

  // "uid action image outcome" of the events that came through the registry.
  std::vector<std::string> Events() {
    const auto events = repository_->events().Latest(
        0, 0, 1000, [](const v1::Event& event) { return event.via() == "registry"; });
    EXPECT_TRUE(events.ok());
    std::vector<std::string> lines;
    for (const v1::Event& event : *events) {
      lines.push_back(event.user() + " " + event.action() + " " + event.image() + " " +
                      event.outcome());
      details_[lines.back()] = event.detail();
    }
    return lines;
  }

  std::map<std::string, std::string> details_;  // By Events() line.
  std::unique_ptr<TokenBook> book_;
  std::unique_ptr<RegistryListener> listener_;
  std::unique_ptr<http::Client> client_;
  std::map<uid_t, std::string> bearers_;
};

TEST_F(RegistryHttpTest, AnImageIsPulledByTagAndByDigest) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  EXPECT_EQ(parts.layers.size(), 1u);
  const std::string path = "/v2/50001/spark/manifests/" + DigestOf(parts.manifest);
  const Incoming by_digest = Get(kAlice, path);
  EXPECT_EQ(by_digest.text, parts.manifest);
  EXPECT_EQ(Find(by_digest.headers, "Docker-Content-Digest"), DigestOf(parts.manifest));
  EXPECT_EQ(Find(by_digest.headers, "Content-Type"), oci::kOciManifestType);
  EXPECT_EQ(Get(kAlice, "/v2/50001/spark/manifests/" + DigestOf(parts.config)).status, 404);
  // A client that knows the digests goes on after imaged was started anew.
  Serve();
  EXPECT_EQ(Get(kAlice, path).text, parts.manifest);
  Serve();
  const std::string layer = "/v2/50001/spark/blobs/" + DigestOf(parts.layers[0]);
  EXPECT_EQ(Get(kAlice, layer).text, parts.layers[0]);
}

TEST_F(RegistryHttpTest, PartsOfABlobAreThoseOfTheWhole) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  const std::string& blob = parts.layers[0];
  const std::string path = "/v2/50001/spark/blobs/" + DigestOf(blob);
  const Incoming tail = Get(kAlice, path, {{"Range", "bytes=100-"}});
  EXPECT_EQ(tail.status, 206);
  EXPECT_EQ(tail.text, blob.substr(100));
  EXPECT_EQ(Find(tail.headers, "Content-Range"),
            "bytes 100-" + std::to_string(blob.size() - 1) + "/" + std::to_string(blob.size()));
  EXPECT_EQ(Get(kAlice, path, {{"Range", "bytes=3-5"}}).text, blob.substr(3, 3));
  EXPECT_EQ(Get(kAlice, path, {{"Range", "bytes=0-0"}}).text, blob.substr(0, 1));
  EXPECT_EQ(Get(kAlice, path, {{"Range", "bytes=99999999-"}}).status, 416);
  for (const char* odd : {"bytes=5-3", "bytes=-5", "bytes=x-", "lines=1-", "bytes=1-2,4-5"}) {
    EXPECT_EQ(Get(kAlice, path, {{"Range", odd}}).text, blob) << odd;
  }
  const Incoming head = Send(kAlice, "HEAD", path);
  EXPECT_EQ(Find(head.headers, "Content-Length"), std::to_string(blob.size()));
}

TEST_F(RegistryHttpTest, PrivateAndAbsentAreAnsweredAlike) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  for (const uid_t stranger : {kBob, kAnonymousUid}) {
    for (const std::string& what :
         {std::string("manifests/v1"), "manifests/" + DigestOf(parts.manifest),
          "blobs/" + DigestOf(parts.layers[0]), std::string("tags/list")}) {
      const Incoming hidden = Get(stranger, "/v2/50001/spark/" + what);
      const Incoming absent = Get(stranger, "/v2/50001/none/" + what);
      const Incoming nobody = Get(stranger, "/v2/60000/new/" + what);
      EXPECT_EQ(hidden.status, 404) << what;
      EXPECT_EQ(hidden.text, absent.text) << what;
      EXPECT_EQ(nobody.status, 404) << what;
      EXPECT_EQ(nobody.text, absent.text) << what;
    }
    EXPECT_EQ(Get(stranger, "/v2/_catalog").text, R"({"repositories":[]})");
  }
  ASSERT_OK(Share(kAlice, "spark:v1", v1::PUBLIC));
  EXPECT_EQ(Pull(kAnonymousUid, "50001/spark", "v1").layers, parts.layers);
  ASSERT_OK(Share(kAlice, "spark:v1", v1::PRIVATE));
  EXPECT_EQ(Get(kBob, "/v2/50001/spark/blobs/" + DigestOf(parts.layers[0])).status, 404)
      << "what is open for others is asked for every time";
}

TEST_F(RegistryHttpTest, PullsAndPushesAreEventsOfWhoMadeThem) {
  ASSERT_OK(Share(kAlice, "spark:v1", v1::PUBLIC));
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  const std::string manifest = "/v2/50001/spark/manifests/" + DigestOf(parts.manifest);
  EXPECT_EQ(Get(kAlice, manifest).status, 200) << "a part of the same pull";
  const std::string alices = "50001 pull 50001/spark:v1 ok";
  ASSERT_THAT(Events(), ElementsAre(alices));
  EXPECT_THAT(details_[alices], HasSubstr("manifest " + DigestOf(parts.manifest)));
  EXPECT_THAT(details_[alices], HasSubstr("from 127.0.0.1, token "));

  // Looking at what there is takes nothing away.
  EXPECT_EQ(Send(kAnonymousUid, "HEAD", "/v2/50001/spark/manifests/v1").status, 200);
  EXPECT_EQ(Get(kAnonymousUid, "/v2/50001/spark/tags/list").status, 200);
  EXPECT_EQ(Events().size(), 1u);
  // Who knows a digest can do without the manifest.
  EXPECT_EQ(Get(kAnonymousUid, "/v2/50001/spark/blobs/" + DigestOf(parts.layers[0])).status, 200);
  ASSERT_EQ(Events().size(), 2u);
  EXPECT_EQ(Events()[1], "(nobody) pull 50001/spark:v1 ok");

  ASSERT_OK(Share(kAlice, "spark:v1", v1::PRIVATE));
  EXPECT_EQ(Get(kBob, "/v2/50001/spark/manifests/v1").status, 404);
  EXPECT_EQ(Get(kAnonymousUid, "/v2/50001/spark/manifests/v1").status, 404);
  Upload(kAlice, "50001/new", parts.config);
  Upload(kAlice, "50001/new", parts.layers[0]);
  EXPECT_EQ(PutManifest(kAlice, "/v2/50001/new/manifests/v1", parts.manifest), 201);
  EXPECT_EQ(Send(kAlice, "DELETE", "/v2/50001/new/manifests/v1").status, 202);
  auto lines = Events();
  lines.erase(lines.begin(), lines.begin() + 2);
  EXPECT_THAT(lines, ElementsAre("50002 pull 50001/spark:v1 not found",
                                 "50001 push 50001/new:v1 ok", "50001 delete 50001/new:v1 ok"));
}

TEST_F(RegistryHttpTest, TagsAndRepositoriesComeInPages) {
  for (const char* tag : {"b", "a", "c"}) {
    v1::TagRequest request;
    request.set_reference("spark:v1");
    request.set_new_reference(std::string("spark:") + tag);
    ASSERT_TRUE(repository_->Tag(kAlice, request).ok());
  }
  EXPECT_EQ(json::parse(Get(kAlice, "/v2/50001/spark/tags/list").text).at("tags"),
            (json{"a", "b", "c", "v1"}));
  const Incoming page = Get(kAlice, "/v2/50001/spark/tags/list?n=2&last=a");
  EXPECT_EQ(json::parse(page.text).at("tags"), (json{"b", "c"}));
  EXPECT_EQ(Find(page.headers, "Link"), "</v2/50001/spark/tags/list?n=2&last=c>; rel=\"next\"");
  EXPECT_EQ(Find(Get(kAlice, "/v2/50001/spark/tags/list?n=2&last=b").headers, "Link"), "");
  EXPECT_EQ(Get(kAlice, "/v2/50001/spark/tags/list?n=x").status, 400);
  EXPECT_EQ(Get(kAlice, "/v2/_catalog").text, R"({"repositories":["50001/spark"]})");
}

TEST_F(RegistryHttpTest, APushOfPiecesBecomesAnImage) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  const std::string& layer = parts.layers[0];
  EXPECT_EQ(Upload(kAlice, "50001/new", parts.config), 201);
  const std::string at = StartUpload(kAlice, "50001/new");
  EXPECT_EQ(Send(kAlice, "PATCH", at, layer.substr(0, 50), {{"Content-Range", "0-49"}}).status,
            202);
  EXPECT_EQ(Send(kAlice, "PATCH", at, layer.substr(90), {{"Content-Range", "90-99"}}).status, 416);
  const Incoming status = Get(kAlice, at);
  EXPECT_EQ(status.status, 204);
  EXPECT_EQ(Find(status.headers, "Range"), "0-49");
  EXPECT_EQ(Send(kBob, "PATCH", at, "x").status, 403);

  // Nothing is there before the manifest, and no manifest before all blobs.
  std::string code;
  const std::string path = "/v2/50001/new/manifests/v1";
  EXPECT_EQ(PutManifest(kAlice, path, parts.manifest, oci::kOciManifestType, &code), 400);
  EXPECT_EQ(code, "MANIFEST_BLOB_UNKNOWN");
  EXPECT_EQ(Send(kAlice, "PUT", at + "?digest=" + DigestOf(layer), layer.substr(50)).status, 201);
  EXPECT_EQ(Get(kAlice, "/v2/50001/new/blobs/" + DigestOf(layer)).text, layer);
  EXPECT_EQ(Get(kAlice, path).status, 404);
  EXPECT_EQ(PutManifest(kAlice, path, parts.manifest), 201);
  const auto pushed = repository_->images().Find(kAlice, "new:v1");
  ASSERT_OK(pushed);
  EXPECT_EQ(pushed->visibility(), v1::PRIVATE);
  EXPECT_EQ(pushed->layers(0).digest(),
            repository_->images().Find(kAlice, "spark:v1")->layers(0).digest());
  EXPECT_EQ(Pull(kAlice, "50001/new", "v1").layers, parts.layers);
  EXPECT_EQ(PutManifest(kAlice, path, parts.manifest), 201) << "again";
}

TEST_F(RegistryHttpTest, WrongDigestsAndWrongManifestsMakeNothing) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  const std::string wrong = DigestOf("another");
  const std::string upload = StartUpload(kAlice, "50001/new");
  EXPECT_EQ(CodeOf(Send(kAlice, "PUT", upload + "?digest=" + wrong, "content")), "DIGEST_INVALID");
  EXPECT_EQ(Get(kAlice, upload).status, 404) << "the upload is gone";
  EXPECT_EQ(Send(kAlice, "PUT", StartUpload(kAlice, "50001/new") + "?digest=md5:x", "c").status,
            400);
  EXPECT_EQ(Get(kAlice, "/v2/50001/new/blobs/" + wrong).status, 404);
  Upload(kAlice, "50001/new", parts.config);
  for (const std::string& layer : parts.layers) Upload(kAlice, "50001/new", layer);
  const std::string at = "/v2/50001/new/manifests/";
  EXPECT_EQ(PutManifest(kAlice, at + wrong, parts.manifest), 400);
  EXPECT_EQ(PutManifest(kAlice, at + "v1", parts.manifest, "text/plain"), 415);
  EXPECT_EQ(PutManifest(kAlice, at + "v1", "{}"), 400);
  EXPECT_EQ(PutManifest(kAlice, at + "v1", parts.manifest.substr(1)), 400);
  EXPECT_EQ(PutManifest(kAlice, at + "v1", std::string(5u << 20, '[')), 413);
  EXPECT_EQ(PutManifest(kAlice, at + ".x", parts.manifest), 400);
  // A layer that has its digest and is no archive.
  const std::string garbage(5000, 'g');
  Upload(kAlice, "50001/new", garbage);
  json manifest = json::parse(parts.manifest);
  manifest["layers"][0]["digest"] = DigestOf(garbage);
  manifest["layers"][0]["size"] = garbage.size();
  EXPECT_EQ(PutManifest(kAlice, at + "v1", manifest.dump()), 400);
  EXPECT_EQ(repository_->images().Find(kAlice, "new:v1").error().code(), Code::kNotFound);
}

TEST_F(RegistryHttpTest, APlatformsImageIsTakenFromAnIndex) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  Upload(kAlice, "50001/new", parts.config);
  Upload(kAlice, "50001/new", parts.layers[0]);
  const std::string digest = DigestOf(parts.manifest);
  EXPECT_EQ(PutManifest(kAlice, "/v2/50001/new/manifests/" + digest, parts.manifest), 201);
  EXPECT_EQ(Get(kAlice, "/v2/50001/new/manifests/" + digest).text, parts.manifest);
  EXPECT_EQ(Get(kAlice, "/v2/50001/new/tags/list").status, 404) << "no tag, no image";
  oci::Index index;
  index.media_type = oci::kOciIndexType;
  oci::Descriptor entry;
  entry.media_type = oci::kOciManifestType;
  entry.digest = Sha256Hasher::Of(parts.manifest);
  entry.size = parts.manifest.size();
  entry.platform = oci::HostPlatform();
  index.manifests = {entry};
  EXPECT_EQ(PutManifest(kAlice, "/v2/50001/new/manifests/all", oci::PrintIndex(index),
                        oci::kOciIndexType),
            201);
  EXPECT_TRUE(repository_->images().Find(kAlice, "new:all").ok());
}

TEST_F(RegistryHttpTest, WhoAsksForWhatWasPushedIsToldWhatBecameOfIt) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  Upload(kAlice, "50001/new", parts.config);
  Upload(kAlice, "50001/new", parts.layers[0]);
  const std::string pushed = parts.manifest + "\n";  // As another tool writes it.
  EXPECT_EQ(PutManifest(kAlice, "/v2/50001/new/manifests/v1", pushed), 201);
  const std::string path = "/v2/50001/new/manifests/" + DigestOf(pushed);
  EXPECT_EQ(Get(kAlice, path).text, pushed) << "for some minutes";
  Serve();  // The uploads are gone.
  const Incoming told = Get(kAlice, path);
  EXPECT_EQ(told.status, 404);
  EXPECT_THAT(told.text, HasSubstr("50001/new:v1"));
  EXPECT_EQ(Get(kBob, path).text, Get(kBob, "/v2/50001/none/manifests/" + DigestOf("x")).text);
  const std::string digest =
      std::string(Find(Get(kAlice, "/v2/50001/new/manifests/v1").headers, "Docker-Content-Digest"));
  EXPECT_EQ(Get(kAlice, "/v2/50001/new/manifests/" + digest).status, 200);
}

TEST_F(RegistryHttpTest, NothingRefersToAnything) {
  const std::string path = "/v2/50001/spark/referrers/" + DigestOf("x");
  const Incoming answer = Get(kBob, path + "?artifactType=a/b");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(Find(answer.headers, "Content-Type"), oci::kOciIndexType);
  EXPECT_EQ(Find(answer.headers, "OCI-Filters-Applied"), "artifactType");
  EXPECT_EQ(json::parse(answer.text).at("manifests"), json::array());
  EXPECT_EQ(json::parse(answer.text).at("schemaVersion"), 2);
  EXPECT_EQ(Get(kBob, "/v2/50001/none/referrers/" + DigestOf("x")).text, answer.text);
  EXPECT_EQ(Get(kBob, "/v2/50001/spark/referrers/sha256:x").status, 400);
  EXPECT_EQ(Send(kAlice, "DELETE", path).status, 405);
}

TEST_F(RegistryHttpTest, AnUploadThatIsRefusedAtItsStartLeavesNoneOpen) {
  for (size_t i = 0; i <= kUploadsPerUserMax; ++i) {
    EXPECT_EQ(Send(kAlice, "POST", "/v2/50001/new/blobs/uploads/?digest=sha512:x", "b").status,
              400);
  }
  for (size_t i = 0; i <= kUploadsPerUserMax; ++i) {
    const std::string at = StartUpload(kAlice, "50001/new");
    EXPECT_EQ(Send(kAlice, "PUT", at + "?digest=sha512:x", "b").status, 400);
  }
  EXPECT_EQ(Upload(kAlice, "50001/new", "blob"), 201);
}

TEST_F(RegistryHttpTest, AManifestThatWaitsIsDeleted) {
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  Upload(kAlice, "50001/new", parts.config);
  Upload(kAlice, "50001/new", parts.layers[0]);
  const std::string pushed = parts.manifest + "\n";
  const std::string path = "/v2/50001/new/manifests/" + DigestOf(pushed);
  EXPECT_EQ(PutManifest(kAlice, path, pushed), 201);
  EXPECT_EQ(Send(kAlice, "DELETE", path).status, 202);
  EXPECT_EQ(Get(kAlice, path).status, 404);
  EXPECT_EQ(Send(kAlice, "DELETE", path).status, 404);
}

TEST_F(RegistryHttpTest, ACertificateIsRenewedWithItsFiles) {
  const auto write = [&](const std::string& name) {
    const pki::Time now = std::chrono::system_clock::now();
    auto authority = pki::Authority::Create(now);
    auto key = pki::PrivateKey::Generate();
    auto request = pki::ParseRequest(*pki::MakeRequest(*key, "localhost"));
    const std::string ca = directory_->path() + "/" + name;
    EXPECT_TRUE(WriteFileAtomically(ca, authority->certificate().ToPem()).ok());
    EXPECT_TRUE(WriteFileAtomically(directory_->path() + "/server.pem",
                                    authority->SignHost(*request, now)->ToPem() + *key->ToPem())
                    .ok());
    return ca;
  };
  const auto status_with = [&](const std::string& ca) -> int {
    http::ClientOptions options;
    options.ca_file = ca;
    const auto client = std::move(*http::Client::Create(options));
    http::Outgoing request;
    request.url = "https://localhost:" + std::to_string(listener_->port()) + "/v2/";
    const auto answer = client->Perform(request, nullptr, cancel_);
    return answer.ok() ? answer->status : 0;
  };
  const std::string first = write("first");
  RegistryOptions options;
  options.address = "127.0.0.1:0";
  options.cache_directory = directory_->path() + "/tls-cache";
  listener_.reset();
  listener_ = std::move(*RegistryListener::Start(options, directory_->path() + "/server.pem",
                                                 repository_.get(), book_.get()));
  EXPECT_EQ(status_with(first), 401);
  EXPECT_FALSE(*listener_->RenewCertificate()) << "it is the same";
  ASSERT_TRUE(WriteFileAtomically(directory_->path() + "/server.pem", "half of it").ok());
  EXPECT_FALSE(listener_->RenewCertificate().ok());
  EXPECT_EQ(status_with(first), 401);
  const std::string second = write("second");
  EXPECT_TRUE(*listener_->RenewCertificate());
  EXPECT_EQ(status_with(second), 401);
  EXPECT_EQ(status_with(first), 0);
}

TEST_F(RegistryHttpTest, BlobsAreMountedFromOwnUploadsOnly) {
  ASSERT_EQ(Upload(kAlice, "50001/new", "content"), 201);
  const std::string query = "?mount=" + DigestOf("content") + "&from=50001/new";
  EXPECT_EQ(Send(kAlice, "POST", "/v2/50001/spark/blobs/uploads/" + query).status, 201);
  EXPECT_EQ(Get(kAlice, "/v2/50001/spark/blobs/" + DigestOf("content")).text, "content");
  StartUpload(kBob, "50002/new", query);  // 202: to be uploaded.
  EXPECT_EQ(Get(kBob, "/v2/50002/new/blobs/" + DigestOf("content")).status, 404);
}

TEST_F(RegistryHttpTest, NobodyPushesToOrDeletesFromAnother) {
  for (const uid_t stranger : {kBob}) {
    const Incoming existing = Send(stranger, "POST", "/v2/50001/spark/blobs/uploads/");
    EXPECT_EQ(existing.status, 403);
    EXPECT_EQ(Send(stranger, "POST", "/v2/60000/new/blobs/uploads/").text, existing.text);
    EXPECT_EQ(Send(stranger, "PUT", "/v2/50001/spark/manifests/v1", "{}").status, 403);
    EXPECT_EQ(Send(stranger, "DELETE", "/v2/50001/spark/manifests/v1").status, 403);
  }
  EXPECT_EQ(Send(kAnonymousUid, "POST", "/v2/50001/spark/blobs/uploads/").status, 401);
  EXPECT_TRUE(repository_->images().Find(kAlice, "spark:v1").ok());
  EXPECT_EQ(Send(kAlice, "DELETE", "/v2/50001/spark/manifests/none").status, 404);
  const Parts parts = Pull(kAlice, "50001/spark", "v1");
  EXPECT_EQ(Send(kAlice, "DELETE", "/v2/50001/spark/manifests/" + DigestOf(parts.manifest)).status,
            202);
  EXPECT_EQ(repository_->images().Find(kAlice, "spark:v1").error().code(), Code::kNotFound);
}

TEST_F(RegistryHttpTest, AddressesLeadNowhereElse) {
  for (const char* path : {"/v2/50001/..%2f..%2fetc/manifests/v1", "/v2/../../etc/passwd",
                           "/v2/50001/%2e%2e/tags/list", "/etc/passwd",
                           "/v2/50001/spark/blobs/uploads/..%2f..%2fx", "/v2/a/b/c/d/e/f/g"}) {
    EXPECT_GE(Get(kAlice, path).status, 400) << path;
  }
  EXPECT_EQ(Get(kAlice, "/v2/50001/spark/blobs/sha256:../../x").status, 400);
  EXPECT_EQ(Get(kAlice, "/v2/50001/spark/blobs/uploads/none").status, 404);
  EXPECT_EQ(Send(kAlice, "POST", "/v2/50001/spark/manifests/v1").status, 405);
  EXPECT_EQ(Send(kAlice, "DELETE", "/v2/50001/spark/blobs/" + DigestOf("x")).status, 405);
}

TEST_F(RegistryHttpTest, AnUploadBeyondTheQuotaIsRefusedAndLeavesNothing) {
  v1::SetQuotaRequest quota;
  quota.set_subject("user:50002");
  quota.set_limit_bytes(100'000);
  ASSERT_OK(repository_->usage().SetQuota(0, quota));
  const std::string blob(300'000, 'q');
  const Incoming refused =
      Send(kBob, "PUT", StartUpload(kBob, "50002/new") + "?digest=" + DigestOf(blob), blob);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(CodeOf(refused), "DENIED");
  EXPECT_EQ(Get(kBob, "/v2/50002/new/blobs/" + DigestOf(blob)).status, 404);
}

}  // namespace
}  // namespace strata::imaged
