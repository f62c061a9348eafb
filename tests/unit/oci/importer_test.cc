#include <thread>

#include "imaged/oci/image_importer.h"
#include "tests/unit/oci/oci_fixture.h"

namespace strata::imaged::oci {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kBig(70'000, 'b');

TEST_F(OciImageTest, LayersRemoveWhatIsBelowThem) {
  const std::string text = FlattenedText({
      {Directory("etc"),
       {"etc/gone"},
       {"etc/kept"},
       Directory("old"),
       {"old/file"},
       Directory("opaque"),
       {"opaque/hidden"}},
      {Directory("etc"),
       {"etc/.wh.gone"},
       {".wh.old"},
       Directory("opaque"),
       {"opaque/.wh..wh..opq"},
       {"opaque/new"}},
  });
  EXPECT_THAT(text, HasSubstr("/etc/kept"));
  EXPECT_THAT(text, HasSubstr("/opaque/new"));
  EXPECT_THAT(text, Not(HasSubstr("gone")));
  EXPECT_THAT(text, Not(HasSubstr("old")));
  EXPECT_THAT(text, Not(HasSubstr("hidden")));
}

TEST_F(OciImageTest, AWhiteoutDoesNotRemoveWhatItsOwnLayerAdds) {
  for (const bool whiteout_first : {true, false}) {
    std::vector<Member> upper = {{"a"}, Directory("d"), {"d/new"}};
    const std::vector<Member> marks = {{".wh.a"}, {".wh.d"}};
    upper.insert(whiteout_first ? upper.begin() : upper.end(), marks.begin(), marks.end());
    const std::string text =
        FlattenedText({{{"a", S_IFREG | 0600, "lower"}, Directory("d"), {"d/lower"}}, upper});
    EXPECT_THAT(text, HasSubstr("/a 100644")) << whiteout_first;
    EXPECT_THAT(text, HasSubstr("/d/new")) << whiteout_first;
    EXPECT_THAT(text, Not(HasSubstr("/d/lower"))) << whiteout_first;
  }
}

TEST_F(OciImageTest, AnOpaqueMarkHidesWhereverItStands) {
  const std::vector<Member> lower = {
      Directory("d"), {"d/lower"}, Directory("d/sub"), {"d/sub/lower"}};
  for (const auto& upper :
       std::vector<std::vector<Member>>{{{"d/.wh..wh..opq"}, Directory("d"), {"d/new"}},
                                        {Directory("d"), {"d/new"}, {"d/.wh..wh..opq"}}}) {
    const std::string text = FlattenedText({lower, upper});
    EXPECT_THAT(text, HasSubstr("/d/new"));
    EXPECT_THAT(text, Not(HasSubstr("lower")));
    EXPECT_THAT(text, Not(HasSubstr("sub")));
  }
}

TEST_F(OciImageTest, AHardLinkMayNameAFileOfALowerLayer) {
  const std::string text = FlattenedText(
      {{{"file", S_IFREG | 0640, kBig, "", false, 7, 8}}, {HardLink("link", "file")}});
  EXPECT_THAT(text, HasSubstr("/file 100640 7:8"));
  EXPECT_THAT(text, HasSubstr("/link 100640 = /file"));
  source_ = {};
  const auto none = ImportOci(
      0, "none",
      MakeImage(&source_, {TarOf({{"file"}}), TarOf({{".wh.file"}, HardLink("link", "file")})}));
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message(), HasSubstr("layer 2 of 2: link: is a hard link to 'file'"));
}

TEST_F(OciImageTest, WhatALayerDoesNotNameKeepsItsAttributes) {
  Member root = Directory("", 01711);
  root.uid = 5;
  const std::string text = FlattenedText({{root, Directory("d", 0700)}, {{"d/file"}}});
  EXPECT_THAT(text, HasSubstr("/ 041711 5:0 @1600000000"));
  EXPECT_THAT(text, HasSubstr("/d 040700"));
}

TEST_F(OciImageTest, EveryCompressionGivesTheSameLayers) {
  const std::vector<std::string> tars = {TarOf({{"a", S_IFREG | 0644, kBig}}), TarOf({{"b"}})};
  std::string digest;
  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    SetUp();  // Nothing of the round before is known.
    source_ = {};
    const auto imported = ImportOci(kAlice, "a", MakeImage(&source_, tars, compression));
    ASSERT_OK(imported);
    if (digest.empty()) digest = imported->image().digest();
    EXPECT_EQ(imported->image().digest(), digest);
    ASSERT_EQ(imported->image().layers_size(), 2);
    EXPECT_EQ(imported->image().layers(0).history().creator_uid(), kAlice);
    EXPECT_EQ(imported->image().layers(0).history().origin(), "import");
  }
}

