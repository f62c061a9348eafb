#include "common/records/etcd/random_id.h"

#include <sys/random.h>

namespace strata::records {

Result<std::string> NewRandomId() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) return Errno("getrandom");
  std::string id;
  for (const unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

}  // namespace strata::records
