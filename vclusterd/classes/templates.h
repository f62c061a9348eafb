// Templates: whole Vclusters saved as of one moment, from which any number of others is made: the
// images of their nodes, roles, hooks, ports and limits under one name (docs/classes.md).
//
// A template is recorded before the first of its images is made and again when all are there;
// whatever ends in between, the next master removes what there is. No image goes before it is
// recorded that it does. What was committed without an answer is read again before anything rests
// on it.
//
// Thread-safe. Lock order: mutex_ is a leaf but for the master's.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "vclusterd/api/classes.pb.h"
#include "vclusterd/classes/group_save.h"
#include "vclusterd/classes/template_names.h"
#include "vclusterd/master/clusters.h"

namespace strata::vcluster {

struct SaveTemplateParameters {
  std::string cluster;
  std::string name;  // NAME[:TAG]
  std::string description;
  bool is_public = false;
  bool keep_secrets = false;
  std::string command_line;
};

// "ready", "saving", "deleting"
const char* WordOf(master::v1::TemplatePhase phase);

struct ShareTemplateParameters {
  std::optional<bool> is_public;
  std::vector<uint32_t> add_uids;
  std::vector<uint32_t> remove_uids;
  bool keep_secrets = false;
};

class Templates {
 public:
  using Template = master::v1::Template;
  using ProgressFn = Clusters::ProgressFn;

  // All must outlive the result.
  static Result<std::unique_ptr<Templates>> Open(Master& master, Clusters& clusters, Users& users);

  // After an error nothing is left, unless a host went away meanwhile: then the rest goes when it
  // is back. kAlreadyExists: the name is taken.
  Result<Template> Save(const Caller& caller, const SaveTemplateParameters& parameters,
                        const ProgressFn& progress, const CancelToken& cancel);
  // Ok when the caller may use such a template, and do this to it.
  Result<Target> MayDo(const Caller& caller, Operation operation, const std::string& text);
  // Those that the caller may use, and his own in any state.
  std::vector<Template> List(const Caller& caller);
  // kNotFound also for one that the caller may not use.
  Result<Template> Find(const Caller& caller, const std::string& text);
  // One that something is about to be made of: it is not deleted as long as this is there, which
  // must not outlive the templates. kNotFound as of Find; kFailedPrecondition: it is not ready.
  using Held = std::shared_ptr<const Template>;
  Result<Held> Hold(const Caller& caller, const std::string& text);
  // Whom the names mean. kNotFound: nobody, or it is a number.
  Result<ShareTemplateParameters> ShareWith(const std::vector<std::string>& add,
                                            const std::vector<std::string>& remove) const;
  // kFailedPrecondition: containers left secrets in its images.
  Result<Template> Share(const Caller& caller, const std::string& text,
                         const ShareTemplateParameters& parameters);
  // kFailedPrecondition while something is made from it.
  Status Delete(const Caller& caller, const std::string& text);
  // `count` 1: "name"; more: "name-1", "name-2", …
  Result<std::vector<ClusterView>> Create(const Caller& caller, const std::string& name,
                                          const std::string& text, uint32_t count,
                                          const std::string& driver, const ProgressFn& progress,
                                          const CancelToken& cancel);

  // Removes what is on its way out, as far as hosts are there.
  void CleanUp();

  // Not to be deleted as long as this answers a reason.
  using InUse = std::function<std::string(const Template&)>;
  void SetInUse(InUse in_use) { in_use_ = std::move(in_use); }

  // A definition and rights to its images, for records of others that use the template.
  static Result<Definition> DefinitionOf(const Template& record);
  static google::protobuf::RepeatedPtrField<master::v1::ImageGrant> GrantsOf(
      const Template& record);
  std::string TextOf(const Template& record) const;  // "alice/lab:v1"

 private:
  Templates(Master& master, Clusters& clusters, Users& users)
      : master_(master), clusters_(clusters), users_(users) {}
  bool MayUse(const Caller& caller, const Template& record) const;
  Target TargetOf(const Template& record) const;
  Status Load();
  Status Put(const Template& record);
  // REQUIRES of those below: mutex_ is held.
  Status LoadOne(const std::string& key, const std::string& value);
  Status PutHeld(const Template& record);
  Status ReadUnsure();

  Status Abandon(Template record);
  Status RemoveNow(const Template& record);
  Status DeleteFound(const Template& found);
  Result<Template> ShareFound(const Template& found, const ShareTemplateParameters& parameters);

  Master& master_;
  Clusters& clusters_;
  Users& users_;
  InUse in_use_;      // Set once, before others call.
  std::mutex mutex_;  // Guards what follows.
  std::map<std::string, Template> templates_;
  std::set<std::string> busy_;           // Keys that a call works on.
  std::map<std::string, size_t> holds_;  // How often each key is held.
  std::set<std::string> unsure_;         // Keys whose record may be another than in templates_.
};

}  // namespace strata::vcluster
