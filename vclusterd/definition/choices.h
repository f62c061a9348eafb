// The words of a Vcluster file for values that are one of a few.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

template <typename T, size_t N>
using Choices = std::array<std::pair<T, std::string_view>, N>;

inline constexpr Choices<Protocol, 2> kProtocols = {
    {{Protocol::kTcp, "tcp"}, {Protocol::kUdp, "udp"}}};
inline constexpr Choices<Balance, 2> kBalances = {
    {{Balance::kRoundRobin, "round-robin"}, {Balance::kSticky, "sticky"}}};
inline constexpr Choices<Rank, 3> kRanks = {
    {{Rank::kLeastRequested, "least-requested"}, {Rank::kPack, "pack"}, {Rank::kSpread, "spread"}}};
inline constexpr Choices<RestartPolicy, 3> kRestartPolicies = {
    {{RestartPolicy::kOnFailure, "on-failure"},
     {RestartPolicy::kAlways, "always"},
     {RestartPolicy::kNever, "never"}}};
inline constexpr Choices<HostLoss, 2> kHostLosses = {
    {{HostLoss::kWait, "wait"}, {HostLoss::kRecreate, "recreate"}}};
inline constexpr Choices<MigrationPolicy, 3> kMigrationPolicies = {
    {{MigrationPolicy::kAuto, "auto"},
     {MigrationPolicy::kStopStart, "stop-start"},
     {MigrationPolicy::kNever, "never"}}};
inline constexpr Choices<ScaleIn, 3> kScaleIns = {
    {{ScaleIn::kNewest, "newest"}, {ScaleIn::kOldest, "oldest"}, {ScaleIn::kIdlest, "idlest"}}};
inline constexpr Choices<ExpiryAction, 2> kExpiryActions = {
    {{ExpiryAction::kStop, "stop"}, {ExpiryAction::kDelete, "delete"}}};

template <typename T, size_t N>
std::string ChoiceText(const Choices<T, N>& choices, T value) {
  for (const auto& [choice, text] : choices) {
    if (choice == value) return std::string(text);
  }
  return "";
}

}  // namespace strata::vcluster
