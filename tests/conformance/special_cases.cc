#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

// Bound by its short name: the case's directory may be longer than sun_path.
int BindIn(const char* directory, const char* name, int fd) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, name, sizeof(address.sun_path) - 1);
  const UniqueFd before(::open(".", O_PATH | O_CLOEXEC));
  if (::chdir(directory) != 0) return -1;
  const int result = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const int error = errno;
  if (::fchdir(before.get()) != 0) return -1;
  errno = error;
  return result;
}

const Case kCases[] = {
    {"LowerSpecialFilesKeepTypeAndDevice",
     [](Env& e) {
       HOLDS(S_ISFIFO(STAT("fifo").st_mode));
       HOLDS(S_ISSOCK(STAT("sock").st_mode));
       HOLDS(S_ISCHR(STAT("null").st_mode));
       HOLDS(S_ISBLK(STAT("blk").st_mode));
       SAME(STAT("null").st_rdev, makedev(1, 3));
       SAME(STAT("blk").st_rdev, makedev(7, 200));
     }},
    {"ALowerDeviceWorks",
     [](Env& e) {
       UniqueFd fd = OPEN("null", O_RDWR);
       SAME(::write(fd.get(), "x", 1), 1);
       char byte;
       SAME(::read(fd.get(), &byte, 1), 0);
     }},
    {"ChmodOfALowerDeviceKeepsItADevice",
     [](Env& e) {
       OK(::chmod(e.p("null"), 0600));
       HOLDS(S_ISCHR(STAT("null").st_mode));
       SAME(STAT("null").st_rdev, makedev(1, 3));
       SAME(STAT("null").st_mode & 07777, 0600u);
       UniqueFd fd = OPEN("null", O_RDWR);
     }},
    {"ANewDeviceWorks",
     [](Env& e) {
       OK(::mknod(e.p("zero"), S_IFCHR | 0666, makedev(1, 5)));
       UniqueFd fd = OPEN("zero", O_RDONLY);
       char byte = 1;
       SAME(::read(fd.get(), &byte, 1), 1);
       SAME(byte, '\0');
     }},
    {"MakingADeviceNeedsPrivilege",
     [](Env& e) {
       const char* path = e.p("user_dir/dev");
       SAME(e.As(1000, [&] { return ErrnoOf(::mknod(path, S_IFCHR | 0666, makedev(1, 3))); }),
            EPERM);
       SAME(e.As(1000, [&] { return ErrnoOf(::mkfifo(path, 0666)); }), 0);
     }},
    {"ALowerFifoCarriesData",
     [](Env& e) {
       UniqueFd reader = OPEN("fifo", O_RDONLY | O_NONBLOCK);
       UniqueFd writer = OPEN("fifo", O_WRONLY | O_NONBLOCK);
       SAME(::write(writer.get(), "hi", 2), 2);
       char text[3] = {};
       SAME(::read(reader.get(), text, 2), 2);
       SAME(std::string(text), std::string("hi"));
     }},
    {"ANewFifoCarriesData",
     [](Env& e) {
       OK(::mkfifo(e.p("pipe"), 0600));
       UniqueFd both = OPEN("pipe", O_RDWR | O_NONBLOCK);
       SAME(::write(both.get(), "x", 1), 1);
     }},
    {"AFifoWithoutAReaderRefusesAWriter",
     [](Env& e) { FAILS(ENXIO, ::open(e.p("fifo"), O_WRONLY | O_NONBLOCK)); }},
    {"ASocketIsBoundAndConnected",
     [](Env& e) {
       const UniqueFd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
       OK(BindIn(e.directory().c_str(), "listen", server.get()));
       OK(::listen(server.get(), 1));
       HOLDS(S_ISSOCK(STAT("listen").st_mode));
       const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
       sockaddr_un address = {};
       address.sun_family = AF_UNIX;
       const UniqueFd directory = OPEN(".", O_PATH);
       const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/listen";
       std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
       OK(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)));
     }},
    {"BindingOverALowerNameFails",
     [](Env& e) {
       const UniqueFd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
       FAILS(EADDRINUSE, BindIn(e.directory().c_str(), "file", server.get()));
     }},
    {"ADeviceZeroZeroIsNotSeenAsAFile",
     [](Env& e) {
       // overlayfs keeps 0:0 for whiteouts; making one is refused or hidden, never a usable device.
       if (::mknod(e.p("white"), S_IFCHR | 0666, makedev(0, 0)) == 0) {
         FAILS(ENXIO, ::open(e.p("white"), O_RDONLY));
       }
     }},
    {"MknodMakesARegularFile",
     [](Env& e) {
       OK(::mknod(e.p("plain"), S_IFREG | 0640, 0));
       HOLDS(S_ISREG(STAT("plain").st_mode));
       FAILS(EEXIST, ::mknod(e.p("file"), S_IFREG | 0640, 0));
     }},
    {"RenamingAndRemovingLowerSpecialFiles",
     [](Env& e) {
       OK(::rename(e.p("fifo"), e.p("sub/fifo")));
       OK(::rename(e.p("blk"), e.p("sub/blk")));
       OK(::unlink(e.p("sock")));
       HOLDS(S_ISFIFO(STAT("sub/fifo").st_mode));
       SAME(STAT("sub/blk").st_rdev, makedev(7, 200));
     }},
};

}  // namespace

std::span<const Case> SpecialCases() { return kCases; }

}  // namespace strata::conformance
