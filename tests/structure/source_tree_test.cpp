#include "tests/structure/source_tree.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>

#include "base/error.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

TEST(TheSourceTree, BreaksNoRule) { EXPECT_THAT(broken_rules(DEVID_SOURCE_DIR), IsEmpty()); }

/// A small tree that breaks no rule, until a test adds a file.
class ATree : public testing::Test {
 protected:
  ATree() {
    write("README.md", "A tree.\n");
    write("base/CMakeLists.txt", "bytes.cpp\n");
    write("base/bytes.h", "#pragma once\n#include <string>\n");
    write("base/bytes.cpp", "#include \"base/bytes.h\"\n");
    write("tokens/tpm/CMakeLists.txt", "tpm.cpp\n");
    write("tokens/tpm/tpm.cpp",
          "#include <tss2/tss2_esys.h>\n#include \"base/bytes.h\"\n#include \"tokens/token.h\"\n");
  }

  void write(const fs::path& name, std::string_view text) const {
    fs::create_directories((root_.path() / name).parent_path());
    std::ofstream(root_.path() / name) << text;
  }
  [[nodiscard]] std::vector<std::string> broken() const { return broken_rules(root_.path()); }

 private:
  TemporaryDirectory root_;
};

TEST_F(ATree, BreaksNoRuleAsItIs) { EXPECT_THAT(broken(), IsEmpty()); }

TEST_F(ATree, MayNotGrowAtTheTop) {
  write("scripts/run", "");
  EXPECT_THAT(broken(), ElementsAre("scripts: has no place at the top level"));
}

TEST_F(ATree, MayNotPointAnArrowUpwards) {
  write("base/up.h", "#pragma once\n#include \"tokens/token.h\"\n");
  write("tokens/up.h", "#pragma once\n\n#include \"agent/agent.h\"\n");
  write("agent/est/up.h", "#pragma once\n#include \"agent/identity/profile.h\"\n#include \"dbus/worker.h\"\n");
  EXPECT_THAT(broken(), ElementsAre(R"(agent/est/up.h:2: agent/est/ may not use "agent/identity/profile.h")",
                                    R"(agent/est/up.h:3: agent/est/ may not use "dbus/worker.h")",
                                    R"(base/up.h:2: base/ may not use "tokens/token.h")",
                                    R"(tokens/up.h:3: tokens/ may not use "agent/agent.h")"));
}

TEST_F(ATree, MayNotLetTheDomainSeeOneKindOfToken) {
  write("agent/est/tpm.h", "#pragma once\n#include \"tokens/tpm/tpm.h\"\n#include \"tokens/openssl/signing_key.h\"\n");
  EXPECT_THAT(broken(), ElementsAre(R"(agent/est/tpm.h:2: agent/est/ may not use "tokens/tpm/tpm.h")"));
}

TEST_F(ATree, MayNotUseItsTests) {
  write("dbus/main.h", "#pragma once\n#include \"tests/support/fake_token.h\"\n");
  EXPECT_THAT(broken(), ElementsAre(R"(dbus/main.h:2: dbus/ may not use "tests/support/fake_token.h")"));
}

TEST_F(ATree, MayNotGrowAFolderThatTheMapDoesNotKnow) {
  write("tokens/new/key.h", "#pragma once\n#include \"base/bytes.h\"\n");
  EXPECT_THAT(broken(), ElementsAre("tokens/new/key.h:2: is in a folder that the map does not know"));
}

TEST_F(ATree, KeepsThirdPartyHeadersInTheirRooms) {
  write("agent/est/tss.h", "#pragma once\n#include <tss2/tss2_mu.h>\n# include <curl/curl.h>\n");
  write("agent/pki/toml.h", "#pragma once\n#include <toml++/toml.h>\n#include <nlohmann/json.hpp>\n");
  write("tokens/bus.h", "#pragma once\n#include <sdbus-c++/sdbus-c++.h>\n#include <boost/asio.hpp>\n");
  EXPECT_THAT(broken(), ElementsAre("agent/est/tss.h:2: <tss2/tss2_mu.h> is outside of its room",
                                    "agent/pki/toml.h:2: <toml++/toml.h> is outside of its room",
                                    "agent/pki/toml.h:3: <nlohmann/json.hpp> is outside of its room",
                                    "tokens/bus.h:2: <sdbus-c++/sdbus-c++.h> is outside of its room",
                                    "tokens/bus.h:3: <boost/asio.hpp> is outside of its room"));
}

