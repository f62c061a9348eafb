// Writes questions and answers of DNS to start from: make_dns_seeds DIRECTORY.
#include <cstdio>
#include <string>

#include "common/file_io.h"
#include "net/dns/dns_message.h"

int main(int argc, char** argv) {
  using namespace strata;
  using namespace strata::net;
  if (argc != 2) return 2;
  Query query;
  query.question = {"www.example.org", std::string("\3www\7example\3org\0", 17), kTypeA, kClassIn};
  Query own;
  own.question = {"web.hpc", std::string("\3web\3hpc\0", 9), kTypeA, kClassIn};
  own.has_edns = true;
  Query reverse;
  reverse.question = {"2.7.90.10.in-addr.arpa",
                      std::string("\001"
                                  "2\001"
                                  "7\002"
                                  "90\002"
                                  "10\007in-addr\004arpa\0",
                                  24),
                      kTypePtr, kClassIn};
  Answers answers;
  answers.addresses = {IpAddress::Parse("198.51.100.7").value(),
                       IpAddress::Parse("2001:db8::1").value()};
  const std::string seeds[] = {"q" + MakeQuestion(query, 1), "q" + MakeQuestion(own, 2),
                               "q" + MakeQuestion(reverse, 3),
                               "r" + MakeReply(query, answers, false, kTcpBytesMax)};
  int number = 0;
  for (const std::string& seed : seeds) {
    const Status written =
        WriteFileAtomically(std::string(argv[1]) + "/" + std::to_string(number++), seed);
    if (!written.ok()) {
      std::fprintf(stderr, "%s\n", written.error().message().c_str());
      return 1;
    }
  }
  return 0;
}
