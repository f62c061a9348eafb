// A save must give an image whose root shows exactly what the container's root showed. Every case
// changes a real kernel-overlayfs root (the product's own mount), saves its upper, puts the layer
// on the base, mounts that as a fresh root, and compares the two views entry by entry.
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <optional>
#include <thread>
#include <tuple>

#include "common/digest.h"
#include "common/file_io.h"
#include "common/mount.h"
#include "common/subprocess.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/save/layer_builder.h"
#include "imaged/save/upper_scan.h"
#include "layerfs/root.h"

namespace strata::imaged {
namespace {

constexpr uint32_t kShiftFirst = 500'000;

#define ASSERT_OK(expr)                                         \
  do {                                                          \
    const auto& ok_result = (expr);                             \
    ASSERT_TRUE(ok_result.ok()) << ok_result.error().message(); \
  } while (false)

// One entry of a view, as text: everything that a user of the root can tell.
using View = std::map<std::string, std::string>;

std::string Describe(int parent, const std::string& name, const struct stat& st,
                     std::map<ino_t, std::string>* first_names, const std::string& path) {
  std::string text = "mode " + std::to_string(st.st_mode) + " owner " + std::to_string(st.st_uid) +
                     ":" + std::to_string(st.st_gid) + " mtime " +
                     std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
  if (!S_ISDIR(st.st_mode)) {
    text += " size " + std::to_string(st.st_size) + " links " + std::to_string(st.st_nlink) +
            " same-as " + first_names->emplace(st.st_ino, path).first->second;
  }
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) text += " rdev " + std::to_string(st.st_rdev);
  auto fd = OpenAt(parent, name, O_PATH | O_NOFOLLOW);
  EXPECT_TRUE(fd.ok());
  const auto xattrs = ReadXattrs(fd->get());
  EXPECT_TRUE(xattrs.ok());
  for (const Xattr& xattr : *xattrs) {
    if (xattr.name != "security.selinux") text += " " + xattr.name + "=" + xattr.value;
  }
  if (S_ISREG(st.st_mode)) {
    auto file = OpenAt(parent, name, O_RDONLY | O_NOFOLLOW);
    EXPECT_TRUE(file.ok()) << path;
    if (file.ok()) text += " content " + HashFile(file->get())->Hex();
  } else if (S_ISLNK(st.st_mode)) {
    char target[4096];
    const ssize_t n = ::readlinkat(parent, name.c_str(), target, sizeof(target));
    text += " -> " + std::string(target, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  }
  return text;
}

void Look(int directory, const std::string& path, View* view,
          std::map<ino_t, std::string>* first_names) {
  auto copy = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(copy.ok());
  DIR* stream = ::fdopendir(copy->release());
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    if (std::string_view(entry->d_name) != "." && std::string_view(entry->d_name) != "..") {
      names.emplace_back(entry->d_name);
    }
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    struct stat st;
    ASSERT_EQ(::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW), 0) << path << name;
    (*view)[path + name] = Describe(directory, name, st, first_names, path + name);
    if (!S_ISDIR(st.st_mode)) continue;
    auto child = OpenAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    ASSERT_TRUE(child.ok());
    Look(child->get(), path + name + "/", view, first_names);
  }
}

