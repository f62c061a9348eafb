// Argon2id hashes: what they carry, what a damaged one may ask for, and who is told apart by time.
#include "vclusterd/users/password_hash.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

TEST(PasswordHash, AHashCarriesSaltAndCostAndVerifies) {
  const auto hasher = std::move(*PasswordHasher::Create(kCheapHash));
  const std::string one = *hasher->Hash("password one");
  const std::string two = *hasher->Hash("password one");
  EXPECT_NE(one, two);
  EXPECT_TRUE(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
  EXPECT_TRUE(*hasher->Verify("password one", one));
  EXPECT_TRUE(*hasher->Verify("password one", two));
  EXPECT_FALSE(*hasher->Verify("password two", one));
  EXPECT_FALSE(*hasher->Verify("", one));
  EXPECT_FALSE(hasher->IsStale(one));
}

TEST(PasswordHash, AHashOfAnotherCostVerifiesAndIsStale) {
  const auto old = std::move(*PasswordHasher::Create(kCheapHash));
  const auto hasher = std::move(*PasswordHasher::Create({.memory_kib = 128, .passes = 2}));
  const std::string hash = *old->Hash("password one");
  EXPECT_TRUE(*hasher->Verify("password one", hash));
  EXPECT_TRUE(hasher->IsStale(hash));
}

TEST(PasswordHash, ADamagedHashIsNoPasswordAndTakesNoMemory) {
  const auto hasher = std::move(*PasswordHasher::Create(kCheapHash));
  const std::string good = *hasher->Hash("password one");
  for (const std::string& bad :
       {std::string(), std::string("$argon2id$"), good.substr(0, good.size() - 10),
        std::string("$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA"),
        std::string("$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2g"),
        std::string("$argon2id$v=19$m=64,t=4294967295,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2g"),
        "$argon2id$v=19$m=64,t=1,p=1$" + std::string(10'000, 'a')}) {
    const auto verified = hasher->Verify("password one", bad);
    EXPECT_TRUE(!verified.ok() || !*verified) << bad.substr(0, 80);
  }
}

// The kind of difference that tells names apart is a factor of a thousand: no hash at all.
TEST(PasswordHash, NobodysPasswordTakesAsLongAsSomebodys) {
  const auto hasher = std::move(*PasswordHasher::Create({.memory_kib = 8 << 10, .passes = 2}));
  const std::string hash = *hasher->Hash("password one");
  const auto time = [](const auto& call) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double his = time([&] { EXPECT_FALSE(*hasher->Verify("wrong", hash)); });
  const double nobodys = time([&] { EXPECT_TRUE(hasher->VerifyNobody("wrong").ok()); });
  EXPECT_GT(nobodys, his / 10);
  EXPECT_LT(nobodys, his * 10);
}

}  // namespace
}  // namespace strata::vcluster
