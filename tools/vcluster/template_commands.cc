// save; template list, show, share, delete; and create from one.
#include <ostream>

#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/vcluster/follow.h"
#include "tools/vcluster/print_clusters.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/class_service.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

std::string FullName(const api::TemplateInfo& info) {
  return info.owner() + "/" + info.name() + ":" + info.tag();
}

void PrintOne(const api::TemplateInfo& info, std::ostream& out) {
  out << Printable(FullName(info)) << ", " << info.nodes()
      << (info.nodes() == 1 ? " node" : " nodes") << " of " << Printable(info.saved_from())
      << ", saved " << LocalTime(info.created_unix_ms()) << "\n";
  if (!info.description().empty()) out << Printable(info.description()) << "\n";
  out << (info.public_() ? "public" : "private");
  for (const std::string& user : info.shared_with()) out << ", shared with " << Printable(user);
  if (info.keeps_secrets()) out << ", its secrets were kept";
  if (info.state() != "ready") out << ", " << info.state();
  out << "; all nodes stood still for " << static_cast<int64_t>(info.stall_ms() + 0.5) << " ms\n";
  Table table({"NODE", "IMAGE", ">DIFF", ">NEW", "HOST"});
  for (const api::TemplateImageInfo& image : info.images()) {
    table.Add({image.node(), image.reference(), HumanBytes(image.layer_bytes()),
               HumanBytes(image.new_bytes()), image.host()});
  }
  table.Print(out);
}

Result<int> Show(Tool& tool, const api::Templates& templates, bool one) {
  std::ostream& out = tool.console().out;
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(templates, out));
  } else if (one) {
    for (const api::TemplateInfo& info : templates.templates()) PrintOne(info, out);
  } else {
    Table table({"TEMPLATE", ">NODES", ">DIFF", "SHARED", "SAVED", "FROM", "DESCRIPTION"});
    for (const api::TemplateInfo& info : templates.templates()) {
      uint64_t bytes = 0;
      for (const api::TemplateImageInfo& image : info.images()) bytes += image.layer_bytes();
      const std::string shared = info.public_() ? "public"
                                 : info.shared_with().empty()
                                     ? "-"
                                     : std::to_string(info.shared_with_size());
      table.Add({FullName(info), std::to_string(info.nodes()), HumanBytes(bytes), shared,
                 info.state() == "ready" ? LocalTime(info.created_unix_ms()) : info.state(),
                 info.saved_from(), info.description()});
    }
    table.Print(out);
  }
  return kExitOk;
}

Result<int> Save(Tool& tool, api::SaveTemplateRequest& request) {
  request.set_command_line(tool.command_line());
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::TemplateService::NewStub(channel)->Save(call.context(), request);
  ASSIGN_OR_RETURN(const api::Templates saved,
                   Follow(tool, call, *reader, "save " + Printable(request.name()),
                          "cancelled: nothing was saved"));
  return Show(tool, saved, /*one=*/true);
}

Result<int> List(Tool& tool, const std::string& name) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ListTemplatesRequest request;
  request.set_template_(name);
  api::Templates templates;
  const grpc::Status status =
      api::TemplateService::NewStub(channel)->List(call.context(), request, &templates);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  return Show(tool, templates, !name.empty());
}

Result<int> Share(Tool& tool, const api::ShareTemplateRequest& request) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Templates templates;
  const grpc::Status status =
      api::TemplateService::NewStub(channel)->Share(call.context(), request, &templates);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  return Show(tool, templates, /*one=*/true);
}

Result<int> Delete(Tool& tool, const std::vector<std::string>& names) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::TemplateService::NewStub(channel);
  api::DeleteTemplateResponse response;
  for (const std::string& name : names) {
    Call call;
    api::DeleteTemplateRequest request;
    request.set_template_(name);
    const grpc::Status status = stub->Delete(call.context(), request, &response);
    if (!status.ok()) return CallError(status, Daemon::kVclusterd);
    if (!tool.json()) tool.console().out << Printable(name) << " deleted" << std::endl;
  }
  if (tool.json()) RETURN_IF_ERROR(PrintJson(response, tool.console().out));
  return kExitOk;
}

}  // namespace

