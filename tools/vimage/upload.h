// Sends a tar source into an open Import stream, from a thread of its own, while the caller reads
// the daemon's events.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <optional>
#include <thread>

#include "common/unique_fd.h"
#include "imaged/api/imaged.pb.h"
#include "tools/vimage/tar_source.h"

namespace strata::tools {

class Upload {
 public:
  using Stream = grpc::ClientReaderWriter<imaged::v1::ImportRequest, imaged::v1::ImportEvent>;

  // Starts at once. When the source fails, the call is cancelled: half an archive must not become
  // an image. REQUIRES: all four outlive this; nobody else writes to `stream`.
  Upload(Stream& stream, grpc::ClientContext& context, TarSource& source,
         const imaged::v1::ImportOptions& options);
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // Ends the thread, also when it waits for input, and tells what went wrong with the source (not
  // with the call: the stream's status has that). Call it when the stream has no more events.
  Status Stop();

 private:
  void Send(const imaged::v1::ImportOptions& options);
  // Ok(true): all was sent. Ok(false): the daemon or Stop() ended it.
  Result<bool> SendAll();

  Stream& stream_;
  grpc::ClientContext& context_;
  TarSource& source_;
  UniqueFd stop_fd_;  // eventfd.
  Status status_;     // Written by the thread, read after it was joined.
  std::thread thread_;
};

}  // namespace strata::tools
