#include "imaged/oci/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::imaged::oci {
namespace {

using testing::HasSubstr;

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

std::string DescriptorText(const std::string& type, const std::string& more = "") {
  return R"({"mediaType":")" + type + R"(","digest":")" + kDigest + R"(","size":7)" + more + "}";
}

std::string ManifestText(const std::string& layers, const std::string& more = "") {
  return R"({"schemaVersion":2,"mediaType":")" + std::string(kOciManifestType) + R"(","config":)" +
         DescriptorText(kOciConfigType) + R"(,"layers":[)" + layers + "]" + more + "}";
}

TEST(Sha256, IsWhatTheStandardSays) {
  EXPECT_EQ(Sha256Hasher::Of("abc").ToString(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256Hasher hasher;
  hasher.Update("a");
  hasher.Update("bc");
  EXPECT_EQ(hasher.Finish(), Sha256Hasher::Of("abc"));
}

TEST(Sha256, ADigestIsWrittenInOneWayOnly) {
  EXPECT_TRUE(Sha256Digest::Parse(kDigest).ok());
  for (const std::string& bad :
       {std::string(""), kHex, "sha256:" + kHex + "a", "sha256:" + std::string(63, 'a'),
        "sha256:" + std::string(64, 'A'), "sha256:" + std::string(64, 'g'),
        "sha256:../" + std::string(61, 'a')}) {
    EXPECT_FALSE(Sha256Digest::Parse(bad).ok()) << bad;
  }
  EXPECT_EQ(Sha256Digest::Parse("sha512:" + kHex).error().code(), Code::kUnsupported);
}

TEST(Documents, AManifestIsReadAndPrinted) {
  const auto manifest = ParseManifest(
      ManifestText(DescriptorText(kOciLayerGzipType) + "," +
                       DescriptorText(kDockerLayerGzipType, R"(,"annotations":{"a":"b"})"),
                   R"(,"annotations":{"k":"v"},"unknown":[1,2,{"deep":null}])"));
  ASSERT_TRUE(manifest.ok()) << manifest.error().message();
  EXPECT_EQ(manifest->config.size, 7u);
  EXPECT_EQ(manifest->config.digest.Hex(), kHex);
  ASSERT_EQ(manifest->layers.size(), 2u);
  EXPECT_EQ(manifest->layers[1].annotations.at("a"), "b");
  const std::string printed = PrintManifest(*manifest);
  const auto again = ParseManifest(printed);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(PrintManifest(*again), printed);
  EXPECT_THAT(printed, HasSubstr(R"("annotations":{"k":"v"})"));
}

TEST(Documents, EveryFaultOfAManifestNamesItsField) {
  const std::string layer = DescriptorText(kOciLayerType);
  const struct {
    std::string text;
    Code code;
    std::string names;
  } faults[] = {
      {"", Code::kInvalidArgument, "no JSON"},
      {"{", Code::kInvalidArgument, "no JSON"},
      {"[]", Code::kInvalidArgument, "must be an object"},
      {"{}", Code::kInvalidArgument, "'schemaVersion'"},
      {R"({"schemaVersion":1})", Code::kUnsupported, "schemaVersion 1"},
      {R"({"schemaVersion":"2"})", Code::kInvalidArgument, "'schemaVersion'"},
      {R"({"schemaVersion":2})", Code::kInvalidArgument, "'config'"},
      {ManifestText(layer, R"(,"manifests":[])"), Code::kInvalidArgument, "'manifests'"},
      {ManifestText("7"), Code::kInvalidArgument, "'layers[0]'"},
      {ManifestText(layer + "," + DescriptorText("text/plain")), Code::kUnsupported,
       "'layers[1].mediaType' is 'text/plain': supported are"},
      {ManifestText(R"({"mediaType":"x","size":1})"), Code::kInvalidArgument, "'layers[0].digest'"},
      {ManifestText(R"({"mediaType":"x","digest":"sha256:12","size":1})"), Code::kInvalidArgument,
       "'layers[0].digest'"},
      {ManifestText(R"({"mediaType":"x","digest":")" + kDigest + R"(","size":-1})"),
       Code::kInvalidArgument, "'layers[0].size'"},
      {ManifestText(R"({"mediaType":"x","digest":")" + kDigest + R"(","size":1.5})"),
       Code::kInvalidArgument, "'layers[0].size'"},
      {ManifestText(R"({"mediaType":"x","digest":")" + kDigest +
                    R"(","size":9223372036854775808})"),
       Code::kInvalidArgument, "'layers[0].size'"},
      {ManifestText(R"({"mediaType":"x\u0000","digest":")" + kDigest + R"(","size":1})"),
       Code::kInvalidArgument, "'layers[0].mediaType' holds a NUL"},
      {ManifestText(R"({"mediaType":"x","digest":")" + kDigest +
                    R"(","size":1,"annotations":{"a":1}})"),
       Code::kInvalidArgument, "'layers[0].annotations.a'"},
      {ManifestText("\"\xff\""), Code::kInvalidArgument, "no JSON"},
  };
  for (const auto& fault : faults) {
    const auto parsed = ParseManifest(fault.text);
    ASSERT_FALSE(parsed.ok()) << fault.text;
    EXPECT_EQ(parsed.error().code(), fault.code) << fault.text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(fault.names)) << fault.text;
  }
}

