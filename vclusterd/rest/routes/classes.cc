// Classes: the same calls as ClassService's (vclusterd/classes/classes.h). What is asked for is
// durable as soon as the operation runs; it ends when every student is served, or has failed.
#include "vclusterd/definition/roster.h"
#include "vclusterd/rest/class_json.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/orders.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;
using Progress = OperationBook::ProgressFn;
using Names = std::vector<std::string>;

constexpr size_t kBodyBytesMax = 4u << 20;

// "{class}": NAME, or OWNER:NAME.
std::string ClassIn(const Exchange& exchange) { return WithSlash(exchange.path.at("class")); }

Result<Reply> List(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  ASSIGN_OR_RETURN(const std::vector<ClassView> views, classes->List(exchange.caller, ""));
  Json list = Json::array();
  for (const ClassView& view : views) {
    list.push_back(ToJson(exchange.services.users, view, /*with_students=*/false));
  }
  return Answer({{"classes", std::move(list)}});
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  ASSIGN_OR_RETURN(const std::vector<ClassView> views,
                   classes->List(exchange.caller, ClassIn(exchange)));
  if (views.empty()) return Error(Code::kNotFound, "the class was just deleted");
  return Answer(ToJson(exchange.services.users, views.front(), /*with_students=*/true));
}

// Null: the class is gone.
Result<Json> Settle(Classes& classes, const Caller& caller, const std::string& name,
                    const Progress& progress, const CancelToken& cancel) {
  const auto view = classes.Watch(caller, name, progress, cancel);
  if (!view.ok() && view.error().code() == Code::kNotFound) return Json();
  if (!view.ok()) return view.error();
  if (view->record.name().empty()) return Json();
  return ToJson(classes.users(), *view, /*with_students=*/true);
}

CreateClassParameters ParametersIn(const Exchange& exchange) {
  CreateClassParameters parameters;
  parameters.name = exchange.Given<std::string>("name", "");
  parameters.template_name = exchange.Given<std::string>("template", "");
  parameters.roster = exchange.Given<std::string>("roster", "");
  parameters.roster_name = "roster";
  parameters.starts_unix_s = exchange.Given<int64_t>("starts_unix_s", 0);
  parameters.ends_unix_s = exchange.Given<int64_t>("ends_unix_s", 0);
  parameters.deletes_at_end = exchange.Given<std::string>("on_end", "stop") == "delete";
  parameters.parallel = exchange.Given<uint32_t>("parallel", 0);
  parameters.description = exchange.Given<std::string>("description", "");
  parameters.prestage = exchange.Given("prestage", true);
  parameters.keep_secrets = exchange.Given("keep_secrets", false);
  const Json quota = exchange.Given<Json>("quota", Json::object());
  parameters.quota.set_nodes(quota.value("nodes", 0u));
  parameters.quota.set_cpus(quota.value("cpus", 0.0));
  parameters.quota.set_memory_bytes(quota.value("memory_bytes", uint64_t{0}));
  parameters.quota.set_disk_bytes(quota.value("disk_bytes", uint64_t{0}));
  return parameters;
}

Result<OperationBook::Order> CreateOrder(const Exchange& exchange) {
  const CreateClassParameters parameters = ParametersIn(exchange);
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  ASSIGN_OR_RETURN(Target target, classes->MayCreate(exchange.caller, parameters.name));
  return OrderWith<Classes>(
      &Services::classes, exchange, Operation::kClassCreate, std::move(target),
      /*cancellable=*/false,
      [parameters](Classes& with, const Caller& caller, const Progress& progress,
                   const CancelToken& cancel) -> Result<Json> {
        RETURN_IF_ERROR(with.Create(caller, parameters));
        return Settle(with, caller, parameters.name, progress, cancel);
      });
}

Result<Reply> Create(Exchange& exchange) { return BeginOperation(exchange, CreateOrder(exchange)); }

Result<OperationBook::Order> ChangeOrder(const Exchange& exchange, ClassChange change) {
  const std::string name = ClassIn(exchange);
  const auto students = exchange.Given<Names>("students", {});
  const auto ends_unix_s = exchange.Given<int64_t>("ends_unix_s", 0);
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  ASSIGN_OR_RETURN(Target target, classes->MayDo(exchange.caller, RightOf(change), name));
  return OrderWith<Classes>(
      &Services::classes, exchange, RightOf(change), std::move(target), /*cancellable=*/false,
      [name, change, students, ends_unix_s](Classes& with, const Caller& caller,
                                            const Progress& progress,
                                            const CancelToken& cancel) -> Result<Json> {
        RETURN_IF_ERROR(with.Change(caller, name, change, students, ends_unix_s));
        return Settle(with, caller, name, progress, cancel);
      });
}

