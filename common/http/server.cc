#include "common/http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <mutex>
#include <utility>

#include "common/http/connection_watch.h"
#include "common/log.h"

namespace strata::http {
namespace {

constexpr size_t kReadBlockBytes = 64 * 1024;
constexpr size_t kHeaderFieldsMax = 100;

// Takes a body that nobody wants, as far as it is short, so that a client that writes before it
// reads gets to see its answer.
class DiscardSink : public BodySink {
 public:
  explicit DiscardSink(Response response) : response_(std::move(response)) {}
  std::optional<Response> Write(std::string_view) override { return std::nullopt; }
  Response Finish() override { return std::move(response_); }

 private:
  Response response_;
};

// One connection and the request that it is at. Its thread alone uses what is not watched.
struct Connection {
  Connection(UniqueFd fd, std::string address)
      : watched(std::move(fd)), client(std::move(address)) {}

  WatchedConnection watched;
  const std::string client;
  std::string uri;  // Of the request line, as it came.
  std::optional<Request> request;
  std::unique_ptr<BodySink> sink;
  std::optional<Response> refusal;  // The sink's, before the body was over.
  uint64_t discarded_bytes = 0;
};

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

std::string NumericHost(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(address);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
      ::inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, text, sizeof(text));
    } else {
      ::inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
    }
  } else if (address->sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text,
                sizeof(text));
  }
  return text;
}

Result<SocketAddress> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, std::min(colon, text.size()));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  if (host.empty() || port.empty() ||
      ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return Error(Code::kInvalidArgument, "'" + text +
                                             "' is no address: write 10.0.0.1:5000 or "
                                             "[::]:5000");
  }
  SocketAddress address;
  std::copy_n(reinterpret_cast<const char*>(found->ai_addr), found->ai_addrlen,
              reinterpret_cast<char*>(&address.storage));
  address.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

Result<UniqueFd> Listen(const std::string& text) {
  ASSIGN_OR_RETURN(const SocketAddress address, ParseAddress(text));
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Errno("socket");
  const int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0) {
    return Error(Code::kUnavailable, Errno("listen on " + text).message());
  }
  return fd;
}

Result<UniqueFd> Duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return Errno("dup");
  return copy;
}

Result<int> PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return Errno("getsockname");
  }
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

MHD_Result AddField(void* fields, MHD_ValueKind, const char* name, const char* value) {
  auto* list = static_cast<Fields*>(fields);
  if (list->size() == kHeaderFieldsMax) return MHD_NO;
  list->push_back({name, value == nullptr ? "" : value});
  return MHD_YES;
}

std::optional<uint64_t> LengthOf(const Fields& headers) {
  const std::string_view text = Find(headers, "Content-Length");
  if (text.empty() || text.size() > 19 ||
      text.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;  // libmicrohttpd has refused what is no number.
  }
  return std::stoull(std::string(text));
}

Response TextResponse(int status, std::string text) {
  Response response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain"}};
  response.text = std::move(text) + "\n";
  return response;
}

// What libmicrohttpd reads an answer's body from.
struct OutgoingBody {
  WatchedConnection* watched;
  std::unique_ptr<BodySource> source;
};

