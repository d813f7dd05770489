#include "agent/identity/delivery.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "agent/identity/profile_parser.h"
#include "tests/support/temporary_directory.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct stat info_of(const fs::path& file) {
  struct stat info{};
  EXPECT_EQ(::lstat(file.c_str(), &info), 0) << file;
  return info;
}

/// A generation as it is on disk, as far as these functions look at it, and a directory of somebody else's software.
class ADelivery : public testing::Test {
 protected:
  ADelivery() {
    fs::create_directories(current());
    fs::create_directories(place());
    for (const char* file : {"certificate.pem", "chain.pem", "certificate-chain.pem", "trust-anchors.pem"}) {
      std::ofstream(current() / file) << file;
      fs::permissions(current() / file, fs::perms(0644));
    }
    std::ofstream(current() / "token-key.pem") << "key";
    fs::permissions(current() / "token-key.pem", fs::perms(0600));
  }

  [[nodiscard]] fs::path state() const { return directory_.path() / "state"; }
  [[nodiscard]] fs::path current() const { return state() / "gateway/current"; }
  [[nodiscard]] fs::path place() const { return directory_.path() / "nginx"; }
  [[nodiscard]] Result<> copy(const Copies& copies, const FileSettings& settings = {}) const {
    return write_copies(current(), copies, settings, state());
  }

  test::TemporaryDirectory directory_;
  const std::string user_ = ::getpwuid(::geteuid())->pw_name;   // NOLINT(concurrency-mt-unsafe): one thread
  const std::string group_ = ::getgrgid(::getegid())->gr_name;  // NOLINT(concurrency-mt-unsafe)
};

TEST_F(ADelivery, GivesPublicFilesAndTheKeyTheirOwnModes) {
  ASSERT_TRUE(set_attributes(current(),
                             {.owner = user_, .group = group_, .mode = 0444, .key_group = group_, .key_mode = 0640}));
  for (const char* file : {"certificate.pem", "chain.pem", "certificate-chain.pem", "trust-anchors.pem"})
    EXPECT_EQ(info_of(current() / file).st_mode & 07777U, 0444U) << file;
  EXPECT_EQ(info_of(current() / "token-key.pem").st_mode & 07777U, 0640U);
}

TEST_F(ADelivery, LeavesTheKeyToDevidAloneWhereNothingIsSaidOfIt) {
  ASSERT_TRUE(set_attributes(current(), {.group = group_, .mode = 0444}));
  EXPECT_EQ(info_of(current() / "token-key.pem").st_mode & 07777U, 0600U);
}

TEST_F(ADelivery, SaysWhichUserOrGroupThereIsNot) {
  for (const FileSettings& settings :
       {FileSettings{.owner = "nobody-of-that-name"}, FileSettings{.group = "nobody-of-that-name"},
        FileSettings{.key_group = "nobody-of-that-name", .key_mode = 0640}}) {
    const auto set = set_attributes(current(), settings);
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().code, Errc::config_invalid);
    EXPECT_THAT(set.error().sentence(), HasSubstr("nobody-of-that-name"));
    EXPECT_EQ(info_of(current() / "token-key.pem").st_mode & 07777U, 0600U);
  }
}

TEST_F(ADelivery, PutsCopiesWhereTheyAreWantedAndKeepsThemUpToDate) {
  const Copies copies{.certificate = place() / "a.pem",
                      .chain = place() / "b.pem",
                      .certificate_chain = place() / "c.pem",
                      .trust_anchors = place() / "d.pem"};
  ASSERT_TRUE(copy(copies, {.mode = 0640}));
  EXPECT_EQ(content_of(place() / "a.pem"), "certificate.pem");
  EXPECT_EQ(content_of(place() / "b.pem"), "chain.pem");
  EXPECT_EQ(content_of(place() / "c.pem"), "certificate-chain.pem");
  EXPECT_EQ(content_of(place() / "d.pem"), "trust-anchors.pem");
  EXPECT_EQ(info_of(place() / "a.pem").st_mode & 07777U, 0640U);
  const auto before = info_of(place() / "a.pem").st_ino;
  ASSERT_TRUE(copy(copies));
  EXPECT_EQ(info_of(place() / "a.pem").st_ino, before) << "what is right is not written again";
  std::ofstream(current() / "certificate.pem") << "newer";
  ASSERT_TRUE(copy(copies));
  EXPECT_EQ(content_of(place() / "a.pem"), "newer");
  EXPECT_NE(info_of(place() / "a.pem").st_ino, before) << "a reader has the old one or the new one";
  EXPECT_EQ(std::distance(fs::directory_iterator(place()), {}), 4) << "nothing is left behind";
}

TEST_F(ADelivery, ReplacesALinkAndDoesNotFollowIt) {
  std::ofstream(directory_.path() / "shadow") << "secret";
  fs::create_symlink(directory_.path() / "shadow", place() / "a.pem");
  fs::create_symlink(directory_.path() / "shadow", place() / ".a.pem.devid");
  ASSERT_TRUE(copy({.certificate = place() / "a.pem"}));
  EXPECT_EQ(content_of(directory_.path() / "shadow"), "secret");
  EXPECT_TRUE(S_ISREG(info_of(place() / "a.pem").st_mode));
  EXPECT_EQ(content_of(place() / "a.pem"), "certificate.pem");
}

