#include <fcntl.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

std::string Target(Env& e, const char* path) {
  char text[4096];
  const ssize_t n = ::readlink(path, text, sizeof(text));
  e.Ok(n, path, __LINE__);
  return n < 0 ? std::string() : std::string(text, static_cast<size_t>(n));
}

const Case kCases[] = {
    {"LowerHardLinksAreOneFile",
     [](Env& e) {
       SAME(STAT("l1").st_ino, STAT("l2").st_ino);
       SAME(STAT("l1").st_ino, STAT("sub/l3").st_ino);
       SAME(STAT("l1").st_nlink, 3u);
     }},
    {"AWriteThroughOneLowerNameShowsInAll",
     [](Env& e) {
       WRITE("l1", "changed");
       SAME(READ("l2"), std::string("changed"));
       SAME(READ("sub/l3"), std::string("changed"));
       SAME(STAT("sub/l3").st_nlink, 3u);
       SAME(STAT("l1").st_ino, STAT("sub/l3").st_ino);
     }},
    {"AChmodOfOneLowerNameShowsInAll",
     [](Env& e) {
       OK(::chmod(e.p("sub/l3"), 0600));
       SAME(STAT("l1").st_mode & 07777, 0600u);
       SAME(STAT("l2").st_mode & 07777, 0600u);
     }},
    {"WritesThroughDifferentNamesMeet",
     [](Env& e) {
       UniqueFd one = OPEN("l1", O_WRONLY);
       UniqueFd two = OPEN("l2", O_WRONLY);
       OK(::pwrite(one.get(), "A", 1, 0));
       OK(::pwrite(two.get(), "B", 1, 1));
       SAME(READ("sub/l3").substr(0, 2), std::string("AB"));
     }},
    {"LinkALowerFile",
     [](Env& e) {
       OK(::link(e.p("file"), e.p("second")));
       SAME(STAT("file").st_nlink, 2u);
       SAME(STAT("file").st_ino, STAT("second").st_ino);
       WRITE("second", "both");
       SAME(READ("file"), std::string("both"));
     }},
    {"AFurtherNameOfALowerLinkCountsOn",
     [](Env& e) {
       OK(::link(e.p("l2"), e.p("dir/l4")));
       SAME(STAT("l1").st_nlink, 4u);
       OK(::unlink(e.p("l1")));
       SAME(STAT("dir/l4").st_nlink, 3u);
     }},
    {"LinkOverAnExistingNameFails",
     [](Env& e) {
       FAILS(EEXIST, ::link(e.p("file"), e.p("small")));
       FAILS(EEXIST, ::link(e.p("file"), e.p("dir")));
     }},
    {"LinkOverADeletedLowerName",
     [](Env& e) {
       OK(::unlink(e.p("small")));
       OK(::link(e.p("file"), e.p("small")));
       SAME(READ("small"), std::string(kLowerFile));
     }},
    {"LinkOfADirectoryFails", [](Env& e) { FAILS(EPERM, ::link(e.p("dir"), e.p("x"))); }},
    {"LinkOfASymbolicLinkLinksTheLink",
     [](Env& e) {
       OK(::link(e.p("to_file"), e.p("x")));
       HOLDS(S_ISLNK(STAT("x").st_mode));
       SAME(STAT("x").st_nlink, 2u);
     }},
    {"LinkCanFollowASymbolicLink",
     [](Env& e) {
       OK(::linkat(AT_FDCWD, e.p("to_file"), AT_FDCWD, e.p("x"), AT_SYMLINK_FOLLOW));
       SAME(STAT("x").st_ino, STAT("file").st_ino);
     }},
    {"LinkOfAMissingNameFails", [](Env& e) { FAILS(ENOENT, ::link(e.p("none"), e.p("x"))); }},
    {"LinkSetsCtime",
     [](Env& e) {
       OK(::link(e.p("file"), e.p("x")));
       HOLDS(STAT("file").st_ctim.tv_sec > testing::TestImage::kMtime);
       SAME(STAT("file").st_mtim.tv_sec, testing::TestImage::kMtime);
     }},
    {"LowerSymbolicLinksRead",
     [](Env& e) {
       SAME(Target(e, e.p("to_file")), std::string("file"));
       SAME(STAT("to_file").st_size, 4);
       SAME(READ("to_file"), std::string(kLowerFile));
       SAME(READ("to_dir/a"), std::string("a\n"));
     }},
    {"MakeASymbolicLink",
     [](Env& e) {
       OK(::symlink("dir/a", e.p("new")));
       SAME(READ("new"), std::string("a\n"));
       FAILS(EEXIST, ::symlink("x", e.p("new")));
       FAILS(EEXIST, ::symlink("x", e.p("file")));
     }},
    {"ALongTarget",
     [](Env& e) {
       const std::string target(4000, 't');
       OK(::symlink(target.c_str(), e.p("long")));
       SAME(Target(e, e.p("long")), target);
     }},
    {"ReadlinkOfAFileFails",
     [](Env& e) {
       char text[8];
       FAILS(EINVAL, ::readlink(e.p("file"), text, sizeof(text)));
     }},
    {"ALoopOfLinksFails",
     [](Env& e) {
       OK(::symlink("loop2", e.p("loop1")));
       OK(::symlink("loop1", e.p("loop2")));
       FAILS(ELOOP, ::open(e.p("loop1"), O_RDONLY));
     }},
    {"LchownOfALowerSymbolicLink",
     [](Env& e) {
       OK(::lchown(e.p("to_file"), 1000, 1000));
       SAME(STAT("to_file").st_uid, 1000u);
       SAME(STAT("file").st_uid, 0u);
       SAME(Target(e, e.p("to_file")), std::string("file"));
     }},
    {"LchownOfALinkedLowerFileKeepsItsLinks",
     [](Env& e) {
       OK(::lchown(e.p("l2"), 1000, 1000));
       SAME(STAT("sub/l3").st_uid, 1000u);
       SAME(STAT("l1").st_nlink, 3u);
     }},
};

}  // namespace

std::span<const Case> LinkCases() { return kCases; }

}  // namespace strata::conformance
