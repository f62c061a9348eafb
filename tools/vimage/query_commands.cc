#include <algorithm>
#include <cctype>
#include <ostream>

#include "common/printable.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

constexpr size_t kDigestShown = 12;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool Matches(const api::Image& image, const std::vector<std::string>& words) {
  const std::string text = Lower(FullName(image) + " " + image.description());
  return std::all_of(words.begin(), words.end(), [&](const std::string& word) {
    return text.find(Lower(word)) != std::string::npos;
  });
}

void PrintImages(const api::ListResponse& list, std::ostream& out) {
  Table table({"IMAGE", ">SIZE", ">LAYERS", "SEEN BY", "MADE", "DESCRIPTION"});
  for (const api::Image& image : list.images()) {
    table.Add({FullName(image), HumanBytes(ContentBytes(image)),
               std::to_string(image.layers_size()), VisibilityName(image.visibility()),
               LocalTime(image.created_unix_ms()), image.description()});
  }
  table.Print(out);
}

// The daemon searches for one text; of several words each must be found, in any order.
Result<int> List(Tool& tool, bool all_visible, const std::vector<std::string>& words) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ListRequest request;
  request.set_all_visible(all_visible);
  if (!words.empty()) request.set_query(words.front());
  api::ListResponse all;
  const grpc::Status status =
      api::ImageService::NewStub(channel)->List(call.context(), request, &all);
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  api::ListResponse found;
  for (const api::Image& image : all.images()) {
    if (Matches(image, words)) *found.add_images() = image;
  }
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(found, tool.console().out));
  } else {
    PrintImages(found, tool.console().out);
  }
  return kExitOk;
}

void PrintConfig(const api::Image& image, std::ostream& out) {
  if (image.config().command_size() > 0) {
    out << "command:     ";
    for (const std::string& word : image.config().command()) out << Printable(word) << ' ';
    out << '\n';
  }
  for (const std::string& entry : image.config().env()) {
    out << "environment: " << Printable(entry) << '\n';
  }
  const api::Lineage& lineage = image.lineage();
  if (!lineage.parent_reference().empty()) {
    out << "made from:   " << Printable(lineage.parent_reference()) << '\n';
  }
  if (!lineage.origin().empty()) out << "made by:     " << Printable(lineage.origin()) << '\n';
  if (!lineage.command().empty()) out << "             " << Printable(lineage.command()) << '\n';
}

void PrintShown(const api::ShowResponse& shown, std::ostream& out) {
  const api::Image& image = shown.image();
  out << "image:       " << Printable(FullName(image)) << '\n'
      << "digest:      " << Printable(image.digest()) << '\n'
      << "description: " << Printable(image.description()) << '\n'
      << "seen by:     " << VisibilityName(image.visibility()) << '\n'
      << "made:        " << LocalTime(image.created_unix_ms()) << '\n'
      << "tree:        " << HumanCount(shown.entries()) << " entries, "
      << HumanBytes(shown.content_bytes()) << '\n'
      << "in use:      " << shown.leases() << " times\n";
  PrintConfig(image, out);
  Table table({"LAYER", ">ENTRIES", ">CONTENT", ">MANIFEST"});
  for (const api::Layer& layer : image.layers()) {
    table.Add({layer.digest(), HumanCount(layer.entries()), HumanBytes(layer.content_bytes()),
               HumanBytes(layer.manifest_bytes())});
  }
  table.Print(out);
}

Result<int> Show(Tool& tool, const std::string& reference) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ShowRequest request;
  request.set_reference(reference);
  api::ShowResponse shown;
  const grpc::Status status =
      api::ImageService::NewStub(channel)->Show(call.context(), request, &shown);
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(shown, tool.console().out));
  } else {
    PrintShown(shown, tool.console().out);
  }
  return kExitOk;
}

void PrintFiles(const api::ListFilesResponse& files, std::ostream& out) {
  Table table({"MODE", ">OWNER", ">SIZE", "CHANGED", "OBJECT", "NAME"});
  for (const api::FileInfo& file : files.files()) {
    const std::string arrow = file.target().empty() ? "" : " -> " + file.target();
    table.Add(
        {ModeString(file.mode()), std::to_string(file.uid()) + ":" + std::to_string(file.gid()),
         std::to_string(file.size()), LocalTime(file.mtime_s() * 1000),
         file.object().substr(0, file.object().find(':') + 1 + kDigestShown), file.name() + arrow});
  }
  table.Print(out);
}

Result<int> ListFiles(Tool& tool, const std::string& reference, const std::string& path) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ListFilesRequest request;
  request.set_reference(reference);
  request.set_path(path);
  api::ListFilesResponse files;
  const grpc::Status status =
      api::ImageService::NewStub(channel)->ListFiles(call.context(), request, &files);
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(files, tool.console().out));
  } else {
    PrintFiles(files, tool.console().out);
  }
  return kExitOk;
}

}  // namespace

void AddQueryCommands(Tool& tool) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* list = tool.AddCommand("list", "Your images",
                                   "  vimage list\n  vimage list --json | jq -r '.images[].name'",
                                   [&tool, words] { return List(tool, false, *words); });
  list->add_option("WORDS", *words, "Only those that hold all of these words");
  CLI::App* browse = tool.AddCommand("browse", "Your images, and those that others share",
                                     "  vimage browse\n  vimage browse python mpi",
                                     [&tool, words] { return List(tool, true, *words); });
  browse->add_option("WORDS", *words, "Only those that hold all of these words");

  auto reference = std::make_shared<std::string>();
  CLI::App* show = tool.AddCommand("show", "Everything about one image",
                                   "  vimage show debian\n  vimage show alice/tools:v2 --json",
                                   [&tool, reference] { return Show(tool, *reference); });
  show->add_option("IMAGE", *reference, "[OWNER/]NAME[:TAG]")->required();

  auto path = std::make_shared<std::string>();
  CLI::App* ls =
      tool.AddCommand("ls", "The files of an image, without running it",
                      "  vimage ls debian /etc\n  vimage ls debian /usr/bin/python3",
                      [&tool, reference, path] { return ListFiles(tool, *reference, *path); });
  ls->add_option("IMAGE", *reference, "[OWNER/]NAME[:TAG]")->required();
  ls->add_option("PATH", *path, "A directory, or anything else; the root when not given");
}

}  // namespace strata::tools