TEST_F(OciImageTest, TheConfigurationIsKeptAndWhatIsGivenComesOver) {
  MadeImage image = MakeImage(&source_, {TarOf({{"a"}})});
  const auto imported = ImportOci(kAlice, "a", image, [](ImageImport* import) {
    import->options.mutable_config()->add_env("B=other");
    import->options.mutable_config()->add_command("run");
    import->options.set_description("said");
  });
  ASSERT_OK(imported);
  const v1::ImageConfig& config = imported->image().config();
  EXPECT_THAT(config.env(), testing::ElementsAre("A=1", "B=other"));
  EXPECT_THAT(config.command(), testing::ElementsAre("run"));
  EXPECT_THAT(config.oci().cmd(), testing::ElementsAre("sh"));
  EXPECT_EQ(config.oci().history_size(), 2);
  EXPECT_EQ(config.oci().history(1).layer(), imported->image().layers(0).digest());
  EXPECT_EQ(imported->image().description(), "said");
}

TEST_F(OciImageTest, TheDigestCoversTheConfigurationAndIsAsBeforeWithoutOne) {
  v1::Image image;
  image.add_layers()->set_digest("l");
  image.mutable_config()->add_env("A=1");
  EXPECT_EQ(ImageDigest(image), Hasher::Of("strata image v1\n1:lcommand\nenv\n3:A=1"));
  const Digest plain = ImageDigest(image);
  image.mutable_config()->mutable_oci()->set_user("1000");
  const Digest with_user = ImageDigest(image);
  EXPECT_NE(with_user, plain);
  (*image.mutable_config()->mutable_oci()->mutable_labels())["a"] = "b";
  EXPECT_NE(ImageDigest(image), with_user);
}

TEST_F(OciImageTest, KnownLayersAreNotReadAgain) {
  const MadeImage image =
      MakeImage(&source_, {TarOf({{"a", S_IFREG | 0644, kBig}}), TarOf({{"b"}})});
  ASSERT_OK(ImportOci(kAlice, "one", image));
  // Another image on the first layer: only the new one is read.
  const MadeImage other =
      MakeImage(&source_, {TarOf({{"a", S_IFREG | 0644, kBig}}), TarOf({HardLink("c", "a")})});
  source_.reads.clear();
  const auto imported = ImportOci(kAlice, "two", other);
  ASSERT_OK(imported);
  EXPECT_EQ(source_.reads[other.manifest.layers[0].digest], 0);
  EXPECT_EQ(source_.reads[other.manifest.layers[1].digest], 1);
  EXPECT_THAT(TreeText(TreeOf(kAlice, "two")), HasSubstr("/c 100644 = /a"));
  // The same layer on others is another.
  const MadeImage swapped =
      MakeImage(&source_, {TarOf({{"b"}}), TarOf({{"a", S_IFREG | 0644, kBig}})});
  source_.reads.clear();
  ASSERT_OK(ImportOci(kAlice, "three", swapped));
  EXPECT_EQ(source_.reads[swapped.manifest.layers[1].digest], 1);
}

TEST_F(OciImageTest, LayersOfOthersCountOnceTheyAreShared) {
  const MadeImage image = MakeImage(&source_, {TarOf({{"a", S_IFREG | 0644, kBig}})});
  const Sha256Digest blob = image.manifest.layers[0].digest;
  ASSERT_OK(ImportOci(kAlice, "hers", image));
  const std::string bytes = source_.blobs[blob];
  source_.blobs.erase(blob);
  const auto refused = ImportOci(kBob, "his", image);
  ASSERT_FALSE(refused.ok()) << "a digest alone gave him her layer";
  EXPECT_EQ(refused.error().code(), Code::kNotFound);
  ASSERT_OK(Share(kAlice, "hers", v1::PUBLIC));
  const auto imported = ImportOci(kBob, "his", image);
  ASSERT_OK(imported);
  EXPECT_EQ(imported->summary().new_bytes(), 0u);
  EXPECT_EQ(imported->image().layers(0).history().creator_uid(), kAlice);
  // Root keeps what others must leave out, so theirs are not root's.
  source_.blobs[blob] = bytes;
  source_.reads.clear();
  ASSERT_OK(ImportOci(0, "roots", image));
  EXPECT_EQ(source_.reads[blob], 1);
}

