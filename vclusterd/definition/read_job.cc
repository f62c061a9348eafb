#include <algorithm>
#include <charconv>

#include "vclusterd/definition/choices.h"
#include "vclusterd/definition/document.h"
#include "vclusterd/definition/faults.h"
#include "vclusterd/definition/field_reader.h"
#include "vclusterd/definition/job.h"
#include "vclusterd/definition/read_definition.h"
#include "vclusterd/definition/read_role.h"
#include "vclusterd/definition/units.h"
#include "vclusterd/definition/words.h"

namespace strata::vcluster {
namespace {

using file::Field;
using file::FieldReader;
using file::Value;
using std::chrono::seconds;

constexpr seconds kTimeMax{30 * 86'400};
constexpr seconds kDelayMax{86'400};
constexpr size_t kPathMax = 255;
constexpr uint32_t kIdMax = 65'535;
constexpr int kJobFileVersion = 1;

constexpr Choices<JobKeep, 3> kKeeps = {{{JobKeep::kNever, "never"},
                                         {JobKeep::kOnFailure, "on-failure"},
                                         {JobKeep::kAlways, "always"}}};

bool IsName(std::string_view name, size_t size_max) {
  return name.size() <= size_max && CheckClusterName(name).ok();
}

std::string NameFault(std::string_view name, const std::string& what, size_t size_max) {
  return Quoted(name) + " cannot be the name of a " + what +
         ": a lower-case letter, then at most " + std::to_string(size_max - 1) +
         " lower-case letters, digits and '-'";
}

template <typename T>
bool ParseNumber(std::string_view text, T* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

// What a task's `on` cannot mean in this Vcluster; empty: it can.
std::string PlaceFault(const TaskPlace& place, const Definition& vcluster) {
  if (place.all || place.role.empty()) return "";
  const Role* role = vcluster.FindRole(place.role);
  if (role == nullptr) {
    std::vector<std::string_view> names = {"all"};
    for (const Role& known : vcluster.roles) names.push_back(known.name);
    return "the Vcluster has no role " + Quoted(place.role) + DidYouMean(place.role, names);
  }
  const uint32_t most = std::max(role->count, role->autoscale ? role->autoscale->max : 0);
  if (place.ordinal.has_value() && *place.ordinal >= most) {
    return "role " + Quoted(place.role) + " has " + std::to_string(most) +
           " nodes, which are counted from 0";
  }
  return "";
}

size_t RunsOf(const TaskPlace& place, const Definition& vcluster) {
  if (place.all) return vcluster.NodeCount();
  if (place.ordinal.has_value()) return 1;
  const Role* role = vcluster.FindRole(place.role);
  return role == nullptr ? 0 : role->count;
}

std::string RunsFault(const JobDefinition& job, const Definition& vcluster) {
  size_t runs = 0;
  for (const TaskDefinition& task : job.tasks) runs += RunsOf(task.on, vcluster);
  if (runs <= kTaskRunsMax) return "";
  return "would run " + std::to_string(runs) +
         " commands, each task once in each of its nodes: " + "at most " +
         std::to_string(kTaskRunsMax);
}

class JobReader {
 public:
  JobReader(const Value& root, const std::string& file_name, const FileSource& files)
      : root_(root), file_name_(file_name), files_(files), in_(root, file_name) {}

  Result<JobDefinition> Read() {
    if (root_.kind != Value::Kind::kMap) {
      in_.Fault(in_.root(),
                "begins with no key: a job file has lines such as 'name: count' and 'tasks:'");
      return in_.ToError();
    }
    in_.Map(in_.root(),
            {{"version", [&](const Field& f) { ReadVersion(f); }},
             {"name", [&](const Field& f) { ReadName(f); }},
             {"vcluster", [&](const Field& f) { ReadVcluster(f); }},
             {"create", [&](const Field& f) { create_ = f; }},
             {"keep", [&](const Field& f) { in_.Choice(f, kKeeps, &job_.keep); }},
             {"timeout", [&](const Field& f) { ReadTime(f, seconds(1), kTimeMax, &job_.timeout); }},
             {"tasks", [&](const Field& f) { ReadTasks(f); }}});
    for (const char* key : {"name", "tasks"}) {
      if (root_.Find(key) == nullptr) in_.Fault(in_.root(), "has no '" + std::string(key) + "'");
    }
    CheckWhere();
    std::string create_faults;
    if (create_.has_value()) create_faults = ReadCreate(*create_);
    CheckAfter();
    CheckTexts();
    if (in_.ok() && create_faults.empty()) return std::move(job_);
    std::string text = in_.ok() ? "" : in_.ToError().message();
    if (!text.empty() && !create_faults.empty()) text += "\n";
    return Error(Code::kInvalidArgument, text + create_faults);
  }

 private:
  struct Places {
    Field task;
    std::optional<Field> on;
    std::optional<Field> after;
  };

  // Otherwise there is a fault already: only what is in quotes may be empty.
  static bool WasRead(const Field& field, const std::string& text) {
    return !text.empty() || field.value->quoted;
  }

  void ReadVersion(const Field& field) {
    int version = kJobFileVersion;
    in_.Integer(field, &version);
    if (version == kJobFileVersion) return;
    in_.Fault(field, "version " + std::to_string(version) + " is not known: this Strata reads " +
                         std::to_string(kJobFileVersion));
  }

  void ReadName(const Field& field) {
    in_.Text(field, &job_.name);
    if (!WasRead(field, job_.name) || IsName(job_.name, kNameSizeMax)) return;
    in_.Fault(field, NameFault(job_.name, "job", kNameSizeMax));
  }

  void ReadVcluster(const Field& field) {
    in_.Text(field, &job_.vcluster);
    const size_t slash = job_.vcluster.find('/');
    const std::string name =
        slash == std::string::npos ? job_.vcluster : job_.vcluster.substr(slash + 1);
    const bool owner_fits = slash == std::string::npos || (slash > 0 && slash <= kPathMax);
    if ((IsName(name, kNameSizeMax) && owner_fits) || !WasRead(field, job_.vcluster)) return;
    in_.Fault(field, Quoted(job_.vcluster) + " names no Vcluster: [OWNER/]NAME");
  }

  void ReadTime(const Field& field, seconds min, seconds max, seconds* out) {
    seconds time = *out;
    in_.Duration(field, &time);
    if (time < min || time > max) {
      in_.Fault(field, DurationText(time) + " is not from " + DurationText(min) + " to " +
                           DurationText(max));
      return;
    }
    *out = time;
  }

  void CheckWhere() {
    const bool named = root_.Find("vcluster") != nullptr;
    if (named && create_.has_value()) {
      in_.Fault(*create_, "there is 'vcluster' already: one of the two");
    } else if (!named && !create_.has_value()) {
      in_.Fault(in_.root(),
                "says not where it runs: 'vcluster: NAME' of one that exists, or 'create:' for "
                "one of its own");
    }
    if (root_.Find("keep") != nullptr && !create_.has_value()) {
      in_.Fault(in_.root(), "has 'keep', which is for a Vcluster that is made by 'create'");
    }
  }

  // A map is a Vcluster file itself; a text names one. Answers its faults, a line for each.
  std::string ReadCreate(const Field& field) {
    Value root = *field.value;
    std::string from = file_name_;
    std::string prefix = "create.";
    if (field.value->kind == Value::Kind::kScalar) {
      std::string path;
      in_.Text(field, &path);
      if (!WasRead(field, path)) return "";
      const auto text = files_(path);
      if (!text.ok()) {
        in_.Fault(field, text.error().message());
        return "";
      }
      from = path;
      prefix.clear();
      auto read = file::ReadYamlOrJson(*text, path);
      if (!read.ok()) return read.error().message();
      root = std::move(*read);
    } else if (field.value->kind != Value::Kind::kMap) {
      in_.Fault(field, "should be the name of a Vcluster file, or what stands in one");
      return "";
    }
    job_.names_created = root.Find("name") != nullptr;
    if (!job_.names_created && root.kind == Value::Kind::kMap) {
      file::Entry name{"name", root.at, {}};
      name.value.kind = Value::Kind::kScalar;
      name.value.at = root.at;
      name.value.text = IsName(job_.name, kNameSizeMax) ? job_.name : "job";
      name.value.quoted = true;
      root.entries.push_back(std::move(name));
    }
    auto created = file::ReadDefinition(root, from, prefix);
    if (!created.ok()) return created.error().message();
    job_.create = std::move(*created);
    for (size_t i = 0; i < job_.tasks.size(); ++i) {
      const std::string fault = PlaceFault(job_.tasks[i].on, *job_.create);
      if (!fault.empty() && places_[i].on.has_value()) in_.Fault(*places_[i].on, fault);
    }
    const std::string fault = RunsFault(job_, *job_.create);
    if (!fault.empty()) in_.Fault(in_.root(), fault);
    return "";
  }

  void ReadTasks(const Field& field) {
    in_.Entries(field, [&](const std::string& name, const Field& child) {
      if (job_.tasks.size() == kTasksMax) {
        in_.Fault(child, "is one task too many: " + std::to_string(kTasksMax) + " are allowed");
        return;
      }
      if (!IsName(name, kTaskNameSizeMax)) {
        in_.Fault(child, NameFault(name, "task", kTaskNameSizeMax));
      }
      TaskDefinition& task = job_.tasks.emplace_back();
      task.name = name;
      places_.push_back({child, std::nullopt, std::nullopt});
      ReadTask(child, &task, &places_.back());
    });
    if (field.value->kind == Value::Kind::kMap && job_.tasks.empty() && in_.ok()) {
      in_.Fault(field, "has no task in it");
    }
  }

  void ReadTask(const Field& field, TaskDefinition* task, Places* places) {
    if (field.value->kind != Value::Kind::kMap) {  // "prepare: ./prepare.sh"
      file::ReadCommand(in_, field, &task->argv);
    } else {
      in_.Map(
          field,
          {{"run", [&](const Field& f) { file::ReadCommand(in_, f, &task->argv); }},
           {"on",
            [&](const Field& f) {
              places->on = f;
              ReadPlace(f, &task->on);
            }},
           {"after",
            [&](const Field& f) {
              places->after = f;
              in_.Words(f, &task->after);
            }},
           {"timeout", [&](const Field& f) { ReadTime(f, seconds(1), kTimeMax, &task->timeout); }},
           {"retries", [&](const Field& f) { ReadRetries(f, &task->retries); }},
           {"retry-delay",
            [&](const Field& f) { ReadTime(f, seconds(0), kDelayMax, &task->retry_delay); }},
           {"env", [&](const Field& f) { file::ReadEnv(in_, f, &task->env); }},
           {"user", [&](const Field& f) { ReadUser(f, task); }},
           {"directory", [&](const Field& f) { ReadDirectory(f, task); }},
           {"allow-failure", [&](const Field& f) { in_.Bool(f, &task->allow_failure); }}});
      if (field.value->Find("run") == nullptr) in_.Fault(field, "has no 'run': no command");
    }
    // Commands and variables are those of a role.
    Role checked;
    checked.image = "none";
    checked.env = task->env;
    checked.command = task->argv;
    for (const file::Fault& fault : file::FindFaultsOfRole(checked)) {
      Field at = field;
      at.path += "." + (fault.path == "command" ? "run" : fault.path);
      in_.Fault(at, fault.reason);
    }
  }

  void ReadRetries(const Field& field, uint32_t* retries) {
    in_.Integer(field, retries);
    if (*retries <= kTaskRetriesMax) return;
    in_.Fault(field, std::to_string(*retries) + " is too much: at most " +
                         std::to_string(kTaskRetriesMax));
  }

  // "all", "worker", "worker/0"
  void ReadPlace(const Field& field, TaskPlace* place) {
    std::string text;
    in_.Text(field, &text);
    if (!WasRead(field, text)) return;
    place->ordinal.reset();
    if (text == "all") {
      place->all = true;
      return;
    }
    const size_t slash = text.find('/');
    place->role = text.substr(0, slash);
    uint32_t ordinal = 0;
    const bool one = slash != std::string::npos;
    if (one && ParseNumber(text.substr(slash + 1), &ordinal)) place->ordinal = ordinal;
    if (!IsName(place->role, kRoleNameSizeMax) || one != place->ordinal.has_value()) {
      in_.Fault(field, Quoted(text) +
                           " is no place: a role, one node of it as in 'worker/0', or "
                           "'all'");
      place->role.clear();
    }
  }

  // "1000", "1000:100"
  void ReadUser(const Field& field, TaskDefinition* task) {
    std::string text;
    in_.Text(field, &text, true);
    if (!WasRead(field, text)) return;
    const size_t colon = text.find(':');
    const bool good =
        ParseNumber(text.substr(0, colon), &task->uid) &&
        (colon == std::string::npos || ParseNumber(text.substr(colon + 1), &task->gid));
    if (colon == std::string::npos) task->gid = task->uid;
    if (good && task->uid <= kIdMax && task->gid <= kIdMax) return;
    in_.Fault(field,
              Quoted(text) + " is no UID or UID:GID, as numbers up to " + std::to_string(kIdMax));
  }

  void ReadDirectory(const Field& field, TaskDefinition* task) {
    in_.Text(field, &task->directory);
    if (!WasRead(field, task->directory)) return;
    if (!task->directory.starts_with('/') || task->directory.size() > kPathMax) {
      in_.Fault(field, Quoted(task->directory) + " is no absolute path of at most " +
                           std::to_string(kPathMax) + " bytes");
    }
  }

  // Each exists, none twice, none waits for itself.
  void CheckAfter() {
    std::vector<std::string_view> names;
    for (const TaskDefinition& task : job_.tasks) names.push_back(task.name);
    bool known = true;
    for (size_t i = 0; i < job_.tasks.size(); ++i) {
      if (!places_[i].after.has_value()) continue;
      std::vector<std::string> seen;
      for (const std::string& name : job_.tasks[i].after) {
        if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
          in_.Fault(*places_[i].after, Quoted(name) + " is there twice");
        } else if (std::find(names.begin(), names.end(), name) == names.end()) {
          in_.Fault(*places_[i].after,
                    "there is no task " + Quoted(name) + DidYouMean(name, names));
          known = false;
        }
        seen.push_back(name);
      }
    }
    if (known) CheckCircle();
  }

  // Takes tasks away that wait for nothing any more; what is left goes round, or waits for that.
  void CheckCircle() {
    std::vector<const TaskDefinition*> left;
    for (const TaskDefinition& task : job_.tasks) left.push_back(&task);
    const auto waits = [&](const TaskDefinition* task) {
      return std::any_of(left.begin(), left.end(), [&](const TaskDefinition* other) {
        return std::find(task->after.begin(), task->after.end(), other->name) != task->after.end();
      });
    };
    while (true) {
      const auto free = std::find_if_not(left.begin(), left.end(), waits);
      if (free == left.end()) break;
      left.erase(free);
    }
    if (left.empty()) return;
    // From any of them, back until one comes again.
    std::vector<const TaskDefinition*> way = {left.front()};
    while (true) {
      const TaskDefinition* next = *std::find_if(left.begin(), left.end(), [&](const auto* other) {
        const auto& after = way.back()->after;
        return std::find(after.begin(), after.end(), other->name) != after.end();
      });
      const bool round = std::find(way.begin(), way.end(), next) != way.end();
      way.push_back(next);
      if (!round) continue;
      std::string text;
      const auto start = std::find(way.begin(), way.end(), next);
      for (auto task = start; task != way.end(); ++task) {
        text += (text.empty() ? "" : " after ") + (*task)->name;
      }
      const auto index = static_cast<size_t>(next - job_.tasks.data());
      in_.Fault(*places_[index].after, "these tasks wait for each other: " + text);
      return;
    }
  }

  void CheckTexts() {
    size_t bytes = 0;
    for (const TaskDefinition& task : job_.tasks) {
      for (const std::string& word : task.argv) bytes += word.size() + 1;
      for (const auto& [name, value] : task.env) bytes += name.size() + value.size() + 2;
    }
    if (bytes <= kJobTextBytesMax) return;
    in_.Fault(in_.root(), "has " + std::to_string(bytes) +
                              " bytes of commands and variables: at most " +
                              std::to_string(kJobTextBytesMax) +
                              " (put scripts into the image, or into files)");
  }

  const Value& root_;
  const std::string& file_name_;
  const FileSource& files_;
  FieldReader in_;
  JobDefinition job_;
  std::optional<Field> create_;
  std::vector<Places> places_;  // As job_.tasks.
};

}  // namespace

Result<JobDefinition> ParseJob(std::string_view text, const std::string& file_name,
                               const FileSource& files) {
  ASSIGN_OR_RETURN(const Value root, file::ReadYamlOrJson(text, file_name));
  return JobReader(root, file_name, files).Read();
}

Status CheckPlaces(const JobDefinition& job, const Definition& vcluster) {
  for (const TaskDefinition& task : job.tasks) {
    const std::string fault = PlaceFault(task.on, vcluster);
    if (!fault.empty()) {
      return Error(Code::kInvalidArgument, "tasks." + task.name + ".on: " + fault);
    }
  }
  const std::string fault = RunsFault(job, vcluster);
  if (!fault.empty()) return Error(Code::kInvalidArgument, "the job " + fault);
  return Ok();
}

}  // namespace strata::vcluster