TEST_F(ADelivery, PutsNothingIntoADirectoryThatOthersRule) {
  fs::create_directories(directory_.path() / "open");
  fs::permissions(directory_.path() / "open", fs::perms(01777));
  fs::create_directory_symlink(place(), directory_.path() / "link");
  const std::ofstream file(directory_.path() / "file");
  const struct {
    fs::path directory;
    const char* reason;
  } cases[] = {{directory_.path() / "open", "everybody may write there"},
               {directory_.path() / "link", "it is no directory"},
               {directory_.path() / "file", "it is no directory"},
               {directory_.path() / "nowhere", "No such file or directory"},
               {current(), "where devid keeps its own files"},
               {state(), "where devid keeps its own files"},
               {place() / "../state/gateway/current", "where devid keeps its own files"}};
  for (const auto& [directory, reason] : cases) {
    const auto written = copy({.certificate = directory / "token-key.pem", .trust_anchors = place() / "d.pem"});
    ASSERT_FALSE(written) << directory;
    EXPECT_THAT(written.error().sentence(), HasSubstr(reason)) << directory;
    EXPECT_EQ(content_of(place() / "d.pem"), "trust-anchors.pem") << "one that cannot be made is in no other's way";
    fs::remove(place() / "d.pem");
  }
  EXPECT_EQ(content_of(current() / "token-key.pem"), "key");
  EXPECT_TRUE(fs::is_empty(directory_.path() / "open"));
}

TEST_F(ADelivery, LeavesADirectoryInThePlaceOfACopyAsItIs) {
  fs::create_directories(place() / "a.pem/b");
  EXPECT_FALSE(copy({.certificate = place() / "a.pem"}));
  EXPECT_TRUE(fs::is_directory(place() / "a.pem/b"));
  EXPECT_EQ(std::distance(fs::directory_iterator(place()), {}), 1) << "nothing is left behind";
}

ProfileFile parse(const std::string& tables) {
  return parse_profile("[server]\nurl = \"https://est.example\"\n" + tables, "/etc/devid/identities.d/gateway.toml",
                       {});
}

TEST(FilesOfAProfile, AreParsed) {
  const auto file = parse(
      "[files]\nowner = \"nginx\"\ngroup = \"ssl-cert\"\nmode = \"0644\"\nkey_group = \"keys\"\nkey_mode = \"640\"\n"
      "[copies]\ncertificate = \"/a/b.pem\"\nchain = \"/a/c.pem\"\ncertificate_chain = \"/a/d.pem\"\n"
      "trust_anchors = \"/a/e.pem\"\n");
  ASSERT_TRUE(file.profile) << file.profile.error().sentence();
  EXPECT_EQ(file.profile->files,
            (FileSettings{.owner = "nginx", .group = "ssl-cert", .mode = 0644, .key_group = "keys", .key_mode = 0640}));
  EXPECT_EQ(file.profile->copies, (Copies{.certificate = "/a/b.pem",
                                          .chain = "/a/c.pem",
                                          .certificate_chain = "/a/d.pem",
                                          .trust_anchors = "/a/e.pem"}));
  EXPECT_EQ(parse("").profile->files, FileSettings());
}

TEST(FilesOfAProfile, AreRefusedWhereTheyWouldLetOthersInOrDevidOut) {
  const struct {
    const char* tables;
    const char* reason;
  } cases[] = {
      {"[files]\nmode = \"0666\"", "files.mode cannot be"},
      {"[files]\nmode = \"0664\"", "files.mode cannot be"},
      {"[files]\nmode = \"0755\"", "files.mode cannot be"},
      {"[files]\nmode = \"4644\"", "files.mode cannot be"},
      {"[files]\nmode = \"0044\"", "files.mode cannot be"},
      {"[files]\nmode = \"0648\"", "files.mode cannot be"},
      {"[files]\nmode = \"u=rw\"", "files.mode cannot be"},
      {"[files]\nmode = 644", "string"},
      {"[files]\nkey_mode = \"0644\"", "files.key_mode cannot be"},
      {"[files]\nkey_mode = \"0660\"", "files.key_mode cannot be"},
      {"[files]\nowner = \"nginx\"\nmode = \"0640\"", "shuts devid out"},
      {"[files]\nowner = \"a:b\"", "files.owner cannot be"},
      {"[files]\nkey_owner = \"nginx\"", "key_owner"},
      {"[copies]\ncertificate = \"b.pem\"", "absolute"},
      {"[copies]\ncertificate = \"/a/../b.pem\"", "no plain path"},
      {"[copies]\ncertificate = \"/a/\"", "no plain path"},
      {"[copies]\ncertificate = \"/a/b\"\nchain = \"/a/b\"", "another copy"},
      {"[copies]\nkey = \"/a/b\"", "key"},
  };
  for (const auto& [tables, reason] : cases) {
    const auto file = parse(tables);
    ASSERT_FALSE(file.profile) << tables;
    EXPECT_EQ(file.profile.error().code, Errc::config_invalid) << tables;
    EXPECT_THAT(file.profile.error().sentence(), HasSubstr(reason)) << tables;
    EXPECT_THAT(file.profile.error().sentence(), HasSubstr("gateway.toml:")) << tables;
  }
}

}  // namespace
}  // namespace devid::identity
