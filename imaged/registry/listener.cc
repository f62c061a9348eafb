#include "imaged/registry/listener.h"

#include "common/file_io.h"

namespace strata::imaged {
namespace {

constexpr size_t kPemBytesMax = 1u << 20;

Status ReadCertificate(const RegistryOptions& options, const std::string& identity_path,
                       http::ServerOptions* server) {
  if (options.insecure) return Ok();
  std::string certificate = options.certificate_file;
  std::string key = options.key_file;
  if (certificate.empty() && key.empty()) certificate = key = identity_path;
  if (certificate.empty() || key.empty()) {
    return Error(Code::kFailedPrecondition,
                 "the registry needs a certificate: give --registry-cert and --registry-key, make "
                 "this host a member of a cluster, or choose --registry-insecure");
  }
  ASSIGN_OR_RETURN(server->certificate_pem, ReadFile(certificate, kPemBytesMax));
  ASSIGN_OR_RETURN(server->key_pem, ReadFile(key, kPemBytesMax));
  return Ok();
}

}  // namespace

Result<std::unique_ptr<RegistryListener>> RegistryListener::Start(const RegistryOptions& options,
                                                                  const std::string& identity_path,
                                                                  Repository* repository,
                                                                  TokenBook* book) {
  http::ServerOptions server_options;
  server_options.address = options.address;
  RETURN_IF_ERROR(ReadCertificate(options, identity_path, &server_options));
  ASSIGN_OR_RETURN(auto registry,
                   Registry::Create(repository, book, options.insecure ? "http" : "https",
                                    options.cache_directory, options.cache_bytes_max));
  ASSIGN_OR_RETURN(auto server, http::Server::Start(std::move(server_options), registry.get()));
  return std::unique_ptr<RegistryListener>(
      new RegistryListener(std::move(registry), std::move(server)));
}

}  // namespace strata::imaged