ssize_t ReadBody(void* cls, uint64_t, char* buffer, size_t size) {
  auto* body = static_cast<OutgoingBody*>(cls);
  try {
    body->watched->Enter(Phase::kHandling);
    const Result<size_t> read = body->source->Read(buffer, size);
    body->watched->Enter(Phase::kBody);
    if (!read.ok()) return MHD_CONTENT_READER_END_WITH_ERROR;
    body->watched->Moved(*read);
    return *read == 0 ? MHD_CONTENT_READER_END_OF_STREAM : static_cast<ssize_t>(*read);
  } catch (const std::exception& e) {
    LOG_ERROR(std::string("http: the body of an answer: ") + e.what());
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
}

void FreeBody(void* cls) { delete static_cast<OutgoingBody*>(cls); }

class EmptySource : public BodySource {
 public:
  Result<size_t> Read(char*, size_t) override { return size_t{0}; }
};

class MicroServer : public Server {
 public:
  MicroServer(ServerOptions options, Handler* handler)
      : options_(std::move(options)), handler_(handler), watch_(options_.limits) {}
  ~MicroServer() override { Shutdown(std::chrono::milliseconds(0)); }

  Status Start();
  int port() const override { return port_; }
  Status SetCertificate(std::string certificate_pem, std::string key_pem) override;
  void Shutdown(std::chrono::milliseconds grace) override;

 private:
  // Serves at `listener`, which it takes when it succeeds.
  Result<MHD_Daemon*> StartDaemon(UniqueFd listener, const std::string& certificate_pem,
                                  const std::string& key_pem);
  static MHD_Result OnAccess(void* cls, MHD_Connection* connection, const char* url,
                             const char* method, const char* version, const char* data,
                             size_t* data_size, void** state);
  static void OnConnection(void* cls, MHD_Connection* connection, void** context,
                           MHD_ConnectionNotificationCode code);
  static void OnCompleted(void* cls, MHD_Connection* connection, void** state,
                          MHD_RequestTerminationCode code);
  static void* OnRequestLine(void* cls, const char* uri, MHD_Connection* connection);
  static void OnLog(void*, const char* format, va_list arguments)
      __attribute__((format(printf, 2, 0)));
  static Connection* Of(MHD_Connection* connection);

  MHD_Result Begin(MHD_Connection* handle, Connection* connection, const char* method);
  MHD_Result Continue(Connection* connection, std::string_view data);
  MHD_Result End(MHD_Connection* handle, Connection* connection);
  // Of the request's head.
  Answer Ask(MHD_Connection* handle, Connection* connection, const char* method);
  MHD_Result Send(MHD_Connection* handle, Connection* connection, Response response);

  const ServerOptions options_;
  Handler* const handler_;
  CancelToken stopping_;
  ConnectionWatch watch_;
  int port_ = 0;
  std::mutex bodies_mutex_;  // Guards bodies_.
  std::vector<BodySource*> bodies_;
  std::mutex daemons_mutex_;      // Guards what follows.
  UniqueFd listener_;             // What daemon_ listens on, for the next of them.
  MHD_Daemon* daemon_ = nullptr;  // Takes connections.
  MHD_Daemon* last_ = nullptr;    // Serves those of the certificate before.

  friend class TrackedSource;
};

// A source that shutdown can find.
class TrackedSource : public BodySource {
 public:
  TrackedSource(MicroServer* server, std::unique_ptr<BodySource> source)
      : server_(server), source_(std::move(source)) {
    const std::lock_guard lock(server_->bodies_mutex_);
    server_->bodies_.push_back(source_.get());
    if (server_->stopping_.cancelled()) source_->Cancel();
  }
  ~TrackedSource() override {
    const std::lock_guard lock(server_->bodies_mutex_);
    std::erase(server_->bodies_, source_.get());
  }
  Result<size_t> Read(char* buffer, size_t size) override { return source_->Read(buffer, size); }

 private:
  MicroServer* const server_;
  const std::unique_ptr<BodySource> source_;
};

Status MicroServer::Start() {
  ASSIGN_OR_RETURN(UniqueFd listener, Listen(options_.address));
  ASSIGN_OR_RETURN(port_, PortOf(listener.get()));
  ASSIGN_OR_RETURN(UniqueFd own, Duplicate(listener.get()));
  ASSIGN_OR_RETURN(daemon_,
                   StartDaemon(std::move(own), options_.certificate_pem, options_.key_pem));
  listener_ = std::move(listener);
  return Ok();
}

Result<MHD_Daemon*> MicroServer::StartDaemon(UniqueFd listener, const std::string& certificate_pem,
                                             const std::string& key_pem) {
  const bool tls = !certificate_pem.empty() || !key_pem.empty();
  std::vector<MHD_OptionItem> items = {
      {MHD_OPTION_LISTEN_SOCKET, listener.get(), nullptr},
      {MHD_OPTION_CONNECTION_LIMIT, static_cast<intptr_t>(options_.limits.connections), nullptr},
      {MHD_OPTION_PER_IP_CONNECTION_LIMIT,
       static_cast<intptr_t>(options_.limits.connections_per_address), nullptr},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, static_cast<intptr_t>(options_.limits.head_bytes),
       nullptr},
      {MHD_OPTION_STRICT_FOR_CLIENT, 1, nullptr},
      {MHD_OPTION_NOTIFY_CONNECTION, reinterpret_cast<intptr_t>(&MicroServer::OnConnection), this},
      {MHD_OPTION_NOTIFY_COMPLETED, reinterpret_cast<intptr_t>(&MicroServer::OnCompleted), this},
      {MHD_OPTION_URI_LOG_CALLBACK, reinterpret_cast<intptr_t>(&MicroServer::OnRequestLine), this},
  };
  if (tls) {
    items.push_back({MHD_OPTION_HTTPS_MEM_CERT, 0, const_cast<char*>(certificate_pem.data())});
    items.push_back({MHD_OPTION_HTTPS_MEM_KEY, 0, const_cast<char*>(key_pem.data())});
    items.push_back({MHD_OPTION_HTTPS_PRIORITIES, 0,
                     const_cast<char*>("NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2")});
  }
  items.push_back({MHD_OPTION_END, 0, nullptr});
  const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                         MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG |
                         (tls ? unsigned{MHD_USE_TLS} : 0u);
  MHD_Daemon* daemon = MHD_start_daemon(flags, 0, nullptr, nullptr, &MicroServer::OnAccess, this,
                                        MHD_OPTION_EXTERNAL_LOGGER, &MicroServer::OnLog, nullptr,
                                        MHD_OPTION_ARRAY, items.data(), MHD_OPTION_END);
  if (daemon == nullptr) {
    return Error(Code::kInvalidArgument, "cannot serve at " + options_.address +
                                             (tls ? ": are certificate and key PEM, and do they "
                                                    "belong together?"
                                                  : ""));
  }
  listener.release();  // The daemon closes it.
  return daemon;
}

