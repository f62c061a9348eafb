#include "vclusterd/classes/templates.h"

#include <algorithm>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

using Template = Templates::Template;

constexpr uint32_t kVersion = 1;
constexpr size_t kTemplatesMax = 10'000;
constexpr size_t kSharedMax = 1'000;
constexpr uint32_t kClonesMax = 1'000;
constexpr size_t kDescriptionMax = 2'000;

std::string KeyOf(const Template& record) {
  return TemplateKey(record.owner_uid(), record.name(), record.tag());
}

Error Unknown(const std::string& text) {
  return {Code::kNotFound,
          "no template is called '" + text.substr(0, 200) + "' (see: vcluster template list)"};
}

class Busy {
 public:
  Busy(std::mutex& mutex, std::set<std::string>& keys, std::string key)
      : mutex_(mutex), keys_(keys), key_(std::move(key)) {}
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() {
    const std::lock_guard lock(mutex_);
    keys_.erase(key_);
  }

 private:
  std::mutex& mutex_;
  std::set<std::string>& keys_;
  const std::string key_;
};

}  // namespace

const char* WordOf(master::v1::TemplatePhase phase) {
  if (phase == master::v1::TEMPLATE_LIVE) return "ready";
  return phase == master::v1::TEMPLATE_SAVING ? "saving" : "deleting";
}

bool Templates::MayUse(const Caller& caller, const Template& record) const {
  // His own, or of whoever sees all images.
  if (users_.Allows(caller, Operation::kImageList, TargetOf(record))) return true;
  if (record.phase() != master::v1::TEMPLATE_LIVE) return false;
  // Nothing is shared with a token that is for other things.
  if (!users_.Allows(caller, Operation::kImageList, {caller.uid, "", ""})) return false;
  const auto& shared = record.shared_uids();
  return record.public_() || std::find(shared.begin(), shared.end(), caller.uid) != shared.end();
}

Target Templates::TargetOf(const Template& record) const {
  return {record.owner_uid(), "template " + TextOf(record), ""};
}

Result<std::unique_ptr<Templates>> Templates::Open(Master& master, Clusters& clusters,
                                                   Users& users) {
  std::unique_ptr<Templates> templates(new Templates(master, clusters, users));
  RETURN_IF_ERROR(templates->Load());
  return templates;
}

Status Templates::Load() {
  const std::lock_guard lock(mutex_);
  return master_.store().Scan(
      kTemplatesTable, "",
      [&](const std::string& key, const std::string& value) { return LoadOne(key, value); });
}

Status Templates::LoadOne(const std::string& key, const std::string& value) {
  Template record;
  if (!record.ParseFromString(value) || record.version() != kVersion) {
    return Error(Code::kCorrupt, "record of template " + key + " cannot be read");
  }
  if (record.phase() == master::v1::TEMPLATE_SAVING) {
    LOG_INFO("template " + key + ": removing what an interrupted save left");
    record.set_phase(master::v1::TEMPLATE_DELETING);
  }
  templates_[key] = std::move(record);
  return Ok();
}

// What is to go is recorded so; everything else is as the store has it.
Status Templates::ReadUnsure() {
  if (unsure_.empty()) return Ok();
  RETURN_IF_ERROR(master_.Beat());  // What is read after a commit is at least as new as that.
  while (!unsure_.empty()) {
    const std::string key = *unsure_.begin();
    const auto known = templates_.find(key);
    if (known != templates_.end() && known->second.phase() == master::v1::TEMPLATE_DELETING) {
      RETURN_IF_ERROR(PutHeld(Template(known->second)));
    } else {
      ASSIGN_OR_RETURN(const auto value, master_.store().Get(kTemplatesTable, key));
      if (value.has_value()) {
        RETURN_IF_ERROR(LoadOne(key, *value));
      } else {
        templates_.erase(key);
      }
    }
    unsure_.erase(key);
  }
  return Ok();
}

Status Templates::Put(const Template& record) {
  const std::lock_guard lock(mutex_);
  return PutHeld(record);
}

