// What is exported and imported again is the same to the byte, and so are two exports.
#include "imaged/oci/archive_export.h"
#include "imaged/oci/archive_import.h"
#include "imaged/oci/stored_config.h"
#include "tests/unit/oci/oci_fixture.h"

namespace strata::imaged::oci {
namespace {

using testing::HasSubstr;

constexpr uid_t kRoot = 0;

class RoundTripTest : public OciImageTest {
 protected:
  // Two layers with everything that a tree can hold.
  void MakeSample() {
    Member fine = {"fine", S_IFREG | 0640, "nanoseconds", "", false, 5'000'000, 4'000'000'000};
    fine.mtime_s = -2;
    fine.mtime_ns = 123'456'789;
    Member attributes = {"attributes", S_IFREG | 04755, std::string(600, 'a')};
    attributes.xattrs = {
        {"user.note", std::string("a\0b\n", 4)},
        {"security.capability", std::string("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)},
        {"trusted.overlay.opaque", "y"},
        {"user.a=b%c", ""}};
    Member device = {"disk", S_IFBLK | 0660};
    device.rdev = makedev(259, 70'000);
    Member with_acl = Directory("acl", 02750);
    // acl(5): user::rwx, user:1234:rwx, group::r-x, mask::rwx, other::---.
    with_acl.xattrs = {{"system.posix_acl_access",
                        std::string("\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\7\0\xd2\4\0\0\4\0\5\0\xff"
                                    "\xff\xff\xff\x10\0\7\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff"
                                    "\xff",
                                    44)}};
    with_acl.mode = S_IFDIR | 02770;
    std::string holes(5 << 20, '\0');
    holes[3 << 20] = 'x';
    const std::vector<Member> lower = {
        Directory("", 0711),
        fine,
        attributes,
        device,
        with_acl,
        Directory("gone"),
        {"gone/file"},
        Directory("opaque"),
        {"opaque/hidden"},
        {"holes", S_IFREG | 0644, holes},
        {"zeros", S_IFREG | 0644, std::string(3 << 20, '\0')},
        {"latin \xe9\xff", S_IFREG | 0644, "not utf-8"},
        {"link", S_IFLNK | 0777, "", std::string(300, 't')},
        {"fifo", S_IFIFO | 0622},
        {std::string(200, 'l') + "/" + std::string(200, 'o'), S_IFREG | 0600, "far"},
        {"file-then-directory"},
        HardLink("again", "attributes"),
    };
    const std::vector<Member> upper = {{".wh.gone"},
                                       Directory("opaque", 0700),
                                       {"opaque/.wh..wh..opq"},
                                       {"opaque/new", S_IFREG | 0644, std::string(2 << 20, 'n')},
                                       Directory("file-then-directory"),
                                       {"file-then-directory/in"},
                                       HardLink("of-lower", "again")};
    ASSERT_OK(ImportOci(kRoot, "sample", MakeImage(&source_, {TarOf(lower), TarOf(upper)})));
  }

  std::string Exported(v1::ArchiveFormat format, v1::LayerCompression compression,
                       const std::string& reference = "sample") {
    v1::ExportRequest request;
    request.set_reference(reference);
    request.set_format(format);
    request.set_compression(compression);
    std::string bytes;
    const Status exported = ExportArchive(*repository_, kRoot, request, Into(&bytes), cancel_, {});
    EXPECT_TRUE(exported.ok()) << exported.error().message();
    return bytes;
  }
  Result<v1::ImportResult> ImportBytes(const std::string& reference, const std::string& bytes) {
    v1::ImportOptions options;
    options.set_reference(reference);
    return ImportArchive(*repository_, kRoot, options, imaged::SourceOf(bytes), cancel_, {});
  }
};

TEST_F(RoundTripTest, EveryFormatGivesTheSameTreeAndConfiguration) {
  MakeSample();
  const Digest digest = FlattenedDigest(kRoot, "sample");
  int number = 0;
  for (const auto& [format, compression] :
       std::vector<std::pair<v1::ArchiveFormat, v1::LayerCompression>>{
           {v1::ARCHIVE_OCI, v1::LAYER_GZIP},
           {v1::ARCHIVE_OCI, v1::LAYER_ZSTD},
           {v1::ARCHIVE_OCI, v1::LAYER_PLAIN},
           {v1::ARCHIVE_DOCKER, v1::LAYER_COMPRESSION_UNSPECIFIED}}) {
    const std::string bytes = Exported(format, compression);
    // Nothing that the import of the round before left helps.
    ASSERT_OK(RemoveTree(Store("oci/chains")));
    ASSERT_OK(MakeDirectories(Store("oci/chains")));
    const std::string name = "back" + std::to_string(++number);
    const auto imported = ImportBytes(name, bytes);
    ASSERT_OK(imported);
    EXPECT_GT(imported->summary().bytes(), 1u << 20);
    EXPECT_TRUE(imported->summary().warnings().empty());
    EXPECT_EQ(FlattenedDigest(kRoot, name), digest) << TreeText(TreeOf(kRoot, name));
    const v1::ImageConfig& config = imported->image().config();
    EXPECT_THAT(config.env(), testing::ElementsAre("A=1", "B=two words"));
    EXPECT_THAT(config.oci().cmd(), testing::ElementsAre("sh"));
    EXPECT_EQ(config.oci().created(), "2024-01-02T03:04:05Z");
    ASSERT_EQ(config.oci().history_size(), 3);
    EXPECT_EQ(config.oci().history(0).created_by(), "ENV");
    // What was exported once comes out the same from what was imported from it.
    EXPECT_EQ(imported->image().layers_size(), 2);
    EXPECT_EQ(Exported(format, compression, name).size(), bytes.size());
  }
}

TEST_F(RoundTripTest, TwoExportsAreTheSameBytes) {
  MakeSample();
  const std::string first = Exported(v1::ARCHIVE_OCI, v1::LAYER_GZIP);   // Encodes and records.
  const std::string second = Exported(v1::ARCHIVE_OCI, v1::LAYER_GZIP);  // Encodes while it writes.
  EXPECT_TRUE(first == second);
  Reopen();
  EXPECT_TRUE(Exported(v1::ARCHIVE_OCI, v1::LAYER_GZIP) == first);
}

TEST_F(RoundTripTest, ZerosAreHolesWhateverTheDiskHas) {
  MakeSample();
  // 5 MiB and 3 MiB of zeros are left out, 2 MiB of letters are not.
  const std::string bytes = Exported(v1::ARCHIVE_DOCKER, v1::LAYER_COMPRESSION_UNSPECIFIED);
  EXPECT_GT(bytes.size(), 2u << 20);
  EXPECT_LT(bytes.size(), 3u << 20);
}

TEST_F(RoundTripTest, ARecordThatIsWrongIsToldAndMadeAnew) {
  MakeSample();
  auto image = OciImage::Open(*repository_, kRoot, "sample", Compression::kGzip, cancel_, {});
  ASSERT_OK(image);
  const Descriptor top = (*image)->layers()[1];
  image->reset();
  const auto layer = Digest::Parse(repository_->Show(kRoot, "sample")->image().layers(1).digest());
  const std::string form = EncodingName(Compression::kGzip);
  LayerConversions& conversions = repository_->layers().conversions();
  auto encoding = conversions.FindEncoding(*layer, form);
  ASSERT_TRUE(encoding);
  EXPECT_EQ(encoding->digest, top.digest);
  encoding->digest = Sha256Hasher::Of("another");
  ASSERT_OK(conversions.RecordEncoding(*layer, form, *encoding));

  image = OciImage::Open(*repository_, kRoot, "sample", Compression::kGzip, cancel_, {});
  ASSERT_OK(image);
  std::string bytes;
  const Status written = (*image)->WriteBlob((*image)->layers()[1].digest, Into(&bytes), cancel_);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), Code::kCorrupt);
  EXPECT_LT(bytes.size(), top.size) << "a whole wrong blob was given";
  EXPECT_FALSE(conversions.FindEncoding(*layer, form));
  image = OciImage::Open(*repository_, kRoot, "sample", Compression::kGzip, cancel_, {});
  ASSERT_OK(image);
  EXPECT_EQ((*image)->layers()[1].digest, top.digest);
  bytes.clear();
  ASSERT_OK((*image)->WriteBlob(top.digest, Into(&bytes), cancel_));
  EXPECT_EQ(Sha256Hasher::Of(bytes), top.digest);
  EXPECT_EQ((*image)->WriteBlob(Sha256Hasher::Of("no"), Into(&bytes), cancel_).error().code(),
            Code::kNotFound);
}

TEST_F(RoundTripTest, AWrongSizeInARecordNeverMakesAnArchive) {
  MakeSample();
  const std::string good = Exported(v1::ARCHIVE_OCI, v1::LAYER_GZIP);
  const auto layer = Digest::Parse(repository_->Show(kRoot, "sample")->image().layers(0).digest());
  const std::string form = EncodingName(Compression::kGzip);
  LayerConversions& conversions = repository_->layers().conversions();
  for (const int64_t change : {-1, 1}) {
    auto encoding = conversions.FindEncoding(*layer, form);
    ASSERT_TRUE(encoding);
    encoding->size += static_cast<uint64_t>(change);
    ASSERT_OK(conversions.RecordEncoding(*layer, form, *encoding));
    v1::ExportRequest request;
    request.set_reference("sample");
    request.set_format(v1::ARCHIVE_OCI);
    std::string bytes;
    EXPECT_EQ(ExportArchive(*repository_, kRoot, request, Into(&bytes), cancel_, {}).error().code(),
              Code::kCorrupt);
    // The next one makes it anew.
    EXPECT_TRUE(Exported(v1::ARCHIVE_OCI, v1::LAYER_GZIP) == good);
  }
}

TEST_F(RoundTripTest, AFileWithAMarksNameCannotGoOut) {
  const std::string tar = MakeTar(directory_->path() + "/scratch", {{".wh.file", "x"}});
  ASSERT_OK(Import(kAlice, "marks", tar, [](auto* options) { options->set_literal_names(true); }));
  const auto image = OciImage::Open(*repository_, kAlice, "marks", Compression::kGzip, cancel_, {});
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().message(),
              HasSubstr("/.wh.file: its name would be read as a whiteout"));
}

TEST_F(RoundTripTest, AnImageOfFilesGetsAConfigurationAndOthersDoNotGetIt) {
  ASSERT_OK(Import(kAlice, "plain:v1", tar_, [](auto* options) {
    options->mutable_config()->add_command("run");
    options->mutable_config()->add_env("A=1");
  }));
  EXPECT_EQ(OciImage::Open(*repository_, kBob, "50001/plain:v1", Compression::kNone, cancel_, {})
                .error()
                .code(),
            Code::kNotFound);
  const auto image =
      OciImage::Open(*repository_, kAlice, "plain:v1", Compression::kNone, cancel_, {});
  ASSERT_OK(image);
  const auto config = ParseImageConfig((*image)->config_bytes());
  ASSERT_OK(config);
  EXPECT_EQ(config->cmd, std::vector<std::string>{"run"});
  EXPECT_EQ(config->env, std::vector<std::string>{"A=1"});
  EXPECT_EQ(config->platform, HostPlatform());
  ASSERT_EQ(config->history.size(), 1u);
  EXPECT_FALSE(config->created.empty());
  EXPECT_EQ(config->diff_ids, (*image)->diff_ids());
}

TEST_F(RoundTripTest, HistoryOfLayersThatAreNoMoreIsLeftOut) {
  MakeSample();
  v1::Image image = repository_->Show(kRoot, "sample")->image();
  const std::vector<Sha256Digest> diff_ids(3);
  const auto steps = [&] {
    std::vector<std::string> told;
    for (const HistoryEntry& entry : ConfigOf(image, diff_ids).history) {
      told.push_back(entry.created_by);
    }
    return told;
  };
  EXPECT_THAT(steps(), testing::ElementsAre("ENV", "RUN", "RUN"));
  // A layer that a save put on top tells its own.
  image.add_layers()->mutable_history()->set_origin("save node/web-0");
  EXPECT_THAT(steps(), testing::ElementsAre("ENV", "RUN", "RUN", "save node/web-0"));
  EXPECT_NE(ConfigOf(image, diff_ids).created, "2024-01-02T03:04:05Z");
  // After a rebase other layers are below.
  image.mutable_layers(0)->set_digest("another");
  EXPECT_THAT(steps(), testing::ElementsAre("ENV", "import", "import", "save node/web-0"));
}

}  // namespace
}  // namespace strata::imaged::oci
