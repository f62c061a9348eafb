// Seeds for fuzz_wireguard_answers: an answer of each kind that is good.
#include "common/file_io.h"
#include "common/log.h"
#include "net/secure/wireguard_messages.h"
#include "net/secure/xfrm_messages.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string corpus = argv[1];
  const std::string key(64, 'a');
  const std::string answer =
      "private_key=" + key + "\nlisten_port=51820\npublic_key=" + key + "\npreshared_key=" + key +
      "\nendpoint=192.0.2.2:51820\nlast_handshake_time_sec=1\nlast_handshake_time_nsec=2\n"
      "tx_bytes=3\nrx_bytes=4\npersistent_keepalive_interval=25\nallowed_ip=10.88.0.2/32\n"
      "allowed_ip=fd00::/8\nprotocol_version=1\nerrno=0\n\n";
  strata::net::PeerSettings peer;
  peer.endpoint = strata::net::Endpoint::Parse("[2001:db8::1]:51820").value();
  peer.allowed = {strata::net::Ipv4Prefix::Parse("10.88.0.2/32").value()};
  strata::net::EspState state;
  state.spi = 256;
  CHECK(strata::MakeDirectories(corpus).ok());
  CHECK(strata::WriteFileAtomically(corpus + "/answer", answer).ok());
  CHECK(strata::WriteFileAtomically(corpus + "/endpoint", "[2001:db8::1]:51820").ok());
  const auto write = [&](const std::string& name, const strata::net::Owned<nl_msg>& message) {
    const nlmsghdr* header = nlmsg_hdr(message.get());
    const auto* bytes = reinterpret_cast<const char*>(header) + sizeof(*header);
    CHECK(strata::WriteFileAtomically(corpus + "/" + name,
                                      {bytes, header->nlmsg_len - sizeof(*header)})
              .ok());
  };
  write("peer", strata::net::NewPeerSettings(1, "sab123w", peer));
  write("state", strata::net::NewEspState(1, state));
  write("policy", strata::net::NewEspPolicy(1, {}));
  return 0;
}
