#include "vclusterd/service/node_messages.h"

namespace strata::vcluster {
namespace {

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::chrono::nanoseconds FromMilliseconds(double ms) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double, std::milli>(ms));
}

imaged::ScrubMode FromProto(v1::ScrubMode mode) {
  if (mode == v1::SCRUB_ALWAYS) return imaged::ScrubMode::kAlways;
  return mode == v1::SCRUB_NEVER ? imaged::ScrubMode::kNever : imaged::ScrubMode::kDefault;
}

v1::ScrubMode ToProto(imaged::ScrubMode mode) {
  if (mode == imaged::ScrubMode::kAlways) return v1::SCRUB_ALWAYS;
  return mode == imaged::ScrubMode::kNever ? v1::SCRUB_NEVER : v1::SCRUB_DEFAULT;
}

}  // namespace

SaveNodeParameters FromProto(const v1::SaveRequest& request) {
  SaveNodeParameters parameters;
  parameters.reference = request.reference();
  parameters.description = request.description();
  parameters.is_public = request.public_();
  parameters.replace = request.replace();
  parameters.command_line = request.command_line();
  parameters.scrub = FromProto(request.scrub());
  return parameters;
}

void ToProto(const SaveNodeParameters& parameters, v1::SaveRequest* request) {
  request->set_reference(parameters.reference);
  request->set_description(parameters.description);
  request->set_public_(parameters.is_public);
  request->set_replace(parameters.replace);
  request->set_command_line(parameters.command_line);
  request->set_scrub(ToProto(parameters.scrub));
}

SaveNodeResult FromProto(const v1::SaveResult& message) {
  SaveNodeResult saved;
  saved.image.reference = message.reference();
  saved.image.digest = message.digest();
  saved.image.entries = message.entries();
  saved.image.layer_bytes = message.layer_bytes();
  saved.image.new_bytes = message.new_bytes();
  saved.stall = FromMilliseconds(message.stall_ms());
  saved.total = FromMilliseconds(message.total_ms());
  for (const v1::ScrubbedSecret& secret : message.scrubbed()) {
    saved.image.scrubbed.push_back(
        {secret.path(), secret.category(), secret.action(), secret.reason()});
  }
  saved.image.scrubbed_count = message.scrubbed_count();
  return saved;
}

void ToProto(const SaveNodeResult& saved, v1::SaveResult* message) {
  message->set_reference(saved.image.reference);
  message->set_digest(saved.image.digest);
  message->set_entries(saved.image.entries);
  message->set_layer_bytes(saved.image.layer_bytes);
  message->set_new_bytes(saved.image.new_bytes);
  message->set_stall_ms(Milliseconds(saved.stall));
  message->set_total_ms(Milliseconds(saved.total));
  for (const imaged::ScrubbedSecret& secret : saved.image.scrubbed) {
    v1::ScrubbedSecret* scrubbed = message->add_scrubbed();
    scrubbed->set_path(secret.path);
    scrubbed->set_category(secret.category);
    scrubbed->set_action(secret.action);
    scrubbed->set_reason(secret.reason);
  }
  message->set_scrubbed_count(saved.image.scrubbed_count);
}

ExecParameters FromProto(const v1::ExecStart& start) {
  ExecParameters parameters;
  parameters.argv.assign(start.argv().begin(), start.argv().end());
  parameters.env.assign(start.env().begin(), start.env().end());
  parameters.working_directory = start.working_directory();
  parameters.uid = start.uid();
  parameters.gid = start.gid();
  parameters.terminal = start.terminal();
  return parameters;
}

void ToProto(const ExecParameters& parameters, v1::ExecStart* start) {
  start->mutable_argv()->Assign(parameters.argv.begin(), parameters.argv.end());
  start->mutable_env()->Assign(parameters.env.begin(), parameters.env.end());
  start->set_working_directory(parameters.working_directory);
  start->set_uid(parameters.uid);
  start->set_gid(parameters.gid);
  start->set_terminal(parameters.terminal);
}

}  // namespace strata::vcluster
