// How fast the REST interface reads: GET of one Vcluster among many, and of the list, over HTTPS
// connections that are kept. The server is a process of its own on one core, the clients are on the
// others; the master has a fake host. rest_bench [VCLUSTERS] [CONNECTIONS] [SECONDS]
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "common/file_io.h"
#include "common/http/client.h"
#include "common/pki/authority.h"
#include "tests/unit/vclusterd/master/fake_host.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/rest/rest_server.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kPassword[] = "correct horse battery";

void UseCores(int first, int end) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (int core = first; core < end; ++core) CPU_SET(core, &cores);
  if (::sched_setaffinity(0, sizeof(cores), &cores) != 0) std::perror("sched_setaffinity");
}

Status WriteCertificate(const std::string& directory) {
  const pki::Time now = std::chrono::system_clock::now();
  ASSIGN_OR_RETURN(const auto authority, pki::Authority::Create(now));
  ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::Generate());
  ASSIGN_OR_RETURN(const std::string der, pki::MakeRequest(key, "localhost"));
  ASSIGN_OR_RETURN(const auto request, pki::ParseRequest(der));
  ASSIGN_OR_RETURN(const auto certificate, authority.SignHost(request, now));
  ASSIGN_OR_RETURN(const std::string key_pem, key.ToPem());
  RETURN_IF_ERROR(WriteFileAtomically(directory + "/ca.pem", authority.certificate().ToPem()));
  return WriteFileAtomically(directory + "/host.pem", certificate.ToPem() + key_pem);
}

// Writes "PORT TOKEN" to `out` and serves until it is killed.
Status Serve(const std::string& directory, uint32_t vclusters, int out) {
  const auto store = records::MakeMemoryRecordStore(DesiredTables());
  UserOptions options;
  options.hash_cost = {.memory_kib = 64, .passes = 1, .lanes = 1};
  ASSIGN_OR_RETURN(const auto users, Users::Open(*store, directory, std::move(options)));
  RETURN_IF_ERROR(store->Follow([&](const auto& changes) { users->Apply(changes); }));
  NewAccount wanted;
  wanted.name = "alice";
  wanted.password = kPassword;
  const Caller root{0, "bench", "", nullptr};
  ASSIGN_OR_RETURN(const AccountPtr account, users->CreateAccount(root, wanted, false));
  ASSIGN_OR_RETURN(const auto pool, net::Ipv4Prefix::Parse("10.64.0.0/10"));
  ASSIGN_OR_RETURN(const auto master, Master::Open(MakeMasterOptions("m", pool, *users), *store));
  master->AddHost("h1", std::make_shared<FakeHost>(1e5), {});
  const auto clusters = std::make_shared<Clusters>(*master, *users);
  const Caller alice{account->uid(), "bench", "", nullptr};
  const auto ignore = [](const std::string&, uint32_t, uint32_t) {};
  RETURN_IF_ERROR(clusters->Create(alice, PlainDefinition("v", "tiny", 3, Limits()), "", ignore,
                                   CancelToken()));
  CloneParameters copies;
  copies.source = "v";
  copies.count = vclusters - 1;
  RETURN_IF_ERROR(clusters->Clone(alice, copies, ignore, CancelToken()));

  rest::RestServerOptions server_options;
  server_options.address = "127.0.0.1:0";
  server_options.certificate = {directory + "/host.pem", directory + "/host.pem"};
  server_options.rates = {1e9, 1e9, 1e9, 1e9};
  ASSIGN_OR_RETURN(
      const auto server,
      rest::RestServer::Start(
          server_options, [&]() -> Result<std::shared_ptr<Clusters>> { return clusters; },
          []() -> Result<std::shared_ptr<Classes>> {
            return Error(Code::kUnavailable, "there are none here");
          },
          *users, nullptr));
  ASSIGN_OR_RETURN(const MadeToken made, users->SignInWithPassword("alice", kPassword, ""));
  const std::string line = std::to_string(server->port()) + " " + made.text + "\n";
  if (::write(out, line.data(), line.size()) < 0) return Errno("write");
  ::pause();
  return Ok();
}

