// A real etcd that asks for certificates: who has the right ones comes in, and others are told.
#include <gmock/gmock.h>

#include "tests/unit/records/etcd_server.h"
#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

using testing::HasSubstr;

class EtcdTlsTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-etcdtls.")));
    MakeAuthority("ca");
    MakeAuthority("other");
    MakeCertificate("member", "ca");
    MakeCertificate("host", "ca");
    MakeCertificate("foreign", "other");
    etcd_.emplace(std::vector<std::string>{"--client-cert-auth", "--trusted-ca-file=" + Pem("ca"),
                                           "--cert-file=" + Pem("member"),
                                           "--key-file=" + Key("member")});
  }

  std::string Pem(const std::string& name) const {
    return directory_->path() + "/" + name + ".pem";
  }
  std::string Key(const std::string& name) const {
    return directory_->path() + "/" + name + ".key";
  }
  void OpenSsl(std::vector<std::string> arguments) {
    SubprocessOptions options;
    options.argv = std::move(arguments);
    options.argv.insert(options.argv.begin(), "openssl");
    auto log = Open(directory_->path() + "/log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    ASSERT_OK(log);
    options.stdout_fd = log->get();
    options.stderr_fd = log->get();
    auto started = Subprocess::Start(options);
    ASSERT_OK(started);
    const auto ended = started->Wait();
    ASSERT_OK(ended);
  }
  void MakeAuthority(const std::string& name) {
    OpenSsl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=" + name, "-keyout", Key(name), "-out", Pem(name)});
    ASSERT_TRUE(PathExists(Pem(name)));
  }
  // For 127.0.0.1, as a server and as a client.
  void MakeCertificate(const std::string& name, const std::string& authority) {
    const std::string request = directory_->path() + "/" + name + ".csr";
    const std::string extensions = directory_->path() + "/extensions";
    ASSERT_OK(WriteFileDurably(
        extensions, "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n", 0644));
    OpenSsl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             "/CN=" + name, "-keyout", Key(name), "-out", request});
    OpenSsl({"x509", "-req", "-in", request, "-CA", Pem(authority), "-CAkey", Key(authority),
             "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", Pem(name)});
    ASSERT_TRUE(PathExists(Pem(name)));
  }
  // `certificate`: "" for none.
  EtcdOptions With(const std::string& authority, const std::string& certificate) {
    EtcdOptions options = etcd_->OptionsFor(TestTables(), "one");
    options.location.ca_file = Pem(authority);
    if (!certificate.empty()) {
      options.location.certificate_file = Pem(certificate);
      options.location.key_file = Key(certificate);
    }
    return options;
  }
  void ExpectRefused(EtcdOptions options, const std::string& remedy) {
    options.location.answer_max = std::chrono::seconds(2);
    const auto opened = EtcdRecordStore::Open(options);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code(), Code::kUnavailable) << opened.error().message();
    EXPECT_THAT(opened.error().message(),
                HasSubstr("127.0.0.1:" + std::to_string(etcd_->client_port())));
    EXPECT_THAT(opened.error().message(), HasSubstr(remedy));
  }

  std::optional<TemporaryDirectory> directory_;
  std::optional<EtcdServer> etcd_;
};

TEST_F(EtcdTlsTest, TheRightCertificatesComeInAndOthersAreTold) {
  {
    auto store = EtcdRecordStore::Open(With("ca", "host"));
    ASSERT_OK(store);
    ASSERT_OK((*store)->Put(kTags, "a", "1"));
    EXPECT_EQ(*(*store)->Get(kTags, "a"), "1");
    EXPECT_TRUE((*store)->Health().ok());
  }
  // From now on the server is known to be up: what fails is the certificates' doing.
  ExpectRefused(With("other", "host"),
                "certificate verify failed");  // Who signed etcd's is not believed.
  ExpectRefused(With("ca", ""), "their authority --etcd-cert");
  ExpectRefused(With("ca", "foreign"),
                "their authority --etcd-cert");  // Ours is none that etcd believes.
  ExpectRefused(etcd_->OptionsFor(TestTables(), "one"), "TLS (--etcd-ca)");  // Plain text.
  const auto without_key = [&] {
    EtcdOptions options = With("ca", "host");
    options.location.key_file = directory_->path() + "/none";
    return EtcdRecordStore::Open(options);
  }();
  ASSERT_FALSE(without_key.ok());
  EXPECT_THAT(without_key.error().message(), HasSubstr("/none"));
}

}  // namespace
}  // namespace strata::records
