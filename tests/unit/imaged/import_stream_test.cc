// An import as imaged's socket takes it: complete, or nothing.
#include <grpcpp/client_context.h>

#include "common/rpc/channel.h"
#include "common/rpc/local_server.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/service/image_service.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

class ImportStreamTest : public RepositoryTest {
 protected:
  void SetUp() override {
    RepositoryTest::SetUp();
    const std::string socket = directory_->path() + "/imaged.sock";
    auto server = rpc::LocalServer::Start(socket, [this](const rpc::Caller& caller) {
      return MakeServices(repository_.get(), caller);
    });
    ASSERT_OK(server);
    server_ = std::move(*server);
    auto channel = rpc::ConnectLocal(socket, "imaged");
    ASSERT_OK(channel);
    stub_ = v1::ImageService::NewStub(*channel);
  }
  void TearDown() override {
    server_.reset();
    RepositoryTest::TearDown();
  }

  enum class End { kSaid, kHalfClosed, kCancelled };
  // Sends the options and the first `bytes` of the archive.
  grpc::Status Send(const std::string& reference, size_t bytes, End end) {
    grpc::ClientContext context;
    const auto stream = stub_->Import(&context);
    v1::ImportRequest request;
    request.mutable_options()->set_reference(reference);
    EXPECT_TRUE(stream->Write(request));
    for (size_t at = 0; at < bytes; at += 4096) {
      request.set_tar(tar_.substr(at, std::min<size_t>(4096, bytes - at)));
      EXPECT_TRUE(stream->Write(request));
    }
    if (end == End::kSaid) {
      request.set_end(true);
      EXPECT_TRUE(stream->Write(request));
    }
    if (end == End::kCancelled) context.TryCancel();
    stream->WritesDone();
    v1::ImportEvent event;
    while (stream->Read(&event)) {
    }
    return stream->Finish();
  }
  bool IsThere(const std::string& reference) {
    return repository_->images().Find(0, reference).ok();
  }

  std::unique_ptr<rpc::LocalServer> server_;
  std::unique_ptr<v1::ImageService::Stub> stub_;
};

TEST_F(ImportStreamTest, AnArchiveThatIsSaidToBeCompleteIsAnImage) {
  ASSERT_TRUE(Send("x", tar_.size(), End::kSaid).ok());
  EXPECT_TRUE(IsThere("x"));
}

TEST_F(ImportStreamTest, AStreamThatEndsWithoutSayingSoPublishesNothing) {
  // All of the archive came, but the client may have meant to send more.
  EXPECT_FALSE(Send("x", tar_.size(), End::kHalfClosed).ok());
  EXPECT_FALSE(Send("y", tar_.size() / 2, End::kHalfClosed).ok());
  EXPECT_FALSE(Send("z", tar_.size(), End::kCancelled).ok());
  for (const char* name : {"x", "y", "z"}) EXPECT_FALSE(IsThere(name)) << name;
}

TEST_F(ImportStreamTest, HalfAnArchiveThatIsSaidToBeCompleteIsRefused) {
  EXPECT_FALSE(Send("x", tar_.size() / 2, End::kSaid).ok());
  EXPECT_FALSE(IsThere("x"));
}

}  // namespace
}  // namespace strata::imaged
