#include "imaged/save/secret_scrub.h"

#include <dirent.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "common/file_io.h"
#include "common/parallel.h"
#include "imaged/save/secret_content.h"

namespace strata::imaged {
namespace {

using Outcome = ScrubFinding::Outcome;

constexpr uint64_t kHeadBytes = 4096;  // Most binary files show what they are so early.

// A name of the layer, and what the base has at the same path.
struct Name {
  std::string path;
  InodeIndex parent = 0;
  std::string last;
  InodeIndex index = 0;
  std::optional<Nid> below;
};

std::string Join(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : directory + "/" + std::string(name);
}

Result<std::optional<Nid>> LookUp(const ErofsReader& base, std::optional<Nid> directory,
                                  std::string_view name) {
  if (!directory) return std::optional<Nid>();
  ASSIGN_OR_RETURN(const auto entry, base.Lookup(*directory, name), std::string(name));
  return entry ? std::optional<Nid>(entry->nid) : std::nullopt;
}

// What a directory of the layer is merged with.
Result<std::optional<Nid>> MergedWith(const ErofsReader& base, const Inode& directory,
                                      std::optional<Nid> below) {
  if (!below || directory.opaque) return std::optional<Nid>();
  ASSIGN_OR_RETURN(const ErofsInode inode, base.GetInode(*below));
  return S_ISDIR(inode.mode) ? below : std::nullopt;
}

class Scrubber {
 public:
  Scrubber(const ErofsReader& base, const OpenContent& open, Tree* layer)
      : base_(base), open_(open), layer_(*layer) {}

  Result<std::vector<ScrubFinding>> Run() {
    RETURN_IF_ERROR(WalkLayer(Tree::kRoot, base_.root(), "",
                              [this](Name name) { return JudgeByPath(std::move(name)); }));
    RETURN_IF_ERROR(JudgeByContent());
    RETURN_IF_ERROR(WalkLayer(Tree::kRoot, base_.root(), "", [this](Name name) {
      if (verdicts_.contains(name.index)) doomed_.push_back(std::move(name));
      return Ok();
    }));
    for (const Name& name : doomed_) RETURN_IF_ERROR(Apply(name), name.path);
    RETURN_IF_ERROR(ReportBase(base_.root(), Tree::kRoot, ""));
    return std::move(findings_);
  }

 private:
  struct Verdict {
    const SecretRule* rule;
    bool in_base = false;
  };
  struct Suspect {
    InodeIndex index;
    const SecretRule* rule = nullptr;  // What its content was found to be.
  };

  // Visits the names of regular files that have content.
  template <typename Visit>
  Status WalkLayer(InodeIndex directory, std::optional<Nid> merged, const std::string& path,
                   const Visit& visit) {
    for (const auto& [last, index] : *layer_.inode(directory).children) {
      const Inode& inode = layer_.inode(index);
      const bool is_file = inode.IsRegular() && inode.size > 0;
      if (!is_file && !inode.IsDirectory()) continue;
      Name name{Join(path, last), directory, last, index, std::nullopt};
      ASSIGN_OR_RETURN(name.below, LookUp(base_, merged, last), path);
      if (is_file) {
        RETURN_IF_ERROR(visit(std::move(name)));
      } else {
        ASSIGN_OR_RETURN(const auto inside, MergedWith(base_, inode, name.below), name.path);
        RETURN_IF_ERROR(WalkLayer(index, inside, name.path, visit));
      }
    }
    return Ok();
  }

  Status JudgeByPath(Name name) {
    if (verdicts_.contains(name.index)) return Ok();
    const Inode& inode = layer_.inode(name.index);
    ASSIGN_OR_RETURN(const bool in_base, IsUnchanged(inode, name.below), name.path);
    if (const SecretRule* rule = FindSecretPath(name.path)) {
      ASSIGN_OR_RETURN(const bool holds, Holds(*rule, inode), name.path);
      if (holds) {
        verdicts_.emplace(name.index, Verdict{rule, in_base});
        return Ok();
      }
    }
    if (in_base || inode.size > kSecretContentMax || IsShipped(name.path)) return Ok();
    if (inode.nlink == 1 || linked_suspects_.insert(name.index).second) {
      suspects_.push_back({name.index});
    }
    return Ok();
  }

  Status JudgeByContent() {
    RETURN_IF_ERROR(ParallelFor(suspects_.size(), [this](size_t i) -> Status {
      ASSIGN_OR_RETURN(const auto content,
                       Content(layer_.inode(suspects_[i].index), /*text_only=*/true));
      if (content) suspects_[i].rule = FindSecretContent(*content);
      return Ok();
    }));
    for (const Suspect& suspect : suspects_) {
      if (suspect.rule != nullptr) verdicts_.emplace(suspect.index, Verdict{suspect.rule});
    }
    return Ok();
  }

  // The content that the base has at the same path.
  Result<bool> IsUnchanged(const Inode& inode, std::optional<Nid> below) const {
    if (!below) return false;
    ASSIGN_OR_RETURN(const ErofsInode old, base_.GetInode(*below));
    if (!S_ISREG(old.mode) || old.size != inode.size) return false;
    ASSIGN_OR_RETURN(const Digest object, base_.GetObject(*below));
    if (!object.IsZero() || !inode.object.IsZero()) return object == inode.object;
    ASSIGN_OR_RETURN(const std::string_view data, base_.GetInlineData(*below));
    return data == inode.data;
  }

