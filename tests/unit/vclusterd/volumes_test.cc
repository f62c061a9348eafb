// Volumes in real nodes: shared, kept apart, left out of images, and deleted.
#include "tests/unit/vclusterd/clusters_fixture.h"
#include "vclusterd/volumes/stored_ids.h"

namespace strata::vcluster {
namespace {

class VolumesTest : public ClustersTest {
 protected:
  static Definition WithVolumes(const std::string& name, uint32_t nodes) {
    Definition definition = PlainDefinition(name, "tiny", nodes, {});
    definition.volumes = {{"data"}};
    definition.roles[0].volumes = {{"data", "/srv/data"}, {"home", "/home/me"}};
    return definition;
  }
  Result<ClusterView> Make(const Definition& definition, const Caller& owner = kAlice,
                           const std::string& driver = "") {
    return clusters_->Create(owner, definition, driver, Ignore, {});
  }
  std::string Shell(const std::string& node, const std::string& script,
                    const Caller& owner = kAlice) {
    return Run(owner, node, {"sh", "-c", "busybox() { /bin/busybox \"$@\"; }; " + script});
  }
  void Restart(const std::string& name) {
    ASSERT_TRUE(clusters_->Stop(kAlice, name, milliseconds(2000)).ok());
    const auto started = clusters_->Start(kAlice, name);
    ASSERT_TRUE(started.ok()) << started.error().message();
  }
  std::string Shared(const std::string& path) const { return config_.shared_dir + "/" + path; }
  // Of the Vcluster with number 1.
  std::string DataDirectory(const std::string& volume) {
    const std::string all = Shared("vclusters");
    std::string name = RunChecked({"ls", all}).value();
    while (name.ends_with('\n')) name.pop_back();
    return all + "/" + name + "/" + volume;
  }
  static bool Await(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
};

TEST_F(VolumesTest, NodesShareAVolumeThatIsInNoImageAndGoesWithTheVcluster) {
  Definition definition = WithVolumes("v", 2);
  Role reader = definition.roles[0];
  reader.name = "reader";
  reader.count = 1;
  reader.volumes = {{"data", "/in", true}};
  definition.roles.push_back(reader);
  const auto made = Make(definition);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(Shell("v/0",
                  "echo hello > /srv/data/f; busybox touch /srv/data/g; "
                  "busybox chown 1000:1000 /srv/data/g; echo mine > /home/me/x"),
            "");
  EXPECT_EQ(Shell("v/1", "cat /srv/data/f; busybox stat -c '%u %g' /srv/data/f /srv/data/g"),
            "hello\n0 0\n1000 1000\n");
  EXPECT_EQ(Shell("v/reader-0", "cat /in/f"), "hello\n");
  const std::string refused =
      Shell("v/reader-0", "echo no > /in/f; busybox mount -o remount,rw /in; echo no > /in/f");
  EXPECT_NE(refused.find("Read-only"), std::string::npos) << refused;
  EXPECT_EQ(Shell("v/1", "cat /srv/data/f"), "hello\n");
  const std::string mounts = Shell("v/0", "busybox grep -E ' (/srv/data|/home/me) ' /proc/mounts");
  EXPECT_EQ(std::count(mounts.begin(), mounts.end(), '\n'), 2) << mounts;
  EXPECT_NE(mounts.find(" /srv/data ext4 rw,nosuid,nodev"), std::string::npos) << mounts;

  struct stat st;
  const std::string data = DataDirectory("data.1");
  ASSERT_EQ(::stat((data + "/f").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, kAlice.uid);
  ASSERT_EQ(::stat((data + "/g").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, kStoredIdFirst + 1000);

  ASSERT_TRUE(Save("v/0").ok());
  EXPECT_TRUE(PathExists(images_->saved_from + "/srv/data"));
  EXPECT_EQ(Entries(images_->saved_from + "/srv/data"), std::vector<std::string>());
  EXPECT_EQ(Entries(images_->saved_from + "/home/me"), std::vector<std::string>());

  ASSERT_TRUE(clusters_->Delete(kAlice, "v").ok());
  EXPECT_FALSE(PathExists(data));
  EXPECT_TRUE(Await([&] { return Entries(Shared("trash")).empty(); }));
  EXPECT_TRUE(PathExists(Shared("homes/64001/x")));
}

TEST_F(VolumesTest, AHomeIsInAllVclustersOfItsOwnerAndInNobodyElses) {
  ASSERT_TRUE(Make(WithVolumes("a", 1)).ok());
  ASSERT_TRUE(Make(WithVolumes("b", 1), kAlice, "fuse").ok());
  ASSERT_TRUE(Make(WithVolumes("c", 1), kBob).ok());
  EXPECT_EQ(Shell("a/0", "echo key > /home/me/secret; echo own > /srv/data/own"), "");
  EXPECT_EQ(Shell("b/0", "cat /home/me/secret; busybox ls /srv/data"), "key\n");
  EXPECT_EQ(Shell("c/0", "busybox ls -A /home/me /srv/data", kBob), "/home/me:\n\n/srv/data:\n");
}

TEST_F(VolumesTest, APathInANodeLeadsNoFurtherThanItsRoot) {
  Definition definition = PlainDefinition("l", "tiny", 1, {});
  ASSERT_TRUE(Make(definition).ok());
  const std::string outside = dir_->path() + "/outside";
  ASSERT_TRUE(MakeDirectories(outside).ok());
  ASSERT_EQ(::chmod(outside.c_str(), 0777), 0);
  EXPECT_EQ(Shell("l/0", "busybox ln -s " + outside +
                             " /out; busybox mkdir -p /real/deep; "
                             "busybox ln -s ../../../../real /in"),
            "");
  definition.volumes = {{"data"}};
  definition.roles[0].volumes = {{"data", "/in/deep/volume"}, {"home", "/out/home"}};
  ASSERT_TRUE(clusters_->Apply(kAlice, definition, false, false, Ignore, {}).ok());
  ASSERT_TRUE(clusters_->Stop(kAlice, "l", milliseconds(2000)).ok());
  const auto refused = clusters_->Start(kAlice, "l");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("volume home cannot be mounted in the node: "),
            std::string::npos)
      << refused.error().message();
  EXPECT_EQ(Entries(outside), std::vector<std::string>());

  definition.roles[0].volumes.pop_back();
  ASSERT_TRUE(clusters_->Stop(kAlice, "l", milliseconds(0)).ok());
  ASSERT_TRUE(clusters_->Apply(kAlice, definition, false, false, Ignore, {}).ok());
  const auto started = clusters_->Start(kAlice, "l");
  ASSERT_TRUE(started.ok()) << started.error().message();
  EXPECT_EQ(Shell("l/0", "echo here > /in/deep/volume/f; cat /real/deep/volume/f"), "here\n");
  EXPECT_TRUE(PathExists(DataDirectory("data.1") + "/f"));
}

TEST_F(VolumesTest, OneIsMountedInAnother) {
  Definition definition = WithVolumes("n", 1);
  definition.roles[0].volumes = {{"data", "/srv"}, {"home", "/srv/home of mine"}};
  const auto made = Make(definition);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(Shell("n/0", "echo x > '/srv/home of mine/x'; echo y > /srv/y"), "");
  EXPECT_TRUE(PathExists(Shared("homes/64001/x")));
  EXPECT_EQ(Shell("n/0", "busybox stat -c %u /srv '/srv/home of mine'"), "0\n0\n");
}

TEST_F(VolumesTest, OneThatIsLeftOutStaysUntilNoNodeHasItMounted) {
  ASSERT_TRUE(Make(WithVolumes("v", 1)).ok());
  EXPECT_EQ(Shell("v/0", "echo old > /srv/data/f"), "");
  const std::string data = DataDirectory("data.1");
  Definition without = WithVolumes("v", 1);
  without.volumes.clear();
  without.roles[0].volumes.clear();
  ASSERT_TRUE(clusters_->Apply(kAlice, without, false, false, Ignore, {}).ok());
  Open();  // Nothing but the file of the part knows now what is mounted.
  EXPECT_EQ(Shell("v/0", "cat /srv/data/f"), "old\n");
  EXPECT_TRUE(PathExists(data + "/f"));
  ASSERT_TRUE(clusters_->Apply(kAlice, WithVolumes("v", 1), false, false, Ignore, {}).ok());
  Restart("v");
  EXPECT_TRUE(Await([&] { return !PathExists(data); }));
  EXPECT_EQ(Shell("v/0", "busybox ls /srv/data"), "");
}

TEST_F(VolumesTest, ANodeThatDiesHasItsVolumeAgain) {
  config_.restart_pause = milliseconds(10);
  Open();
  ASSERT_TRUE(Make(WithVolumes("v", 1)).ok());
  EXPECT_EQ(Shell("v/0", "echo kept > /srv/data/f"), "");
  const pid_t before = ViewOf("v").init_pid;
  KillInit("v");
  AwaitReady("v", before);
  EXPECT_EQ(Shell("v/0", "cat /srv/data/f"), "kept\n");
}

TEST_F(VolumesTest, AClonesVolumesAreItsOwn) {
  ASSERT_TRUE(Make(WithVolumes("v", 1)).ok());
  EXPECT_EQ(Shell("v/0", "echo pattern > /srv/data/f"), "");
  ASSERT_TRUE(clusters_->Clone(kAlice, {"v", 1, "", ""}, Ignore, {}).ok());
  EXPECT_EQ(Shell("v-1/0", "busybox ls /srv/data; echo clone > /srv/data/f"), "");
  EXPECT_EQ(Shell("v/0", "cat /srv/data/f"), "pattern\n");
}

TEST_F(VolumesTest, ADirectoryThatIsNotTheMastersIsNamedAndNothingIsMade) {
  ASSERT_TRUE(Make(WithVolumes("v", 1)).ok());
  ASSERT_TRUE(clusters_->Stop(kAlice, "v", milliseconds(2000)).ok());
  const std::string id = ReadFile(Shared("strata-shared")).value();
  ASSERT_TRUE(
      WriteFileAtomically(Shared("strata-shared"), "strata shared 1\n0123456789abcdef\n").ok());
  const auto refused = clusters_->Start(kAlice, "v");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("is its file system mounted"), std::string::npos)
      << refused.error().message();
  ASSERT_TRUE(WriteFileAtomically(Shared("strata-shared"), id).ok());
  EXPECT_TRUE(clusters_->Start(kAlice, "v").ok());
}

}  // namespace
}  // namespace strata::vcluster
