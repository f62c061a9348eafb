#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/unit/transfer/transfer_fixture.h"

namespace strata::imaged::transfer::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(TransferTest, SmallObjectsGoTogether) {
  std::vector<WantedObject> objects;
  for (uint64_t i = 0; i < 500; ++i) objects.push_back(Give(Text(i, 1000 + i * 7)));
  ASSERT_TRUE(Transfer(objects).ok());
  ExpectHeld(objects);
  EXPECT_LE(Pieces(v1::Piece::kBundle), 3u);
  EXPECT_EQ(report_.objects, 500u);
  EXPECT_EQ(sent_.wants, 500u);
}

TEST_F(TransferTest, SmallObjectsWithBasesCostTheirDifference) {
  std::vector<WantedObject> objects;
  for (uint64_t i = 0; i < 100; ++i) {
    const std::string old = Noise(i, 20'000);
    objects.push_back(Give(Edited(old, i), Share(old)));
  }
  ASSERT_TRUE(Transfer(objects).ok());
  ExpectHeld(objects);
  EXPECT_LT(WireBytes(), 10'000u);  // Of 2 MB.
}

TEST_F(TransferTest, AnObjectWithABaseCostsItsDifference) {
  const std::string old = Noise(1, 3 << 20);
  const WantedObject object = Give(Edited(old, 2), Share(old));
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
  EXPECT_EQ(Pieces(v1::Piece::kDelta), 1u);
  EXPECT_LT(WireBytes(), 2'000u);
}

TEST_F(TransferTest, DeltasOfSegmentsFindContentThatMoved) {
  const std::string old = Noise(1, 70 << 20);
  const std::string shifted = Noise(2, 5 << 20) + old;
  const WantedObject object = Give(shifted, Share(old));
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
  EXPECT_EQ(Pieces(v1::Piece::kDelta), 3u);
  EXPECT_GT(WireBytes(), uint64_t{5} << 20);
  EXPECT_LT(WireBytes(), uint64_t{6} << 20);
}

TEST_F(TransferTest, AnObjectWithoutABaseGoesAsFrames) {
  const std::vector<WantedObject> objects = {Give(Noise(1, (5 << 20) + 1)), Give(Noise(2, 70'000)),
                                             Give(Text(3, 1 << 20))};
  ASSERT_TRUE(Transfer(objects).ok());
  ExpectHeld(objects);
  EXPECT_EQ(Pieces(v1::Piece::kFrame), 8u);
}

TEST_F(TransferTest, ABaseThatDoesNotHelpIsNotUsed) {
  const WantedObject object = Give(Noise(1, 2 << 20), Share(Noise(2, 2 << 20)));
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
  EXPECT_EQ(Pieces(v1::Piece::kDelta), 0u);
  EXPECT_EQ(Pieces(v1::Piece::kFrame), 2u);
}

TEST_F(TransferTest, ABaseThatTheSenderMayNotUseOrDoesNotHaveIsNotUsed) {
  const std::string old = Noise(1, 200'000);
  const WantedObject secret = Give(Edited(old, 1), Share(old));
  open_ = [&](const Digest& digest) -> Result<UniqueFd> {
    if (digest == *secret.base) return Error(Code::kNotFound, "may not be read");
    return sender_->OpenObject(digest);
  };
  const std::string own = Noise(2, 200'000);
  const WantedObject unknown = Give(Edited(own, 1), Put(*receiver_, own));
  ASSERT_TRUE(Transfer({secret, unknown}).ok());
  ExpectHeld({secret, unknown});
  EXPECT_EQ(Pieces(v1::Piece::kDelta), 0u);
}

TEST_F(TransferTest, ABaseThatTheReceiverDoesNotHaveIsNotNamed) {
  const std::string old = Noise(1, 200'000);
  const WantedObject object = Give(Edited(old, 1), Put(*sender_, old));
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
}

TEST_F(TransferTest, HolesStayHoles) {
  const WantedObject object = Give(Noise(1, 1 << 20) + std::string(63 << 20, '\0'));
  ASSERT_TRUE(Transfer({object}).ok());
  ExpectHeld({object});
  struct stat st;
  ASSERT_EQ(::stat(receiver_->PathOf(object.digest).c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 64 << 20);
  EXPECT_LT(st.st_blocks * 512, 2 << 20);
  EXPECT_EQ(st.st_mode & 07777, 0444u);
}

TEST_F(TransferTest, WhatTheSenderCannotGiveIsToldAndTheRestArrives) {
  const WantedObject there = Give(Text(1, 5000));
  const WantedObject absent = {Hasher::Of("absent"), 100, std::nullopt};
  WantedObject other_size = Give(Text(2, 100'000));
  --other_size.size_bytes;
  ASSERT_TRUE(Transfer({absent, there, other_size}).ok());
  ExpectHeld({there});
  ASSERT_EQ(report_.refused.size(), 2u);
  EXPECT_EQ(report_.refused[0].digest, absent.digest);
  EXPECT_EQ(report_.refused[0].reason, v1::Refused::NOT_FOUND);
  EXPECT_EQ(report_.refused[1].digest, other_size.digest);
  EXPECT_EQ(report_.refused[1].reason, v1::Refused::OTHER_SIZE);
  EXPECT_FALSE(receiver_->Has(other_size.digest));
}

TEST_F(TransferTest, WhatIsHereIsNotAskedForAndNothingTwice) {
  const std::string here = Text(1, 5000);
  const WantedObject held = {Share(here), here.size(), std::nullopt};
  const WantedObject object = Give(Text(2, 5000));
  ASSERT_TRUE(Transfer({held, object, object, held}).ok());
  EXPECT_EQ(sent_.wants, 1u);
  ASSERT_TRUE(Transfer({}).ok());
  EXPECT_EQ(sent_.wants, 0u);
}

TEST_F(TransferTest, ManyObjectsPassThroughTheWindow) {
  std::vector<WantedObject> objects;
  {
    const auto ingest = std::move(*sender_->StartIngest());
    for (uint64_t i = 0; i < 10'000; ++i) {
      const std::string content = "object " + std::to_string(i);
      objects.push_back({*ingest->Add(content), content.size(), std::nullopt});
    }
    ASSERT_TRUE(ingest->Commit().ok());
  }
  ASSERT_TRUE(Transfer(objects).ok());
  EXPECT_EQ(report_.objects, 10'000u);
  ExpectNothingWrong();
}

TEST_F(TransferTest, ObjectsMadeWithADamagedBaseAreAskedForAgain) {
  std::vector<WantedObject> objects;
  for (const size_t size : {20'000, 30'000, 300'000, 6'000'000}) {
    const std::string old = Noise(size, size);
    objects.push_back(Give(Edited(old, 1), Share(old)));
  }
  for (const size_t damaged : {1, 2, 3}) {
    const std::string path = receiver_->PathOf(*objects[damaged].base);
    const UniqueFd fd = std::move(*Open(path, O_WRONLY));
    ASSERT_TRUE(PWriteAll(fd.get(), std::string(5000, 'd'), 10'000).ok());
  }
  const Status received = Transfer(objects);
  ASSERT_TRUE(received.ok()) << received.error().message();
  ExpectHeld(objects);
  EXPECT_EQ(sent_.wants, 8u);  // Both small ones were in one bundle.
}

TEST_F(TransferTest, TheLastProgressIsTheWhole) {
  const std::string old = Noise(1, 300'000);
  const std::vector<WantedObject> objects = {Give(Text(1, 5000)), Give(Noise(2, 6 << 20)),
                                             Give(Edited(old, 1), Share(old))};
  TransferProgress last;
  ReceiveOptions options;
  options.progress = [&](const TransferProgress& progress) {
    EXPECT_GE(progress.plain_bytes, last.plain_bytes);
    last = progress;
  };
  ASSERT_TRUE(Transfer(objects, {}, options).ok());
  EXPECT_EQ(last.objects, 3u);
  EXPECT_EQ(last.objects_total, 3u);
  EXPECT_EQ(last.plain_bytes, last.plain_bytes_total);
  EXPECT_EQ(last.plain_bytes, 5000u + (6 << 20) + 300'001);
  EXPECT_EQ(sent_.wire_bytes, report_.wire_bytes_received);
}

TEST_F(TransferTest, ACancelledTransferEndsAndKeepsWhatItHas) {
  const std::vector<WantedObject> objects = {Give(Text(1, 5000)), Give(Noise(2, 20 << 20))};
  const Status received = Transfer(objects, [&](size_t index, v1::Piece*) {
    if (index == 5) cancel_.Cancel();
    return true;
  });
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code(), Code::kCancelled);
  ExpectHeld({objects[0]});
  EXPECT_FALSE(receiver_->Has(objects[1].digest));
}

TEST_F(TransferTest, AnErrorOfSendingIsTheAnswer) {
  const WantedObject object = Give(Text(1, 5000));
  MemoryStream stream;
  ReceiverChannel channel = stream.ForReceiver();
  channel.send = [](const v1::TransferRequest&) -> Status {
    return Error(Code::kPermissionDenied, "not yours");
  };
  const Status received =
      ReceiveObjects(*receiver_, *partial_files_, {object}, channel, {}, cancel_, &report_);
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code(), Code::kPermissionDenied);
}

// Random objects of all sizes, with and without bases of all degrees of likeness, some missing.
class TransferPropertyTest : public TransferTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  std::string Content(std::mt19937_64* random) {
    static constexpr size_t kSizes[] = {1,       600,       65'535,  65'536,   200'000,
                                        1 << 20, 1'048'577, 4 << 20, 5'000'000};
    const size_t size =
        (*random)() % 3 == 0 ? kSizes[(*random)() % std::size(kSizes)] : 1 + (*random)() % 100'000;
    return (*random)() % 2 == 0 ? Noise((*random)(), size) : Text((*random)(), size);
  }
};

TEST_P(TransferPropertyTest, EveryObjectArrivesOrIsRefused) {
  std::mt19937_64 random(GetParam());
  send_options_.level = static_cast<int>(random() % 6);
  std::vector<WantedObject> objects;
  size_t absent = 0;
  for (int i = 0; i < 60; ++i) {
    const std::string content = Content(&random);
    switch (random() % 5) {
      case 0:
        objects.push_back({Hasher::Of(content), content.size(), std::nullopt});
        ++absent;
        break;
      case 1:
        objects.push_back(Give(content, Share(Content(&random))));
        break;
      case 2:
        objects.push_back(Give(content));
        break;
      default:
        objects.push_back(
            Give(Edited(content, random(), static_cast<int>(random() % 2000)), Share(content)));
    }
  }
  const Status received = Transfer(objects);
  ASSERT_TRUE(received.ok()) << received.error().message();
  EXPECT_TRUE(sending_.ok());
  EXPECT_EQ(report_.refused.size(), absent);
  for (const auto& refused : report_.refused) {
    std::erase_if(objects, [&](const auto& each) { return each.digest == refused.digest; });
  }
  ExpectHeld(objects);
  EXPECT_TRUE(std::filesystem::is_empty(receiver_->root() + "/partial"));
  EXPECT_TRUE(std::filesystem::is_empty(receiver_->root() + "/staging"));
}

INSTANTIATE_TEST_SUITE_P(Seeds, TransferPropertyTest, ::testing::Range<uint64_t>(0, 12));

}  // namespace
}  // namespace strata::imaged::transfer::testing
