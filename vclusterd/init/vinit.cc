// vinit: process 1 of a node.
//
//   vinit [--grace SECONDS] [--started SOCKET LOCK] [--ipv6 ADDRESS] [--dir PATH]...
//         [--listen PORT PROGRAM [ARG...] ';']... [-- COMMAND...]
//
// --started are descriptors. Once everything before the COMMAND is done, a message is sent through
// SOCKET and an answer awaited, by which whoever started the node has it on record; without one,
// vinit ends. Then LOCK is unlocked (flock), another message says so, and both are closed. 0, 1 and
// 2 become /dev/null of the node.
// --ipv6 gives eth0 an address (32 hex digits) in a /64 and the first host there as the gateway,
// where the kernel takes it: at once, without looking for others that have it, and for programs to
// prefer IPv4 to it ("deprecated"; RFC 6724, section 6, rule 3).
// Reaps orphans. On SIGTERM, SIGINT or SIGPWR it sends SIGTERM to everything in the node, and ends
// when all have ended, after SECONDS (5) at the latest; its end is their SIGKILL. --dir makes a
// directory that programs expect at run time. --listen accepts TCP connections and runs PROGRAM
// with the connection as its 0 and 1, as inetd did: an idle node has no sshd in memory. A PROGRAM
// that the node does not have is not listened for. PROGRAM and COMMAND are absolute paths. COMMAND,
// the image's own, is started once; the node outlives it.
//
// One of these stays in memory per node: static, allocates nothing, no C or C++ library.
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "vclusterd/init/bare_linux.h"

