// strata: what programs in a node ask their cluster for (docs/scale-from-nodes.md).
//
//   /dev/.strata/strata scale ROLE=N [ROLE=N...] [--json]
//   /dev/.strata/strata status [--json]
//
// It puts the words and the node's token together, and prints the answer; whoever answers judges
// and words it. Every node has it, whatever its image is: static, no C or C++ library.
#include "vclusterd/init/bare_linux.h"

namespace {

using bare::Call;
using bare::Pointer;

constexpr char kSocket[] = "/dev/.strata/socket";
constexpr char kToken[] = "/dev/.strata/token";
constexpr size_t kRequestMax = 4096;  // As vclusterd/host/node_call.h.
constexpr size_t kAnswerMax = 64 << 10;
constexpr int64_t kAnswerSeconds = 30;

// Exit codes as docs/cli.md.
constexpr int kUsage = 2, kNotPermitted = 4, kNoAnswer = 6;

// From headers of the C library, which are not used here.
constexpr int kAfUnix = 1, kSockStream = 1, kSolSocket = 1, kSoRcvTimeo = 20, kSoSndTimeo = 21;
constexpr int kReadOnly = 0, kStdout = 1, kStderr = 2;

constexpr char kHelp[] =
    "usage: strata scale ROLE=N [ROLE=N...] [--json]\n"
    "       strata status [--json]\n"
    "\n"
    "Asks for another number of nodes for roles of this node's own Vcluster, and tells how many\n"
    "there are. Its file says which roles (scale-from-nodes). `scale` does not wait for the "
    "nodes:\n"
    "`status` tells how many of them run.\n"
    "\n"
    "  strata scale web=5            five nodes of role web\n"
    "  strata scale web=+2 db=-1     two more, and one less\n"
    "  strata status --json          what there is, for programs\n"
    "\n"
    "Only root of the node may ask. Exit codes: 0 done, 2 wrong usage or request, 3 no such role,\n"
    "4 not permitted, 6 nobody answers (try again), 7 not now (a limit is reached).\n";

void Write(int fd, const char* text, size_t size) {
  while (size > 0) {
    const long n = Call(__NR_write, fd, Pointer(text), static_cast<long>(size));
    if (n == -EINTR) continue;
    if (n <= 0) return;
    text += n;
    size -= static_cast<size_t>(n);
  }
}
void Print(int fd, const char* text) { Write(fd, text, bare::Length(text)); }

[[noreturn]] void Fail(int code, const char* what) {
  Print(kStderr, "strata: ");
  Print(kStderr, what);
  Print(kStderr, "\n");
  bare::Exit(code);
}

char request[kRequestMax];
size_t request_size = 0;

void Append(const char* text) {
  for (; *text != '\0'; ++text) {
    if (request_size == kRequestMax) Fail(kUsage, "these are too many roles at once");
    request[request_size++] = *text;
  }
}

// One line of the request is one word of the command line.
void AppendWord(const char* front, const char* word) {
  for (const char* at = word; *at != '\0'; ++at) {
    if (static_cast<unsigned char>(*at) < ' ')
      Fail(kUsage, "a role's name has no control characters");
  }
  Append(front);
  Append(word);
  Append("\n");
}

void AppendToken() {
  const long fd = Call(__NR_open, Pointer(kToken), kReadOnly);
  if (fd == -EACCES) Fail(kNotPermitted, "only root of the node may ask");
  if (fd < 0) Fail(kNoAnswer, "this node has no token yet: try again in some seconds");
  char token[128];
  const long n = Call(__NR_read, fd, Pointer(token), sizeof(token) - 1);
  Call(__NR_close, fd);
  size_t size = 0;
  while (n > 0 && size < static_cast<size_t>(n) && token[size] > ' ') ++size;
  token[size] = '\0';
  AppendWord("token ", token);
}

int Connect() {
  const long fd = Call(__NR_socket, kAfUnix, kSockStream, 0);
  if (fd < 0) Fail(kNoAnswer, "no socket can be made");
  const struct { int64_t seconds, microseconds; } timeout = {kAnswerSeconds, 0};
  Call(__NR_setsockopt, fd, kSolSocket, kSoRcvTimeo, Pointer(&timeout), sizeof(timeout));
  Call(__NR_setsockopt, fd, kSolSocket, kSoSndTimeo, Pointer(&timeout), sizeof(timeout));
  struct {
    uint16_t family;
    char path[108];
  } address = {};
  address.family = kAfUnix;
  for (size_t i = 0; kSocket[i] != '\0'; ++i) address.path[i] = kSocket[i];
  const long connected = Call(__NR_connect, fd, Pointer(&address), sizeof(address));
  if (connected == 0) return static_cast<int>(fd);
  if (connected == -EACCES) Fail(kNotPermitted, "only root of the node may ask");
  if (connected == -ENOENT) {
    Fail(kNotPermitted,
         "nodes of this Vcluster may not scale it: its file does not say so "
         "(scale-from-nodes: true, then vcluster apply)");
  }
  Fail(kNoAnswer, "the vclusterd of this host does not answer: try again in some seconds");
}

char answer[kAnswerMax];

size_t Ask(int fd) {
  Write(fd, request, request_size);
  size_t size = 0;
  while (size < kAnswerMax) {
    const long n =
        Call(__NR_read, fd, Pointer(answer + size), static_cast<long>(kAnswerMax - size));
    if (n == -EINTR) continue;
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  return size;
}

}  // namespace

extern "C" int BareMain(char** argv) {
  bare::Handle(SIGPIPE, SIG_IGN);
  bool scales = false, asks = false, json = false;
  int words = 0;
  char** const first = argv[0] == nullptr ? argv : argv + 1;
  for (char** arg = first; *arg != nullptr; ++arg) {
    if (bare::Equal(*arg, "--help") || bare::Equal(*arg, "-h")) {
      Print(kStdout, kHelp);
      return 0;
    }
    if (bare::Equal(*arg, "--json")) {
      json = true;
    } else if (**arg == '-') {
      Fail(kUsage, "there is no such option (strata --help)");
    } else if (!scales && !asks) {
      scales = bare::Equal(*arg, "scale");
      asks = bare::Equal(*arg, "status");
      if (!scales && !asks) Fail(kUsage, "there is no such command (strata --help)");
    } else {
      ++words;
    }
  }
  if (!scales && !asks) {
    Print(kStderr, kHelp);
    return kUsage;
  }
  if (scales && words == 0) Fail(kUsage, "which role, and how many? (strata scale web=5)");
  if (asks && words != 0) Fail(kUsage, "status is of the whole Vcluster (strata --help)");

  const int fd = Connect();
  Append(scales ? "strata 1 scale\n" : "strata 1 status\n");
  AppendToken();
  if (json) Append("json\n");
  bool command = true;
  for (char** arg = first; *arg != nullptr; ++arg) {
    if (**arg == '-') continue;
    if (!command) AppendWord("role ", *arg);
    command = false;
  }
  Append("\n");

  const size_t size = Ask(fd);
  int code = 0;
  size_t at = 0;
  for (; at < size && answer[at] >= '0' && answer[at] <= '9' && code < 200; ++at) {
    code = code * 10 + (answer[at] - '0');
  }
  if (at == 0 || at == size || answer[at] != '\n') {
    Fail(kNoAnswer, "the vclusterd of this host gives no answer: try again in some seconds");
  }
  ++at;
  if (code != 0) Print(kStderr, "strata: ");
  Write(code == 0 ? kStdout : kStderr, answer + at, size - at);
  return code;
}
