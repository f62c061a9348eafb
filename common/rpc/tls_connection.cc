#include "common/rpc/tls_connection.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>

#include "common/pki/openssl_error.h"
#include "common/pki/private_key.h"
#include "common/pki/verify.h"

namespace strata::rpc {
namespace {

constexpr int kChainMax = 8;
constexpr unsigned char kHttp2Protocol[] = {2, 'h', '2'};

struct SplitAddress {
  std::string host;
  std::string port;
};

Result<SplitAddress> Split(const std::string& address) {
  const Error wrong(Code::kInvalidArgument,
                    "'" + address.substr(0, 100) +
                        "' is not an address with a port: write 10.0.0.1:7443 or [fd00::1]:7443");
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return wrong;
  SplitAddress split{address.substr(0, colon), address.substr(colon + 1)};
  uint16_t port = 0;
  const char* const end = split.port.data() + split.port.size();
  if (const auto [at, error] = std::from_chars(split.port.data(), end, port);
      error != std::errc() || at != end || port == 0) {
    return wrong;
  }
  in6_addr parsed = {};
  if (split.host.starts_with('[') && split.host.ends_with(']')) {
    split.host = split.host.substr(1, split.host.size() - 2);
    if (::inet_pton(AF_INET6, split.host.c_str(), &parsed) != 1) return wrong;
  } else if (::inet_pton(AF_INET, split.host.c_str(), &parsed) != 1) {
    return wrong;
  }
  return split;
}

Result<std::unique_ptr<addrinfo, void (*)(addrinfo*)>> Resolve(const std::string& address) {
  ASSIGN_OR_RETURN(const SplitAddress split, Split(address));
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(split.host.c_str(), split.port.c_str(), &hints, &found);
      error != 0) {
    return Error(Code::kInvalidArgument, address + ": " + ::gai_strerror(error));
  }
  return std::unique_ptr<addrinfo, void (*)(addrinfo*)>(found, ::freeaddrinfo);
}

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE when the peer has hung up.
int SendWithoutSignal(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto fd = static_cast<int>(BIO_get_fd(bio, nullptr));
  const auto sent = static_cast<int>(::send(fd, data, static_cast<size_t>(size), MSG_NOSIGNAL));
  if (sent < 0 && BIO_sock_should_retry(sent) != 0) BIO_set_retry_write(bio);
  return sent;
}

const BIO_METHOD* SocketMethod() {
  static const BIO_METHOD* const method = [] {
    const BIO_METHOD* const base = BIO_s_socket();
    BIO_METHOD* const made = BIO_meth_new(
        BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "socket, no SIGPIPE");
    BIO_meth_set_write(made, SendWithoutSignal);
    BIO_meth_set_read(made, BIO_meth_get_read(base));
    BIO_meth_set_ctrl(made, BIO_meth_get_ctrl(base));
    BIO_meth_set_create(made, BIO_meth_get_create(base));
    BIO_meth_set_destroy(made, BIO_meth_get_destroy(base));
    return made;
  }();
  return method;
}

}  // namespace

Status CheckAddress(const std::string& address) {
  const auto split = Split(address);
  return split.ok() ? Ok() : Status(split.error());
}

TlsConnection::~TlsConnection() = default;

Result<std::unique_ptr<TlsConnection>> TlsConnection::Open(const std::string& address,
                                                           const TlsIdentity& identity, bool verify,
                                                           std::chrono::milliseconds bound) {
  std::unique_ptr<TlsConnection> connection(new TlsConnection(address, Clock::now() + bound));
  RETURN_IF_ERROR(connection->Connect());
  RETURN_IF_ERROR(connection->Prepare(identity, verify));
  return connection;
}

Status TlsConnection::WaitFor(short events) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    pollfd fd = {fd_.get(), events, 0};
    const int ready = ::poll(&fd, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return Ok();
    if (ready == 0) {
      return Error(Code::kUnavailable, address_ +
                                           " does not answer in time: is its imaged running, "
                                           "and does a firewall let us through?");
    }
    if (errno != EINTR) return Errno("poll");
  }
}

