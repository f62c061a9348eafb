#include "imaged/transfer/object_assembly.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "common/file_io.h"
#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {

Result<std::unique_ptr<ObjectAssembly>> ObjectAssembly::Begin(const Parts& parts, uint64_t number,
                                                              Outstanding* outstanding) {
  std::unique_ptr<ObjectAssembly> assembly(new ObjectAssembly(parts, number, outstanding));
  // A sender need not tell chunks.
  if (outstanding->plan != nullptr && !outstanding->plan->complete()) outstanding->plan.reset();
  RETURN_IF_ERROR(assembly->OpenFile());
  RETURN_IF_ERROR(assembly->CheckResumed());
  RETURN_IF_ERROR(assembly->CopyChunks());
  return assembly;
}

Status ObjectAssembly::OpenFile() {
  const WantedObject& object = outstanding_->object;
  partial_ = std::move(outstanding_->partial);
  const bool in_file = object.size_bytes >= kPartialBytesMin || outstanding_->groups;
  if (partial_ == nullptr && in_file) {
    ASSIGN_OR_RETURN(partial_, parts_.partial_files.Create(object.digest, object.size_bytes));
  }
  if (outstanding_->groups && parts_.arrivals != nullptr) {
    growing_ = parts_.arrivals->Begin(object.digest, partial_->path(), object.size_bytes,
                                      outstanding_->groups->values());
  }
  return Ok();
}

Status ObjectAssembly::CheckResumed() {
  if (!outstanding_->groups || resumed_ == 0) return Ok();
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(partial_->path(), O_RDONLY | O_NOFOLLOW));
  std::string content;
  for (uint64_t at = 0; at < resumed_ && outstanding_->groups; at += content.size()) {
    content.resize(std::min(kFrameBytes, resumed_ - at));
    RETURN_IF_ERROR(PReadExactly(fd.get(), content.data(), content.size(), at));
    RETURN_IF_ERROR(Check(content));
  }
  TellVerified();
  return Ok();
}

Status ObjectAssembly::Check(std::string_view content) {
  if (!outstanding_->groups) return Ok();
  const Status right = outstanding_->groups->Take(content);
  if (right.ok()) return Ok();
  if (!used_base_ && !used_chunks_ && resumed_ == 0) {
    return right.error().Wrap("the sender is wrong");
  }
  // Perhaps it was not the sender: the whole object's digest decides.
  outstanding_->groups.reset();
  return Ok();
}

void ObjectAssembly::TellVerified() {
  if (growing_ == nullptr || !outstanding_->groups) return;
  growing_->Verified(outstanding_->groups->verified());
}

Status ObjectAssembly::CopyChunks() {
  if (outstanding_->plan == nullptr) return Ok();
  while (true) {
    const std::string content = outstanding_->plan->ReadAt(outstanding_->arrived);
    if (content.empty()) return Ok();
    used_chunks_ = true;
    RETURN_IF_ERROR(Put(content));
  }
}

Status ObjectAssembly::Put(std::string_view content) {
  RETURN_IF_ERROR(Check(content));
  if (partial_ != nullptr) {
    RETURN_IF_ERROR(partial_->Append(content));
  } else {
    content_ += content;
  }
  TellVerified();
  parts_.wants.Arrived(outstanding_, content.size());
  parts_.progress.AddPlain(content.size());
  return Ok();
}

Status ObjectAssembly::Append(std::string_view content) {
  RETURN_IF_ERROR(Put(content));
  return CopyChunks();
}

uint64_t ObjectAssembly::NextFrameBytes() const {
  const uint64_t left = outstanding_->plan != nullptr
                            ? outstanding_->plan->MissingAt(outstanding_->arrived)
                            : outstanding_->object.size_bytes - outstanding_->arrived;
  return std::min<uint64_t>(left, frames_are_groups_ ? kGroupBytes : kFrameBytes);
}

}  // namespace strata::imaged::transfer
