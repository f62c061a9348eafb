#include "tools/vcluster/account_words.h"

#include "common/printable.h"

namespace strata::tools {

Result<users::v1::Role> ParseRole(const std::string& word) {
  if (const auto role = users::v1::RoleOfWord(word)) return *role;
  return Error(Code::kInvalidArgument,
               "'" + Printable(word, 40) + "' is no role: user, teacher or admin");
}

std::string SignsInBy(const users::v1::Account& account) {
  std::string text;
  const auto add = [&](const std::string& way) { text += (text.empty() ? "" : ", ") + way; };
  if (account.has_password()) add("password");
  if (account.pam()) add("PAM");
  if (account.open_ids_size() > 0) {
    add(std::to_string(account.open_ids_size()) +
        (account.open_ids_size() == 1 ? " issuer" : " issuers"));
  }
  return text.empty() ? "-" : text;
}

std::string Names(const google::protobuf::RepeatedPtrField<accounts::v1::Person>& people) {
  std::string text;
  for (const accounts::v1::Person& person : people) {
    text += (text.empty() ? "" : ", ") + person.name();
  }
  return text.empty() ? "-" : text;
}

}  // namespace strata::tools
