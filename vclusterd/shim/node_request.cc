#include "vclusterd/shim/node_request.h"

#include <sys/mman.h>

#include <charconv>

#include "common/file_io.h"

namespace strata::vcluster {
namespace {

class Writer {
 public:
  void Put(std::string_view text) {
    if (text.find('\0') != std::string_view::npos) bad_ = true;
    bytes_.append(text).push_back('\0');
  }
  void Put(const std::vector<std::string>& list) {
    Put(std::to_string(list.size()));
    for (const std::string& text : list) Put(text);
  }
  void Put(const std::vector<std::pair<std::string, std::string>>& list) {
    Put(std::to_string(list.size()));
    for (const auto& [first, second] : list) {
      Put(first);
      Put(second);
    }
  }
  Result<std::string> Finish() {
    if (bad_) return Error(Code::kInvalidArgument, "a NUL byte in an argument or variable");
    if (bytes_.size() > kRequestBytesMax) {
      return Error(Code::kInvalidArgument, "arguments and environment are too long");
    }
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
  bool bad_ = false;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  void Get(std::string* text) {
    const size_t end = rest_.find('\0');
    if (end == std::string_view::npos) {
      bad_ = true;
      return;
    }
    *text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
  }
  uint32_t Number() {
    std::string text;
    Get(&text);
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) bad_ = true;
    return value;
  }
  void Get(std::vector<std::string>* list) {
    for (uint32_t left = Number(); left > 0 && !bad_; --left) Get(&list->emplace_back());
  }
  void Get(std::vector<std::pair<std::string, std::string>>* list) {
    for (uint32_t left = Number(); left > 0 && !bad_; --left) {
      auto& [first, second] = list->emplace_back();
      Get(&first);
      Get(&second);
    }
  }
  Status Finish() const {
    if (bad_ || !rest_.empty()) return Error(Code::kInvalidArgument, "not a node request");
    return Ok();
  }

 private:
  std::string_view rest_;
  bool bad_ = false;
};

}  // namespace

Result<std::string> Encode(const StartNodeRequest& request) {
  Writer writer;
  for (const std::string* text :
       {&request.name, &request.lxc_path, &request.root_dir, &request.lock_path}) {
    writer.Put(*text);
  }
  writer.Put(request.read_only_paths);
  writer.Put(request.items);
  writer.Put(request.mount_point_files);
  writer.Put(std::to_string(request.id_first));
  writer.Put(request.entries_if_directory);
  writer.Put(request.volumes);
  writer.Put(request.argv);
  return writer.Finish();
}

Result<StartNodeRequest> DecodeStart(std::string_view bytes) {
  Reader reader(bytes);
  StartNodeRequest request;
  for (std::string* text :
       {&request.name, &request.lxc_path, &request.root_dir, &request.lock_path}) {
    reader.Get(text);
  }
  reader.Get(&request.read_only_paths);
  reader.Get(&request.items);
  reader.Get(&request.mount_point_files);
  request.id_first = reader.Number();
  reader.Get(&request.entries_if_directory);
  reader.Get(&request.volumes);
  reader.Get(&request.argv);
  RETURN_IF_ERROR(reader.Finish());
  return request;
}

Result<std::string> Encode(const ExecNodeRequest& request) {
  Writer writer;
  writer.Put(request.name);
  writer.Put(request.lxc_path);
  writer.Put(request.working_directory);
  writer.Put(std::to_string(request.uid));
  writer.Put(std::to_string(request.gid));
  writer.Put(request.terminal ? "1" : "0");
  writer.Put(request.env);
  writer.Put(request.argv);
  return writer.Finish();
}

Result<ExecNodeRequest> DecodeExec(std::string_view bytes) {
  Reader reader(bytes);
  ExecNodeRequest request;
  reader.Get(&request.name);
  reader.Get(&request.lxc_path);
  reader.Get(&request.working_directory);
  request.uid = reader.Number();
  request.gid = reader.Number();
  request.terminal = reader.Number() != 0;
  reader.Get(&request.env);
  reader.Get(&request.argv);
  RETURN_IF_ERROR(reader.Finish());
  return request;
}

Result<UniqueFd> RequestFile(std::string_view bytes) {
  UniqueFd fd(::memfd_create("strata-node-request", MFD_CLOEXEC));
  if (!fd.valid()) return Errno("memfd_create");
  RETURN_IF_ERROR(PWriteAll(fd.get(), bytes, 0));
  return fd;
}

}  // namespace strata::vcluster
