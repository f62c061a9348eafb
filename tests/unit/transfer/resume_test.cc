#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <utime.h>

#include "tests/unit/transfer/transfer_fixture.h"

namespace strata::imaged::transfer::testing {
namespace {

class ResumeTest : public TransferTest {
 protected:
  std::vector<WantedObject> MixedObjects() {
    std::vector<WantedObject> objects;
    for (uint64_t i = 0; i < 60; ++i) objects.push_back(Give(Noise(i, 30'000)));
    const std::string old = Noise(100, 5 << 20);
    objects.push_back(Give(Noise(101, 300'000)));
    objects.push_back(Give(Noise(102, (6 << 20) + 5)));
    // Its delta needs several pieces: the first two MiB are new.
    objects.push_back(Give(Noise(103, 2 << 20) + old, Share(old)));
    return objects;
  }
  void ForgetObjects(const std::vector<WantedObject>& objects) {
    for (const WantedObject& object : objects) {
      ::unlink(receiver_->PathOf(object.digest).c_str());
      ::unlink(PartialPath(object).c_str());
    }
  }
  // Its first `size` bytes are `bytes`.
  void LeavePartial(const WantedObject& object, std::string_view bytes) {
    ASSERT_TRUE(WriteFileAtomically(PartialPath(object), bytes, 0600).ok());
  }
};

TEST_F(ResumeTest, ABreakAtAnyMessageKeepsWhatWasVerified) {
  const std::vector<WantedObject> objects = MixedObjects();
  ASSERT_TRUE(Transfer(objects).ok());
  const size_t pieces = kinds_.size();
  ASSERT_GT(pieces, 10u);
  uint64_t resumed = 0;
  for (size_t at = 0; at < pieces; ++at) {
    ForgetObjects(objects);
    size_t whole = 0;  // Objects of the pieces that came through.
    const Status broken = Transfer(objects, [&](size_t index, v1::Piece* piece) {
      if (index == at) return false;
      if (piece->has_bundle()) whole += static_cast<size_t>(piece->bundle().wants_size());
      return true;
    });
    ASSERT_FALSE(broken.ok()) << at;
    EXPECT_EQ(broken.error().code(), Code::kUnavailable) << at;
    EXPECT_GE(report_.objects, whole) << at;
    size_t held = 0;
    for (const WantedObject& object : objects) held += receiver_->Has(object.digest);
    EXPECT_EQ(held, report_.objects) << at;
    const uint64_t kept = FileBytesBelow(receiver_->root() + "/partial");

    const Status received = Transfer(objects);
    ASSERT_TRUE(received.ok()) << at << ": " << received.error().message();
    EXPECT_EQ(report_.objects, objects.size() - held) << at;
    EXPECT_EQ(report_.resumed_bytes, kept) << at;
    resumed += report_.resumed_bytes;
    ExpectHeld(objects);
    EXPECT_EQ(FileBytesBelow(receiver_->root() + "/partial"), 0u) << at;
  }
  EXPECT_GT(resumed, uint64_t{10} << 20);
}

TEST_F(ResumeTest, WhatIsLeftOfAnObjectIsAllThatComes) {
  const std::string content = Noise(1, 20 << 20);
  const WantedObject object = Give(content);
  LeavePartial(object, content.substr(0, (12 << 20) + 4711));
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
  EXPECT_EQ(report_.resumed_bytes, uint64_t{12} << 20);
  EXPECT_EQ(Pieces(v1::Piece::kFrame), 8u);
}

TEST_F(ResumeTest, DeltasGoOnAfterTheLastWholeSegment) {
  const std::string old = Noise(1, 40 << 20);
  const WantedObject object = Give(Edited(old, 1), Share(old));
  ASSERT_FALSE(Transfer({object}, [&](size_t index, v1::Piece*) { return index < 1; }).ok());
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
  EXPECT_EQ(report_.resumed_bytes, uint64_t{32} << 20);
  EXPECT_EQ(Pieces(v1::Piece::kDelta), 1u);
}

TEST_F(ResumeTest, AWholeOrTooLongPartialFileStillEndsAsTheObject) {
  const std::string content = Noise(1, 6 << 20);
  const WantedObject object = Give(content);
  for (const std::string& left : {content, content + "more than the object has"}) {
    LeavePartial(object, left);
    ASSERT_TRUE(Transfer({object}).ok());
    ExpectHeld({object});
    EXPECT_EQ(Pieces(v1::Piece::kFrame), 1u);
    ForgetObjects({object});
  }
}

TEST_F(ResumeTest, APartThatIsNoGoodIsFetchedAgain) {
  const std::string old = Noise(9, 8 << 20);
  const std::vector<WantedObject> objects = {Give(Noise(1, 6 << 20)),
                                             Give(Edited(old, 1), Share(old))};
  for (const WantedObject& object : objects) LeavePartial(object, Noise(66, 2 << 20));
  ASSERT_TRUE(Transfer(objects).ok());
  ExpectHeld(objects);
  EXPECT_EQ(sent_.wants, 4u);
  EXPECT_TRUE(std::filesystem::is_empty(receiver_->root() + "/partial"));
}

TEST_F(ResumeTest, AKilledReceiverGoesOnWhereItWas) {
  const std::string content = Noise(1, 24 << 20);
  const WantedObject object = Give(content);
  partial_files_.reset();
  receiver_.reset();  // The child has it open.
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    OpenReceiver();
    (void)Transfer({object}, [&](size_t index, v1::Piece*) {
      if (index < 11) return true;
      (void)!::write(ready[1], "x", 1);
      ::pause();  // Until it is killed.
      return false;
    });
    ::_exit(1);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ::close(ready[0]);
  ::close(ready[1]);

  OpenReceiver();
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
  EXPECT_EQ(report_.resumed_bytes, uint64_t{11} << 20);
}

TEST_F(ResumeTest, PartialFilesThatAreOldOrTooMuchGoTheOldestFirst) {
  std::vector<WantedObject> objects;
  for (uint64_t i = 0; i < 4; ++i) {
    objects.push_back({Hasher::Of(std::to_string(i)), 10 << 20, std::nullopt});
    LeavePartial(objects.back(), std::string(3 << 20, 'p'));
    const time_t changed = ::time(nullptr) - (i == 3 ? 5000 : 1000 - static_cast<time_t>(i) * 100);
    const utimbuf times = {changed, changed};
    ASSERT_EQ(::utime(PartialPath(objects.back()).c_str(), &times), 0);
  }
  OpenReceiver({.age_max = std::chrono::seconds(3600)});
  EXPECT_FALSE(PathExists(PartialPath(objects[3])));  // Too old.
  EXPECT_TRUE(PathExists(PartialPath(objects[0])));
  OpenReceiver({.bytes_max = 7 << 20});
  EXPECT_FALSE(PathExists(PartialPath(objects[0])));  // 9 MiB are left: the oldest of them goes.
  EXPECT_TRUE(PathExists(PartialPath(objects[1])));
  EXPECT_TRUE(PathExists(PartialPath(objects[2])));
  // A new one makes room for itself; the one in use stays.
  const auto used = *partial_files_->Resume(objects[1].digest, 10 << 20);
  ASSERT_NE(used, nullptr);
  EXPECT_EQ(used->size(), uint64_t{3} << 20);
  const auto made = *partial_files_->Create(Hasher::Of("new"), 6 << 20);
  ASSERT_NE(made, nullptr);
  EXPECT_TRUE(PathExists(PartialPath(objects[1])));
  EXPECT_FALSE(PathExists(PartialPath(objects[2])));
}

TEST_F(ResumeTest, TwoTransfersOfAnObjectUseTwoFiles) {
  const Digest digest = Hasher::Of("object");
  auto first = std::move(*partial_files_->Create(digest, 8 << 20));
  ASSERT_TRUE(first->Append(std::string(1 << 20, '1')).ok());
  EXPECT_EQ(*partial_files_->Resume(digest, 8 << 20), nullptr);
  const auto second = std::move(*partial_files_->Create(digest, 8 << 20));
  EXPECT_NE(first->path(), second->path());
  ASSERT_TRUE(second->Append(std::string(1 << 20, '2')).ok());
  const std::string path = first->path();
  EXPECT_EQ(ReadFile(path)->at(0), '1');
  first.reset();
  EXPECT_EQ((*partial_files_->Resume(digest, 8 << 20))->size(), uint64_t{1} << 20);
  OpenReceiver();
  EXPECT_TRUE(PathExists(path));
}

}  // namespace
}  // namespace strata::imaged::transfer::testing
