#include "base/secret_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/support/temporary_directory.h"

namespace devid {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::string text_of(const Secret& secret) { return std::string(as_text(secret.reveal())); }

TEST(TheSourceOfASecret, IsACredentialOrAnAbsolutePath) {
  EXPECT_EQ(parse_secret_source("credential:hsm-pin").value(), SecretSource(SystemdCredential{"hsm-pin"}));
  EXPECT_EQ(parse_secret_source("/etc/devid/hsm.pin").value(), SecretSource(SecretFile{"/etc/devid/hsm.pin"}));
  for (const std::string text : {"credential:hsm-pin", "/etc/devid/hsm.pin"})
    EXPECT_EQ(source_text(parse_secret_source(text).value()), text);
}

TEST(TheSourceOfASecret, IsNeverTheSecretItselfNorRepeatedInTheMessage) {
  for (const std::string text :
       {"123456", "", "credential:", "credential:../shadow", "credential:a/b", "credential:.", "pin.txt", "file:/x"}) {
    const auto source = parse_secret_source(text);
    ASSERT_FALSE(source) << text;
    EXPECT_EQ(source.error().code, Errc::config_invalid) << text;
    EXPECT_THAT(source.error().sentence() + source.error().hint, Not(HasSubstr("123456")));
  }
}

class ASecretFile : public testing::Test {
 protected:
  void write(std::string_view content, mode_t mode = 0600) const {
    std::ofstream(path()) << content;
    ASSERT_EQ(::chmod(path().c_str(), mode), 0);
  }
  [[nodiscard]] fs::path path() const { return directory_.path() / "secret"; }
  [[nodiscard]] Result<Secret> read() const { return read_secret(SecretFile{path()}); }
  void expect_refused(std::string_view why) const {
    const auto secret = read();
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().code, Errc::config_invalid);
    EXPECT_EQ(secret.error().retry, Retry::after_operator);
    EXPECT_THAT(secret.error().what, HasSubstr(why));
    EXPECT_THAT(secret.error().what, HasSubstr(path().string()));
  }
  [[nodiscard]] const fs::path& directory() const { return directory_.path(); }

 private:
  test::TemporaryDirectory directory_;
};

TEST_F(ASecretFile, LosesOneLineBreakAtItsEndAndNothingElse) {
  for (const auto& [content, secret] :
       std::vector<std::pair<std::string, std::string>>{{"1234", "1234"},
                                                        {"1234\n", "1234"},
                                                        {"1234\n\n", "1234\n"},
                                                        {" 12 34 ", " 12 34 "},
                                                        {std::string("\0\n", 2), std::string("\0", 1)}}) {
    write(content);
    const auto got = read();
    ASSERT_TRUE(got) << got.error().sentence();
    EXPECT_EQ(text_of(*got), secret);
  }
}

TEST_F(ASecretFile, HasOneTo1024Bytes) {
  write("");
  expect_refused("is empty");
  write("\n");
  expect_refused("is empty");
  write(std::string(1024, 'x') + "\n");
  EXPECT_TRUE(read());
  write(std::string(1025, 'x'));
  expect_refused("longer than 1024 bytes");
  write(std::string(100'000, 'x'));
  expect_refused("longer than 1024 bytes");
}

TEST_F(ASecretFile, ThatOthersMayReadOrWriteIsRefused) {
  for (const mode_t mode : {0604, 0602, 0620, 0644, 0666}) {
    write("1234", mode);
    expect_refused("others can read or write it");
  }
  for (const mode_t mode : {0400, 0600, 0440, 0640}) {
    write("1234", mode);
    EXPECT_TRUE(read()) << mode;
  }
}

TEST_F(ASecretFile, OfAnotherUserOrGroupIsRefused) {
  if (::geteuid() != 0) return;  // only root can give a file away
  write("1234", 0640);
  ASSERT_EQ(::chown(path().c_str(), 0, 65534), 0);
  expect_refused("others can read or write it");
  ASSERT_EQ(::chmod(path().c_str(), 0600), 0);
  EXPECT_TRUE(read());
  ASSERT_EQ(::chown(path().c_str(), 65534, 0), 0);
  expect_refused("belongs to another user");
}

TEST_F(ASecretFile, ThatIsNoRegularFileIsRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  expect_refused("not a regular file");
  fs::remove(path());
  fs::create_directory(path());
  expect_refused("not a regular file");
  fs::remove(path());
  std::ofstream(directory() / "target") << "1234";
  fs::create_symlink(directory() / "target", path());
  expect_refused("cannot be opened");
}

TEST_F(ASecretFile, ThatIsNotThereIsMissing) {
  const auto secret = read();
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code, Errc::config_missing);
  EXPECT_THAT(secret.error().what, HasSubstr(path().string()));
}

TEST_F(ASecretFile, IsMadeOnceForDevidAlone) {
  const SecretFile file{path()};
  ASSERT_TRUE(write_new_secret(file, as_bytes("0123456789")));
  struct stat about = {};
  ASSERT_EQ(::stat(path().c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777U, 0600U);
  EXPECT_EQ(text_of(read().value()), "0123456789");
  const auto again = write_new_secret(file, as_bytes("other"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::wrong_state);
  EXPECT_EQ(text_of(read().value()), "0123456789");
  EXPECT_EQ(write_new_secret({directory() / "no" / "where"}, as_bytes("x")).error().code, Errc::storage_failed);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory()), fs::directory_iterator()), 1) << "nothing else is left";
}

TEST_F(ASecretFile, ThatAPowerFailureKeptFromBeingMadeIsMadeNow) {
  std::ofstream(path().string() + ".new") << "01";
  ASSERT_TRUE(write_new_secret({path()}, as_bytes("0123456789")));
  EXPECT_EQ(text_of(read().value()), "0123456789");
}

class ACredential : public ASecretFile {
 protected:
  ACredential() { ::setenv("CREDENTIALS_DIRECTORY", directory().c_str(), 1); }
  ~ACredential() override { ::unsetenv("CREDENTIALS_DIRECTORY"); }
};

TEST_F(ACredential, IsReadFromTheDirectoryThatSystemdMade) {
  write("1234\n", 0644);  // systemd protects the directory
  EXPECT_EQ(text_of(read_secret(SystemdCredential{"secret"}).value()), "1234");
}

TEST_F(ACredential, ThatTheServiceWasNotGivenIsMissing) {
  for (const bool directory : {true, false}) {
    if (!directory) ::unsetenv("CREDENTIALS_DIRECTORY");
    const auto secret = read_secret(SystemdCredential{"nothing"});
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().code, Errc::config_missing);
    EXPECT_THAT(secret.error().hint, HasSubstr("LoadCredential"));
  }
}

}  // namespace
}  // namespace devid
