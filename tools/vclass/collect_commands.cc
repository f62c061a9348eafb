#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "common/printable.h"
#include "common/rpc/channel.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/vclass/overlap.h"
#include "tools/vclass/vclass.h"
#include "tools/vcluster/follow.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

struct CollectArguments {
  std::string name;
  std::vector<std::string> students;
};

struct CompareArguments {
  std::string name;
  std::string imaged_socket;
  std::string only;  // A student: his files.
  double above_percent = 0;
  uint64_t bytes_min = 1;
  bool files = false;
};

Result<int> Collect(Tool& tool, const CollectArguments& arguments) {
  api::CollectClassRequest request;
  request.set_name(arguments.name);
  request.mutable_students()->Assign(arguments.students.begin(), arguments.students.end());
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::ClassService::NewStub(channel)->Collect(call.context(), request);
  ASSIGN_OR_RETURN(const api::CollectResult result,
                   Follow(tool, call, *reader, "collect " + Printable(arguments.name),
                          "cancelled: what was collected so far stays"));
  std::ostream& out = tool.console().out;
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(result, out));
  } else {
    Table table({"STUDENT", "NODE", ">FILES", ">CHANGES", ">NEW", "IMAGE"});
    for (const api::StudentInfo& student : result.class_().student()) {
      for (const api::CollectedInfo& image : student.collected()) {
        table.Add({student.user(), image.node(), HumanCount(image.files()),
                   HumanBytes(image.bytes()), HumanBytes(image.new_bytes()), image.reference()});
      }
    }
    table.Print(out);
  }
  for (const std::string& failure : result.failures()) tool.Complain(Printable(failure));
  return result.failures().empty() ? kExitOk : kExitFailed;
}