TEST_F(ATree, MayUseEveryHeaderInItsTests) {
  write("tests/tls.h",
        "#pragma once\n#include <boost/asio.hpp>\n#include <tss2/tss2_mu.h>\n#include \"dbus/worker.h\"\n");
  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(ATree, MayNotHaveAVeryLongSource) {
  std::string text = "#pragma once\n";
  for (int i = 0; i < 399; ++i) text += "\n";
  write("base/long.h", text);
  EXPECT_THAT(broken(), IsEmpty());
  write("base/long.h", text + "\n");
  EXPECT_THAT(broken(), ElementsAre(StartsWith("base/long.h: 401 lines are more than 400")));
}

TEST_F(ATree, MayNotHaveUnfinishedWork) {
  write("docs/plan.md",
        "one\nTO"
        "DO: two\n");
  EXPECT_THAT(broken(), ElementsAre(StartsWith("docs/plan.md:2: TO"
                                               "DO is unfinished work")));
}

TEST_F(ATree, MayNotSkipATest) {
  write("tests/a_test.h",
        "#pragma once\nGTEST_"
        "SKIP();\n");
  EXPECT_THAT(broken(), ElementsAre(StartsWith("tests/a_test.h:2: GTEST_"
                                               "SKIP is a test that does not run")));
}

TEST_F(ATree, MayNotShareOwnershipInItsLibraries) {
  write("agent/shared.h", "#pragma once\nstd::shared_ptr<int> p;\n");
  EXPECT_THAT(broken(), ElementsAre(StartsWith("agent/shared.h:2: shared_ptr shares ownership")));
}

TEST_F(ATree, NeedsAGuardInEveryHeader) {
  write("base/guard.h", "struct A {};\n");
  EXPECT_THAT(broken(), ElementsAre("base/guard.h: has no #pragma once"));
}

TEST_F(ATree, NeedsEverySourceToBeBuilt) {
  write("base/forgotten.cpp", "\n");
  write("base/CMakeLists.txt", "bytes.cpp\nnot_forgotten.cpp ../tokens/key.cpp\n");
  write("tokens/key.cpp", "\n");
  EXPECT_THAT(broken(), ElementsAre("base/forgotten.cpp: is in no CMakeLists.txt"));
}

/// "token_locked_out" → "TokenLockedOut".
std::string camel_case(std::string_view snake) {
  std::string camel;
  bool up = true;
  for (const char c : snake) {
    if (c != '_') camel += up ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    up = c == '_';
  }
  return camel;
}

/// The enumerators of Errc as base/error.h declares them.
std::vector<std::string> declared_codes() {
  std::ifstream in(fs::path(DEVID_SOURCE_DIR) / "base/error.h");
  std::vector<std::string> names;
  std::string line;
  bool inside = false;
  while (std::getline(in, line)) {
    if (inside && line == "};") break;
    const auto start = line.find_first_not_of(' ');
    if (inside && start != std::string::npos && line[start] != '/')
      names.push_back(camel_case(line.substr(start, line.find_first_of(", ", start) - start)));
    inside = inside || line == "enum class Errc {";
  }
  return names;
}

TEST(EveryErrorCode, IsCalledOnTheBusAsItIsInTheCode) {
  std::vector<std::string> public_names;
  for (const Errc code : all_error_codes()) public_names.emplace_back(code_name(code));
  const auto declared = declared_codes();
  EXPECT_THAT(declared, Contains("TokenLockedOut"));
  EXPECT_EQ(public_names, declared);
}

TEST(EveryErrorCode, IsInTheManual) {
  std::ifstream in(fs::path(DEVID_SOURCE_DIR) / "docs/man/devidd.8");
  const std::string manual{std::istreambuf_iterator<char>(in), {}};
  for (const Errc code : all_error_codes()) {
    const std::regex name(fmt::format(R"(\b{}\b)", code_name(code)));
    EXPECT_TRUE(std::regex_search(manual, name)) << code_name(code);
  }
}

}  // namespace
}  // namespace devid::test
