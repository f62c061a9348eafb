#include "net/nft.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <sys/select.h>

#include <optional>

#include "common/file_io.h"
#include "net/netlink.h"

namespace strata::net {

void Nft::Free::operator()(nft_ctx* context) const { ::nft_ctx_free(context); }
void Nft::Free::operator()(nl_sock* socket) const { ::nl_socket_free(socket); }

Result<uint32_t> Nft::Generation() {
  if (socket_ == nullptr) {
    ASSIGN_OR_RETURN(Owned<nl_sock> socket, OpenNetlink(NETLINK_NETFILTER));
    ::nl_socket_disable_auto_ack(socket.get());  // It would come before the next answer.
    socket_.reset(socket.release());
  }
  const nfgenmsg header = {AF_UNSPEC, NFNETLINK_V0, 0};
  std::optional<uint32_t> generation;
  Status asked =
      Ask(socket_.get(), NewMessage((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0, header),
          "generation of nftables", [&](nlmsghdr* answer) {
            const nlattr* number = nlmsg_find_attr(answer, sizeof(nfgenmsg), NFTA_GEN_ID);
            if (number != nullptr && nla_len(number) >= 4) generation = ntohl(nla_get_u32(number));
          });
  if (!asked.ok()) socket_.reset();  // Its answer could come with the next one's.
  RETURN_IF_ERROR(asked);
  if (!generation) return Error(Code::kInternal, "nftables does not tell its generation");
  return *generation;
}

Status Nft::Start() {
  if (context_ != nullptr) return Ok();
  RETURN_IF_ERROR(Generation());
  // The number that its socket will have.
  ASSIGN_OR_RETURN(UniqueFd next, Open("/dev/null", O_RDONLY));
  if (next.get() >= FD_SETSIZE) {
    return Error(Code::kResourceExhausted, "nftables cannot be spoken to: all descriptors below " +
                                               std::to_string(FD_SETSIZE) + " are in use");
  }
  next.reset();
  std::unique_ptr<nft_ctx, Free> context(::nft_ctx_new(NFT_CTX_DEFAULT));
  if (context == nullptr || ::nft_ctx_buffer_output(context.get()) != 0 ||
      ::nft_ctx_buffer_error(context.get()) != 0) {
    return Error(Code::kInternal, "libnftables cannot be started");
  }
  context_ = std::move(context);
  return Ok();
}

Result<std::string> Nft::Run(const std::string& commands) {
  RETURN_IF_ERROR(Start());
  const int failed = ::nft_run_cmd_from_buffer(context_.get(), commands.c_str());
  // Read in any case: the next run's would be behind them.
  std::string output = ::nft_ctx_get_output_buffer(context_.get());
  const std::string problem = ::nft_ctx_get_error_buffer(context_.get());
  if (failed == 0) return output;
  context_.reset();  // What the kernel still has to say would be taken for the next run's answers.
  // Behind the first line are pieces of the commands.
  return Error(Code::kInternal, "nft: " + problem.substr(0, problem.find('\n')));
}

}  // namespace strata::net
