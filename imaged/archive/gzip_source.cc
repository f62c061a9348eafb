#include "imaged/archive/gzip_source.h"

#include <zlib.h>

#include <algorithm>

#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr size_t kOutputSize = 256 * 1024;
constexpr int kGzipOnly = 16 + MAX_WBITS;
constexpr std::string_view kMagic = "\x1f\x8b";
// zlib counts in 32 bits.
constexpr size_t kInputMax = 1u << 30;

}  // namespace

struct GzipSource::State {
  z_stream stream{};
  State() { CHECK(::inflateInit2(&stream, kGzipOnly) == Z_OK); }
  ~State() { ::inflateEnd(&stream); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

GzipSource::GzipSource(ByteSource source)
    : source_(std::move(source)), state_(std::make_unique<State>()), output_(kOutputSize, '\0') {}
GzipSource::~GzipSource() = default;

// Appends to what is left of the input.
Status GzipSource::Refill() {
  z_stream& stream = state_->stream;
  ASSIGN_OR_RETURN(const std::string_view data, source_());
  ended_ = data.empty();
  if (data.size() + stream.avail_in > kInputMax) {
    return Error(Code::kResourceExhausted, "a piece of more than 1 GiB");
  }
  input_.erase(0, input_.size() - stream.avail_in);
  input_ += data;
  stream.next_in = reinterpret_cast<Bytef*>(input_.data());
  stream.avail_in = static_cast<uInt>(input_.size());
  return Ok();
}

Result<bool> GzipSource::StartMember() {
  z_stream& stream = state_->stream;
  while (stream.avail_in < kMagic.size() && !ended_) RETURN_IF_ERROR(Refill());
  const std::string_view next(reinterpret_cast<const char*>(stream.next_in), stream.avail_in);
  if (next.starts_with(kMagic)) {
    ::inflateReset(&stream);
    return true;
  }
  stream.avail_in = 0;
  while (!ended_) {
    RETURN_IF_ERROR(Refill());
    stream.avail_in = 0;
  }
  return false;
}

Result<std::string_view> GzipSource::Next() {
  z_stream& stream = state_->stream;
  stream.next_out = reinterpret_cast<Bytef*>(output_.data());
  stream.avail_out = static_cast<uInt>(output_.size());
  while (in_member_ && stream.avail_out > 0) {
    if (stream.avail_in == 0 && !ended_) RETURN_IF_ERROR(Refill());
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    if (status == Z_STREAM_END) {
      ASSIGN_OR_RETURN(in_member_, StartMember());
    } else if (status == Z_BUF_ERROR && ended_) {
      if (stream.avail_out < output_.size()) break;  // First what there is.
      return Error(Code::kCorrupt, "the gzip stream ends too early");
    } else if (status == Z_MEM_ERROR) {
      return Error(Code::kResourceExhausted, "no memory to decompress");
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return Error(Code::kCorrupt, std::string("the gzip stream is damaged: ") +
                                       (stream.msg == nullptr ? "unknown" : stream.msg));
    }
  }
  return std::string_view(output_).substr(0, output_.size() - stream.avail_out);
}

}  // namespace strata::imaged