Status Templates::PutHeld(const Template& record) {
  const std::string key = KeyOf(record);
  Template versioned = record;
  versioned.set_version(kVersion);
  const Status put = master_.CommitRecords({{kTemplatesTable, key, versioned.SerializeAsString()}});
  if (put.ok()) {
    templates_[key] = std::move(versioned);
  } else if (put.error().code() == Code::kUnavailable) {
    unsure_.insert(key);
  }
  return put;
}

Result<Definition> Templates::DefinitionOf(const Template& record) {
  return ParseDefinitionJson(record.definition());
}

google::protobuf::RepeatedPtrField<master::v1::ImageGrant> Templates::GrantsOf(
    const Template& record) {
  google::protobuf::RepeatedPtrField<master::v1::ImageGrant> grants;
  std::set<std::string> seen;
  for (const master::v1::TemplateImage& image : record.images()) {
    const std::string name = ByDigest(image.reference(), image.digest());
    if (!seen.insert(name).second) continue;
    master::v1::ImageGrant* grant = grants.Add();
    grant->set_image(name);
    grant->set_uid(record.owner_uid());
  }
  return grants;
}

std::string Templates::TextOf(const Template& record) const {
  return users_.NameOf(record.owner_uid()) + "/" + record.name() + ":" + record.tag();
}

Result<Template> Templates::Save(const Caller& caller, const SaveTemplateParameters& parameters,
                                 const ProgressFn& progress, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const TemplateName name, ParseTemplateName(parameters.name));
  if (!name.owner.empty()) {
    return Error(Code::kInvalidArgument, "a template is saved as one's own: leave the owner out");
  }
  if (parameters.description.size() > kDescriptionMax) {
    return Error(Code::kInvalidArgument,
                 "the description has more than " + std::to_string(kDescriptionMax) + " bytes");
  }
  ASSIGN_OR_RETURN(const VclusterView view,
                   clusters_.FindVcluster(caller, Operation::kVclusterSave, parameters.cluster));
  const master::v1::Vcluster& saved = view.vcluster->record;
  RETURN_IF_ERROR(CheckLive(saved));
  GroupSaveParameters group;
  group.on_behalf_of_uid = caller.uid;
  group.owner = ImageOwner(caller.uid);
  group.front = name.name;
  group.tag = name.tag;
  ASSIGN_OR_RETURN(group.mark, NewMark());
  group.description = parameters.description;
  group.command_line = parameters.command_line;
  group.keep_secrets = parameters.keep_secrets;

  Template record;
  record.set_owner_uid(caller.uid);
  record.set_name(name.name);
  record.set_tag(name.tag);
  record.set_phase(master::v1::TEMPLATE_SAVING);
  record.set_created_unix_ms(master_.NowUnixMs());
  record.set_description(parameters.description);
  record.set_saved_from(users_.NameOf(saved.owner_uid()) + "/" + saved.name());
  record.set_keeps_secrets(parameters.keep_secrets);
  record.set_save_id(group.mark);
  ASSIGN_OR_RETURN(*record.mutable_images(), PlanGroupSave(view, group));
  const std::string key = KeyOf(record);
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(ReadUnsure());
    if (templates_.contains(key) || !busy_.insert(key).second) {
      return Error(Code::kAlreadyExists, "you already have a template " + name.name + ":" +
                                             name.tag +
                                             " (another tag, or: vcluster template delete)");
    }
    if (templates_.size() >= kTemplatesMax) {
      busy_.erase(key);
      return Error(Code::kResourceExhausted, "there are too many templates");
    }
  }
  const Busy busy(mutex_, busy_, key);
  RETURN_IF_ERROR(Put(record));
  const auto save = [&]() -> Status {
    ASSIGN_OR_RETURN(const GroupSaved done,
                     SaveGroup(master_, view, group, record.mutable_images(), progress, cancel));
    record.set_stall_ms(std::chrono::duration<double, std::milli>(done.stall).count());
    ASSIGN_OR_RETURN(const Definition definition,
                     DefinitionOfSaved(*view.vcluster, record.images()));
    record.set_definition(FormatDefinitionJson(definition));
    if (parameters.is_public) {
      if (!parameters.keep_secrets) {
        ASSIGN_OR_RETURN(const uint64_t secrets, CountSecrets(master_, record.images()));
        if (secrets != 0) {
          return Error(Code::kFailedPrecondition,
                       std::to_string(secrets) +
                           " secrets are in images that the nodes were made from (vimage scrub); "
                           "--keep-secrets makes it public all the same");
        }
      }
      record.set_public_(true);
    }
    record.set_phase(master::v1::TEMPLATE_LIVE);
    return Put(record);
  };
  const Target target{saved.owner_uid(), record.saved_from(), record.saved_from()};
  const Status done = save();
  users_.Record(caller, Operation::kVclusterSave, target, TextOf(record), done);
  if (!done.ok()) {
    if (Status gone = Abandon(record); !gone.ok()) {
      LOG_WARNING("template " + key +
                  ": what was saved is removed later: " + gone.error().message());
    }
    return done.error();
  }
  return record;
}

