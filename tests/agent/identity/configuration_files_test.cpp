#include "agent/identity/configuration_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <ranges>
#include <system_error>

#include "agent/identity/anchors.h"
#include "tests/support/forked_child.h"
#include "tests/support/temporary_directory.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class TheConfiguration : public testing::Test {
 protected:
  TheConfiguration()
      : paths_{.configuration = directory_.path() / "etc", .vendor_configuration = directory_.path() / "usr"} {
    fs::create_directories(etc());
    fs::create_directories(usr());
  }

  [[nodiscard]] fs::path etc() const { return paths_.configuration / "identities.d"; }
  [[nodiscard]] fs::path usr() const { return paths_.vendor_configuration / "identities.d"; }

  static void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }
  static void write_profile(const fs::path& file, const std::string& first_line = "") {
    write(file, first_line + "\n[server]\nurl = \"https://est.example.net\"\ntrust_anchors = \"/a.pem\"\n");
  }

  [[nodiscard]] std::vector<ProfileFile> profiles() const {
    auto found = read_profiles(paths_, {"tpm"});
    EXPECT_TRUE(found) << found.error().sentence();
    return found.value_or(std::vector<ProfileFile>());
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& file : profiles()) names.push_back(file.name);
    return names;
  }

  test::TemporaryDirectory directory_;
  Paths paths_;
};

TEST_F(TheConfiguration, IsAllDefaultsWhereThereIsNoFile) {
  fs::remove_all(directory_.path() / "etc");
  fs::remove_all(directory_.path() / "usr");
  const auto configuration = read_configuration(paths_);
  ASSERT_TRUE(configuration);
  EXPECT_EQ(configuration->tpm.tcti, "device:/dev/tpmrm0");
  EXPECT_TRUE(profiles().empty());
}

TEST_F(TheConfiguration, NamesTheTpm) {
  write(paths_.configuration / "devid.toml", "[tpm]\ntcti = \"swtpm:port=2321\"\n");
  const auto configuration = read_configuration(paths_);
  ASSERT_TRUE(configuration) << configuration.error().sentence();
  EXPECT_EQ(configuration->tpm.tcti, "swtpm:port=2321");
}

TEST_F(TheConfiguration, IsRefusedWithThePlaceOfWhatIsWrong) {
  const fs::path file = paths_.configuration / "devid.toml";
  for (const auto& [text, complaint] : std::vector<std::pair<std::string, std::string>>{
           {"[tpm]\ntcit = \"x\"\n", ":2:1: unknown key 'tcit' in [tpm]"},
           {"[tpn]\n", ":1:2: unknown key 'tpn'"},
           {"[tpm]\ntcti = 1\n", ":2:8: tpm.tcti must be a string, not an integer"},
           {"[tpm]\ntcti = \"\"\n", ":2:8: tpm.tcti is empty"},
           {"tpm\n", ":1:4: this is not TOML"}}) {
    write(file, text);
    const auto configuration = read_configuration(paths_);
    ASSERT_FALSE(configuration) << text;
    EXPECT_THAT(configuration.error().sentence(), testing::StartsWith(file.string() + complaint));
  }
}

TEST_F(TheConfiguration, IsRefusedWhereItIsADirectory) {
  fs::create_directories(paths_.configuration / "devid.toml");
  const auto configuration = read_configuration(paths_);
  ASSERT_FALSE(configuration);
  EXPECT_EQ(configuration.error().code, Errc::config_missing);
  EXPECT_EQ(configuration.error().retry, Retry::after_operator);
  EXPECT_THAT(configuration.error().sentence(), HasSubstr("devid.toml (it is a directory)"));
}

TEST_F(TheConfiguration, IsAsTheShippedExamplesShowIt) {
  const fs::path examples = DEVID_EXAMPLES;
  fs::copy_file(examples / "devid.toml", paths_.configuration / "devid.toml");
  for (const char* name : {"gateway.toml", "plant.toml"}) fs::copy_file(examples / name, etc() / name);
  const auto configuration = read_configuration(paths_);
  ASSERT_TRUE(configuration) << configuration.error().sentence();
  EXPECT_EQ(*configuration, Configuration()) << "the example shows the defaults";
  const auto found = profiles();
  ASSERT_EQ(found.size(), 2U);
  for (const auto& file : found) EXPECT_TRUE(file.profile) << file.profile.error().sentence();
}

TEST_F(TheConfiguration, HasIdentitiesInTheOrderOfTheirFiles) {
  for (const char* name : {"c.toml", "a.toml", "b.toml"}) write_profile(etc() / name);
  EXPECT_THAT(names(), testing::ElementsAre("a", "b", "c"));
}

TEST_F(TheConfiguration, IgnoresWhatIsNoTomlFile) {
  for (const char* name : {"a.toml.bak", "README", ".toml", "b.tom", ".a.toml.swp"}) write(etc() / name, "garbage");
  EXPECT_TRUE(names().empty());
}

TEST_F(TheConfiguration, OfTheOperatorWinsOverTheVendors) {
  write_profile(usr() / "a.toml", "name = \"vendor\"");
  write_profile(usr() / "b.toml");
  write_profile(etc() / "a.toml", "name = \"operator\"");
  EXPECT_THAT(names(), testing::ElementsAre("operator", "b"));
}

TEST_F(TheConfiguration, OfTheOperatorHidesTheVendorsByALinkToNothing) {
  write_profile(usr() / "a.toml");
  fs::create_symlink("/dev/null", etc() / "a.toml");
  EXPECT_TRUE(names().empty());
}

