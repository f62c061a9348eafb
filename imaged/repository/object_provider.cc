#include "imaged/repository/object_provider.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::milliseconds kAskAgainAfter{500};

class CountWhile {
 public:
  explicit CountWhile(std::atomic<int>* count) : count_(count) { ++*count_; }
  ~CountWhile() { --*count_; }
  CountWhile(const CountWhile&) = delete;
  CountWhile& operator=(const CountWhile&) = delete;

 private:
  std::atomic<int>* const count_;
};

// Whether a failed check means that the bytes are no good, and not that the check could not be
// made.
bool IsDamage(const Error& error) {
  return error.code() == Code::kCorrupt || error.sys_errno() == EIO;
}

}  // namespace

ObjectProvider::ObjectProvider(ObjectStore& store,
                               std::vector<std::unique_ptr<ObjectFetcher>> fetchers)
    : store_(store),
      fetchers_(std::make_move_iterator(fetchers.begin()),
                std::make_move_iterator(fetchers.end())) {}

ObjectProvider::Fetchers ObjectProvider::Sources() const {
  Fetchers all = fetchers_;
  if (more_) {
    const Fetchers more = more_();
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

Result<uint64_t> ObjectProvider::SizeOf(const Digest& digest, bool local_only) {
  const auto fd = store_.OpenObject(digest);
  if (fd.ok()) {
    struct stat st;
    if (::fstat(fd->get(), &st) != 0) return Errno("stat of object " + digest.ToString());
    return static_cast<uint64_t>(st.st_size);
  }
  Error last = fd.error();
  if (local_only || last.code() != Code::kNotFound) return last;
  for (const auto& fetcher : Sources()) {
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

Result<ObjectProvider::Round> ObjectProvider::AskAll(const Digest& digest,
                                                     std::chrono::steady_clock::time_point end,
                                                     const CancelToken& cancel,
                                                     const Progress& progress) {
  Round round;
  const Fetchers sources = Sources();
  if (sources.empty()) round.trouble = "; there is no source to fetch it from";
  for (size_t i = 0; i < sources.size(); ++i) {
    if (i > 0 && std::chrono::steady_clock::now() > end) {
      round.unreachable = true;
      round.trouble += "; no time is left to ask " + std::to_string(sources.size() - i) + " more";
      break;
    }
    const Status fetched = FetchFrom(*sources[i], digest, cancel, progress);
    if (fetched.ok()) {
      round.fetched = true;
      round.from = sources[i]->Name();
      return round;
    }
    RETURN_IF_ERROR(cancel.Check());
    const Code code = fetched.error().code();
    round.unreachable |= code == Code::kUnavailable || code == Code::kDeadlineExceeded;
    round.trouble += "; " + sources[i]->Name() + ": " + fetched.error().message();
  }
  return round;
}

Status ObjectProvider::Provide(const Digest& digest, bool verify, const CancelToken& cancel,
                               const Progress& progress, std::chrono::milliseconds patience) {
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
  const CountWhile waiting(&waiting_);
  const auto end = std::chrono::steady_clock::now() + patience;
  const auto bound = patience.count() > 0 ? end : std::chrono::steady_clock::time_point::max();
  std::string said;  // By a round in which all were asked.
  while (true) {
    ASSIGN_OR_RETURN(const Round round, AskAll(digest, bound, cancel, progress));
    if (round.fetched) {
      if (!damaged) return Ok();
      LOG_INFO("object " + digest.ToString() + " is replaced from " + round.from);
      store_.DropDamaged(digest);
      return Ok();
    }
    const auto left = end - std::chrono::steady_clock::now();
    if (said.empty() || left.count() > 0) said = round.trouble;
    if (!round.unreachable || left.count() <= 0) {
      const Code code = damaged             ? Code::kCorrupt
                        : round.unreachable ? Code::kUnavailable
                                            : Code::kNotFound;
      return Error(code, trouble + said);
    }
    RETURN_IF_ERROR(cancel.WaitFor(std::min<std::chrono::nanoseconds>(left, kAskAgainAfter)));
    if (store_.Has(digest)) return Ok();  // Somebody else brought it.
  }
}

Result<UniqueFd> ObjectProvider::Open(const Digest& digest, const CancelToken& cancel) {
  auto fd = store_.OpenObject(digest);
  if (fd.ok() || fd.error().code() != Code::kNotFound || !HasSources()) return fd;
  RETURN_IF_ERROR(Provide(digest, /*verify=*/false, cancel, {}, read_patience_));
  return store_.OpenObject(digest);
}

}  // namespace strata::imaged
