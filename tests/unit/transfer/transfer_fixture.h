// Two stores in memory and a transfer between them, which a test may look into and break.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/file_io.h"
#include "imaged/transfer/limits.h"
#include "imaged/transfer/receiver.h"
#include "imaged/transfer/sender.h"
#include "tests/unit/transfer/memory_stream.h"

namespace strata::imaged::transfer::testing {

// Bytes that do not compress.
inline std::string Noise(uint64_t seed, size_t size) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Bytes that compress to about a half.
inline std::string Text(uint64_t seed, size_t size) {
  std::string bytes = Noise(seed, size);
  for (char& byte : bytes) byte = static_cast<char>('a' + (byte & 15));
  return bytes;
}

// The same with `edits` bytes changed and one inserted.
inline std::string Edited(std::string bytes, uint64_t seed, int edits = 3) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < edits; ++i) ++bytes[random() % bytes.size()];
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random() % bytes.size()), 'X');
  return bytes;
}

class TransferTest : public ::testing::Test {
 protected:
  TransferTest()
      : directory_(std::move(*TemporaryDirectory::Create("/dev/shm", "strata-transfer-test."))) {
    sender_ = std::move(*ObjectStore::Open(directory_.path() + "/sender"));
    OpenReceiver();
  }

  void OpenReceiver(const PartialLimits& limits = {}) {
    partial_files_.reset();
    receiver_.reset();
    receiver_ = std::move(*ObjectStore::Open(directory_.path() + "/receiver"));
    partial_files_ = std::move(*PartialFiles::Open(receiver_->root(), limits));
  }

  static Digest Put(ObjectStore& store, std::string_view content) {
    const auto ingest = std::move(*store.StartIngest());
    const Digest digest = *ingest->Add(content);
    EXPECT_TRUE(ingest->Commit().ok());
    return digest;
  }
  // The sender has it.
  WantedObject Give(std::string_view content, std::optional<Digest> base = std::nullopt) {
    return {Put(*sender_, content), content.size(), base};
  }
  // Both have it.
  Digest Share(std::string_view content) {
    Put(*sender_, content);
    return Put(*receiver_, content);
  }

  // Sees every piece before the receiver does, and may change it. False breaks the stream.
  using PieceHook = std::function<bool(size_t index, v1::Piece*)>;

  Status Transfer(std::vector<WantedObject> objects, const PieceHook& hook = {},
                  const ReceiveOptions& options = {}) {
    MemoryStream stream;
    std::thread sender([&] {
      sending_ = SendObjects(open_, stream.ForSender(), send_options_, cancel_, &sent_);
      if (!sending_.ok()) stream.Close();
    });
    ReceiverChannel channel = stream.ForReceiver();
    size_t index = 0;
    channel.receive = [&, receive = channel.receive](v1::Piece* piece) -> Result<bool> {
      ASSIGN_OR_RETURN(const bool more, receive(piece));
      if (!more) return false;
      kinds_.push_back(piece->kind_case());
      return !hook || hook(index++, piece);
    };
    kinds_.clear();
    const Status received = ReceiveObjects(*receiver_, *partial_files_, std::move(objects), channel,
                                           options, cancel_, &report_);
    stream.Close();
    sender.join();
    return received;
  }

  uint64_t WireBytes() const { return report_.wire_bytes_received; }
  size_t Pieces(v1::Piece::KindCase kind) const {
    return static_cast<size_t>(std::count(kinds_.begin(), kinds_.end(), kind));
  }
  void ExpectHeld(const std::vector<WantedObject>& objects) {
    for (const WantedObject& object : objects) {
      EXPECT_TRUE(receiver_->Verify(object.digest).ok()) << object.digest.ToString();
    }
  }
  // No object of the receiver has other bytes than its name says.
  void ExpectNothingWrong() {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(receiver_->objects_dir())) {
      if (!entry.is_regular_file()) continue;
      const std::string path = entry.path().string();
      const auto digest =
          Digest::FromHex(path.substr(path.size() - 65, 2) + path.substr(path.size() - 62));
      ASSERT_TRUE(digest.ok()) << path;
      EXPECT_TRUE(receiver_->Verify(*digest).ok()) << path;
    }
  }
  static uint64_t FileBytesBelow(const std::string& directory) {
    uint64_t sum = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) sum += entry.file_size();
    }
    return sum;
  }
  std::string PartialPath(const WantedObject& object) const {
    return receiver_->root() + "/partial/" + object.digest.Hex();
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<ObjectStore> sender_;
  std::unique_ptr<ObjectStore> receiver_;
  std::unique_ptr<PartialFiles> partial_files_;
  OpenObject open_ = [this](const Digest& digest) { return sender_->OpenObject(digest); };
  SendOptions send_options_;
  CancelToken cancel_;
  Status sending_ = Ok();
  SendReport sent_;
  ReceiveReport report_;
  std::vector<v1::Piece::KindCase> kinds_;
};

}  // namespace strata::imaged::transfer::testing
