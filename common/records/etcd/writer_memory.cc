#include "common/records/etcd/writer_memory.h"

#include <charconv>
#include <sstream>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::records {
namespace {

constexpr std::string_view kFormat = "strata-writer1";
constexpr size_t kFileBytesMax = 4096;

std::optional<uint64_t> NumberOf(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::string WriterMemory::Text() const {
  return std::string(kFormat) + "\n" + store_id_ + "\n" + session_ + "\n" + std::to_string(count_) +
         "\n" + next_ + "\n";
}

Status WriterMemory::Load() {
  if (path_.empty() || !PathExists(path_)) return Ok();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path_, kFileBytesMax));
  std::istringstream lines(text);
  std::string format, store, session, count, next;
  std::getline(lines, format);
  std::getline(lines, store);
  std::getline(lines, session);
  std::getline(lines, count);
  const bool whole = static_cast<bool>(std::getline(lines, next));
  const auto number = NumberOf(count);
  if (!whole || format != kFormat || !number) {
    LOG_WARNING(path_ + " is damaged: whether etcd has older records cannot be told this time");
    return Ok();
  }
  if (store != store_id_) return Ok();
  session_ = session;
  count_ = *number;
  next_ = next;
  return Ok();
}

bool WriterMemory::Covers(const std::optional<std::string>& token) const {
  if (session_.empty()) return true;
  if (!token) return false;
  // "[fence ]SESSION:COUNT".
  const std::string_view text(*token);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const size_t blank = text.rfind(' ', colon);
  const size_t begin = blank == std::string_view::npos ? 0 : blank + 1;
  const std::string_view session = text.substr(begin, colon - begin);
  if (!next_.empty() && session == next_) return true;
  const auto count = NumberOf(text.substr(colon + 1));
  return session == session_ && count && *count >= count_;
}

Status WriterMemory::Begin(const std::string& session) {
  next_ = session;
  return path_.empty() ? Ok() : WriteFileDurably(path_, Text(), 0600);
}

void WriterMemory::Wrote(const std::string& session, uint64_t count) {
  session_ = session;
  count_ = count;
  next_.clear();
  if (path_.empty()) return;
  if (const Status kept = WriteFileAtomically(path_, Text(), 0600); !kept.ok()) {
    LOG_WARNING(kept.error().message());
  }
}

}  // namespace strata::records