Status MicroServer::SetCertificate(std::string certificate_pem, std::string key_pem) {
  const std::lock_guard lock(daemons_mutex_);
  if (daemon_ == nullptr || options_.certificate_pem.empty() || certificate_pem.empty()) {
    return Error(Code::kFailedPrecondition, "there is no TLS here to change the certificate of");
  }
  // For a moment both take connections, so that none is refused.
  ASSIGN_OR_RETURN(UniqueFd own, Duplicate(listener_.get()));
  ASSIGN_OR_RETURN(MHD_Daemon* const next, StartDaemon(std::move(own), certificate_pem, key_pem));
  const UniqueFd old(MHD_quiesce_daemon(daemon_));
  if (last_ != nullptr) MHD_stop_daemon(last_);
  last_ = std::exchange(daemon_, next);
  return Ok();
}

void MicroServer::Shutdown(std::chrono::milliseconds grace) {
  const std::lock_guard daemons_lock(daemons_mutex_);
  if (daemon_ == nullptr) return;
  const UniqueFd listener(MHD_quiesce_daemon(daemon_));
  watch_.AwaitQuiet(grace);
  {
    const std::lock_guard lock(bodies_mutex_);
    stopping_.Cancel();
    for (BodySource* body : bodies_) body->Cancel();
  }
  watch_.CutAll();
  MHD_stop_daemon(daemon_);
  if (last_ != nullptr) MHD_stop_daemon(last_);
  daemon_ = last_ = nullptr;
  listener_.reset();
}

Connection* MicroServer::Of(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Connection*>(info->socket_context);
}

void MicroServer::OnConnection(void* cls, MHD_Connection* connection, void** context,
                               MHD_ConnectionNotificationCode code) {
  auto* server = static_cast<MicroServer*>(cls);
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    auto* closed = static_cast<Connection*>(*context);
    if (closed == nullptr) return;
    server->watch_.Remove(&closed->watched);
    delete closed;
    *context = nullptr;
    return;
  }
  const auto* fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  const auto* address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  UniqueFd own(::fcntl(fd->connect_fd, F_DUPFD_CLOEXEC, 0));
  if (!own.valid()) {  // Out of descriptors: OnAccess refuses a connection without a context.
    ::shutdown(fd->connect_fd, SHUT_RDWR);
    return;
  }
  auto* opened = new Connection(std::move(own), NumericHost(address->client_addr));
  server->watch_.Add(&opened->watched);
  *context = opened;
}

void* MicroServer::OnRequestLine(void*, const char* uri, MHD_Connection* connection) {
  if (Connection* at = Of(connection)) {
    at->uri = uri;
    at->watched.Enter(Phase::kHead);
  }
  return nullptr;
}

void MicroServer::OnCompleted(void*, MHD_Connection* connection, void** state,
                              MHD_RequestTerminationCode) {
  *state = nullptr;
  Connection* const at = Of(connection);
  if (at == nullptr) return;
  at->sink.reset();
  at->request.reset();
  at->refusal.reset();
  at->discarded_bytes = 0;
  at->watched.Enter(Phase::kIdle);
}

void MicroServer::OnLog(void*, const char* format, va_list arguments) {
  char line[512];
  int size = std::vsnprintf(line, sizeof(line), format, arguments);
  size = std::min(size, static_cast<int>(sizeof(line)) - 1);
  while (size > 0 && line[size - 1] == '\n') --size;
  // Strangers cause as many of these as they like.
  if (size > 0) LOG_DEBUG("http: " + std::string(line, static_cast<size_t>(size)));
}

