#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

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

void CopyProgram(Env& e, const char* from, const char* to) {
  UniqueFd in(::open(from, O_RDONLY | O_CLOEXEC));
  UniqueFd out(::open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
  char buffer[65536];
  ssize_t n;
  while ((n = ::read(in.get(), buffer, sizeof(buffer))) > 0) {
    OK(::write(out.get(), buffer, static_cast<size_t>(n)));
  }
  OK(n);
}

// Returns when the program has been exec'ed: the pipe's other end closes by itself then.
pid_t StartProgram(Env& e, const char* path) {
  int pipe_fds[2];
  OK(::pipe2(pipe_fds, O_CLOEXEC));
  const UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(path, path, "1000", nullptr);
    ::_exit(99);
  }
  OK(pid);
  write_end.reset();
  char byte;
  OK(::read(read_end.get(), &byte, 1));
  return pid;
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
       SAME(e.As(0,
                 [&] {
                   const int other = ::open(path, O_RDWR);
                   return ErrnoOf(RecordLock(other, F_SETLK, F_WRLCK, 2, 4));
                 }),
            EAGAIN);
       SAME(e.As(0,
                 [&] {
                   const int other = ::open(path, O_RDWR);
                   return ErrnoOf(RecordLock(other, F_SETLK, F_WRLCK, 4, 4));
                 }),
            0);
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
       CopyProgram(e, "/bin/sleep", e.p("sleeper"));
       const pid_t pid = StartProgram(e, e.p("sleeper"));
       if (pid < 0) return;
       FAILS(ETXTBSY, ::open(e.p("sleeper"), O_WRONLY));
       ::kill(pid, SIGKILL);
       OK(::waitpid(pid, nullptr, 0));
       UniqueFd fd = OPEN("sleeper", O_WRONLY);
     }},
};

}  // namespace

std::span<const Case> LockCases() { return kCases; }

}  // namespace strata::conformance
