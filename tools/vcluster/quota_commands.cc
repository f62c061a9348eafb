// Limits: quota show, set, unset.
#include <charconv>
#include <ostream>

#include "common/printable.h"
#include "common/thousandths.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vcluster/account_commands.h"
#include "vclusterd/definition/units.h"

namespace strata::tools {
namespace {

namespace api = accounts::v1;
using Stub = api::UserService::Stub;
using users::v1::Limits;

struct Arguments {
  api::LimitsRequest whose;
  std::vector<std::string> words;  // "nodes=10", or "nodes" of unset.
};

Result<uint64_t> ParseCount(const std::string& text) {
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc() && end == text.data() + text.size()) return count;
  return Error(Code::kInvalidArgument, "'" + Printable(text, 40) + "' is no number");
}

Result<uint64_t> ParseMilli(const std::string& text) {
  ASSIGN_OR_RETURN(const int64_t amount, ParseThousandths(text));
  if (amount < 0) return Error(Code::kInvalidArgument, "it is not negative");
  return static_cast<uint64_t>(amount);
}

std::string CountText(uint64_t count) { return std::to_string(count); }
std::string MilliText(uint64_t milli) {
  std::string text = ThousandthsText(static_cast<int64_t>(milli));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

struct ResourceWord {
  const char* name;
  Result<uint64_t> (*parse)(const std::string& text);
  std::string (*text)(uint64_t amount);
  void (Limits::*set)(uint64_t amount);
  bool (Limits::*has)() const;
  uint64_t (Limits::*get)() const;
};

const ResourceWord kResources[] = {
    {"nodes", ParseCount, CountText, &Limits::set_nodes, &Limits::has_nodes, &Limits::nodes},
    {"cpus", ParseMilli, MilliText, &Limits::set_cpus_milli, &Limits::has_cpus_milli,
     &Limits::cpus_milli},
    {"memory", [](const std::string& text) { return ParseBytes(text); }, HumanBytes,
     &Limits::set_memory_bytes, &Limits::has_memory_bytes, &Limits::memory_bytes},
    {"disk", [](const std::string& text) { return ParseBytes(text); }, HumanBytes,
     &Limits::set_disk_bytes, &Limits::has_disk_bytes, &Limits::disk_bytes},
    {"ports", ParseCount, CountText, &Limits::set_ports, &Limits::has_ports, &Limits::ports},
    {"bandwidth", [](const std::string& text) { return vcluster::ParseBitRate(text); },
     vcluster::BitRateText, &Limits::set_bandwidth_bits_per_s, &Limits::has_bandwidth_bits_per_s,
     &Limits::bandwidth_bits_per_s},
    {"bandwidth-per-host", [](const std::string& text) { return vcluster::ParseBitRate(text); },
     vcluster::BitRateText, &Limits::set_host_bandwidth_bits_per_s,
     &Limits::has_host_bandwidth_bits_per_s, &Limits::host_bandwidth_bits_per_s},
};

Result<const ResourceWord*> FindResource(const std::string& name) {
  for (const ResourceWord& resource : kResources) {
    if (name == resource.name) return &resource;
  }
  if (name == "images") {
    return Error(Code::kInvalidArgument,
                 "what images take is limited where they are kept: vimage quota user:NAME 20G");
  }
  return Error(
      Code::kInvalidArgument,
      "'" + Printable(name, 40) +
          "' is no resource: nodes, cpus, memory, disk, ports, bandwidth, bandwidth-per-host");
}

std::string AmountText(const std::string& resource, uint64_t amount) {
  const auto known = FindResource(resource);
  return known.ok() ? (*known)->text(amount) : std::to_string(amount);
}

void Print(const api::LimitsView& view, std::ostream& out) {
  if (view.effective().empty()) {
    Table table({"RESOURCE", ">LIMIT OF " + view.whose()});
    for (const ResourceWord& resource : kResources) {
      const bool has = (view.limits().*resource.has)();
      table.Add({resource.name, has ? resource.text((view.limits().*resource.get)()) : "-"});
    }
    table.Print(out);
    return;
  }
  Table table({"RESOURCE", ">USED", ">LIMIT", "IS THE LIMIT OF"});
  for (const api::EffectiveLimit& limit : view.effective()) {
    table.Add({limit.resource(),
               limit.has_used() ? AmountText(limit.resource(), limit.used()) : "?",
               limit.has_limit() ? AmountText(limit.resource(), limit.limit()) : "-",
               limit.has_limit() ? limit.whose() : "-"});
  }
  table.Print(out);
}

Result<int> ShowLimits(Tool& tool, const api::LimitsView& view) {
  return Show(tool, view,
              [&](const api::LimitsView& limits) { Print(limits, tool.console().out); });
}

Result<int> Get(Tool& tool, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto view, Ask(tool, &Stub::ShowLimits, arguments.whose));
  return ShowLimits(tool, view);
}

Result<int> Set(Tool& tool, const Arguments& arguments) {
  api::SetLimitsRequest request;
  *request.mutable_whose() = arguments.whose;
  for (const std::string& word : arguments.words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return Error(Code::kInvalidArgument,
                   "'" + Printable(word, 40) + "' is no RESOURCE=AMOUNT, as in memory=16G");
    }
    ASSIGN_OR_RETURN(const ResourceWord* resource, FindResource(word.substr(0, equals)));
    ASSIGN_OR_RETURN(const uint64_t amount, resource->parse(word.substr(equals + 1)),
                     resource->name);
    (request.mutable_set()->*resource->set)(amount);
  }
  ASSIGN_OR_RETURN(const auto view, Ask(tool, &Stub::SetLimits, request));
  return ShowLimits(tool, view);
}