// Of a process: user and system, of all of its threads.
double CpuSecondsOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct Target {
  std::string url;
  std::string token;
  std::string ca_file;
};

// Asks for `path` of each number on so many connections.
void Measure(const char* what, const Target& target, pid_t server, int connections, int seconds,
             const std::function<std::string(uint64_t)>& path) {
  std::atomic<uint64_t> asked{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> bytes{0};
  std::atomic<bool> over{false};
  const double cpu_before = CpuSecondsOf(server);
  const auto start = Clock::now();
  std::vector<std::jthread> threads;
  for (int i = 0; i < connections; ++i) {
    threads.emplace_back([&] {
      http::ClientOptions options;
      options.ca_file = target.ca_file;
      const auto client = http::Client::Create(options).value();
      const CancelToken never;
      while (!over) {
        http::Outgoing request;
        request.url = target.url + path(asked++);
        request.headers = {{"Authorization", "Bearer " + target.token}};
        const auto answer = client->Perform(request, nullptr, never);
        if (!answer.ok() || answer->status != 200) {
          ++failed;
        } else {
          bytes += answer->text.size();
        }
      }
    });
  }
  const CancelToken never;
  (void)never.WaitFor(std::chrono::seconds(seconds));
  over = true;
  threads.clear();
  const double passed = std::chrono::duration<double>(Clock::now() - start).count();
  const double cpu = CpuSecondsOf(server) - cpu_before;
  const auto requests = static_cast<double>(asked.load());
  std::printf(
      "%-28s %9.0f requests/s  %8.1f us of CPU each  %8.0f/s per full core  %9.0f bytes"
      "  %llu failed\n",
      what, requests / passed, cpu / requests * 1e6, requests / cpu,
      static_cast<double>(bytes) / requests, static_cast<unsigned long long>(failed.load()));
}

int Run(uint32_t vclusters, int connections, int seconds) {
  const auto directory = TemporaryDirectory::Create("/tmp", "strata-rest-bench.");
  if (!directory.ok()) return 1;
  int ends[2];
  if (!WriteCertificate(directory->path()).ok() || ::pipe(ends) != 0) return 1;
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const pid_t server = ::fork();
  if (server == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    UseCores(0, 1);
    const Status served = Serve(directory->path(), vclusters, ends[1]);
    if (!served.ok()) std::fprintf(stderr, "%s\n", served.error().message().c_str());
    ::_exit(served.ok() ? 0 : 1);
  }
  ::close(ends[1]);
  if (cores > 1) UseCores(1, cores);
  std::string line(1000, '\0');
  const ssize_t n = ::read(ends[0], line.data(), line.size());
  if (n <= 0) return 1;
  line.resize(static_cast<size_t>(n) - 1);
  const size_t blank = line.find(' ');
  const Target target{"https://localhost:" + line.substr(0, blank), line.substr(blank + 1),
                      directory->path() + "/ca.pem"};
  std::printf("%u Vclusters of 3 nodes, %d connections, the server on one core\n", vclusters,
              connections);
  Measure("GET /v1/vclusters/NAME", target, server, connections, seconds,
          [&](uint64_t i) { return "/v1/vclusters/v-" + std::to_string(i % (vclusters - 1) + 1); });
  Measure("GET /v1/vclusters (all)", target, server, connections, seconds,
          [](uint64_t) { return std::string("/v1/vclusters"); });
  Measure("GET ...?nodes=false&limit=50", target, server, connections, seconds,
          [](uint64_t) { return std::string("/v1/vclusters?nodes=false&limit=50"); });
  Measure("GET /v1/session", target, server, connections, seconds,
          [](uint64_t) { return std::string("/v1/session"); });
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  return strata::vcluster::Run(static_cast<uint32_t>(std::clamp(argument(1, 1000), 2, 1000)),
                               argument(2, 8), argument(3, 5));
}
