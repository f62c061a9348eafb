#include "imaged/registry/token_service.h"

#include "imaged/api/registry.grpc.pb.h"
#include "imaged/service/call.h"

namespace strata::imaged {
namespace {

class TokenServiceImpl final : public v1::RegistryTokenService::Service {
 public:
  TokenServiceImpl(TokenBook* book, uid_t uid) : book_(book), uid_(uid) {}

  grpc::Status Create(grpc::ServerContext*, const v1::CreateTokenRequest* request,
                      v1::CreateTokenResponse* response) override {
    return Answer("token create", response,
                  [&] { return book_->Create(uid_, *request, std::chrono::system_clock::now()); });
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListTokensRequest* request,
                    v1::ListTokensResponse* response) override {
    return Answer("token list", response, [&] { return book_->List(uid_, request->all_users()); });
  }

  grpc::Status Revoke(grpc::ServerContext*, const v1::RevokeTokenRequest* request,
                      v1::RevokeTokenResponse* response) override {
    return Answer("token revoke", response->mutable_token(),
                  [&] { return book_->Revoke(uid_, request->id()); });
  }

 private:
  TokenBook* const book_;
  const uid_t uid_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRegistryTokenService(TokenBook* book,
                                                        const rpc::Caller& caller) {
  return std::make_unique<TokenServiceImpl>(book, caller.uid);
}

}  // namespace strata::imaged
