#include "imaged/registry/listener.h"

#include <sys/stat.h>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr size_t kPemBytesMax = 1u << 20;

std::string StampOfFile(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return "none";
  return std::to_string(st.st_ino) + "." + std::to_string(st.st_size) + "." +
         std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

}  // namespace

Result<RegistryListener::CertificateFiles> RegistryListener::FilesOf(
    const RegistryOptions& options, const std::string& identity_path) {
  CertificateFiles files;
  if (options.insecure) return files;
  files.certificate = options.certificate_file;
  files.key = options.key_file;
  if (files.certificate.empty() && files.key.empty()) {
    files.certificate = files.key = identity_path;
  }
  if (files.certificate.empty() || files.key.empty()) {
    return Error(Code::kFailedPrecondition,
                 "the registry needs a certificate: give --registry-cert and --registry-key, make "
                 "this host a member of a cluster, or choose --registry-insecure");
  }
  files.stamp = StampOf(files);
  return files;
}

std::string RegistryListener::StampOf(const CertificateFiles& files) {
  return StampOfFile(files.certificate) + " " + StampOfFile(files.key);
}

RegistryListener::RegistryListener(std::unique_ptr<Registry> registry,
                                   std::unique_ptr<http::Server> server, CertificateFiles files)
    : registry_(std::move(registry)), server_(std::move(server)), files_(std::move(files)) {
  if (files_.certificate.empty()) return;
  renewer_ = std::jthread([this](const std::stop_token& stop) { KeepRenewing(stop); });
}

Result<std::unique_ptr<RegistryListener>> RegistryListener::Start(const RegistryOptions& options,
                                                                  const std::string& identity_path,
                                                                  Repository* repository,
                                                                  TokenBook* book) {
  http::ServerOptions server_options;
  server_options.address = options.address;
  ASSIGN_OR_RETURN(CertificateFiles files, FilesOf(options, identity_path));
  if (!files.certificate.empty()) {
    ASSIGN_OR_RETURN(server_options.certificate_pem, ReadFile(files.certificate, kPemBytesMax));
    ASSIGN_OR_RETURN(server_options.key_pem, ReadFile(files.key, kPemBytesMax));
  }
  ASSIGN_OR_RETURN(auto registry,
                   Registry::Create(repository, book, options.insecure ? "http" : "https",
                                    options.cache_directory, options.cache_bytes_max));
  ASSIGN_OR_RETURN(auto server, http::Server::Start(std::move(server_options), registry.get()));
  return std::unique_ptr<RegistryListener>(
      new RegistryListener(std::move(registry), std::move(server), std::move(files)));
}

Result<bool> RegistryListener::RenewCertificate() {
  const std::lock_guard lock(mutex_);
  if (files_.certificate.empty()) return false;
  // Of before they are read: what is written meanwhile is found the next time.
  const std::string stamp = StampOf(files_);
  if (stamp == files_.stamp) return false;
  files_.stamp = stamp;
  ASSIGN_OR_RETURN(std::string certificate, ReadFile(files_.certificate, kPemBytesMax));
  ASSIGN_OR_RETURN(std::string key, ReadFile(files_.key, kPemBytesMax));
  RETURN_IF_ERROR(server_->SetCertificate(std::move(certificate), std::move(key)));
  return true;
}

void RegistryListener::KeepRenewing(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, kCertificateLookEvery, [] { return false; });
    }
    if (stop.stop_requested()) return;
    const Result<bool> renewed = RenewCertificate();
    if (!renewed.ok()) {
      LOG_ERROR("registry: the certificate stays as it was: " + renewed.error().message());
    } else if (*renewed) {
      LOG_INFO("registry: the certificate was renewed");
    }
  }
}

}  // namespace strata::imaged
