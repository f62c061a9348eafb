#include "vclusterd/providers/provider_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_io.h"

namespace strata::vcluster {
namespace {

constexpr char kWhole[] = R"({
  "masters": "lab-1=10.0.0.1:7445",
  "providers": [{
    "name": "cloud", "command": ["/usr/lib/strata/cloud", "--zone", "a"], "timeout_s": 120,
    "machines_max": 4, "price_per_hour_max": 2.5, "owners": ["alice"],
    "idle_s": 60, "join_s": 300, "cool_down_s": 5
  }]
})";

TEST(ProviderFileTest, AFileIsReadAsItIs) {
  const auto file = ParseProviderFile(kWhole);
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_EQ(file->masters, "lab-1=10.0.0.1:7445");
  ASSERT_EQ(file->providers.size(), 1u);
  const ProviderConfig& config = file->providers[0];
  EXPECT_EQ(config.rules.name, "cloud");
  EXPECT_EQ(config.rules.machines_max, 4u);
  EXPECT_EQ(config.rules.price_per_hour_max, 2.5);
  EXPECT_EQ(config.rules.owners, std::vector<std::string>{"alice"});
  EXPECT_EQ(config.exec.command.size(), 3u);
  EXPECT_EQ(config.exec.timeout, std::chrono::seconds(120));
  EXPECT_EQ(config.idle, std::chrono::seconds(60));
  EXPECT_EQ(config.join, std::chrono::seconds(300));
  EXPECT_EQ(config.cool_down, std::chrono::seconds(5));
}

TEST(ProviderFileTest, FaultsAreNamedByTheirPlace) {
  const auto fault = [](const std::string& provider) {
    const auto file = ParseProviderFile("{\"providers\":[" + provider + "]}");
    return file.ok() ? std::string("none") : file.error().message();
  };
  EXPECT_NE(fault("{}").find("providers[0].name"), std::string::npos);
  EXPECT_NE(fault(R"({"name":"a b"})").find("providers[0].name"), std::string::npos);
  EXPECT_NE(fault(R"({"name":"a"})").find("providers[0].command"), std::string::npos);
  EXPECT_NE(fault(R"({"name":"a","command":["aws"]})").find("path of a program"),
            std::string::npos);
  EXPECT_NE(fault(R"({"name":"a","command":["/a"]})").find("price_per_hour_max"),
            std::string::npos);
  const std::string good = R"({"name":"a","command":["/a"],"price_per_hour_max":1)";
  EXPECT_EQ(fault(good + "}"), "none");
  EXPECT_NE(fault(good + R"(,"idle":5})").find("no such key as 'idle'"), std::string::npos);
  EXPECT_NE(fault(good + R"(,"idle_s":0})").find("idle_s"), std::string::npos);
  EXPECT_NE(fault(good + R"(,"machines_max":-1})").find("machines_max"), std::string::npos);
  EXPECT_NE(fault(good + "}," + good + "}").find("there twice"), std::string::npos);
  EXPECT_FALSE(ParseProviderFile("[]").ok());
  EXPECT_FALSE(ParseProviderFile("{\"providers\":7}").ok());
}

TEST(ProviderFileTest, AFileThatOthersCouldWriteIsRefused) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-providers.").value();
  const std::string path = dir.path() + "/providers.json";
  ASSERT_TRUE(WriteFileAtomically(path, kWhole, 0644).ok());
  const bool root = ::getuid() == 0;
  EXPECT_EQ(ReadProviderFile(path).ok(), root);
  ASSERT_EQ(::chmod(path.c_str(), 0664), 0);
  EXPECT_EQ(ReadProviderFile(path).error().code(), Code::kPermissionDenied);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_EQ(::symlink(path.c_str(), (path + ".link").c_str()), 0);
  EXPECT_FALSE(ReadProviderFile(path + ".link").ok());
  EXPECT_FALSE(ReadProviderFile(path + ".none").ok());
}

}  // namespace
}  // namespace strata::vcluster
