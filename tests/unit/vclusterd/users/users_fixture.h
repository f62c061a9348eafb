// What tests of Strata's users share: a clock that is turned, a store in memory, hashes that cost
// next to nothing.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "vclusterd/users/account_book.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {

struct FakeClock {
  int64_t now_ms = 1'700'000'000'000;
  UnixClock clock() {
    return [this] { return now_ms; };
  }
};

inline constexpr HashCost kCheapHash{.memory_kib = 64, .passes = 1, .lanes = 1};

// Users of a host that the test makes up.
struct FakeHostUsers {
  std::map<std::string, uint32_t> users = {{"root", 0}, {"daemon", 1}, {"carol", 1000}};
  AccountOptions Options() {
    AccountOptions options;
    options.host_uid = [this](const std::string& name) {
      const auto it = users.find(name);
      return it == users.end() ? std::nullopt : std::optional(it->second);
    };
    options.host_name = [this](uint32_t uid) -> std::optional<std::string> {
      for (const auto& [name, number] : users) {
        if (number == uid) return name;
      }
      return std::nullopt;
    };
    return options;
  }
};

template <typename T>
Code CodeOf(const Result<T>& result) {
  EXPECT_FALSE(result.ok()) << "it succeeded";
  return result.ok() ? Code::kInternal : result.error().code();
}

}  // namespace strata::vcluster
