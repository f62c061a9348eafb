// What an archive may say, what it may not, and what the errors name.
#include "imaged/archive/tar_import.h"

#include <sys/wait.h>

#include <cstring>
#include <thread>

#include "imaged/archive/posix_acl.h"
#include "tests/unit/archive/archive_fixture.h"
#include "tests/unit/store/small_disk.h"

namespace strata::imaged {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr uint32_t kDir = S_IFDIR | 0755;
constexpr uint32_t kFile = S_IFREG | 0644;
constexpr uint32_t kLink = S_IFLNK | 0777;

HandMadeEntry HardLink(const std::string& path, const std::string& target) {
  return {.path = path, .link = target, .hard_link = true};
}

class TarImportTest : public ArchiveTest {
 protected:
  Tree Imported(const std::vector<HandMadeEntry>& entries, bool as_root = true) {
    auto imported = Import(HandMadeTar(entries), as_root);
    EXPECT_TRUE(imported.ok()) << imported.error().message();
    if (!imported.ok()) return Tree();
    warnings_ = imported->warnings.texts();
    return std::move(imported->tree);
  }
  Error Refused(const std::vector<HandMadeEntry>& entries, bool as_root = true) {
    return Refusal(HandMadeTar(entries), as_root);
  }
  std::vector<std::string> warnings_;
};

const Inode& FileAt(const Tree& tree, std::string_view path) {
  const auto index = tree.Find(path);
  EXPECT_TRUE(index.has_value()) << path;
  return tree.inode(index.value_or(Tree::kRoot));
}

TEST_F(TarImportTest, ALeadingSlashOrDotIsDropped) {
  const Tree tree =
      Imported({{"/etc/a", kFile, "1"}, {"./etc/b", kFile, "2"}, {"etc//./c", kFile, "3"}});
  EXPECT_EQ(FileAt(tree, "etc/a").data, "1");
  EXPECT_EQ(FileAt(tree, "etc/b").data, "2");
  EXPECT_EQ(FileAt(tree, "etc/c").data, "3");
}

TEST_F(TarImportTest, DotDotIsRefusedByName) {
  for (const char* path : {"../etc/passwd", "a/../../b", "/..", "a/.."}) {
    const Error error = Refused({{path, kFile, "x"}});
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.message(), AllOf(HasSubstr(path), HasSubstr("..")));
  }
  const Error link = Refused({{"a", kFile, "x"}, HardLink("b", "../etc/shadow")});
  EXPECT_THAT(link.message(), AllOf(HasSubstr("b:"), HasSubstr("../etc/shadow")));
}

TEST_F(TarImportTest, ASymbolicLinkIsNoWayOut) {
  const Error error =
      Refused({{"out", kLink, "", "/etc"}, {"out/passwd", kFile, "root::0:0::/:/bin/sh"}});
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
  EXPECT_THAT(error.message(),
              AllOf(HasSubstr("out/passwd"), HasSubstr("parent 'out' is no directory")));
  EXPECT_THAT(Refused({{"f", kFile, "x"}, {"f/g", kFile, "y"}}).message(), HasSubstr("f/g"));
}

TEST_F(TarImportTest, MissingParentsAreMadeAsRoots) {
  const Tree tree = Imported({{"a/b/c", kFile, "x"}});
  EXPECT_EQ(FileAt(tree, "a").mode, kDir);
  EXPECT_EQ(FileAt(tree, "a/b").mode, kDir);
}

TEST_F(TarImportTest, TheLastOfEqualNamesWins) {
  const Tree tree = Imported({{"d", kDir},
                              {"d/kept", kFile, "1"},
                              {"d", S_IFDIR | 0700},
                              {"f", kFile, "old"},
                              {"f", kFile, std::string(2000, 'n')},
                              {"gone", kDir},
                              {"gone/x", kFile, "x"},
                              {"gone", kLink, "", "d"}});
  EXPECT_EQ(FileAt(tree, "d").mode, S_IFDIR | 0700u);
  EXPECT_EQ(FileAt(tree, "d/kept").data, "1");
  EXPECT_EQ(FileAt(tree, "f").object, Hasher::Of(std::string(2000, 'n')));
  EXPECT_EQ(FileAt(tree, "gone").data, "d");
  EXPECT_EQ(tree.entry_count(), 4u);
}

