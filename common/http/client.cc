#include "common/http/client.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

namespace strata::http {
namespace {

constexpr size_t kTextBytesMax = 8u << 20;
constexpr size_t kHeaderFieldsMax = 200;
constexpr int kRedirectsMax = 5;
constexpr long kSlowBytesPerSecond = 1024;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

Status Append(List* list, const std::string& line) {
  if (line.find_first_of("\r\n") != std::string::npos) {
    return Error(Code::kInvalidArgument, "a header field holds a line break");
  }
  curl_slist* const longer = curl_slist_append(list->get(), line.c_str());
  if (longer == nullptr) return Error(Code::kResourceExhausted, "out of memory");
  (void)list->release();
  list->reset(longer);
  return Ok();
}

// One request and its answer, as libcurl's callbacks see them.
struct Exchange {
  const Outgoing& request;
  const BodyReceiver& sink;
  const CancelToken& cancel;
  Incoming incoming;
  Status status;  // Of our own side.

  bool Fail(Error error) {
    if (status.ok()) status = std::move(error);
    return false;
  }
};

size_t OnHeader(char* data, size_t, size_t size, void* cls) {
  auto* exchange = static_cast<Exchange*>(cls);
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // A new head: what came before was 100 Continue.
    exchange->incoming.headers.clear();
    const size_t blank = line.find(' ');
    exchange->incoming.status = blank == std::string_view::npos
                                    ? 0
                                    : std::atoi(std::string(line.substr(blank + 1)).c_str());
    return size;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  if (exchange->incoming.headers.size() == kHeaderFieldsMax) return 0;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  exchange->incoming.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
  return size;
}

bool Receive(Exchange* exchange, std::string_view data) {
  Incoming& incoming = exchange->incoming;
  if (exchange->sink && incoming.status / 100 == 2) {
    const Status taken = exchange->sink(incoming, data);
    return taken.ok() || exchange->Fail(taken.error());
  }
  if (incoming.text.size() + data.size() > kTextBytesMax) {
    return exchange->Fail(Error(Code::kCorrupt, "the answer is too long"));
  }
  incoming.text.append(data);
  return true;
}

// Nothing may be thrown through libcurl.
template <typename Work>
bool Guard(Exchange* exchange, const Work& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return exchange->Fail(Error(Code::kInternal, e.what()));
  }
}

size_t OnData(char* data, size_t, size_t size, void* cls) {
  auto* exchange = static_cast<Exchange*>(cls);
  return Guard(exchange, [&] { return Receive(exchange, {data, size}); }) ? size : 0;
}

size_t OnSend(char* buffer, size_t, size_t size, void* cls) {
  auto* exchange = static_cast<Exchange*>(cls);
  size_t sent = 0;
  const bool good = Guard(exchange, [&] {
    const Result<size_t> read = exchange->request.body(buffer, size);
    if (!read.ok()) return exchange->Fail(read.error());
    sent = *read;
    return true;
  });
  return good ? sent : CURL_READFUNC_ABORT;
}

int OnProgress(void* cls, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(cls)->cancel.cancelled() ? 1 : 0;
}

class CurlClient : public Client {
 public:
  explicit CurlClient(ClientOptions options) : options_(std::move(options)) {}
  ~CurlClient() override {
    if (handle_ != nullptr) curl_easy_cleanup(handle_);
  }
  Status Prepare();
  Result<Incoming> Perform(const Outgoing& request, const BodyReceiver& sink,
                           const CancelToken& cancel) override;

 private:
  Result<Incoming> PerformOnce(const Outgoing& request, const BodyReceiver& sink,
                               const CancelToken& cancel);
  void SetTransfer(Exchange* exchange);
  void SetBody(Exchange* exchange);
  Error Explain(CURLcode code, const Exchange& exchange) const;