View LookAt(const std::string& root) {
  View view;
  std::map<ino_t, std::string> first_names;
  auto fd = Open(root, O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(fd.ok());
  if (fd.ok()) Look(fd->get(), "", &view, &first_names);
  return view;
}

struct Case {
  const char* name;
  const char* script;  // Run by sh in the mounted root.
};

// What users do to a root; every mark that overlayfs can leave appears.
const Case kCases[] = {
    {"NothingChanged", ":"},
    {"NewFiles", "echo new > n; mkdir nd; head -c 100000 /dev/urandom > nd/big; : > empty"},
    {"CopyUpByWriting", "echo more >> big; echo more >> small; echo more >> d/deep/x"},
    {"CopyUpOfMetadataOnly", "chmod 0600 big; chown 7:8 d/deep/x; touch -d @1 small"},
    {"MetadataThenRename", "chmod 0600 big; mv big d/moved"},
    {"RenameAcrossDirectories", "mv big d/deep/big2; mv small d/small2"},
    {"RenameOfALowerDirectory", "mv d e"},
    {"RenameOfALowerDirectoryTwice", "mv d e; mkdir q; mv e q/f"},
    {"RenameAndChangeInside",
     "mv d e; echo z > e/new; rm e/y; echo changed > e/deep/x; mv e/deep e/deeper"},
    {"RenameThenANewDirectoryAtTheOldName", "mv d e; mkdir d; echo other > d/y"},
    {"RenameIntoARenamedDirectory", "mv d e; mv d2 e/d2; mv big e/d2/b"},
    {"ExchangeOfNames", "mv d t; mv d2 d; mv t d2"},
    {"Deletions", "rm big; rm -r d/deep"},
    {"DeletionOfADirectoryAndAgain", "rm -r d; mkdir d; echo fresh > d/only"},
    {"AFileWhereADirectoryWas", "rm -r d; echo file > d"},
    {"ADirectoryWhereAFileWas", "rm big; mkdir big; echo x > big/x"},
    {"HardLinkWritten", "echo more >> h1"},
    {"HardLinkMetadata", "chmod 0604 h2"},
    {"HardLinkWrittenAndOneNameRemoved", "echo more >> h1; rm h1"},
    {"HardLinkWrittenAndAliasDirectoryRenamed", "echo more >> h1; mv d2 d3"},
    {"HardLinkAliasReplaced", "echo more >> h1; rm d2/h3; echo own > d2/h3"},
    {"NewHardLinksToLower", "ln big big-link; ln d/y y-link; echo more >> y-link"},
    {"HardLinkOfMetacopy", "chmod 0600 big; ln big big-link; mv big-link d/deep/bl"},
    {"Symlinks", "ln -s /etc/passwd s; rm link; ln -s elsewhere link; ln -s x d/s"},
    {"Attributes",
     "setfattr -n user.a -v b big; setfattr -n user.c -v d d; setfattr -x user.q small"},
    // overlayfs refuses setfacl on what is still in an EROFS lower (docs/overview.md, limits).
    {"AccessLists",
     "touch -d @2 small d; setfacl -m u:$((first+12)):r small; setfacl -d -m g:$((first+34)):rwx "
     "d"},
    {"SparseFile", "truncate -s 5000000 sparse; echo tail >> sparse"},
    {"FifosAndModes", "mkfifo p; chmod 01777 d2; chmod 06755 small"},
    {"StrangeNames", "touch 'a b' \"$(printf 'new\\nline')\" \"$(printf '\\377')\" -- -n"},
    {"TruncatedLower", ": > big; truncate -s 3 d/y"},
};

// The lower: files above and below the inline limit, hard links, nested directories, attributes.
Tree MakeBase(Ingest* ingest) {
  Tree tree;
  const auto add = [&](InodeIndex parent, const char* name, Inode inode) {
    auto index = tree.AddInode(std::move(inode));
    EXPECT_TRUE(index.ok() && tree.Link(parent, name, *index).ok()) << name;
    return *index;
  };
  const auto directory = [](uint32_t mode = 0755) {
    Inode inode;
    inode.mode = S_IFDIR | mode;
    inode.mtime_s = 1'600'000'000;
    return inode;
  };
  const auto file = [&](const std::string& content) {
    Inode inode;
    inode.mode = S_IFREG | 0644;
    inode.mtime_s = 1'600'000'001;
    inode.mtime_ns = 123'456'789;
    inode.size = content.size();
    if (content.size() <= kInlineSizeMax) {
      inode.data = content;
    } else {
      inode.object = *ingest->Add(content);
    }
    return inode;
  };
  add(Tree::kRoot, "big", file(std::string(50'000, 'b')));
  Inode small = file("small content\n");
  small.xattrs = {{"user.q", "r"}};
  add(Tree::kRoot, "small", std::move(small));
  Inode link;
  link.mode = S_IFLNK | 0777;
  link.data = "small";
  add(Tree::kRoot, "link", std::move(link));
  const InodeIndex d = add(Tree::kRoot, "d", directory());
  const InodeIndex deep = add(d, "deep", directory(0750));
  add(deep, "x", file("x\n"));
  add(deep, "large", file(std::string(9'000, 'l')));
  add(d, "y", file(std::string(2'000, 'y')));
  const InodeIndex d2 = add(Tree::kRoot, "d2", directory());
  const InodeIndex hard = add(Tree::kRoot, "h1", file(std::string(3'000, 'h')));
  EXPECT_TRUE(tree.Link(Tree::kRoot, "h2", hard).ok());
  EXPECT_TRUE(tree.Link(d2, "h3", hard).ok());
  add(d2, "only", file("only\n"));
  return tree;
}

class SaveTest : public testing::TestWithParam<std::tuple<Case, bool>> {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-save.");
    ASSERT_OK(created);
    directory_.emplace(std::move(*created));
    for (const char* name : {"/volume", "/fresh", "/root", "/root2"}) {
      ASSERT_OK(MakeDirectories(directory_->path() + name));
    }
    auto store = ObjectStore::Open(directory_->path() + "/store");
    ASSERT_OK(store);
    store_ = std::move(*store);
    auto ingest = store_->StartIngest();
    ASSERT_OK(ingest);
    base_.emplace(MakeBase(ingest->get()));
    ASSERT_OK((*ingest)->Commit());
    ASSERT_OK(WriteTree(*base_, Path("base.erofs")));
  }

  void TearDown() override {
    for (const char* mount : {"/root", "/root2"}) {
      EXPECT_TRUE(Unmount(directory_->path() + mount).ok());
    }
    const auto mounts = ReadFile("/proc/self/mounts");
    EXPECT_EQ(mounts->find(directory_->path()), std::string::npos) << "a mount stayed";
  }

  std::string Path(const std::string& name) const { return directory_->path() + "/" + name; }

  Status WriteTree(const Tree& tree, const std::string& path) {
    ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDWR | O_CREAT | O_EXCL, 0644));
    ASSIGN_OR_RETURN(auto written, WriteErofs(tree, fd.get()));
    (void)written;
    return Ok();
  }

  layerfs::RootSpec Spec(const std::string& tree, const std::string& volume, bool shifted) const {
    layerfs::RootSpec spec;
    spec.tree_path = tree;
    spec.objects_dir = store_->objects_dir();
    spec.upper_dir = volume + "/upper";
    spec.work_dir = volume + "/work";
    if (shifted) spec.id_shift = layerfs::IdShift{kShiftFirst, 65536};
    return spec;
  }

  Status MountAt(const layerfs::RootSpec& spec, const std::string& path) {
    RETURN_IF_ERROR(layerfs::PrepareUpper(spec));
    ASSIGN_OR_RETURN(const UniqueFd mount, MountRoot(layerfs::Driver::kKernel, spec));
    return AttachMount(mount.get(), path);
  }

  // The saved layer on the base, mounted as a fresh root at root2.
  void MountSaved(const UpperSnapshot& snapshot, const Ingest&, bool shifted) {
    auto reader = ErofsReader::Open(Path("base.erofs"));
    ASSERT_OK(reader);
    auto layer = BuildLayer(snapshot, **reader, {shifted ? kShiftFirst : 0, shifted ? 65536u : 0});
    ASSERT_OK(layer);
    EXPECT_THAT(layer->warnings, testing::IsEmpty());
    ASSERT_OK(ApplyLayer(layer->tree, &*base_));
    ASSERT_OK(WriteTree(*base_, Path("saved.erofs")));
    ASSERT_OK(MountAt(Spec(Path("saved.erofs"), Path("fresh"), shifted), Path("root2")));
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<ObjectStore> store_;
  std::optional<Tree> base_;
};

TEST_P(SaveTest, TheImageShowsWhatTheContainerShowed) {
  const auto& [test_case, shifted] = GetParam();
  const layerfs::RootSpec spec = Spec(Path("base.erofs"), Path("volume"), shifted);
  ASSERT_OK(MountAt(spec, Path("root")));
  // Owners that the script gives are the container's: with a shift, numbers as the host sees them.
  const auto output =
      strata::Run({"sh", "-ec", "cd \"$0\"; first=$1; " + std::string(test_case.script),
                   Path("root"), std::to_string(shifted ? kShiftFirst : 0)});
  ASSERT_OK(output);
  if (shifted) {  // A container cannot make files of the host's ids: give it what the host made.
    ASSERT_OK(RunChecked({"find", Path("root"), "-uid", "-1000", "-exec", "chown", "-h",
                          "500007:500008", "{}", "+"}));
  }
  ASSERT_EQ(output->exit_code, 0) << output->err;
  const View expected = LookAt(Path("root"));

  auto ingest = store_->StartIngest();
  ASSERT_OK(ingest);
  auto scan = UpperScan::Open(spec.upper_dir, spec.work_dir, ingest->get(), {});
  ASSERT_OK(scan);
  ASSERT_OK((*scan)->Round(false));
  ASSERT_OK((*scan)->Round(true));
  ASSERT_OK((*ingest)->Commit());
  MountSaved((*scan)->snapshot(), **ingest, shifted);
  const View actual = LookAt(Path("root2"));
  for (const auto& [path, text] : expected) {
    const auto it = actual.find(path);
    ASSERT_NE(it, actual.end()) << path << " is missing";
    EXPECT_EQ(it->second, text) << path;
  }
  for (const auto& [path, text] : actual) EXPECT_TRUE(expected.contains(path)) << path << " is new";
}

INSTANTIATE_TEST_SUITE_P(Cases, SaveTest,
                         testing::Combine(testing::ValuesIn(kCases), testing::Bool()),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param).name) +
                                  (std::get<1>(instance.param) ? "Shifted" : "");
                         });

class SaveRoundsTest : public SaveTest {
 protected:
  void Start() {
    spec_ = Spec(Path("base.erofs"), Path("volume"), false);
    ASSERT_OK(MountAt(spec_, Path("root")));
    auto ingest = store_->StartIngest();
    ASSERT_OK(ingest);
    ingest_ = std::move(*ingest);
  }
  Status OpenScan() {
    ASSIGN_OR_RETURN(scan_, UpperScan::Open(spec_.upper_dir, spec_.work_dir, ingest_.get(), {}));
    return Ok();
  }
  layerfs::RootSpec spec_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<UpperScan> scan_;
};

void Write(const std::string& path, const std::string& data) {
  std::ofstream(path, std::ios::binary) << data;
}

void WaitUntilCtimesSettle() {
  // A change right before a capture is captured again by design; what the counts below tell needs
  // files that are older than the clock's granularity.
  timespec pause{0, 200'000'000};
  ::nanosleep(&pause, nullptr);
}

TEST_F(SaveRoundsTest, TheSecondRoundTakesOnlyWhatChanged) {
  Start();
  for (int i = 0; i < 50; ++i) Write(Path("root/f" + std::to_string(i)), std::string(10'000, 'a'));
  WaitUntilCtimesSettle();
  ASSERT_OK(OpenScan());
  const auto first = scan_->Round(false);
  ASSERT_OK(first);
  EXPECT_EQ(first->captured_bytes, 500'000u);
  Write(Path("root/f7"), std::string(10'000, 'b'));
  Write(Path("root/new"), std::string(5'000, 'c'));
  const auto second = scan_->Round(true);
  ASSERT_OK(second);
  EXPECT_EQ(second->captured_bytes, 15'000u);
  EXPECT_EQ(second->captured, 3u) << "f7, new, and the directory";
  EXPECT_EQ(second->entries, 51u);
}

TEST_F(SaveRoundsTest, StoresThroughAMappingAreSeen) {
  Start();
  Write(Path("root/m"), std::string(8192, 'a'));
  auto fd = Open(Path("root/m"), O_RDWR);
  ASSERT_OK(fd);
  auto* map =
      static_cast<char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  map[0] = 'x';
  WaitUntilCtimesSettle();
  ASSERT_OK(OpenScan());
  ASSERT_OK(scan_->Round(false));
  map[1] = 'y';  // No system call tells of this; only the fault after the round's syncfs does.
  ASSERT_OK(scan_->Round(true));
  std::string expected(8192, 'a');
  expected[0] = 'x';
  expected[1] = 'y';
  EXPECT_EQ(scan_->snapshot().entries[1].captured->inode.object, Hasher::Of(expected));
  ::munmap(map, 8192);
}

// The second store into a page that is dirty already does not fault: nothing changes ctime.
TEST_F(SaveRoundsTest, AStoreIntoAPageThatWasDirtiedAfterTheSyncIsSeen) {
  Start();
  Write(Path("root/m"), std::string(8192, 'a'));
  auto fd = Open(Path("root/m"), O_RDWR);
  ASSERT_OK(fd);
  auto* map = static_cast<volatile char*>(
      (::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0)));
  WaitUntilCtimesSettle();
  ASSERT_OK(OpenScan());
  std::atomic<bool> stop{false};
  std::atomic<int> value{0};
  std::jthread writer([&] {
    while (!stop) map[1] = static_cast<char>('a' + ++value % 26);
  });
  for (int i = 0; i < 20; ++i) ASSERT_OK(scan_->Round(false));
  stop = true;
  writer.join();
  ASSERT_OK(scan_->Round(true));
  std::string expected(8192, 'a');
  expected[1] = map[1];
  EXPECT_EQ(scan_->snapshot().entries[1].captured->inode.object, Hasher::Of(expected));
  ::munmap(const_cast<char*>(map), 8192);
}

TEST_F(SaveRoundsTest, AChangeWithinTheClocksGranularityIsNotMissed) {
  Start();
  ASSERT_OK(OpenScan());
  for (int i = 0; i < 200; ++i) {
    const std::string file = Path("root/f");
    Write(file, std::string(1000, static_cast<char>('a' + i % 20)));
    ASSERT_OK(scan_->Round(false));
    Write(file, std::string(1000, static_cast<char>('b' + i % 20)));
    ASSERT_OK(scan_->Round(true));
    const UpperSnapshot& snapshot = scan_->snapshot();
    ASSERT_EQ(snapshot.entries.size(), 2u);
    EXPECT_EQ(snapshot.entries[1].captured->inode.object,
              Hasher::Of(std::string(1000, static_cast<char>('b' + i % 20))));
  }
}

TEST_F(SaveRoundsTest, FilesThatComeAndGoUnderTheWalkDoNotStopIt) {
  Start();
  ASSERT_OK(OpenScan());
  std::atomic<bool> stop{false};
  std::jthread churn([&] {
    for (int i = 0; !stop; ++i) {
      const std::string name = Path("root/c" + std::to_string(i % 50));
      if (i % 3 == 0) {
        ::mkdir((name + "d").c_str(), 0755);
        Write(name + "d/f", "x");
      } else if (i % 3 == 1) {
        Write(name, std::string(2000, 'x'));
      } else {
        ::unlink((Path("root/c" + std::to_string((i * 7) % 50))).c_str());
        ASSERT_TRUE(RemoveTree(Path("root/c" + std::to_string((i * 5) % 50) + "d")).ok());
      }
    }
  });
  for (int i = 0; i < 100; ++i) ASSERT_OK(scan_->Round(false));
  stop = true;
}

TEST_F(SaveRoundsTest, ACancelledRoundStops) {
  Start();
  Write(Path("root/f"), "x");
  CancelToken cancel;
  cancel.Cancel();
  UpperScan::Options options;
  options.cancel = &cancel;
  auto scan = UpperScan::Open(spec_.upper_dir, spec_.work_dir, ingest_.get(), options);
  ASSERT_OK(scan);
  EXPECT_EQ((*scan)->Round(false).error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace strata::imaged
