#include "imaged/repository/object_provider.h"

#include <sys/stat.h>

#include "common/log.h"

namespace strata::imaged {
namespace {

// Whether a failed check means that the bytes are no good, and not that the check could not be
// made.
bool IsDamage(const Error& error) {
  return error.code() == Code::kCorrupt || error.sys_errno() == EIO;
}

}  // namespace

Result<uint64_t> ObjectProvider::SizeOf(const Digest& digest, bool local_only) {
  const auto fd = store_.OpenObject(digest);
  if (fd.ok()) {
    struct stat st;
    if (::fstat(fd->get(), &st) != 0) return Errno("stat of object " + digest.ToString());
    return static_cast<uint64_t>(st.st_size);
  }
  Error last = fd.error();
  if (local_only || last.code() != Code::kNotFound) return last;
  for (const auto& fetcher : fetchers_) {
    const auto size = fetcher->SizeOf(digest);
    if (size.ok()) return size;
    last = size.error().Wrap(fetcher->Name());
  }
  return last;
}

Status ObjectProvider::FetchFrom(ObjectFetcher& fetcher, const Digest& digest,
                                 const CancelToken& cancel, const Progress& progress) {
  ASSIGN_OR_RETURN(const auto ingest, store_.StartIngest());
  ASSIGN_OR_RETURN(auto writer, ingest->NewWriter());
  uint64_t bytes = 0;
  RETURN_IF_ERROR(fetcher.Fetch(
      digest,
      [&](std::string_view data) -> Status {
        RETURN_IF_ERROR(cancel.Check());
        RETURN_IF_ERROR(writer->Write(data));
        bytes += data.size();
        if (progress) progress(bytes);
        return Ok();
      },
      cancel));
  ASSIGN_OR_RETURN(const Digest arrived, writer->Finish());
  if (arrived != digest) {
    return Error(Code::kCorrupt,
                 "sent " + std::to_string(bytes) + " bytes with the digest " + arrived.ToString());
  }
  return ingest->CommitFiles();
}

Status ObjectProvider::Provide(const Digest& digest, bool verify, const CancelToken& cancel,
                               const Progress& progress) {
  std::string trouble;
  bool damaged = false;
  if (store_.Has(digest)) {
    if (!verify) return Ok();
    const Status verified = store_.Verify(digest);
    if (verified.ok() || !IsDamage(verified.error())) return verified;
    trouble = verified.error().message();
    RETURN_IF_ERROR(store_.MoveAway(digest), trouble);
    damaged = true;
    LOG_ERROR(trouble + "; moved to " + store_.DamagedPath(digest));
  } else {
    trouble = "object " + digest.ToString() + " is not in the store";
  }
  for (const auto& fetcher : fetchers_) {
    const Status fetched = FetchFrom(*fetcher, digest, cancel, progress);
    if (fetched.ok()) {
      if (damaged) {
        LOG_INFO("object " + digest.ToString() + " is replaced from " + fetcher->Name());
        store_.DropDamaged(digest);
      }
      return Ok();
    }
    RETURN_IF_ERROR(cancel.Check());
    trouble += "; " + fetcher->Name() + ": " + fetched.error().message();
  }
  if (fetchers_.empty()) trouble += "; there is no source to fetch it from";
  return Error(damaged ? Code::kCorrupt : Code::kNotFound, trouble);
}

}  // namespace strata::imaged