TEST_F(TarImportTest, AHardLinkKeepsAFileThatIsReplacedLater) {
  const Tree tree = Imported(
      {{"a", kFile, "old"}, HardLink("b", "./a"), HardLink("b", "b"), {"a", kFile, "new"}});
  EXPECT_EQ(FileAt(tree, "a").data, "new");
  EXPECT_EQ(FileAt(tree, "b").data, "old");
  EXPECT_EQ(FileAt(tree, "b").nlink, 1u);
}

TEST_F(TarImportTest, AHardLinkToNothingOrToADirectoryIsRefusedByName) {
  const Error missing = Refused({HardLink("b", "no/where")});
  EXPECT_EQ(missing.code(), Code::kInvalidArgument);
  EXPECT_THAT(missing.message(), AllOf(HasSubstr("b:"), HasSubstr("no/where")));
  EXPECT_THAT(Refused({{"d", kDir}, HardLink("b", "d")}).message(), HasSubstr("directory 'd'"));
  EXPECT_THAT(Refused({HardLink(".", "x")}).message(), HasSubstr("root"));
}

TEST_F(TarImportTest, OciWhiteoutsHideOnlyWhatIsBelow) {
  const Tree tree = Imported({{"etc", kDir},
                              {"etc/.wh.gone", kFile},
                              {"opt/.wh..wh..opq", kFile},
                              {"opt/new", kFile, "n"},
                              {"opt", S_IFDIR | 0711},
                              {".wh.again", kFile},
                              {"again", kDir},
                              {"mine", kFile, "m"},
                              {".wh.mine", kFile},
                              {".wh.late", kFile},
                              {"late/child", kFile, "c"},
                              {".wh..wh.plnk", kFile}});
  EXPECT_TRUE(FileAt(tree, "etc/gone").IsWhiteout());
  EXPECT_TRUE(FileAt(tree, "opt").opaque);
  EXPECT_EQ(FileAt(tree, "opt").mode, S_IFDIR | 0711u);
  EXPECT_TRUE(FileAt(tree, "again").opaque) << "the old directory must not shine through";
  EXPECT_EQ(FileAt(tree, "mine").data, "m");
  EXPECT_TRUE(FileAt(tree, "late").opaque);
  EXPECT_EQ(tree.Find(".wh..wh.plnk"), std::nullopt);
  EXPECT_THAT(warnings_, testing::ElementsAre(HasSubstr("plnk")));
}

TEST_F(TarImportTest, DockerLayersMergeLikeTheirFileSystems) {
  Tree merged = Imported({{"etc", kDir},
                          {"etc/a", kFile, "a1"},
                          {"etc/b", kFile, "b1"},
                          {"var", kDir},
                          {"var/old", kFile, "o"}});
  const Tree second =
      Imported({{"etc/.wh.a", kFile}, {"var/.wh..wh..opq", kFile}, {"var/new", kFile, "n"}});
  ASSERT_TRUE(ApplyLayer(second, &merged).ok());
  EXPECT_EQ(merged.Find("etc/a"), std::nullopt);
  EXPECT_EQ(FileAt(merged, "etc/b").data, "b1");
  EXPECT_EQ(merged.Find("var/old"), std::nullopt);
  EXPECT_EQ(FileAt(merged, "var/new").data, "n");
}

TEST_F(TarImportTest, WhiteoutNamesAreFilesWhereTheCallerSaysSo) {
  TarImportOptions options;
  options.oci_whiteouts = false;
  const std::string tar = HandMadeTar({{".wh.file", kFile, "x"}});
  const auto ingest = Start();
  const auto imported = ImportTar(SourceOf(tar), *ingest, options);
  ASSERT_TRUE(imported.ok());
  EXPECT_EQ(FileAt(imported->tree, ".wh.file").data, "x");
}

