#include "imaged/transfer/receiver.h"

#include <sys/stat.h>

#include <memory>
#include <unordered_set>
#include <utility>

#include "imaged/transfer/limits.h"
#include "imaged/transfer/object_group.h"
#include "imaged/transfer/request_writer.h"
#include "imaged/transfer/want_queue.h"

namespace strata::imaged::transfer {
namespace {

// Objects are cut for comparison up to so many bytes per byte that may come in chunks: cutting is
// about ten times as fast as a Gbit/s, and what was cut is known the next time.
constexpr uint64_t kCutBytesPerWanted = 4;

std::vector<WantedObject> Missing(const ObjectStore& store, std::vector<WantedObject> objects) {
  std::unordered_set<Digest, DigestHash> seen;
  std::erase_if(objects, [&](const WantedObject& object) {
    return !seen.insert(object.digest).second || store.Has(object.digest);
  });
  return objects;
}

class Receiver {
 public:
  Receiver(ObjectStore& store, PartialFiles& partial_files, std::vector<WantedObject> objects,
           const ReceiverChannel& channel, const ReceiveOptions& options, const CancelToken& cancel,
           ReceiveReport* report)
      : store_(store),
        partial_files_(partial_files),
        channel_(channel),
        options_(options),
        cancel_(cancel),
        report_(report),
        chunkable_bytes_(Sum(objects, MayComeInChunks)),
        progress_(objects.size(), Sum(objects), *options.clock),
        wants_(std::move(objects), [this](const WantedObject& each) { return Prepare(each); }),
        group_(store, *options.clock, options.group, options.arrivals),
        pieces_({store, partial_files, wants_, group_, progress_, options.arrivals}) {}

  Status Run() {
    Status received = Ok();
    {
      RequestWriter writer(channel_.send, channel_.cancel);
      received = Exchange(&writer);
      // The stream's own answer to a failed send says less than the send's.
      if (!received.ok() && !writer.status().ok()) received = writer.status();
      if (!received.ok()) channel_.cancel();
      report_->wire_bytes_sent = writer.bytes_sent();
    }
    const Status committed = group_.Commit();
    report_->objects = group_.objects();
    report_->refused = pieces_.refused();
    if (options_.progress) options_.progress(progress_.Look());
    RETURN_IF_ERROR(std::move(received));
    return committed;
  }

 private:
  static uint64_t Sum(const std::vector<WantedObject>& objects,
                      bool (*counts)(const WantedObject&) = nullptr) {
    uint64_t sum = 0;
    for (const WantedObject& object : objects) {
      if (counts == nullptr || counts(object)) sum += object.size_bytes;
    }
    return sum;
  }

  // Whether there are chunks to compare with. The lists are read when the first object needs them.
  Result<bool> HasChunks() {
    if (options_.chunks == nullptr) return false;
    if (!std::exchange(chunks_loaded_, true)) {
      RETURN_IF_ERROR(options_.chunks->Load(kCutBytesPerWanted * chunkable_bytes_, cancel_, [this] {
        if (options_.progress) options_.progress(progress_.Look());
      }));
    }
    return !options_.chunks->empty();
  }

  Result<Outstanding> Prepare(const WantedObject& object) {
    Outstanding outstanding;
    outstanding.object = object;
    if (object.base) {
      const auto fd = store_.OpenObject(*object.base);
      struct stat st;
      if (fd.ok() && ::fstat(fd->get(), &st) == 0) {
        outstanding.base_bytes = static_cast<uint64_t>(st.st_size);
      } else {
        outstanding.object.base.reset();
      }
    }
    outstanding.grouped = options_.arrivals != nullptr && object.size_bytes >= kGroupedBytesMin &&
                          object.size_bytes <= kGroupedBytesMax;
    if (object.size_bytes >= kPartialBytesMin || outstanding.grouped) {
      ASSIGN_OR_RETURN(outstanding.partial,
                       partial_files_.Resume(object.digest, object.size_bytes));
    }
    if (MayComeInChunks(outstanding.object)) {
      ASSIGN_OR_RETURN(const bool chunks, HasChunks());
      if (chunks) {
        outstanding.plan = std::make_unique<ChunkPlan>(*options_.chunks, object.size_bytes);
      }
    }
    if (outstanding.partial != nullptr) {
      report_->resumed_bytes += outstanding.partial->size();
      progress_.AddPlain(outstanding.partial->size());
    }
    return outstanding;
  }

  void Post(v1::TransferRequest request, RequestWriter* writer) {
    progress_.AddWire(request.ByteSizeLong());
    writer->Post(std::move(request));
  }

  Status PostWants(RequestWriter* writer) {
    while (true) {
      ASSIGN_OR_RETURN(auto wants, wants_.Next());
      if (!wants) break;
      v1::TransferRequest request;
      request.mutable_wants()->Swap(&*wants);
      Post(std::move(request), writer);
    }
    if (!wants_.Done() || end_posted_) return Ok();
    end_posted_ = true;
    v1::TransferRequest request;
    request.set_end(true);
    writer->Post(std::move(request));
    return Ok();
  }

  Status Exchange(RequestWriter* writer) {
    v1::Piece piece;
    while (!pieces_.ended()) {
      RETURN_IF_ERROR(cancel_.Check());
      RETURN_IF_ERROR(PostWants(writer));
      piece.Clear();
      ASSIGN_OR_RETURN(const bool more, channel_.receive(&piece));
      RETURN_IF_ERROR(cancel_.Check());
      if (!more) return Error(Code::kUnavailable, "the sender broke the transfer off");
      const uint64_t size = piece.ByteSizeLong();
      ++report_->pieces;
      report_->wire_bytes_received += size;
      progress_.AddWire(size);
      if (options_.limiter != nullptr) RETURN_IF_ERROR(options_.limiter->Take(size, cancel_));
      RETURN_IF_ERROR(pieces_.Take(piece));
      for (v1::TransferRequest& request : pieces_.TakeRequests()) Post(std::move(request), writer);
      RETURN_IF_ERROR(group_.CommitIfDue());
      if (options_.progress) options_.progress(progress_.Look());
    }
    return writer->Drain();
  }

  ObjectStore& store_;
  PartialFiles& partial_files_;
  const ReceiverChannel& channel_;
  const ReceiveOptions& options_;
  const CancelToken& cancel_;
  ReceiveReport* const report_;
  const uint64_t chunkable_bytes_;
  bool chunks_loaded_ = false;
  ProgressMeter progress_;
  WantQueue wants_;
  ObjectGroup group_;
  PieceReceiver pieces_;
  bool end_posted_ = false;
};

}  // namespace

bool MayComeInChunks(const WantedObject& object) {
  return !object.base && !object.whole && object.size_bytes >= kChunkedBytesMin &&
         object.size_bytes <= kChunkedBytesMax;
}

Status ReceiveObjects(ObjectStore& store, PartialFiles& partial_files,
                      std::vector<WantedObject> objects, const ReceiverChannel& channel,
                      const ReceiveOptions& options, const CancelToken& cancel,
                      ReceiveReport* report) {
  *report = {};
  ObjectStore::Claims claims(store);  // Bases stay.
  for (WantedObject& object : objects) {
    if (object.base && !claims.Add(*object.base)) object.base.reset();
  }
  return Receiver(store, partial_files, Missing(store, std::move(objects)), channel, options,
                  cancel, report)
      .Run();
}

}  // namespace strata::imaged::transfer
