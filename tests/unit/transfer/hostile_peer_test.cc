// A peer that breaks the protocol, by one message at a time and by random changes of good ones.
#include "imaged/transfer/frame_codec.h"
#include "tests/unit/transfer/transfer_fixture.h"

namespace strata::imaged::transfer::testing {
namespace {

using ::testing::HasSubstr;

std::string Encoded(std::string_view content, std::string_view prefix = {}) {
  return *FrameEncoder(1).Encode(content, prefix, content.size() + 4096);
}

class HostileSenderTest : public TransferTest {
 protected:
  // What a receiver of `objects` says to these pieces, after which the stream ends.
  Status Receive(std::vector<WantedObject> objects, std::vector<v1::Piece> pieces) {
    size_t next = 0;
    const ReceiverChannel channel = {[](const v1::TransferRequest&) { return Ok(); },
                                     [&](v1::Piece* piece) -> Result<bool> {
                                       if (next == pieces.size()) return false;
                                       *piece = pieces[next++];
                                       return true;
                                     },
                                     [] {}};
    return ReceiveObjects(*receiver_, *partial_files_, std::move(objects), channel, {}, cancel_,
                          &report_);
  }
  void ExpectFault(std::vector<v1::Piece> pieces, const std::string& what) {
    const Status received = Receive(wanted_, std::move(pieces));
    ASSERT_FALSE(received.ok()) << what;
    EXPECT_EQ(received.error().code(), Code::kCorrupt) << received.error().message();
    EXPECT_THAT(received.error().message(), HasSubstr("the sender"));
    EXPECT_THAT(received.error().message(), HasSubstr(what));
    ExpectNothingWrong();
  }

  static v1::Piece BundleOf(std::vector<uint64_t> wants, std::string frame,
                            std::vector<uint32_t> based = {}) {
    v1::Piece piece;
    for (const uint64_t want : wants) piece.mutable_bundle()->add_wants(want);
    for (const uint32_t index : based) piece.mutable_bundle()->add_based(index);
    piece.mutable_bundle()->set_frame(std::move(frame));
    return piece;
  }
  static v1::Piece FrameOf(uint64_t want, uint64_t offset, std::string_view content) {
    v1::Piece piece;
    piece.mutable_frame()->set_want(want);
    piece.mutable_frame()->set_offset(offset);
    piece.mutable_frame()->set_plain_bytes(static_cast<uint32_t>(content.size()));
    piece.mutable_frame()->set_data(Encoded(content));
    return piece;
  }
  v1::Piece DeltaOf(uint64_t want, std::string_view content) const {
    v1::Piece piece;
    v1::Delta& delta = *piece.mutable_delta();
    delta.set_want(want);
    delta.set_plain_bytes(static_cast<uint32_t>(content.size()));
    delta.set_base_bytes(static_cast<uint32_t>(base_.size()));
    delta.set_data(Encoded(content, base_));
    delta.set_encoded_bytes(static_cast<uint32_t>(delta.data().size()));
    return piece;
  }
  static v1::Piece Part(std::string data) {
    v1::Piece piece;
    piece.mutable_delta_part()->set_data(std::move(data));
    return piece;
  }
  static v1::Piece End() {
    v1::Piece piece;
    piece.set_end(true);
    return piece;
  }

