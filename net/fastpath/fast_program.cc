#include "net/fastpath/fast_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/select.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

#include "common/log.h"

// The compiled program: program_object.S.
extern "C" const char strata_fastpath_object[];
extern "C" const char strata_fastpath_object_end[];

namespace strata::net {
namespace {

// BPF_TCX_INGRESS of Linux 6.6; Debian 12's headers are older.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);

// What it says of a program that a kernel refuses is long, and of one that gcc has made wrong: that
// its types are of no use.
int Quiet(libbpf_print_level, const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof(line), format, arguments);
  LOG_DEBUG(line);
  return 0;
}

Status StatusOf(int result, const std::string& what) {
  return result < 0 ? Status(Errno(what, -result)) : Ok();
}

}  // namespace

void FastProgram::Close::operator()(bpf_object* object) const { bpf_object__close(object); }

FastProgram::~FastProgram() = default;

Result<std::unique_ptr<FastProgram>> FastProgram::Load() {
  libbpf_set_print(&Quiet);
  std::unique_ptr<FastProgram> loaded(new FastProgram());
  const auto size = static_cast<size_t>(strata_fastpath_object_end - strata_fastpath_object);
  bpf_object* const object = bpf_object__open_mem(strata_fastpath_object, size, nullptr);
  if (object == nullptr) return Errno("open the program of the fast path");
  loaded->object_.reset(object);
  if (const int result = bpf_object__load(object); result < 0) {
    return Error(Code::kUnsupported,
                 "the kernel refuses the program: " + Errno("bpf", -result).message());
  }
  const auto program = [&](const char* name) {
    const bpf_program* const found = bpf_object__find_program_by_name(object, name);
    CHECK(found != nullptr);
    return bpf_program__fd(found);
  };
  loaded->nodes_ = program("strata_fastpath");
  loaded->underlay_ = program("strata_underlay");
  loaded->sources_ = bpf_object__find_map_fd_by_name(object, "sources");
  loaded->ways_ = bpf_object__find_map_fd_by_name(object, "ways");
  loaded->senders_ = bpf_object__find_map_fd_by_name(object, "senders");
  loaded->counts_ = bpf_object__find_map_fd_by_name(object, "counts");
  CHECK(loaded->sources_ >= 0 && loaded->ways_ >= 0 && loaded->senders_ >= 0 &&
        loaded->counts_ >= 0);
  return loaded;
}

Status FastProgram::SetSource(uint32_t link, const FastSource& source) {
  return StatusOf(bpf_map_update_elem(sources_, &link, &source, BPF_ANY),
                  "fast path: know link " + std::to_string(link));
}

Status FastProgram::SetWay(const FastNode& node, const FastWay& way) {
  return StatusOf(bpf_map_update_elem(ways_, &node, &way, BPF_ANY),
                  "fast path: set the way to a node of " + std::to_string(node.network));
}

Status FastProgram::SetSender(const FastSender& sender, uint32_t network) {
  return StatusOf(bpf_map_update_elem(senders_, &sender, &network, BPF_ANY),
                  "fast path: know a host of " + std::to_string(network));
}

Status FastProgram::RemoveSource(uint32_t link) {
  const int result = bpf_map_delete_elem(sources_, &link);
  return result == -ENOENT ? Ok() : StatusOf(result, "fast path: forget a link");
}

Status FastProgram::RemoveWay(const FastNode& node) {
  const int result = bpf_map_delete_elem(ways_, &node);
  return result == -ENOENT ? Ok() : StatusOf(result, "fast path: forget a way");
}

Status FastProgram::RemoveSender(const FastSender& sender) {
  const int result = bpf_map_delete_elem(senders_, &sender);
  return result == -ENOENT ? Ok() : StatusOf(result, "fast path: forget a host");
}

Result<FastProgram::Counts> FastProgram::Count() const {
  const int cpus = libbpf_num_possible_cpus();
  RETURN_IF_ERROR(StatusOf(cpus, "count CPUs"));
  Counts counts{};
  std::vector<uint64_t> each(static_cast<size_t>(cpus));
  for (uint32_t what = 0; what < counts.size(); ++what) {
    RETURN_IF_ERROR(StatusOf(bpf_map_lookup_elem(counts_, &what, each.data()), "read counts"));
    for (const uint64_t one : each) counts[what] += one;
  }
  return counts;
}

Result<UniqueFd> FastProgram::Attach(uint32_t link, Part part) const {
  const int program = part == Part::kNodes ? nodes_ : underlay_;
  const int fd = bpf_link_create(program, static_cast<int>(link), kTcxIngress, nullptr);
  const std::string what = "attach the fast path to link " + std::to_string(link);
  if (fd == -ENODEV) return Error(Code::kNotFound, what + ": it is gone");
  if (fd == -EMFILE || fd == -ENFILE) {
    return Error(Code::kResourceExhausted, what + ": too many descriptors");
  }
  RETURN_IF_ERROR(StatusOf(fd, what));
  UniqueFd attachment(fd);
  // There are many, and libnftables needs a low number (net/nft.h).
  UniqueFd high(::fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE));
  return high.valid() ? std::move(high) : std::move(attachment);
}

Result<uint32_t> FastProgram::LinkOf(const UniqueFd& attachment) {
  bpf_link_info info = {};
  uint32_t size = sizeof(info);
  RETURN_IF_ERROR(StatusOf(bpf_obj_get_info_by_fd(attachment.get(), &info, &size),
                           "look at an attachment of the fast path"));
  return info.xdp.ifindex;  // In the place of tcx.ifindex, which the headers lack.
}

Result<int> FastProgram::Try(std::string_view frame) const {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.repeat = 1;
  RETURN_IF_ERROR(StatusOf(bpf_prog_test_run_opts(nodes_, &options), "try the fast path"));
  return static_cast<int>(options.retval);
}

}  // namespace strata::net
