// What changes an image's names and what is said about it: tag, edit, scrub, delete, prune.
#include <optional>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::ImageService::Stub;

Result<int> Tag(Tool& tool, const api::TagRequest& request) {
  ASSIGN_OR_RETURN(const api::TagResponse response, Ask(tool, &Stub::Tag, request));
  return Show(tool, response, [&](const auto& tagged) {
    tool.console().out << Printable(FullName(tagged.image())) << " is "
                       << ShortDigest(tagged.image().digest()) << '\n';
  });
}

struct ScrubArguments {
  std::string reference;
  std::string name;
  bool replace = false;
  bool dry_run = false;
};

struct EditArguments {
  std::string reference;
  std::optional<std::string> description;
  std::vector<std::string> labels;
  std::vector<std::string> unlabel;
};

Result<int> Edit(Tool& tool, const EditArguments& arguments) {
  api::EditRequest request;
  request.set_reference(arguments.reference);
  if (arguments.description) request.set_description(*arguments.description);
  for (const std::string& label : arguments.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(Code::kInvalidArgument, "--label " + label + ": write KEY=VALUE");
    }
    (*request.mutable_set_labels())[label.substr(0, equals)] = label.substr(equals + 1);
  }
  for (const std::string& label : arguments.unlabel) request.add_remove_labels(label);
  ASSIGN_OR_RETURN(const api::EditResponse response, Ask(tool, &Stub::Edit, request));
  return Show(tool, response, [&](const auto& edited) {
    tool.console().out << Printable(FullName(edited.image())) << ": "
                       << Printable(edited.image().description()) << '\n';
    for (const auto& [key, value] : edited.image().labels()) {
      tool.console().out << "  " << Printable(key) << '=' << Printable(value) << '\n';
    }
  });
}

Result<int> Scrub(Tool& tool, const api::ScrubRequest& request) {
  ASSIGN_OR_RETURN(const api::ScrubResponse response, Ask(tool, &Stub::Scrub, request));
  return Show(tool, response, [&](const auto& scrubbed) {
    std::ostream& out = tool.console().out;
    Table table({"SECRET", "KIND", "WHY"});
    for (const api::ScrubbedSecret& secret : scrubbed.scrubbed()) {
      table.Add({"/" + secret.path(), secret.category(), secret.reason()});
    }
    table.Print(out);
    out << HumanCount(scrubbed.scrubbed_count()) << " secrets";
    if (scrubbed.has_image()) {
      out << " taken out: " << Printable(FullName(scrubbed.image())) << " is "
          << ShortDigest(scrubbed.image().digest());
    }
    out << '\n';
  });
}

template <typename Response>
void PrintFreed(const Response& response, std::ostream& out) {
  if (response.collection_deferred()) {
    out << "its room is freed when the collection that runs now is done\n";
  } else {
    out << HumanBytes(response.freed_bytes()) << " freed in "
        << HumanCount(response.freed_objects()) << " objects\n";
  }
}

Result<int> Delete(Tool& tool, const api::DeleteRequest& request) {
  ASSIGN_OR_RETURN(const api::DeleteResponse response, Ask(tool, &Stub::Delete, request));
  return Show(tool, response, [&](const auto& deleted) {
    std::ostream& out = tool.console().out;
    out << Printable(request.reference()) << " deleted: ";
    PrintFreed(deleted, out);
    for (const std::string& lease : deleted.kept_by()) {
      out << "  " << Printable(lease) << " runs on and keeps its files until it is deleted\n";
    }
  });
}

Result<int> Prune(Tool& tool, const api::PruneRequest& request) {
  ASSIGN_OR_RETURN(const api::PruneResponse response, Ask(tool, &Stub::Prune, request));
  return Show(tool, response, [&](const auto& pruned) {
    std::ostream& out = tool.console().out;
    for (const api::Image& image : pruned.images()) {
      out << Printable(image.owner() + "/" + image.name()) << '@' << ShortDigest(image.digest())
          << "  " << LocalTime(image.created_unix_ms()) << "  " << Printable(image.description())
          << '\n';
    }
    out << HumanCount(static_cast<uint64_t>(pruned.images_size())) << " versions without a tag"
        << (request.dry_run() ? " would go, " : ": ");
    PrintFreed(pruned, out);
  });
}

}  // namespace