Result<int> CreateFromTemplate(Tool& tool, const std::string& name, const std::string& from,
                               uint32_t count, const std::string& driver) {
  api::CreateFromTemplateRequest request;
  request.set_name(name);
  request.set_template_(from);
  request.set_count(count);
  request.set_driver(driver);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::TemplateService::NewStub(channel)->Create(call.context(), request);
  ASSIGN_OR_RETURN(const api::Clusters made,
                   Follow(tool, call, *reader, "create " + Printable(name),
                          "cancelled: what was begun is taken back"));
  RETURN_IF_ERROR(PrintClusters(tool, made));
  return kExitOk;
}

void AddTemplateCommands(Tool& tool) {
  auto saved = std::make_shared<api::SaveTemplateRequest>();
  CLI::App* save =
      tool.AddCommand("save", "Save a whole Vcluster as a template: all its nodes as of one moment",
                      "  vcluster save lab lab-template\n"
                      "  vcluster save lab course:v2 --public --description 'OS course, week 2'",
                      [&tool, saved] { return Save(tool, *saved); });
  save->add_option("NAME", *saved->mutable_name(), "The Vcluster; it runs on")->required();
  save->add_option("TEMPLATE", *saved->mutable_template_(), "NAME[:TAG]")->required();
  save->add_option("--description", *saved->mutable_description(), "What it is for");
  save->add_flag_callback(
      "--public", [saved] { saved->set_public_(true); }, "Everybody may make Vclusters of it");
  save->add_flag_callback(
      "--keep-secrets", [saved] { saved->set_keep_secrets(true); },
      "Also keys, tokens and histories (docs/save.md)");

  CLI::App* group = tool.AddGroup("template", "Vclusters that were saved");
  tool.AddCommand(
      "list", "Templates that you may use",
      "  vcluster template list\n  vcluster template list --json",
      [&tool] { return List(tool, ""); }, group);
  auto name = std::make_shared<std::string>();
  CLI::App* show = tool.AddCommand(
      "show", "What is in one", "  vcluster template show alice/lab:v2",
      [&tool, name] { return List(tool, *name); }, group);
  show->add_option("TEMPLATE", *name, "[OWNER/]NAME[:TAG]")->required();

  auto shared = std::make_shared<api::ShareTemplateRequest>();
  auto visibility = std::make_shared<std::string>();
  auto with = std::make_shared<std::vector<std::string>>();
  auto without = std::make_shared<std::vector<std::string>>();
  CLI::App* share = tool.AddCommand(
      "share", "Who may make Vclusters of it",
      "  vcluster template share lab public\n  vcluster template share lab:v2 --with bob",
      [&tool, shared, visibility, with, without] {
        if (!visibility->empty()) shared->set_public_(*visibility == "public");
        shared->mutable_add_users()->Assign(with->begin(), with->end());
        shared->mutable_remove_users()->Assign(without->begin(), without->end());
        return Share(tool, *shared);
      },
      group);
  share->add_option("TEMPLATE", *shared->mutable_template_(), "NAME[:TAG]")->required();
  share->add_option("VISIBILITY", *visibility, "public or private")
      ->check(CLI::IsMember({"public", "private"}));
  share->add_option("--with", *with, "Also this user")->allow_extra_args(false);
  share->add_option("--not-with", *without, "No more this user")->allow_extra_args(false);
  share->add_flag_callback(
      "--keep-secrets", [shared] { shared->set_keep_secrets(true); },
      "Even though secrets were found in its images");

  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* remove = tool.AddCommand(
      "delete", "Delete templates and their images", "  vcluster template delete lab:v1",
      [&tool, names] { return Delete(tool, *names); }, group);
  remove->add_option("TEMPLATE", *names, "Which")->required();
}

}  // namespace strata::tools
