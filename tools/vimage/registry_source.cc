#include "tools/vimage/registry_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "common/file_io.h"
#include "common/sigpipe_blocked.h"
#include "imaged/archive/pax_writer.h"

namespace strata::tools {
namespace {

namespace oci = imaged::oci;

constexpr int kPipeBytes = 1 << 20;

class RegistrySource : public TarSource {
 public:
  RegistrySource(imaged::RegistrySession* session, imaged::RegistrySession::Image image,
                 size_t known_layers, CancelToken* cancel, UniqueFd read_end, UniqueFd write_end)
      : session_(session),
        image_(std::move(image)),
        known_layers_(known_layers),
        cancel_(cancel),
        read_end_(std::move(read_end)),
        write_end_(std::move(write_end)),
        thread_([this] { Produce(); }) {}

  ~RegistrySource() override {
    if (!thread_.joinable()) return;
    cancel_->Cancel();
    read_end_.reset();  // Wakes a thread that waits for room in the pipe.
    thread_.join();
  }

  int fd() const override { return read_end_.get(); }
  // Of the layers alone: what is around them does not show.
  uint64_t size_bytes() const override {
    uint64_t bytes = 0;
    for (size_t i = known_layers_; i < image_.manifest.layers.size(); ++i) {
      bytes += image_.manifest.layers[i].size;
    }
    return bytes;
  }

  Status Finish() override {
    thread_.join();
    return status_;
  }

 private:
  void Produce() {
    const SigPipeBlocked no_signal;
    status_ = WriteLayout();
    write_end_.reset();
  }

  Status WriteLayout() {
    imaged::PaxWriter writer(
        [this](std::string_view data) { return WriteAll(write_end_.get(), data); });
    oci::Index index;
    index.media_type = oci::kOciIndexType;
    index.manifests.push_back(image_.descriptor);
    RETURN_IF_ERROR(AddText(&writer, "oci-layout", oci::PrintLayoutMark()));
    RETURN_IF_ERROR(AddText(&writer, "index.json", oci::PrintIndex(index)));
    RETURN_IF_ERROR(AddText(&writer, PathOf(image_.descriptor), image_.manifest_bytes));
    RETURN_IF_ERROR(AddText(&writer, PathOf(image_.manifest.config), image_.config_bytes));
    std::set<Sha256Digest> written;
    for (size_t i = known_layers_; i < image_.manifest.layers.size(); ++i) {
      const oci::Descriptor& layer = image_.manifest.layers[i];
      if (!written.insert(layer.digest).second) continue;
      RETURN_IF_ERROR(Begin(&writer, PathOf(layer), layer.size));
      RETURN_IF_ERROR(
          session_->GetBlob(layer, [&](std::string_view data) { return writer.Write(data); }));
      RETURN_IF_ERROR(writer.End());
    }
    return writer.Finish();
  }

  static std::string PathOf(const oci::Descriptor& blob) {
    return "blobs/sha256/" + blob.digest.Hex();
  }
  static Status Begin(imaged::PaxWriter* writer, const std::string& path, uint64_t size) {
    imaged::PaxEntry entry;
    entry.path = path;
    entry.mode = S_IFREG | 0644;
    entry.size = size;
    return writer->Begin(entry);
  }
  static Status AddText(imaged::PaxWriter* writer, const std::string& path,
                        const std::string& text) {
    RETURN_IF_ERROR(Begin(writer, path, text.size()));
    RETURN_IF_ERROR(writer->Write(text));
    return writer->End();
  }

  imaged::RegistrySession* const session_;
  const imaged::RegistrySession::Image image_;
  const size_t known_layers_;
  CancelToken* const cancel_;
  UniqueFd read_end_;
  UniqueFd write_end_;
  Status status_;       // Of the thread, until it was joined.
  std::thread thread_;  // Last: it uses the others.
};

}  // namespace

Result<std::unique_ptr<TarSource>> StartRegistrySource(imaged::RegistrySession* session,
                                                       imaged::RegistrySession::Image image,
                                                       size_t known_layers, CancelToken* cancel) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  ::fcntl(read_end.get(), F_SETPIPE_SZ, kPipeBytes);  // Fewer switches; the default works too.
  return std::unique_ptr<TarSource>(std::make_unique<RegistrySource>(
      session, std::move(image), known_layers, cancel, std::move(read_end), std::move(write_end)));
}

}  // namespace strata::tools
