#include "imaged/transfer/piece_receiver.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "common/log.h"
#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {
namespace {

Error Fault(const std::string& what) { return Error(Code::kCorrupt, "the sender " + what); }

Status AppendRange(int fd, uint64_t offset, uint64_t size, std::string* to) {
  const size_t before = to->size();
  to->resize(before + size);
  return PReadExactly(fd, to->data() + before, size, offset);
}

}  // namespace

Status PieceReceiver::Take(const v1::Piece& piece) {
  if (ended_) return Fault("goes on after its end");
  if (delta_ && piece.kind_case() != v1::Piece::kDeltaPart &&
      piece.kind_case() != v1::Piece::kRefused) {
    return Fault("sent something else in the middle of a delta");
  }
  switch (piece.kind_case()) {
    case v1::Piece::kBundle:
      return TakeBundle(piece.bundle());
    case v1::Piece::kFrame:
      return TakeFrame(piece.frame());
    case v1::Piece::kDelta:
      return TakeDelta(piece.delta());
    case v1::Piece::kDeltaPart:
      return TakeDeltaPart(piece.delta_part().data());
    case v1::Piece::kRefused:
      return TakeRefused(piece.refused());
    case v1::Piece::kChunkList:
      return TakeChunkList(piece.chunk_list());
    case v1::Piece::kGroups:
      return TakeGroups(piece.groups());
    case v1::Piece::kEnd:
      if (!parts_.wants.Done()) return Fault("ended before it had answered everything");
      ended_ = true;
      return Ok();
    case v1::Piece::KIND_NOT_SET:
      break;
  }
  return Fault("sent an unknown piece");
}

Status PieceReceiver::TakeBundle(const v1::Bundle& bundle) {
  if (current_ != nullptr) return Fault("sent a bundle in the middle of an object");
  if (bundle.wants_size() == 0 || static_cast<size_t>(bundle.wants_size()) > kWantsPerMessageMax) {
    return Fault("sent a bundle of " + std::to_string(bundle.wants_size()) + " objects");
  }
  if (bundle.frame().size() > kEncodedBytesMax) return Fault("sent a bundle that is too large");
  std::vector<Outstanding*> wanted;
  std::unordered_set<uint64_t> numbers;
  uint64_t size = 0;
  for (const uint64_t number : bundle.wants()) {
    ASSIGN_OR_RETURN(Outstanding* const outstanding, parts_.wants.Find(number));
    if (!numbers.insert(number).second) return Fault("sent an object twice in a bundle");
    if (outstanding->object.size_bytes >= kSmallBytes) return Fault("bundled a large object");
    size += outstanding->object.size_bytes;
    wanted.push_back(outstanding);
  }
  if (size > kBundleBytesMax) return Fault("sent a bundle of too much content");
  ASSIGN_OR_RETURN(const std::string prefix, BundlePrefix(bundle, wanted));
  const auto content = decoder_.Decode(bundle.frame(), prefix, size);
  if (!content.ok()) {
    return AskForBundleAgain(bundle, wanted, content.error().Wrap("the sender's bundle"));
  }
  return StoreBundle(bundle, wanted, *content);
}

Result<std::string> PieceReceiver::BundlePrefix(const v1::Bundle& bundle,
                                                const std::vector<Outstanding*>& wanted) {
  std::string prefix;
  int64_t last = -1;
  for (const uint32_t index : bundle.based()) {
    if (index >= wanted.size() || index <= last) return Fault("used bases of no object");
    last = index;
    const Outstanding& outstanding = *wanted[index];
    if (!outstanding.object.base) return Fault("used a base that was not offered");
    if (outstanding.base_bytes > kBundleBaseBytesMax ||
        prefix.size() + outstanding.base_bytes > kBundleBytesMax) {
      return Fault("used too large a base in a bundle");
    }
    ASSIGN_OR_RETURN(const UniqueFd fd, parts_.store.OpenObject(*outstanding.object.base));
    RETURN_IF_ERROR(AppendRange(fd.get(), 0, outstanding.base_bytes, &prefix));
  }
  return prefix;
}

Status PieceReceiver::StoreBundle(const v1::Bundle& bundle, const std::vector<Outstanding*>& wanted,
                                  std::string_view content) {
  // All of them before any: a bundle made with a damaged base is asked for again as a whole.
  std::string_view rest = content;
  for (const Outstanding* outstanding : wanted) {
    const std::string_view own = rest.substr(0, outstanding->object.size_bytes);
    rest.remove_prefix(own.size());
    if (const Digest found = Hasher::Of(own); found != outstanding->object.digest) {
      return AskForBundleAgain(bundle, wanted,
                               Fault("sent bytes with the digest " + found.ToString() + " for " +
                                     outstanding->object.digest.ToString()));
    }
  }
  rest = content;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::string_view own = rest.substr(0, wanted[i]->object.size_bytes);
    rest.remove_prefix(own.size());
    RETURN_IF_ERROR(parts_.group.Add(wanted[i]->object.digest, own));
    parts_.progress.AddPlain(own.size());
    parts_.progress.AddObjects(1);
    parts_.wants.Resolve(bundle.wants(static_cast<int>(i)));
  }
  return Ok();
}

