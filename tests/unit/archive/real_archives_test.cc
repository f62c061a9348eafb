// Archives that GNU tar and bsdtar write of a directory give the tree that ImportDirectory gives.
#include <clocale>

#include "tests/unit/archive/archive_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

class RealArchivesTest : public ArchiveTest {
 protected:
  void SetUp() override {
    ArchiveTest::SetUp();
    MakeSample();
    expected_ = DirectoryText();
  }
  std::vector<std::string> GnuTar(const std::vector<std::string>& more) {
    std::vector<std::string> argv = {"tar", "-C", source(), "-cf", dir() + "/a.tar"};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back(".");
    return argv;
  }
  void ExpectSame(const std::string& tar, const std::string& expected) {
    const auto imported = Import(tar);
    ASSERT_TRUE(imported.ok()) << imported.error().message();
    EXPECT_EQ(Difference(expected, TreeText(imported->tree)), "");
  }
  std::string expected_;
};

const std::vector<std::string> kFull = {"--xattrs", "--xattrs-include=*", "--acls",
                                        "--numeric-owner", "--sparse"};

std::vector<std::string> With(std::vector<std::string> options, const std::string& one) {
  options.push_back(one);
  return options;
}

TEST_F(RealArchivesTest, GnuTarPaxKeepsEverything) {
  ExpectSame(Archived(GnuTar(With(kFull, "--format=posix"))), expected_);
}

TEST_F(RealArchivesTest, GnuTarSortedPaxKeepsEverything) {
  ExpectSame(Archived(GnuTar(With(kFull, "--sort=name"))), expected_);
}

TEST_F(RealArchivesTest, EverySparseFormatKeepsContentAndHoles) {
  for (const char* version : {"0.0", "0.1", "1.0"}) {
    SCOPED_TRACE(version);
    auto options = With(kFull, "--format=posix");
    options.push_back(std::string("--sparse-version=") + version);
    const std::string tar = Archived(GnuTar(options));
    const auto ingest = Start();
    const auto imported = Import(tar, *ingest);
    ASSERT_TRUE(imported.ok()) << imported.error().message();
    EXPECT_EQ(Difference(expected_, TreeText(imported->tree)), "");
    ASSERT_TRUE(ingest->Commit().ok());
    const Inode& sparse = imported->tree.inode(*imported->tree.Find("sparse"));
    struct stat st;
    ASSERT_EQ(::stat(store_->PathOf(sparse.object).c_str(), &st), 0);
    EXPECT_EQ(st.st_size, 40 << 20);
    EXPECT_LT(st.st_blocks * 512, 1 << 20);
  }
}

// Formats without attributes, fractions of seconds, or large numbers: the sample without them.
TEST_F(RealArchivesTest, OlderFormatsKeepWhatTheyCanSay) {
  Run({"rm", "-r", At("etc/inline"), At("etc/deep"), At("suid"), At("etc/object"),
       At("etc/object-again"), At("etc/empty"), At("etc/link-again")});
  Run({"setfattr", "-x", "trusted.overlay.redirect", At("etc")});
  Run({"find", source(), "-exec", "touch", "-h", "-d", "@1500000000", "{}", "+"});
  const std::string expected = DirectoryText();
  for (const char* format : {"gnu", "oldgnu"}) {
    SCOPED_TRACE(format);
    ExpectSame(Archived(GnuTar({std::string("--format=") + format, "--sparse"})), expected);
    ExpectSame(Archived(GnuTar({std::string("--format=") + format})), expected);
  }
  Run({"rm", "-r", At("long"), At("etc/long-link")});
  Run({"find", source(), "-exec", "touch", "-h", "-d", "@1500000000", "{}", "+"});
  ExpectSame(Archived(GnuTar({"--format=ustar"})), DirectoryText());
  Run({"rm", At("fifo"), At("null"), At("disk")});
  Run({"touch", "-d", "@1500000000", source()});
  ExpectSame(Archived(GnuTar({"--format=v7"})), DirectoryText());
}

TEST_F(RealArchivesTest, BsdtarPaxKeepsEverything) {
  std::string tar = Archived({"bsdtar", "-C", source(), "--format=pax", "--xattrs", "--acls",
                              "--numeric-owner", "-cf", dir() + "/a.tar", "."});
  const auto imported = Import(tar);
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  // bsdtar cannot say an attribute whose name has '=' or '%'.
  const Inode& inode = imported->tree.inode(*imported->tree.Find("etc/inline"));
  EXPECT_EQ(inode.xattrs.size(), 4u);
  EXPECT_NE(imported->tree.Find("latin \xe9\xff"), std::nullopt);
  EXPECT_NE(imported->tree.Find("nfd e\xcc\x81"), std::nullopt);
  EXPECT_EQ(imported->tree.Lookup(Tree::kRoot, "caf\xc3\xa9 \xe4\xbd\xa0").has_value(), true);
}

