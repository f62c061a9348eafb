// A server on a Unix socket must know who calls, and never mistake one caller for another. The
// image service's List is used as any service: it answers the uid as an image's owner.
#include "common/rpc/local_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <thread>

#include "common/file_io.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "imaged/api/imaged.grpc.pb.h"

namespace strata::rpc {
namespace {

using imaged::v1::ImageService;

class WhoAmI final : public ImageService::Service {
 public:
  explicit WhoAmI(uid_t uid) : uid_(uid) {}
  grpc::Status List(grpc::ServerContext*, const imaged::v1::ListRequest*,
                    imaged::v1::ListResponse* response) override {
    response->add_images()->set_owner_uid(uid_);
    return grpc::Status::OK;
  }
  grpc::Status Show(grpc::ServerContext*, const imaged::v1::ShowRequest* request,
                    imaged::v1::ShowResponse*) override {
    return ToGrpc(Error(Code::kNotFound, "no " + request->reference()));
  }

 private:
  const uid_t uid_;
};

class LocalServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-test.");
    ASSERT_TRUE(created.ok());
    directory_.emplace(std::move(*created));
    ASSERT_EQ(::chmod(directory_->path().c_str(), 0755), 0);
    socket_ = directory_->path() + "/s.sock";
  }

  Result<std::unique_ptr<LocalServer>> StartServer() {
    return LocalServer::Start(socket_, [](const Caller& caller) {
      std::vector<std::unique_ptr<grpc::Service>> services;
      services.push_back(std::make_unique<WhoAmI>(caller.uid));
      return services;
    });
  }

  // The uid that the server sees; -1 on an error.
  int64_t Ask() const {
    auto channel = ConnectLocal(socket_, "test");
    if (!channel.ok()) return -1;
    imaged::v1::ListResponse response;
    grpc::ClientContext context;
    if (!ImageService::NewStub(*channel)->List(&context, {}, &response).ok()) return -1;
    return response.images(0).owner_uid();
  }

  std::optional<TemporaryDirectory> directory_;
  std::string socket_;
};

// gRPC does not survive fork(2), so the client of another user is this test program run again.
int AskAs(uid_t uid, const std::string& socket) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setresuid(uid, uid, uid) != 0) ::_exit(99);
    const std::string argument = "--ask=" + socket;
    ::execl("/proc/self/exe", "local_server_test", argument.c_str(), nullptr);
    ::_exit(98);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(LocalServerTest, EveryCallerIsSeenAsWhoHeIs) {
  auto server = StartServer();
  ASSERT_TRUE(server.ok()) << server.error().message();
  EXPECT_EQ(Ask(), ::getuid());
  // The client exits with the uid that the server told it, modulo what an exit code holds.
  EXPECT_EQ(AskAs(77, socket_), 77);
  EXPECT_EQ(AskAs(78, socket_), 78);
  EXPECT_EQ(Ask(), ::getuid());
  (*server)->Shutdown(std::chrono::seconds(1));
  EXPECT_FALSE(PathExists(socket_));
}

TEST_F(LocalServerTest, ErrorsKeepCodeAndMessage) {
  auto server = StartServer();
  ASSERT_TRUE(server.ok());
  auto channel = ConnectLocal(socket_, "test");
  ASSERT_TRUE(channel.ok());
  imaged::v1::ShowRequest request;
  request.set_reference("thing");
  imaged::v1::ShowResponse response;
  grpc::ClientContext context;
  const Error error = FromGrpc(ImageService::NewStub(*channel)->Show(&context, request, &response));
  EXPECT_EQ(error.code(), Code::kNotFound);
  EXPECT_EQ(error.message(), "no thing");
}

TEST_F(LocalServerTest, ASecondDaemonIsRefusedAndADeadOnesSocketIsReplaced) {
  {
    auto first = StartServer();
    ASSERT_TRUE(first.ok());
    const auto second = StartServer();
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
    EXPECT_EQ(Ask(), ::getuid()) << "the first one still answers";
  }
  ASSERT_TRUE(WriteFileAtomically(socket_, "").ok());  // What a killed daemon leaves.
  auto again = StartServer();
  EXPECT_TRUE(again.ok());
}

TEST_F(LocalServerTest, NoDaemonIsToldPlainly) {
  const auto channel = ConnectLocal(socket_, "imaged");
  ASSERT_FALSE(channel.ok());
  EXPECT_EQ(channel.error().code(), Code::kUnavailable);
  EXPECT_NE(channel.error().message().find("imaged does not answer at " + socket_),
            std::string::npos);
}

TEST_F(LocalServerTest, ManyConnectionsAtOnceAreServed) {
  auto server = StartServer();
  ASSERT_TRUE(server.ok());
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < 5; ++k) good += Ask() == static_cast<int64_t>(::getuid());
      });
    }
  }
  EXPECT_EQ(good, 80);
}

// Runs `body` in a process of that user, and answers its exit code.
template <typename Body>
int As(uid_t uid, Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::setresuid(uid, uid, uid) == 0 ? body() : 99);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int Connected(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? fd : -1;
}

// Whether the server has closed it; one that it serves gets HTTP/2's first frame.
bool IsRefused(int fd) {
  char byte;
  return ::read(fd, &byte, 1) <= 0;
}

TEST_F(LocalServerTest, OneUsersConnectionsAreBoundedAndOthersAreServed) {
  auto server = StartServer();
  ASSERT_TRUE(server.ok());
  const int refused_at = As(77, [&] {
    for (int i = 0; i < 90; ++i) {
      if (IsRefused(Connected(socket_))) return i;
    }
    return 90;
  });
  EXPECT_EQ(refused_at, 64);
  EXPECT_EQ(AskAs(78, socket_), 78);
  EXPECT_EQ(AskAs(77, socket_), 77) << "those connections are gone";
}

TEST_F(LocalServerTest, UsersWhoAreGoneMakeRoomForOthers) {
  auto server = StartServer();
  ASSERT_TRUE(server.ok());
  for (uid_t uid = 10'000; uid < 10'300; ++uid) {
    ASSERT_EQ(As(uid, [&] { return IsRefused(Connected(socket_)) ? 1 : 0; }), 0) << uid;
  }
  EXPECT_EQ(AskAs(77, socket_), 77);
  EXPECT_EQ(Ask(), ::getuid());
}

}  // namespace
}  // namespace strata::rpc

int main(int argc, char** argv) {
  const std::string_view argument = argc > 1 ? argv[1] : "";
  if (argument.starts_with("--ask=")) {
    const std::string socket(argument.substr(6));
    auto channel = strata::rpc::ConnectLocal(socket, "test");
    if (!channel.ok()) return 97;
    strata::imaged::v1::ListResponse response;
    grpc::ClientContext context;
    auto stub = strata::imaged::v1::ImageService::NewStub(*channel);
    if (!stub->List(&context, {}, &response).ok()) return 96;
    return static_cast<int>(response.images(0).owner_uid());
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
