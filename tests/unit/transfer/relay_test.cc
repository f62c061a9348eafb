// What has come is passed on before it is committed: small objects when they are staged, large ones
// group by group; nothing is passed on that is not verified.
#include <latch>

#include "common/digest_tree.h"
#include "imaged/transfer/arrivals.h"
#include "tests/unit/transfer/transfer_fixture.h"

namespace strata::imaged::transfer::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kStallMax{20};

class RelayTest : public TransferTest {
 protected:
  RelayTest() : arrivals_(*receiver_), last_(std::move(*ObjectStore::Open(LastRoot()))) {
    last_partial_files_ = std::move(*PartialFiles::Open(last_->root()));
    options_.arrivals = &arrivals_;
  }
  std::string LastRoot() const { return directory_.path() + "/last"; }

  // The last host pulls from the receiver while that one receives.
  Status PassOn(const std::vector<WantedObject>& objects, const PieceHook& last_hook = {}) {
    MemoryStream stream;
    SendOptions send_options;
    send_options.is_here = [this](const Digest& digest) { return arrivals_.IsHere(digest); };
    Status sending = Ok();
    SendReport sent;
    std::thread sender([&] {
      sending =
          SendObjects([this](const Digest& digest) { return arrivals_.WaitFor(digest, kStallMax); },
                      stream.ForSender(), send_options, cancel_, &sent);
      if (!sending.ok()) stream.Close();
    });
    ReceiverChannel channel = stream.ForReceiver();
    size_t index = 0;
    channel.receive = [&, receive = channel.receive](v1::Piece* piece) -> Result<bool> {
      ASSIGN_OR_RETURN(const bool more, receive(piece));
      if (!more) return false;
      return !last_hook || last_hook(index++, piece);
    };
    Arrivals last_arrivals(*last_);
    ReceiveOptions options;
    options.arrivals = &last_arrivals;
    const Status received = ReceiveObjects(*last_, *last_partial_files_, objects, channel, options,
                                           cancel_, &last_report_);
    stream.Close();
    sender.join();
    return received;
  }
  void ExpectPassedOn(const std::vector<WantedObject>& objects) {
    for (const WantedObject& object : objects) EXPECT_TRUE(last_->Verify(object.digest).ok());
  }

  Arrivals arrivals_;
  ReceiveOptions options_;
  std::unique_ptr<ObjectStore> last_;
  std::unique_ptr<PartialFiles> last_partial_files_;
  ReceiveReport last_report_;
};

