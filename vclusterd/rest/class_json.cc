#include "vclusterd/rest/class_json.h"

#include <algorithm>

#include "common/printable.h"
#include "vclusterd/definition/format_file.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

constexpr size_t kTextBytesMax = 20'000;
constexpr double kCpusMax = 100'000;

Json StudentJson(const StudentView& student) {
  const master::v1::Student& record = student.record;
  Json json = {{"user", record.user()},
               {"name", record.name()},
               {"mail", record.mail()},
               {"group", record.group()},
               {"state", WordOf(student.state)},
               {"problem", PrintableText(student.problem)},
               {"next_try_unix_ms", student.next_try_unix_ms},
               {"vcluster", student.cluster},
               {"collected_unix_ms", record.collected_unix_ms()}};
  Json& collected = json["collected"] = Json::array();
  for (const master::v1::CollectedImage& image : record.collected()) {
    collected.push_back({{"node", image.node()},
                         {"reference", image.reference()},
                         {"digest", image.digest()},
                         {"base", image.base()},
                         {"files", image.files()},
                         {"bytes", image.bytes()},
                         {"new_bytes", image.new_bytes()}});
  }
  return json;
}

size_t CountIn(const ClassView& view, StudentState state) {
  return static_cast<size_t>(
      std::count_if(view.students.begin(), view.students.end(),
                    [&](const StudentView& student) { return student.state == state; }));
}

Json StudentSchema() {
  const Json collected = Members("A node's image, as it was collected last.")
                             .Must("node", Text("0, worker-1"))
                             .Must("reference", Text("The image, the teacher's.", kTextBytesMax))
                             .Must("digest", Text("Which one that is."))
                             .Must("base", Text("The template's image.", kTextBytesMax))
                             .Must("files", Whole("That differ from it."))
                             .Must("bytes", Whole("Of them."))
                             .Must("new_bytes", Whole("That the store did not have."));
  return Members("A student of a class.")
      .Must("user", Text("As in the roster."))
      .Must("name", Text("As in the roster."))
      .Must("mail", Text("As in the roster."))
      .Must("group", Text("As in the roster."))
      .Must("state", Word("Of his Vcluster.", {"waiting", "queued", "starting", "ready", "stopped",
                                               "failed", "ending", "gone", ""}))
      .Must("problem", Text("Why it failed.", kTextBytesMax))
      .Must("next_try_unix_ms", Whole("When one that failed is tried again; 0: it did not."))
      .Must("vcluster", Text("OWNER/NAME"))
      .Must("collected_unix_ms", Whole("When his work was collected last; 0: not yet."))
      .Must("collected", ListOf(collected, "What that was."));
}

Json QuotaSchema() {
  return Members("What students may have at most; 0: no limit.")
      .May("nodes", Whole("Of a Vcluster.", 0, UINT32_MAX))
      .May("cpus", Real("Of a node.", 0, kCpusMax))
      .May("memory_bytes", Whole("Of a node."))
      .May("disk_bytes", Whole("Of a node."));
}

}  // namespace

Json ToJson(const Users& users, const master::v1::Template& record, bool in_full) {
  const std::string owner = users.NameOf(record.owner_uid());
  Json shared = Json::array();
  for (const uint32_t uid : record.shared_uids()) shared.push_back(users.NameOf(uid));
  Json json = {{"owner", owner},
               {"name", record.name()},
               {"tag", record.tag()},
               {"address", "/v1/templates/" + owner + ":" + record.name() + ":" + record.tag()},
               {"description", PrintableText(record.description())},
               {"public", record.public_()},
               {"shared_with", std::move(shared)},
               {"created_unix_ms", record.created_unix_ms()},
               {"saved_from", record.saved_from()},
               {"state", vcluster::WordOf(record.phase())},
               {"keeps_secrets", record.keeps_secrets()},
               {"node_count", record.images_size()}};
  if (!in_full) return json;
  json["stall_ms"] = record.stall_ms();
  Json& images = json["images"] = Json::array();
  for (const master::v1::TemplateImage& image : record.images()) {
    images.push_back({{"role", image.role()},
                      {"ordinal", image.ordinal()},
                      {"reference", image.reference()},
                      {"digest", image.digest()},
                      {"host", image.host()},
                      {"entries", image.entries()},
                      {"layer_bytes", image.layer_bytes()},
                      {"new_bytes", image.new_bytes()}});
  }
  if (const auto definition = Templates::DefinitionOf(record); definition.ok()) {
    json["definition"] = FormatDefinition(*definition);
  }
  return json;
}

