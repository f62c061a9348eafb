// Addresses of the registry, and what tries to be one.
#include "imaged/registry/route.h"

#include <gtest/gtest.h>

namespace strata::imaged {
namespace {

using Kind = Route::Kind;

void ExpectRoute(const std::string& path, Kind kind, const std::string& repository,
                 const std::string& reference) {
  const auto route = ParseRoute(path);
  ASSERT_TRUE(route) << path;
  EXPECT_EQ(route->kind, kind) << path;
  EXPECT_EQ(route->repository, repository) << path;
  EXPECT_EQ(route->reference, reference) << path;
}

TEST(Routes, AreThoseOfTheSpecification) {
  ExpectRoute("/v2/", Kind::kBase, "", "");
  ExpectRoute("/v2", Kind::kBase, "", "");
  ExpectRoute("/v2/token", Kind::kToken, "", "");
  ExpectRoute("/v2/_catalog", Kind::kCatalog, "", "");
  ExpectRoute("/v2/a/b/tags/list", Kind::kTags, "a/b", "list");
  ExpectRoute("/v2/a/b/manifests/v1.0", Kind::kManifest, "a/b", "v1.0");
  ExpectRoute("/v2/a/b/manifests/sha256%3Aab", Kind::kManifest, "a/b", "sha256:ab");
  ExpectRoute("/v2/a/b/blobs/sha256:ab", Kind::kBlob, "a/b", "sha256:ab");
  ExpectRoute("/v2/a/b/blobs/uploads/", Kind::kUploads, "a/b", "");
  ExpectRoute("/v2/a/b/blobs/uploads", Kind::kUploads, "a/b", "uploads");
  ExpectRoute("/v2/a/b/blobs/uploads/id", Kind::kUpload, "a/b", "id");
  // Names that are words of the specification too.
  ExpectRoute("/v2/blobs/uploads/blobs/uploads/", Kind::kUploads, "blobs/uploads", "");
  ExpectRoute("/v2/tags/manifests/manifests/blobs", Kind::kManifest, "tags/manifests", "blobs");
}

TEST(Routes, NothingElseIsOne) {
  for (const char* path : {"",
                           "/",
                           "/v1/",
                           "/v2x",
                           "/v2/a",
                           "/v2/a/b",
                           "/v2/a/tags/list",
                           "/v2/a/b/c/tags/list",
                           "/v2/../b/tags/list",
                           "/v2/a/../tags/list",
                           "/v2/%2e%2e/b/tags/list",
                           "/v2/a%2Fb/c/tags/list",
                           "/v2/a/b/manifests/x%2Fy",
                           "/v2/a/b%00/tags/list",
                           "/v2/a/b%0/tags/list",
                           "/v2/a/.b/tags/list",
                           "/v2/a//tags/list",
                           "/v2//b/tags/list",
                           "/v2/a/b c/tags/list",
                           "/v2/a/b/tags/all",
                           "/v2/a/b/blobs/uploads/id/more",
                           "/v2/a/b\xc3\xa4/tags/list",
                           "/v2/a/b/what/x"}) {
    EXPECT_FALSE(ParseRoute(path)) << path;
  }
  EXPECT_FALSE(ParseRoute("/v2/a/" + std::string(129, 'b') + "/tags/list"));
  EXPECT_FALSE(ParseRoute("/v2/a/b/manifests/" + std::string(5000, 'x')));
}

}  // namespace
}  // namespace strata::imaged