// The receiver's stream stops before its end until the last host has everything that came.
TEST_F(RelayTest, SmallObjectsGoOnBeforeTheyAreCommitted) {
  std::vector<WantedObject> objects;
  for (uint64_t i = 0; i < 40; ++i) objects.push_back(Give(Noise(i, 50'000)));
  std::latch passed_on(1);
  std::thread last([&] {
    EXPECT_TRUE(PassOn(objects).ok());
    passed_on.count_down();
  });
  const Status received = Transfer(
      objects,
      [&](size_t, v1::Piece* piece) {
        if (piece->end()) passed_on.wait();
        return true;
      },
      options_);
  last.join();
  ASSERT_TRUE(received.ok());
  ExpectHeld(objects);
  ExpectPassedOn(objects);
}

TEST_F(RelayTest, ALargeObjectGoesOnGroupByGroup) {
  const std::vector<WantedObject> objects = {Give(Noise(1, 9 * kGroupBytes + 1000)),
                                             Give(Noise(2, kGroupBytes + 1))};
  std::latch half(1);
  bool was_whole = true;
  std::thread last([&] {
    size_t frames = 0;
    EXPECT_TRUE(PassOn(objects, [&](size_t, v1::Piece* piece) {
                  if (piece->has_frame() && ++frames == 4) {
                    was_whole = receiver_->Has(objects[0].digest);
                    half.count_down();
                  }
                  return true;
                }).ok());
  });
  size_t frames = 0;
  const Status received = Transfer(
      objects,
      [&](size_t, v1::Piece* piece) {
        // The fifth group comes only when the fourth has been passed on.
        if (piece->has_frame() && ++frames == 5) half.wait();
        return true;
      },
      options_);
  last.join();
  ASSERT_TRUE(received.ok()) << received.error().message();
  EXPECT_FALSE(was_whole);
  EXPECT_EQ(Pieces(v1::Piece::kGroups), 2u);
  EXPECT_EQ(Pieces(v1::Piece::kFrame), 12u);
  ExpectHeld(objects);
  ExpectPassedOn(objects);
}

TEST_F(RelayTest, WrongBytesAreNotPassedOn) {
  const WantedObject object = Give(Noise(1, 8 * kGroupBytes));
  std::thread last([&] {
    EXPECT_TRUE(PassOn({object}).ok());
    ASSERT_EQ(last_report_.refused.size(), 1u);
    EXPECT_EQ(last_report_.refused[0].digest, object.digest);
  });
  const std::string wrong = *FrameEncoder(1).Encode(Noise(9, kGroupBytes), {}, 1 << 20);
  const Status received = Transfer(
      {object},
      [&](size_t, v1::Piece* piece) {
        if (piece->has_frame() && piece->frame().offset() == 3 * kGroupBytes) {
          piece->mutable_frame()->set_data(wrong);
        }
        return true;
      },
      options_);
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code(), Code::kCorrupt);
  EXPECT_THAT(received.error().message(), HasSubstr("the sender is wrong: the bytes from 786432"));
  arrivals_.End();
  last.join();
  // What was verified before it stays, there too.
  EXPECT_EQ(std::filesystem::file_size(PartialPath(object)), 3 * kGroupBytes);
  EXPECT_EQ(std::filesystem::file_size(last_->root() + "/partial/" + object.digest.Hex()),
            3 * kGroupBytes);
}

TEST_F(RelayTest, GroupsThatDoNotMakeTheDigestEndTheTransfer) {
  const WantedObject object = Give(Noise(1, 8 * kGroupBytes));
  const auto expect = [&](const std::function<void(v1::Groups*)>& change, const std::string& what) {
    const Status received = Transfer(
        {object},
        [&](size_t, v1::Piece* piece) {
          if (piece->has_groups()) change(piece->mutable_groups());
          return true;
        },
        options_);
    ASSERT_FALSE(received.ok()) << what;
    EXPECT_EQ(received.error().code(), Code::kCorrupt);
    EXPECT_THAT(received.error().message(), HasSubstr(what));
  };
  expect([](auto* groups) { (*groups->mutable_values())[40] ^= 1; }, "tells wrong groups");
  expect([](auto* groups) { groups->mutable_values()->append(32, 'x'); }, "tells wrong groups");
  expect([](auto* groups) { groups->clear_values(); }, "tells wrong groups");
  expect([](auto* groups) { groups->mutable_values()->pop_back(); }, "cut a group's value");
  expect([](auto* groups) { groups->set_want(7); }, "a want that was not sent");
}

TEST_F(RelayTest, WhoWaitsGoesOnWithTheNextSource) {
  const std::string content = Noise(1, 12 << 20);
  const WantedObject object = Give(content);
  std::thread last([&] { EXPECT_TRUE(PassOn({object}).ok()); });
  size_t frames = 0;
  const Status broken = Transfer(
      {object}, [&](size_t, v1::Piece* piece) { return !piece->has_frame() || ++frames < 20; },
      options_);
  EXPECT_EQ(broken.error().code(), Code::kUnavailable);
  ASSERT_TRUE(Transfer({object}, {}, options_).ok());
  EXPECT_EQ(report_.resumed_bytes, 19 * kGroupBytes);
  last.join();
  ExpectHeld({object});
  ExpectPassedOn({object});
}

// A part that an earlier transfer left is verified before it is passed on.
TEST_F(RelayTest, WhatWasLeftAndIsWrongIsFetchedAgain) {
  const std::string content = Noise(1, 8 << 20);
  const WantedObject object = Give(content);
  std::string left = content.substr(0, 4 << 20);
  left[1 << 20] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(PartialPath(object), left, 0600).ok());
  std::thread last([&] {
    const Status passed = PassOn({object});
    // It had been told as growing: that is taken back, and the host asks another one.
    EXPECT_TRUE(passed.ok()) << passed.error().message();
    EXPECT_TRUE(last_->Has(object.digest) || last_report_.refused.size() == 1);
    EXPECT_TRUE(!last_->Has(object.digest) || last_->Verify(object.digest).ok());
  });
  ASSERT_TRUE(Transfer({object}, {}, options_).ok());
  arrivals_.End();
  last.join();
  ExpectHeld({object});
}

}  // namespace
}  // namespace strata::imaged::transfer::testing
