#include "imaged/archive/zstd_source.h"

#include <zstd.h>

#include "common/log.h"

namespace strata::imaged {

struct ZstdSource::State {
  State() : context(::ZSTD_createDCtx()) { CHECK(context != nullptr); }
  ~State() { ::ZSTD_freeDCtx(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ZSTD_DCtx* context;
  ZSTD_inBuffer input{nullptr, 0, 0};
};

ZstdSource::ZstdSource(ByteSource source)
    : source_(std::move(source)),
      state_(std::make_unique<State>()),
      output_(::ZSTD_DStreamOutSize(), '\0') {}
ZstdSource::~ZstdSource() = default;

Result<std::string_view> ZstdSource::Next() {
  ZSTD_outBuffer output{output_.data(), output_.size(), 0};
  ZSTD_inBuffer& input = state_->input;
  while (output.pos == 0) {
    if (input.pos == input.size && !ended_) {
      ASSIGN_OR_RETURN(const std::string_view data, source_());
      ended_ = data.empty();
      input = {data.data(), data.size(), 0};
    }
    if (ended_ && !in_frame_) break;
    const size_t before = input.pos;
    const size_t hint = ::ZSTD_decompressStream(state_->context, &output, &input);
    if (::ZSTD_isError(hint) != 0) {
      return Error(Code::kCorrupt,
                   std::string("the zstd stream is damaged: ") + ::ZSTD_getErrorName(hint));
    }
    if (hint == 0) {
      in_frame_ = false;
    } else if (input.pos > before) {
      in_frame_ = true;
    }
    if (ended_ && in_frame_ && output.pos == 0) {
      return Error(Code::kCorrupt, "the zstd stream ends too early");
    }
  }
  return std::string_view(output_).substr(0, output.pos);
}

}  // namespace strata::imaged