Status PieceReceiver::AskForBundleAgain(const v1::Bundle& bundle,
                                        const std::vector<Outstanding*>& wanted,
                                        const Error& error) {
  bool damaged = false;
  for (const uint32_t index : bundle.based()) {
    damaged = damaged || IsDamaged(*wanted[index]->object.base);
  }
  if (!damaged) return error;
  for (size_t i = 0; i < wanted.size(); ++i) {
    WantedObject object = wanted[i]->object;
    object.base.reset();
    parts_.wants.AskAgain(bundle.wants(static_cast<int>(i)), std::move(object));
  }
  return Ok();
}

bool PieceReceiver::IsDamaged(const Digest& base) {
  const Status verified = parts_.store.Verify(base);
  if (!verified.ok()) LOG_ERROR(verified.error().message());
  return !verified.ok();
}

Result<ObjectAssembly*> PieceReceiver::Continue(uint64_t number, uint64_t offset,
                                                uint64_t plain_bytes) {
  ASSIGN_OR_RETURN(Outstanding* const outstanding, parts_.wants.Find(number));
  if (current_ != nullptr && current_->number() != number) {
    return Fault("starts an object before the last one is complete");
  }
  const uint64_t size = outstanding->object.size_bytes;
  if (current_ == nullptr) RETURN_IF_ERROR(Begin(number, outstanding));
  if (offset != outstanding->arrived) {
    return Fault("sent the bytes from " + std::to_string(offset) + " on instead of those from " +
                 std::to_string(outstanding->arrived) + " on");
  }
  if (plain_bytes == 0 || plain_bytes > size - offset) {
    return Fault("sent " + std::to_string(plain_bytes) + " bytes at " + std::to_string(offset) +
                 " of an object of " + std::to_string(size));
  }
  return current_.get();
}

Status PieceReceiver::Begin(uint64_t number, Outstanding* outstanding) {
  ASSIGN_OR_RETURN(current_, ObjectAssembly::Begin({parts_.partial_files, parts_.wants,
                                                    parts_.progress, parts_.arrivals},
                                                   number, outstanding));
  return Ok();
}

Status PieceReceiver::TakeGroups(const v1::Groups& groups) {
  if (current_ != nullptr) return Fault("tells groups in the middle of an object");
  ASSIGN_OR_RETURN(Outstanding* const outstanding, parts_.wants.Find(groups.want()));
  if (!std::exchange(outstanding->grouped, false)) {
    return Fault("tells groups that nobody asked for, or tells them again");
  }
  if (groups.values().size() % sizeof(GroupValue) != 0) return Fault("cut a group's value");
  std::vector<GroupValue> values(groups.values().size() / sizeof(GroupValue));
  if (!values.empty()) {
    std::memcpy(values.data(), groups.values().data(), groups.values().size());
  }
  auto check =
      GroupCheck::Of(outstanding->object.digest, outstanding->object.size_bytes, std::move(values));
  if (!check.ok()) return Fault("tells wrong groups: " + check.error().message());
  outstanding->groups.emplace(std::move(*check));
  return Ok();
}

Status PieceReceiver::TakeChunkList(const v1::ChunkList& list) {
  if (current_ != nullptr) return Fault("tells chunks in the middle of an object");
  ASSIGN_OR_RETURN(Outstanding* const outstanding, parts_.wants.Find(list.want()));
  if (outstanding->plan == nullptr) return Fault("tells chunks that nobody asked for");
  RETURN_IF_ERROR(outstanding->plan->Take(list));
  if (!outstanding->plan->complete()) return Ok();
  v1::TransferRequest request;
  *request.mutable_ranges() = outstanding->plan->Missing(list.want());
  const bool all_here = request.ranges().offsets().empty();
  requests_.push_back(std::move(request));
  if (!all_here) return Ok();
  RETURN_IF_ERROR(Begin(list.want(), outstanding));
  return FinishObject();
}

Status PieceReceiver::TakeFrame(const v1::Frame& frame) {
  ASSIGN_OR_RETURN(const ObjectAssembly* const object,
                   Continue(frame.want(), frame.offset(), frame.plain_bytes()));
  if (frame.plain_bytes() != object->NextFrameBytes()) {
    return Fault("sent a frame of another size than it has to be");
  }
  if (frame.data().size() > kEncodedBytesMax) return Fault("sent a frame that is too large");
  ASSIGN_OR_RETURN(const std::string content,
                   decoder_.Decode(frame.data(), {}, frame.plain_bytes()), "the sender's frame");
  return Append(content);
}

