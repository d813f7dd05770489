// A module that lies: lengths and counts are checked before they are believed, and what it says is checked before it is
// shown. Most of this is for AddressSanitizer to judge; here it must end, soon, and with an error where the lie
// matters.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <ostream>

#include "tests/support/openssl_verify.h"
#include "tests/tokens/pkcs11/device_hsm.h"

namespace devid::test {
namespace {

using testing::Each;

class AHostileModule : public testing::Test {
 protected:
  AHostileModule() {
    auto made = token_->create_key({.label = "devid:gateway:1"});
    if (made) key_ = std::move(*made);
    EXPECT_TRUE(key_) << told(made);
  }

  static void expect_no_wrong_signature(PrivateKey& key) {
    const Bytes digest = a_digest(Digest::sha256);
    if (const auto signature = key.sign(digest, {}); signature) {
      EXPECT_TRUE(verifies(key.public_key(), digest, {}, *signature));
    }
  }

  DeviceHsm device_;
  std::unique_ptr<Token> token_ = device_.make_token();
  std::unique_ptr<PrivateKey> key_;
};

struct Lie {
  const char* name;
  ModuleMisbehaviour how;
};
void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

class EveryLieOfAHostileModule : public AHostileModule, public testing::WithParamInterface<Lie> {};

TEST_P(EveryLieOfAHostileModule, IsNotBelieved) {
  const auto start = std::chrono::steady_clock::now();
  const std::size_t before = device_.objects();
  device_.tap().misbehave(GetParam().how);
  for (int turn = 0; turn < 2; ++turn) {
    expect_no_wrong_signature(*key_);
    if (const auto created = token_->create_key({}); created) {
      device_.tap().heal();
      EXPECT_TRUE(token_->destroy_key((*created)->pem()));
      device_.tap().misbehave(GetParam().how);
    }
    if (const auto keys = token_->list_keys(); keys) {
      EXPECT_LE(keys->size(), 1024U);
    }
    if (const auto certificates = token_->list_certificates(); certificates) {
      EXPECT_LE(certificates->size(), 64U);
    }
    if (const auto certificate = token_->read_certificate(device_.factory().location); certificate) {
      EXPECT_LE(certificate->size(), std::size_t{16} * 1024);
    }
    if (const auto opened = token_->open_key_at(device_.factory().location); opened)
      expect_no_wrong_signature(**opened);
    (void)token_->inspect();
    token_ = device_.make_token();  // the second turn begins with the lie
    auto opened = token_->open_key(key_->pem());
    if (!opened) break;
    key_ = std::move(*opened);
  }
  device_.tap().heal();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(device_.objects(), before);
}

INSTANTIATE_TEST_SUITE_P(Lies, EveryLieOfAHostileModule,
                         testing::Values(Lie{"short signatures", ModuleMisbehaviour::short_signatures},
                                         Lie{"long signatures", ModuleMisbehaviour::long_signatures},
                                         Lie{"long attributes", ModuleMisbehaviour::long_attributes},
                                         Lie{"unavailable attributes", ModuleMisbehaviour::unavailable_attributes},
                                         Lie{"short attributes", ModuleMisbehaviour::short_attributes},
                                         Lie{"garbage attributes", ModuleMisbehaviour::garbage_attributes},
                                         Lie{"many objects", ModuleMisbehaviour::many_objects},
                                         Lie{"endless objects", ModuleMisbehaviour::endless_objects},
                                         Lie{"many slots", ModuleMisbehaviour::many_slots},
                                         Lie{"wide searches", ModuleMisbehaviour::wide_searches},
                                         Lie{"unprintable names", ModuleMisbehaviour::unprintable_names}));

TEST_F(AHostileModule, WithSignaturesOfAWrongLengthGetsAnError) {
  for (const ModuleMisbehaviour how : {ModuleMisbehaviour::short_signatures, ModuleMisbehaviour::long_signatures}) {
    device_.tap().misbehave(how);
    const auto signature = key_->sign(a_digest(Digest::sha256), {});
    EXPECT_EQ(code_of(signature), Errc::token_failed) << told(signature);
    device_.tap().heal();
  }
  EXPECT_TRUE(key_->sign(a_digest(Digest::sha256), {}));
}

TEST_F(AHostileModule, ThatFindsMoreThanItWasAskedForGetsAnError) {
  device_.tap().misbehave(ModuleMisbehaviour::many_objects);
  const auto keys = device_.make_token()->list_keys();
  EXPECT_EQ(code_of(keys), Errc::token_failed) << told(keys);
}

TEST_F(AHostileModule, ThatFindsWhatNobodyLookedForDestroysNoOtherKey) {
  const auto other = token_->create_key({.label = "devid:gateway:2"});
  ASSERT_TRUE(other) << told(other);
  device_.tap().misbehave(ModuleMisbehaviour::wide_searches);
  const auto destroyed = device_.make_token()->destroy_key((*other)->pem());
  EXPECT_TRUE(destroyed) << told(destroyed);
  device_.tap().heal();
  EXPECT_TRUE(device_.make_token()->open_key(key_->pem()));
  EXPECT_EQ(code_of(device_.make_token()->open_key((*other)->pem())), Errc::token_no_such_key);
}

TEST_F(AHostileModule, WithNamesThatAreEscapeSequencesIsShownWithoutThem) {
  device_.tap().misbehave(ModuleMisbehaviour::unprintable_names);
  const auto printable = Each(testing::Truly([](unsigned char c) { return c >= ' ' && c != 0x7f; }));
  const auto report = device_.make_token()->inspect();
  ASSERT_TRUE(report) << told(report);
  EXPECT_THAT(report->manufacturer, printable);
  EXPECT_THAT(report->model, printable);
  EXPECT_THAT(report->serial_number, printable);
  Pkcs11Spec spec = device_.spec();
  spec.uri = "pkcs11:token=absent";
  Pkcs11Token absent(spec);
  EXPECT_THAT(told(absent.inspect()), printable);
}

TEST_F(AHostileModule, WithACertificateThatIsTooLongIsNotReadToItsEnd) {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "certificate.der";
  std::string der = pem_to_der(device_.factory().certificate.certificate_pem);
  der.resize(20'000, '\0');
  std::ofstream(file, std::ios::binary) << der;
  device_.hsm().delete_object(device_.hsm().token(), "cert", "01");
  device_.hsm().put_certificate(device_.hsm().token(), "01", file);
  const auto certificate = token_->read_certificate(device_.factory().location);
  if (certificate) {
    EXPECT_LE(certificate->size(), std::size_t{16} * 1024);
  }
  EXPECT_TRUE(token_->list_certificates());
}

}  // namespace
}  // namespace devid::test
