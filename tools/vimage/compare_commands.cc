// Two images side by side, and one put on another base: diff, rebase.
#include <google/protobuf/struct.pb.h>

#include <optional>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::ImageService::Stub;

struct DiffArguments {
  std::string before;
  std::string after;
  bool times = false;
  bool summary = false;
};

void PrintEntry(const api::DiffEntry& entry, std::ostream& out) {
  const char mark = entry.change() == api::DiffEntry::ADDED     ? '+'
                    : entry.change() == api::DiffEntry::REMOVED ? '-'
                                                                : 'M';
  out << mark << " /" << Printable(entry.path());
  if (entry.change() == api::DiffEntry::CHANGED) {
    std::string names;
    for (const std::string& name : entry.differences()) names += (names.empty() ? "" : ", ") + name;
    out << "  (" << names << ")";
    if (entry.before().size() != entry.after().size()) {
      out << "  " << HumanBytes(entry.before().size()) << " -> "
          << HumanBytes(entry.after().size());
    }
  }
  out << '\n';
}

void PrintSummary(const api::DiffSummary& summary, std::ostream& out) {
  out << HumanCount(summary.added()) << " added (" << HumanBytes(summary.added_bytes()) << "), "
      << HumanCount(summary.removed()) << " removed (" << HumanBytes(summary.removed_bytes())
      << "), " << HumanCount(summary.changed()) << " changed ("
      << HumanBytes(summary.changed_bytes()) << " of content), " << HumanCount(summary.times_only())
      << " only in their time; " << HumanBytes(summary.new_object_bytes()) << " of new content in "
      << HumanCount(summary.new_objects()) << " objects\n";
}

Result<int> Diff(Tool& tool, const DiffArguments& arguments) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::DiffRequest request;
  request.set_before(arguments.before);
  request.set_after(arguments.after);
  request.set_times(arguments.times);
  Stub stub(channel);
  const auto reader = stub.Diff(call.context(), request);
  api::DiffEvent all;  // For JSON, which is one document.
  std::optional<api::DiffSummary> summary;
  api::DiffEvent event;
  while (reader->Read(&event)) {
    if (event.has_summary()) summary = event.summary();
    if (arguments.summary) continue;
    if (tool.json()) {
      all.mutable_entries()->MergeFrom(event.entries());
      continue;
    }
    for (const api::DiffEntry& entry : event.entries()) PrintEntry(entry, tool.console().out);
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (!summary) return Error(Code::kInternal, "imaged ended the comparison without a summary");
  *all.mutable_summary() = *summary;
  return Show(tool, all, [&](const auto&) { PrintSummary(*summary, tool.console().out); });
}

struct RebaseArguments {
  std::string reference;
  std::string onto;
  std::string from;
  std::string name;
  std::string prefer;
  std::vector<std::string> take;
  bool replace = false;
  bool dry_run = false;
};

// "image:/etc/ssh", "base:/var/lib/dpkg".
Result<api::RebaseOverride> ParseTake(const std::string& text) {
  api::RebaseOverride one;
  const size_t colon = text.find(':');
  const std::string side = text.substr(0, colon);
  if (side == "image") one.set_side(api::REBASE_IMAGE);
  if (side == "base") one.set_side(api::REBASE_BASE);
  if (colon == std::string::npos || one.side() == api::REBASE_SIDE_UNSPECIFIED) {
    return Error(Code::kInvalidArgument, "--take " + text + ": write image:/PATH or base:/PATH");
  }
  one.set_path(text.substr(colon + 1));
  return one;
}

Result<api::RebaseRequest> MakeRequest(const RebaseArguments& arguments) {
  api::RebaseRequest request;
  request.set_reference(arguments.reference);
  request.set_onto(arguments.onto);
  request.set_from(arguments.from);
  request.set_new_reference(arguments.name);
  request.set_replace(arguments.replace);
  request.set_dry_run(arguments.dry_run);
  if (arguments.prefer == "image") request.set_prefer(api::REBASE_IMAGE);
  if (arguments.prefer == "base") request.set_prefer(api::REBASE_BASE);
  for (const std::string& take : arguments.take) {
    ASSIGN_OR_RETURN(*request.add_overrides(), ParseTake(take));
  }
  return request;
}

