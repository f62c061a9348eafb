#include <fcntl.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

using Names = std::vector<std::string>;

const Case kCases[] = {
    {"UnlinkALowerFile",
     [](Env& e) {
       OK(::unlink(e.p("dir/a")));
       FAILS(ENOENT, ::access(e.p("dir/a"), F_OK));
       SAME(LIST("dir"), (Names{"b", "sub"}));
     }},
    {"ADeletedLowerNameCanBeCreatedAgain",
     [](Env& e) {
       OK(::unlink(e.p("file")));
       UniqueFd fd = e.Open(e.p("file"), O_CREAT | O_EXCL | O_RDWR, 0600, __LINE__);
       SAME(READ("file"), std::string());
       SAME(STAT("file").st_mode & 07777, 0600u);
     }},
    {"ADeletedLowerFileCanBecomeADirectory",
     [](Env& e) {
       OK(::unlink(e.p("file")));
       OK(::mkdir(e.p("file"), 0755));
       WRITE("file/x", "x");
       SAME(LIST("file"), (Names{"x"}));
     }},
    {"ADeletedLowerDirectoryCanBecomeAFile",
     [](Env& e) {
       OK(::rmdir(e.p("empty_dir")));
       WRITE("empty_dir", "now a file");
       SAME(READ("empty_dir"), std::string("now a file"));
     }},
    {"ADeletedNameCanBecomeASymbolicLink",
     [](Env& e) {
       OK(::unlink(e.p("file")));
       OK(::symlink("small", e.p("file")));
       SAME(READ("file").size(), 600u);
     }},
    {"UnlinkedTwiceFails",
     [](Env& e) {
       OK(::unlink(e.p("file")));
       FAILS(ENOENT, ::unlink(e.p("file")));
     }},
    {"UnlinkOfADirectoryFails", [](Env& e) { FAILS(EISDIR, ::unlink(e.p("empty_dir"))); }},
    {"RmdirOfAFileFails", [](Env& e) { FAILS(ENOTDIR, ::rmdir(e.p("file"))); }},
    {"RmdirOfAFullLowerDirectoryFails", [](Env& e) { FAILS(ENOTEMPTY, ::rmdir(e.p("dir"))); }},
    {"RmdirOfALowerDirectoryWithANewFileFails",
     [](Env& e) {
       WRITE("empty_dir/new", "");
       FAILS(ENOTEMPTY, ::rmdir(e.p("empty_dir")));
     }},
    {"RmdirOfAnEmptiedLowerDirectory",
     [](Env& e) {
       OK(::unlink(e.p("dir/a")));
       OK(::unlink(e.p("dir/b")));
       OK(::unlink(e.p("dir/sub/x")));
       FAILS(ENOTEMPTY, ::rmdir(e.p("dir")));
       OK(::rmdir(e.p("dir/sub")));
       OK(::rmdir(e.p("dir")));
       FAILS(ENOENT, ::access(e.p("dir"), F_OK));
     }},
    {"ADirectoryMadeAgainShowsNothingOfTheOldOne",
     [](Env& e) {
       OK(::unlink(e.p("deep/d1/d2/f")));
       OK(::rmdir(e.p("deep/d1/d2")));
       OK(::mkdir(e.p("deep/d1/d2"), 0700));
       SAME(LIST("deep/d1/d2").size(), 0u);
       FAILS(ENOENT, ::access(e.p("deep/d1/d2/f"), F_OK));
       SAME(STAT("deep/d1/d2").st_mode & 07777, 0700u);
       WRITE("deep/d1/d2/g", "g");
       SAME(LIST("deep/d1/d2"), (Names{"g"}));
     }},
    {"RmdirDotAndDotDotFail",
     [](Env& e) {
       FAILS(EINVAL, ::rmdir(e.p("dir/.")));
       FAILS(ENOTEMPTY, ::rmdir(e.p("dir/..")));
     }},
    {"MkdirOverALowerNameFails",
     [](Env& e) {
       FAILS(EEXIST, ::mkdir(e.p("dir"), 0755));
       FAILS(EEXIST, ::mkdir(e.p("file"), 0755));
       FAILS(EEXIST, ::mkdir(e.p("dangling"), 0755));
     }},
    {"ARemovedDirectoryThatIsOpenIsEmptyAndTakesNothing",
     [](Env& e) {
       UniqueFd fd = OPEN("empty_dir", O_RDONLY | O_DIRECTORY);
       OK(::rmdir(e.p("empty_dir")));
       FAILS(ENOENT, ::openat(fd.get(), "x", O_CREAT | O_WRONLY, 0644));
       FAILS(ENOENT, ::mkdirat(fd.get(), "x", 0755));
       struct stat st = {};
       OK(::fstat(fd.get(), &st));
       SAME(st.st_nlink, 0u);
     }},
    {"UnlinkInAStickyDirectoryIsForTheOwner",
     [](Env& e) {
       const char* own = e.p("sticky/of1000");
       const char* other = e.p("sticky/of1001");
       SAME(e.As(1000, [&] { return ErrnoOf(::unlink(other)); }), EPERM);
       SAME(e.As(1000, [&] { return ErrnoOf(::unlink(own)); }), 0);
       SAME(LIST("sticky"), (Names{"of1001"}));
     }},
    {"UnlinkInAForeignDirectoryIsRefused",
     [](Env& e) {
       const char* path = e.p("user_file");
       SAME(e.As(1000, [&] { return ErrnoOf(::unlink(path)); }), EACCES);
     }},
    {"ManyLowerNamesDeletedWhileListing",
     [](Env& e) {
       for (const std::string& name : LIST("many")) OK(::unlink(e.p("many/" + name)));
       SAME(LIST("many").size(), 0u);
       OK(::rmdir(e.p("many")));
     }},
    {"UnlinkingOneNameKeepsTheOthers",
     [](Env& e) {
       OK(::unlink(e.p("l1")));
       SAME(READ("l2"), std::string(kLinked));
       SAME(STAT("sub/l3").st_nlink, 2u);
     }},
    {"UnlinkingAllNamesOneByOne",
     [](Env& e) {
       UniqueFd fd = OPEN("l1", O_RDONLY);
       OK(::unlink(e.p("l2")));
       OK(::unlink(e.p("sub/l3")));
       SAME(STAT("l1").st_nlink, 1u);
       OK(::unlink(e.p("l1")));
       struct stat st = {};
       OK(::fstat(fd.get(), &st));
       SAME(st.st_nlink, 0u);
     }},
    {"RemovalSetsTheDirectorysTimes",
     [](Env& e) {
       OK(::unlink(e.p("dir/a")));
       HOLDS(STAT("dir").st_mtim.tv_sec > testing::TestImage::kMtime);
       HOLDS(STAT("dir").st_ctim.tv_sec > testing::TestImage::kMtime);
     }},
    {"UnlinkingANameSetsTheCtimeOfTheFile",
     [](Env& e) {
       const struct stat before = STAT("l2");
       OK(::unlink(e.p("l1")));
       const struct stat after = STAT("l2");
       HOLDS(after.st_ctim.tv_sec > before.st_ctim.tv_sec ||
             (after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
              after.st_ctim.tv_nsec > before.st_ctim.tv_nsec));
     }},
};

}  // namespace

std::span<const Case> RemoveCases() { return kCases; }

}  // namespace strata::conformance
