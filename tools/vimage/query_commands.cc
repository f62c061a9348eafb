#include <map>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vimage/build/stage_builder.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::ImageService::Stub;

constexpr size_t kDigestShown = 12;

struct ListArguments {
  bool all_visible = false;
  std::vector<std::string> words;
  std::string owner;
  std::vector<std::string> labels;
  std::string sort = "name";
  bool descending = false;
  bool all_pages = false;
  uint32_t page_size = 0;
  std::string page;
};

Result<api::ListRequest> MakeRequest(const ListArguments& arguments) {
  api::ListRequest request;
  request.set_all_visible(arguments.all_visible);
  for (const std::string& word : arguments.words) request.add_words(word);
  // Who looks for the steps of builds finds them; nobody else wants to see them.
  if (arguments.words.empty()) request.set_except_name(kCacheName);
  request.set_owner(arguments.owner);
  for (const std::string& label : arguments.labels) {
    const size_t equals = label.find('=');
    (*request.mutable_labels())[label.substr(0, equals)] =
        equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  if (arguments.sort == "created") request.set_sort(api::SORT_CREATED);
  if (arguments.sort == "size") request.set_sort(api::SORT_SIZE);
  request.set_descending(arguments.descending);
  request.set_page_size(arguments.page_size);
  request.set_page_token(arguments.page);
  return request;
}

void PrintImages(const api::ListResponse& list, std::ostream& out) {
  // Only a host that shares its catalog tells where layers are.
  const bool told =
      !list.images().empty() && list.images(0).presence() != api::PRESENCE_UNSPECIFIED;
  std::vector<std::string> titles = {"IMAGE", ">SIZE", ">LAYERS", "SEEN BY", "MADE", "DESCRIPTION"};
  if (told) titles.insert(titles.begin() + 1, "HERE");
  Table table(titles);
  for (const api::Image& image : list.images()) {
    std::vector<std::string> row = {
        FullName(image), HumanBytes(ContentBytes(image)),    std::to_string(image.layers_size()),
        SeenBy(image),   LocalTime(image.created_unix_ms()), image.description()};
    if (told) row.insert(row.begin() + 1, image.presence() == api::HERE ? "yes" : "no");
    table.Add(row);
  }
  table.Print(out);
  if (list.next_page_token().empty()) return;
  out << HumanCount(static_cast<uint64_t>(list.images_size())) << " of " << HumanCount(list.total())
      << " are shown: --all shows all, words and --owner narrow it\n";
}

Result<int> List(Tool& tool, const ListArguments& arguments) {
  ASSIGN_OR_RETURN(api::ListRequest request, MakeRequest(arguments));
  if (arguments.all_pages) request.set_page_size(1000);
  ASSIGN_OR_RETURN(api::ListResponse list, Ask(tool, &Stub::List, request));
  while (arguments.all_pages && !list.next_page_token().empty()) {
    request.set_page_token(list.next_page_token());
    ASSIGN_OR_RETURN(const api::ListResponse page, Ask(tool, &Stub::List, request));
    list.mutable_images()->MergeFrom(page.images());
    list.set_next_page_token(page.next_page_token());
  }
  return Show(tool, list, [&](const auto& all) { PrintImages(all, tool.console().out); });
}

// What an OCI image says of itself, and nodes do not use.
void PrintOci(const api::OciConfig& oci, std::ostream& out) {
  const auto print = [&out](const char* title, const auto& words) {
    if (words.empty()) return;
    out << title;
    for (const std::string& word : words) out << Printable(word) << ' ';
    out << '\n';
  };
  out << "OCI image:   " << Printable(oci.os() + "/" + oci.architecture()) << '\n';
  print("  entrypoint ", oci.entrypoint());
  print("  cmd        ", oci.cmd());
  print("  ports      ", oci.exposed_ports());
  print("  volumes    ", oci.volumes());
  if (!oci.user().empty()) out << "  user       " << Printable(oci.user()) << '\n';
  if (!oci.working_dir().empty()) out << "  directory  " << Printable(oci.working_dir()) << '\n';
  for (const auto& [key, value] : oci.labels()) {
    out << "  label      " << Printable(key) << '=' << Printable(value) << '\n';
  }
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
  if (image.config().has_oci()) PrintOci(image.config().oci(), out);
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
      << "seen by:     " << SeenBy(image) << '\n'
      << "made:        " << LocalTime(image.created_unix_ms()) << '\n'
      << "tree:        " << HumanCount(shown.entries()) << " entries, "
      << HumanBytes(shown.content_bytes()) << '\n'
      << "in use:      " << shown.leases() << " times\n";
  if (image.presence() == api::ELSEWHERE) {
    out << "layers:      on other hosts; they come when the image is used\n";
  }
  if (shown.objects_to_come() > 0) {
    out << "to come:     " << HumanCount(shown.objects_to_come()) << " objects of "
        << HumanBytes(shown.bytes_to_come()) << " (see 'vimage fills')\n";
  }
  for (const auto& [key, value] : image.labels()) {
    out << "label:       " << Printable(key) << '=' << Printable(value) << '\n';
  }
  PrintConfig(image, out);
  Table table({"LAYER", ">ENTRIES", ">CONTENT", ">MANIFEST"});
  for (const api::Layer& layer : image.layers()) {
    table.Add({layer.digest(), HumanCount(layer.entries()), HumanBytes(layer.content_bytes()),
               HumanBytes(layer.manifest_bytes())});
  }
  table.Print(out);
}

Result<int> ShowImage(Tool& tool, const std::string& reference) {
  api::ShowRequest request;
  request.set_reference(reference);
  ASSIGN_OR_RETURN(const api::ShowResponse shown, Ask(tool, &Stub::Show, request));
  return Show(tool, shown, [&](const auto& all) { PrintShown(all, tool.console().out); });
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
  api::ListFilesRequest request;
  request.set_reference(reference);
  request.set_path(path);
  ASSIGN_OR_RETURN(const api::ListFilesResponse files, Ask(tool, &Stub::ListFiles, request));
  return Show(tool, files, [&](const auto& all) { PrintFiles(all, tool.console().out); });
}

Result<int> Versions(Tool& tool, const std::string& reference) {
  api::VersionsRequest request;
  request.set_reference(reference);
  ASSIGN_OR_RETURN(const api::VersionsResponse versions, Ask(tool, &Stub::Versions, request));
  return Show(tool, versions, [&](const auto& all) {
    Table table({"TAG", "DIGEST", ">SIZE", "MADE", "DESCRIPTION"});
    for (const api::Image& image : all.images()) {
      table.Add({image.tag(), ShortDigest(image.digest()), HumanBytes(ContentBytes(image)),
                 LocalTime(image.created_unix_ms()), image.description()});
    }
    table.Print(tool.console().out);
  });
}

// A tree: every node is indented below its parent.
void PrintLineage(const api::LineageResponse& lineage, std::ostream& out) {
  std::map<std::string, int> depths;
  for (const api::LineageNode& node : lineage.nodes()) {
    const auto parent = depths.find(node.parent_digest());
    const int depth = parent == depths.end() ? 0 : parent->second + 1;
    depths[node.digest()] = depth;
    std::string names;
    for (const std::string& name : node.references()) names += (names.empty() ? "" : ", ") + name;
    if (names.empty()) names = node.history().image_reference() + " (gone)";
    out << std::string(static_cast<size_t>(depth) * 2, ' ') << (node.subject() ? "* " : "- ")
        << Printable(names) << "  +" << HumanBytes(node.content_bytes()) << ", "
        << Printable(node.history().creator()) << ", "
        << LocalTime(node.history().created_unix_ms());
    if (!node.history().origin().empty()) out << ", " << Printable(node.history().origin());
    out << '\n';
  }
}

Result<int> Lineage(Tool& tool, const std::string& reference) {
  api::LineageRequest request;
  request.set_reference(reference);
  ASSIGN_OR_RETURN(const api::LineageResponse lineage, Ask(tool, &Stub::Lineage, request));
  return Show(tool, lineage, [&](const auto& all) { PrintLineage(all, tool.console().out); });
}

void AddListCommand(Tool& tool, bool all_visible, const std::string& name,
                    const std::string& description, const std::string& examples) {
  auto arguments = std::make_shared<ListArguments>();
  arguments->all_visible = all_visible;
  CLI::App* command = tool.AddCommand(name, description, examples,
                                      [&tool, arguments] { return List(tool, *arguments); });
  command->add_option("WORDS", arguments->words,
                      "Only those that hold all of these in name, description or labels");
  if (all_visible) command->add_option("--owner", arguments->owner, "Only images of this user");
  command->add_option("--label", arguments->labels, "Only with this label: KEY or KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--sort", arguments->sort, "By name, created or size")
      ->check(CLI::IsMember({"name", "created", "size"}))
      ->capture_default_str();
  command->add_flag("--desc", arguments->descending, "The other way round");
  command->add_flag("--all", arguments->all_pages, "All, and not only the first page");
  command->add_option("--page-size", arguments->page_size, "At most this many; 100 if not given")
      ->check(CLI::Range(1, 1000));
  command->add_option("--page", arguments->page, "Go on after a page: its next_page_token");
}

}  // namespace

