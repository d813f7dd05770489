// Modules that are none, that crash, and tokens that cannot be told apart: what is configured may be anything.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

#include <cstdlib>
#include <fstream>

#include "tests/tokens/pkcs11/device_hsm.h"

namespace devid::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class AModule : public testing::Test {
 protected:
  /// Asks every question of a token whose module is this file; all are answered by the same error.
  static Error refused(const Pkcs11Spec& spec) {
    Pkcs11Token token(spec);
    const auto report = token.inspect();
    EXPECT_FALSE(report);
    EXPECT_EQ(code_of(token.list_keys()), code_of(report));
    EXPECT_EQ(code_of(token.create_key({})), code_of(report));
    return report ? Error{} : report.error();
  }

  [[nodiscard]] Pkcs11Spec spec_with(const std::filesystem::path& module) const {
    Pkcs11Spec spec = device_.spec();
    spec.module = module;
    return spec;
  }

  /// The tap in a file of its own, which nobody has tried out yet.
  [[nodiscard]] Pkcs11Spec untried() const {
    const auto copy = directory_.path() / "untried.so";
    std::filesystem::copy_file(Pkcs11Tap::module(), copy);
    return spec_with(copy);
  }

  TemporaryDirectory directory_;
  DeviceHsm device_;
};

TEST_F(AModule, ThatDoesNotExistIsNamedInTheError) {
  const Error error = refused(spec_with("/nonexistent/module.so"));
  EXPECT_EQ(error.code, Errc::token_module) << error.sentence();
  EXPECT_THAT(error.sentence(), HasSubstr("/nonexistent/module.so"));
  EXPECT_FALSE(error.hint.empty());
}

TEST_F(AModule, ThatIsNoSharedObjectIsRefused) {
  const auto file = directory_.path() / "module.so";
  for (const std::string& content : {std::string(), std::string("this is no shared object"),
                                     std::string("\x7f"
                                                 "ELF")}) {
    std::ofstream(file) << content;
    const Error error = refused(spec_with(file));
    EXPECT_EQ(error.code, Errc::token_module) << error.sentence();
    EXPECT_EQ(error.retry, Retry::after_operator);
    EXPECT_FALSE(error.reason.empty());
  }
}

TEST_F(AModule, ThatIsADirectoryIsRefused) {
  const Error error = refused(spec_with(std::filesystem::temp_directory_path()));
  EXPECT_EQ(error.code, Errc::token_module) << error.sentence();
}

TEST_F(AModule, ThatIsNotOfPkcs11IsRefused) {
  Dl_info libc{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&::qsort), &libc), 0);
  const Error error = refused(spec_with(std::filesystem::canonical(libc.dli_fname)));
  EXPECT_EQ(error.code, Errc::token_module) << error.sentence();
  EXPECT_THAT(error.reason, HasSubstr("C_GetFunctionList"));
}

TEST_F(AModule, ThatCrashesDoesNotTakeTheProcessWithIt) {
  device_.tap().misbehave(ModuleMisbehaviour::crash_in_initialize);
  const Error error = refused(untried());
  EXPECT_EQ(error.code, Errc::token_module) << error.sentence();
  EXPECT_THAT(error.sentence(), HasSubstr("C_Initialize"));
  EXPECT_EQ(device_.tap().calls("C_Initialize"), 0U) << "in this process";
}

TEST_F(AModule, ThatHangsIsGivenUp) {
  device_.tap().misbehave(ModuleMisbehaviour::hang_in_initialize);
  Pkcs11Token token(untried());
  const auto report = token.inspect();
  EXPECT_EQ(code_of(report), Errc::token_module) << told(report);
  EXPECT_EQ(device_.tap().calls("C_Initialize"), 0U) << "in this process";
}

TEST_F(AModule, ThatWasRepairedIsUsedWithoutARestart) {
  device_.tap().misbehave(ModuleMisbehaviour::crash_in_initialize);
  Pkcs11Token token(untried());
  EXPECT_EQ(code_of(token.inspect()), Errc::token_module);
  device_.tap().heal();
  const auto report = token.inspect();
  EXPECT_TRUE(report) << told(report);
}

TEST_F(AModule, ThatFailsToInitializeIsTriedAgainLater) {
  Pkcs11Token token(device_.spec());
  device_.tap().fail("C_Initialize", CKR_GENERAL_ERROR);
  const auto report = token.inspect();
  EXPECT_FALSE(report);
  EXPECT_THAT(told(report), HasSubstr("CKR_GENERAL_ERROR"));
  EXPECT_TRUE(token.inspect());
}