Json ToJson(const Users& users, const ClassView& view, bool with_students) {
  const master::v1::Class& record = view.record;
  const std::string owner = users.NameOf(record.owner_uid());
  Json json = {{"owner", owner},
               {"name", record.name()},
               {"address", "/v1/classes/" + owner + ":" + record.name()},
               {"template", record.template_()},
               {"description", PrintableText(record.description())},
               {"state", view.state},
               {"created_unix_ms", record.created_unix_ms()},
               {"starts_unix_s", record.starts_unix_s()},
               {"ends_unix_s", record.ends_unix_s()},
               {"on_end", record.on_end() == master::v1::CLASS_DELETE ? "delete" : "stop"},
               {"quota",
                {{"nodes", record.quota().nodes()},
                 {"cpus", record.quota().cpus()},
                 {"memory_bytes", record.quota().memory_bytes()},
                 {"disk_bytes", record.quota().disk_bytes()}}},
               {"prestage", PrintableText(view.prestage)},
               {"student_count", view.students.size()},
               {"ready_count", CountIn(view, StudentState::kReady)},
               {"failed_count", CountIn(view, StudentState::kFailed)}};
  if (!with_students) return json;
  Json& students = json["students"] = Json::array();
  for (const StudentView& student : view.students) students.push_back(StudentJson(student));
  return json;
}

void AddClassSchemas(RouteTable* table) {
  const Json image = Members("A node's image.")
                         .Must("role", Text("Of the node."))
                         .Must("ordinal", Whole("Of the node in its role."))
                         .Must("reference", Text("The image.", kTextBytesMax))
                         .Must("digest", Text("Which one that is."))
                         .Must("host", Text("Whose store has it."))
                         .Must("entries", Whole("In its layer."))
                         .Must("layer_bytes", Whole("Of its layer."))
                         .Must("new_bytes", Whole("That the store did not have."));
  table->AddSchema("Template",
                   Members("A whole Vcluster, saved (docs/classes.md).")
                       .Must("owner", Text("Whose it is."))
                       .Must("name", Text("Its name."))
                       .Must("tag", Text("Its tag."))
                       .Must("address", Text("/v1/templates/OWNER:NAME:TAG", 1000))
                       .Must("description", Text("For people.", kTextBytesMax))
                       .Must("public", Flag("Everybody may use it."))
                       .Must("shared_with", ListOf(Text("A user."), "Who may use it, too."))
                       .Must("created_unix_ms", Whole("When it was made."))
                       .Must("saved_from", Text("OWNER/NAME"))
                       .Must("state", Word("How it is.", {"ready", "saving", "deleting"}))
                       .Must("keeps_secrets", Flag("Secrets were not taken out of its images."))
                       .Must("node_count", Whole("Nodes that it makes."))
                       .May("stall_ms", Real("How long its nodes stood still.", 0, 1e12))
                       .May("images", ListOf(image, "Of its nodes."))
                       .May("definition", Text("A Vcluster file, as YAML.", 4 << 20)));
  table->AddSchema("TemplateList",
                   Members("Templates.").Must("templates", ListOf(Ref("Template"), "By owner.")));
  table->AddSchema("ClassQuota", QuotaSchema());
  table->AddSchema(
      "Class",
      Members("A Vcluster for each student of a roster (docs/classes.md).")
          .Must("owner", Text("The teacher."))
          .Must("name", Text("Of the class, and of each student's Vcluster."))
          .Must("address", Text("/v1/classes/OWNER:NAME"))
          .Must("template", Text("OWNER/NAME:TAG", 1000))
          .Must("description", Text("For people.", kTextBytesMax))
          .Must("state", Word("How it is.", {"waiting", "running", "stopped", "ended", "deleting"}))
          .Must("created_unix_ms", Whole("When it was made."))
          .Must("starts_unix_s", Whole("When its students are served."))
          .Must("ends_unix_s", Whole("When it ends; 0: never."))
          .Must("on_end", Word("What happens then.", {"stop", "delete"}))
          .Must("quota", Ref("ClassQuota"))
          .Must("prestage", Text("How far images are on their way to the hosts: "
                                 "under way, done, or what went wrong.",
                                 kTextBytesMax))
          .Must("student_count", Whole("Students."))
          .Must("ready_count", Whole("Of them, those whose Vcluster is ready."))
          .Must("failed_count", Whole("Of them, those whose Vcluster failed."))
          .May("students", ListOf(StudentSchema(), "By name.")));
  table->AddSchema("ClassList",
                   Members("Classes.").Must("classes", ListOf(Ref("Class"), "By owner.")));
}

}  // namespace strata::vcluster::rest
