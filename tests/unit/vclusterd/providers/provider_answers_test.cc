#include "vclusterd/providers/provider_answers.h"

#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

std::string OfferText(const std::string& field, const std::string& value) {
  std::string text = "{\"offers\":[{";
  for (const auto& [key, fallback] :
       {std::pair("name", "\"small\""), std::pair("cpus", "2"), std::pair("memory_bytes", "1e9"),
        std::pair("disk_bytes", "1e10"), std::pair("price_per_hour", "0.5"),
        std::pair("labels", "[\"gpu\"]")}) {
    if (field == key && value.empty()) continue;
    if (text.back() != '{') text += ",";
    text += "\"" + std::string(key) + "\":" + (field == key ? value : fallback);
  }
  return text + "}]}";
}

TEST(ProviderAnswersTest, OffersAreReadAsTheyAre) {
  const auto offers = ParseOffers(OfferText("", ""));
  ASSERT_TRUE(offers.ok()) << offers.error().message();
  ASSERT_EQ(offers->size(), 1u);
  EXPECT_EQ((*offers)[0].name, "small");
  EXPECT_EQ((*offers)[0].cpus, 2);
  EXPECT_EQ((*offers)[0].memory_bytes, 1'000'000'000u);
  EXPECT_EQ((*offers)[0].price_per_hour, 0.5);
  EXPECT_EQ((*offers)[0].labels, std::vector<std::string>{"gpu"});
  EXPECT_TRUE(ParseOffers(OfferText("labels", "")).ok());
  EXPECT_TRUE(ParseOffers("{\"offers\":[]}")->empty());
}

TEST(ProviderAnswersTest, WhatCannotBeIsRefusedAndNamed) {
  const std::string long_text = "\"" + std::string(300, 'x') + "\"";
  const std::vector<std::pair<std::string, std::string>> bad = {{"name", ""},
                                                                {"name", "7"},
                                                                {"name", "\"\""},
                                                                {"name", long_text},
                                                                {"name", "\"a\\nb\""},
                                                                {"name", "\"\\u001b[31m\""},
                                                                {"cpus", ""},
                                                                {"cpus", "\"2\""},
                                                                {"cpus", "0"},
                                                                {"cpus", "-1"},
                                                                {"cpus", "1e300"},
                                                                {"memory_bytes", "-5"},
                                                                {"memory_bytes", "1e30"},
                                                                {"disk_bytes", "null"},
                                                                {"price_per_hour", "-0.1"},
                                                                {"price_per_hour", "1e9"},
                                                                {"labels", "\"gpu\""},
                                                                {"labels", "[1]"},
                                                                {"labels", "[\"\"]"},
                                                                {"labels", "[" + long_text + "]"}};
  for (const auto& [field, value] : bad) {
    const auto offers = ParseOffers(OfferText(field, value));
    ASSERT_FALSE(offers.ok()) << field << " " << value;
    EXPECT_EQ(offers.error().code(), Code::kInvalidArgument);
  }
  for (const char* text : {"", "null", "[]", "7", "{}", "{\"offers\":{}}", "{\"offers\":[7]}",
                           "{\"offers\":[", "\xff", "{\"offers\":[]} trailing"}) {
    EXPECT_FALSE(ParseOffers(text).ok()) << text;
  }
}

TEST(ProviderAnswersTest, AnAnswerIsBounded) {
  std::string many = "{\"offers\":[";
  for (int i = 0; i < 300; ++i) many += "{},";
  EXPECT_FALSE(ParseOffers(many + "{}]}").ok());
  EXPECT_FALSE(ParseOffers(std::string(2 * kAnswerBytesMax, ' ')).ok());
  EXPECT_FALSE(ParseOffers(std::string(200'000, '[')).ok());
  const std::string twice = OfferText("", "");
  EXPECT_FALSE(ParseOffers("{\"offers\":[" + twice.substr(11, twice.size() - 13) + "," +
                           twice.substr(11, twice.size() - 13) + "]}")
                   .ok());
}

TEST(ProviderAnswersTest, AnErrorIsAnErrorWhateverElseIsThere) {
  const auto started = ParseStarted("{\"id\":\"i-1\",\"error\":\"no credit\\u001b[31m\"}");
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code(), Code::kUnavailable);
  EXPECT_EQ(started.error().message().find('\x1b'), std::string::npos);
  EXPECT_NE(started.error().message().find("no credit"), std::string::npos);
  EXPECT_FALSE(ParseStopped("{\"error\":7}").ok());
  EXPECT_TRUE(ParseStopped("{}").ok());
  EXPECT_EQ(ParseStarted("{\"id\":\"i-1\"}").value(), "i-1");
  EXPECT_FALSE(ParseStarted("{}").ok());
}

TEST(ProviderAnswersTest, OnlyMachinesOfOursAreSeen) {
  const auto machines = ParseMachines(
      R"({"machines":[{"id":"i-1","tag":"strata-a-1"},{"id":"i-2","tag":"strata-b-1"},)"
      R"({"id":"i-3","tag":"web"}]})",
      "strata-a-");
  ASSERT_TRUE(machines.ok()) << machines.error().message();
  EXPECT_EQ(*machines, (std::vector<Machine>{{"i-1", "strata-a-1"}}));
  EXPECT_FALSE(ParseMachines(R"({"machines":[{"id":"i-1"}]})", "").ok());
  EXPECT_FALSE(
      ParseMachines(R"({"machines":[{"id":"1","tag":"a"},{"id":"1","tag":"b"}]})", "").ok());
}

}  // namespace
}  // namespace strata::vcluster
