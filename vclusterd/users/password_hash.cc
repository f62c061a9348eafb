#include "vclusterd/users/password_hash.h"

#include <argon2.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <vector>

#include "common/pki/random.h"

namespace strata::vcluster {
namespace {

constexpr size_t kSaltBytes = 16;
constexpr size_t kHashBytes = 32;
constexpr std::chrono::seconds kWaitMax{30};
// Of hashes that are read back.
constexpr size_t kTextMax = 512;
constexpr HashCost kReason{.memory_kib = 1 << 20, .passes = 100, .lanes = 16};

bool TakeText(std::string_view text, std::string_view* from) {
  if (!from->starts_with(text)) return false;
  from->remove_prefix(text.size());
  return true;
}

bool TakeNumber(std::string_view* from, uint32_t* number) {
  const auto [end, error] = std::from_chars(from->data(), from->data() + from->size(), *number);
  if (error != std::errc()) return false;
  from->remove_prefix(static_cast<size_t>(end - from->data()));
  return true;
}

// The cost that a hash string names; nullopt for what is no hash.
std::optional<HashCost> CostOf(std::string_view hash) {
  HashCost cost;
  const bool good = hash.size() <= kTextMax && TakeText("$argon2id$v=19$m=", &hash) &&
                    TakeNumber(&hash, &cost.memory_kib) && TakeText(",t=", &hash) &&
                    TakeNumber(&hash, &cost.passes) && TakeText(",p=", &hash) &&
                    TakeNumber(&hash, &cost.lanes) && TakeText("$", &hash);
  return good ? std::optional(cost) : std::nullopt;
}

bool IsReasonable(const HashCost& cost) {
  return cost.memory_kib <= kReason.memory_kib && cost.passes <= kReason.passes &&
         cost.lanes <= kReason.lanes;
}

// One of the places for hashes under way.
class Place {
 public:
  explicit Place(std::counting_semaphore<>& free)
      : free_(free), taken_(free.try_acquire_for(kWaitMax)) {}
  ~Place() {
    if (taken_) free_.release();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  Status status() const {
    if (taken_) return Ok();
    return Error(Code::kResourceExhausted, "too many sign in at once: try again");
  }

 private:
  std::counting_semaphore<>& free_;
  const bool taken_;
};

Error ArgonError(int error) {
  const Code code =
      error == ARGON2_MEMORY_ALLOCATION_ERROR ? Code::kResourceExhausted : Code::kInternal;
  return Error(code, std::string("hash a password: ") + argon2_error_message(error));
}

}  // namespace

Result<std::unique_ptr<PasswordHasher>> PasswordHasher::Create(HashCost cost, int at_once) {
  if (at_once < 1 || !IsReasonable(cost)) {
    return Error(Code::kInvalidArgument,
                 "the cost of password hashes is beyond 1 GiB, 100 passes "
                 "or 16 lanes");
  }
  std::unique_ptr<PasswordHasher> hasher(new PasswordHasher(cost, at_once));
  ASSIGN_OR_RETURN(const std::string random, pki::RandomBytes(kHashBytes));
  ASSIGN_OR_RETURN(hasher->nobody_, hasher->Hash(random));
  return hasher;
}

Result<std::string> PasswordHasher::Hash(std::string_view password) {
  ASSIGN_OR_RETURN(const std::string salt, pki::RandomBytes(kSaltBytes));
  const Place place(free_);
  RETURN_IF_ERROR(place.status());
  std::vector<char> text(argon2_encodedlen(cost_.passes, cost_.memory_kib, cost_.lanes, kSaltBytes,
                                           kHashBytes, Argon2_id));
  const int error = argon2id_hash_encoded(cost_.passes, cost_.memory_kib, cost_.lanes,
                                          password.data(), password.size(), salt.data(),
                                          salt.size(), kHashBytes, text.data(), text.size());
  if (error != ARGON2_OK) return ArgonError(error);
  return std::string(text.data());
}

Result<bool> PasswordHasher::Verify(std::string_view password, const std::string& hash) {
  const auto cost = CostOf(hash);
  if (!cost || !IsReasonable(*cost)) {
    return Error(Code::kCorrupt, "a stored password hash is damaged");
  }
  const Place place(free_);
  RETURN_IF_ERROR(place.status());
  const int error = argon2id_verify(hash.c_str(), password.data(), password.size());
  if (error == ARGON2_OK) return true;
  if (error == ARGON2_VERIFY_MISMATCH) return false;
  if (error == ARGON2_MEMORY_ALLOCATION_ERROR) return ArgonError(error);
  return Error(Code::kCorrupt,
               std::string("a stored password hash is damaged: ") + argon2_error_message(error));
}

Status PasswordHasher::VerifyNobody(std::string_view password) {
  ASSIGN_OR_RETURN([[maybe_unused]] const bool is_nobody, Verify(password, nobody_));
  return Ok();
}

bool PasswordHasher::IsStale(const std::string& hash) const { return CostOf(hash) != cost_; }

}  // namespace strata::vcluster
