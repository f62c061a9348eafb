#include "common/fd_passing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/file_io.h"

namespace strata {
namespace {

class FdPassingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto sockets = MessageSockets();
    ASSERT_TRUE(sockets.ok()) << sockets.error().message();
    a_ = std::move(sockets->first);
    b_ = std::move(sockets->second);
  }
  UniqueFd a_;
  UniqueFd b_;
};

TEST_F(FdPassingTest, TheSenderIsKnownWhereTheReceiverAsksForIt) {
  ASSERT_TRUE(SendPassing(a_.get(), "before", {}).ok());
  EXPECT_EQ(ReceivePassed(b_.get(), 100)->sender, 0);
  const int yes = 1;
  ASSERT_EQ(::setsockopt(b_.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)), 0);
  ASSERT_TRUE(SendPassing(a_.get(), "after", {a_.get(), b_.get()}).ok());
  const auto message = ReceivePassed(b_.get(), 100);
  ASSERT_TRUE(message.ok()) << message.error().message();
  EXPECT_EQ(message->sender, ::getpid());
  EXPECT_EQ(message->fds.size(), 2u);
}

TEST_F(FdPassingTest, MessagesArriveOneByOneWithTheirDescriptors) {
  int pipe[2] = {-1, -1};
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd from(pipe[0]);
  UniqueFd to(pipe[1]);
  ASSERT_TRUE(SendPassing(a_.get(), "first", {to.get(), from.get()}).ok());
  ASSERT_TRUE(SendPassing(a_.get(), "second", {}).ok());
  const auto first = ReceivePassed(b_.get(), 100);
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(first->bytes, "first");
  ASSERT_EQ(first->fds.size(), 2u);
  EXPECT_EQ(::fcntl(first->fds[0].get(), F_GETFD), FD_CLOEXEC);
  to.reset();
  ASSERT_TRUE(WriteAll(first->fds[0].get(), "through").ok());
  char text[16] = {};
  EXPECT_EQ(::read(from.get(), text, sizeof(text)), 7);
  const auto second = ReceivePassed(b_.get(), 100);
  EXPECT_EQ(second->bytes, "second");
  EXPECT_TRUE(second->fds.empty());
}

TEST_F(FdPassingTest, AnEndThatIsClosedIsToldOnBothSides) {
  b_.reset();
  EXPECT_EQ(SendPassing(a_.get(), "x", {}).error().code(), Code::kUnavailable);
  EXPECT_EQ(ReceivePassed(a_.get(), 100)->bytes, "");
}

TEST_F(FdPassingTest, WhatIsLongerThanItMayBeIsRefusedAndItsDescriptorsAreClosed) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(SendPassing(a_.get(), "longer", {file.get()}).ok());
  const int next = ::dup(file.get());  // The lowest free number.
  ::close(next);
  EXPECT_EQ(ReceivePassed(b_.get(), 3).error().code(), Code::kCorrupt);
  const UniqueFd again(::dup(file.get()));
  EXPECT_EQ(again.get(), next);
  EXPECT_EQ(
      SendPassing(a_.get(), "x", std::vector<int>(kPassedFdsMax + 1, file.get())).error().code(),
      Code::kInvalidArgument);
  EXPECT_TRUE(SendPassing(a_.get(), "x", std::vector<int>(kPassedFdsMax, file.get())).ok());
  EXPECT_EQ(ReceivePassed(b_.get(), 3)->fds.size(), kPassedFdsMax);
}

TEST_F(FdPassingTest, WaitsNoLongerThanTheSocketSays) {
  const timeval time = {0, 1000};
  ASSERT_EQ(::setsockopt(b_.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)), 0);
  EXPECT_EQ(ReceivePassed(b_.get(), 3).error().code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace strata
