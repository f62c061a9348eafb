// In place of fast_program.cc where there is no compiler for the kernel's programs.
#include "net/fastpath/fast_program.h"

namespace strata::net {
namespace {

Error Absent() {
  return Error(Code::kUnsupported, "it was built without gcc-bpf (or clang) and libbpf-dev");
}

}  // namespace

void FastProgram::Close::operator()(bpf_object*) const {}
FastProgram::~FastProgram() = default;

Result<std::unique_ptr<FastProgram>> FastProgram::Load() { return Absent(); }
Status FastProgram::SetSource(uint32_t, const FastSource&) { return Absent(); }
Status FastProgram::SetWay(const FastNode&, const FastWay&) { return Absent(); }
Status FastProgram::SetSender(const FastSender&, uint32_t) { return Absent(); }
Status FastProgram::RemoveSource(uint32_t) { return Absent(); }
Status FastProgram::RemoveWay(const FastNode&) { return Absent(); }
Status FastProgram::RemoveSender(const FastSender&) { return Absent(); }
Result<FastProgram::Counts> FastProgram::Count() const { return Absent(); }
Result<UniqueFd> FastProgram::Attach(uint32_t, Part) const { return Absent(); }
Result<uint32_t> FastProgram::LinkOf(const UniqueFd&) { return Absent(); }
Result<int> FastProgram::Try(std::string_view) const { return Absent(); }

}  // namespace strata::net