MHD_Result MicroServer::OnAccess(void* cls, MHD_Connection* connection, const char*,
                                 const char* method, const char*, const char* data,
                                 size_t* data_size, void** state) {
  auto* server = static_cast<MicroServer*>(cls);
  Connection* const at = Of(connection);
  if (at == nullptr) return MHD_NO;
  at->watched.Enter(Phase::kHandling);
  MHD_Result result = MHD_NO;
  try {
    if (*state == nullptr) {
      *state = at;
      result = server->Begin(connection, at, method);
    } else if (*data_size > 0) {
      result = server->Continue(at, {data, *data_size});
      *data_size = 0;
    } else {
      result = server->End(connection, at);
    }
  } catch (const std::exception& e) {
    LOG_ERROR(std::string("http: exception: ") + e.what());
  }
  at->watched.Enter(Phase::kBody);
  return result;
}

Answer MicroServer::Ask(MHD_Connection* handle, Connection* connection, const char* method) {
  Request& request = connection->request.emplace();
  request.method = method;
  const std::string_view uri = connection->uri;
  const size_t question = std::min(uri.find('?'), uri.size());
  request.path = uri.substr(0, question);
  if (request.path.empty() || request.path[0] != '/') return TextResponse(400, "bad address");
  if (question < uri.size()) {
    Result<Fields> query = ParseQuery(uri.substr(question + 1));
    if (!query.ok()) return TextResponse(400, query.error().message());
    request.query = std::move(*query);
  }
  MHD_get_connection_values(handle, MHD_HEADER_KIND, &AddField, &request.headers);
  if (request.headers.size() == kHeaderFieldsMax) return TextResponse(431, "too many fields");
  request.client = connection->client;
  request.content_length = LengthOf(request.headers);
  request.stopping = &stopping_;
  return handler_->Handle(request);
}

MHD_Result MicroServer::Begin(MHD_Connection* handle, Connection* connection, const char* method) {
  Answer answer = Ask(handle, connection, method);
  if (auto* sink = std::get_if<std::unique_ptr<BodySink>>(&answer)) {
    connection->sink = std::move(*sink);
    return MHD_YES;
  }
  Response& response = std::get<Response>(answer);
  const Request& request = *connection->request;
  const bool comes =
      request.content_length.value_or(0) > 0 || !Find(request.headers, "Transfer-Encoding").empty();
  const bool asks_first = !Find(request.headers, "Expect").empty();
  const bool is_short =
      request.content_length.value_or(0) <= options_.limits.discard_bytes && !asks_first;
  if (comes && is_short) {
    connection->sink = std::make_unique<DiscardSink>(std::move(response));
    return MHD_YES;
  }
  if (!comes) {  // libmicrohttpd answers when it has looked for a body.
    connection->refusal = std::move(response);
    return MHD_YES;
  }
  return Send(handle, connection, std::move(response));
}

MHD_Result MicroServer::Continue(Connection* connection, std::string_view data) {
  connection->watched.Moved(data.size());
  const bool wanted =
      connection->sink != nullptr && dynamic_cast<DiscardSink*>(connection->sink.get()) == nullptr;
  if (wanted && !connection->refusal) {
    connection->refusal = connection->sink->Write(data);
    return MHD_YES;
  }
  connection->discarded_bytes += data.size();
  return connection->discarded_bytes <= options_.limits.discard_bytes ? MHD_YES : MHD_NO;
}

MHD_Result MicroServer::End(MHD_Connection* handle, Connection* connection) {
  Response response =
      connection->refusal ? std::move(*connection->refusal) : connection->sink->Finish();
  connection->refusal.reset();
  connection->sink.reset();
  return Send(handle, connection, std::move(response));
}

MHD_Result MicroServer::Send(MHD_Connection* handle, Connection* connection, Response response) {
  MHD_Response* out = nullptr;
  const bool head = connection->request->method == "HEAD";
  if (response.body != nullptr || (head && response.content_length)) {
    std::unique_ptr<BodySource> source = std::make_unique<EmptySource>();
    if (response.body != nullptr) {
      source = std::make_unique<TrackedSource>(this, std::move(response.body));
    }
    auto body =
        std::make_unique<OutgoingBody>(OutgoingBody{&connection->watched, std::move(source)});
    out = MHD_create_response_from_callback(response.content_length.value_or(MHD_SIZE_UNKNOWN),
                                            kReadBlockBytes, &ReadBody, body.get(), &FreeBody);
    if (out != nullptr) body.release();
  } else {
    out = MHD_create_response_from_buffer(response.text.size(), response.text.data(),
                                          MHD_RESPMEM_MUST_COPY);
    connection->watched.Moved(response.text.size());
  }
  if (out == nullptr) return MHD_NO;
  for (const Field& field : response.headers) {
    MHD_add_response_header(out, field.name.c_str(), field.value.c_str());
  }
  const MHD_Result queued = MHD_queue_response(handle, static_cast<unsigned>(response.status), out);
  MHD_destroy_response(out);
  return queued;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Handler* handler) {
  auto server = std::make_unique<MicroServer>(std::move(options), handler);
  RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace strata::http
