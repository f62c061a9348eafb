#include "imaged/transfer/object_group.h"

namespace strata::imaged::transfer {
namespace {

constexpr uint64_t kGroupObjects = 8192;

}  // namespace

Status ObjectGroup::Start() {
  if (ingest_ != nullptr) return Ok();
  ASSIGN_OR_RETURN(ingest_, store_.StartIngest());
  started_ = clock_.Now();
  return Ok();
}

void ObjectGroup::Staged(const Digest& digest, uint64_t size_bytes) {
  staged_bytes_ += size_bytes;
  ++staged_objects_;
  if (arrivals_ != nullptr) arrivals_->Staged(digest, ingest_);
}

Status ObjectGroup::Add(const Digest& digest, std::string_view content) {
  if (const Digest found = Hasher::Of(content); found != digest) {
    return Error(Code::kCorrupt,
                 "the bytes for " + digest.ToString() + " have the digest " + found.ToString());
  }
  RETURN_IF_ERROR(Start());
  RETURN_IF_ERROR(ingest_->Add(content));
  Staged(digest, content.size());
  return Ok();
}

Status ObjectGroup::TakeFile(const Digest& digest, const std::string& path, uint64_t size_bytes) {
  RETURN_IF_ERROR(Start());
  RETURN_IF_ERROR(ingest_->TakeFile(path, digest));
  Staged(digest, size_bytes);
  return Ok();
}

Status ObjectGroup::CommitIfDue() {
  if (ingest_ == nullptr) return Ok();
  if (staged_bytes_ < limits_.bytes && staged_objects_ < kGroupObjects &&
      clock_.Now() - started_ < limits_.age) {
    return Ok();
  }
  return Commit();
}

Status ObjectGroup::Commit() {
  if (ingest_ == nullptr) return Ok();
  const std::shared_ptr<Ingest> ingest = std::move(ingest_);
  staged_bytes_ = 0;
  const uint64_t count = std::exchange(staged_objects_, 0);
  RETURN_IF_ERROR(ingest->Commit());
  objects_ += count;
  return Ok();
}

}  // namespace strata::imaged::transfer