// What was begun goes now or, when a host is away, later.
Status Templates::Abandon(Template record) {
  record.set_phase(master::v1::TEMPLATE_DELETING);
  {
    // Its last commit may have been made, whatever was answered: then the next master would take it
    // for one whose images are there.
    const std::lock_guard lock(mutex_);
    templates_[KeyOf(record)] = record;
    unsure_.insert(KeyOf(record));
    RETURN_IF_ERROR(ReadUnsure());
  }
  return RemoveNow(record);
}

Status Templates::RemoveNow(const Template& record) {
  const std::string key = KeyOf(record);
  RETURN_IF_ERROR(RemoveImages(master_, record.images()));
  const std::lock_guard lock(mutex_);
  const auto now = templates_.find(key);
  // Another call was faster, and the name may have been given again.
  if (now == templates_.end() || now->second.save_id() != record.save_id()) return Ok();
  RETURN_IF_ERROR(master_.CommitRecords({{kTemplatesTable, key, std::nullopt}}));
  templates_.erase(now);
  return Ok();
}

void Templates::CleanUp() {
  std::vector<Template> leaving;
  {
    const std::lock_guard lock(mutex_);
    if (Status read = ReadUnsure(); !read.ok()) {
      LOG_WARNING("templates: " + read.error().message());
      return;
    }
    for (const auto& [key, record] : templates_) {
      if (record.phase() == master::v1::TEMPLATE_DELETING && !busy_.contains(key)) {
        leaving.push_back(record);
      }
    }
  }
  for (const Template& record : leaving) {
    if (Status gone = RemoveNow(record); !gone.ok()) {
      LOG_WARNING("template " + TextOf(record) + " goes later: " + gone.error().message());
    }
  }
}

Result<Target> Templates::MayDo(const Caller& caller, Operation operation,
                                const std::string& text) {
  ASSIGN_OR_RETURN(const Template record, Find(caller, text));
  RETURN_IF_ERROR(users_.Authorize(caller, operation, TargetOf(record)));
  return TargetOf(record);
}

std::vector<Template> Templates::List(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  std::vector<Template> list;
  for (const auto& [key, record] : templates_) {
    if (MayUse(caller, record)) list.push_back(record);
  }
  return list;
}

Result<Template> Templates::Find(const Caller& caller, const std::string& text) {
  ASSIGN_OR_RETURN(const TemplateName name, ParseTemplateName(text));
  uint32_t owner = caller.uid;
  if (!name.owner.empty()) {
    const auto named = users_.UidOf(name.owner);
    if (!named.ok()) return Unknown(text);
    owner = *named;
  }
  const std::lock_guard lock(mutex_);
  const auto found = templates_.find(TemplateKey(owner, name.name, name.tag));
  if (found == templates_.end() || !MayUse(caller, found->second)) return Unknown(text);
  return found->second;
}