TEST(Documents, TooMuchIsRefused) {
  std::string layers = DescriptorText(kOciLayerType);
  for (size_t i = 0; i < kLayersMax; ++i) layers += "," + DescriptorText(kOciLayerType);
  EXPECT_EQ(ParseManifest(ManifestText(layers)).error().code(), Code::kResourceExhausted);
  const std::string deep(100'000, '[');
  EXPECT_EQ(ParseManifest(R"({"a":)" + deep).error().code(), Code::kResourceExhausted);
  const std::string quoted(1000, '[');
  EXPECT_TRUE(ParseManifest(ManifestText("", R"(,"a":"\")" + quoted + R"(")")).ok());
  EXPECT_EQ(ParseIndex(std::string(kDocumentBytesMax + 1, ' ')).error().code(),
            Code::kResourceExhausted);
}

TEST(Documents, ADockerManifestIsTakenToo) {
  const auto manifest = ParseManifest(
      R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
          "config":)" +
      DescriptorText(kDockerConfigType) + R"(,"layers":[)" + DescriptorText(kDockerLayerGzipType) +
      "]}");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message();
  EXPECT_EQ(manifest->media_type, kDockerManifestType);
  const auto artifact = ParseManifest(R"({"schemaVersion":2,"config":)" +
                                      DescriptorText("application/vnd.cncf.helm.config.v1+json") +
                                      R"(,"layers":[]})");
  EXPECT_EQ(artifact.error().code(), Code::kUnsupported);
}

TEST(Documents, AnIndexIsReadAndPrinted) {
  const auto index = ParseIndex(
      R"({"schemaVersion":2,"manifests":[)" +
      DescriptorText(
          kOciManifestType,
          R"(,"platform":{"os":"linux","architecture":"arm64","variant":"v8","os.version":"1"})") +
      "," + DescriptorText(kOciIndexType) + "]}");
  ASSERT_TRUE(index.ok()) << index.error().message();
  ASSERT_EQ(index->manifests.size(), 2u);
  EXPECT_EQ(index->manifests[0].platform->ToString(), "linux/arm64/v8");
  EXPECT_FALSE(index->manifests[1].platform);
  const auto again = ParseIndex(PrintIndex(*index));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->manifests[0].platform, index->manifests[0].platform);
  EXPECT_THAT(ParseIndex(ManifestText("")).error().message(), HasSubstr("'config'"));
}

TEST(Documents, AConfigurationKeepsWhatMatters) {
  const std::string text = R"({"architecture":"amd64","os":"linux","variant":"v2",
    "created":"2024-01-02T03:04:05.6Z","author":"me","config":{"Env":["A=1","B=two words"],
    "Entrypoint":["/a"],"Cmd":null,"User":"1:2","WorkingDir":"/w","StopSignal":"SIGINT",
    "Labels":{"k":"v","ü":"ö"},"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/v":{}}},
    "rootfs":{"type":"layers","diff_ids":[")" +
                           kDigest + R"("]},"history":[{"created_by":"x","empty_layer":true},
    {"created":"t","created_by":"y","author":"z","comment":"c"}]})";
  const auto config = ParseImageConfig(text);
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->exposed_ports, (std::vector<std::string>{"53/udp", "80/tcp"}));
  EXPECT_TRUE(config->cmd.empty());
  const auto again = ParseImageConfig(PrintImageConfig(*config));
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(PrintImageConfig(*again), PrintImageConfig(*config));
  EXPECT_EQ(again->env, config->env);
  EXPECT_EQ(again->labels, config->labels);
  EXPECT_EQ(again->user, "1:2");
  EXPECT_EQ(again->platform.ToString(), "linux/amd64/v2");
  ASSERT_EQ(again->history.size(), 2u);
  EXPECT_TRUE(again->history[0].empty_layer);
  EXPECT_EQ(again->history[1].comment, "c");
}