TEST_F(OciImageTest, WhatIsKnownOfALayerGoesWithIt) {
  const MadeImage image = MakeImage(&source_, {TarOf({{"a", S_IFREG | 0644, kBig}})});
  ASSERT_OK(ImportOci(kAlice, "a", image));
  ASSERT_OK(OciImage::Open(*repository_, kAlice, "a", Compression::kGzip, cancel_, {}));
  EXPECT_EQ(CountFiles(Store("oci")), 2u);
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_EQ(CountFiles(Store("oci")), 2u);
  ASSERT_OK(Delete(kAlice, "a"));
  EXPECT_EQ(CountFiles(Store("oci")), 0u);
  source_.reads.clear();
  ASSERT_OK(ImportOci(kAlice, "a", image));
  EXPECT_EQ(source_.reads[image.manifest.layers[0].digest], 1);
}

struct Lie {
  const char* what;
  Code code;
  const char* says;
  std::function<void(FakeBlobSource*, MadeImage*, ImageImport*)> tell;
};

// Makes the manifest say it.
void Rewrite(FakeBlobSource* source, MadeImage* image, ImageImport* import) {
  image->manifest.config = source->Put(kOciConfigType, PrintImageConfig(image->config));
  import->manifest = source->Put(kOciManifestType, PrintManifest(image->manifest));
}

TEST_F(OciImageTest, LiesAreToldAndNothingIsMade) {
  const std::string tar = TarOf({{"a", S_IFREG | 0644, kBig}});
  const Lie lies[] = {
      {"other bytes", Code::kCorrupt, "what came has the digest",
       [](FakeBlobSource* source, MadeImage* image, ImageImport*) {
         source->blobs[image->manifest.layers[0].digest][1000] ^= 1;
       }},
      {"other bytes of the manifest", Code::kCorrupt, "manifest: ",
       [](FakeBlobSource* source, MadeImage* image, ImageImport*) {
         source->blobs[image->descriptor.digest][20] ^= 1;
       }},
      {"too short", Code::kCorrupt, "its descriptor says",
       [](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         image->manifest.layers[0].size += 1;
         Rewrite(source, image, import);
       }},
      {"too long", Code::kCorrupt, "longer than its descriptor says",
       [](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         image->manifest.layers[0].size -= 1;
         Rewrite(source, image, import);
       }},
      {"endless", Code::kCorrupt, "layer 1 of 1: ",
       [](FakeBlobSource* source, MadeImage* image, ImageImport*) {
         source->endless.insert(image->manifest.layers[0].digest);
       }},
      {"an endless configuration", Code::kCorrupt, "configuration: ",
       [](FakeBlobSource* source, MadeImage* image, ImageImport*) {
         source->endless.insert(image->manifest.config.digest);
       }},
      {"another diff_id", Code::kCorrupt, "the configuration names",
       [](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         image->config.diff_ids[0] = Sha256Hasher::Of("x");
         Rewrite(source, image, import);
       }},
      {"another diff_id, told behind half an end mark", Code::kCorrupt, "the configuration names",
       [&tar](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         image->manifest.layers[0] = source->Put(kOciLayerType, tar.substr(0, tar.size() - 512));
         image->config.diff_ids[0] = Sha256Hasher::Of("x");
         Rewrite(source, image, import);
       }},
      {"more diff_ids than layers", Code::kCorrupt, "the configuration names 2",
       [](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         image->config.diff_ids.push_back(Sha256Hasher::Of("x"));
         Rewrite(source, image, import);
       }},
      {"no blob", Code::kNotFound, "layer 1 of 1",
       [](FakeBlobSource* source, MadeImage* image, ImageImport*) {
         source->blobs.erase(image->manifest.layers[0].digest);
       }},
      {"another platform", Code::kFailedPrecondition, "linux/s390x",
       [](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         image->config.platform.architecture = "s390x";
         Rewrite(source, image, import);
       }},
      {"no layers", Code::kUnsupported, "no layers",
       [](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         image->config.diff_ids.clear();
         image->manifest.layers.clear();
         Rewrite(source, image, import);
       }},
      {"no tar", Code::kCorrupt, "not a tar archive",
       [](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         const std::string text(5000, 'x');
         image->manifest.layers[0] = source->Put(kOciLayerType, text);
         image->config.diff_ids[0] = Sha256Hasher::Of(text);
         Rewrite(source, image, import);
       }},
      {"a tar that is compressed twice", Code::kCorrupt, "not a tar archive",
       [&tar](FakeBlobSource* source, MadeImage* image, ImageImport* import) {
         const std::string once = *CompressBlock(Compression::kGzip, tar);
         const std::string twice = *CompressBlock(Compression::kGzip, once);
         image->manifest.layers[0] = source->Put(kOciLayerGzipType, twice);
         image->config.diff_ids[0] = Sha256Hasher::Of(once);
         Rewrite(source, image, import);
       }},
      {"a base", Code::kInvalidArgument, "brings all its layers",
       [](FakeBlobSource*, MadeImage*, ImageImport* import) { import->options.set_base("x"); }},
  };
  for (const Lie& lie : lies) {
    source_ = {};
    MadeImage image = MakeImage(&source_, {tar});
    const auto imported = ImportOci(
        kAlice, "lie", image, [&](ImageImport* import) { lie.tell(&source_, &image, import); });
    ASSERT_FALSE(imported.ok()) << lie.what;
    EXPECT_EQ(imported.error().code(), lie.code) << lie.what << ": " << imported.error().message();
    EXPECT_THAT(imported.error().message(), HasSubstr(lie.says)) << lie.what;
    EXPECT_TRUE(Names(kAlice, true).empty()) << lie.what;
    EXPECT_EQ(CountFiles(Store("staging")), 0u) << lie.what;
  }
}