template <ClassChange kChange>
Result<Reply> Change(Exchange& exchange) {
  return BeginOperation(exchange, ChangeOrder(exchange, kChange));
}

Result<OperationBook::Order> CollectOrder(const Exchange& exchange) {
  const std::string name = ClassIn(exchange);
  const auto students = exchange.Given<Names>("students", {});
  ASSIGN_OR_RETURN(const auto classes, exchange.services.classes());
  ASSIGN_OR_RETURN(Target target, classes->MayDo(exchange.caller, Operation::kClassCollect, name));
  return OrderWith<Classes>(
      &Services::classes, exchange, Operation::kClassCollect, std::move(target),
      /*cancellable=*/true,
      [name, students](Classes& with, const Caller& caller, const Progress& progress,
                       const CancelToken& cancel) -> Result<Json> {
        ASSIGN_OR_RETURN(const Classes::Collected collected,
                         with.Collect(caller, name, students, progress, cancel));
        return Json{{"class", ToJson(with.users(), collected.view, /*with_students=*/true)},
                    {"failures", collected.failures}};
      });
}

Result<Reply> Collect(Exchange& exchange) {
  return BeginOperation(exchange, CollectOrder(exchange));
}

}  // namespace

void AddClassRoutes(RouteTable* table) {
  AddClassSchemas(table);
  const Json students =
      ListOf(Text("A user.", kStudentNameMax), "Students; none: all.", kRosterLinesMax);
  const Json ends = Whole("When it ends; 0: never.");
  table->AddSchema(
      "NewClass",
      Members("A class to make.")
          .Must("name", Text("Of the class, and of each student's Vcluster.", kNameSizeMax))
          .Must("template", Text("[OWNER/]NAME[:TAG]"))
          .Must("roster", Text("CSV: a header with user, and perhaps name, mail, "
                               "group; then a line for each student.",
                               kRosterBytesMax))
          .May("starts_unix_s", Whole("When its students are served (now)."))
          .May("ends_unix_s", ends)
          .May("on_end", Word("What happens then (stop).", {"stop", "delete"}))
          .May("quota", Ref("ClassQuota"))
          .May("parallel", Whole("Vclusters that start at a time (64).", 1, 1000))
          .May("description", Text("For people.", 2000))
          .May("prestage", Flag("Images go to the hosts ahead of the start (true)."))
          .May("keep_secrets", Flag("Also when the template's images hold secrets "
                                    "(false).")));
  table->AddSchema("ClassEnd", Members("The new end.").Must("ends_unix_s", ends));
  table->AddSchema("ClassReset", Members("Whose Vclusters.").Must("students", students));
  table->AddSchema("ClassCollect", Members("Whose work.").May("students", students));
  const auto right = Operation::kClassCreate;
  const std::string resource = "/v1/classes";
  const RouteRow rows[] = {
      {"GET", "", "listClasses", Operation::kClassList, "Those that one may see", "", 200,
       "ClassList", List},
      {"GET", "/{class}", "getClass", Operation::kClassList, "A class: NAME, or OWNER:NAME", "",
       200, "Class", Get},
      {"POST", "/{class}/start", "startClass", right, "Starts all Vclusters now", "", 202, "",
       Change<ClassChange::kStart>},
      {"POST", "/{class}/stop", "stopClass", right, "Stops all Vclusters", "", 202, "",
       Change<ClassChange::kStop>},
      {"POST", "/{class}/extend", "extendClass", right, "Moves its end", "ClassEnd", 202, "",
       Change<ClassChange::kExtend>},
      {"POST", "/{class}/reset", "resetClass", Operation::kClassReset,
       "Vclusters are made anew from the template; what they wrote is lost", "ClassReset", 202, "",
       Change<ClassChange::kReset>},
      {"POST", "/{class}/collect", "collectClass", Operation::kClassCollect,
       "Students' nodes become images of the teacher's", "ClassCollect", 202, "", Collect},
      {"DELETE", "/{class}", "deleteClass", Operation::kClassDelete,
       "Deletes it and its Vclusters; what was collected stays", "", 202, "",
       Change<ClassChange::kDelete>},
  };
  Route create = RouteOf(
      {"POST", "", "createClass", right, "A Vcluster of a template for each student of a roster",
       "NewClass", 202, "", Create},
      resource, "classes");
  create.body_bytes_max = kBodyBytesMax;
  table->Add(std::move(create));
  AddRows(rows, resource, "classes", table);
}

}  // namespace strata::vcluster::rest