void AddQueryCommands(Tool& tool) {
  AddListCommand(tool, false, "list", "Your images",
                 "  vimage list\n  vimage list --sort size --desc\n"
                 "  vimage list --json | jq -r '.images[].name'");
  AddListCommand(tool, true, "browse", "Your images, and those that others share",
                 "  vimage browse\n  vimage browse python mpi --owner alice\n"
                 "  vimage browse --label course=os --sort created --desc");

  auto reference = std::make_shared<std::string>();
  CLI::App* show = tool.AddCommand("show", "Everything about one image",
                                   "  vimage show debian\n  vimage show alice/tools:v2 --json",
                                   [&tool, reference] { return ShowImage(tool, *reference); });
  show->add_option("IMAGE", *reference, "[OWNER/]NAME[:TAG]")->required();

  auto path = std::make_shared<std::string>();
  CLI::App* ls =
      tool.AddCommand("ls", "The files of an image, without running it",
                      "  vimage ls debian /etc\n  vimage ls debian /usr/bin/python3",
                      [&tool, reference, path] { return ListFiles(tool, *reference, *path); });
  ls->add_option("IMAGE", *reference, "[OWNER/]NAME[:TAG]")->required();
  ls->add_option("PATH", *path, "A directory, or anything else; the root when not given");

  CLI::App* versions =
      tool.AddCommand("versions", "What a name pointed to before, to be had by digest",
                      "  vimage versions tools\n  vimage tag tools@1a2b3c4d5e6f tools --replace",
                      [&tool, reference] { return Versions(tool, *reference); });
  versions->add_option("NAME", *reference, "[OWNER/]NAME")->required();
  CLI::App* lineage =
      tool.AddCommand("lineage", "What an image was made from, and what was made from it",
                      "  vimage lineage tools\n  vimage lineage tools --json",
                      [&tool, reference] { return Lineage(tool, *reference); });
  lineage->add_option("IMAGE", *reference, "[OWNER/]NAME[:TAG]")->required();
}

}  // namespace strata::tools
