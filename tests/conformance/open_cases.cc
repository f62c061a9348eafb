#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

const std::string kName255(255, 'n');
const std::string kName256(256, 'n');

const Case kCases[] = {
    {"OpenMissingFails", [](Env& e) { FAILS(ENOENT, ::open(e.p("none"), O_RDONLY)); }},
    {"OpenThroughAFileFails", [](Env& e) { FAILS(ENOTDIR, ::open(e.p("file/x"), O_RDONLY)); }},
    {"OpenDirectoryForWritingFails", [](Env& e) { FAILS(EISDIR, ::open(e.p("dir"), O_RDWR)); }},
    {"OpenFileAsDirectoryFails",
     [](Env& e) { FAILS(ENOTDIR, ::open(e.p("file"), O_RDONLY | O_DIRECTORY)); }},
    {"ExclusiveCreateOverALowerFileFails",
     [](Env& e) { FAILS(EEXIST, ::open(e.p("file"), O_CREAT | O_EXCL | O_RDWR, 0644)); }},
    {"ExclusiveCreateOverADanglingLinkFails",
     [](Env& e) { FAILS(EEXIST, ::open(e.p("dangling"), O_CREAT | O_EXCL | O_RDWR, 0644)); }},
    {"CreateFollowsADanglingLink",
     [](Env& e) {
       UniqueFd fd = e.Open(e.p("dangling"), O_CREAT | O_WRONLY, 0644, __LINE__);
       HOLDS(S_ISREG(STAT("nowhere").st_mode));
     }},
    {"NoFollowRefusesALink",
     [](Env& e) { FAILS(ELOOP, ::open(e.p("to_file"), O_RDONLY | O_NOFOLLOW)); }},
    {"CreateAppliesTheUmask",
     [](Env& e) {
       const mode_t before = ::umask(027);
       UniqueFd fd(::open(e.p("new"), O_CREAT | O_EXCL | O_WRONLY, 0777));
       OK(::mkdir(e.p("newdir"), 0777));
       ::umask(before);
       SAME(STAT("new").st_mode & 07777, 0750u);
       SAME(STAT("newdir").st_mode & 07777, 0750u);
     }},
    {"CreateWithModeZeroStillGivesAnOpenFile",
     [](Env& e) {
       UniqueFd fd = e.Open(e.p("zero"), O_CREAT | O_EXCL | O_RDWR, 0, __LINE__);
       SAME(::write(fd.get(), "x", 1), 1);
       SAME(STAT("zero").st_mode & 07777, 0u);
     }},
    {"TruncatingOpenOfALowerFile",
     [](Env& e) {
       { UniqueFd fd = OPEN("big", O_WRONLY | O_TRUNC); }
       SAME(STAT("big").st_size, 0);
       SAME(READ("big"), std::string());
     }},
    {"TruncatingOpenKeepsOwnerAndMode",
     [](Env& e) {
       { UniqueFd fd = OPEN("user_file", O_WRONLY | O_TRUNC); }
       SAME(STAT("user_file").st_uid, 1000u);
       SAME(STAT("user_file").st_mode & 07777, 0644u);
     }},
    {"OpenForWritingWithoutAWriteChangesNothing",
     [](Env& e) {
       { UniqueFd fd = OPEN("file", O_RDWR); }
       SAME(READ("file"), std::string(kLowerFile));
       SAME(STAT("file").st_mtim.tv_sec, testing::TestImage::kMtime);
     }},
    {"AppendGoesToTheEndWhateverTheOffset",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDWR | O_APPEND);
       OK(::lseek(fd.get(), 0, SEEK_SET));
       SAME(::write(fd.get(), "more", 4), 4);
       SAME(READ("file"), std::string(kLowerFile) + "more");
     }},
    {"TwoAppendersLoseNothing",
     [](Env& e) {
       UniqueFd one = OPEN("file", O_WRONLY | O_APPEND);
       UniqueFd two = OPEN("file", O_WRONLY | O_APPEND);
       for (int i = 0; i < 10; ++i) {
         OK(::write(one.get(), "1", 1));
         OK(::write(two.get(), "2", 1));
       }
       SAME(READ("file"), std::string(kLowerFile) + "12121212121212121212");
     }},
    {"AReaderOpenBeforeCopyUpSeesTheWrite",
     [](Env& e) {
       UniqueFd reader = OPEN("file", O_RDONLY);
       WRITE("file", "new content");
       char text[32] = {};
       OK(::pread(reader.get(), text, sizeof(text), 0));
       SAME(std::string(text), std::string("new content"));
     }},
    {"AReaderOpenedAfterCopyUpSeesTheWrite",
     [](Env& e) {
       UniqueFd writer = OPEN("file", O_WRONLY);
       UniqueFd reader = OPEN("file", O_RDONLY);
       SAME(::pwrite(writer.get(), "LOWER", 5, 0), 5);
       char text[6] = {};
       OK(::pread(reader.get(), text, 5, 0));
       SAME(std::string(text), std::string("LOWER"));
     }},
    {"AnUnlinkedOpenFileLivesOn",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDWR);
       OK(::unlink(e.p("file")));
       SAME(::pwrite(fd.get(), "still", 5, 0), 5);
       char text[6] = {};
       OK(::pread(fd.get(), text, 5, 0));
       SAME(std::string(text), std::string("still"));
       struct stat st = {};
       OK(::fstat(fd.get(), &st));
       SAME(st.st_nlink, 0u);
     }},
    {"AnUnlinkedFileCanBeReopenedThroughProc",
     [](Env& e) {
       UniqueFd fd = e.Open(e.p("new"), O_CREAT | O_RDWR, 0644, __LINE__);
       SAME(::write(fd.get(), "abc", 3), 3);
       OK(::unlink(e.p("new")));
       const std::string proc = "/proc/self/fd/" + std::to_string(fd.get());
       UniqueFd again(::open(proc.c_str(), O_RDWR));
       OK(again.get());
       char text[4] = {};
       OK(::pread(again.get(), text, 3, 0));
       SAME(std::string(text), std::string("abc"));
     }},
    {"AnUnlinkedLowerFileCanBeReopenedThroughProc",
     [](Env& e) {
       UniqueFd fd = OPEN("big", O_RDONLY);
       OK(::unlink(e.p("big")));
       const std::string proc = "/proc/self/fd/" + std::to_string(fd.get());
       UniqueFd again(::open(proc.c_str(), O_RDONLY));
       OK(again.get());
       char byte = 0;
       SAME(::pread(again.get(), &byte, 1, 0), 1);
     }},
    {"FchmodAndFtruncateOfAnUnlinkedFile",
     [](Env& e) {
       UniqueFd fd = e.Open(e.p("new"), O_CREAT | O_RDWR, 0644, __LINE__);
       OK(::unlink(e.p("new")));
       OK(::fchmod(fd.get(), 0600));
       OK(::ftruncate(fd.get(), 100));
       struct stat st = {};
       OK(::fstat(fd.get(), &st));
       SAME(st.st_size, 100);
       SAME(st.st_mode & 07777, 0600u);
     }},
    {"ATemporaryFileHasNoNameAndCanBeGivenOne",
     [](Env& e) {
       UniqueFd fd = e.Open(e.p("dir"), O_TMPFILE | O_RDWR, 0640, __LINE__);
       SAME(::write(fd.get(), "tmp", 3), 3);
       SAME(LIST("dir").size(), 3u);
       const std::string proc = "/proc/self/fd/" + std::to_string(fd.get());
       OK(::linkat(AT_FDCWD, proc.c_str(), AT_FDCWD, e.p("dir/named"), AT_SYMLINK_FOLLOW));
       SAME(READ("dir/named"), std::string("tmp"));
       SAME(STAT("dir/named").st_nlink, 1u);
     }},
    {"AnExclusiveTemporaryFileCannotBeNamed",
     [](Env& e) {
       UniqueFd fd = e.Open(e.p("dir"), O_TMPFILE | O_RDWR | O_EXCL, 0640, __LINE__);
       const std::string proc = "/proc/self/fd/" + std::to_string(fd.get());
       FAILS(ENOENT, ::linkat(AT_FDCWD, proc.c_str(), AT_FDCWD, e.p("named"), AT_SYMLINK_FOLLOW));
     }},
    {"ALowerScriptRuns",
     [](Env& e) {
       const char* path = e.p("run");
       const pid_t pid = ::fork();
       if (pid == 0) {
         ::execl(path, path, nullptr);
         ::_exit(99);
       }
       int status = 0;
       OK(::waitpid(pid, &status, 0));
       SAME(WEXITSTATUS(status), 7);
     }},
    {"AnUnreadableFileIsRefusedToOthers",
     [](Env& e) {
       const char* path = e.p("private");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_RDONLY)); }), EACCES);
     }},
    {"AnOwnedLowerFileMayBeWritten",
     [](Env& e) {
       const char* path = e.p("user_file");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_WRONLY)); }), 0);
       SAME(STAT("user_file").st_uid, 1000u);
     }},
    {"AForeignDirectoryRefusesNewNames",
     [](Env& e) {
       const char* path = e.p("dir/new");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_CREAT | O_WRONLY, 0644)); }), EACCES);
       SAME(e.As(1000, [&] { return ErrnoOf(::mkdir(path, 0755)); }), EACCES);
       SAME(LIST("dir").size(), 3u);
     }},
    {"AccessAnswersForTheCaller",
     [](Env& e) {
       const char* file = e.p("file");
       SAME(e.As(1000, [&] { return ErrnoOf(::access(file, W_OK)); }), EACCES);
       SAME(e.As(1000, [&] { return ErrnoOf(::access(file, R_OK)); }), 0);
       FAILS(EACCES, ::access(file, X_OK));
     }},
    {"ANameOf255BytesWorks",
     [](Env& e) {
       WRITE(kName255, "long");
       SAME(READ(kName255), std::string("long"));
       OK(::rename(e.p(kName255), e.p("short")));
       OK(::rename(e.p("dir"), e.p(kName255)));
       OK(::rename(e.p(kName255), e.p("dir")));
     }},
    {"ANameOf256BytesIsTooLong",
     [](Env& e) {
       FAILS(ENAMETOOLONG, ::open(e.p(kName256), O_CREAT | O_WRONLY, 0644));
       FAILS(ENAMETOOLONG, ::mkdir(e.p(kName256), 0755));
       FAILS(ENAMETOOLONG, ::rename(e.p("file"), e.p(kName256)));
       struct stat st;
       FAILS(ENAMETOOLONG, ::lstat(e.p(kName256), &st));
     }},
    {"NamesMayHoldAnyByteButSlashAndNul",
     [](Env& e) {
       const std::string name = "\x01 \xff\n:,\\";
       WRITE(name, "odd");
       SAME(READ(name), std::string("odd"));
       OK(::unlink(e.p(name)));
     }},
    {"APathDescriptorReadsNothing",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_PATH);
       char byte;
       FAILS(EBADF, ::read(fd.get(), &byte, 1));
     }},
};

}  // namespace

std::span<const Case> OpenCases() { return kCases; }

}  // namespace strata::conformance
