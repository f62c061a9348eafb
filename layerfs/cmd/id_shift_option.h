// The text form of an id shift on command lines: FIRST[:COUNT].
#pragma once

#include <charconv>
#include <limits>
#include <string>
#include <string_view>

#include "layerfs/root.h"

namespace strata::layerfs {

inline Result<uint32_t> ParseId(std::string_view text) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size()) return id;
  return Error(Code::kInvalidArgument, "'" + std::string(text) + "' is no id");
}

inline Result<IdShift> ParseIdShift(std::string_view text) {
  IdShift shift;
  const size_t colon = text.find(':');
  ASSIGN_OR_RETURN(shift.first_id, ParseId(text.substr(0, colon)));
  if (colon != std::string_view::npos) {
    ASSIGN_OR_RETURN(shift.count, ParseId(text.substr(colon + 1)));
  }
  if (shift.count == 0 || shift.first_id > std::numeric_limits<uint32_t>::max() - shift.count) {
    return Error(Code::kInvalidArgument, "no such range of ids: " + std::string(text));
  }
  return shift;
}

}  // namespace strata::layerfs
