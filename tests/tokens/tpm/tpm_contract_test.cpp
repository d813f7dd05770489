#include <filesystem>

#include "tests/support/command.h"
#include "tests/support/swtpm.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tpm_factory.h"
#include "tests/support/tpm_tap.h"
#include "tests/tokens/token_contract.h"
#include "tokens/tpm/tpm_token.h"

namespace devid::test {
namespace {

constexpr std::uint32_t tpm_failure = 0x101;

class SwtpmUnderTest final : public TokenUnderTest {
 public:
  std::unique_ptr<Token> make_token() override {
    return std::make_unique<TpmToken>(
        TpmSpec{.tcti = tap_.tcti(), .name = "tpm", .key_auth = SecretFile{.path = directory_.path() / "key-auth"}});
  }
  [[nodiscard]] bool makes(KeyAlgorithm algorithm) const override {
    return algorithm != KeyAlgorithm::rsa_4096;  // libtpms 0.9 has none
  }
  [[nodiscard]] std::string factory_key_location() const override { return factory_.key_location; }
  [[nodiscard]] std::string missing_key_location() const override { return "handle:0x8102ffff"; }
  [[nodiscard]] std::string certificate_location() const override { return factory_.certificate_location; }
  [[nodiscard]] Bytes certificate() const override {
    return to_bytes(as_bytes(output_of({.argv = {"openssl", "x509", "-in", factory_.certificate, "-outform", "DER"}})));
  }
  [[nodiscard]] std::string missing_certificate_location() const override { return "nv:0x01c902ff"; }

  std::string foreign_pem() override {
    const Swtpm other;
    TpmToken token({.tcti = other.tcti()});
    const auto key = token.create_key({});
    return key ? (*key)->pem() : key.error().sentence();
  }

  std::size_t keys_held() override {
    // The storage root key is no key of devid's users: made once, it stays.
    const std::size_t root =
        run_tpm2(swtpm_.tcti(), "tpm2_getcap handles-persistent").find("0x81000001") != std::string::npos;
    return count_handles(swtpm_.tcti(), "transient") + count_handles(swtpm_.tcti(), "persistent") - root;
  }

  void fail_once() override { tap_.answer(tpm_failure); }

 private:
  TemporaryDirectory directory_;
  Swtpm swtpm_;
  ManufacturedTpm factory_ = manufacture(swtpm_, directory_.path());
  TpmTap tap_{swtpm_};
};

}  // namespace

std::unique_ptr<TokenUnderTest> make_token_under_test() { return std::make_unique<SwtpmUnderTest>(); }

}  // namespace devid::test
