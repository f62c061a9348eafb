#include "tools/vimage/build/last_use.h"

#include <charconv>

#include "tools/cli/human.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

constexpr int64_t kNotedEveryMs = 3'600'000;

}  // namespace

int64_t LastUseUnixMs(const api::Image& image) {
  const auto label = image.labels().find(kUsedLabel);
  if (label == image.labels().end()) return image.created_unix_ms();
  const std::string& text = label->second;
  int64_t used = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), used);
  const bool good = error == std::errc() && end == text.data() + text.size();
  return good ? used : image.created_unix_ms();
}

void NoteUse(api::ImageService::Stub& imaged, OpenCalls& calls, const std::string& reference,
             const api::Image& image) {
  const int64_t now = NowUnixMs();
  if (now - LastUseUnixMs(image) < kNotedEveryMs) return;
  api::EditRequest request;
  request.set_reference(reference);
  (*request.mutable_set_labels())[kUsedLabel] = std::to_string(now);
  (void)calls.Ask(imaged, Daemon::kImaged, &api::ImageService::Stub::Edit, request);
}

}  // namespace strata::tools