  const std::string small_ = Text(1, 5000);
  const std::string other_ = Text(2, 6000);
  const std::string large_ = Noise(3, (2 << 20) + 100);
  const std::string base_ = Noise(4, 200'000);
  const std::string based_ = Edited(base_, 4);
  // Numbers 0 to 3. Nobody has them yet.
  const std::vector<WantedObject> wanted_ = {
      {Hasher::Of(small_), small_.size(), std::nullopt},
      {Hasher::Of(other_), other_.size(), Put(*receiver_, base_)},
      {Hasher::Of(large_), large_.size(), std::nullopt},
      {Hasher::Of(based_), based_.size(), Put(*receiver_, base_)}};
};

TEST_F(HostileSenderTest, TheGoodPiecesOfTheseTestsAreTaken) {
  const std::string_view large = large_;
  const Status received =
      Receive(wanted_, {BundleOf({0, 1}, Encoded(small_ + other_)), DeltaOf(3, based_),
                        FrameOf(2, 0, large.substr(0, 1 << 20)),
                        FrameOf(2, 1 << 20, large.substr(1 << 20, 1 << 20)),
                        FrameOf(2, 2 << 20, large.substr(2 << 20)), End()});
  ASSERT_TRUE(received.ok()) << received.error().message();
  ExpectHeld(wanted_);
}

TEST_F(HostileSenderTest, ABundleMustHoldWhatWasAskedFor) {
  ExpectFault({BundleOf({0}, Encoded(other_.substr(0, 5000)))}, "digest");
  ExpectFault({BundleOf({0, 1}, Encoded(small_))}, "declare");
  ExpectFault({BundleOf({0}, Encoded(small_ + "more"))}, "declare");
  ExpectFault({BundleOf({0}, Encoded(small_) + Encoded("second"))}, "not one whole frame");
  ExpectFault({BundleOf({0}, Encoded(small_).substr(0, 100))}, "not one whole frame");
  ExpectFault({BundleOf({0}, "")}, "declare");
  ExpectFault({BundleOf({0, 0}, Encoded(small_ + small_))}, "twice");
  ExpectFault({BundleOf({}, Encoded(""))}, "a bundle of 0 objects");
  ExpectFault({BundleOf({2}, Encoded(large_))}, "large");
  ExpectFault({BundleOf({7}, Encoded(small_))}, "was not sent");
  ExpectFault({BundleOf({0}, std::string(kEncodedBytesMax + 1, 'x'))}, "too large");
  EXPECT_EQ(report_.objects, 0u);
}

TEST_F(HostileSenderTest, BasesMustBeThoseThatWereOffered) {
  ExpectFault({BundleOf({0}, Encoded(small_), {0})}, "not offered");
  ExpectFault({BundleOf({0}, Encoded(small_), {1})}, "bases of no object");
  ExpectFault({BundleOf({1}, Encoded(other_), {0, 0})}, "bases of no object");
  ExpectFault({DeltaOf(2, large_)}, "not offered");
  v1::Piece delta = DeltaOf(3, based_);
  delta.mutable_delta()->set_base_offset(1);
  ExpectFault({delta}, "its base does not have");
  delta.mutable_delta()->set_base_offset(~0ull);
  ExpectFault({delta}, "its base does not have");
  delta.mutable_delta()->set_base_offset(0);
  delta.mutable_delta()->set_base_bytes(~0u);
  ExpectFault({delta}, "its base does not have");
}

TEST_F(HostileSenderTest, FramesComeInOrderAndInFull) {
  const std::string_view large = large_;
  const v1::Piece first = FrameOf(2, 0, large.substr(0, 1 << 20));
  const v1::Piece second = FrameOf(2, 1 << 20, large.substr(1 << 20, 1 << 20));
  ExpectFault({second}, "instead of those from 0 on");
  ExpectFault({first, first}, "instead of those from 1048576 on");
  ExpectFault({FrameOf(2, 0, large.substr(0, 1000))}, "another size");
  ExpectFault({FrameOf(2, 0, "")}, "sent 0 bytes");
  ExpectFault({FrameOf(2, 0, large_ + "more")}, "of an object of");
  ExpectFault({first, FrameOf(0, 0, small_)}, "before the last one is complete");
  ExpectFault({first, BundleOf({0}, Encoded(small_))}, "in the middle of an object");
  v1::Piece bomb = FrameOf(0, 0, small_);
  bomb.mutable_frame()->set_data(Encoded(std::string(1 << 20, '\0')));
  ExpectFault({bomb}, "declare");
  bomb.mutable_frame()->set_data(std::string(kEncodedBytesMax + 1, 'x'));
  ExpectFault({bomb}, "too large");
  ExpectFault({FrameOf(0, 0, small_), FrameOf(0, 0, small_)}, "again");
}

TEST_F(HostileSenderTest, DeltasAreWholeAndNothingComesBetween) {
  const v1::Piece good = DeltaOf(3, based_);
  const std::string data = good.delta().data();
  v1::Piece first = good;
  first.mutable_delta()->set_data(data.substr(0, 10));
  ExpectFault({first, BundleOf({0}, Encoded(small_))}, "in the middle of a delta");
  ExpectFault({first, first}, "in the middle of a delta");
  ExpectFault({first, Part("")}, "as long as");
  ExpectFault({first, Part(data)}, "as long as");
  ExpectFault({Part(data)}, "a part of no delta");
  v1::Piece large = good;
  large.mutable_delta()->set_encoded_bytes(static_cast<uint32_t>(based_.size()) + 1);
  ExpectFault({large}, "too large");
  v1::Piece wrong = good;
  wrong.mutable_delta()->set_data(Encoded(based_, Noise(5, base_.size())));
  wrong.mutable_delta()->set_encoded_bytes(static_cast<uint32_t>(wrong.delta().data().size()));
  ExpectFault({wrong}, wrong.delta().data().size() > based_.size() ? "too large" : "sender");
  const Status whole = Receive(wanted_, {first, Part(data.substr(10))});
  EXPECT_EQ(whole.error().code(), Code::kUnavailable);
  ExpectHeld({wanted_[3]});
}

TEST_F(HostileSenderTest, WrongBytesOfALargeObjectAreNeitherAnObjectNorKept) {
  const std::string good = Noise(8, 5 << 20);
  std::string bad = good;
  ++bad[(4 << 20) + 5];
  const WantedObject object = {Hasher::Of(good), good.size(), std::nullopt};
  std::vector<v1::Piece> pieces;
  for (uint64_t at = 0; at < bad.size(); at += 1 << 20) {
    pieces.push_back(FrameOf(0, at, std::string_view(bad).substr(at, 1 << 20)));
  }
  const Status received = Receive({object}, pieces);
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code(), Code::kCorrupt);
  EXPECT_FALSE(receiver_->Has(object.digest));
  EXPECT_FALSE(receiver_->Has(Hasher::Of(bad)));
  EXPECT_FALSE(PathExists(PartialPath(object)));
}

TEST_F(HostileSenderTest, TheEndComesAfterEverything) {
  ExpectFault({End()}, "before it had answered everything");
  ExpectFault({v1::Piece()}, "unknown");
  const Status broken = Receive(wanted_, {BundleOf({0}, Encoded(small_))});
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code(), Code::kUnavailable);
  ExpectHeld({wanted_[0]});
}

// Every message of a real stream with a few bits or bytes changed: all objects arrive, or the
// receiver names a fault, and never is there an object of other bytes.
TEST_F(HostileSenderTest, ChangedMessagesNeverMakeAWrongObject) {
  std::vector<WantedObject> objects;
  for (uint64_t i = 0; i < 30; ++i) {
    const std::string old = Text(i, 3000);
    objects.push_back(Give(Edited(old, i), i % 2 == 0 ? std::optional(Share(old)) : std::nullopt));
  }
  const std::string old = Noise(50, 300'000);
  objects.push_back(Give(Edited(old, 50), Share(old)));
  objects.push_back(Give(Text(51, 1'200'000)));
  std::vector<std::string> good;
  ASSERT_TRUE(Transfer(objects, [&](size_t, v1::Piece* piece) {
                good.push_back(piece->SerializeAsString());
                return true;
              }).ok());
  size_t faults = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    for (const WantedObject& object : objects) {
      ::unlink(receiver_->PathOf(object.digest).c_str());
    }
    std::mt19937_64 random(seed);
    std::vector<v1::Piece> pieces(good.size());
    const size_t chosen = random() % good.size();
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bytes = good[i];
      // Mostly near the beginning, where the numbers are.
      const size_t at =
          random() % (random() % 2 == 0 ? std::min<size_t>(bytes.size(), 80) : bytes.size());
      if (i == chosen) bytes[at] = static_cast<char>(random());
      if (i == chosen && random() % 4 == 0) bytes.resize(at);
      if (!pieces[i].ParseFromString(bytes)) pieces[i].Clear();
    }
    const Status received = Receive(objects, pieces);
    if (received.ok()) {
      ExpectHeld(objects);
    } else {
      EXPECT_EQ(received.error().code(), Code::kCorrupt) << received.error().message();
      ++faults;
    }
    ExpectNothingWrong();
  }
  EXPECT_GT(faults, 300u);
}

