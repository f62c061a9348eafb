#include "common/http/renewed_server.h"

#include <sys/stat.h>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::http {
namespace {

constexpr size_t kPemBytesMax = 1u << 20;

std::string StampOfFile(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return "none";
  return std::to_string(st.st_ino) + "." + std::to_string(st.st_size) + "." +
         std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

std::string StampOf(const CertificateFiles& files) {
  return StampOfFile(files.certificate) + " " + StampOfFile(files.key);
}

}  // namespace

RenewedServer::RenewedServer(std::string name, std::unique_ptr<Server> server,
                             CertificateFiles files, std::string stamp)
    : name_(std::move(name)),
      files_(std::move(files)),
      server_(std::move(server)),
      stamp_(std::move(stamp)) {
  if (files_.certificate.empty()) return;
  renewer_ = std::jthread([this](const std::stop_token& stop) { KeepRenewing(stop); });
}

Result<std::unique_ptr<RenewedServer>> RenewedServer::Start(std::string name, ServerOptions options,
                                                            CertificateFiles files,
                                                            Handler* handler) {
  // Of before they are read: what is written meanwhile is found the next time.
  std::string stamp = StampOf(files);
  if (!files.certificate.empty()) {
    ASSIGN_OR_RETURN(options.certificate_pem, ReadFile(files.certificate, kPemBytesMax));
    ASSIGN_OR_RETURN(options.key_pem, ReadFile(files.key, kPemBytesMax));
  }
  ASSIGN_OR_RETURN(auto server, Server::Start(std::move(options), handler));
  return std::unique_ptr<RenewedServer>(new RenewedServer(std::move(name), std::move(server),
                                                          std::move(files), std::move(stamp)));
}

Result<bool> RenewedServer::RenewCertificate() {
  const std::lock_guard lock(mutex_);
  if (files_.certificate.empty()) return false;
  const std::string stamp = StampOf(files_);
  if (stamp == stamp_) return false;
  stamp_ = stamp;
  ASSIGN_OR_RETURN(std::string certificate, ReadFile(files_.certificate, kPemBytesMax));
  ASSIGN_OR_RETURN(std::string key, ReadFile(files_.key, kPemBytesMax));
  RETURN_IF_ERROR(server_->SetCertificate(std::move(certificate), std::move(key)));
  return true;
}

void RenewedServer::KeepRenewing(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, kCertificateLookEvery, [] { return false; });
    }
    if (stop.stop_requested()) return;
    const Result<bool> renewed = RenewCertificate();
    if (!renewed.ok()) {
      LOG_ERROR(name_ + ": the certificate stays as it was: " + renewed.error().message());
    } else if (*renewed) {
      LOG_INFO(name_ + ": the certificate was renewed");
    }
  }
}

}  // namespace strata::http
