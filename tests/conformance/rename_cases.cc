#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

using Names = std::vector<std::string>;

int Rename2(const char* from, const char* to, unsigned flags) {
  return ::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

const Case kCases[] = {
    {"RenameALowerFile",
     [](Env& e) {
       OK(::rename(e.p("file"), e.p("moved")));
       SAME(READ("moved"), std::string(kLowerFile));
       FAILS(ENOENT, ::access(e.p("file"), F_OK));
     }},
    {"RenameALowerFileOverALowerFile",
     [](Env& e) {
       OK(::rename(e.p("file"), e.p("small")));
       SAME(READ("small"), std::string(kLowerFile));
       FAILS(ENOENT, ::access(e.p("file"), F_OK));
     }},
    {"RenameANewFileOverALowerFile",
     [](Env& e) {
       WRITE("new", "new");
       OK(::rename(e.p("new"), e.p("file")));
       SAME(READ("file"), std::string("new"));
     }},
    {"RenameOntoADeletedLowerName",
     [](Env& e) {
       OK(::unlink(e.p("file")));
       OK(::rename(e.p("small"), e.p("file")));
       SAME(STAT("file").st_size, 600);
     }},
    {"RenameIntoANewDirectoryAndBack",
     [](Env& e) {
       OK(::mkdir(e.p("new"), 0755));
       OK(::rename(e.p("file"), e.p("new/file")));
       OK(::rename(e.p("new/file"), e.p("file")));
       SAME(READ("file"), std::string(kLowerFile));
       SAME(LIST("new").size(), 0u);
     }},
    {"RenameALowerDirectory",
     [](Env& e) {
       OK(::rename(e.p("dir"), e.p("moved")));
       SAME(LIST("moved"), (Names{"a", "b", "sub"}));
       SAME(READ("moved/sub/x"), std::string("x\n"));
       FAILS(ENOENT, ::access(e.p("dir"), F_OK));
     }},
    {"RenameALowerDirectoryIntoAnother",
     [](Env& e) {
       OK(::rename(e.p("deep/d1"), e.p("dir/d1")));
       SAME(READ("dir/d1/d2/f"), std::string("deep\n"));
       SAME(LIST("deep").size(), 0u);
     }},
    {"RenameADirectoryTwice",
     [](Env& e) {
       OK(::rename(e.p("dir"), e.p("one")));
       OK(::rename(e.p("one"), e.p("deep/two")));
       SAME(READ("deep/two/sub/x"), std::string("x\n"));
       OK(::rename(e.p("deep"), e.p("deeper")));
       SAME(READ("deeper/two/a"), std::string("a\n"));
     }},
    {"AMovedDirectoryCanBeChanged",
     [](Env& e) {
       OK(::rename(e.p("dir"), e.p("moved")));
       WRITE("moved/new", "n");
       WRITE("moved/a", "changed");
       OK(::unlink(e.p("moved/b")));
       SAME(LIST("moved"), (Names{"a", "new", "sub"}));
       SAME(READ("moved/a"), std::string("changed"));
     }},
    {"ANewDirectoryInPlaceOfAMovedOneIsEmpty",
     [](Env& e) {
       OK(::rename(e.p("dir"), e.p("moved")));
       OK(::mkdir(e.p("dir"), 0755));
       SAME(LIST("dir").size(), 0u);
       SAME(LIST("moved").size(), 3u);
     }},
    {"TwoDirectoriesSwapPlacesThroughAThird",
     [](Env& e) {
       OK(::rename(e.p("dir"), e.p("t")));
       OK(::rename(e.p("deep"), e.p("dir")));
       OK(::rename(e.p("t"), e.p("deep")));
       SAME(READ("dir/d1/d2/f"), std::string("deep\n"));
       SAME(READ("deep/a"), std::string("a\n"));
     }},
    {"RenameADirectoryOverAnEmptyLowerDirectory",
     [](Env& e) {
       OK(::rename(e.p("dir"), e.p("empty_dir")));
       SAME(LIST("empty_dir"), (Names{"a", "b", "sub"}));
     }},
    {"RenameADirectoryOverAnEmptiedLowerDirectory",
     [](Env& e) {
       OK(::unlink(e.p("deep/d1/d2/f")));
       OK(::rename(e.p("dir"), e.p("deep/d1/d2")));
       SAME(LIST("deep/d1/d2"), (Names{"a", "b", "sub"}));
     }},
    {"RenameADirectoryOverAFullOneFails",
     [](Env& e) { FAILS(ENOTEMPTY, ::rename(e.p("deep"), e.p("dir"))); }},
    {"RenameAFileOverADirectoryFails",
     [](Env& e) { FAILS(EISDIR, ::rename(e.p("file"), e.p("empty_dir"))); }},
    {"RenameADirectoryOverAFileFails",
     [](Env& e) { FAILS(ENOTDIR, ::rename(e.p("dir"), e.p("file"))); }},
    {"RenameADirectoryBelowItselfFails",
     [](Env& e) { FAILS(EINVAL, ::rename(e.p("dir"), e.p("dir/sub/dir"))); }},
    {"RenameAMissingNameFails", [](Env& e) { FAILS(ENOENT, ::rename(e.p("none"), e.p("x"))); }},
    {"RenameBetweenTwoNamesOfOneFileDoesNothing",
     [](Env& e) {
       OK(::rename(e.p("l1"), e.p("l2")));
       SAME(STAT("l1").st_nlink, 3u);
       SAME(STAT("l1").st_ino, STAT("l2").st_ino);
     }},
    {"RenameASymbolicLinkMovesTheLink",
     [](Env& e) {
       OK(::rename(e.p("to_file"), e.p("link")));
       HOLDS(S_ISLNK(STAT("link").st_mode));
       SAME(READ("link"), std::string(kLowerFile));
     }},
    {"NoReplaceRefusesALowerTarget",
     [](Env& e) {
       FAILS(EEXIST, Rename2(e.p("file"), e.p("small"), RENAME_NOREPLACE));
       SAME(READ("file"), std::string(kLowerFile));
     }},
    {"NoReplaceTakesADeletedLowerName",
     [](Env& e) {
       OK(::unlink(e.p("small")));
       OK(Rename2(e.p("file"), e.p("small"), RENAME_NOREPLACE));
       SAME(READ("small"), std::string(kLowerFile));
     }},
    {"ExchangeTwoLowerFiles",
     [](Env& e) {
       OK(Rename2(e.p("file"), e.p("small"), RENAME_EXCHANGE));
       SAME(READ("small"), std::string(kLowerFile));
       SAME(STAT("file").st_size, 600);
     }},
    {"ExchangeALowerFileAndALowerDirectory",
     [](Env& e) {
       OK(Rename2(e.p("file"), e.p("dir"), RENAME_EXCHANGE));
       SAME(READ("dir"), std::string(kLowerFile));
       SAME(READ("file/sub/x"), std::string("x\n"));
     }},
    {"ExchangeTwoLowerDirectories",
     [](Env& e) {
       OK(Rename2(e.p("dir"), e.p("deep"), RENAME_EXCHANGE));
       SAME(READ("deep/a"), std::string("a\n"));
       SAME(READ("dir/d1/d2/f"), std::string("deep\n"));
     }},
    {"ExchangeWithAMissingNameFails",
     [](Env& e) { FAILS(ENOENT, Rename2(e.p("file"), e.p("none"), RENAME_EXCHANGE)); }},
    {"ARenamedOpenFileKeepsItsDescriptor",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDWR);
       OK(::rename(e.p("file"), e.p("moved")));
       OK(::pwrite(fd.get(), "LOWER", 5, 0));
       SAME(READ("moved"), std::string("LOWER file\n"));
     }},
    {"AnOverwrittenOpenFileKeepsItsContent",
     [](Env& e) {
       UniqueFd fd = OPEN("small", O_RDONLY);
       OK(::rename(e.p("file"), e.p("small")));
       char byte = 0;
       OK(::pread(fd.get(), &byte, 1, 0));
       SAME(byte, 's');
     }},
    {"ARenamedWorkingDirectoryStaysUsable",
     [](Env& e) {
       UniqueFd fd = OPEN("dir", O_RDONLY | O_DIRECTORY);
       OK(::rename(e.p("dir"), e.p("moved")));
       UniqueFd inner(::openat(fd.get(), "sub/x", O_RDONLY));
       OK(inner.get());
     }},
    {"RenameSetsTheTimesOfBothDirectories",
     [](Env& e) {
       OK(::rename(e.p("dir/a"), e.p("deep/a")));
       HOLDS(STAT("dir").st_mtim.tv_sec > testing::TestImage::kMtime);
       HOLDS(STAT("deep").st_mtim.tv_sec > testing::TestImage::kMtime);
     }},
    {"RenameKeepsInodeNumberAndMtime",
     [](Env& e) {
       const struct stat before = STAT("file");
       OK(::rename(e.p("file"), e.p("moved")));
       SAME(STAT("moved").st_ino, before.st_ino);
       SAME(STAT("moved").st_mtim.tv_sec, before.st_mtim.tv_sec);
     }},
    {"RenameInAStickyDirectoryIsForTheOwner",
     [](Env& e) {
       const char* own = e.p("sticky/of1000");
       const char* other = e.p("sticky/of1001");
       const char* to = e.p("sticky/to");
       SAME(e.As(1000, [&] { return ErrnoOf(::rename(other, to)); }), EPERM);
       SAME(e.As(1000, [&] { return ErrnoOf(::rename(own, other)); }), EPERM);
       SAME(e.As(1000, [&] { return ErrnoOf(::rename(own, to)); }), 0);
     }},
    {"RenameDotFails", [](Env& e) { FAILS(EBUSY, ::rename(e.p("dir/."), e.p("x"))); }},
};

}  // namespace

std::span<const Case> RenameCases() { return kCases; }

}  // namespace strata::conformance
