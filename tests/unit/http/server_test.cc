// The HTTP server, by a client that behaves (libcurl's) and by some that do not.
#include "common/http/server.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>
#include <utility>

#include "common/file_io.h"
#include "common/http/client.h"
#include "common/http/piped_body.h"
#include "common/pki/authority.h"
#include "tests/unit/http/raw_connection.h"

namespace strata::http {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

size_t OpenDescriptors() {
  DIR* const directory = ::opendir("/proc/self/fd");
  size_t count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

// Keeps a body, or refuses it beyond a limit.
class KeepingSink : public BodySink {
 public:
  KeepingSink(std::string* kept, size_t limit) : kept_(kept), limit_(limit) {}
  std::optional<Response> Write(std::string_view data) override {
    if (kept_->size() + data.size() > limit_) {
      Response response;
      response.status = 413;
      return response;
    }
    kept_->append(data);
    return std::nullopt;
  }
  Response Finish() override {
    Response response;
    response.text = std::to_string(kept_->size());
    return response;
  }

 private:
  std::string* const kept_;
  const size_t limit_;
};

class TestHandler : public Handler {
 public:
  Answer Handle(const Request& request) override {
    ++requests;
    last_path = request.path;
    Response response;
    if (request.path == "/echo") {
      response.text = request.method + " " + std::string(Find(request.query, "q")) + " " +
                      std::string(Find(request.headers, "x-test")) + " " + request.client;
    } else if (request.path == "/keep") {
      kept.clear();
      return std::make_unique<KeepingSink>(&kept, keep_bytes_max);
    } else if (request.path == "/stream") {
      const uint64_t bytes = std::stoull(std::string(Find(request.query, "bytes")));
      response.body = std::make_unique<PipedBody>(
          "stream", [this, bytes](const PipedBody::Sink& sink, const CancelToken&) -> Status {
            const std::string piece(10'000, 's');
            for (uint64_t left = bytes; left > 0;) {
              const size_t n = std::min<uint64_t>(left, piece.size());
              if (Status status = sink(std::string_view(piece).substr(0, n)); !status.ok()) {
                cancelled = true;
                return status;
              }
              produced += n;
              left -= n;
            }
            return Ok();
          });
      response.content_length = bytes;
    } else if (request.path == "/broken") {
      response.body = std::make_unique<PipedBody>(
          "broken", [](const PipedBody::Sink& sink, const CancelToken&) -> Status {
            RETURN_IF_ERROR(sink("part"));
            return Error(Code::kCorrupt, "the rest is damaged");
          });
      response.content_length = 100;
    } else if (request.path == "/stall") {
      response.body = std::make_unique<PipedBody>(
          "stall", [this](const PipedBody::Sink& sink, const CancelToken&) -> Status {
            RETURN_IF_ERROR(sink("part"));
            stalled.acquire();
            return Ok();
          });
      response.content_length = 100;
    } else if (request.path == "/throw") {
      (void)std::string().at(1);
    } else {
      response.status = 404;
    }
    return response;
  }

  std::string kept;
  size_t keep_bytes_max = 1u << 30;
  std::string last_path;
  std::binary_semaphore stalled{0};
  std::atomic<int> requests{0};
  std::atomic<uint64_t> produced{0};
  std::atomic<bool> cancelled{false};
};

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override { descriptors_before_ = OpenDescriptors(); }
  void TearDown() override {
    client_.reset();
    server_.reset();
    EXPECT_EQ(OpenDescriptors(), descriptors_before_);
  }
  void Start(ServerOptions options = {}, const ClientOptions& client = {}) {
    options.address = "127.0.0.1:0";
    const bool tls = !options.certificate_pem.empty();
    auto server = Server::Start(std::move(options), &handler_);
    ASSERT_TRUE(server.ok()) << server.error().message();
    server_ = std::move(*server);
    url_ = (tls ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(server_->port());
    client_ = std::move(*Client::Create(client));
  }
  Result<Incoming> Get(const std::string& path, const BodyReceiver& sink = nullptr) {
    Outgoing request;
    request.url = url_ + path;
    request.headers = {{"X-Test", "yes"}};
    return client_->Perform(request, sink, never_);
  }
  Result<Incoming> Send(const std::string& method, const std::string& path, std::string text) {
    Outgoing request;
    request.method = method;
    request.url = url_ + path;
    request.text = std::move(text);
    return client_->Perform(request, nullptr, never_);
  }

  size_t descriptors_before_ = 0;
  TestHandler handler_;
  std::unique_ptr<Server> server_;
  std::string url_;
  std::unique_ptr<Client> client_;
  CancelToken never_;
};

ServerOptions Impatient() {
  ServerOptions options;
  options.limits.head_max = milliseconds(300);
  options.limits.idle_max = milliseconds(300);
  options.limits.window = milliseconds(300);
  return options;
}

TEST_F(HttpServerTest, AHandlerSeesWhatWasAsked) {
  Start();
  const auto answer = Get("/echo?q=a%20b+c&q=2");
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->text, "GET a b c yes 127.0.0.1");
  EXPECT_EQ(Get("/nothing")->status, 404);
  EXPECT_EQ(Send("DELETE", "/echo", "")->text, "DELETE   127.0.0.1");
}

TEST_F(HttpServerTest, ThePathStaysAsItCame) {
  Start();
  RawConnection raw(server_->port());
  raw.Send("GET /a%2Fb/..%00/../c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(raw.ReadToEnd(), HasSubstr(" 404 "));
  EXPECT_EQ(handler_.last_path, "/a%2Fb/..%00/../c");
}

TEST_F(HttpServerTest, BodiesGoBothWaysAsStreams) {
  Start();
  Outgoing request;
  request.method = "PUT";
  request.url = url_ + "/keep";
  uint64_t left = 3'000'000;
  request.body = [&](char* buffer, size_t size) -> Result<size_t> {
    const size_t n = std::min<uint64_t>(size, left);
    std::fill_n(buffer, n, 'u');
    left -= n;
    return n;
  };
  const auto chunked = client_->Perform(request, nullptr, never_);
  ASSERT_TRUE(chunked.ok()) << chunked.error().message();
  EXPECT_EQ(chunked->text, "3000000");
  EXPECT_EQ(handler_.kept, std::string(3'000'000, 'u'));

  uint64_t received = 0;
  const auto streamed = Get("/stream?bytes=50000000", [&](const Incoming&, std::string_view data) {
    received += data.size();
    return Ok();
  });
  ASSERT_TRUE(streamed.ok()) << streamed.error().message();
  EXPECT_EQ(received, 50'000'000u);
}

TEST_F(HttpServerTest, HeadTellsTheLengthAndSendsNothing) {
  Start();
  Outgoing request;
  request.method = "HEAD";
  request.url = url_ + "/stream?bytes=12345";
  const auto answer = client_->Perform(request, nullptr, never_);
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(Find(answer->headers, "content-length"), "12345");
}

TEST_F(HttpServerTest, ABodyThatGoesWrongIsNotTakenForAWholeOne) {
  Start();
  EXPECT_EQ(Get("/broken").error().code(), Code::kUnavailable);
  RawConnection raw(server_->port());
  raw.Send("GET /throw HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(raw.ReadToEnd(), "");
  EXPECT_EQ(Get("/echo")->status, 200) << "the server lives on";
}

TEST_F(HttpServerTest, AClientGivesUpOnAServerThatStalls) {
  ClientOptions impatient;
  impatient.stall_max = std::chrono::seconds(1);
  Start({}, impatient);
  const auto answer = Get("/stall");
  EXPECT_EQ(answer.ok() ? Code::kInternal : answer.error().code(), Code::kUnavailable);
  handler_.stalled.release();
}

TEST_F(HttpServerTest, ACancelledRequestEnds) {
  Start();
  Outgoing request;
  request.url = url_ + "/stall";
  CancelToken cancel;
  const auto answer = client_->Perform(
      request,
      [&](const Incoming&, std::string_view) -> Status {
        cancel.Cancel();
        return Ok();
      },
      cancel);
  EXPECT_EQ(answer.ok() ? Code::kInternal : answer.error().code(), Code::kCancelled);
  handler_.stalled.release();
}

TEST_F(HttpServerTest, NoMoreIsMadeThanTheClientTakes) {
  Start();
  {
    RawConnection raw(server_->port());
    raw.Send("GET /stream?bytes=4000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(raw.Readable(10'000));
    // As soon as two looks in a row see the same, it stands still.
    uint64_t before = 1;
    while (before != handler_.produced) {
      before = handler_.produced;
      EXPECT_FALSE(RawConnection(server_->port()).Readable(200));
    }
    EXPECT_LT(handler_.produced, 64u << 20);
  }
  server_->Shutdown(milliseconds(5000));  // Waits for requests that run.
  EXPECT_TRUE(handler_.cancelled) << "the producer was told that the client is gone";
}

TEST_F(HttpServerTest, ARefusalInTheMiddleOfABodyReachesTheClient) {
  handler_.keep_bytes_max = 1000;
  Start();
  EXPECT_EQ(Send("PUT", "/keep", std::string(3'000'000, 'x'))->status, 413);
  EXPECT_EQ(Send("PUT", "/nothing", std::string(3'000'000, 'x'))->status, 404);
}

TEST_F(HttpServerTest, AnEndlessBodyThatNobodyWantsIsCutOff) {
  handler_.keep_bytes_max = 1000;
  ServerOptions options;
  options.limits.discard_bytes = 1 << 20;
  Start(std::move(options));
  RawConnection raw(server_->port());
  raw.Send("PUT /keep HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  size_t sent = 0;
  while (sent < (1u << 30) && raw.Send(chunk)) sent += chunk.size();
  EXPECT_LT(sent, 64u << 20);
}

TEST_F(HttpServerTest, HugeHeadsAreRefused) {
  Start();
  RawConnection raw(server_->port());
  raw.Send("GET /echo HTTP/1.1\r\nHost: x\r\nX-Big: " + std::string(200'000, 'x') + "\r\n\r\n");
  EXPECT_THAT(raw.ReadToEnd(), testing::AnyOf(StartsWith("HTTP/1.1 431"), std::string()));
  RawConnection many(server_->port());
  std::string head = "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  for (int i = 0; i < 200; ++i) head += "X-" + std::to_string(i) + ": 1\r\n";
  many.Send(head + "\r\n");
  EXPECT_THAT(many.ReadToEnd(), HasSubstr(" 431 "));
  EXPECT_EQ(handler_.requests, 0);
}

TEST_F(HttpServerTest, WhoIsSlowWithAHeadIsCutOffHoweverOftenHeSendsAByte) {
  Start(Impatient());
  RawConnection raw(server_->port());
  raw.Send("GET /echo HTTP/1.1\r\n");
  const auto start = std::chrono::steady_clock::now();
  while (!raw.Readable(50) && raw.Send("X")) {
    ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
  EXPECT_EQ(raw.ReadToEnd(), "");
  EXPECT_EQ(handler_.requests, 0);
}

TEST_F(HttpServerTest, WhoIsSlowWithABodyIsCutOff) {
  Start(Impatient());
  RawConnection raw(server_->port());
  raw.Send("PUT /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  const auto start = std::chrono::steady_clock::now();
  while (!raw.Readable(50) && raw.Send("X")) {
    ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
  EXPECT_EQ(raw.ReadToEnd(), "");
}

TEST_F(HttpServerTest, WhoTakesNothingIsCutOff) {
  Start(Impatient());
  RawConnection raw(server_->port());
  raw.Send("GET /stream?bytes=4000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(raw.Readable(10'000));
  const auto start = std::chrono::steady_clock::now();
  server_->Shutdown(std::chrono::seconds(20));  // Ends as soon as the request does.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_TRUE(handler_.cancelled);
}

TEST_F(HttpServerTest, AnIdleConnectionIsClosed) {
  Start(Impatient());
  RawConnection raw(server_->port());
  raw.Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = raw.ReadToEnd();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, testing::Not(HasSubstr("(open)")));
}

TEST_F(HttpServerTest, OneAddressGetsOnlySoManyConnections) {
  ServerOptions options;
  options.limits.connections_per_address = 4;
  Start(std::move(options));
  std::vector<std::unique_ptr<RawConnection>> held;
  for (int i = 0; i < 4; ++i) held.push_back(std::make_unique<RawConnection>(server_->port()));
  for (auto& one : held) one->Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  for (auto& one : held) ASSERT_TRUE(one->Readable(10'000));
  RawConnection fifth(server_->port());
  fifth.Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(fifth.ReadToEnd(), "");
  EXPECT_EQ(handler_.requests, 4);
}

TEST_F(HttpServerTest, ShutdownEndsStreamsThatWait) {
  Start();
  RawConnection raw(server_->port());
  raw.Send("GET /stream?bytes=4000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(raw.Readable(10'000));
  const auto start = std::chrono::steady_clock::now();
  server_->Shutdown(milliseconds(100));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_TRUE(handler_.cancelled);
}

TEST_F(HttpServerTest, TlsIsServedAndVerified) {
  const pki::Time now = std::chrono::system_clock::now();
  auto authority = pki::Authority::Create(now);
  ASSERT_TRUE(authority.ok());
  auto key = pki::PrivateKey::Generate();
  auto request_der = pki::MakeRequest(*key, "localhost");
  ASSERT_TRUE(request_der.ok());
  auto request = pki::ParseRequest(*request_der);
  ASSERT_TRUE(request.ok());
  auto certificate = authority->SignHost(*request, now);
  ASSERT_TRUE(certificate.ok());
  auto directory = TemporaryDirectory::Create("/tmp", "strata-http.");
  const std::string ca_file = directory->path() + "/ca.pem";
  ASSERT_TRUE(WriteFileAtomically(ca_file, authority->certificate().ToPem()).ok());

  ServerOptions options;
  options.certificate_pem = certificate->ToPem();
  options.key_pem = *key->ToPem();
  ClientOptions trusting;
  trusting.ca_file = ca_file;
  Start(options, trusting);
  EXPECT_EQ(Get("/echo")->status, 200);
  client_ = std::move(*Client::Create({}));
  EXPECT_EQ(Get("/echo").error().code(), Code::kPermissionDenied);
  RawConnection plain(server_->port());
  plain.Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(plain.ReadToEnd(), testing::Not(HasSubstr("200")));
  EXPECT_EQ(handler_.requests, 1);

  options.key_pem = *pki::PrivateKey::Generate()->ToPem();
  options.address = "127.0.0.1:0";
  EXPECT_EQ(Server::Start(options, &handler_).error().code(), Code::kInvalidArgument);
}

TEST_F(HttpServerTest, ACertificateIsChangedWhileConnectionsGoOn) {
  const pki::Time now = std::chrono::system_clock::now();
  auto directory = TemporaryDirectory::Create("/tmp", "strata-http.");
  struct Identity {
    std::string ca_file, certificate, key;
  };
  const auto make = [&](const std::string& name) {
    auto authority = pki::Authority::Create(now);
    auto key = pki::PrivateKey::Generate();
    auto request = pki::ParseRequest(*pki::MakeRequest(*key, "localhost"));
    Identity made{directory->path() + "/" + name, authority->SignHost(*request, now)->ToPem(),
                  *key->ToPem()};
    EXPECT_TRUE(WriteFileAtomically(made.ca_file, authority->certificate().ToPem()).ok());
    return made;
  };
  const Identity first = make("first");
  const Identity second = make("second");
  const auto trusting = [](const Identity& identity) {
    ClientOptions options;
    options.ca_file = identity.ca_file;
    return std::move(*Client::Create(options));
  };
  ServerOptions options;
  options.certificate_pem = first.certificate;
  options.key_pem = first.key;
  ClientOptions trusts_first;
  trusts_first.ca_file = first.ca_file;
  Start(options, trusts_first);
  EXPECT_EQ(Get("/echo")->status, 200);

  // One that is none, or whose key is another's, changes nothing.
  EXPECT_FALSE(server_->SetCertificate("x", second.key).ok());
  EXPECT_FALSE(server_->SetCertificate(second.certificate, first.key).ok());
  EXPECT_FALSE(server_->SetCertificate("", "").ok());
  auto old_client = std::exchange(client_, trusting(first));
  EXPECT_EQ(Get("/echo")->status, 200);

  ASSERT_TRUE(server_->SetCertificate(second.certificate, second.key).ok());
  client_ = trusting(second);
  EXPECT_EQ(Get("/echo")->status, 200);
  client_ = trusting(first);
  EXPECT_EQ(Get("/echo").error().code(), Code::kPermissionDenied) << "new connections get it";
  client_ = std::move(old_client);
  EXPECT_EQ(Get("/echo")->status, 200) << "its connection is as old as it is";
  ASSERT_TRUE(server_->SetCertificate(first.certificate, first.key).ok());
  ASSERT_TRUE(server_->SetCertificate(second.certificate, second.key).ok());
  client_ = trusting(second);
  EXPECT_EQ(Get("/echo")->status, 200);
  server_->Shutdown(std::chrono::milliseconds(0));
  EXPECT_EQ(server_->SetCertificate(first.certificate, first.key).error().code(),
            Code::kFailedPrecondition);
}

TEST_F(HttpServerTest, AddressesAreNumbers) {
  for (const char* address : {"", "5000", ":5000", "localhost:5000", "1.2.3.4", "1.2.3.4:x"}) {
    ServerOptions options;
    options.address = address;
    EXPECT_EQ(Server::Start(options, &handler_).error().code(), Code::kInvalidArgument) << address;
  }
  Start();
  ServerOptions taken;
  taken.address = "127.0.0.1:" + std::to_string(server_->port());
  EXPECT_EQ(Server::Start(taken, &handler_).error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace strata::http
