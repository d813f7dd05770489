#include "tests/tokens/pkcs11/hsm_under_test.h"

namespace devid::test {

std::unique_ptr<TokenUnderTest> make_token_under_test() {
  SoftHsm::configure_p11_kit(Pkcs11Tap::module());
  return std::make_unique<HsmUnderTest>(SoftHsm::p11_kit_proxy());
}

}  // namespace devid::test
