#include "imaged/repository/object_provider.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "common/log.h"
#include "common/metrics.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::milliseconds kAskAgainAfter{500};

// How objects that were wanted were had: "here", "fetched", "failed"; and how long fetching took.
struct FetchMetrics {
  prometheus::Family<prometheus::Counter>& wanted =
      prometheus::BuildCounter()
          .Name("strata_objects_wanted_total")
          .Help("Objects that somebody wanted, by how they were had")
          .Register(Metrics());
  prometheus::Counter& here = wanted.Add({{"had", "here"}});
  prometheus::Counter& fetched = wanted.Add({{"had", "fetched"}});
  prometheus::Counter& failed = wanted.Add({{"had", "failed"}});
  prometheus::Histogram& seconds =
      prometheus::BuildHistogram()
          .Name("strata_object_fetch_seconds")
          .Help("How long it took to fetch one object, or to give up")
          .Register(Metrics())
          .Add({}, prometheus::Histogram::BucketBoundaries{0.002, 0.01, 0.05, 0.2, 1, 5, 30});

  static FetchMetrics& Get() {
    static auto* const metrics = new FetchMetrics();
    return *metrics;
  }
};

class CountWhile {
 public:
  explicit CountWhile(std::atomic<int>* count) : count_(count) { ++*count_; }
  ~CountWhile() { --*count_; }
  CountWhile(const CountWhile&) = delete;
  CountWhile& operator=(const CountWhile&) = delete;

 private:
  std::atomic<int>* const count_;
};

}  // namespace

bool IsDamage(const Error& error) {
  return error.code() == Code::kCorrupt || error.sys_errno() == EIO;
}

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
  if (sources.empty()) round.trouble = "there is no source to fetch it from";
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
    round.trouble += (i > 0 ? "; " : "") + sources[i]->Name() + ": " + fetched.error().message();
  }
  return round;
}

Result<std::string> ObjectProvider::FetchFromAny(const Digest& digest, const CancelToken& cancel,
                                                 const Progress& progress,
                                                 std::chrono::milliseconds patience) {
  const CountWhile waiting(&waiting_);
  const auto began = std::chrono::steady_clock::now();
  const auto end = began + patience;
  const auto count = [&](prometheus::Counter& outcome) {
    outcome.Increment();
    FetchMetrics::Get().seconds.Observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  };
  const auto bound = patience.count() > 0 ? end : std::chrono::steady_clock::time_point::max();
  std::string said;  // By a round in which all were asked.
  while (true) {
    ASSIGN_OR_RETURN(const Round round, AskAll(digest, bound, cancel, progress));
    if (round.fetched) {
      count(FetchMetrics::Get().fetched);
      return round.from;
    }
    const auto left = end - std::chrono::steady_clock::now();
    if (said.empty() || left.count() > 0) said = round.trouble;
    if (!round.unreachable || left.count() <= 0) {
      count(FetchMetrics::Get().failed);
      return Error(round.unreachable ? Code::kUnavailable : Code::kNotFound, said);
    }
    RETURN_IF_ERROR(cancel.WaitFor(std::min<std::chrono::nanoseconds>(left, kAskAgainAfter)));
    if (store_.Has(digest)) return std::string("elsewhere");
  }
}

Status ObjectProvider::Provide(const Digest& digest, bool verify, const CancelToken& cancel,
                               const Progress& progress, std::chrono::milliseconds patience) {
  if (store_.Has(digest)) {
    FetchMetrics::Get().here.Increment();
    if (!verify) return Ok();
    const Status verified = store_.Verify(digest);
    if (verified.ok() || !IsDamage(verified.error())) return verified;
    return Heal(digest, verified.error(), cancel, progress, patience);
  }
  const auto fetched = FetchFromAny(digest, cancel, progress, patience);
  if (fetched.ok()) return Ok();
  return fetched.error().Wrap("object " + digest.ToString() + " is not in the store");
}

Status ObjectProvider::Heal(const Digest& digest, const Error& damage, const CancelToken& cancel,
                            const Progress& progress, std::chrono::milliseconds patience) {
  RETURN_IF_ERROR(store_.MoveAway(digest), damage.message());
  LOG_ERROR(damage.message() + "; moved to " + store_.DamagedPath(digest));
  const Status healed = HealMissing(digest, cancel, progress, patience);
  if (healed.ok()) return Ok();
  RETURN_IF_ERROR(cancel.Check());
  return Error(Code::kCorrupt, damage.message() + ": " + healed.error().message());
}

Status ObjectProvider::HealMissing(const Digest& digest, const CancelToken& cancel,
                                   const Progress& progress, std::chrono::milliseconds patience) {
  ASSIGN_OR_RETURN(const std::string from, FetchFromAny(digest, cancel, progress, patience));
  LOG_INFO("object " + digest.ToString() + " is replaced from " + from);
  store_.DropDamaged(digest);
  return Ok();
}

Result<UniqueFd> ObjectProvider::Open(const Digest& digest, const CancelToken& cancel) {
  auto fd = store_.OpenObject(digest);
  if (fd.ok()) FetchMetrics::Get().here.Increment();
  if (fd.ok() || fd.error().code() != Code::kNotFound || !HasSources()) return fd;
  RETURN_IF_ERROR(Provide(digest, /*verify=*/false, cancel, {}, read_patience_));
  return store_.OpenObject(digest);
}

}  // namespace strata::imaged