  const ClientOptions options_;
  CURL* handle_ = nullptr;
  char message_[CURL_ERROR_SIZE] = "";
};

Status CurlClient::Prepare() {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (global != CURLE_OK) return Error(Code::kInternal, "libcurl cannot start");
  handle_ = curl_easy_init();
  if (handle_ == nullptr) return Error(Code::kInternal, "libcurl cannot start");
  if (!options_.ca_file.empty() && ::access(options_.ca_file.c_str(), R_OK) != 0) {
    return Error(Code::kInvalidArgument, Errno(options_.ca_file).message());
  }
  return Ok();
}

void CurlClient::SetTransfer(Exchange* exchange) {
  curl_easy_reset(handle_);  // The connection stays.
  message_[0] = '\0';
  curl_easy_setopt(handle_, CURLOPT_ERRORBUFFER, message_);
  curl_easy_setopt(handle_, CURLOPT_URL, exchange->request.url.c_str());
  curl_easy_setopt(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options_.connect_max.count()));
  curl_easy_setopt(handle_, CURLOPT_LOW_SPEED_LIMIT, kSlowBytesPerSecond);
  curl_easy_setopt(handle_, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_max.count()));
  curl_easy_setopt(handle_, CURLOPT_SSL_VERIFYPEER, options_.verify_tls ? 1L : 0L);
  curl_easy_setopt(handle_, CURLOPT_SSL_VERIFYHOST, options_.verify_tls ? 2L : 0L);
  if (!options_.ca_file.empty()) {
    curl_easy_setopt(handle_, CURLOPT_CAINFO, options_.ca_file.c_str());
    curl_easy_setopt(handle_, CURLOPT_CAPATH, nullptr);
  }
  curl_easy_setopt(handle_, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(handle_, CURLOPT_HEADERDATA, exchange);
  curl_easy_setopt(handle_, CURLOPT_WRITEFUNCTION, &OnData);
  curl_easy_setopt(handle_, CURLOPT_WRITEDATA, exchange);
  curl_easy_setopt(handle_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle_, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl_easy_setopt(handle_, CURLOPT_XFERINFODATA, exchange);
}

void CurlClient::SetBody(Exchange* exchange) {
  const Outgoing& request = exchange->request;
  if (request.body) {
    curl_easy_setopt(handle_, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(handle_, CURLOPT_READFUNCTION, &OnSend);
    curl_easy_setopt(handle_, CURLOPT_READDATA, exchange);
    if (request.body_bytes) {
      curl_easy_setopt(handle_, CURLOPT_INFILESIZE_LARGE,
                       static_cast<curl_off_t>(*request.body_bytes));
    }
  } else if (request.method == "HEAD") {
    curl_easy_setopt(handle_, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.text.size()));
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDS, request.text.c_str());
  }
  if (request.method != "HEAD") {
    curl_easy_setopt(handle_, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

Error CurlClient::Explain(CURLcode code, const Exchange& exchange) const {
  if (!exchange.status.ok()) return exchange.status.error();
  const std::string text = message_[0] != '\0' ? message_ : curl_easy_strerror(code);
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return Error(Code::kCancelled, "cancelled by the caller");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return Error(Code::kInvalidArgument, text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return Error(Code::kPermissionDenied, text);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_WRITE_ERROR:
      return Error(Code::kCorrupt, text);
    default:
      return Error(Code::kUnavailable, text);
  }
}

Result<Incoming> CurlClient::PerformOnce(const Outgoing& request, const BodyReceiver& sink,
                                         const CancelToken& cancel) {
  RETURN_IF_ERROR(cancel.Check());
  Exchange exchange{request, sink, cancel, {}, Ok()};
  exchange.incoming.url = request.url;
  SetTransfer(&exchange);
  SetBody(&exchange);
  List fields;
  RETURN_IF_ERROR(Append(&fields, "User-Agent: strata"));
  RETURN_IF_ERROR(Append(&fields, "Expect:"));
  for (const Field& field : request.headers) {
    RETURN_IF_ERROR(Append(&fields, field.name + ": " + field.value));
  }
  curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, fields.get());
  const CURLcode code = curl_easy_perform(handle_);
  if (code != CURLE_OK) return Explain(code, exchange);
  return std::move(exchange.incoming);
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Result<Incoming> CurlClient::Perform(const Outgoing& request, const BodyReceiver& sink,
                                     const CancelToken& cancel) {
  if (request.method != "GET" && request.method != "HEAD") {
    return PerformOnce(request, sink, cancel);
  }
  Outgoing next = request;
  for (int i = 0; i <= kRedirectsMax; ++i) {
    ASSIGN_OR_RETURN(const Url from, ParseUrl(next.url));
    ASSIGN_OR_RETURN(Incoming incoming, PerformOnce(next, sink, cancel));
    if (!IsRedirect(incoming.status)) return incoming;
    ASSIGN_OR_RETURN(next.url, ResolveUrl(next.url, Find(incoming.headers, "Location")));
    ASSIGN_OR_RETURN(const Url to, ParseUrl(next.url));
    if (from.scheme == "https" && to.scheme != "https") {
      return Error(Code::kPermissionDenied, from.host + " leads to an address without TLS");
    }
    if (from.host != to.host || from.scheme != to.scheme) {
      std::erase_if(next.headers, [](const Field& field) {
        return !Find({{field.name, "x"}}, "Authorization").empty();
      });
    }
  }
  return Error(Code::kCorrupt, "too many redirects");
}

}  // namespace

Result<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  auto client = std::make_unique<CurlClient>(std::move(options));
  RETURN_IF_ERROR(client->Prepare());
  return std::unique_ptr<Client>(std::move(client));
}

Result<Url> ParseUrl(std::string_view text) {
  const auto bad = [&] {
    return Error(Code::kInvalidArgument,
                 "'" + std::string(text.substr(0, 200)) + "' is no address of http or https");
  };
  Url url;
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) return bad();
  url.scheme = text.substr(0, colon);
  if (url.scheme != "http" && url.scheme != "https") return bad();
  text.remove_prefix(colon + 3);
  const size_t end = std::min(text.find_first_of("/?#"), text.size());
  url.host = text.substr(0, end);
  url.path = text.substr(end);
  if (url.path.empty() || url.path[0] != '/') url.path.insert(0, "/");
  const bool strange = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '\x7f' || c == '\\';
  });
  if (url.host.empty() || strange || url.host.find('@') != std::string::npos) return bad();
  return url;
}

Result<std::string> ResolveUrl(std::string_view base, std::string_view location) {
  if (location.find("://") != std::string_view::npos &&
      location.find("://") < location.find_first_of("/?#")) {
    RETURN_IF_ERROR(ParseUrl(location));
    return std::string(location);
  }
  ASSIGN_OR_RETURN(const Url from, ParseUrl(base));
  if (location.starts_with("//") || !location.starts_with('/')) {
    return Error(Code::kCorrupt, from.host + " leads to an address that is none");
  }
  std::string resolved = from.scheme + "://" + from.host + std::string(location);
  RETURN_IF_ERROR(ParseUrl(resolved));
  return resolved;
}

}  // namespace strata::http
