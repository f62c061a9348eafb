// What vclusterd and strata-pam-check say to each other.
//
// Standard input: the user's name, the address that he comes from, and the answers to PAM's hidden
// questions, in their order; each ends with a zero byte. Standard output: for kDenied, why, in
// words for the user. The exit code:
#pragma once

#include <cstddef>

namespace strata::vcluster::pam {

enum ExitCode {
  kTaken = 0,
  kWrong = 1,   // Name or password.
  kDenied = 2,  // The password is right, but he may not come in.
  kBroken = 3,  // PAM could not be asked; standard error says why.
};

inline constexpr size_t kInputBytesMax = 8 << 10;

}  // namespace strata::vcluster::pam
