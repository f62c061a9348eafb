#include "vclusterd/service/class_messages.h"

#include "vclusterd/definition/format_file.h"

namespace strata::vcluster {
namespace {

std::string NodeName(const std::string& role, uint32_t ordinal) {
  return (role == kDefaultRole ? "" : role + "-") + std::to_string(ordinal);
}

}  // namespace

void ToProto(const Users& users, const master::v1::Template& record, bool with_definition,
             v1::TemplateInfo* out) {
  out->set_owner(users.NameOf(record.owner_uid()));
  out->set_name(record.name());
  out->set_tag(record.tag());
  out->set_description(record.description());
  out->set_public_(record.public_());
  for (const uint32_t uid : record.shared_uids()) out->add_shared_with(users.NameOf(uid));
  out->set_created_unix_ms(record.created_unix_ms());
  out->set_saved_from(record.saved_from());
  out->set_nodes(static_cast<uint32_t>(record.images_size()));
  for (const master::v1::TemplateImage& image : record.images()) {
    v1::TemplateImageInfo* info = out->add_images();
    info->set_node(NodeName(image.role(), image.ordinal()));
    info->set_reference(image.reference());
    info->set_digest(image.digest());
    info->set_entries(image.entries());
    info->set_layer_bytes(image.layer_bytes());
    info->set_new_bytes(image.new_bytes());
    info->set_host(image.host());
  }
  out->set_stall_ms(record.stall_ms());
  out->set_state(WordOf(record.phase()));
  out->set_keeps_secrets(record.keeps_secrets());
  if (!with_definition) return;
  if (const auto definition = Templates::DefinitionOf(record); definition.ok()) {
    out->set_definition(FormatDefinition(*definition));
  }
}

void ToProto(const Users& users, const ClassView& view, bool with_students, v1::ClassInfo* out) {
  const master::v1::Class& record = view.record;
  out->set_owner(users.NameOf(record.owner_uid()));
  out->set_name(record.name());
  out->set_template_(record.template_());
  out->set_description(record.description());
  out->set_starts_unix_s(record.starts_unix_s());
  out->set_ends_unix_s(record.ends_unix_s());
  out->set_on_end(record.on_end() == master::v1::CLASS_DELETE ? "delete" : "stop");
  out->set_state(view.state);
  out->set_created_unix_ms(record.created_unix_ms());
  out->mutable_quota()->set_nodes(record.quota().nodes());
  out->mutable_quota()->set_cpus(record.quota().cpus());
  out->mutable_quota()->set_memory_bytes(record.quota().memory_bytes());
  out->mutable_quota()->set_disk_bytes(record.quota().disk_bytes());
  out->set_prestage(view.prestage);
  out->set_students(static_cast<uint32_t>(view.students.size()));
  for (const StudentView& student : view.students) {
    if (student.state == StudentState::kReady) out->set_ready(out->ready() + 1);
    if (student.state == StudentState::kFailed) out->set_failed(out->failed() + 1);
    if (!with_students) continue;
    v1::StudentInfo* info = out->add_student();
    info->set_user(student.record.user());
    info->set_name(student.record.name());
    info->set_mail(student.record.mail());
    info->set_group(student.record.group());
    info->set_state(WordOf(student.state));
    info->set_problem(student.problem);
    info->set_next_try_unix_ms(student.next_try_unix_ms);
    info->set_cluster(student.cluster);
    info->set_collected_unix_ms(student.record.collected_unix_ms());
    for (const master::v1::CollectedImage& image : student.record.collected()) {
      v1::CollectedInfo* collected = info->add_collected();
      collected->set_node(image.node());
      collected->set_reference(image.reference());
      collected->set_digest(image.digest());
      collected->set_base(image.base());
      collected->set_files(image.files());
      collected->set_bytes(image.bytes());
      collected->set_new_bytes(image.new_bytes());
    }
  }
}

Result<CreateClassParameters> FromProto(const v1::CreateClassRequest& request) {
  CreateClassParameters parameters;
  parameters.name = request.name();
  parameters.template_name = request.template_();
  parameters.roster = request.roster();
  parameters.roster_name = request.roster_name();
  parameters.starts_unix_s = request.starts_unix_s();
  parameters.ends_unix_s = request.ends_unix_s();
  if (request.on_end() == "delete") {
    parameters.deletes_at_end = true;
  } else if (!request.on_end().empty() && request.on_end() != "stop") {
    return Error(Code::kInvalidArgument, "at its end a class is stopped or deleted: stop, delete");
  }
  if (request.starts_unix_s() < 0 || request.ends_unix_s() < 0) {
    return Error(Code::kInvalidArgument, "a time before 1970");
  }
  if (!(request.quota().cpus() >= 0)) return Error(Code::kInvalidArgument, "cpus below 0");
  parameters.quota.set_nodes(request.quota().nodes());
  parameters.quota.set_cpus(request.quota().cpus());
  parameters.quota.set_memory_bytes(request.quota().memory_bytes());
  parameters.quota.set_disk_bytes(request.quota().disk_bytes());
  parameters.parallel = request.parallel();
  parameters.description = request.description();
  parameters.prestage = !request.no_prestage();
  parameters.keep_secrets = request.keep_secrets();
  return parameters;
}

}  // namespace strata::vcluster