void AddChangeCommands(Tool& tool) {
  auto tag = std::make_shared<api::TagRequest>();
  auto words = std::make_shared<std::pair<std::string, std::string>>();
  auto replace = std::make_shared<bool>(false);
  auto keep_secrets = std::make_shared<bool>(false);
  CLI::App* command = tool.AddCommand(
      "tag", "Give an image one more name, or a tag another image",
      "  vimage tag tools:v2 tools:stable --replace\n  vimage tag alice/spark:v1 myspark\n"
      "  vimage tag tools@1a2b3c4d5e6f tools --replace",
      [&tool, tag, words, replace, keep_secrets] {
        tag->set_reference(words->first);
        tag->set_new_reference(words->second);
        tag->set_replace(*replace);
        tag->set_keep_secrets(*keep_secrets);
        return Tag(tool, *tag);
      });
  command->add_option("IMAGE", words->first, "[OWNER/]NAME[:TAG] or [OWNER/]NAME@DIGEST")
      ->required();
  command->add_option("NEW", words->second, "NAME[:TAG]")->required();
  command->add_flag("--replace", *replace, "Move NEW if it is taken");
  command->add_flag("--keep-secrets", *keep_secrets,
                    "Also when NEW is shared and containers left keys or tokens in the image");

  auto edit = std::make_shared<EditArguments>();
  command = tool.AddCommand("edit", "Change what is said about an image",
                            "  vimage edit tools --description 'compilers' --label course=os\n"
                            "  vimage edit tools --unlabel course",
                            [&tool, edit] { return Edit(tool, *edit); });
  command->add_option("IMAGE", edit->reference, "NAME[:TAG]")->required();
  command->add_option("--description", edit->description, "One line for those who browse");
  command->add_option("--label", edit->labels, "KEY=VALUE; repeatable")->allow_extra_args(false);
  command->add_option("--unlabel", edit->unlabel, "KEY; repeatable")->allow_extra_args(false);

  auto scrub = std::make_shared<ScrubArguments>();
  command = tool.AddCommand(
      "scrub", "Take keys, tokens and histories out of what containers left in an image",
      "  vimage scrub tools --dry-run\n  vimage scrub tools --replace\n  vimage scrub tools --as "
      "clean",
      [&tool, scrub] {
        api::ScrubRequest request;
        request.set_reference(scrub->reference);
        request.set_new_reference(scrub->name);
        request.set_replace(scrub->replace);
        request.set_dry_run(scrub->dry_run);
        return Scrub(tool, request);
      });
  command->add_option("IMAGE", scrub->reference, "[OWNER/]NAME[:TAG]")->required();
  command->add_option("--as", scrub->name, "NAME[:TAG] of the clean one; its own if not given");
  command->add_flag("--replace", scrub->replace, "Give the name to the clean one if it is taken");
  command->add_flag("--dry-run", scrub->dry_run, "Only say what would go");

  auto reference = std::make_shared<std::string>();
  auto force = std::make_shared<bool>(false);
  command = tool.AddCommand(
      "delete", "Take an image's name away, and its files if nothing else needs them",
      "  vimage delete tools:v1\n  vimage delete tools@1a2b3c4d5e6f\n"
      "  vimage delete tools --force   # though nodes run from it: they keep its files",
      [&tool, reference, force] {
        api::DeleteRequest request;
        request.set_reference(*reference);
        request.set_force(*force);
        return Delete(tool, request);
      });
  command->add_option("IMAGE", *reference, "NAME[:TAG] or NAME@DIGEST")->required();
  command->add_flag("--force", *force, "Also when nodes run from it");

  auto dry_run = std::make_shared<bool>(false);
  auto all_users = std::make_shared<bool>(false);
  command =
      tool.AddCommand("prune", "Remove earlier versions that no tag points to any more",
                      "  vimage prune --dry-run\n  vimage prune", [&tool, dry_run, all_users] {
                        api::PruneRequest request;
                        request.set_dry_run(*dry_run);
                        request.set_all_owners(*all_users);
                        return Prune(tool, request);
                      });
  command->add_flag("--dry-run", *dry_run, "Only say what would go");
  command->add_flag("--all-users", *all_users, "Everybody's (root)");
}

}  // namespace strata::tools
