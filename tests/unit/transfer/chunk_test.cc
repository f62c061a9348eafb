// Large objects without a base come in chunks: what other objects here have of them is not sent.
#include "imaged/chunks/chunk_lists.h"
#include "tests/unit/transfer/transfer_fixture.h"

namespace strata::imaged::transfer::testing {
namespace {

using ::testing::HasSubstr;

class ChunkTest : public TransferTest {
 protected:
  ChunkTest()
      : sender_lists_(std::move(*ChunkLists::Open(*sender_))),
        receiver_lists_(std::move(*ChunkLists::Open(*receiver_))) {
    send_options_.chunk_lists = sender_lists_.get();
  }

  // The receiver has it, and may look for chunks in it.
  void Hold(std::string_view content) {
    held_.push_back({Put(*receiver_, content), content.size()});
  }
  Status TransferChunks(std::vector<WantedObject> objects, const PieceHook& hook = {}) {
    ChunkIndex index(*receiver_, *receiver_lists_, held_);
    ReceiveOptions options;
    options.chunks = &index;
    return Transfer(std::move(objects), hook, options);
  }
  void ExpectFault(const WantedObject& object, const std::function<void(v1::ChunkList*)>& change,
                   const std::string& what) {
    const Status received = TransferChunks({object}, [&](size_t, v1::Piece* piece) {
      if (piece->has_chunk_list()) change(piece->mutable_chunk_list());
      return true;
    });
    ASSERT_FALSE(received.ok()) << what;
    EXPECT_EQ(received.error().code(), Code::kCorrupt);
    EXPECT_THAT(received.error().message(), HasSubstr(what));
    EXPECT_FALSE(receiver_->Has(object.digest));
  }

