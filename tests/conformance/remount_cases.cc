// What must be the same after an unmount and a mount: with the other driver where there are two.
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

using Names = std::vector<std::string>;

const Case kCases[] = {
    {"WrittenFilesPersist",
     [](Env& e) {
       WRITE("file", "changed");
       WRITE("dir/new", "new");
       e.Remount();
       SAME(READ("file"), std::string("changed"));
       SAME(READ("dir/new"), std::string("new"));
       SAME(LIST("dir"), (Names{"a", "b", "new", "sub"}));
     }},
    {"DeletedNamesStayDeleted",
     [](Env& e) {
       OK(::unlink(e.p("dir/a")));
       OK(::rmdir(e.p("empty_dir")));
       e.Remount();
       SAME(LIST("dir"), (Names{"b", "sub"}));
       FAILS(ENOENT, ::access(e.p("empty_dir"), F_OK));
       WRITE("dir/a", "again");
       e.Remount();
       SAME(READ("dir/a"), std::string("again"));
     }},
    {"AReplacedDirectoryStaysEmpty",
     [](Env& e) {
       OK(::unlink(e.p("deep/d1/d2/f")));
       OK(::rmdir(e.p("deep/d1/d2")));
       OK(::mkdir(e.p("deep/d1/d2"), 0755));
       e.Remount();
       SAME(LIST("deep/d1/d2").size(), 0u);
       WRITE("deep/d1/d2/g", "g");
       e.Remount();
       SAME(LIST("deep/d1/d2"), (Names{"g"}));
     }},
    {"AMovedDirectoryStaysMoved",
     [](Env& e) {
       OK(::rename(e.p("dir"), e.p("deep/moved")));
       OK(::unlink(e.p("deep/moved/b")));
       e.Remount();
       SAME(LIST("deep/moved"), (Names{"a", "sub"}));
       SAME(READ("deep/moved/sub/x"), std::string("x\n"));
       FAILS(ENOENT, ::access(e.p("dir"), F_OK));
       OK(::rename(e.p("deep/moved"), e.p("dir")));
       e.Remount();
       SAME(LIST("dir"), (Names{"a", "sub"}));
     }},
    {"ADirectoryMovedTwiceAcrossARemount",
     [](Env& e) {
       OK(::rename(e.p("deep"), e.p("one")));
       e.Remount();
       OK(::rename(e.p("one/d1"), e.p("two")));
       WRITE("two/new", "n");
       e.Remount();
       SAME(READ("two/d2/f"), std::string("deep\n"));
       SAME(LIST("two"), (Names{"d2", "new"}));
       SAME(LIST("one").size(), 0u);
     }},
    {"AChangedModePersistsAndTheDataIsStillThere",
     [](Env& e) {
       OK(::chmod(e.p("big"), 0600));
       OK(::chown(e.p("big"), 1000, 1000));
       e.Remount();
       SAME(STAT("big").st_mode & 07777, 0600u);
       SAME(STAT("big").st_uid, 1000u);
       HOLDS(READ("big") == BigContent());
       {
         UniqueFd fd = OPEN("big", O_WRONLY | O_APPEND);
         OK(::write(fd.get(), "!", 1));
       }
       e.Remount();
       HOLDS(READ("big") == BigContent() + "!");
       SAME(STAT("big").st_mode & 07777, 0600u);
     }},
    {"AMovedFileWithoutCopiedDataPersists",
     [](Env& e) {
       OK(::rename(e.p("big"), e.p("deep/d1/big")));
       OK(::chmod(e.p("deep/d1/big"), 0640));
       OK(::rename(e.p("deep"), e.p("deeper")));
       e.Remount();
       HOLDS(READ("deeper/d1/big") == BigContent());
     }},
    {"HardLinksStayLinked",
     [](Env& e) {
       WRITE("l1", "changed");
       e.Remount();
       SAME(READ("l2"), std::string("changed"));
       SAME(READ("sub/l3"), std::string("changed"));
       SAME(STAT("l2").st_ino, STAT("sub/l3").st_ino);
       SAME(STAT("l1").st_nlink, 3u);
       OK(::unlink(e.p("l2")));
       e.Remount();
       SAME(STAT("sub/l3").st_nlink, 2u);
       FAILS(ENOENT, ::access(e.p("l2"), F_OK));
     }},
    {"ANewLinkOfALowerFilePersists",
     [](Env& e) {
       OK(::link(e.p("file"), e.p("dir/second")));
       e.Remount();
       SAME(STAT("file").st_ino, STAT("dir/second").st_ino);
       SAME(STAT("file").st_nlink, 2u);
       WRITE("dir/second", "both");
       e.Remount();
       SAME(READ("file"), std::string("both"));
     }},
    {"AttributesAndAclsPersist",
     [](Env& e) {
       OK(::lsetxattr(e.p("attrs"), "user.new", "1", 1, 0));
       OK(::lremovexattr(e.p("attrs"), "user.k"));
       const std::string acl = XATTR("acl", "system.posix_acl_access");
       OK(::chown(e.p("acl"), 1001, 1001));
       e.Remount();
       SAME(XATTR("attrs", "user.new"), std::string("1"));
       SAME(XATTR("attrs", "trusted.t"), std::string("v"));
       char value[8];
       FAILS(ENODATA, ::lgetxattr(e.p("attrs"), "user.k", value, sizeof(value)));
       SAME(XATTR("acl", "system.posix_acl_access"), acl);
     }},
    {"TimesPersist",
     [](Env& e) {
       const timespec times[2] = {{5, 0}, {6, 7}};
       OK(::utimensat(AT_FDCWD, e.p("file"), times, 0));
       OK(::utimensat(AT_FDCWD, e.p("dir"), times, 0));
       e.Remount();
       SAME(STAT("file").st_mtim.tv_sec, 6);
       SAME(STAT("file").st_mtim.tv_nsec, 7);
       SAME(STAT("dir").st_mtim.tv_sec, 6);
     }},
    {"SpecialFilesPersist",
     [](Env& e) {
       OK(::mknod(e.p("dev"), S_IFCHR | 0600, makedev(1, 5)));
       OK(::chmod(e.p("null"), 0600));
       OK(::symlink("dev", e.p("link")));
       e.Remount();
       SAME(STAT("dev").st_rdev, makedev(1, 5));
       SAME(STAT("null").st_rdev, makedev(1, 3));
       HOLDS(S_ISLNK(STAT("link").st_mode));
     }},
    {"ExchangedNamesPersist",
     [](Env& e) {
       OK(::renameat2(AT_FDCWD, e.p("dir"), AT_FDCWD, e.p("file"), RENAME_EXCHANGE));
       e.Remount();
       SAME(READ("dir"), std::string(kLowerFile));
       SAME(LIST("file"), (Names{"a", "b", "sub"}));
     }},
    {"AnUntouchedViewIsTheSame",
     [](Env& e) {
       const Names before = LIST(".");
       e.Remount();
       SAME(LIST("."), before);
       HOLDS(READ("big") == BigContent());
     }},
    {"InodeNumbersOfFilesSurviveARemount",
     [](Env& e) {
       WRITE("file", "changed");
       const struct stat changed = STAT("file"), lower = STAT("small");
       e.Remount();
       SAME(STAT("file").st_ino, changed.st_ino);
       SAME(STAT("small").st_ino, lower.st_ino);
     }},
};

}  // namespace

std::span<const Case> RemountCases() { return kCases; }

}  // namespace strata::conformance
