#include "imaged/service/audit.h"

#include <ctime>

#include "common/printable.h"

namespace strata::imaged {
namespace {

std::string Utc(int64_t unix_ms) {
  const time_t seconds = static_cast<time_t>(unix_ms / 1000);
  tm utc = {};
  char text[32] = "";
  if (::gmtime_r(&seconds, &utc) != nullptr) {
    std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%MZ", &utc);
  }
  return text;
}

void AddGrant(char sign, const v1::Grant& grant, std::string* text) {
  const char* kind = grant.kind() == v1::GRANT_USER    ? "user:"
                     : grant.kind() == v1::GRANT_GROUP ? "group:"
                                                       : "class:";
  if (!text->empty()) *text += ", ";
  *text += sign + std::string(kind) + Printable(grant.name());
  if (grant.expires_unix_ms() != 0) *text += " until " + Utc(grant.expires_unix_ms());
}

}  // namespace

std::string DescribeShare(const v1::ShareRequest& request) {
  constexpr size_t kGrantsMax = 100;  // In one event; a class is for more.
  std::string text;
  if (request.revoke_all()) text = "revoke all";
  if (request.visibility() != v1::VISIBILITY_UNSPECIFIED) {
    text += (text.empty() ? "" : ", ");
    text += request.visibility() == v1::PUBLIC ? "public" : "private";
  }
  size_t count = 0;
  for (const v1::Grant& grant : request.add()) {
    if (++count <= kGrantsMax) AddGrant('+', grant, &text);
  }
  for (const v1::Grant& grant : request.revoke()) {
    if (++count <= kGrantsMax) AddGrant('-', grant, &text);
  }
  if (count > kGrantsMax) text += ", and " + std::to_string(count - kGrantsMax) + " more";
  if (request.keep_secrets()) text += ", with its secrets";
  return text;
}

v1::Event EventOf(const char* action, uid_t uid, const std::string& image) {
  v1::Event event;
  event.set_action(action);
  event.set_uid(uid);
  event.set_owner_uid(uid);
  event.set_via("socket");
  event.set_image(Printable(image));
  return event;
}

void SetImage(const v1::Image& image, v1::Event* event) {
  event->set_image(DisplayName(image));
  event->set_owner_uid(image.owner_uid());
}

void RecordOutcome(Repository* repository, v1::Event event, const Status& status) {
  event.set_request(RequestScope::Current());
  if (event.user().empty()) {
    event.set_user(Printable(repository->catalog().accounts().UserName(event.uid())));
  }
  event.set_outcome(status.ok() ? "ok" : std::string(CodeName(status.error().code())));
  if (!status.ok()) event.set_error(Printable(status.error().message()));
  repository->events().Record(std::move(event));
}

}  // namespace strata::imaged