TEST(Documents, EveryFaultOfAConfigurationNamesItsField) {
  const auto with = [](const std::string& config) {
    return R"({"architecture":"a","os":"o","config":)" + config +
           R"(,"rootfs":{"type":"layers","diff_ids":[]}})";
  };
  ASSERT_TRUE(ParseImageConfig(with("{}")).ok());
  const std::pair<std::string, std::string> faults[] = {
      {with("[]"), "'config'"},
      {with(R"({"Env":"A=1"})"), "'config.Env'"},
      {with(R"({"Env":[1]})"), "'config.Env[0]'"},
      {with(R"({"Labels":[]})"), "'config.Labels'"},
      {with(R"({"ExposedPorts":"80"})"), "'config.ExposedPorts'"},
      {with(R"({"User":1000})"), "'config.User'"},
      {R"({"architecture":"a","rootfs":{}})", "'os'"},
      {R"({"architecture":"a","os":"o"})", "'rootfs'"},
      {R"({"architecture":"a","os":"o","rootfs":{"type":"layers","diff_ids":["x"]}})",
       "'rootfs.diff_ids[0]'"},
  };
  for (const auto& [text, names] : faults) {
    const auto parsed = ParseImageConfig(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(names)) << text;
  }
}

TEST(Documents, LayoutAndDockerArchive) {
  EXPECT_TRUE(ParseLayoutMark(PrintLayoutMark()).ok());
  EXPECT_EQ(ParseLayoutMark(R"({"imageLayoutVersion":"2.0.0"})").error().code(),
            Code::kUnsupported);
  const std::vector<DockerArchiveImage> images = {{"c.json", {"a:1", "b:2"}, {"x.tar", "y.tar"}},
                                                  {"d.json", {}, {}}};
  const auto again = ParseDockerArchive(PrintDockerArchive(images));
  ASSERT_TRUE(again.ok()) << again.error().message();
  ASSERT_EQ(again->size(), 2u);
  EXPECT_EQ((*again)[0].repo_tags, images[0].repo_tags);
  EXPECT_EQ((*again)[0].layer_paths, images[0].layer_paths);
  EXPECT_TRUE((*again)[1].repo_tags.empty());
  EXPECT_FALSE(ParseDockerArchive(R"([{"RepoTags":null}])").ok());
}

TEST(Documents, Platforms) {
  EXPECT_EQ(ParsePlatform("linux/arm64/v8")->variant, "v8");
  EXPECT_EQ(ParsePlatform("linux/amd64")->architecture, "amd64");
  for (const char* bad : {"", "linux", "linux/", "/amd64", "a/b/c/d", "a//c"}) {
    EXPECT_FALSE(ParsePlatform(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace strata::imaged::oci