void PrintRebase(const api::RebaseResponse& response, std::ostream& out) {
  for (const api::RebaseConflict& conflict : response.conflicts()) {
    const char* taken = conflict.side() == api::REBASE_IMAGE  ? ": the image's is taken"
                        : conflict.side() == api::REBASE_BASE ? ": the base's is taken"
                                                              : "";
    out << "conflict /" << Printable(conflict.path()) << ": " << Printable(conflict.kind()) << taken
        << '\n';
  }
  for (const std::string& path : response.split_links()) {
    out << "/" << Printable(path) << " and its other names are no longer one file\n";
  }
  out << HumanCount(response.conflict_count()) << " conflicts, "
      << HumanCount(response.open_conflicts()) << " open; the changes since "
      << Printable(response.from()) << " were looked at\n";
  if (!response.has_image()) return;
  out << Printable(FullName(response.image())) << ": " << ShortDigest(response.image().digest())
      << ", " << HumanCount(response.summary().entries()) << " entries on "
      << Printable(response.image().lineage().parent_reference()) << '\n';
}

Result<int> Rebase(Tool& tool, const RebaseArguments& arguments) {
  ASSIGN_OR_RETURN(const api::RebaseRequest request, MakeRequest(arguments));
  ASSIGN_OR_RETURN(const api::RebaseResponse response, Ask(tool, &Stub::Rebase, request));
  ASSIGN_OR_RETURN(const int shown, Show(tool, response, [&](const auto& all) {
                     PrintRebase(all, tool.console().out);
                   }));
  if (response.open_conflicts() == 0) return shown;
  return Error(Code::kFailedPrecondition,
               "nothing was published: --prefer image or base, or --take image:/PATH, decides");
}

}  // namespace

void AddCompareCommands(Tool& tool) {
  auto diff = std::make_shared<DiffArguments>();
  CLI::App* command =
      tool.AddCommand("diff", "What differs between two images",
                      "  vimage diff tools:v1 tools:v2\n  vimage diff debian tools --summary",
                      [&tool, diff] { return Diff(tool, *diff); });
  command->add_option("BEFORE", diff->before, "[OWNER/]NAME[:TAG]")->required();
  command->add_option("AFTER", diff->after, "[OWNER/]NAME[:TAG]")->required();
  command->add_flag("--times", diff->times, "Also what differs in nothing but its time");
  command->add_flag("--summary", diff->summary, "Only the counts");

  auto rebase = std::make_shared<RebaseArguments>();
  command = tool.AddCommand(
      "rebase", "Put what an image changed on another base, as on a newer one of the same name",
      "  vimage rebase tools --onto debian --dry-run\n"
      "  vimage rebase tools --onto debian --as tools:new --prefer image --take "
      "base:/var/lib/dpkg\n"
      "Exit code 7 when both changed something and it is not said whose counts.",
      [&tool, rebase] { return Rebase(tool, *rebase); });
  command->add_option("IMAGE", rebase->reference, "[OWNER/]NAME[:TAG]")->required();
  command->add_option("--onto", rebase->onto, "The new base")->required();
  command->add_option("--from", rebase->from, "What the image was made from, if it is not found");
  command->add_option("--as", rebase->name,
                      "NAME[:TAG] of the result; the image's own if not given");
  command->add_option("--prefer", rebase->prefer, "Whose version counts where both changed it")
      ->check(CLI::IsMember({"image", "base"}));
  command->add_option("--take", rebase->take, "The same below a path: image:/PATH or base:/PATH")
      ->allow_extra_args(false);
  command->add_flag("--replace", rebase->replace, "Give the name to the result if it is taken");
  command->add_flag("--dry-run", rebase->dry_run, "Only report conflicts");
}

}  // namespace strata::tools
