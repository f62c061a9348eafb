#include "imaged/registry/listener.h"

namespace strata::imaged {
namespace {

Result<http::CertificateFiles> FilesOf(const RegistryOptions& options,
                                       const std::string& identity_path) {
  http::CertificateFiles files;
  if (options.insecure) return files;
  files = {options.certificate_file, options.key_file};
  if (files.certificate.empty() && files.key.empty()) {
    files.certificate = files.key = identity_path;
  }
  if (files.certificate.empty() || files.key.empty()) {
    return Error(Code::kFailedPrecondition,
                 "the registry needs a certificate: give --registry-cert and --registry-key, make "
                 "this host a member of a cluster, or choose --registry-insecure");
  }
  return files;
}

}  // namespace

Result<std::unique_ptr<RegistryListener>> RegistryListener::Start(const RegistryOptions& options,
                                                                  const std::string& identity_path,
                                                                  Repository* repository,
                                                                  TokenBook* book) {
  http::ServerOptions server_options;
  server_options.address = options.address;
  ASSIGN_OR_RETURN(http::CertificateFiles files, FilesOf(options, identity_path));
  ASSIGN_OR_RETURN(auto registry,
                   Registry::Create(repository, book, options.insecure ? "http" : "https",
                                    options.cache_directory, options.cache_bytes_max));
  ASSIGN_OR_RETURN(auto server,
                   http::RenewedServer::Start("registry", std::move(server_options),
                                              std::move(files), registry.get()));
  return std::unique_ptr<RegistryListener>(
      new RegistryListener(std::move(registry), std::move(server)));
}

}  // namespace strata::imaged
