#include "tools/cli/progress.h"

#include <algorithm>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"

namespace strata::tools {
namespace {

constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr auto kPlainLineEvery = std::chrono::seconds(5);
constexpr int kBarWidth = 24;

}  // namespace

std::string Bar(uint64_t done, uint64_t total, int width) {
  const double part =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<size_t>(part * width);
  return "[" + std::string(filled, '#') + std::string(static_cast<size_t>(width) - filled, '-') +
         "]";
}

ProgressLine::ProgressLine(Console& console, std::string what, bool quiet)
    : console_(console), what_(std::move(what)), quiet_(quiet) {}

void ProgressLine::Update(const ProgressState& state, Time now) {
  if (quiet_) return;
  const bool new_stage = !started_ || state.stage != stage_;
  if (new_stage) {
    stage_ = state.stage;
    stage_start_ = now;
  } else {
    const bool complete = state.total != 0 && state.done >= state.total;
    const auto pause = console_.err_is_terminal ? std::chrono::milliseconds(kRedrawEvery)
                                                : std::chrono::milliseconds(kPlainLineEvery);
    if (now - last_shown_ < pause && !(complete && console_.err_is_terminal)) return;
  }
  started_ = true;
  last_shown_ = now;
  const double seconds = std::chrono::duration<double>(now - stage_start_).count();
  const std::string text =
      Text(state, seconds < 0.5 ? 0 : static_cast<double>(state.done) / seconds);
  if (console_.err_is_terminal) {
    // Cut by bytes: the line is ASCII but for the name, and a wrapped line could not be redrawn.
    const auto columns = static_cast<size_t>(TerminalColumns(console_.stderr_fd));
    console_.err << "\r\033[K" << text.substr(0, columns - 1) << std::flush;
    drawn_ = true;
  } else {
    console_.err << text << std::endl;
  }
}

void ProgressLine::Clear() {
  if (!drawn_) return;
  console_.err << "\r\033[K" << std::flush;
  drawn_ = false;
}

std::string ProgressLine::Text(const ProgressState& state, double rate) const {
  const auto shown = [&](uint64_t n) { return state.in_bytes ? HumanBytes(n) : HumanCount(n); };
  std::string text = what_ + ": " + Printable(state.stage);
  if (state.total != 0) {
    if (console_.err_is_terminal) text += " " + Bar(state.done, state.total, kBarWidth);
    text += " " + shown(state.done) + " of " + shown(state.total);
  } else if (state.done != 0) {
    text += " " + shown(state.done);
  }
  if (state.entries != 0) text += ", " + HumanCount(state.entries) + " files";
  if (state.in_bytes && rate >= 1) text += ", " + HumanBytes(static_cast<uint64_t>(rate)) + "/s";
  return text;
}

}  // namespace strata::tools