class HostileReceiverTest : public TransferTest {
 protected:
  Status Serve(std::vector<v1::TransferRequest> requests) {
    size_t next = 0;
    const SenderChannel channel = {[&](v1::TransferRequest* request) -> Result<bool> {
                                     if (next == requests.size()) return false;
                                     *request = requests[next++];
                                     return true;
                                   },
                                   [&](const v1::Piece& piece) -> Status {
                                     pieces_.push_back(piece);
                                     return Ok();
                                   }};
    pieces_.clear();
    return SendObjects(open_, channel, {}, cancel_, &sent_);
  }
  static v1::TransferRequest Wanting(const Digest& digest, uint64_t size, uint64_t offset = 0) {
    v1::TransferRequest request;
    v1::Want& want = *request.mutable_wants()->add_wants();
    want.set_digest(std::string(digest.bytes().begin(), digest.bytes().end()));
    want.set_size_bytes(size);
    want.set_offset(offset);
    return request;
  }
  void ExpectFault(const v1::TransferRequest& request) {
    const Status served = Serve({request});
    ASSERT_FALSE(served.ok());
    EXPECT_EQ(served.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(served.error().message(), HasSubstr("the receiver"));
    EXPECT_TRUE(pieces_.empty());
  }
  std::vector<v1::Piece> pieces_;
};

TEST_F(HostileReceiverTest, RequestsBeyondTheLimitsEndTheStream) {
  const std::string content = Noise(1, 3 << 20);
  const Digest digest = Give(content).digest;
  EXPECT_EQ(Serve({Wanting(digest, content.size(), 1 << 20)}).error().code(), Code::kUnavailable);
  EXPECT_EQ(pieces_.size(), 2u);
  ExpectFault(Wanting(digest, content.size(), 1));
  ExpectFault(Wanting(digest, content.size(), 3 << 20));
  ExpectFault(Wanting(digest, content.size(), ~0ull << 20));
  ExpectFault(Wanting(digest, ~0ull));
  ExpectFault(v1::TransferRequest());
  v1::TransferRequest request = Wanting(digest, content.size());
  request.mutable_wants()->mutable_wants(0)->set_digest("short");
  ExpectFault(request);
  request = Wanting(digest, content.size());
  request.mutable_wants()->mutable_wants(0)->set_base("short");
  ExpectFault(request);
  request.Clear();
  for (size_t i = 0; i <= kWantsPerMessageMax; ++i) request.mutable_wants()->add_wants();
  ExpectFault(request);
}

}  // namespace
}  // namespace strata::imaged::transfer::testing