TEST_F(OciImageTest, ABombIsNotUnpacked) {
  const std::string tar = TarOf({{"zeros", S_IFREG | 0644, std::string(80 << 20, '\0')}});
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    source_ = {};
    const MadeImage image = MakeImage(&source_, {tar}, compression);
    const auto by_ratio =
        ImportOci(kAlice, "bomb", image, [](ImageImport* import) { import->limits.ratio_max = 1; });
    ASSERT_FALSE(by_ratio.ok());
    EXPECT_EQ(by_ratio.error().code(), Code::kResourceExhausted);
    const auto by_size = ImportOci(kAlice, "bomb", image, [](ImageImport* import) {
      import->limits.uncompressed_bytes_max = 10 << 20;
    });
    ASSERT_FALSE(by_size.ok());
    EXPECT_EQ(by_size.error().code(), Code::kResourceExhausted);
  }
}

TEST_F(OciImageTest, AllLayersTogetherAreBoundByTheOwnersLimit) {
  v1::SetQuotaRequest quota;
  quota.set_subject("user:" + std::to_string(kAlice));
  quota.set_limit_bytes(100'000);
  ASSERT_OK(repository_->usage().SetQuota(0, quota));
  const MadeImage image =
      MakeImage(&source_, {TarOf({{"a", S_IFREG | 0644, kBig}}),
                           TarOf({{"b", S_IFREG | 0644, std::string(70'000, 'c')}})});
  const auto imported = ImportOci(kAlice, "a", image);
  ASSERT_FALSE(imported.ok());
  EXPECT_EQ(imported.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(imported.error().message(), HasSubstr("layer 2 of 2"));
}

TEST_F(OciImageTest, ACancelledImportEndsWhileItWaitsForItsSource) {
  MadeImage image = MakeImage(&source_, {TarOf({{"a", S_IFREG | 0644, kBig}})});
  class Waiting : public BlobSource {
   public:
    Waiting(BlobSource* rest, Sha256Digest blob, CancelToken* cancel)
        : rest_(rest), blob_(blob), cancel_(cancel) {}
    Status Read(const Descriptor& blob, const ByteSink& sink, const CancelToken& cancel) override {
      if (blob.digest != blob_) return rest_->Read(blob, sink, cancel);
      cancel_->Cancel();
      while (!cancel.cancelled()) std::this_thread::yield();
      return cancel.Check();
    }

   private:
    BlobSource* rest_;
    Sha256Digest blob_;
    CancelToken* cancel_;
  } waiting(&source_, image.manifest.layers[0].digest, &cancel_);
  ImageImport import;
  import.caller = kAlice;
  import.options.set_reference("a");
  import.manifest = image.descriptor;
  const auto imported = ImportImage(*repository_, import, waiting, cancel_, {});
  ASSERT_FALSE(imported.ok());
  EXPECT_EQ(imported.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace strata::imaged::oci