TEST_F(TheConfiguration, KeepsTheOtherIdentitiesWhereOneIsWrong) {
  write_profile(etc() / "a.toml");
  write(etc() / "b.toml", "garbage");
  const auto found = profiles();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(found[0].profile);
  EXPECT_EQ(found[1].name, "b");
  ASSERT_FALSE(found[1].profile);
  EXPECT_EQ(found[1].profile.error().code, Errc::config_syntax);
}

TEST_F(TheConfiguration, NamesBothFilesThatGiveTheSameName) {
  write_profile(etc() / "a.toml", "name = \"same\"");
  write_profile(usr() / "b.toml", "name = \"same\"");
  const auto found = profiles();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(found[0].profile);
  EXPECT_EQ(found[0].name, "same");
  EXPECT_EQ(found[1].name, "");
  ASSERT_FALSE(found[1].profile);
  EXPECT_EQ(found[1].profile.error().sentence(),
            (usr() / "b.toml").string() + ":1:8: the identity 'same' is also that of " + (etc() / "a.toml").string());
}

TEST_F(TheConfiguration, TellsWhyAFileCannotBeRead) {
  fs::create_directories(etc() / "a.toml");
  fs::create_symlink("/nonexistent/devid", etc() / "b.toml");
  write(etc() / "c.toml", std::string((1U << 20U) + 1, '#'));
  const std::vector<std::string> reasons = {"it is a directory", "No such file or directory",
                                            "it is larger than 1048576 bytes"};
  const auto found = profiles();
  ASSERT_EQ(found.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_FALSE(found[i].profile);
    EXPECT_EQ(found[i].profile.error().code, Errc::config_missing);
    EXPECT_EQ(found[i].profile.error().retry, Retry::after_operator);
    EXPECT_EQ(found[i].profile.error().reason, reasons[i]);
    EXPECT_THAT(found[i].profile.error().what, HasSubstr(found[i].file.string()));
  }
}

TEST_F(TheConfiguration, IsAnErrorWhereItsDirectoryIsAFile) {
  fs::remove(etc());
  write(etc(), "");
  const auto found = read_profiles(paths_, {});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::config_missing);
  EXPECT_THAT(found.error().sentence(), HasSubstr(etc().string() + " (Not a directory)"));
}

/// Files of the configuration whose owner forgot that devidd reads them too. Each test is of a file, or of the
/// directory that it is in: "CODE, RETRY: SENTENCE; HINT".
class TheConfigurationOfAnotherUser : public TheConfiguration {
 protected:
  TheConfigurationOfAnotherUser() { fs::permissions(directory_.path(), fs::perms(0755)); }
  ~TheConfigurationOfAnotherUser() override {
    std::error_code ignored;
    for (const fs::path& place : locked_ | std::views::reverse) fs::permissions(place, fs::perms::owner_all, ignored);
  }
  void lock(const fs::path& place) {
    fs::permissions(place, fs::perms::none);
    locked_.push_back(place);
  }

  static std::string text_of(const Error& error) {
    return std::string(code_name(error.code)) + ", " + std::string(retry_name(error.retry)) + ": " + error.sentence() +
           "; " + error.hint;
  }
  template <class T>
  static std::string text_of(const Result<T>& result) {
    return result ? "it can be read" : text_of(result.error());
  }
  static std::string refused(const std::string& place) {
    return "ConfigMissing, after-operator: cannot open " + place +
           " (Permission denied); check the owner and mode of the file and of its directory";
  }

 private:
  std::vector<fs::path> locked_;
};

TEST_F(TheConfigurationOfAnotherUser, IsRefusedWithTheFileThatCannotBeRead) {
  const fs::path file = paths_.configuration / "devid.toml";
  write(file, "");
  const auto read = [&] { return text_of(read_configuration(paths_)); };
  EXPECT_EQ(test::in_a_child_without_privileges(read), "it can be read");
  lock(file);
  EXPECT_EQ(test::in_a_child_without_privileges(read), refused(file.string()));
  lock(paths_.configuration);
  EXPECT_EQ(test::in_a_child_without_privileges(read), refused(file.string())) << "not taken for a file that is absent";
}

TEST_F(TheConfigurationOfAnotherUser, HasOneIdentityLessForAProfileThatCannotBeRead) {
  write_profile(etc() / "a.toml");
  write_profile(etc() / "b.toml");
  lock(etc() / "a.toml");
  const std::string report = test::in_a_child_without_privileges([&]() -> std::string {
    const auto found = profiles();
    if (found.size() != 2) return std::to_string(found.size()) + " profiles";
    return found[0].name + ": " + text_of(found[0].profile) + "\n" + found[1].name + ": " + text_of(found[1].profile);
  });
  EXPECT_EQ(report, "a: " + refused((etc() / "a.toml").string()) + "\nb: it can be read");
}

TEST_F(TheConfigurationOfAnotherUser, IsRefusedWithTheDirectoryThatCannotBeRead) {
  lock(etc());
  EXPECT_EQ(test::in_a_child_without_privileges([&] { return text_of(read_profiles(paths_, {"tpm"})); }),
            "ConfigMissing, after-operator: cannot read " + etc().string() +
                " (Permission denied); check that it is a directory that devidd may read");
}

TEST_F(TheConfigurationOfAnotherUser, IsRefusedWithTheTrustAnchorsThatCannotBeRead) {
  const fs::path file = directory_.path() / "anchors.pem";
  write(file, "");
  lock(file);
  const std::string report = test::in_a_child_without_privileges([&] { return text_of(read_anchors(file)); });
  EXPECT_THAT(report, testing::StartsWith("ConfigMissing, after-operator: cannot read the trust anchors: "));
  EXPECT_THAT(report, testing::EndsWith("cannot open " + file.string() +
                                        " (Permission denied); check the owner and mode of the file and of its "
                                        "directory"));
}

}  // namespace
}  // namespace devid::identity