Status PieceReceiver::TakeDelta(const v1::Delta& delta) {
  ASSIGN_OR_RETURN(ObjectAssembly* const object,
                   Continue(delta.want(), delta.offset(), delta.plain_bytes()));
  const Outstanding& outstanding = *object->outstanding();
  PendingDelta pending;
  if (outstanding.plan != nullptr) {
    pending.prefix = outstanding.plan->ReadBase(delta);
    if (!pending.prefix) return Fault("sent a delta against something else than was named");
    object->UseChunks();
  } else {
    RETURN_IF_ERROR(CheckDelta(delta, outstanding));
    object->UseBase();
  }
  if (delta.encoded_bytes() > delta.plain_bytes()) return Fault("sent a delta that is too large");
  pending.header = delta;
  pending.header.clear_data();
  delta_.emplace(std::move(pending));
  return TakeDeltaPart(delta.data());
}

Status PieceReceiver::CheckDelta(const v1::Delta& delta, const Outstanding& outstanding) {
  if (!outstanding.object.base) return Fault("sent a delta against a base that was not offered");
  const uint64_t left = outstanding.object.size_bytes - delta.offset();
  if (delta.plain_bytes() != std::min(left, kSegmentBytes)) return Fault("sent a short delta");
  if (delta.base_bytes() > kSegmentBaseBytesMax || delta.base_offset() > outstanding.base_bytes ||
      delta.base_bytes() > outstanding.base_bytes - delta.base_offset()) {
    return Fault("sent a delta against bytes that its base does not have");
  }
  return Ok();
}

Status PieceReceiver::TakeDeltaPart(const std::string& data) {
  if (!delta_) return Fault("sent a part of no delta");
  std::string& frame = *delta_->header.mutable_data();
  if (data.empty() || data.size() > kDeltaPartBytesMax ||
      data.size() > delta_->header.encoded_bytes() - frame.size()) {
    return Fault("sent a part of a delta that is not as long as it has to be");
  }
  frame += data;
  return frame.size() == delta_->header.encoded_bytes() ? FinishDelta() : Ok();
}

Status PieceReceiver::FinishDelta() {
  const PendingDelta pending = std::move(*std::exchange(delta_, std::nullopt));
  const v1::Delta& delta = pending.header;
  if (pending.prefix) {
    const auto content = decoder_.Decode(delta.data(), *pending.prefix, delta.plain_bytes());
    // Perhaps what is here is damaged: zeros will not do either, and the object comes as a whole.
    return Append(content.ok() ? *content : std::string(delta.plain_bytes(), '\0'));
  }
  std::string prefix;
  {
    ASSIGN_OR_RETURN(const UniqueFd base,
                     parts_.store.OpenObject(*current_->outstanding()->object.base));
    RETURN_IF_ERROR(AppendRange(base.get(), delta.base_offset(), delta.base_bytes(), &prefix));
  }
  const auto content = decoder_.Decode(delta.data(), prefix, delta.plain_bytes());
  if (!content.ok()) return AskAgainOr(content.error().Wrap("the sender's delta"));
  return Append(*content);
}

Status PieceReceiver::TakeRefused(const v1::Refused& refused) {
  ASSIGN_OR_RETURN(Outstanding* const outstanding, parts_.wants.Find(refused.want()));
  if (current_ != nullptr && current_->number() != refused.want()) {
    return Fault("refuses an object in the middle of another one");
  }
  refused_.push_back({outstanding->object.digest, refused.reason()});
  current_.reset();
  delta_.reset();
  parts_.wants.Resolve(refused.want());
  return Ok();
}

Status PieceReceiver::Append(std::string_view content) {
  RETURN_IF_ERROR(current_->Append(content));
  return current_->whole() ? FinishObject() : Ok();
}

Status PieceReceiver::FinishObject() {
  const WantedObject& object = current_->outstanding()->object;
  const PartialFile* const file = current_->partial();
  const Status stored = file == nullptr
                            ? parts_.group.Add(object.digest, current_->content())
                            : parts_.group.TakeFile(object.digest, file->path(), object.size_bytes);
  if (!stored.ok()) {
    if (stored.error().code() != Code::kCorrupt) return stored.error();
    return AskAgainOr(stored.error().Wrap("the sender is wrong"));
  }
  parts_.wants.Resolve(current_->number());
  parts_.progress.AddObjects(1);
  current_.reset();
  return Ok();
}

Status PieceReceiver::AskAgainOr(const Error& error) {
  // Whoever it came from, what there is of the object is no good.
  if (current_->partial() != nullptr) RETURN_IF_ERROR(current_->partial()->Remove());
  const Outstanding& outstanding = *current_->outstanding();
  WantedObject object = outstanding.object;
  if (parts_.arrivals != nullptr) parts_.arrivals->Drop(object.digest);
  if (current_->used_base() && IsDamaged(*object.base)) {
    object.base.reset();
  } else if (current_->used_chunks()) {
    object.whole = true;
    LOG_WARNING("object " + object.digest.ToString() +
                " cannot be made of what is here; it is fetched as a whole");
  } else if (current_->resumed() == 0) {
    return error;
  } else {
    LOG_WARNING("what was kept of object " + object.digest.ToString() +
                " is no good; it is fetched as a whole");
  }
  parts_.progress.TakePlainBack(outstanding.arrived);
  parts_.wants.AskAgain(current_->number(), std::move(object));
  current_.reset();
  return Ok();
}

}  // namespace strata::imaged::transfer
