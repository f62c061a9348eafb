#include "vclusterd/rest/rest_server.h"

#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

// Each connection is a thread, and each stream of events a connection.
constexpr unsigned kConnectionsMax = 1024;
constexpr unsigned kConnectionsPerAddressMax = 256;

bool IsLoopback(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("[::1]:");
}

// What an operation did, for who follows events. Progress is not told: who wants it waits.
FeedEvent EventOf(const OperationView& view) {
  FeedEvent event;
  event.type = "operation.changed";
  Json json = ToJson(view, /*with_result=*/false);  // GET /v1/operations/ID has it.
  event.data = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  event.right = view.right;
  event.target = view.target;
  event.started_by = view.uid;
  return event;
}

}  // namespace

template <typename T>
Source<T> RestServer::Guarded(Source<T> source) {
  return [this, source = std::move(source)]() -> Result<std::shared_ptr<T>> {
    const std::shared_lock lock(open_mutex_);
    if (!open_) return Error(Code::kUnavailable, "vclusterd ends");
    return source();
  };
}

RestServer::RestServer(RestServerOptions options, ClustersSource clusters, ClassesSource classes,
                       Users& users, OpenIdProvider* open_id)
    : table_(MakeRoutes()),
      events_(users, EventFeed::Limits(), HostUnixMs),
      services_{users,
                Guarded(std::move(clusters)),
                Guarded(std::move(classes)),
                operations_,
                events_,
                open_id,
                {options.registration, !options.certificate.certificate.empty()},
                table_},
      operations_(options.operations, HostUnixMs,
                  [this](const OperationView& view) { events_.Publish(EventOf(view)); }),
      watch_(std::make_unique<ClusterWatch>(services_.clusters, events_)) {}

Result<std::unique_ptr<RestServer>> RestServer::Start(RestServerOptions options,
                                                      ClustersSource clusters,
                                                      ClassesSource classes, Users& users,
                                                      OpenIdProvider* open_id) {
  if (options.certificate.certificate.empty() && !IsLoopback(options.address)) {
    return Error(Code::kInvalidArgument,
                 "REST at " + options.address +
                     " needs a certificate: give --rest-cert and --rest-key, or make this host a "
                     "member of a cluster; without one it serves 127.0.0.1 and [::1] alone");
  }
  std::unique_ptr<RestServer> rest(
      new RestServer(options, std::move(clusters), std::move(classes), users, open_id));
  ASSIGN_OR_RETURN(rest->api_, RestApi::Create(rest->services_, options.rates));
  http::ServerOptions server;
  server.address = options.address;
  server.limits.connections = kConnectionsMax;
  server.limits.connections_per_address = kConnectionsPerAddressMax;
  ASSIGN_OR_RETURN(
      rest->server_,
      http::RenewedServer::Start("rest", std::move(server), options.certificate, rest->api_.get()));
  return rest;
}

RestServer::~RestServer() { Shutdown(std::chrono::milliseconds(0)); }

void RestServer::Shutdown(std::chrono::milliseconds grace) {
  events_.Close();
  operations_.CancelAll();
  watch_.reset();
  if (server_ != nullptr) server_->Shutdown(grace);
  const std::lock_guard lock(open_mutex_);
  open_ = false;
}

}  // namespace strata::vcluster::rest
