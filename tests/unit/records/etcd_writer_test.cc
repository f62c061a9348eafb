// Transactions whose answers are lost, or that arrive late, between a host and a real etcd.
#include "common/records/etcd/etcd_writer.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <mutex>

#include "tests/unit/records/etcd_server.h"
#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

// Stands before etcd. What it is told to lose is the next transaction that changes "/test/record":
// its answer after it was done, or itself, which it keeps.
class LossyEtcd final : public etcdserverpb::KV::Service {
 public:
  explicit LossyEtcd(const std::string& endpoint)
      : etcd_(etcdserverpb::KV::NewStub(
            grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials()))) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  int port() const { return port_; }
  void LoseAnswer() { lose_answer_ = true; }
  void KeepRequest() { keep_request_ = true; }
  etcdserverpb::TxnResponse DeliverLate() {
    etcdserverpb::TxnResponse response;
    EXPECT_TRUE(Forward(kept_, &response).ok());
    return response;
  }

  grpc::Status Put(grpc::ServerContext*, const etcdserverpb::PutRequest* request,
                   etcdserverpb::PutResponse* response) override {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    return etcd_->Put(&context, *request, response);
  }
  grpc::Status Range(grpc::ServerContext*, const etcdserverpb::RangeRequest* request,
                     etcdserverpb::RangeResponse* response) override {
    grpc::ClientContext context;
    return etcd_->Range(&context, *request, response);
  }
  grpc::Status Txn(grpc::ServerContext*, const etcdserverpb::TxnRequest* request,
                   etcdserverpb::TxnResponse* response) override {
    const bool record =
        request->success_size() > 0 && request->success(0).request_put().key() == "/test/record";
    if (record && std::exchange(keep_request_, false)) {
      kept_ = *request;
      return {grpc::StatusCode::UNAVAILABLE, "lost on the way there"};
    }
    const grpc::Status status = Forward(*request, response);
    if (record && std::exchange(lose_answer_, false)) {
      return {grpc::StatusCode::UNAVAILABLE, "lost on the way back"};
    }
    return status;
  }

 private:
  grpc::Status Forward(const etcdserverpb::TxnRequest& request,
                       etcdserverpb::TxnResponse* response) {
    grpc::ClientContext context;
    return etcd_->Txn(&context, request, response);
  }

  const std::unique_ptr<etcdserverpb::KV::Stub> etcd_;
  int port_ = 0;
  bool lose_answer_ = false;
  bool keep_request_ = false;
  etcdserverpb::TxnRequest kept_;
  std::unique_ptr<grpc::Server> server_;
};

class EtcdWriterTest : public testing::Test {
 protected:
  EtcdWriterTest() : lossy_(etcd_.OptionsFor(TestTables(), "").location.endpoints[0]) {
    EtcdLocation location;
    location.endpoints = {"127.0.0.1:" + std::to_string(lossy_.port())};
    client_ = std::move(*EtcdClient::Open(location));
    writer_.emplace(client_.get(), "/test/writers/one", "one", EtcdRemedies{});
    EXPECT_TRUE(writer_->TakeOver({"", ""}, false).ok());
  }
  Result<std::optional<int64_t>> Write(const std::string& value) {
    etcdserverpb::TxnRequest request;
    auto* put = request.add_success()->mutable_request_put();
    put->set_key("/test/record");
    put->set_value(value);
    int64_t seen = 0;
    return writer_->Run(request, &seen);
  }
  // The record, with how often it was written.
  std::pair<std::string, int64_t> Record() {
    etcdserverpb::RangeRequest look;
    look.set_key("/test/record");
    const auto found = client_->Range(look, client_->Deadline());
    EXPECT_TRUE(found.ok() && found->kvs_size() == 1);
    return {found->kvs(0).value(), found->kvs(0).version()};
  }

  EtcdServer etcd_;
  LossyEtcd lossy_;
  std::unique_ptr<EtcdClient> client_;
  std::optional<EtcdWriter> writer_;
};

TEST_F(EtcdWriterTest, WhatWasDoneWithoutAnAnswerIsFoundAndNotRepeated) {
  lossy_.LoseAnswer();
  const auto done = Write("1");
  ASSERT_OK(done);
  EXPECT_TRUE(*done);
  EXPECT_EQ(Record(), std::pair(std::string("1"), int64_t{1}));
  ASSERT_OK(Write("2"));
  EXPECT_EQ(Record(), std::pair(std::string("2"), int64_t{2}));
}

TEST_F(EtcdWriterTest, WhatWasRepeatedIsNotDoneWhenTheFirstArrivesLate) {
  lossy_.KeepRequest();
  ASSERT_OK(Write("1"));
  EXPECT_FALSE(lossy_.DeliverLate().succeeded());
  ASSERT_OK(Write("2"));
  EXPECT_FALSE(lossy_.DeliverLate().succeeded());
  EXPECT_EQ(Record(), std::pair(std::string("2"), int64_t{2}));
}

TEST_F(EtcdWriterTest, WhatAnEarlierImagedLeftOnItsWayIsNotDoneAnyMore) {
  lossy_.KeepRequest();
  ASSERT_OK(Write("1"));
  EtcdWriter next(client_.get(), "/test/writers/one", "one", {});
  ASSERT_OK(next.TakeOver({"", ""}, false));
  EXPECT_FALSE(lossy_.DeliverLate().succeeded());
  EXPECT_EQ(Write("2").error().code(), Code::kAlreadyExists);
}

}  // namespace
}  // namespace strata::records
