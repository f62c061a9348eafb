// A server of HTTP/1.1, with TLS or without, behind which libmicrohttpd works: one thread per
// connection, so that a handler which waits holds its own client back and nobody else.
//
// Bodies are streams in both directions: no more than a buffer of one is in memory. Everything that
// a client can hold is bounded: connections in all and per address, the size of a head, the time
// for a head, the least speed of a body. Who falls behind is cut off.
//
// Why not libmicrohttpd's own time-out: it starts anew with every byte, so a client that sends one
// a second keeps its connection for ever.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/cancel.h"
#include "common/http/message.h"
#include "common/result.h"

namespace strata::http {

// Lives as long as the exchange.
struct Request {
  std::string method;  // "GET"
  std::string path;    // As it came, not decoded, without the query: "/v2/a/b".
  Fields query;        // Decoded.
  Fields headers;
  std::string client;                      // "10.0.0.2", "fd00::1"
  std::optional<uint64_t> content_length;  // Of the body; nullopt: none, or chunked.
  const CancelToken* stopping = nullptr;   // Set when the server is shut down.
};

// A body on its way out. Destroyed when it was taken or the client went away.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // At most `size` bytes, 0 at the end; may wait. After an error the connection is cut, so that
  // nobody takes the part for the whole.
  virtual Result<size_t> Read(char* buffer, size_t size) = 0;
  // From another thread, at shutdown: a Read that waits comes back with an error.
  virtual void Cancel() {}
};

struct Response {
  int status = 200;
  Fields headers;
  std::string text;                        // The body, unless `body` is set.
  std::unique_ptr<BodySource> body;        // Not read for HEAD.
  std::optional<uint64_t> content_length;  // Of `body`, or of what HEAD asks about.
};

// A body on its way in. Destroyed without Finish when the client went away.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // An answer ends the request; what else comes of the body is thrown away.
  virtual std::optional<Response> Write(std::string_view data) = 0;
  virtual Response Finish() = 0;
};

// The head of a request is there: the answer, or what takes the body. Whoever answers without
// taking the body is not bothered with it.
using Answer = std::variant<Response, std::unique_ptr<BodySink>>;

class Handler {
 public:
  virtual ~Handler() = default;
  // On the connection's thread, several at once.
  virtual Answer Handle(const Request& request) = 0;
};

struct ServerLimits {
  unsigned connections = 256;
  unsigned connections_per_address = 64;
  size_t head_bytes = 32 * 1024;
  std::chrono::milliseconds head_max{20'000};  // From the connection, or the answer before, on.
  std::chrono::milliseconds idle_max{60'000};  // Between two requests of one connection.
  // A body must move this much in every such time; the handler's own time does not count.
  std::chrono::milliseconds window{30'000};
  uint64_t window_bytes = 32 * 1024;
  uint64_t discard_bytes = 16u << 20;  // Of a body that nobody wants.
};

struct ServerOptions {
  std::string address;  // "10.0.0.1:5000", "[::]:5000"; port 0 takes a free one.
  // PEM; the chain's leaf first. Both empty: no TLS.
  std::string certificate_pem;
  std::string key_pem;
  ServerLimits limits;
};

// Thread-safe.
class Server {
 public:
  // `handler` must outlive the server. kUnavailable: the address cannot be listened on;
  // kInvalidArgument: no address, or certificate and key are none or do not belong together.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, Handler* handler);
  // Shuts down at once.
  virtual ~Server() = default;

  virtual int port() const = 0;
  // Connections from now on get this certificate; those that are open keep theirs, and those that
  // were open at the last change too are cut. kFailedPrecondition: it serves without TLS, or was
  // shut down; otherwise as Start, and then nothing has changed.
  virtual Status SetCertificate(std::string certificate_pem, std::string key_pem) = 0;
  // Takes no more connections, lets running requests end until `grace` is over, and cuts the rest.
  virtual void Shutdown(std::chrono::milliseconds grace) = 0;
};

}  // namespace strata::http