TEST_F(AModule, IsNotTouchedBeforeItIsNeeded) {
  Pkcs11Token token(spec_with("/nonexistent/module.so"));
  EXPECT_EQ(token.description().name, "hsm");
  EXPECT_EQ(token.derivable_keys(KeyAlgorithm::ec_p256), std::vector<std::string>());
}

class TwoTokens : public AModule {
 protected:
  const HsmToken& twin_ = device_.hsm().add_token("dev");
  const HsmToken& other_ = device_.hsm().add_token("other");
};

TEST_F(TwoTokens, OfOneLabelAreListedInTheError) {
  const Error error = refused(device_.spec());
  EXPECT_EQ(error.code, Errc::token_ambiguous) << error.sentence();
  EXPECT_THAT(error.sentence(), AllOf(HasSubstr(twin_.serial_number), HasSubstr(device_.hsm().token().serial_number)));
  EXPECT_THAT(error.sentence(), Not(HasSubstr(other_.serial_number)));
  EXPECT_THAT(error.hint, HasSubstr("serial"));
  EXPECT_EQ(device_.tap().calls("C_Login"), 0U);
}

TEST_F(TwoTokens, AreToldApartByTheirSerialNumbers) {
  Pkcs11Spec spec = device_.spec(twin_);
  spec.uri += ";serial=" + twin_.serial_number;
  Pkcs11Token token(spec);
  const auto report = token.inspect();
  ASSERT_TRUE(report) << told(report);
  EXPECT_EQ(report->serial_number, twin_.serial_number);
  EXPECT_TRUE(token.create_key({}));
  EXPECT_EQ(device_.hsm().count(twin_, "Private Key"), 1U);
}

TEST_F(TwoTokens, MayBeChosenBySlot) {
  Pkcs11Spec spec = device_.spec(other_);
  spec.uri = "pkcs11:slot-id=" + std::to_string(std::stoul(other_.serial_number.substr(8), nullptr, 16) & 0x7fffffffUL);
  Pkcs11Token token(spec);
  const auto report = token.inspect();
  ASSERT_TRUE(report) << told(report);
  EXPECT_EQ(report->serial_number, other_.serial_number);
}

TEST_F(TwoTokens, AreAmbiguousIfOnlyTheirManufacturerIsNamed) {
  Pkcs11Spec spec = device_.spec();
  spec.uri = "pkcs11:manufacturer=SoftHSM%20project";
  EXPECT_EQ(refused(spec).code, Errc::token_ambiguous);
}

TEST_F(TwoTokens, OfWhichNoneIsMeantAreListedInTheError) {
  Pkcs11Spec spec = device_.spec();
  spec.uri = "pkcs11:token=absent";
  const Error error = refused(spec);
  EXPECT_EQ(error.code, Errc::token_unreachable) << error.sentence();
  EXPECT_THAT(error.sentence(), AllOf(HasSubstr("'dev'"), HasSubstr("'other'")));
}

TEST(AUri, MaySayEverything) {
  DeviceHsm device;
  Pkcs11Spec spec = device.spec();
  spec.uri +=
      "?module-path=" + Pkcs11Tap::module().string() + "&pin-source=file:" + device.hsm().token().pin_file.string();
  spec.module.clear();
  spec.pin.reset();
  Pkcs11Token token(spec);
  const auto key = token.create_key({});
  EXPECT_TRUE(key) << told(key);
}

TEST(AUri, IsRefusedWithAPinInIt) {
  DeviceHsm device;
  Pkcs11Spec spec = device.spec();
  spec.uri += "?pin-value=" + device.hsm().token().pin;
  Pkcs11Token token(spec);
  const auto key = token.create_key({});
  EXPECT_EQ(code_of(key), Errc::config_invalid) << told(key);
  EXPECT_THAT(told(key), Not(HasSubstr(device.hsm().token().pin)));
}

TEST(AUri, IsRefusedIfItIsNone) {
  DeviceHsm device;
  for (const std::string& uri : {std::string(), std::string("token=dev"), std::string("pkcs11:token=%zz"),
                                 std::string("pkcs11:token"), "pkcs11:token=" + std::string(100'000, 'a')}) {
    Pkcs11Spec spec = device.spec();
    spec.uri = uri;
    Pkcs11Token token(spec);
    const auto report = token.inspect();
    EXPECT_FALSE(report) << uri.substr(0, 40);
  }
}

}  // namespace
}  // namespace devid::test