TEST_F(RealArchivesTest, NamesSurviveByteForByteInAnyLocale) {
  const std::string tar = Archived(GnuTar(With(kFull, "--format=posix")));
  ASSERT_NE(std::setlocale(LC_ALL, "C.UTF-8"), nullptr);
  ExpectSame(tar, expected_);
  std::setlocale(LC_ALL, "C");
  ExpectSame(tar, expected_);
}

TEST_F(RealArchivesTest, CompressedArchivesAreRead) {
  for (const char* filter : {"--gzip", "--zstd", "--xz", "--bzip2"}) {
    SCOPED_TRACE(filter);
    ExpectSame(Archived(GnuTar(With(kFull, filter))), expected_);
  }
}

TEST_F(RealArchivesTest, TinyPiecesOfTheStreamChangeNothing) {
  Run({"rm", "-r", At("big"), At("sparse"), At("hole")});
  Run({"touch", "-d", "@1500000000", source()});
  const std::string expected = DirectoryText();
  for (const char* filter : {"--no-auto-compress", "--gzip"}) {
    const std::string tar = Archived(GnuTar(With(kFull, filter)));
    TarImportOptions options;
    options.caller_is_root = true;
    const auto ingest = Start();
    const auto imported = ImportTar(SourceOf(tar, 7), *ingest, options);
    ASSERT_TRUE(imported.ok()) << imported.error().message();
    EXPECT_EQ(Difference(expected, TreeText(imported->tree)), "");
  }
}

TEST_F(RealArchivesTest, AnAclOfNamedUsersIsLeftOutWithAWarningAndOpensNothing) {
  Run({"setfacl", "-b", "-m", "u:daemon:rwx,g::---,m::rwx", At("etc/inline")});
  const std::string tar =
      Archived({"tar", "-C", source(), "--acls", "-cf", dir() + "/a.tar", "etc/inline"});
  const auto imported = Import(tar);
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  const Inode& inode = imported->tree.inode(*imported->tree.Find("etc/inline"));
  EXPECT_TRUE(inode.xattrs.empty());
  EXPECT_EQ(inode.mode & 070, 0u) << "the mask must not become the group's permissions";
  ASSERT_EQ(imported->warnings.texts().size(), 1u);
  EXPECT_THAT(imported->warnings.texts()[0], HasSubstr("etc/inline: its ACL"));
}

TEST_F(RealArchivesTest, ExportAndImportGiveTheSameTree) {
  const auto ingest = Start();
  DirectoryImportOptions options;
  options.caller_is_root = true;
  const auto original = ImportDirectory(source(), *ingest, options);
  ASSERT_TRUE(original.ok());
  ASSERT_TRUE(ingest->Commit().ok());
  std::string first, second;
  const Status exported = ExportTar(original->tree, *store_, SinkInto(&first));
  ASSERT_TRUE(exported.ok()) << exported.error().message();
  EXPECT_LT(first.size(), 8u << 20) << "holes are not written";
  ExpectSame(first, expected_);
  ASSERT_TRUE(ExportTar(original->tree, *store_, SinkInto(&second)).ok());
  EXPECT_EQ(first, second);
}

TEST_F(RealArchivesTest, GnuTarExtractsAnExportAsItWas) {
  const auto ingest = Start();
  DirectoryImportOptions options;
  options.caller_is_root = true;
  const auto original = ImportDirectory(source(), *ingest, options);
  ASSERT_TRUE(original.ok());
  ASSERT_TRUE(ingest->Commit().ok());
  std::string tar;
  ASSERT_TRUE(ExportTar(original->tree, *store_, SinkInto(&tar)).ok());
  ASSERT_TRUE(WriteFileAtomically(dir() + "/out.tar", tar).ok());
  Run({"mv", source(), dir() + "/before"});
  MakeDir("", 0755);
  Run({"tar", "-C", source(), "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf",
       dir() + "/out.tar"});
  EXPECT_EQ(Difference(expected_, DirectoryText()), "");
}

TEST_F(RealArchivesTest, TheClientsArchiveOfADirectoryGivesItsTree) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(At("s").size(), sizeof(address.sun_path));
  At("s").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::close(socket);
  expected_ = DirectoryText();
  std::string tar;
  std::vector<std::string> warnings;
  DirectoryTarOptions options;
  options.warning = [&](const std::string& text) { warnings.push_back(text); };
  const auto stats = WriteDirectoryTar(source(), SinkInto(&tar), options);
  ASSERT_TRUE(stats.ok()) << stats.error().message();
  EXPECT_THAT(warnings, testing::ElementsAre("s: a socket, left out"));
  EXPECT_LT(tar.size(), 8u << 20);
  ExpectSame(tar, expected_);
}

}  // namespace
}  // namespace strata::imaged