TEST_F(TarImportTest, AnOverlayUpperArchivedByTarKeepsItsWhiteouts) {
  const Tree tree = Imported({{"gone", S_IFCHR | 0644}}, /*as_root=*/false);
  EXPECT_TRUE(FileAt(tree, "gone").IsWhiteout());
}

TEST_F(TarImportTest, OnlyRootImportsDevices) {
  const std::vector<HandMadeEntry> device = {
      {.path = "dev/sda", .mode = S_IFBLK | 0660, .rdev = makedev(8, 0)}};
  EXPECT_EQ(FileAt(Imported(device), "dev/sda").rdev, makedev(8, 0));
  const Error error = Refused(device, /*as_root=*/false);
  EXPECT_EQ(error.code(), Code::kPermissionDenied);
  EXPECT_THAT(error.message(), HasSubstr("dev/sda"));
}

TEST_F(TarImportTest, ForeignOverlayAttributesAreRootsAndStayUninterpreted) {
  const std::vector<HandMadeEntry> entries = {
      {.path = "d", .mode = kDir, .xattrs = {{"trusted.overlay.opaque", "y"}, {"user.u", "1"}}},
      {.path = "f",
       .xattrs = {{"security.capability", std::string(20, 'c')}, {"security.selinux", "x"}}},
      {.path = "g", .xattrs = {{"system.nfs4_acl", "x"}}}};
  const Tree root = Imported(entries);
  EXPECT_FALSE(FileAt(root, "d").opaque);
  EXPECT_THAT(FileAt(root, "d").xattrs,
              testing::ElementsAre(Xattr{"trusted.overlay.opaque", "y"}, Xattr{"user.u", "1"}));
  EXPECT_EQ(warnings_.size(), 1u);
  const Tree user = Imported(entries, /*as_root=*/false);
  EXPECT_THAT(FileAt(user, "d").xattrs, testing::ElementsAre(Xattr{"user.u", "1"}));
  EXPECT_EQ(FileAt(user, "f").xattrs.size(), 1u);
  EXPECT_EQ(warnings_.size(), 3u);
}

TEST_F(TarImportTest, LimitsAreNamed) {
  const std::string tar =
      HandMadeTar({{"a/b/c", kFile, std::string(400, 'x')},
                   {"d", kFile, std::string(3000, 'y')},
                   {.path = "e", .xattrs = {{"user.x", std::string(900, 'v')}}}});
  const auto refusal = [&](const ImportLimits& limits) -> std::string {
    TarImportOptions options;
    options.limits = limits;
    const auto ingest = Start();
    const auto imported = ImportTar(SourceOf(tar), *ingest, options);
    if (imported.ok()) return "imported";
    EXPECT_EQ(imported.error().code(), Code::kResourceExhausted);
    return imported.error().message();
  };
  EXPECT_EQ(refusal({}), "imported");
  ImportLimits limits;
  limits.tree.entries_max = 4;
  EXPECT_THAT(refusal(limits), AllOf(HasSubstr("e:"), HasSubstr("4 entries")));
  limits = {};
  limits.tree.depth_max = 1;
  EXPECT_THAT(refusal(limits), AllOf(HasSubstr("a/b/c"), HasSubstr("1 directories")));
  limits = {};
  limits.tree.metadata_bytes_max = 100;
  EXPECT_THAT(refusal(limits), HasSubstr("100 bytes"));
  limits = {};
  limits.tree.xattr_bytes_max_per_inode = 500;
  EXPECT_THAT(refusal(limits), AllOf(HasSubstr("e:"), HasSubstr("500 bytes")));
  limits = {};
  limits.content_bytes_max = 3000;
  EXPECT_THAT(refusal(limits), AllOf(HasSubstr("d:"), HasSubstr("3000 bytes")));
}

TEST_F(TarImportTest, ABombOfEqualNamesEndsAtTheLimit) {
  const std::string entry = HandMadeTar({{"same", kFile}}, /*finish=*/false);
  TarImportOptions options;
  options.limits.tree.entries_max = 1000;
  const auto ingest = Start();
  const auto imported =
      ImportTar([&]() -> Result<std::string_view> { return entry; }, *ingest, options);
  ASSERT_FALSE(imported.ok());
  EXPECT_EQ(imported.error().code(), Code::kResourceExhausted);
}

