// What images take, and how much a user may have: usage, du, quota.
#include <algorithm>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::ImageService::Stub;

Result<int> Usage(Tool& tool, bool all_users) {
  api::UsageRequest request;
  request.set_all_users(all_users);
  ASSIGN_OR_RETURN(const api::UsageResponse response, Ask(tool, &Stub::GetUsage, request));
  return Show(tool, response, [&](const auto& all) {
    Table table({"WHO", ">IMAGES", ">AS COPIES", ">CHARGED", ">SHARED", ">SAVED", ">LIMIT"});
    for (const api::Usage& usage : all.usages()) {
      const uint64_t saved =
          usage.logical_bytes() - std::min(usage.logical_bytes(), usage.unique_bytes());
      const bool group = usage.subject().starts_with("group ");
      table.Add({usage.subject(), group ? "" : HumanCount(usage.images()),
                 group ? "" : HumanBytes(usage.logical_bytes()), HumanBytes(usage.unique_bytes()),
                 group ? "" : HumanBytes(usage.shared_bytes()), group ? "" : HumanBytes(saved),
                 usage.limit_bytes() == 0 ? "-" : HumanBytes(usage.limit_bytes())});
    }
    table.Print(tool.console().out);
  });
}

Result<int> DiskUsage(Tool& tool, bool all_users) {
  api::DiskUsageRequest request;
  request.set_all_users(all_users);
  ASSIGN_OR_RETURN(const api::DiskUsageResponse response, Ask(tool, &Stub::DiskUsage, request));
  return Show(tool, response, [&](const auto& all) {
    Table table({">OWN", ">SHARED", ">OF OTHERS", ">AS A COPY", ">IN USE", "IMAGE"});
    for (const api::ImageUsage& usage : all.images()) {
      table.Add({HumanBytes(usage.own_bytes()), HumanBytes(usage.shared_bytes()),
                 HumanBytes(usage.foreign_bytes()), HumanBytes(usage.logical_bytes()),
                 HumanCount(usage.leases()), usage.reference()});
    }
    table.Print(tool.console().out);
  });
}

Result<int> Quota(Tool& tool, const std::string& subject, const std::string& limit) {
  api::SetQuotaRequest request;
  request.set_subject(subject);
  if (limit != "none") {
    ASSIGN_OR_RETURN(const uint64_t bytes, ParseBytes(limit));
    request.set_limit_bytes(bytes);
  }
  ASSIGN_OR_RETURN(const api::SetQuotaResponse response, Ask(tool, &Stub::SetQuota, request));
  return Show(tool, response, [&](const auto&) {
    tool.console().out << Printable(subject) << ": "
                       << (request.limit_bytes() == 0 ? "no limit"
                                                      : HumanBytes(request.limit_bytes()))
                       << '\n';
  });
}

}  // namespace

void AddUsageCommands(Tool& tool) {
  auto all_users = std::make_shared<bool>(false);
  CLI::App* usage = tool.AddCommand(
      "usage", "What your images take, and what sharing saves",
      "  vimage usage\n  vimage usage --all-users\n"
      "CHARGED are the different contents of layers you made; SHARED are layers of others, which "
      "cost nothing.",
      [&tool, all_users] { return Usage(tool, *all_users); });
  usage->add_flag("--all-users", *all_users, "Everybody's (root)");

  CLI::App* du = tool.AddCommand(
      "du", "What each image takes, and what deleting it would free",
      "  vimage du\n  vimage du --all-users\n"
      "OWN is what only this image has, SHARED what other images of its owner have too.",
      [&tool, all_users] { return DiskUsage(tool, *all_users); });
  du->add_flag("--all-users", *all_users, "Everybody's (root)");

  auto subject = std::make_shared<std::string>();
  auto limit = std::make_shared<std::string>();
  CLI::App* quota = tool.AddCommand(
      "quota", "Limit what somebody's images may take (root)",
      "  vimage quota default 20G\n  vimage quota user:bob 100G\n  vimage quota group:students 1T\n"
      "  vimage quota user:bob none",
      [&tool, subject, limit] { return Quota(tool, *subject, *limit); });
  quota->add_option("SUBJECT", *subject, "user:NAME, group:NAME or default")->required();
  quota->add_option("LIMIT", *limit, "A size, or none")->required();
}

}  // namespace strata::tools
