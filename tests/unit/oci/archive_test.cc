// Archives of images as others write them, and as nobody should.
#include "imaged/oci/archive_import.h"
#include "imaged/oci/image_archive.h"
#include "imaged/oci/image_selection.h"
#include "tests/unit/oci/oci_fixture.h"

namespace strata::imaged::oci {
namespace {

using testing::HasSubstr;

class ImageArchiveTest : public OciImageTest {
 protected:
  Member BlobFile(const Descriptor& blob) {
    return {"blobs/sha256/" + blob.digest.Hex(), S_IFREG | 0644, source_.blobs[blob.digest]};
  }
  std::vector<Member> BlobFiles(const MadeImage& image) {
    std::vector<Member> files = {BlobFile(image.descriptor), BlobFile(image.manifest.config)};
    for (const Descriptor& layer : image.manifest.layers) files.push_back(BlobFile(layer));
    return files;
  }
  static Member IndexFile(const std::vector<std::pair<std::string, Descriptor>>& images) {
    Index index;
    index.media_type = kOciIndexType;
    for (auto [name, descriptor] : images) {
      if (!name.empty()) descriptor.annotations[kRefNameAnnotation] = name;
      index.manifests.push_back(std::move(descriptor));
    }
    return {"index.json", S_IFREG | 0644, PrintIndex(index)};
  }
  static Member Mark() { return {"oci-layout", S_IFREG | 0644, PrintLayoutMark()}; }
  MadeImage ImageOf(const std::string& file, Compression compression = Compression::kNone) {
    return MakeImage(&source_, {TarOf({{file, S_IFREG | 0644, "content of " + file}})},
                     compression);
  }

