#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

bool Later(const timespec& a, const timespec& b) {
  return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

const Case kCases[] = {
    {"ChmodOfALowerFileKeepsDataAndMtime",
     [](Env& e) {
       OK(::chmod(e.p("big"), 0601));
       SAME(STAT("big").st_mode & 07777, 0601u);
       SAME(STAT("big").st_mtim.tv_sec, testing::TestImage::kMtime);
       HOLDS(READ("big") == BigContent());
     }},
    {"ChmodOfALowerDirectory",
     [](Env& e) {
       OK(::chmod(e.p("dir"), 0700));
       SAME(STAT("dir").st_mode & 07777, 0700u);
       SAME(LIST("dir").size(), 3u);
     }},
    {"ChmodSetsCtime",
     [](Env& e) {
       const struct stat before = STAT("file");
       OK(::chmod(e.p("file"), 0600));
       HOLDS(Later(STAT("file").st_ctim, before.st_ctim));
     }},
    {"ChmodThenWriteCopiesTheDataUp",
     [](Env& e) {
       OK(::chmod(e.p("big"), 0600));
       {
         UniqueFd fd = OPEN("big", O_WRONLY | O_APPEND);
         OK(::write(fd.get(), "!", 1));
       }
       HOLDS(READ("big") == BigContent() + "!");
       SAME(STAT("big").st_mode & 07777, 0600u);
     }},
    {"FchmodThroughAReadOnlyDescriptor",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDONLY);
       OK(::fchmod(fd.get(), 0640));
       SAME(STAT("file").st_mode & 07777, 0640u);
       struct stat st = {};
       OK(::fstat(fd.get(), &st));
       SAME(st.st_mode & 07777, 0640u);
     }},
    {"ChmodByAStrangerIsRefused",
     [](Env& e) {
       const char* foreign = e.p("file");
       const char* own = e.p("user_file");
       SAME(e.As(1000, [&] { return ErrnoOf(::chmod(foreign, 0777)); }), EPERM);
       SAME(e.As(1000, [&] { return ErrnoOf(::chmod(own, 0600)); }), 0);
       SAME(STAT("user_file").st_mode & 07777, 0600u);
     }},
    {"ChownChangesBothIds",
     [](Env& e) {
       OK(::chown(e.p("file"), 1234, 4321));
       SAME(STAT("file").st_uid, 1234u);
       SAME(STAT("file").st_gid, 4321u);
       SAME(READ("file"), std::string(kLowerFile));
     }},
    {"ChownOfALowerDirectory",
     [](Env& e) {
       OK(::chown(e.p("dir"), 1000, 1000));
       SAME(STAT("dir").st_uid, 1000u);
       const char* path = e.p("dir/new");
       SAME(e.As(1000, [&] { return ErrnoOf(::mkdir(path, 0755)); }), 0);
     }},
    {"ChownByAStrangerIsRefused",
     [](Env& e) {
       const char* path = e.p("user_file");
       SAME(e.As(1000, [&] { return ErrnoOf(::chown(path, 1001, 1000)); }), EPERM);
     }},
    {"ChownByTheOwnerClearsSetuid",
     [](Env& e) {
       const char* path = e.p("suid");
       SAME(STAT("suid").st_mode & 07777, 06755u);
       SAME(e.As(1000, [&] { return ErrnoOf(::chown(path, 1000, 1000)); }), 0);
       SAME(STAT("suid").st_mode & 07777, 0755u);
     }},
    {"AWriteByAnUnprivilegedUserClearsSetuid",
     [](Env& e) {
       const char* path = e.p("suid_any");
       SAME(e.As(1000,
                 [&] {
                   const int fd = ::open(path, O_WRONLY);
                   return ErrnoOf(fd < 0 ? fd : ::pwrite(fd, "y", 1, 0));
                 }),
            0);
       SAME(STAT("suid_any").st_mode & 07777, 0777u);
     }},
    {"ATruncateByAnUnprivilegedUserClearsSetuid",
     [](Env& e) {
       const char* path = e.p("suid_any");
       SAME(e.As(1000, [&] { return ErrnoOf(::truncate(path, 1)); }), 0);
       SAME(STAT("suid_any").st_mode & 07777, 0777u);
     }},
    {"AWriteByRootKeepsSetuid",
     [](Env& e) {
       UniqueFd fd = OPEN("suid", O_WRONLY);
       OK(::pwrite(fd.get(), "y", 1, 0));
       SAME(STAT("suid").st_mode & 07777, 06755u);
     }},
    {"SetuidIsKeptByCopyUp",
     [](Env& e) {
       OK(::rename(e.p("suid"), e.p("moved")));
       SAME(STAT("moved").st_mode & 07777, 06755u);
       SAME(STAT("moved").st_uid, 1000u);
     }},
    {"UtimensatSetsTimesToTheNanosecond",
     [](Env& e) {
       const timespec times[2] = {{1000000, 111}, {2000000, 222}};
       OK(::utimensat(AT_FDCWD, e.p("file"), times, 0));
       const struct stat st = STAT("file");
       SAME(st.st_atim.tv_sec, 1000000);
       SAME(st.st_mtim.tv_sec, 2000000);
       SAME(st.st_mtim.tv_nsec, 222);
     }},
    {"UtimensatCanOmitAndSetNow",
     [](Env& e) {
       const timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
       OK(::utimensat(AT_FDCWD, e.p("file"), times, 0));
       HOLDS(STAT("file").st_mtim.tv_sec > testing::TestImage::kMtime);
     }},
    {"UtimensatOfALowerSymbolicLink",
     [](Env& e) {
       const timespec times[2] = {{5, 0}, {6, 0}};
       OK(::utimensat(AT_FDCWD, e.p("to_file"), times, AT_SYMLINK_NOFOLLOW));
       SAME(STAT("to_file").st_mtim.tv_sec, 6);
       SAME(STAT("file").st_mtim.tv_sec, testing::TestImage::kMtime);
     }},
    {"UtimensatOfALowerDirectory",
     [](Env& e) {
       const timespec times[2] = {{5, 0}, {6, 0}};
       OK(::utimensat(AT_FDCWD, e.p("dir"), times, 0));
       SAME(STAT("dir").st_mtim.tv_sec, 6);
     }},
    {"SettingTimesByAStrangerIsRefused",
     [](Env& e) {
       const char* path = e.p("file");
       SAME(e.As(1000,
                 [&] {
                   const timespec times[2] = {{5, 0}, {6, 0}};
                   return ErrnoOf(::utimensat(AT_FDCWD, path, times, 0));
                 }),
            EPERM);
     }},
    {"NegativeAndFarTimes",
     [](Env& e) {
       const timespec times[2] = {{-5, 0}, {1ll << 33, 0}};
       OK(::utimensat(AT_FDCWD, e.p("file"), times, 0));
       SAME(STAT("file").st_atim.tv_sec, -5);
       SAME(STAT("file").st_mtim.tv_sec, 1ll << 33);
     }},
    {"InodeNumbersSurviveCopyUp",
     [](Env& e) {
       const struct stat before = STAT("file");
       UniqueFd fd = OPEN("file", O_RDWR | O_APPEND);
       OK(::write(fd.get(), "x", 1));
       struct stat open_stat = {};
       OK(::fstat(fd.get(), &open_stat));
       SAME(STAT("file").st_ino, before.st_ino);
       SAME(open_stat.st_ino, before.st_ino);
       SAME(STAT("file").st_dev, before.st_dev);
     }},
    {"InodeNumbersOfDirectoriesSurviveAChange",
     [](Env& e) {
       const struct stat before = STAT("dir");
       WRITE("dir/new", "");
       OK(::chmod(e.p("dir"), 0711));
       SAME(STAT("dir").st_ino, before.st_ino);
       SAME(STAT("dir").st_dev, before.st_dev);
     }},
    {"DistinctFilesHaveDistinctInodeNumbers",
     [](Env& e) {
       WRITE("new", "");
       const struct stat a = STAT("file"), b = STAT("small"), c = STAT("new");
       HOLDS(a.st_ino != b.st_ino || a.st_dev != b.st_dev);
       HOLDS(a.st_ino != c.st_ino || a.st_dev != c.st_dev);
     }},
    {"NewFilesBelongToTheirMaker",
     [](Env& e) {
       const char* path = e.p("user_dir/mine");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_CREAT | O_WRONLY, 0644)); }), 0);
       SAME(STAT("user_dir/mine").st_uid, 1000u);
       SAME(STAT("user_dir/mine").st_gid, 1000u);
     }},
    {"ASetgidDirectoryGivesItsGroup",
     [](Env& e) {
       WRITE("sgid_dir/f", "");
       OK(::mkdir(e.p("sgid_dir/d"), 0755));
       OK(::symlink("x", e.p("sgid_dir/l")));
       SAME(STAT("sgid_dir/f").st_gid, 1000u);
       SAME(STAT("sgid_dir/d").st_gid, 1000u);
       SAME(STAT("sgid_dir/l").st_gid, 1000u);
       SAME(STAT("sgid_dir/d").st_mode & 07777, 02755u);
     }},
    {"SetgidIsDroppedWhenAStrangerToTheGroupChangesTheMode",
     [](Env& e) {
       OK(::chown(e.p("user_file"), 1000, 2000));
       const char* path = e.p("user_file");
       SAME(e.As(1000, [&] { return ErrnoOf(::chmod(path, 02755)); }), 0);
       SAME(STAT("user_file").st_mode & 07777, 0755u);
     }},
    {"DirectoryLinkCountsAreOneOrCountSubdirectories",
     [](Env& e) {
       const nlink_t before = STAT("dir").st_nlink;
       HOLDS(before == 1 || before == 3);
       OK(::mkdir(e.p("dir/more"), 0755));
       const nlink_t after = STAT("dir").st_nlink;
       HOLDS(after == 1 || after == 4);
     }},
    {"BlocksOfALowerFileAreCounted",
     [](Env& e) { HOLDS(STAT("big").st_blocks * 512 >= (1 << 20)); }},
};

}  // namespace

std::span<const Case> AttributeCases() { return kCases; }

}  // namespace strata::conformance