Result<int> Unset(Tool& tool, const Arguments& arguments) {
  api::SetLimitsRequest request;
  *request.mutable_whose() = arguments.whose;
  request.set_unset_all(arguments.words.empty());
  request.mutable_unset()->Assign(arguments.words.begin(), arguments.words.end());
  ASSIGN_OR_RETURN(const auto view, Ask(tool, &Stub::SetLimits, request));
  return ShowLimits(tool, view);
}

}  // namespace

void AddQuotaCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("quota", "How much users may have");
  const auto command = [&](const char* name, const char* description, const char* examples,
                           Result<int> (*act)(Tool&, const Arguments&)) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* added = tool.AddCommand(
        name, description, examples, [&tool, arguments, act] { return act(tool, *arguments); },
        group);
    api::LimitsRequest& whose = arguments->whose;
    CLI::Option* user = added->add_option("--user", *whose.mutable_user(), "Of this user");
    CLI::Option* of_group =
        added->add_option("--group", *whose.mutable_group(), "Of each member of this group")
            ->excludes(user);
    added
        ->add_flag_callback(
            "--all", [arguments] { arguments->whose.set_group_all(true); },
            "Of all its members together")
        ->needs(of_group);
    added
        ->add_flag_callback(
            "--default", [arguments] { arguments->whose.set_is_default(true); },
            "Of who has none otherwise")
        ->excludes(user)
        ->excludes(of_group);
    return std::pair(added, arguments);
  };
  command("show", "Limits; of a user with what he has of them (yours)",
          "  vcluster quota show\n  vcluster quota show --group os --all", Get);
  const auto [set, set_arguments] = command(
      "set", "Set some of them (admins)",
      "  vcluster quota set --user alice nodes=10 cpus=8 memory=16G disk=100G bandwidth=100Mbit\n"
      "  vcluster quota set --default nodes=4",
      Set);
  set->add_option("RESOURCE=AMOUNT", set_arguments->words,
                  "nodes, cpus, memory, disk, ports, bandwidth, bandwidth-per-host")
      ->required();
  const auto [unset, unset_arguments] =
      command("unset", "Take limits away: those named, or all (admins)",
              "  vcluster quota unset --user alice memory", Unset);
  unset->add_option("RESOURCE", unset_arguments->words, "Which (all)");
}

}  // namespace strata::tools
