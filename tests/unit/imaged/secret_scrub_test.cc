// Layers on a base: what leaves them, what takes its place, and what the report says.
#include "imaged/save/secret_scrub.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "imaged/manifest/erofs_writer.h"
#include "imaged/save/layer_builder.h"
#include "imaged/save/secret_content.h"
#include "tests/unit/store/store_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kKey = "-----BEGIN " + std::string("PRIVATE KEY-----\n") + std::string(64, 'M') +
                         "\n-----END PRIVATE KEY-----\n";

Inode Directory(bool opaque = false) {
  Inode inode;
  inode.mode = S_IFDIR | 0755;
  inode.opaque = opaque;
  return inode;
}

class SecretScrubTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    ingest_ = Start();
  }
  void TearDown() override {
    reader_.reset();
    ingest_.reset();
    StoreTest::TearDown();
  }

  // The directory at `path`, made with those above it.
  InodeIndex DirectoryAt(Tree* tree, const std::string& path) {
    InodeIndex at = Tree::kRoot;
    for (size_t begin = 0; begin < path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      const std::string name = path.substr(begin, end - begin);
      if (const auto found = tree->Lookup(at, name)) {
        at = *found;
      } else {
        const InodeIndex made = *tree->AddInode(Directory());
        EXPECT_TRUE(tree->Link(at, name, made).ok());
        at = made;
      }
      begin = end + 1;
    }
    return at;
  }

  void Link(Tree* tree, const std::string& path, InodeIndex index) {
    const size_t slash = path.rfind('/');
    const bool top = slash == std::string::npos;
    const InodeIndex parent = DirectoryAt(tree, top ? "" : path.substr(0, slash));
    EXPECT_TRUE(tree->Link(parent, top ? path : path.substr(slash + 1), index).ok()) << path;
  }

  // Content past the inline limit is staged, as a save does.
  InodeIndex Put(Tree* tree, const std::string& path, const std::string& content) {
    Inode inode;
    inode.mode = S_IFREG | 0600;
    inode.size = content.size();
    if (content.size() <= kInlineSizeMax) {
      inode.data = content;
    } else {
      inode.object = *ingest_->Add(content);
    }
    const InodeIndex index = *tree->AddInode(std::move(inode));
    Link(tree, path, index);
    return index;
  }

  std::string Manifest(const Tree& tree) {
    auto fd = Open(dir() + "/manifest", O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_TRUE(fd.ok() && WriteErofs(tree, fd->get()).ok());
    return *ReadFile(dir() + "/manifest");
  }

  // Findings as "path|outcome|category", in their order.
  std::vector<std::string> Scrub() {
    image_ = Manifest(base_);
    reader_ = std::move(*ErofsReader::FromMemory(image_));
    const auto found = ScrubSecrets(
        *reader_, [this](const Digest& digest) { return ingest_->OpenContent(digest); }, &layer_);
    EXPECT_TRUE(found.ok()) << found.error().message();
    std::vector<std::string> lines;
    for (const ScrubFinding& each : *found) {
      const char* outcome = each.outcome == ScrubFinding::Outcome::kRemoved   ? "removed"
                            : each.outcome == ScrubFinding::Outcome::kEmptied ? "emptied"
                                                                              : "in base";
      lines.push_back(each.path + "|" + outcome + "|" +
                      std::string(CategoryName(each.rule->category)));
    }
    return lines;
  }

  bool IsWhiteout(const std::string& path) {
    const auto index = layer_.Find(path);
    return index && layer_.inode(*index).IsWhiteout();
  }

  std::unique_ptr<Ingest> ingest_;
  Tree base_;
  Tree layer_;
  std::string image_;
  std::unique_ptr<ErofsReader> reader_;
};

TEST_F(SecretScrubTest, SecretsGoAndTheRestStays) {
  Put(&layer_, "root/.bash_history", "secret-command\n");
  Put(&layer_, "root/.bashrc", "alias ll='ls -l'\n");
  Put(&layer_, "srv/key", kKey);
  Put(&layer_, "srv/large-key", kKey + std::string(5000, '\n'));
  Put(&layer_, "srv/notes", std::string(5000, 'n'));
  Put(&layer_, "root/.netrc", "machine m password secret-word\n");
  EXPECT_THAT(Scrub(),
              ElementsAre("root/.bash_history|removed|history", "root/.netrc|removed|credential",
                          "srv/key|removed|private key", "srv/large-key|removed|private key"));
  EXPECT_FALSE(layer_.Find("root/.bash_history"));
  EXPECT_FALSE(layer_.Find("srv/key"));
  EXPECT_TRUE(layer_.Find("root/.bashrc"));
  EXPECT_TRUE(layer_.Find("srv/notes"));
  EXPECT_EQ(ContentBytes(layer_), 5017u);
  const std::string manifest = Manifest(layer_);
  EXPECT_THAT(manifest, HasSubstr("alias ll"));
  for (const char* gone : {"secret-command", "secret-word", "PRIVATE KEY"}) {
    EXPECT_THAT(manifest, Not(HasSubstr(gone)));
  }
}

