#include "imaged/oci/blob_stream.h"

#include <chrono>
#include <exception>

namespace strata::imaged::oci {
namespace {

// Smaller pieces are joined: a lock for each costs more than the copy.
constexpr size_t kPieceBytes = 256 * 1024;
// Between two looks at the caller's token while nothing comes.
constexpr std::chrono::milliseconds kLook{50};

}  // namespace

BlobStream::BlobStream(BlobSource& source, const Descriptor& blob, const CancelToken& cancel)
    : source_(source), blob_(blob), caller_cancel_(cancel), thread_([this] { Produce(); }) {}

BlobStream::~BlobStream() {
  cancel_.Cancel();
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BlobStream::Produce() {
  Status status = Ok();
  try {
    uint64_t given = 0;
    status = source_.Read(
        blob_,
        [&](std::string_view data) -> Status {
          if (data.size() > blob_.size - given) {
            return Error(Code::kCorrupt, "it is longer than its descriptor says");
          }
          given += data.size();
          return Take(data);
        },
        cancel_);
  } catch (const std::exception& e) {
    status = Error(Code::kInternal, e.what());
  }
  const std::lock_guard lock(mutex_);
  if (!status.ok()) error_ = status.error();
  done_ = true;
  changed_.notify_all();
}

Status BlobStream::Take(std::string_view data) {
  if (data.empty()) return Ok();  // An empty piece is the end.
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_bytes_ < kBytesInFlight || abandoned_; });
  if (abandoned_) return Error(Code::kCancelled, "the reader of the blob gave up");
  if (!pieces_.empty() && pieces_.back().size() + data.size() <= kPieceBytes) {
    pieces_.back() += data;
  } else {
    pieces_.emplace_back(data);
  }
  waiting_bytes_ += data.size();
  changed_.notify_all();
  return Ok();
}

// The next piece; empty at the end.
Result<std::string> BlobStream::Pop() {
  std::unique_lock lock(mutex_);
  while (pieces_.empty() && !done_) {
    changed_.wait_for(lock, kLook);
    RETURN_IF_ERROR(caller_cancel_.Check());
  }
  if (pieces_.empty()) {
    if (error_) return *error_;
    return std::string();
  }
  std::string piece = std::move(pieces_.front());
  pieces_.pop_front();
  waiting_bytes_ -= piece.size();
  changed_.notify_all();
  return piece;
}

Result<std::string_view> BlobStream::Next() {
  if (end_) return *end_;
  auto piece = Pop();
  if (!piece.ok()) {
    end_ = piece.error().Wrap(blob_.digest.ToString());
    return *end_;
  }
  current_ = std::move(*piece);
  if (!current_.empty()) {
    hasher_.Update(current_);
    bytes_ += current_.size();
    return std::string_view(current_);
  }
  const Sha256Digest found = hasher_.Finish();
  if (bytes_ != blob_.size) {
    end_ = Error(Code::kCorrupt, blob_.digest.ToString() + ": it has " + std::to_string(bytes_) +
                                     " bytes, its descriptor says " + std::to_string(blob_.size));
  } else if (found != blob_.digest) {
    end_ = Error(Code::kCorrupt,
                 blob_.digest.ToString() + ": what came has the digest " + found.ToString());
  } else {
    end_ = std::string_view();
  }
  return *end_;
}

}  // namespace strata::imaged::oci
