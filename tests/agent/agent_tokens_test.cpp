#include <gmock/gmock.h>

#include "agent/agent.h"
#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class TheTokensOfAnAgent : public Site {
 protected:
  void write_devid(const std::string& text) const { write_file(etc() / "devid.toml", text); }
  void write_profile_of(const std::string& name, const std::string& top, const std::string& tables = {}) const {
    write_file(etc() / "identities.d" / (name + ".toml"),
               top + "\n[server]\nurl = \"https://localhost\"\ntrust_anchors = \"/a.pem\"\n" + tables);
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, token] : agent_->tokens()) names.push_back(name);
    return names;
  }
  [[nodiscard]] const Token* token(const std::string& name) const { return agent_->tokens().at(name).get(); }
};

const std::string two_tokens = "[pkcs11.a]\nuri = \"pkcs11:token=a\"\n[pkcs11.b]\nuri = \"pkcs11:token=b\"\n";

TEST_F(TheTokensOfAnAgent, AreThoseOfTheConfigurationAndThoseThatProfilesNameByUri) {
  write_devid(two_tokens);
  write_profile_of("one", "token = \"pkcs11:token=c\"");
  write_profile_of("two", "token = \"pkcs11:token=c\"", "[idevid]\ntoken = \"pkcs11:token=d\"\n");
  write_profile_of("three", "token = \"a\"", "[idevid]\ntoken = \"b\"\n");
  load();
  EXPECT_THAT(agent_->configuration_errors(), IsEmpty());
  EXPECT_THAT(names(), ElementsAre("a", "b", "pkcs11:token=c", "pkcs11:token=d", "tpm"));
}

TEST_F(TheTokensOfAnAgent, StayThroughAReloadThatDoesNotChangeThem) {
  write_devid(two_tokens);
  write_profile_of("one", "token = \"pkcs11:token=c\"");
  load();
  const Token* const tpm = token("tpm");
  const Token* const a = token("a");
  const Token* const b = token("b");
  const Token* const c = token("pkcs11:token=c");
  ASSERT_TRUE(agent_->reload());
  EXPECT_EQ(token("b"), b);
  write_devid(two_tokens + "pin = \"credential:b\"\n");
  ASSERT_TRUE(agent_->reload());
  EXPECT_EQ(token("tpm"), tpm);
  EXPECT_EQ(token("a"), a);
  EXPECT_NE(token("b"), b);
  EXPECT_EQ(token("pkcs11:token=c"), c);
  write_devid("[tpm]\ntcti = \"swtpm\"\n[pkcs11.a]\nuri = \"pkcs11:token=a\"\n");
  fs::remove(etc() / "identities.d/one.toml");
  ASSERT_TRUE(agent_->reload());
  EXPECT_NE(token("tpm"), tpm);
  EXPECT_EQ(token("a"), a);
  EXPECT_THAT(names(), ElementsAre("a", "tpm"));
}

TEST_F(TheTokensOfAnAgent, AreNotChangedByAReloadThatIsRefused) {
  write_devid(two_tokens);
  load();
  const Token* const a = token("a");
  write_devid("");
  write_profile_of("one", "token = \"a\"");
  const auto reloaded = agent_->reload();
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().sentence(), HasSubstr("there is no token 'a'"));
  EXPECT_THAT(reloaded.error().hint, HasSubstr("tokens: tpm"));
  EXPECT_EQ(token("a"), a);
}

TEST_F(TheTokensOfAnAgent, AreInspectedEachForItself) {
  write_devid(two_tokens);
  load();
  hardware_.fail_all({.code = Errc::token_unreachable, .what = "the TPM is away"});
  const auto inspections = agent_->inspect_tokens();
  ASSERT_EQ(inspections.size(), 3U);
  EXPECT_EQ(inspections[0].description.name, "a");
  EXPECT_EQ(inspections[0].description.kind, "pkcs11");
  ASSERT_TRUE(inspections[0].report);
  EXPECT_EQ(inspections[0].report->model, "fake");
  EXPECT_EQ(inspections[2].description.name, "tpm");
  ASSERT_FALSE(inspections[2].report);
  EXPECT_EQ(inspections[2].report.error().what, "the TPM is away");
}

class ADiagnosis : public TheTokensOfAnAgent {
 protected:
  [[nodiscard]] std::vector<std::string> rows() const {
    std::vector<std::string> rows;
    for (const auto& row : agent_->diagnose().evidence)
      rows.push_back(row.token + " " + row.location + " " + std::string(identity::verdict_name(row.verdict)));
    return rows;
  }
};

TEST_F(ADiagnosis, IsOfADeviceWithoutProfilesToo) {
  fs::remove_all(etc());
  load();
  EXPECT_THAT(rows(), ElementsAre("tpm nv:0x01c90200 taken", "tpm handle:0x81020000 taken"));
  EXPECT_THAT(agent_->diagnose().advice, IsEmpty());
}

TEST_F(ADiagnosis, LooksWhereEachProfileWouldAndNamesEachPlaceOnce) {
  write_devid(two_tokens);
  write_profile_of("one", "idevid = \"auto\"");
  write_profile_of("two", "token = \"a\"");
  write_profile_of("three", "idevid = \"handle:0x81020009\"");
  load();
  EXPECT_THAT(rows(),
              ElementsAre("tpm nv:0x01c90200 taken", "tpm handle:0x81020000 taken", "tpm handle:0x81020009 rejected"));
  EXPECT_THAT(agent_->diagnose().advice, Not(IsEmpty())) << "one of them finds nothing";
}

TEST_F(ADiagnosis, ChangesNothingAndRemembersNothing) {
  const auto before = hardware_.made_keys();
  static_cast<void>(agent_->diagnose());
  EXPECT_EQ(hardware_.made_keys(), before);
  EXPECT_FALSE(fs::exists(directory() / "idevid.json"));
}

TEST_F(ADiagnosis, SaysWhatToConfigureWhereNothingIsFound) {
  hardware_.remove_certificate("nv:0x01c90200");
  idevid_.clear();
  write_profile();
  load();
  EXPECT_THAT(rows(), ElementsAre("tpm handle:0x81020000 rejected"));
  EXPECT_THAT(agent_->diagnose().advice, ElementsAre(HasSubstr("certificates = [\"/path\"] of devid.toml")));
  write_profile_of("hsm", "idevid = \"pkcs11:id=%01\"");
  load();
  EXPECT_THAT(agent_->diagnose().advice, testing::Contains(HasSubstr("[pkcs11.NAME]")));
}

TEST_F(ADiagnosis, IsThatOfTheConfigurationWhereThatIsWrong) {
  write_devid("[tpm]\ntcti = 1\n");
  load();
  EXPECT_THAT(agent_->diagnose().advice, ElementsAre(HasSubstr("devid.toml:2:8")));
}

}  // namespace
}  // namespace devid::test