Result<Templates::Held> Templates::Hold(const Caller& caller, const std::string& text) {
  ASSIGN_OR_RETURN(const Template found, Find(caller, text));
  const std::string key = KeyOf(found);
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUnsure());
  const auto now = templates_.find(key);
  if (now == templates_.end() || now->second.save_id() != found.save_id() ||
      !MayUse(caller, now->second)) {
    return Unknown(text);
  }
  if (now->second.phase() != master::v1::TEMPLATE_LIVE || busy_.contains(key)) {
    return Error(Code::kFailedPrecondition, "template " + TextOf(found) + " is not ready");
  }
  ++holds_[key];
  return Held(new Template(now->second), [this, key](const Template* record) {
    {
      const std::lock_guard lock_again(mutex_);
      if (--holds_[key] == 0) holds_.erase(key);
    }
    delete record;
  });
}

Result<ShareTemplateParameters> Templates::ShareWith(const std::vector<std::string>& add,
                                                     const std::vector<std::string>& remove) const {
  ShareTemplateParameters parameters;
  if (add.size() > kSharedMax || remove.size() > kSharedMax) {
    return Error(Code::kInvalidArgument, "too many users at once");
  }
  for (const std::string& user : add) {
    const auto uid = users_.UidOf(user);
    // By name alone: answers name whom it is shared with, and numbers could be tried in turn.
    if (!uid.ok() || users_.NameOf(*uid) != user) {
      return Error(Code::kNotFound, "no user is called '" + Printable(user, 64) + "'");
    }
    parameters.add_uids.push_back(*uid);
  }
  for (const std::string& user : remove) {
    ASSIGN_OR_RETURN(const uint32_t uid, users_.UidOf(user));
    parameters.remove_uids.push_back(uid);
  }
  return parameters;
}

Result<Template> Templates::Share(const Caller& caller, const std::string& text,
                                  const ShareTemplateParameters& parameters) {
  ASSIGN_OR_RETURN(const Template record, Find(caller, text));
  return users_.Perform(caller, Operation::kImageShare, TargetOf(record), "",
                        [&] { return ShareFound(record, parameters); });
}

Result<Template> Templates::ShareFound(const Template& found,
                                       const ShareTemplateParameters& parameters) {
  const Error not_ready(Code::kFailedPrecondition, "template " + TextOf(found) + " is not ready");
  if (found.phase() != master::v1::TEMPLATE_LIVE) return not_ready;
  const bool widens = parameters.is_public.value_or(false) || !parameters.add_uids.empty();
  if (widens && !parameters.keep_secrets) {
    ASSIGN_OR_RETURN(const uint64_t secrets, CountSecrets(master_, found.images()));
    if (secrets != 0) {
      return Error(Code::kFailedPrecondition,
                   std::to_string(secrets) +
                       " secrets are in its images (vimage scrub IMAGE "
                       "--dry-run lists them); --keep-secrets shares it all "
                       "the same");
    }
  }
  // Counting takes a while: what others changed meanwhile stays so.
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUnsure());
  const auto now = templates_.find(KeyOf(found));
  if (now == templates_.end() || now->second.save_id() != found.save_id()) {
    return Error(Code::kNotFound, "template " + TextOf(found) + " was just deleted");
  }
  if (now->second.phase() != master::v1::TEMPLATE_LIVE || busy_.contains(now->first)) {
    return not_ready;
  }
  Template record = now->second;
  if (parameters.is_public.has_value()) record.set_public_(*parameters.is_public);
  std::set<uint32_t> uids(record.shared_uids().begin(), record.shared_uids().end());
  uids.insert(parameters.add_uids.begin(), parameters.add_uids.end());
  for (const uint32_t uid : parameters.remove_uids) uids.erase(uid);
  if (uids.size() > kSharedMax) {
    return Error(Code::kResourceExhausted,
                 "a template is shared with " + std::to_string(kSharedMax) + " users at most");
  }
  record.mutable_shared_uids()->Assign(uids.begin(), uids.end());
  RETURN_IF_ERROR(PutHeld(record));
  return record;
}