  // nullopt: it is not on this host, or begins like a binary file where only text is wanted.
  Result<std::optional<std::string>> Content(const Inode& inode, bool text_only) const {
    if (inode.object.IsZero()) return std::optional<std::string>(inode.data);
    const auto fd = open_(inode.object);
    if (!fd.ok() && fd.error().code() == Code::kNotFound) return std::optional<std::string>();
    if (!fd.ok()) return fd.error();
    std::string content(std::min<uint64_t>(inode.size, kHeadBytes), '\0');
    RETURN_IF_ERROR(PReadExactly(fd->get(), content.data(), content.size(), 0));
    if (text_only && content.find('\0') != std::string::npos) return std::optional<std::string>();
    const size_t head = content.size();
    content.resize(inode.size);
    RETURN_IF_ERROR(PReadExactly(fd->get(), content.data() + head, content.size() - head, head));
    return std::optional<std::string>(std::move(content));
  }

  // What cannot be looked at counts as a secret.
  Result<bool> Holds(const SecretRule& rule, const Inode& inode) const {
    if (rule.holds.empty() || inode.size > kSecretContentMax) return true;
    ASSIGN_OR_RETURN(const auto content, Content(inode, /*text_only=*/false));
    return !content || content->find(rule.holds) != std::string::npos;
  }

  Status Apply(const Name& name) {
    const Verdict& verdict = verdicts_.at(name.index);
    Outcome outcome = Outcome::kInBase;
    if (!verdict.in_base) {
      const bool empty = verdict.rule->action == SecretAction::kEmpty;
      outcome = empty ? Outcome::kEmptied : Outcome::kRemoved;
      if (!empty) RETURN_IF_ERROR(Remove(name));
      // Also of what lost its name: nothing may write it by mistake.
      Inode& inode = layer_.mutable_inode(name.index);
      inode.size = 0;
      inode.object = Digest();
      inode.data.clear();
    }
    findings_.push_back({name.path, outcome, verdict.rule});
    return Ok();
  }

  Status Remove(const Name& name) {
    RETURN_IF_ERROR(layer_.Unlink(name.parent, name.last));
    if (!name.below) return Ok();
    Inode whiteout;
    whiteout.mode = S_IFCHR;
    ASSIGN_OR_RETURN(const InodeIndex index, layer_.AddInode(std::move(whiteout)));
    return layer_.Link(name.parent, name.last, index);
  }

  // Secrets of the base that the layer leaves visible. `over`: the layer's directory at this path.
  Status ReportBase(Nid directory, std::optional<InodeIndex> over, const std::string& path) {
    std::vector<std::pair<std::string, Nid>> inside;
    Status status = Ok();
    RETURN_IF_ERROR(base_.ReadDirectory(directory, 0, [&](const ErofsDirEntry& entry) {
      if (entry.type == DT_DIR) {
        inside.emplace_back(entry.name, entry.nid);
      } else if (entry.type == DT_REG && !(over && layer_.Lookup(*over, entry.name))) {
        status = ReportBaseFile(entry.nid, Join(path, entry.name));
      }
      return status.ok();
    }));
    RETURN_IF_ERROR(status, path);
    for (const auto& [name, nid] : inside) {
      std::optional<InodeIndex> above;
      if (over) above = layer_.Lookup(*over, name);
      if (above) {
        const Inode& inode = layer_.inode(*above);
        if (!inode.IsDirectory() || inode.opaque) continue;  // Hidden.
      }
      RETURN_IF_ERROR(ReportBase(nid, above, Join(path, name)));
    }
    return Ok();
  }

  Status ReportBaseFile(Nid nid, std::string path) {
    const SecretRule* rule = FindSecretPath(path);
    if (rule == nullptr) return Ok();
    ASSIGN_OR_RETURN(const ErofsInode from, base_.GetInode(nid));
    Inode inode;
    inode.size = from.size;
    ASSIGN_OR_RETURN(inode.object, base_.GetObject(nid));
    if (inode.object.IsZero()) {
      ASSIGN_OR_RETURN(inode.data, base_.GetInlineData(nid));
    }
    ASSIGN_OR_RETURN(const bool holds, Holds(*rule, inode));
    if (inode.size > 0 && holds) findings_.push_back({std::move(path), Outcome::kInBase, rule});
    return Ok();
  }

  const ErofsReader& base_;
  const OpenContent& open_;
  Tree& layer_;
  std::unordered_map<InodeIndex, Verdict> verdicts_;
  std::vector<Suspect> suspects_;  // Files whose content is to be looked at.
  std::unordered_set<InodeIndex> linked_suspects_;
  std::vector<Name> doomed_;
  std::vector<ScrubFinding> findings_;
};

}  // namespace

Result<std::vector<ScrubFinding>> ScrubSecrets(const ErofsReader& base, const OpenContent& open,
                                               Tree* layer) {
  return Scrubber(base, open, layer).Run();
}

}  // namespace strata::imaged