TEST_F(SecretScrubTest, TheMachineIdIsEmptiedAndKeepsItsNameAndMode) {
  Put(&base_, "etc/machine-id", std::string(32, 'a'));
  Put(&layer_, "etc/machine-id", std::string(32, 'b'));
  EXPECT_THAT(Scrub(), ElementsAre("etc/machine-id|emptied|machine identity"));
  const Inode& inode = layer_.inode(*layer_.Find("etc/machine-id"));
  EXPECT_EQ(inode.mode, S_IFREG | 0600u);
  EXPECT_EQ(inode.size, 0u);
  EXPECT_TRUE(inode.data.empty() && inode.object.IsZero());
}

TEST_F(SecretScrubTest, EmptyFilesLinksAndDirectoriesAreNoSecrets) {
  Put(&layer_, "etc/machine-id", "");
  Inode link;
  link.mode = S_IFLNK | 0777;
  link.data = "/dev/null";
  Link(&layer_, "root/.bash_history", *layer_.AddInode(std::move(link)));
  DirectoryAt(&layer_, "home/u/.netrc");
  EXPECT_THAT(Scrub(), IsEmpty());
  EXPECT_TRUE(layer_.Find("root/.bash_history"));
}

TEST_F(SecretScrubTest, AWhiteoutHidesWhatTheBaseHasAtThePath) {
  Put(&base_, "root/.netrc", "machine m password old\n");
  Put(&base_, "srv/.pgpass/file", "a directory in the base");
  Put(&layer_, "root/.netrc", "machine m password new\n");
  Put(&layer_, "root/.pgpass", "only in the layer");
  Put(&layer_, "srv/.pgpass", "h:p:d:u:w");
  EXPECT_THAT(Scrub(),
              ElementsAre("root/.netrc|removed|credential", "root/.pgpass|removed|credential",
                          "srv/.pgpass|removed|credential"));
  EXPECT_TRUE(IsWhiteout("root/.netrc"));
  EXPECT_TRUE(IsWhiteout("srv/.pgpass"));
  EXPECT_FALSE(layer_.Find("root/.pgpass"));
  ASSERT_TRUE(ApplyLayer(layer_, &base_).ok());
  EXPECT_FALSE(base_.Find("root/.netrc"));
  EXPECT_FALSE(base_.Find("srv/.pgpass"));
}

TEST_F(SecretScrubTest, NoWhiteoutWhereTheBaseIsHiddenAlready) {
  Put(&base_, "root/.netrc", "machine m password old\n");
  Put(&base_, "home/u", "a file in the base");
  const InodeIndex opaque = *layer_.AddInode(Directory(/*opaque=*/true));
  ASSERT_TRUE(layer_.Link(Tree::kRoot, "root", opaque).ok());
  Put(&layer_, "root/.netrc", "machine m password new\n");
  Put(&layer_, "home/u/.netrc", "machine m password new\n");
  EXPECT_THAT(Scrub(),
              ElementsAre("home/u/.netrc|removed|credential", "root/.netrc|removed|credential"));
  EXPECT_FALSE(layer_.Find("root/.netrc"));
  EXPECT_FALSE(layer_.Find("home/u/.netrc"));
}

