// A client of HTTP/1.1, behind which libcurl works: one connection that is kept between requests,
// bodies as streams, and a bound on everything that the other side can draw out.
//
// Redirects of GET and HEAD are followed, five at most, never from https to http; Authorization
// does not go along to another host.
//
// Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/cancel.h"
#include "common/http/message.h"
#include "common/result.h"

namespace strata::http {

struct ClientOptions {
  bool verify_tls = true;
  std::string ca_file;  // PEM, instead of the host's; empty: the host's.
  std::chrono::milliseconds connect_max{20'000};
  // A transfer that moves less than 1 KiB a second for so long is given up.
  std::chrono::seconds stall_max{30};
};

struct Outgoing {
  std::string method = "GET";
  std::string url;  // http or https.
  Fields headers;
  std::string text;  // The body, unless `body` is set.
  // Answers how many bytes it put there, 0 at the end.
  std::function<Result<size_t>(char* buffer, size_t size)> body;
  std::optional<uint64_t> body_bytes;  // Of `body`; unknown: chunked.
};

struct Incoming {
  int status = 0;
  Fields headers;
  std::string text;  // The body, unless a sink took it. At most 8 MiB.
  std::string url;   // That answered in the end.
};

// Takes a body of a 2xx answer as it comes.
using BodyReceiver = std::function<Status(const Incoming& head, std::string_view data)>;

class Client {
 public:
  // kInvalidArgument when `ca_file` cannot be read.
  static Result<std::unique_ptr<Client>> Create(ClientOptions options);
  virtual ~Client() = default;

  // Ok for every status that came. kUnavailable: nobody answers, the connection broke or stalled;
  // kPermissionDenied: the other side's certificate is not trusted; kCancelled; kCorrupt: an answer
  // that is none; otherwise what `request.body` or `sink` said. `sink` may be null.
  virtual Result<Incoming> Perform(const Outgoing& request, const BodyReceiver& sink,
                                   const CancelToken& cancel) = 0;
};

struct Url {
  std::string scheme;  // "http", "https"
  std::string host;    // With its port: "h:5000".
  std::string path;    // With the query: "/v2/".
};
// kInvalidArgument for anything that is not http or https, and for one that holds a user or blanks.
Result<Url> ParseUrl(std::string_view text);
// Where `location`, whole or relative, leads from `base`.
Result<std::string> ResolveUrl(std::string_view base, std::string_view location);

}  // namespace strata::http
