// Descriptors and file handles that outlive a change: of the data's place, of the name.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

constexpr const char* kAccessAcl = "system.posix_acl_access";

struct stat StatOf(Env& e, int fd) {
  struct stat st = {};
  OK(::fstat(fd, &st));
  return st;
}

std::string ProcPath(const UniqueFd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

struct Handle {
  alignas(file_handle) unsigned char bytes[sizeof(file_handle) + MAX_HANDLE_SZ];
  file_handle* get() { return reinterpret_cast<file_handle*>(bytes); }
};

Handle HandleOf(Env& e, const char* path) {
  Handle handle;
  handle.get()->handle_bytes = MAX_HANDLE_SZ;
  int mount_id;
  OK(::name_to_handle_at(AT_FDCWD, path, handle.get(), &mount_id, 0));
  return handle;
}

UniqueFd OpenHandle(Env& e, Handle* handle, int flags) {
  const UniqueFd mount = OPEN(".", O_RDONLY | O_DIRECTORY);
  UniqueFd fd(::open_by_handle_at(mount.get(), handle->get(), flags | O_CLOEXEC));
  OK(fd.get());
  return fd;
}

std::string Start(Env& e, int fd) {
  char text[16] = {};
  OK(::pread(fd, text, sizeof(text) - 1, 0));
  return text;
}

const Case kCases[] = {
    {"AChangeThroughAnOldReaderShowsUnderTheName",
     [](Env& e) {
       UniqueFd reader = OPEN("big", O_RDONLY);
       UniqueFd writer = OPEN("big", O_RDWR);
       SAME(StatOf(e, writer.get()).st_mode & 07777, 0644u);
       OK(::fchmod(reader.get(), 0601));
       OK(::fchown(reader.get(), 5, 6));
       SAME(STAT("big").st_mode & 07777, 0601u);
       SAME(StatOf(e, writer.get()).st_mode & 07777, 0601u);
       SAME(STAT("big").st_uid, 5u);
     }},
    {"AChangeUnderTheNameShowsThroughAnOldReader",
     [](Env& e) {
       UniqueFd reader = OPEN("big", O_RDONLY);
       UniqueFd writer = OPEN("big", O_RDWR);
       SAME(StatOf(e, reader.get()).st_mode & 07777, 0644u);
       OK(::chmod(e.p("big"), 0601));
       OK(::ftruncate(writer.get(), 5));
       OK(::link(e.p("big"), e.p("link")));
       SAME(StatOf(e, reader.get()).st_mode & 07777, 0601u);
       SAME(StatOf(e, reader.get()).st_size, 5);
       SAME(StatOf(e, reader.get()).st_nlink, 2u);
     }},
    {"AnEmptyLowerFileThatIsOpenIsChangedThroughAnotherName",
     [](Env& e) {
       OK(::link(e.p("empty"), e.p("other")));
       e.Remount();
       UniqueFd reader = OPEN("empty", O_RDONLY);
       SAME(StatOf(e, reader.get()).st_mode & 07777, 0644u);
       OK(::chmod(e.p("other"), 0600));
       SAME(StatOf(e, reader.get()).st_mode & 07777, 0600u);
       WRITE("other", "text");
       SAME(StatOf(e, reader.get()).st_size, 4);
       SAME(READ("empty"), std::string("text"));
     }},
    {"OpeningForWritingAfterAChmodKeepsMtime",
     [](Env& e) {
       OK(::chmod(e.p("big"), 0600));
       UniqueFd writer = OPEN("big", O_RDWR);
       writer.reset();
       SAME(STAT("big").st_mtim.tv_sec, testing::TestImage::kMtime);
     }},
    {"AnUnlinkedOpenLowerFileHasNoLinks",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDONLY);
       OK(::unlink(e.p("file")));
       SAME(StatOf(e, fd.get()).st_nlink, 0u);
     }},
    {"AnUnlinkedOpenLowerFileIsChangedWhenItsNameIsTaken",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDONLY);
       OK(::rename(e.p("small"), e.p("file")));
       OK(::fchmod(fd.get(), 0600));
       SAME(StatOf(e, fd.get()).st_mode & 07777, 0600u);
       SAME(STAT("file").st_mode & 07777, 0644u);
       UniqueFd writer(::open(ProcPath(fd).c_str(), O_RDWR | O_CLOEXEC));
       OK(writer.get());
     }},
    {"AReaderReopensItsFileForWriting",
     [](Env& e) {
       UniqueFd reader = OPEN("file", O_RDONLY);
       UniqueFd writer(::open(ProcPath(reader).c_str(), O_RDWR | O_CLOEXEC));
       OK(writer.get());
     }},
    {"APathDescriptorIsReopenedForWriting",
     [](Env& e) {
       UniqueFd path = OPEN("file", O_PATH);
       UniqueFd writer(::open(ProcPath(path).c_str(), O_RDWR | O_CLOEXEC));
       OK(writer.get());
       OK(::pwrite(writer.get(), "LOWER", 5, 0));
       SAME(READ("file"), std::string("LOWER file\n"));
     }},
    {"AReplacedOpenDirectoryKeepsItsNumberToItself",
     [](Env& e) {
       OK(::mkdir(e.p("old"), 0755));
       OK(::mkdir(e.p("new"), 0755));
       UniqueFd fd = OPEN("old", O_RDONLY | O_DIRECTORY);
       OK(::rename(e.p("new"), e.p("old")));
       const ino_t number = StatOf(e, fd.get()).st_ino;
       for (int i = 0; i < 20; ++i) {
         const std::string name = "d" + std::to_string(i);
         OK(::mkdir(e.p(name), 0755));
         HOLDS(STAT(name).st_ino != number);
       }
     }},
    {"RemovingAnAbsentAclSucceeds",
     [](Env& e) {
       OK(::removexattr(e.p("file"), kAccessAcl));
       OK(::removexattr(e.p("dir"), "system.posix_acl_default"));
     }},
    {"CopyingUpALinkLeavesTheTimesOfItsOtherDirectories",
     [](Env& e) {
       WRITE("l1", "changed");
       SAME(STAT("sub").st_mtim.tv_sec, testing::TestImage::kMtime);
       e.Remount();
       SAME(STAT("sub").st_mtim.tv_sec, testing::TestImage::kMtime);
     }},
    {"CopyingUpAFileLeavesTheTimesOfItsDirectoryAlsoAfterARemount",
     [](Env& e) {
       WRITE("dir/sub/x", "changed");
       OK(::chmod(e.p("dir/a"), 0600));
       e.Remount();
       SAME(STAT("dir").st_mtim.tv_sec, testing::TestImage::kMtime);
       SAME(STAT("dir/sub").st_mtim.tv_sec, testing::TestImage::kMtime);
     }},
    {"AFileHandleOpensALowerFile",
     [](Env& e) {
       Handle handle = HandleOf(e, e.p("file"));
       UniqueFd fd = OpenHandle(e, &handle, O_RDONLY);
       SAME(Start(e, fd.get()), std::string(kLowerFile));
       SAME(StatOf(e, fd.get()).st_ino, STAT("file").st_ino);
     }},
    {"AFileHandleFollowsARenameAndACopyUp",
     [](Env& e) {
       Handle handle = HandleOf(e, e.p("file"));
       OK(::rename(e.p("file"), e.p("dir/moved")));
       WRITE("dir/moved", "changed");
       UniqueFd fd = OpenHandle(e, &handle, O_RDONLY);
       SAME(Start(e, fd.get()), std::string("changed"));
       UniqueFd writer = OpenHandle(e, &handle, O_WRONLY);
       OK(::pwrite(writer.get(), "C", 1, 0));
       SAME(READ("dir/moved"), std::string("Changed"));
     }},
    {"AFileHandleOfADirectoryFollowsARename",
     [](Env& e) {
       Handle handle = HandleOf(e, e.p("dir"));
       OK(::rename(e.p("dir"), e.p("deep/moved")));
       UniqueFd fd = OpenHandle(e, &handle, O_RDONLY | O_DIRECTORY);
       UniqueFd inner(::openat(fd.get(), "a", O_RDONLY | O_CLOEXEC));
       SAME(Start(e, inner.get()), std::string("a\n"));
       UniqueFd above(::openat(fd.get(), "..", O_PATH | O_CLOEXEC));
       SAME(StatOf(e, above.get()).st_ino, STAT("deep").st_ino);
     }},
    {"AFileHandleOfARemovedFileIsStale",
     [](Env& e) {
       Handle handle = HandleOf(e, e.p("file"));
       OK(::unlink(e.p("file")));
       const UniqueFd mount = OPEN(".", O_RDONLY | O_DIRECTORY);
       FAILS(ESTALE, ::open_by_handle_at(mount.get(), handle.get(), O_RDONLY));
     }},
    {"AppendsOfManyProcessesAreAllThere",
     [](Env& e) {
       constexpr int kProcesses = 4, kRecords = 100;
       const char* path = e.p("file");
       std::vector<pid_t> children;
       for (int process = 0; process < kProcesses; ++process) {
         const pid_t pid = ::fork();
         if (pid == 0) {
           const int fd = ::open(path, O_WRONLY | O_APPEND);
           for (int i = 0; i < kRecords; ++i) {
             char record[16];
             const int size = ::snprintf(record, sizeof(record), "%d %d\n", process, i);
             if (::write(fd, record, static_cast<size_t>(size)) != size) ::_exit(1);
           }
           ::_exit(0);
         }
         children.push_back(pid);
       }
       for (const pid_t pid : children) {
         int status = 0;
         OK(::waitpid(pid, &status, 0));
         SAME(status, 0);
       }
       const std::string text = READ("file");
       std::set<std::string> records;
       for (size_t at = std::strlen(kLowerFile); at < text.size();) {
         const size_t end = std::min(text.find('\n', at), text.size() - 1);
         records.insert(text.substr(at, end - at));
         at = end + 1;
       }
       SAME(records.size(), static_cast<size_t>(kProcesses * kRecords));
     }},
    {"DirectIoWritesALowerFile",
     [](Env& e) {
       alignas(4096) static char block[4096];
       std::memset(block, 'D', sizeof(block));
       UniqueFd fd = OPEN("big2", O_RDWR | O_DIRECT);
       SAME(::pwrite(fd.get(), block, sizeof(block), 8192), 4096);
       fd.reset();
       const std::string text = READ("big2");
       SAME(text.size(), 200000u);
       SAME(text.substr(8191, 2), std::string("zD"));
       SAME(text.substr(12287, 2), std::string("Dz"));
     }},
    {"RenameWhiteoutLeavesAWhiteout",
     [](Env& e) {
       OK(::renameat2(AT_FDCWD, e.p("file"), AT_FDCWD, e.p("moved"), RENAME_WHITEOUT));
       HOLDS(S_ISCHR(STAT("file").st_mode));
     }},
};

}  // namespace

std::span<const Case> DescriptorCases() { return kCases; }

}  // namespace strata::conformance