TEST_F(SecretScrubTest, WhatTheBaseHoldsAlreadyStaysAndIsReported) {
  const std::string large(3000, 'k');
  Put(&base_, "etc/ssh/ssh_host_rsa_key", large);
  Put(&base_, "etc/machine-id", std::string(32, 'a'));
  Put(&base_, "root/.netrc", "machine m password old\n");
  Put(&base_, "root/.npmrc", "registry=http://r\n");
  Put(&base_, "root/.pgpass", "");
  Put(&base_, "home/u/.netrc", "deleted in the layer\n");
  Put(&base_, "opt/x/.netrc", "hidden by an opaque directory\n");
  Put(&base_, "usr/share/doc/.netrc", "an example\n");
  // Only an owner or a mode changed: overlayfs copies the metadata up, the content is the base's.
  Put(&layer_, "etc/ssh/ssh_host_rsa_key", large);
  Put(&layer_, "root/.netrc", "machine m password old\n");
  Inode whiteout;
  whiteout.mode = S_IFCHR;
  Link(&layer_, "home/u/.netrc", *layer_.AddInode(std::move(whiteout)));
  Link(&layer_, "opt/x", *layer_.AddInode(Directory(/*opaque=*/true)));
  EXPECT_THAT(Scrub(), ElementsAre("etc/ssh/ssh_host_rsa_key|in base|host key",
                                   "root/.netrc|in base|credential",
                                   "etc/machine-id|in base|machine identity"));
  EXPECT_EQ(layer_.inode(*layer_.Find("root/.netrc")).data, "machine m password old\n");
}

TEST_F(SecretScrubTest, AllNamesOfAHardLinkGo) {
  Put(&base_, "srv/b", "the base's file");
  const InodeIndex index = Put(&layer_, "root/.ssh/id_rsa", "k");
  Link(&layer_, "a", index);
  Link(&layer_, "srv/b", index);
  Link(&layer_, "usr/share/doc/c", index);
  EXPECT_THAT(Scrub(),
              ElementsAre("a|removed|private key", "root/.ssh/id_rsa|removed|private key",
                          "srv/b|removed|private key", "usr/share/doc/c|removed|private key"));
  EXPECT_FALSE(layer_.Find("a"));
  EXPECT_FALSE(layer_.Find("usr/share/doc/c"));
  EXPECT_TRUE(IsWhiteout("srv/b"));
  EXPECT_EQ(ContentBytes(layer_), 0u);
}

TEST_F(SecretScrubTest, AHardLinkWithOneNameOutsideOfWhatIsShippedIsLookedInto) {
  const InodeIndex index = Put(&layer_, "usr/share/doc/key.pem", kKey + std::string(600, '\n'));
  EXPECT_THAT(Scrub(), IsEmpty());
  Link(&layer_, "var/key", index);
  Link(&layer_, "var/key2", index);
  EXPECT_THAT(Scrub(), ElementsAre("usr/share/doc/key.pem|removed|private key",
                                   "var/key|removed|private key", "var/key2|removed|private key"));
}

TEST_F(SecretScrubTest, FilesPastTheLimitAndShippedOnesAreNotLookedInto) {
  const std::string just(kSecretContentMax - kKey.size(), '\n');
  Put(&layer_, "srv/just", kKey + just);
  Put(&layer_, "srv/past", kKey + just + "\n");
  Put(&layer_, "opt/venv/lib/python3.11/site-packages/test/key.pem", kKey);
  EXPECT_THAT(Scrub(), ElementsAre("srv/just|removed|private key"));
}

TEST_F(SecretScrubTest, SomeFilesAreSecretsOnlyForWhatTheyHold) {
  Put(&layer_, "a/.npmrc", "registry=http://r\n");
  Put(&layer_, "b/.npmrc", "//r/:_authToken=x\n");
  Put(&layer_, "c/.npmrc", std::string(600, '\n') + "//r/:_authToken=x\n");
  EXPECT_THAT(Scrub(), ElementsAre("b/.npmrc|removed|credential", "c/.npmrc|removed|credential"));
}

TEST_F(SecretScrubTest, AnObjectThatOnlyTheBaseCanHaveIsLeftAlone) {
  Inode moved;
  moved.mode = S_IFREG | 0600;
  moved.size = 1000;
  moved.object = Hasher::Of("elsewhere");
  Link(&layer_, "srv/moved", *layer_.AddInode(std::move(moved)));
  EXPECT_THAT(Scrub(), IsEmpty());
  EXPECT_TRUE(layer_.Find("srv/moved"));
}

TEST_F(SecretScrubTest, AnObjectThatCannotBeReadStopsTheSave) {
  Put(&layer_, "srv/x", std::string(1000, 'x'));
  image_ = Manifest(base_);
  reader_ = std::move(*ErofsReader::FromMemory(image_));
  const auto found = ScrubSecrets(
      *reader_, [](const Digest&) -> Result<UniqueFd> { return Errno("read", EIO); }, &layer_);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().sys_errno(), EIO);
}

}  // namespace
}  // namespace strata::imaged
