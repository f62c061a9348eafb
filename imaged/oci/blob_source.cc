#include "imaged/oci/blob_source.h"

namespace strata::imaged::oci {

Result<std::string> ReadDocument(BlobSource& source, const Descriptor& document,
                                 const CancelToken& cancel) {
  const std::string name = document.digest.ToString();
  if (document.size > kDocumentBytesMax) {
    return Error(Code::kResourceExhausted, name + ": a document of " +
                                               std::to_string(document.size) + " bytes, at most " +
                                               std::to_string(kDocumentBytesMax) + " are read");
  }
  std::string text;
  const ByteSink take = [&](std::string_view data) -> Status {
    if (data.size() > document.size - text.size()) {
      return Error(Code::kCorrupt, "it is longer than its descriptor says");
    }
    text += data;
    return Ok();
  };
  RETURN_IF_ERROR(source.Read(document, take, cancel), name);
  if (text.size() != document.size) {
    return Error(Code::kCorrupt, name + ": it is shorter than its descriptor says");
  }
  const Sha256Digest found = Sha256Hasher::Of(text);
  if (found == document.digest) return text;
  return Error(Code::kCorrupt, name + ": what came has the digest " + found.ToString());
}

}  // namespace strata::imaged::oci
