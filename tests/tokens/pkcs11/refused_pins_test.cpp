#include "tokens/pkcs11/refused_pins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/support/temporary_directory.h"

namespace devid::pkcs11 {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

Secret pin(std::string_view text) { return Secret(as_bytes(text)); }

class ARefusedPin : public testing::Test {
 protected:
  /// As a process that starts would see it.
  [[nodiscard]] RefusedPins records(std::string_view name = "hsm") const { return {state_, name}; }
  static bool contains(const RefusedPins& records, const std::string& serial, std::string_view text) {
    const auto known = records.contains(serial, pin(text));
    EXPECT_TRUE(known) << known.error().sentence();
    return known.value_or(false);
  }
  [[nodiscard]] static std::string content(const fs::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

  test::TemporaryDirectory directory_;
  fs::path state_ = directory_.path() / "state";
};

TEST_F(ARefusedPin, IsUnknownAtFirstAndTouchesNothing) {
  EXPECT_FALSE(contains(records(), "0001", "1234"));
  EXPECT_FALSE(records().knows("0001"));
  EXPECT_FALSE(fs::exists(state_));
}

TEST_F(ARefusedPin, IsKnownAfterARestart) {
  ASSERT_TRUE(records().add("0001", pin("1234")));
  EXPECT_TRUE(contains(records(), "0001", "1234"));
  EXPECT_TRUE(records().knows("0001"));
}

TEST_F(ARefusedPin, IsNotAnotherPinOrThatOfAnotherToken) {
  ASSERT_TRUE(records().add("0001", pin("1234")));
  EXPECT_FALSE(contains(records(), "0001", "1235"));
  EXPECT_FALSE(contains(records(), "0001", "12345"));
  EXPECT_FALSE(contains(records(), "0002", "1234"));
}

TEST_F(ARefusedPin, CountsForItsConfigurationOnly) {
  const auto records_of = [&](std::string_view configuration) { return RefusedPins(state_, "hsm", configuration); };
  ASSERT_TRUE(records_of("pkcs11:token=dev").add("0001", pin("1234")));
  EXPECT_TRUE(contains(records_of("pkcs11:token=dev"), "0001", "1234"));
  EXPECT_FALSE(contains(records_of("pkcs11:serial=0001"), "0001", "1234"));
}

TEST_F(ARefusedPin, OfEachTokenIsKept) {
  ASSERT_TRUE(records().add("0001", pin("1234")));
  ASSERT_TRUE(records().add("0002", pin("4321")));
  ASSERT_TRUE(records().add("", pin("5555")));
  EXPECT_TRUE(contains(records(), "0001", "1234"));
  EXPECT_TRUE(contains(records(), "0002", "4321"));
  EXPECT_TRUE(contains(records(), "", "5555"));
}

TEST_F(ARefusedPin, IsForgottenWhenTheTokenTookOne) {
  ASSERT_TRUE(records().add("0001", pin("1234")));
  ASSERT_TRUE(records().add("0002", pin("4321")));
  ASSERT_TRUE(records().remove("0001"));
  EXPECT_FALSE(contains(records(), "0001", "1234"));
  EXPECT_TRUE(contains(records(), "0002", "4321"));
  ASSERT_TRUE(records().remove("0002"));
  EXPECT_FALSE(records().knows("0001"));
  EXPECT_FALSE(records().knows("0002"));
}

TEST_F(ARefusedPin, IsKnownUnderEveryNameOfItsToken) {
  ASSERT_TRUE(records("one").add("0001", pin("1234")));
  EXPECT_TRUE(contains(records("two"), "0001", "1234"));
  ASSERT_TRUE(records("two").add("0001", pin("4321")));
  EXPECT_TRUE(contains(records("one"), "0001", "1234")) << "two wrong PINs do not take turns";
  EXPECT_TRUE(contains(records("one"), "0001", "4321"));
  ASSERT_TRUE(records("two").remove("0001"));
  EXPECT_TRUE(contains(records("two"), "0001", "1234")) << "that of the other name is still wrong";
  EXPECT_FALSE(contains(records("one"), "0001", "4321"));
}

TEST_F(ARefusedPin, CanBeWrittenOnceThatWasMadeSure) {
  EXPECT_TRUE(records().make_ready());
  ASSERT_TRUE(records().add("0001", pin("1234")));
  EXPECT_TRUE(records().make_ready());
  EXPECT_TRUE(contains(records(), "0001", "1234"));
  fs::remove_all(state_);
  std::ofstream(state_) << "not a directory";
  EXPECT_FALSE(records().make_ready());
}

TEST_F(ARefusedPin, IsWrittenSaltedForItsOwnerOnly) {
  RefusedPins one = records();
  ASSERT_TRUE(one.add("0001", pin("12345678")));
  const std::string first = content(one.file());
  EXPECT_THAT(first, Not(HasSubstr("12345678")));
  struct stat about = {};
  ASSERT_EQ(::stat(one.file().c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777U, 0600U);
  ASSERT_TRUE(one.add("0001", pin("12345678")));
  EXPECT_NE(content(one.file()), first) << "another salt each time";
}

TEST_F(ARefusedPin, StaysKnownToTheProcessIfItCannotBeWritten) {
  std::ofstream(state_) << "not a directory";
  RefusedPins stuck = records();
  EXPECT_FALSE(stuck.add("0001", pin("1234")));
  const auto known = stuck.contains("0001", pin("1234"));
  ASSERT_TRUE(known) << known.error().sentence();
  EXPECT_TRUE(*known);
}

TEST_F(ARefusedPin, InADamagedFileIsNotRisked) {
  RefusedPins one = records();
  ASSERT_TRUE(one.add("0001", pin("1234")));
  const std::string good = content(one.file());
  for (const std::string& bad : {std::string(), std::string("nonsense\n"), good.substr(0, good.size() - 5),
                                 good + "x\n", good + "00 00 00 zz\n", std::string(100'000, 'a')}) {
    std::ofstream(one.file(), std::ios::trunc) << bad;
    EXPECT_FALSE(records().contains("0001", pin("1234"))) << bad.substr(0, 100);
  }
}

TEST_F(ARefusedPin, StaysInItsFileWhateverTheTokenIsCalled) {
  const std::string long_name(4000, ';');
  for (const std::string& name : {std::string("../../etc/x"), std::string("a b\n"), std::string(), long_name}) {
    ASSERT_TRUE(records(name).add("00 \n01", pin("1234"))) << name;
    EXPECT_TRUE(contains(records(), "00 \n01", "1234")) << name;
    ASSERT_TRUE(records(name).remove("00 \n01")) << name;
    EXPECT_FALSE(records().knows("00 \n01")) << name;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(state_), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace devid::pkcs11