Status TlsConnection::Connect() {
  ASSIGN_OR_RETURN(const auto found, Resolve(address_));
  fd_.reset(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_.valid()) return Errno("socket");
  if (::connect(fd_.get(), found->ai_addr, found->ai_addrlen) == 0) return Ok();
  int error = errno;
  if (error == EINPROGRESS) {
    RETURN_IF_ERROR(WaitFor(POLLOUT));
    socklen_t size = sizeof(error);
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  }
  if (error == 0) return Ok();
  return Error(Code::kUnavailable, Errno("connect to " + address_, error).message() +
                                       ": is its imaged running with --peer-listen?");
}

Status TlsConnection::Prepare(const TlsIdentity& identity, bool verify) {
  context_ = {SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context_.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (verify) {
    ASSIGN_OR_RETURN(const auto authority, pki::Certificate::FromPem(identity.authority_pem));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), authority.get());
  }
  if (!identity.certificate_pem.empty()) {
    ASSIGN_OR_RETURN(const auto certificate, pki::Certificate::FromPem(identity.certificate_pem));
    ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::FromPem(identity.key_pem));
    if (SSL_CTX_use_certificate(context_.get(), certificate.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1) {
      return pki::OpensslError(Code::kCorrupt, "our own certificate and key");
    }
    shows_certificate_ = true;
  }
  SSL_CTX_set_alpn_protos(context_.get(), kHttp2Protocol, sizeof(kHttp2Protocol));
  ssl_ = {SSL_new(context_.get()), SSL_free};
  BIO* const bio = BIO_new(SocketMethod());
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return pki::OpensslError(Code::kInternal, "prepare a TLS connection");
  }
  BIO_set_fd(bio, fd_.get(), BIO_NOCLOSE);
  SSL_set_bio(ssl_.get(), bio, bio);
  return Ok();
}

template <typename Step>
Status TlsConnection::Drive(const Step& step) {
  while (true) {
    ERR_clear_error();
    const int done = step();
    if (done > 0) return Ok();
    const int error = SSL_get_error(ssl_.get(), done);
    if (error == SSL_ERROR_WANT_READ) {
      RETURN_IF_ERROR(WaitFor(POLLIN));
    } else if (error == SSL_ERROR_WANT_WRITE) {
      RETURN_IF_ERROR(WaitFor(POLLOUT));
    } else {
      return Explain(error);
    }
  }
}

Status TlsConnection::Handshake() {
  return Drive([this] { return SSL_connect(ssl_.get()); });
}

Status TlsConnection::AwaitAcceptance() {
  char byte = 0;
  return Drive([&] { return SSL_peek(ssl_.get(), &byte, 1); });
}

Error TlsConnection::Explain(int ssl_error) const {
  if (const long verified = SSL_get_verify_result(ssl_.get());
      verified != X509_V_OK && SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE) {
    ERR_clear_error();
    return pki::ExplainVerification(static_cast<int>(verified), address_ + "'s certificate");
  }
  const unsigned long reason = ERR_peek_last_error();
  if (ERR_GET_REASON(reason) == SSL_R_WRONG_VERSION_NUMBER) {
    ERR_clear_error();
    return Error(Code::kUnavailable, address_ + " does not speak TLS: is that port an imaged's?");
  }
  if (ssl_error == SSL_ERROR_SYSCALL || ssl_error == SSL_ERROR_ZERO_RETURN ||
      ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    // gRPC 1.51 closes without an alert when it refuses a certificate.
    return shows_certificate_ && SSL_get0_peer_certificate(ssl_.get()) != nullptr
               ? Error(Code::kPermissionDenied,
                       address_ +
                           " refuses our certificate: it is of another cluster, has "
                           "expired, or that host's clock is wrong")
               : Error(Code::kUnavailable,
                       address_ + " closed the connection during the handshake");
  }
  return pki::OpensslError(Code::kPermissionDenied, address_ + " refuses a TLS connection");
}

Result<std::vector<pki::Certificate>> TlsConnection::Chain() const {
  std::vector<pki::Certificate> chain;
  const STACK_OF(X509)* certificates = SSL_get_peer_cert_chain(ssl_.get());
  const int count = certificates != nullptr ? sk_X509_num(certificates) : 0;
  if (count == 0 || count > kChainMax) {
    return Error(Code::kPermissionDenied,
                 address_ + " shows " + std::to_string(count) + " certificates");
  }
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(pki::Certificate certificate,
                     pki::Certificate::Of(sk_X509_value(certificates, i)), address_);
    chain.push_back(std::move(certificate));
  }
  return chain;
}

}  // namespace strata::rpc
