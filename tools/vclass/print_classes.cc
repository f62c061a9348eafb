#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vclass/vclass.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

std::string TimeText(int64_t unix_s) { return unix_s == 0 ? "-" : LocalTime(unix_s * 1000); }

std::string Collected(const api::StudentInfo& student) {
  if (student.collected_unix_ms() == 0) return "-";
  uint64_t bytes = 0;
  for (const api::CollectedInfo& image : student.collected()) bytes += image.bytes();
  return HumanBytes(bytes) + ", " + LocalTime(student.collected_unix_ms());
}

}  // namespace

void PrintClassTable(const api::Classes& classes, std::ostream& out) {
  Table table({"CLASS", "STATE", ">STUDENTS", ">READY", ">FAILED", "STARTS", "ENDS", "TEMPLATE"});
  for (const api::ClassInfo& info : classes.classes()) {
    table.Add({info.owner() + "/" + info.name(), info.state(), std::to_string(info.students()),
               std::to_string(info.ready()), std::to_string(info.failed()),
               TimeText(info.starts_unix_s()), TimeText(info.ends_unix_s()), info.template_()});
  }
  table.Print(out);
}

void PrintClass(const api::ClassInfo& info, std::ostream& out) {
  out << Printable(info.owner()) << "/" << Printable(info.name()) << ", " << info.state() << ": "
      << info.ready() << " of " << info.students() << " ready";
  if (info.failed() != 0) out << ", " << info.failed() << " failed";
  out << "; template " << Printable(info.template_()) << "\nfrom "
      << TimeText(info.starts_unix_s());
  if (info.ends_unix_s() != 0) {
    out << " to " << TimeText(info.ends_unix_s()) << ", then "
        << (info.on_end() == "delete" ? "deleted" : "stopped");
  }
  out << "\n";
  if (!info.prestage().empty()) {
    out << "images to the hosts: " << Printable(info.prestage()) << "\n";
  }
  Table table({"STUDENT", "STATE", "VCLUSTER", "GROUP", "COLLECTED", "PROBLEM"});
  for (const api::StudentInfo& student : info.student()) {
    table.Add({student.user(), student.state(), student.cluster(), student.group(),
               Collected(student), student.problem()});
  }
  table.Print(out);
}

}  // namespace strata::tools