// What one node's image has beyond the template's.
Status AddFiles(imaged::v1::ImageService::Stub& images, const api::CollectedInfo& image,
                StudentFiles* out) {
  imaged::v1::DiffRequest request;
  request.set_before(image.base());
  request.set_after(image.reference());
  Call call;
  const auto reader = images.Diff(call.context(), request);
  imaged::v1::DiffEvent event;
  while (reader->Read(&event)) {
    for (const imaged::v1::DiffEntry& entry : event.entries()) {
      if (entry.change() == imaged::v1::DiffEntry::REMOVED) continue;
      // One of which only the mode is another is not the student's content.
      if (!entry.after().object().empty() && entry.before().object() == entry.after().object()) {
        continue;
      }
      out->files.push_back(
          {image.node() + ":/" + entry.path(), entry.after().object(), entry.after().size()});
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return CallError(status, Daemon::kImaged).Wrap(image.reference());
  return Ok();
}

Result<std::vector<StudentFiles>> ReadCollected(Tool& tool, const CompareArguments& arguments) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  ASSIGN_OR_RETURN(const api::ClassInfo info, FindClass(channel, arguments.name));
  const std::string socket =
      arguments.imaged_socket.empty() ? DefaultSocket(Daemon::kImaged) : arguments.imaged_socket;
  ASSIGN_OR_RETURN(const auto imaged_channel, rpc::ConnectLocal(socket, "imaged"));
  const auto images = imaged::v1::ImageService::NewStub(imaged_channel);
  std::vector<StudentFiles> students;
  for (const api::StudentInfo& student : info.student()) {
    if (student.collected().empty()) continue;
    students.push_back({student.user(), {}});
    for (const api::CollectedInfo& image : student.collected()) {
      RETURN_IF_ERROR(AddFiles(*images, image, &students.back()));
    }
  }
  if (students.empty()) {
    return Error(Code::kFailedPrecondition,
                 "nothing was collected yet (vclass collect " + Printable(arguments.name) + ")");
  }
  return students;
}

nlohmann::json JsonOf(const Overlap& pair) {
  nlohmann::json files = nlohmann::json::array();
  for (const CommonFile& file : pair.files) {
    files.push_back({{"path", Printable(file.path, 4096)},
                     {"other_path", Printable(file.other_path, 4096)},
                     {"bytes", file.bytes},
                     {"object", file.object},
                     {"holders", file.holders}});
  }
  return {{"user", pair.user},
          {"other", pair.other},
          {"share", pair.share},
          {"bytes", pair.bytes},
          {"files", files}};
}

void PrintStudent(const StudentFiles& student, std::ostream& out) {
  Table table({"FILE", ">SIZE", "CONTENT"});
  for (const ChangedFile& file : student.files) {
    table.Add({file.path, HumanBytes(file.bytes), file.object.empty() ? "-" : file.object});
  }
  table.Print(out);
}

void PrintPairs(const Overlaps& found, const CompareArguments& arguments, std::ostream& out) {
  Table table({"STUDENT", "AND", ">SHARE", ">FILES", ">BYTES", "LARGEST"});
  for (const Overlap& pair : found.pairs) {
    if (pair.share * 100 < arguments.above_percent) continue;
    table.Add({pair.user, pair.other, std::to_string(std::lround(pair.share * 100)) + " %",
               HumanCount(pair.files.size()), HumanBytes(pair.bytes), pair.files[0].path});
    if (!arguments.files) continue;
    for (const CommonFile& file : pair.files) {
      table.Add({"", "", "", "", HumanBytes(file.bytes),
                 file.path == file.other_path ? file.path : file.path + " = " + file.other_path});
    }
  }
  table.Print(out);
  if (found.handed_out != 0) {
    out << found.handed_out << " contents that most of them have are left aside\n";
  }
}

Result<int> Compare(Tool& tool, const CompareArguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<StudentFiles> students, ReadCollected(tool, arguments));
  std::ostream& out = tool.console().out;
  if (!arguments.only.empty()) {
    for (const StudentFiles& student : students) {
      if (student.user != arguments.only) continue;
      if (!tool.json()) {
        PrintStudent(student, out);
        return kExitOk;
      }
      nlohmann::json files = nlohmann::json::array();
      for (const ChangedFile& file : student.files) {
        files.push_back(
            {{"path", Printable(file.path, 4096)}, {"bytes", file.bytes}, {"object", file.object}});
      }
      out << nlohmann::json{{"user", student.user}, {"files", files}}.dump(2) << "\n";
      return kExitOk;
    }
    return Error(Code::kNotFound, "nothing was collected of '" + Printable(arguments.only) + "'");
  }
  OverlapOptions options;
  options.bytes_min = arguments.bytes_min;
  const Overlaps found = FindOverlaps(students, options);
  if (!tool.json()) {
    PrintPairs(found, arguments, out);
    return kExitOk;
  }
  nlohmann::json pairs = nlohmann::json::array();
  for (const Overlap& pair : found.pairs) {
    if (pair.share * 100 >= arguments.above_percent) pairs.push_back(JsonOf(pair));
  }
  out << nlohmann::json{{"pairs", pairs}, {"handed_out", found.handed_out}}.dump(2) << "\n";
  return kExitOk;
}

}  // namespace

void AddClassCollectCommands(Tool& tool) {
  auto collected = std::make_shared<CollectArguments>();
  CLI::App* collect =
      tool.AddCommand("collect", "Save what students made as images of yours; they work on",
                      "  vclass collect os-lab\n  vclass collect os-lab anna",
                      [&tool, collected] { return Collect(tool, *collected); });
  collect->add_option("NAME", collected->name, "The class")->required();
  collect->add_option("STUDENT", collected->students, "Which; all when none is given");

  auto compared = std::make_shared<CompareArguments>();
  CLI::App* compare = tool.AddCommand(
      "compare", "What collected changes of students have in common, by content",
      "  vclass compare os-lab --above 30 --files\n  vclass compare os-lab --student anna",
      [&tool, compared] { return Compare(tool, *compared); });
  compare->add_option("NAME", compared->name, "The class")->required();
  compare->add_option("--student", compared->only, "What this one added or changed");
  compare->add_option("--above", compared->above_percent, "Pairs with so many percent in common");
  compare->add_option("--min-bytes", compared->bytes_min,
                      "Files of this size and more (512 at least)");
  compare->add_flag("--files", compared->files, "Also each common file");
  compare->add_option("--imaged-socket", compared->imaged_socket,
                      "Another imaged than that of STRATA_RUN_DIR");
}

}  // namespace strata::tools