Status Templates::Delete(const Caller& caller, const std::string& text) {
  ASSIGN_OR_RETURN(const Template record, Find(caller, text));
  return users_.Perform(caller, Operation::kImageDelete, TargetOf(record), "",
                        [&] { return DeleteFound(record); });
}

Status Templates::DeleteFound(const Template& found) {
  const std::string key = KeyOf(found);
  Template record;
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(ReadUnsure());
    const auto now = templates_.find(key);
    if (now == templates_.end() || now->second.save_id() != found.save_id()) {
      return Error(Code::kNotFound, "template " + TextOf(found) + " was just deleted");
    }
    record = now->second;
    if (holds_.contains(key)) {
      return Error(Code::kFailedPrecondition,
                   "something is being made of template " + TextOf(record) + ": try again soon");
    }
    if (!busy_.insert(key).second) {
      return Error(Code::kFailedPrecondition,
                   "template " + TextOf(record) + " is being saved or deleted");
    }
  }
  const Busy busy(mutex_, busy_, key);
  std::string user = in_use_ ? in_use_(record) : "";
  std::set<std::string> images;
  for (const auto& grant : GrantsOf(record)) images.insert(grant.image());
  for (const VclusterView& view : master_.All()) {
    for (const master::v1::ImageGrant& grant : view.vcluster->record.grants()) {
      if (images.contains(grant.image())) {
        user = "Vcluster " + users_.NameOf(view.vcluster->record.owner_uid()) + "/" +
               view.vcluster->record.name();
      }
    }
  }
  if (!user.empty()) {
    return Error(Code::kFailedPrecondition,
                 "template " + TextOf(record) + " is used by " + user + ": delete that first");
  }
  record.set_phase(master::v1::TEMPLATE_DELETING);
  RETURN_IF_ERROR(Put(record));
  Status gone = RemoveNow(record);
  // What cannot be removed just now goes by itself: for its owner it is gone.
  if (!gone.ok()) LOG_WARNING("template " + key + " goes later: " + gone.error().message());
  return Ok();
}

Result<std::vector<ClusterView>> Templates::Create(const Caller& caller, const std::string& name,
                                                   const std::string& text, uint32_t count,
                                                   const std::string& driver,
                                                   const ProgressFn& progress,
                                                   const CancelToken& cancel) {
  if (count == 0 || count > kClonesMax) {
    return Error(Code::kInvalidArgument,
                 "the number of Vclusters must be 1 to " + std::to_string(kClonesMax));
  }
  ASSIGN_OR_RETURN(const Held held, Hold(caller, text));
  const Template& record = *held;
  ASSIGN_OR_RETURN(Definition definition, DefinitionOf(record));
  RETURN_IF_ERROR(master_.CheckVolumes(definition));
  for (Role& role : definition.roles) {
    if (count == 1) break;
    for (PortForward& port : role.ports) port.host_port = 0;  // One of them would get it.
  }
  std::vector<master::v1::Vcluster> records;
  for (uint32_t i = 1; i <= count; ++i) {
    definition.name = count == 1 ? name : name + "-" + std::to_string(i);
    RETURN_IF_ERROR(CheckClusterName(definition.name));
    ASSIGN_OR_RETURN(master::v1::Vcluster made,
                     NewVcluster(definition, caller.uid, master_.NowUnixMs()));
    for (master::v1::Node& node : *made.mutable_nodes()) node.set_driver(driver);
    *made.mutable_grants() = GrantsOf(record);
    made.set_cloned_from(TextOf(record));
    records.push_back(std::move(made));
  }
  Sending sending = PlanSending(master_, record.images());
  if (!sending.nothing()) {
    progress("images", 0, 0);
    for (const std::string& failure : Send(std::move(sending))) {
      LOG_WARNING("template " + TextOf(record) + ": " + failure);
    }
  }
  return clusters_.Make(caller, "template " + TextOf(record), std::move(records), progress, cancel);
}

}  // namespace strata::vcluster
