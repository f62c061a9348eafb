// Every case on every backend, each in a mount of its own: Posix/Conformance.<case>/<backend>.
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>

#include "common/file_io.h"
#include "tests/conformance/backends.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/differences.h"

namespace strata::conformance {
namespace {

struct Parameter {
  BackendKind backend;
  Case test_case;
};

std::vector<Parameter> AllParameters() {
  std::vector<Parameter> all;
  for (const BackendKind backend : AvailableBackends()) {
    for (const Case& test_case : AllCases()) all.push_back({backend, test_case});
  }
  return all;
}

std::string ParameterName(const ::testing::TestParamInfo<Parameter>& parameter) {
  return std::string(BackendName(parameter.param.backend)) + "_" + parameter.param.test_case.name;
}

class Conformance : public ::testing::TestWithParam<Parameter> {
 protected:
  void SetUp() override {
    ::umask(022);
    auto directory = TemporaryDirectory::Create("/var/tmp", "layerfs-conformance.");
    ASSERT_TRUE(directory.ok()) << directory.error().message();
    ASSERT_EQ(::chmod(directory->path().c_str(), 0755), 0);
    directory_.emplace(std::move(*directory));
    testing::TestImage image;
    DescribeLowerContent("case", &image);
    auto backend = Backend::Create(GetParam().backend, directory_->path(), image);
    ASSERT_TRUE(backend.ok()) << backend.error().message();
    backend_ = std::move(*backend);
  }

  void TearDown() override {
    if (backend_ != nullptr) {
      const Status unmounted = backend_->Unmount();  // Fails when a case left something open.
      EXPECT_TRUE(unmounted.ok()) << unmounted.error().message();
    }
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<Backend> backend_;
};

TEST_P(Conformance, Holds) {
  Env env(backend_->mountpoint() + "/case",
          [this] { return backend_->Remount(/*other_driver=*/true); });
  GetParam().test_case.run(env);
  const auto known = KnownDifference(GetParam().backend, GetParam().test_case.name);
  if (known.has_value()) {
    EXPECT_FALSE(env.failures().empty()) << "passes now, take it off the list: " << *known;
    return;
  }
  for (const std::string& failure : env.failures()) ADD_FAILURE() << failure;
}

INSTANTIATE_TEST_SUITE_P(Posix, Conformance, ::testing::ValuesIn(AllParameters()), ParameterName);

TEST(ConformanceTable, NamesEachCaseOnceAndDifferencesOfRealCasesOnly) {
  std::set<std::string> names;
  for (const Case& test_case : AllCases()) EXPECT_TRUE(names.insert(test_case.name).second);
  EXPECT_GE(names.size(), 120u);
  for (const Difference& difference : AllDifferences()) {
    EXPECT_TRUE(names.contains(std::string(difference.case_name))) << difference.case_name;
  }
}

}  // namespace
}  // namespace strata::conformance