  const std::unique_ptr<ChunkLists> sender_lists_;
  const std::unique_ptr<ChunkLists> receiver_lists_;
  std::vector<ChunkIndex::Held> held_;
};

TEST_F(ChunkTest, WhatIsHereElsewhereIsNotSent) {
  const std::string one = Noise(1, 12 << 20);
  const std::string other = Noise(2, 8 << 20);
  Hold(one);
  Hold(other);
  const WantedObject object = Give(Noise(3, 700'000) + one.substr(6 << 20) + Noise(4, 300'000) +
                                   other + one.substr(0, 3 << 20));
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_GT(WireBytes(), 1'000'000u);
  EXPECT_LT(WireBytes(), 1'000'000u + 6 * kChunkBytesMax);
  EXPECT_EQ(Pieces(v1::Piece::kChunkList), 1u);
  EXPECT_EQ(sent_.wants, 1u);
}

TEST_F(ChunkTest, AnObjectThatIsHereInPartsComesWithoutItsBytes) {
  const std::string content = Noise(1, 12 << 20);
  size_t end = 0;  // Of a chunk, so that nothing but whole chunks is wanted.
  while (end < 6 << 20) end += FirstChunkBytes(std::string_view(content).substr(end));
  Hold(content);
  const WantedObject object = Give(content.substr(0, end));
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_LT(WireBytes(), 5'000u);
  EXPECT_EQ(Pieces(v1::Piece::kFrame), 0u);
}

TEST_F(ChunkTest, ChunksThatAreNowhereCostTheirList) {
  Hold(Noise(1, 8 << 20));
  const WantedObject object = Give(Noise(2, 64 << 20));
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_LT(WireBytes(), object.size_bytes + object.size_bytes / 2000);
  EXPECT_EQ(Pieces(v1::Piece::kFrame), 64u);
}

// `old` with a byte changed in every 300 kB.
std::string Scattered(std::string old) {
  for (size_t i = 100'000; i < old.size(); i += 300'000) ++old[i];
  return old;
}

TEST_F(ChunkTest, ChangedChunksComeAsDeltasAgainstWhatLiesInTheirPlace) {
  const std::string old = Noise(1, 12 << 20);
  Hold(old);
  const std::string fresh = Noise(2, 200'000) + Scattered(old) + Noise(3, 100'000);
  const WantedObject object = Give(fresh);
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_GT(WireBytes(), 3'000'000u) << "the sender does not have it";
  EXPECT_EQ(Pieces(v1::Piece::kDelta), 0u);

  Put(*sender_, old);
  ASSERT_EQ(::unlink(receiver_->PathOf(object.digest).c_str()), 0);
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_LT(WireBytes(), 320'000u);
  EXPECT_GE(Pieces(v1::Piece::kDelta), 40u);
}

TEST_F(ChunkTest, ADeltaOfARangeIsAgainstWhatWasNamed) {
  const std::string old = Noise(1, 8 << 20);
  Hold(old);
  Put(*sender_, old);
  const WantedObject object = Give(Scattered(old));
  const std::vector<std::function<void(v1::Delta*)>> changes = {
      [](auto* delta) { delta->set_base_offset(delta->base_offset() + 1); },
      [](auto* delta) { delta->set_base_bytes(delta->base_bytes() - 1); },
      [](auto* delta) { delta->set_plain_bytes(delta->plain_bytes() - 1); }};
  for (const auto& change : changes) {
    const Status received = TransferChunks({object}, [&](size_t, v1::Piece* piece) {
      if (piece->has_delta()) change(piece->mutable_delta());
      return true;
    });
    ASSERT_FALSE(received.ok());
    EXPECT_EQ(received.error().code(), Code::kCorrupt);
    EXPECT_THAT(received.error().message(), HasSubstr("against something else than was named"));
  }
}

TEST_F(ChunkTest, ADeltaAgainstDamagedBytesLeadsToTheWholeObject) {
  const std::string old = Noise(1, 8 << 20);
  Hold(old);
  Put(*sender_, old);
  ASSERT_TRUE(TransferChunks({Give(old + "cuts what is held")}).ok());
  std::string damaged = old;
  damaged[100'010] ^= 1;  // Beside a change, so that no whole chunk of it is used.
  ASSERT_TRUE(WriteFileAtomically(receiver_->PathOf(held_[0].digest), damaged).ok());
  const WantedObject object = Give(Scattered(old));
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_GT(WireBytes(), object.size_bytes);
}

TEST_F(ChunkTest, OthersComeAsTheyDid) {
  const std::string here = Noise(1, 8 << 20);
  Hold(here);
  const WantedObject small = Give(here.substr(0, kChunkedBytesMin - 1));
  const WantedObject based = Give(Edited(here, 1), Share(here));
  ASSERT_TRUE(TransferChunks({small, based}).ok());
  ExpectHeld({small, based});
  EXPECT_EQ(Pieces(v1::Piece::kChunkList), 0u);

  const WantedObject large = Give(here + "more");
  held_.clear();
  ASSERT_TRUE(TransferChunks({large}).ok());
  ExpectHeld({large});
  EXPECT_EQ(Pieces(v1::Piece::kChunkList), 0u);
}

TEST_F(ChunkTest, ASenderNeedNotKnowChunks) {
  const std::string here = Noise(1, 8 << 20);
  Hold(here);
  send_options_.chunk_lists = nullptr;
  const WantedObject object = Give(here + "more");
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_EQ(Pieces(v1::Piece::kFrame), 9u);
}

TEST_F(ChunkTest, ABreakAtAnyMessageGoesOnWhereItWas) {
  const std::string here = Noise(1, 12 << 20);
  Hold(here);
  const WantedObject object = Give(here.substr(0, 5 << 20) + Noise(2, 2'500'000) +
                                   here.substr(5 << 20) + Noise(3, 100'000));
  ASSERT_TRUE(TransferChunks({object}).ok());
  const size_t pieces = kinds_.size();
  ASSERT_GE(pieces, 6u);
  uint64_t resumed = 0;
  for (size_t at = 0; at < pieces; ++at) {
    ASSERT_EQ(::unlink(receiver_->PathOf(object.digest).c_str()), 0);
    const Status broken =
        TransferChunks({object}, [&](size_t index, v1::Piece*) { return index != at; });
    // Nothing but the end of the stream may be missing.
    if (!receiver_->Has(object.digest)) {
      EXPECT_EQ(broken.error().code(), Code::kUnavailable) << at;
    }
    ASSERT_TRUE(TransferChunks({object}).ok()) << at;
    EXPECT_LT(WireBytes(), 2'600'000u + 4 * kChunkBytesMax) << at << ": what is here still helps";
    resumed += report_.resumed_bytes;
    ExpectHeld({object});
  }
  EXPECT_GT(resumed, uint64_t{20} << 20);
}

TEST_F(ChunkTest, AnObjectWhoseChunksAreDamagedHereComesWhole) {
  const std::string here = Noise(1, 8 << 20);
  Hold(here);
  ASSERT_TRUE(TransferChunks({Give(here + "cuts what is held")}).ok());
  std::string damaged = here;
  damaged[3 << 20] ^= 1;
  const std::string path = receiver_->PathOf(held_[0].digest);
  ASSERT_TRUE(WriteFileAtomically(path, damaged).ok());
  const WantedObject object = Give(Noise(2, 1 << 20) + here);
  ASSERT_TRUE(TransferChunks({object}).ok());
  ExpectHeld({object});
  EXPECT_GT(WireBytes(), object.size_bytes);

  // Gone, or cut short, is as good as damaged.
  ASSERT_TRUE(WriteFileAtomically(path, here.substr(0, 1 << 20)).ok());
  const WantedObject next = Give(Noise(3, 1 << 20) + here);
  ASSERT_TRUE(TransferChunks({next}).ok());
  ExpectHeld({next});
}

TEST_F(ChunkTest, AListThatLiesCostsBytesOnly) {
  const std::string here = Noise(1, 8 << 20);
  Hold(here);
  const WantedObject object = Give(Noise(2, 1 << 20) + here);
  ASSERT_TRUE(TransferChunks({object}, [](size_t, v1::Piece* piece) {
                if (!piece->has_chunk_list()) return true;
                v1::ChunkList& list = *piece->mutable_chunk_list();  // Two chunks change places.
                const int last = list.sizes_size() - 2;
                list.mutable_sizes()->SwapElements(last, last - 1);
                std::string* const ids = list.mutable_ids();
                const auto begin = ids->begin() + (last - 1) * 16;
                std::rotate(begin, begin + 16, begin + 32);
                return true;
              }).ok());
  ExpectHeld({object});
  EXPECT_GT(WireBytes(), object.size_bytes);
}

TEST_F(ChunkTest, ListsThatDoNotAddUpEndTheTransfer) {
  const std::string here = Noise(1, 8 << 20);
  Hold(here);
  const WantedObject object = Give(here + Noise(2, 1 << 20));
  ExpectFault(
      object, [](auto* list) { list->set_want(1); }, "a want that was not sent");
  ExpectFault(
      object, [](auto* list) { list->mutable_ids()->pop_back(); }, "malformed");
  ExpectFault(
      object, [](auto* list) { list->add_sizes(1); }, "malformed");
  ExpectFault(
      object, [](auto* list) { list->set_sizes(0, 0); }, "impossible sizes");
  ExpectFault(
      object, [](auto* list) { list->set_sizes(0, kChunkBytesMax + 1); }, "impossible sizes");
  ExpectFault(
      object, [](auto* list) { list->set_sizes(0, kChunkBytesMin - 1); }, "impossible sizes");
  ExpectFault(
      object,
      [](auto* list) {
        for (int i = 0; i < list->sizes_size(); ++i) list->set_sizes(i, kChunkBytesMax);
      },
      "impossible sizes");
  ExpectFault(
      object,
      [](auto* list) {
        list->mutable_sizes()->RemoveLast();
        list->mutable_ids()->resize(list->ids().size() - 16);
      },
      "not the whole object");
  ExpectFault(
      object,
      [](auto* list) {
        list->clear_sizes();
        list->clear_ids();
        list->set_last(false);
      },
      "does not go on");
  ExpectFault(
      object,
      [](auto* list) {
        while (static_cast<size_t>(list->sizes_size()) <= kChunksPerMessageMax) {
          list->add_sizes(kChunkBytesMin);
          list->mutable_ids()->append(16, 'x');
        }
      },
      "malformed");
}

TEST_F(ChunkTest, FramesKeepToTheRangesThatWereNamed) {
  const std::string here = Noise(1, 8 << 20);
  Hold(here);
  const WantedObject object = Give(here + Noise(2, 1 << 20));
  const auto expect = [&](const std::function<void(v1::Piece*)>& change, const std::string& what) {
    const Status received = TransferChunks({object}, [&](size_t, v1::Piece* piece) {
      if (piece->has_frame()) change(piece);
      return true;
    });
    ASSERT_FALSE(received.ok()) << what;
    EXPECT_EQ(received.error().code(), Code::kCorrupt);
    EXPECT_THAT(received.error().message(), HasSubstr(what));
  };
  expect([](v1::Piece* piece) { piece->mutable_frame()->set_offset(0); }, "instead of those from");
  expect([](v1::Piece* piece) { piece->mutable_frame()->set_plain_bytes(70'000); },
         "another size than it has to be");
  expect(
      [](v1::Piece* piece) {
        piece->mutable_chunk_list()->set_want(0);
        piece->mutable_chunk_list()->set_last(true);
      },
      "again");
}

TEST_F(ChunkTest, ChunksThatWereNotAskedForEndTheTransfer) {
  const WantedObject object = Give(Noise(1, 8 << 20));
  const Status received = TransferChunks({object}, [](size_t, v1::Piece* piece) {
    piece->mutable_chunk_list()->set_want(0);
    return true;
  });
  ASSERT_FALSE(received.ok());
  EXPECT_THAT(received.error().message(), HasSubstr("nobody asked for"));
}

class ChunkSenderTest : public ChunkTest {
 protected:
  // The sender's answer to a want of `object` in chunks and then to `ranges`.
  Status Serve(const WantedObject& object, const std::vector<v1::Ranges>& ranges) {
    std::vector<v1::TransferRequest> requests(1);
    v1::Want& want = *requests[0].mutable_wants()->add_wants();
    want.set_digest(std::string(object.digest.bytes().begin(), object.digest.bytes().end()));
    want.set_size_bytes(object.size_bytes);
    want.set_chunked(true);
    for (const v1::Ranges& each : ranges) *requests.emplace_back().mutable_ranges() = each;
    requests.emplace_back().set_end(true);
    size_t next = 0;
    const SenderChannel channel = {[&](v1::TransferRequest* request) -> Result<bool> {
                                     *request = requests[next++];
                                     return true;
                                   },
                                   [&](const v1::Piece& piece) -> Status {
                                     pieces_.push_back(piece);
                                     return Ok();
                                   }};
    pieces_.clear();
    return SendObjects(open_, channel, send_options_, cancel_, &sent_);
  }
  static v1::Ranges RangesOf(uint64_t want, std::vector<std::pair<uint64_t, uint64_t>> ranges) {
    v1::Ranges message;
    message.set_want(want);
    for (const auto& [offset, size] : ranges) {
      message.add_offsets(offset);
      message.add_sizes(size);
    }
    return message;
  }
  // With one base, of an object whose digest has so many bytes.
  static v1::Ranges Based(v1::Ranges ranges, uint32_t object, uint64_t offset, uint32_t size,
                          size_t digest_bytes) {
    v1::RangeBase& base = *ranges.add_bases();
    base.set_object(object);
    base.set_offset(offset);
    base.set_size(size);
    ranges.add_objects(std::string(digest_bytes, 'd'));
    return ranges;
  }
  std::vector<v1::Piece> pieces_;
};

TEST_F(ChunkSenderTest, RangesAreAnsweredOnceAndWithinTheObject) {
  const WantedObject object = Give(Noise(1, 8 << 20));
  const uint64_t size = object.size_bytes;
  ASSERT_TRUE(Serve(object, {RangesOf(0, {{5, 1}, {100, 3 << 20}})}).ok());
  ASSERT_EQ(pieces_.size(), 6u);  // List, 1 + 3 frames, end.
  EXPECT_EQ(pieces_[1].frame().plain_bytes(), 1u);
  EXPECT_EQ(pieces_[4].frame().offset(), 100u + (2 << 20));

  v1::Ranges odd = RangesOf(0, {{0, 10}});
  odd.add_offsets(20);
  const std::vector<std::vector<v1::Ranges>> faults = {
      {RangesOf(1, {{0, 10}})},
      {RangesOf(0, {}), RangesOf(0, {{0, 10}})},
      {RangesOf(0, {{0, 10}, {9, 10}})},
      {RangesOf(0, {{0, 0}})},
      {RangesOf(0, {{size, 1}})},
      {RangesOf(0, {{size - 1, 2}})},
      {RangesOf(0, {{size + 1, 1}})},
      {RangesOf(0, {{~0ull, 2}})},
      {odd},
      {Based(RangesOf(0, {{0, 10}}), 2, 0, 10, 32)},
      {Based(RangesOf(0, {{0, 10}}), 1, 0, 10, 31)},
      {Based(RangesOf(0, {{0, 10}}), 1, 0, (1 << 20) + 81, 32)},
      {Based(RangesOf(0, {{0, 10}}), 1, ~0ull, 10, 32)},
      {Based(RangesOf(0, {{0, 10}, {20, 10}}), 1, 0, 10, 32)},
      {RangesOf(0, std::vector<std::pair<uint64_t, uint64_t>>(kRangesMax + 1, {0, 1}))},
  };
  for (size_t i = 0; i < faults.size(); ++i) {
    const Status served = Serve(object, faults[i]);
    ASSERT_FALSE(served.ok()) << i;
    EXPECT_EQ(served.error().code(), Code::kInvalidArgument) << i;
    EXPECT_THAT(served.error().message(), HasSubstr("the receiver")) << i;
  }
}

TEST_F(ChunkSenderTest, AnObjectThatIsGoneBeforeItsRangesIsRefused) {
  const WantedObject object = Give(Noise(1, 8 << 20));
  int opened = 0;
  open_ = [&](const Digest& digest) -> Result<UniqueFd> {
    if (++opened == 2) return Error(Code::kNotFound, "gone");
    return sender_->OpenObject(digest);
  };
  ASSERT_TRUE(Serve(object, {RangesOf(0, {{0, 10}})}).ok());
  ASSERT_EQ(pieces_.size(), 3u);
  EXPECT_EQ(pieces_[1].refused().reason(), v1::Refused::NOT_FOUND);
}

}  // namespace
}  // namespace strata::imaged::transfer::testing