namespace {

using bare::Call;
using bare::Pointer;

constexpr int kListenersMax = 8;
constexpr int kConnectionsMax = 256;  // Programs started for connections that may run at once.
constexpr long kShutdownPollNs = 10'000'000;
constexpr bare::SignalMask kAllSignals = ~0ull;
constexpr bare::SignalMask kNoSignals = 0;

// From headers of the C library, which are not used here.
constexpr int kAfInet = 2, kAfInet6 = 10, kAfNetlink = 16;
constexpr int kSockStream = 1, kSockRaw = 3, kCloexec = 02000000, kNonblock = 04000;
constexpr int kReadWrite = 2, kUnlock = 8;
constexpr int kSolSocket = 1, kSoReuseAddr = 2, kWNoHang = 1, kClockMonotonic = 1, kXOk = 1;

struct Listener {
  int fd;
  char** argv;
};

Listener listeners[kListenersMax];
int listener_count = 0;
int connections[kConnectionsMax];
int connection_count = 0;
volatile bool stop_requested = false;
long grace_s = 5;
long started_socket = -1;
long start_lock = -1;
char** environment = nullptr;

void OnStop(int) { stop_requested = true; }
void OnChild(int) {}  // Only there to end Poll.

[[noreturn]] void Die(const char* what) {
  Call(__NR_write, 2, Pointer(what), static_cast<long>(bare::Length(what)));
  bare::Exit(1);
}

[[noreturn]] void Exec(char** argv, int in_out) {
  for (int number = 1; number < 32; ++number) bare::Handle(number, SIG_DFL);
  bare::SetMask(kNoSignals);
  Call(__NR_setsid);
  if (in_out >= 0) {
    Call(__NR_dup2, in_out, 0);
    Call(__NR_dup2, in_out, 1);
  }
  Call(__NR_execve, Pointer(argv[0]), Pointer(argv), Pointer(environment));
  bare::Exit(127);
}

int Spawn(char** argv, int in_out) {
  const long pid = Call(__NR_fork);
  if (pid == 0) Exec(argv, in_out);
  return static_cast<int>(pid);
}

// At all addresses; negative: it cannot be.
long Listen(int family, long port) {
  const long fd = Call(__NR_socket, family, kSockStream | kCloexec | kNonblock, 0);
  if (fd < 0) return fd;
  sockaddr_in6 address = {};  // Port and "any" lie where those of IPv4 do.
  address.sin6_family = static_cast<uint16_t>(family);
  address.sin6_port = __builtin_bswap16(static_cast<uint16_t>(port));
  const long size = family == kAfInet6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const int on = 1;
  if (Call(__NR_setsockopt, fd, kSolSocket, kSoReuseAddr, Pointer(&on), sizeof(on)) == 0 &&
      Call(__NR_bind, fd, Pointer(&address), size) == 0 && Call(__NR_listen, fd, 64) == 0) {
    return fd;
  }
  Call(__NR_close, fd);
  return -1;
}

void AddListener(long port, char** argv) {
  if (Call(__NR_access, Pointer(argv[0]), kXOk) != 0) return;
  if (listener_count == kListenersMax) Die("vinit: too many --listen\n");
  const long fd = Listen(kAfInet6, port);  // For IPv4 too.
  const long other = fd >= 0 ? fd : Listen(kAfInet, port);
  if (other < 0) Die("vinit: cannot listen\n");
  listeners[listener_count++] = {static_cast<int>(other), argv};
}

void Accept(const Listener& listener) {
  const long fd = Call(__NR_accept4, listener.fd, 0, 0, kCloexec);
  if (fd < 0) return;  // The peer went away, or memory is short: Poll tells again.
  const int pid = Spawn(listener.argv, static_cast<int>(fd));
  if (pid > 0) connections[connection_count++] = pid;
  Call(__NR_close, fd);
}

void Reap() {
  int pid;
  while ((pid = static_cast<int>(Call(__NR_wait4, -1, 0, kWNoHang, 0))) > 0) {
    for (int i = 0; i < connection_count; ++i) {
      if (connections[i] != pid) continue;
      connections[i] = connections[--connection_count];
      break;
    }
  }
}

int64_t NowMs() {
  __kernel_timespec now;
  Call(__NR_clock_gettime, kClockMonotonic, Pointer(&now));
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// Processes that were attached from outside are not our children and tell us nothing when they end,
// so this looks again every few milliseconds until nobody is left.
void WaitUntilAlone(int64_t deadline_ms) {
  while (true) {
    Reap();
    if (Call(__NR_kill, -1, 0) == -ESRCH || NowMs() >= deadline_ms) return;
    const __kernel_timespec pause = {0, kShutdownPollNs};
    bare::Poll(nullptr, 0, &pause, kNoSignals);
  }
}

[[noreturn]] void Shutdown() {
  for (int i = 0; i < listener_count; ++i) Call(__NR_close, listeners[i].fd);
  Call(__NR_kill, -1, SIGTERM);
  Call(__NR_kill, -1, SIGCONT);
  WaitUntilAlone(NowMs() + grace_s * 1000);
  bare::Exit(0);  // The end of process 1 is SIGKILL for all that still run.
}

[[noreturn]] void Serve() {
  while (true) {
    Reap();
    if (stop_requested) Shutdown();
    pollfd fds[kListenersMax];
    // With all places taken, connections wait in the backlog until a child ends.
    const int count = connection_count < kConnectionsMax ? listener_count : 0;
    for (int i = 0; i < count; ++i) fds[i] = {listeners[i].fd, POLLIN, 0};
    if (bare::Poll(fds, count, nullptr, kNoSignals) <= 0) continue;
    for (int i = 0; i < count; ++i) {
      if (fds[i].revents != 0 && connection_count < kConnectionsMax) Accept(listeners[i]);
    }
  }
}

// The descriptors came from the host, and so did 0, 1 and 2.
void TellStarted(long socket, long lock) {
  const long null = Call(__NR_open, Pointer("/dev/null"), kReadWrite | kCloexec, 0);
  if (null < 0) Die("vinit: the node has no /dev/null\n");
  char answer = 0;
  Call(__NR_write, socket, Pointer("1"), 1);
  // Blocked signals do not end it. 0: nobody is there any more.
  if (Call(__NR_read, socket, Pointer(&answer), 1) != 1) Die("vinit: nobody has it on record\n");
  for (int fd = 0; fd <= 2; ++fd) Call(__NR_dup2, null, fd);
  if (null > 2) Call(__NR_close, null);
  Call(__NR_flock, lock, kUnlock);
  Call(__NR_close, lock);
  Call(__NR_write, socket, Pointer("2"), 1);
  Call(__NR_close, socket);
}

struct LinkRequest {  // ifreq
  char name[16] = "eth0";
  int index = 0;
  char unused[20];
};

struct AddressRequest {
  nlmsghdr header = {sizeof(AddressRequest), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE, 0, 0};
  ifaddrmsg message = {kAfInet6, 64, IFA_F_NODAD, 0, 0};
  rtattr local_header = {sizeof(rtattr) + sizeof(local), IFA_LOCAL};
  uint8_t local[16];
  rtattr life_header = {sizeof(rtattr) + sizeof(life), IFA_CACHEINFO};
  ifa_cacheinfo life = {0, ~0u, 0, 0};  // Valid for ever, preferred never.
};

struct RouteRequest {
  nlmsghdr header = {sizeof(RouteRequest), RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE, 0, 0};
  rtmsg message = {kAfInet6,          0,           0, 0, RT_TABLE_MAIN, RTPROT_BOOT,
                   RT_SCOPE_UNIVERSE, RTN_UNICAST, 0};
  rtattr gateway_header = {sizeof(rtattr) + sizeof(gateway), RTA_GATEWAY};
  uint8_t gateway[16] = {};
  rtattr link_header = {sizeof(rtattr) + sizeof(link), RTA_OIF};
  uint32_t link = 0;
};

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// What fails leaves the node with IPv4.
void AddIpv6(const char* hex) {
  AddressRequest address;
  if (bare::Length(hex) != 2 * sizeof(address.local)) Die("vinit: bad --ipv6\n");
  for (size_t i = 0; i < sizeof(address.local); ++i) {
    const int high = HexDigit(hex[2 * i]), low = HexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) Die("vinit: bad --ipv6\n");
    address.local[i] = static_cast<uint8_t>(high << 4 | low);
  }
  const long fd = Call(__NR_socket, kAfNetlink, kSockRaw | kCloexec, NETLINK_ROUTE);
  if (fd < 0) return;
  LinkRequest link;
  if (Call(__NR_ioctl, fd, SIOCGIFINDEX, Pointer(&link)) == 0) {
    address.message.ifa_index = static_cast<uint32_t>(link.index);
    RouteRequest route;
    memcpy(route.gateway, address.local, 8);
    route.gateway[15] = 1;
    route.link = address.message.ifa_index;
    Call(__NR_write, fd, Pointer(&address), sizeof(address));
    Call(__NR_write, fd, Pointer(&route), sizeof(route));
  }
  Call(__NR_close, fd);
}

char** ParseListen(char** arg) {
  if (arg[0] == nullptr || arg[1] == nullptr) Die("vinit: --listen PORT PROGRAM [ARG...] ';'\n");
  const long port = bare::ParseNumber(arg[0], 65535);
  if (port < 1) Die("vinit: bad port\n");
  char** const argv = ++arg;
  while (*arg != nullptr && !bare::Equal(*arg, ";")) ++arg;
  if (*arg == nullptr || arg == argv) Die("vinit: --listen PORT PROGRAM [ARG...] ';'\n");
  *arg = nullptr;
  AddListener(port, argv);
  return arg + 1;
}

// Returns the command, or null.
char** Parse(char** arg) {
  while (*arg != nullptr) {
    if (bare::Equal(*arg, "--")) return arg[1] != nullptr ? arg + 1 : nullptr;
    if (bare::Equal(*arg, "--listen")) {
      arg = ParseListen(arg + 1);
    } else if (bare::Equal(*arg, "--ipv6") && arg[1] != nullptr) {
      AddIpv6(arg[1]);
      arg += 2;
    } else if (bare::Equal(*arg, "--dir") && arg[1] != nullptr) {
      Call(__NR_mkdir, Pointer(arg[1]),
           0755);  // There already, or it is missed where it is needed.
      arg += 2;
    } else if (bare::Equal(*arg, "--started") && arg[1] != nullptr && arg[2] != nullptr) {
      started_socket = bare::ParseNumber(arg[1], 1023);
      start_lock = bare::ParseNumber(arg[2], 1023);
      if (started_socket < 0 || start_lock < 0) Die("vinit: bad --started\n");
      arg += 3;
    } else if (bare::Equal(*arg, "--grace") && arg[1] != nullptr) {
      grace_s = bare::ParseNumber(arg[1], 3600);
      if (grace_s < 0) Die("vinit: bad --grace\n");
      arg += 2;
    } else {
      Die("vinit: unknown argument\n");
    }
  }
  return nullptr;
}

}  // namespace

extern "C" int BareMain(char** argv) {
  // kill(-1) anywhere else would take the host down.
  if (Call(__NR_getpid) != 1) Die("vinit: is only for process 1 of a node\n");
  environment = argv;
  while (*environment != nullptr) ++environment;
  ++environment;
  Call(__NR_umask, 022);
  bare::SetMask(kAllSignals);  // Delivered only inside Poll: nothing is missed.
  for (const int number : {SIGTERM, SIGINT, SIGPWR}) bare::Handle(number, OnStop);
  bare::Handle(SIGCHLD, OnChild);
  bare::Handle(SIGPIPE, SIG_IGN);
  char** const command = Parse(argv + 1);
  if (started_socket >= 0) TellStarted(started_socket, start_lock);
  if (command != nullptr) Spawn(command, -1);
  Serve();
}