  Result<v1::ImportResult> ImportTarOf(std::vector<Member> members,
                                       const std::function<void(v1::ImportOptions*)>& more = {},
                                       Compression compression = Compression::kNone) {
    std::string bytes = TarOf(members);
    if (compression != Compression::kNone) bytes = *CompressBlock(compression, bytes);
    return ImportBytes(bytes, more);
  }
  Result<v1::ImportResult> ImportBytes(const std::string& bytes,
                                       const std::function<void(v1::ImportOptions*)>& more = {}) {
    v1::ImportOptions options;
    options.set_reference("image");
    options.set_replace(true);
    if (more) more(&options);
    return ImportArchive(*repository_, kAlice, options, imaged::SourceOf(bytes), cancel_, {});
  }
  // The refusal's message after its code was compared.
  std::string Refusal(Code code, const Result<v1::ImportResult>& imported) {
    EXPECT_FALSE(imported.ok());
    if (imported.ok()) return "";
    EXPECT_EQ(imported.error().code(), code) << imported.error().message();
    EXPECT_TRUE(Names(kAlice, true).empty());
    EXPECT_EQ(CountFiles(Store("staging")), 0u);
    return imported.error().message();
  }
};

TEST_F(ImageArchiveTest, ALayoutMayComeInAnyOrderAndCompressed) {
  const MadeImage image = ImageOf("a", Compression::kGzip);
  std::vector<Member> first = BlobFiles(image);
  std::vector<Member> last = first;
  first.insert(first.begin(), {Mark(), IndexFile({{"", image.descriptor}})});
  last.insert(last.end(), {IndexFile({{"", image.descriptor}}), Mark()});
  for (const auto& members : {first, last}) {
    for (const Compression compression :
         {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
      ASSERT_OK(ImportTarOf(members, {}, compression));
      EXPECT_THAT(TreeText(TreeOf(kAlice, "image")), HasSubstr("/a 100644"));
    }
  }
}

TEST_F(ImageArchiveTest, OneOfSeveralIsNamedByItsReference) {
  const MadeImage one = ImageOf("file-one");
  const MadeImage two = ImageOf("file-two");
  std::vector<Member> members = BlobFiles(one);
  for (const Member& file : BlobFiles(two)) members.push_back(file);
  members.push_back(
      IndexFile({{"localhost/one:latest", one.descriptor}, {"two:1", two.descriptor}}));
  members.push_back(Mark());
  const auto with = [](const std::string& reference) {
    return [reference](v1::ImportOptions* options) { options->set_archive_reference(reference); };
  };
  EXPECT_THAT(Refusal(Code::kInvalidArgument, ImportTarOf(members)),
              HasSubstr("localhost/one:latest, two:1"));
  EXPECT_THAT(Refusal(Code::kNotFound, ImportTarOf(members, with("two"))),
              HasSubstr("localhost/one:latest, two:1"));
  for (const char* reference : {"localhost/one:latest", "one:latest", "one"}) {
    ASSERT_OK(ImportTarOf(members, with(reference)));
    EXPECT_THAT(TreeText(TreeOf(kAlice, "image")), HasSubstr("/file-one"));
  }
  ASSERT_OK(ImportTarOf(members, with("two:1")));
  EXPECT_THAT(TreeText(TreeOf(kAlice, "image")), HasSubstr("/file-two"));
}

TEST_F(ImageArchiveTest, ThePlatformIsChosen) {
  MadeImage ours = ImageOf("ours");
  MadeImage other = ImageOf("other");
  other.config.platform = {"linux", "s390x", ""};
  other.manifest.config = source_.Put(kOciConfigType, PrintImageConfig(other.config));
  other.descriptor = source_.Put(kOciManifestType, PrintManifest(other.manifest));
  other.descriptor.platform = other.config.platform;
  ours.descriptor.platform = HostPlatform();
  Descriptor attestation = source_.Put(kOciManifestType, "{}");
  attestation.platform = HostPlatform();
  attestation.annotations["vnd.docker.reference.type"] = "attestation-manifest";
  Index nested;
  nested.media_type = kOciIndexType;
  nested.manifests = {attestation, other.descriptor, ours.descriptor};
  const Descriptor index = source_.Put(kOciIndexType, PrintIndex(nested));
  std::vector<Member> members = BlobFiles(ours);
  for (const Member& file : BlobFiles(other)) {
    if (file.path != members.back().path) members.push_back(file);
  }
  members.push_back(BlobFile(index));
  members.push_back(Mark());
  // As one index in another, and flat.
  for (const auto& entries : std::vector<std::vector<std::pair<std::string, Descriptor>>>{
           {{"image:1", index}}, {{"", other.descriptor}, {"", ours.descriptor}}}) {
    std::vector<Member> with_index = members;
    with_index.push_back(IndexFile(entries));
    ASSERT_OK(ImportTarOf(with_index));
    EXPECT_THAT(TreeText(TreeOf(kAlice, "image")), HasSubstr("/ours"));
    ASSERT_OK(ImportTarOf(
        with_index, [](v1::ImportOptions* options) { options->set_platform("linux/s390x"); }));
    EXPECT_THAT(TreeText(TreeOf(kAlice, "image")), HasSubstr("/other"));
    ASSERT_OK(Delete(kAlice, "image"));
    EXPECT_THAT(Refusal(Code::kNotFound, ImportTarOf(with_index,
                                                     [](v1::ImportOptions* options) {
                                                       options->set_platform("linux/riscv64");
                                                     })),
                HasSubstr("linux/s390x"));
  }
}

TEST_F(ImageArchiveTest, DockerArchivesOldAndNew) {
  const MadeImage image = MakeImage(&source_, {TarOf({{"a"}}), TarOf({{"b"}})});
  const std::string config = PrintImageConfig(image.config);
  const std::string folder(64, 'f');
  const auto layer = [&](int i) { return source_.blobs[image.manifest.layers[i].digest]; };
  const auto manifest = [](const std::vector<std::string>& layers) {
    return Member{"manifest.json", S_IFREG | 0644,
                  PrintDockerArchive({{"config.json", {"a:1"}, layers}})};
  };
  const std::vector<Member> old = {
      Directory(folder),
      {folder + "/VERSION", S_IFREG | 0644, "1.0"},
      {folder + "/layer.tar", S_IFREG | 0644, layer(0)},
      {std::string(64, 'e') + ".tar", S_IFREG | 0644, *CompressBlock(Compression::kGzip, layer(1))},
      {"linked/layer.tar", S_IFLNK | 0777, "", "../" + std::string(64, 'e') + ".tar"},
      {"config.json", S_IFREG | 0644, config},
      {"repositories", S_IFREG | 0644, "{}"},
      manifest({folder + "/layer.tar", "linked/layer.tar"})};
  const auto as_docker = [](v1::ImportOptions* options) {
    options->set_format(v1::ARCHIVE_DOCKER);
  };
  ASSERT_OK(ImportTarOf(old, as_docker));
  const std::string text = TreeText(TreeOf(kAlice, "image"));
  EXPECT_THAT(text, HasSubstr("/a 100644"));
  EXPECT_THAT(text, HasSubstr("/b 100644"));
  // Docker 25 has both: OCI's index is taken unless manifest.json is asked for.
  std::vector<Member> both = BlobFiles(image);
  const auto path = [](const Descriptor& blob) { return "blobs/sha256/" + blob.digest.Hex(); };
  both.insert(
      both.end(),
      {Mark(),
       IndexFile({{"latest", image.descriptor}}),
       {"manifest.json", S_IFREG | 0644,
        PrintDockerArchive({{path(image.manifest.config),
                             {"a:1"},
                             {path(image.manifest.layers[0]), path(image.manifest.layers[1])}}})}});
  ASSERT_OK(ImportTarOf(both));
  const std::string digest = repository_->Show(kAlice, "image")->image().digest();
  ASSERT_OK(ImportTarOf(both, as_docker));
  EXPECT_EQ(repository_->Show(kAlice, "image")->image().digest(), digest);
}

TEST_F(ImageArchiveTest, HostileArchivesAreRefused) {
  const MadeImage image = ImageOf("a");
  const std::vector<Member> blobs = BlobFiles(image);
  const auto with = [&](std::vector<Member> more) {
    std::vector<Member> members = blobs;
    members.insert(members.end(), more.begin(), more.end());
    return members;
  };
  const Member index = IndexFile({{"", image.descriptor}});
  const auto as_oci = [](v1::ImportOptions* options) { options->set_format(v1::ARCHIVE_OCI); };
  EXPECT_THAT(Refusal(Code::kInvalidArgument, ImportTarOf(with({Mark()}))),
              HasSubstr("index.json"));
  EXPECT_THAT(Refusal(Code::kInvalidArgument, ImportTarOf(with({Mark(), index, index}))),
              HasSubstr("index.json: it is in the archive twice"));
  EXPECT_THAT(Refusal(Code::kInvalidArgument, ImportTarOf(with({Mark(), index, blobs[0]}))),
              HasSubstr("twice"));
  EXPECT_THAT(Refusal(Code::kInvalidArgument,
                      ImportTarOf(with({Mark(), index, {"blobs/sha256/../../x"}}), as_oci)),
              HasSubstr("'..'"));
  EXPECT_THAT(Refusal(Code::kInvalidArgument, ImportTarOf({Mark(), IndexFile({})}, as_oci)),
              HasSubstr("has no image"));
  std::vector<Member> without_layer(blobs.begin(), blobs.end() - 1);
  without_layer.insert(without_layer.end(), {Mark(), index});
  EXPECT_THAT(
      Refusal(Code::kNotFound, ImportTarOf(without_layer)),
      HasSubstr("the archive has no file blobs/sha256/" + image.manifest.layers[0].digest.Hex()));
  std::vector<Member> changed = with({Mark(), index});
  changed[2].content[100] ^= 1;
  EXPECT_THAT(Refusal(Code::kCorrupt, ImportTarOf(changed)), HasSubstr("layer 1 of 1"));
  // A link to a file of this host, and one in a circle.
  std::vector<Member> linked(blobs.begin(), blobs.end() - 1);
  linked.insert(linked.end(), {Mark(), index});
  for (const char* target : {"/etc/passwd", "../../../../etc/passwd", "blobs/../x"}) {
    std::vector<Member> members = linked;
    members.push_back({blobs[2].path, S_IFLNK | 0777, "", target});
    Refusal(Code::kNotFound, ImportTarOf(members));
  }
  std::vector<Member> circle = linked;
  circle.push_back({blobs[2].path, S_IFLNK | 0777, "", "other"});
  circle.push_back(
      {"blobs/sha256/other", S_IFLNK | 0777, "", image.manifest.layers[0].digest.Hex()});
  Refusal(Code::kNotFound, ImportTarOf(circle, as_oci));
  const std::string whole = TarOf(with({Mark(), index}));
  Refusal(Code::kCorrupt, ImportBytes(whole.substr(0, whole.size() - 3000)));
}

TEST_F(ImageArchiveTest, StagingIsBoundByTheOwnersLimit) {
  v1::SetQuotaRequest quota;
  quota.set_subject("user:" + std::to_string(kAlice));
  quota.set_limit_bytes(50'000);
  ASSERT_OK(repository_->usage().SetQuota(0, quota));
  const MadeImage image =
      MakeImage(&source_, {TarOf({{"a", S_IFREG | 0644, std::string(100'000, 'x')}})});
  std::vector<Member> members = BlobFiles(image);
  members.insert(members.end(), {Mark(), IndexFile({{"", image.descriptor}})});
  EXPECT_THAT(Refusal(Code::kResourceExhausted, ImportTarOf(members)), HasSubstr("no room"));
}

TEST_F(ImageArchiveTest, ATarOfFilesStaysOne) {
  const std::vector<Member> web = {{"manifest.json", S_IFREG | 0644, "[]"}, {"index.html"}};
  ASSERT_OK(ImportTarOf(web));
  EXPECT_THAT(TreeText(TreeOf(kAlice, "image")), HasSubstr("/manifest.json"));
  const MadeImage image = ImageOf("a");
  std::vector<Member> layout = BlobFiles(image);
  layout.insert(layout.end(), {Mark(), IndexFile({{"", image.descriptor}})});
  ASSERT_OK(ImportTarOf(layout, [](auto* options) { options->set_format(v1::ARCHIVE_TAR); }));
  EXPECT_THAT(TreeText(TreeOf(kAlice, "image")), HasSubstr("/oci-layout"));
  ASSERT_OK(Delete(kAlice, "image"));
  EXPECT_THAT(Refusal(Code::kInvalidArgument,
                      ImportTarOf(web, [](auto* options) { options->set_platform("linux/a"); })),
              HasSubstr("--platform"));
}

TEST(LooksLikeImageArchive, NamesTell) {
  const std::string hex(64, 'a');
  const auto looks = [](const std::vector<std::string>& names) {
    std::vector<Member> members;
    for (const std::string& name : names) members.push_back({name, S_IFREG | 0644, "x"});
    return LooksLikeImageArchive(TarOf(members));
  };
  EXPECT_TRUE(looks({"blobs/sha256/" + hex}));
  EXPECT_TRUE(looks({"index.json", "oci-layout"}));
  EXPECT_TRUE(looks({hex + ".tar", hex + ".json", hex + "/VERSION"}));
  EXPECT_TRUE(looks({"./oci-layout"}));
  EXPECT_FALSE(looks({"blobs/sha256/" + hex, "etc/passwd"}));
  EXPECT_FALSE(looks({"manifest.json"}));
  EXPECT_FALSE(looks({"blobs/x", "oci-layout"}));
  EXPECT_FALSE(looks({"bin/sh"}));
  EXPECT_FALSE(LooksLikeImageArchive(""));
  EXPECT_FALSE(LooksLikeImageArchive("\x1f\x8b"));
}

}  // namespace
}  // namespace strata::imaged::oci
