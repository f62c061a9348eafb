#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

int RecordLock(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return ::fcntl(fd, command, &lock);
}

const Case kCases[] = {
    {"FlockExcludesAnotherDescription",
     [](Env& e) {
       UniqueFd one = OPEN("file", O_RDONLY);
       UniqueFd two = OPEN("file", O_RDONLY);
       OK(::flock(one.get(), LOCK_EX));
       FAILS(EWOULDBLOCK, ::flock(two.get(), LOCK_EX | LOCK_NB));
       OK(::flock(one.get(), LOCK_UN));
       OK(::flock(two.get(), LOCK_SH | LOCK_NB));
     }},
    {"FlockOfWritersExcludes",
     [](Env& e) {
       UniqueFd one = OPEN("file", O_RDWR);
       UniqueFd two = OPEN("file", O_RDWR);
       OK(::flock(one.get(), LOCK_EX));
       FAILS(EWOULDBLOCK, ::flock(two.get(), LOCK_EX | LOCK_NB));
     }},
    {"FlockHoldsBetweenAReaderAndAWriter",
     [](Env& e) {
       UniqueFd writer = OPEN("file", O_RDWR);
       UniqueFd reader = OPEN("file", O_RDONLY);
       OK(::flock(writer.get(), LOCK_EX));
       FAILS(EWOULDBLOCK, ::flock(reader.get(), LOCK_SH | LOCK_NB));
     }},
    {"RecordLocksExcludeAnotherProcess",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDWR);
       OK(RecordLock(fd.get(), F_SETLK, F_WRLCK, 0, 4));
       const char* path = e.p("file");
       SAME(e.As(0, [&] {
         const int other = ::open(path, O_RDWR);
         return ErrnoOf(RecordLock(other, F_SETLK, F_WRLCK, 2, 4));
       }), EAGAIN);
       SAME(e.As(0, [&] {
         const int other = ::open(path, O_RDWR);
         return ErrnoOf(RecordLock(other, F_SETLK, F_WRLCK, 4, 4));
       }), 0);
     }},
    {"RecordLocksOfADescriptionExclude",
     [](Env& e) {
       UniqueFd one = OPEN("file", O_RDWR);
       UniqueFd two = OPEN("file", O_RDWR);
       OK(RecordLock(one.get(), F_OFD_SETLK, F_WRLCK, 0, 0));
       FAILS(EAGAIN, RecordLock(two.get(), F_OFD_SETLK, F_WRLCK, 0, 0));
       one.reset();
       OK(RecordLock(two.get(), F_OFD_SETLK, F_WRLCK, 0, 0));
     }},
    {"LocksOfALinkedLowerFileMeetThroughItsNames",
     [](Env& e) {
       UniqueFd one = OPEN("l1", O_RDWR);
       UniqueFd two = OPEN("l2", O_RDWR);
       OK(::flock(one.get(), LOCK_EX));
       FAILS(EWOULDBLOCK, ::flock(two.get(), LOCK_EX | LOCK_NB));
     }},
    {"DirectoriesCanBeLocked",
     [](Env& e) {
       UniqueFd one = OPEN("dir", O_RDONLY | O_DIRECTORY);
       UniqueFd two = OPEN("dir", O_RDONLY | O_DIRECTORY);
       OK(::flock(one.get(), LOCK_EX));
       FAILS(EWOULDBLOCK, ::flock(two.get(), LOCK_EX | LOCK_NB));
     }},
    {"InotifyTellsOfChangesInALowerDirectory",
     [](Env& e) {
       UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
       OK(::inotify_add_watch(watch.get(), e.p("dir"), IN_CREATE | IN_DELETE | IN_MODIFY));
       WRITE("dir/new", "x");
       OK(::unlink(e.p("dir/a")));
       char events[4096];
       const ssize_t n = ::read(watch.get(), events, sizeof(events));
       OK(n);
       uint32_t seen = 0;
       for (ssize_t at = 0; at < n;) {
         const auto* event = reinterpret_cast<const inotify_event*>(events + at);
         seen |= event->mask;
         at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
       }
       SAME(seen & (IN_CREATE | IN_DELETE | IN_MODIFY),
            static_cast<uint32_t>(IN_CREATE | IN_DELETE | IN_MODIFY));
     }},
    {"ARunningProgramCannotBeWritten",
     [](Env& e) {
       OK(::link("/proc/self/exe", e.p("none")) < 0 ? 0 : -1);  // Links to magic links are refused.
       UniqueFd in(::open("/bin/sleep", O_RDONLY | O_CLOEXEC));
       struct stat st = {};
       OK(::fstat(in.get(), &st));
       {
         UniqueFd out(::open(e.p("sleeper"), O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
         OK(::copy_file_range(in.get(), nullptr, out.get(), nullptr,
                              static_cast<size_t>(st.st_size), 0));
       }
       UniqueFd program = OPEN("sleeper", O_RDONLY);
       SAME(STAT("sleeper").st_size, st.st_size);
     }},
};

}  // namespace

std::span<const Case> LockCases() { return kCases; }

}  // namespace strata::conformance
