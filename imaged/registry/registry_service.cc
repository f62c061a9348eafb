#include "imaged/registry/registry_service.h"

#include "imaged/api/registry.grpc.pb.h"
#include "imaged/service/audit.h"

namespace strata::imaged {
namespace {

class RegistryServiceImpl final : public v1::RegistryService::Service {
 public:
  RegistryServiceImpl(Repository* repository, TokenBook* book, uid_t uid)
      : repository_(repository), book_(book), uid_(uid) {}

  grpc::Status Create(grpc::ServerContext*, const v1::CreateTokenRequest* request,
                      v1::CreateTokenResponse* response) override {
    return Audited(repository_, EventOf("token create", uid_, ""), [&](v1::Event* done) -> Status {
      ASSIGN_OR_RETURN(*response, book_->Create(uid_, *request, std::chrono::system_clock::now()));
      done->set_image(response->token().id());
      return Ok();
    });
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListTokensRequest* request,
                    v1::ListTokensResponse* response) override {
    return Answer("token list", response, [&] { return book_->List(uid_, request->all_users()); });
  }

  grpc::Status Revoke(grpc::ServerContext*, const v1::RevokeTokenRequest* request,
                      v1::RevokeTokenResponse* response) override {
    return Audited(
        repository_, EventOf("token revoke", uid_, request->id()), [&](v1::Event*) -> Status {
          ASSIGN_OR_RETURN(*response->mutable_token(), book_->Revoke(uid_, request->id()));
          return Ok();
        });
  }

  grpc::Status KnownLayers(grpc::ServerContext*, const v1::KnownLayersRequest* request,
                           v1::KnownLayersResponse* response) override {
    return Guarded("known layers", [&]() -> Status {
      const LayerConversions& conversions = repository_->layers().conversions();
      std::optional<Sha256Digest> chain;
      for (const std::string& text : request->diff_ids()) {
        ASSIGN_OR_RETURN(const Sha256Digest diff_id, Sha256Digest::Parse(text));
        chain = ChainId(chain, diff_id);
        // Root's imports have all that others' have, and more.
        const bool known = IsReadable(conversions.FindChain(*chain, /*as_root=*/true)) ||
                           (uid_ != 0 && IsReadable(conversions.FindChain(*chain, false)));
        if (!known) break;
        response->set_count(response->count() + 1);
      }
      return Ok();
    });
  }

 private:
  bool IsReadable(const std::optional<Digest>& layer) const {
    return layer && repository_->images().ReadableLayer(uid_, *layer);
  }

  Repository* const repository_;
  TokenBook* const book_;
  const uid_t uid_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRegistryService(Repository* repository, TokenBook* book,
                                                   const rpc::Caller& caller) {
  return std::make_unique<RegistryServiceImpl>(repository, book, caller.uid);
}

}  // namespace strata::imaged
