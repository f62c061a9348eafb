// Templates of whole Vclusters: the same calls as TemplateService's
// (vclusterd/classes/templates.h).
#include <algorithm>

#include "vclusterd/rest/class_json.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/orders.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;
using Progress = OperationBook::ProgressFn;

constexpr size_t kUsersMax = 1000;

// "{template}": NAME, NAME:TAG, or OWNER:NAME:TAG; as Templates takes it.
std::string TemplateIn(const Exchange& exchange) {
  const std::string& word = exchange.path.at("template");
  return std::count(word.begin(), word.end(), ':') == 2 ? WithSlash(word) : word;
}

Result<Reply> List(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  Json list = Json::array();
  for (const auto& record : classes->templates().List(exchange.caller)) {
    list.push_back(ToJson(exchange.services.users, record, /*in_full=*/false));
  }
  return Answer({{"templates", std::move(list)}});
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  ASSIGN_OR_RETURN(const auto record,
                   classes->templates().Find(exchange.caller, TemplateIn(exchange)));
  return Answer(ToJson(exchange.services.users, record, /*in_full=*/true));
}

Result<OperationBook::Order> SaveOrder(const Exchange& exchange) {
  SaveTemplateParameters parameters;
  parameters.cluster = WithSlash(exchange.Given<std::string>("vcluster", ""));
  parameters.name = exchange.Given<std::string>("name", "");
  parameters.description = exchange.Given<std::string>("description", "");
  parameters.is_public = exchange.Given("public", false);
  parameters.keep_secrets = exchange.Given("keep_secrets", false);
  parameters.command_line = "POST /v1/templates";
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(Target target,
                   clusters->MayDo(exchange.caller, Operation::kVclusterSave, parameters.cluster));
  return OrderWith<Classes>(
      &Services::classes, exchange, Operation::kVclusterSave, std::move(target),
      /*cancellable=*/true,
      [parameters](Classes& classes, const Caller& caller, const Progress& progress,
                   const CancelToken& cancel) -> Result<Json> {
        ASSIGN_OR_RETURN(const auto saved,
                         classes.templates().Save(caller, parameters, progress, cancel));
        return ToJson(classes.users(), saved, /*in_full=*/true);
      });
}

Result<Reply> Save(Exchange& exchange) { return BeginOperation(exchange, SaveOrder(exchange)); }

Result<Reply> Share(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  Templates& templates = classes->templates();
  const std::string name = TemplateIn(exchange);
  // Before names are looked up, which tells of accounts.
  RETURN_IF_ERROR(templates.MayDo(exchange.caller, Operation::kImageShare, name));
  using Names = std::vector<std::string>;
  ASSIGN_OR_RETURN(ShareTemplateParameters parameters,
                   templates.ShareWith(exchange.Given<Names>("add_users", {}),
                                       exchange.Given<Names>("remove_users", {})));
  parameters.is_public = exchange.Given<bool>("public");
  parameters.keep_secrets = exchange.Given("keep_secrets", false);
  ASSIGN_OR_RETURN(const auto shared, templates.Share(exchange.caller, name, parameters));
  return Answer(ToJson(exchange.services.users, shared, /*in_full=*/true));
}

Result<OperationBook::Order> DeleteOrder(const Exchange& exchange) {
  const std::string name = TemplateIn(exchange);
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  ASSIGN_OR_RETURN(Target target,
                   classes->templates().MayDo(exchange.caller, Operation::kImageDelete, name));
  return OrderWith<Classes>(&Services::classes, exchange, Operation::kImageDelete,
                            std::move(target), /*cancellable=*/false,
                            [name](Classes& with, const Caller& caller, const Progress&,
                                   const CancelToken&) -> Result<Json> {
                              RETURN_IF_ERROR(with.templates().Delete(caller, name));
                              return Json();
                            });
}

Result<Reply> Delete(Exchange& exchange) { return BeginOperation(exchange, DeleteOrder(exchange)); }

Result<OperationBook::Order> MakeOrder(const Exchange& exchange) {
  const std::string from = TemplateIn(exchange);
  const auto name = exchange.Given<std::string>("name", "");
  const auto count = exchange.Given<uint32_t>("count", 1);
  const auto driver = exchange.Given<std::string>("driver", "");
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  RETURN_IF_ERROR(classes->templates().Find(exchange.caller, from));
  Target target = classes->clusters().TargetOf(exchange.caller.uid, name);
  RETURN_IF_ERROR(
      exchange.services.users.Authorize(exchange.caller, Operation::kVclusterCreate, target));
  return OrderWith<Classes>(
      &Services::classes, exchange, Operation::kVclusterCreate, std::move(target),
      /*cancellable=*/true,
      [from, name, count, driver](Classes& with, const Caller& caller, const Progress& progress,
                                  const CancelToken& cancel) -> Result<Json> {
        ASSIGN_OR_RETURN(
            const std::vector<ClusterView> views,
            with.templates().Create(caller, name, from, count, driver, progress, cancel));
        return ToJson(views);
      });
}

Result<Reply> Make(Exchange& exchange) { return BeginOperation(exchange, MakeOrder(exchange)); }

}  // namespace

void AddTemplateRoutes(RouteTable* table) {
  const Json users = ListOf(Text("A user.", 64), "By name.", kUsersMax);
  table->AddSchema("NewTemplate",
                   Members("What becomes a template.")
                       .Must("vcluster", Text("NAME, or OWNER:NAME."))
                       .Must("name", Text("Of the template: NAME[:TAG]."))
                       .May("description", Text("For people.", 2000))
                       .May("public", Flag("Everybody may use it (false)."))
                       .May("keep_secrets", Flag("They stay in its images (false).")));
  table->AddSchema("TemplateShare",
                   Members("Who may use it; what is absent stays.")
                       .May("public", Flag("Everybody."))
                       .May("add_users", users)
                       .May("remove_users", users)
                       .May("keep_secrets", Flag("Also when secrets are in its images (false).")));
  table->AddSchema(
      "VclustersOfTemplate",
      Members("What is made from it.")
          .Must("name", Text("Of the Vcluster; of several NAME-1, NAME-2, …", kNameSizeMax))
          .May("count", Whole("How many (1).", 1, 1000))
          .May("driver", Word("Of all nodes; each host's best.", {"kernel", "fuse"})));
  const RouteRow rows[] = {
      {"GET", "", "listTemplates", Operation::kImageList, "Those that one may use", "", 200,
       "TemplateList", List},
      {"POST", "", "saveTemplate", Operation::kVclusterSave,
       "A whole Vcluster becomes a template of the caller's", "NewTemplate", 202, "", Save},
      {"GET", "/{template}", "getTemplate", Operation::kImageList,
       "A template: NAME, NAME:TAG, or OWNER:NAME:TAG", "", 200, "Template", Get},
      {"POST", "/{template}/share", "shareTemplate", Operation::kImageShare, "Who may use it",
       "TemplateShare", 200, "Template", Share},
      {"POST", "/{template}/vclusters", "createFromTemplate", Operation::kVclusterCreate,
       "Makes Vclusters from it", "VclustersOfTemplate", 202, "", Make},
      {"DELETE", "/{template}", "deleteTemplate", Operation::kImageDelete,
       "Deletes it with its images", "", 202, "", Delete},
  };
  AddRows(rows, "/v1/templates", "templates", table);
}

}  // namespace strata::vcluster::rest