TEST_F(TarImportTest, ATruncatedArchiveNamesWhereItEnds) {
  const std::string whole = HandMadeTar({{"first", kFile, "1"},
                                         {"small", kFile, std::string(5000, 's')},
                                         {"large", kFile, std::string(3 << 20, 'l')}});
  const auto cut = [&](size_t size) {
    const Error error = Refusal(whole.substr(0, size));
    EXPECT_EQ(error.code(), Code::kCorrupt);
    return error.message();
  };
  EXPECT_THAT(cut(1536 + 700), HasSubstr("the archive ends in the middle of small"));
  EXPECT_THAT(cut(whole.size() - 1024 - 512 * 100),
              HasSubstr("the archive ends in the middle of large"));
  EXPECT_THAT(cut(1024 + 100), HasSubstr("first"));
  EXPECT_THAT(cut(1024), AllOf(HasSubstr("without its end mark"), HasSubstr("first")));
  EXPECT_THAT(cut(whole.size() - 1024),
              AllOf(HasSubstr("without its end mark"), HasSubstr("large")));
  EXPECT_THAT(cut(0), HasSubstr("empty"));
  EXPECT_THAT(cut(300), HasSubstr("not a tar archive"));
}

TEST_F(TarImportTest, ATruncatedCompressedArchiveIsRefused) {
  MakeDir("", 0755);
  MakeFile("data", std::string(100'000, 'd') + dir());
  for (const char* filter : {"--gzip", "--zstd", "--xz", "--bzip2"}) {
    const std::string tar = Archived({"tar", "-C", source(), filter, "-cf", dir() + "/a.tar", "."});
    const Error error = Refusal(tar.substr(0, tar.size() / 2));
    EXPECT_EQ(error.code(), Code::kCorrupt) << filter << error.message();
    EXPECT_EQ(Refusal(tar.substr(0, tar.size() - 1)).code(), Code::kCorrupt) << filter;
  }
}

TEST_F(TarImportTest, AFlippedBitInAGzipStreamIsFound) {
  MakeDir("", 0755);
  std::string noise;
  for (int i = 0; noise.size() < 300'000; ++i) noise += Hasher::Of(std::to_string(i)).Hex();
  MakeFile("data", noise);
  std::string tar = Archived({"tar", "-C", source(), "--gzip", "-cf", dir() + "/a.tar", "."});
  for (size_t at = 1000; at + 1000 < tar.size(); at += tar.size() / 7) {
    tar[at] = static_cast<char>(tar[at] ^ 4);
    EXPECT_EQ(Refusal(tar).code(), Code::kCorrupt) << at;
    tar[at] = static_cast<char>(tar[at] ^ 4);
  }
}

TEST_F(TarImportTest, WhatIsNoTarIsSaidSo) {
  EXPECT_THAT(Refusal(std::string(20'000, 'z')).message(), HasSubstr("tar"));
  std::string damaged = HandMadeTar({{"a", kFile, "1"}, {"b", kFile, "2"}});
  damaged[1024 + 3] = 'X';  // In the second header: its checksum is wrong.
  const Error error = Refusal(damaged);
  EXPECT_EQ(error.code(), Code::kCorrupt);
  EXPECT_THAT(error.message(), HasSubstr("in or after a"));
}

TEST_F(TarImportTest, BytesAfterTheEndMarkAreReadAndIgnored) {
  const std::string tar = HandMadeTar({{"a", kFile, "1"}}) + std::string(50'000, 'j');
  bool ended = false;
  const ByteSource inner = SourceOf(tar, 1000);
  const auto ingest = Start();
  const auto imported = ImportTar(
      [&]() -> Result<std::string_view> {
        auto data = inner();
        ended = data->empty();
        return data;
      },
      *ingest, {});
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_TRUE(ended) << "a sender must not be left stuck";
}

TEST_F(TarImportTest, TheSourcesErrorIsTheAnswer) {
  const std::string tar = HandMadeTar({{"a", kFile, std::string(100'000, 'a')}});
  const auto ingest = Start();
  int calls = 0;
  const auto imported = ImportTar(
      [&]() -> Result<std::string_view> {
        if (++calls > 2) return Error(Code::kUnavailable, "the client went away");
        return std::string_view(tar).substr(static_cast<size_t>(calls - 1) * 1000, 1000);
      },
      *ingest, {});
  EXPECT_EQ(imported.error().code(), Code::kUnavailable);
}

TEST_F(TarImportTest, CancelStopsInTheMiddleAndLeavesNothing) {
  const std::string entry = HandMadeTar({{"f", kFile, std::string(5000, 'f')}}, /*finish=*/false);
  CancelToken cancel;
  ImportControl control;
  control.cancel = &cancel;
  int calls = 0;
  auto ingest = Start();
  const auto imported = ImportTar(
      [&]() -> Result<std::string_view> {
        if (++calls == 50) cancel.Cancel();
        return entry;
      },
      *ingest, {}, control);
  EXPECT_EQ(imported.error().code(), Code::kCancelled);
  EXPECT_LE(calls, 51);
  ingest.reset();
  EXPECT_EQ(StagedCount(), 0u);
  EXPECT_EQ(ObjectCount(), 0u);
}

TEST_F(TarImportTest, ProgressEndsWithTheWhole) {
  const std::string tar = HandMadeTar({{"a", kFile, std::string(1000, 'a')}, {"b", kFile, "b"}});
  ImportControl control;
  uint64_t entries = 0, bytes = 0;
  control.progress = [&](uint64_t e, uint64_t b) {
    entries = e;
    bytes = b;
  };
  const auto ingest = Start();
  ASSERT_TRUE(ImportTar(SourceOf(tar), *ingest, {}, control).ok());
  EXPECT_EQ(entries, 2u);
  EXPECT_EQ(bytes, 1001u);
}

TEST_F(TarImportTest, ABaseGivesParentsTheirAttributesAndHardLinksTheirTargets) {
  const Tree base = Imported(
      {{"srv", S_IFDIR | 0750}, {"srv/lib", kFile, "from base"}, {"bin", kLink, "", "usr/bin"}});
  TarImportOptions options;
  options.base = &base;
  const auto import = [&](const std::vector<HandMadeEntry>& entries) {
    const std::string tar = HandMadeTar(entries);
    const auto ingest = Start();
    return ImportTar(SourceOf(tar), *ingest, options);
  };
  const auto layer = import({{"srv/new", kFile, "n"}, HardLink("alias", "srv/lib")});
  ASSERT_TRUE(layer.ok()) << layer.error().message();
  EXPECT_EQ(FileAt(layer->tree, "srv").mode, S_IFDIR | 0750u);
  EXPECT_EQ(layer->tree.Find("alias"), layer->tree.Find("srv/lib"));
  EXPECT_EQ(FileAt(layer->tree, "alias").data, "from base");
  EXPECT_THAT(import({{"bin/sh", kFile, "x"}}).error().message(),
              AllOf(HasSubstr("bin/sh"), HasSubstr("no directory in the base image")));
}

TEST_F(TarImportTest, ExportVerifiesWhatItStreams) {
  const auto ingest = Start();
  const std::string tar = HandMadeTar({{"dir/file", kFile, std::string(5000, 'x')}});
  const auto imported = Import(tar, *ingest);
  ASSERT_TRUE(imported.ok() && ingest->Commit().ok());
  const Digest digest = FileAt(imported->tree, "dir/file").object;
  {
    UniqueFd fd = std::move(*Open(store_->PathOf(digest), O_RDWR));
    ASSERT_TRUE(PWriteAll(fd.get(), "!", 100).ok());
  }
  std::string out;
  const Status exported = ExportTar(imported->tree, *store_, SinkInto(&out));
  EXPECT_EQ(exported.error().code(), Code::kCorrupt);
  EXPECT_THAT(exported.error().message(),
              AllOf(HasSubstr("dir/file"), HasSubstr(digest.ToString())));
  ASSERT_EQ(::unlink(store_->PathOf(digest).c_str()), 0);
  EXPECT_EQ(ExportTar(imported->tree, *store_, SinkInto(&out)).error().code(), Code::kNotFound);
}

TEST_F(TarImportTest, ALayersArchiveKeepsItsWhiteouts) {
  const Tree layer =
      Imported({{"etc/.wh.gone", kFile}, {"opt/.wh..wh..opq", kFile}, {"opt/f", kFile, "f"}});
  std::string tar;
  EXPECT_EQ(ExportTar(layer, *store_, SinkInto(&tar)).error().code(), Code::kInvalidArgument);
  TarExportOptions options;
  options.oci_whiteouts = true;
  tar.clear();
  ASSERT_TRUE(ExportTar(layer, *store_, SinkInto(&tar), options).ok());
  const auto again = Import(tar);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(Difference(TreeText(layer), TreeText(again->tree)), "");
}

TEST_F(TarImportTest, AFullDiskInTheMiddleNamesTheStoreAndLeavesNothing) {
  const auto disk = SmallDisk::Mount(dir(), 16 << 20);
  ASSERT_NE(disk, nullptr);
  std::vector<HandMadeEntry> entries;
  for (int i = 0; i < 40; ++i) {
    entries.push_back({std::to_string(i), kFile, std::to_string(i) + std::string(900'000, 'x')});
  }
  const std::string tar = HandMadeTar(entries);
  {
    auto small = std::move(*ObjectStore::Open(disk->path() + "/store"));
    auto ingest = std::move(*small->StartIngest());
    const auto imported = ImportTar(SourceOf(tar), *ingest, {});
    ASSERT_FALSE(imported.ok());
    EXPECT_EQ(imported.error().code(), Code::kResourceExhausted);
    EXPECT_THAT(imported.error().message(), HasSubstr(disk->path()));
    ingest.reset();
    EXPECT_EQ(FilesBelow(small->root()), 1u) << "only the lock";
  }
}

TEST_F(TarImportTest, TwoImportersAtOnceShareTheirObjects) {
  std::vector<HandMadeEntry> entries;
  for (int i = 0; i < 300; ++i) {
    entries.push_back({std::to_string(i), kFile, std::to_string(i) + std::string(2000, 'x')});
  }
  const std::string tar = HandMadeTar(entries);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      const auto ingest = Start();
      EXPECT_TRUE(Import(tar, *ingest).ok());
      EXPECT_TRUE(ingest->Commit().ok());
    });
  }
  threads.clear();
  EXPECT_EQ(ObjectCount(), 300u);
  EXPECT_EQ(StagedCount(), 0u);
}

TEST_F(TarImportTest, AKilledImportLeavesAnEmptyStagingAndWholeObjects) {
  store_.reset();
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd read_end(pipe[0]), write_end(pipe[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = ObjectStore::Open(root());
    if (!store.ok()) ::_exit(1);
    for (int round = 0;; ++round) {
      auto ingest = (*store)->StartIngest();
      uint64_t at = 0;
      std::string entry;
      const auto source = [&]() -> Result<std::string_view> {
        if (++at > 60) return std::string_view();
        const std::string name = std::to_string(round * 100) + "-" + std::to_string(at);
        entry = HandMadeTar({{name, kFile, name + std::string(9000, 'x')}}, /*finish=*/at == 60);
        if (round == 1 && at == 30 && ::write(write_end.get(), "x", 1) != 1) ::_exit(1);
        return entry;
      };
      if (!ImportTar(source, **ingest, {}).ok() || !(*ingest)->Commit().ok()) ::_exit(2);
    }
  }
  write_end.reset();
  char middle;
  ASSERT_EQ(::read(read_end.get(), &middle, 1), 1);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  OpenStore();
  EXPECT_TRUE(std::filesystem::is_empty(root() + "/staging"));
  EXPECT_GE(ObjectCount(), 60u);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store_->objects_dir())) {
    if (!entry.is_regular_file()) continue;
    const auto digest = Digest::FromHex(entry.path().parent_path().filename().string() +
                                        entry.path().filename().string());
    ASSERT_TRUE(digest.ok() && store_->Verify(*digest).ok());
  }
}

}  // namespace
}  // namespace strata::imaged
