#include "tests/tokens/pkcs11/hsm_under_test.h"

namespace devid::test {

std::unique_ptr<TokenUnderTest> make_token_under_test() { return std::make_unique<HsmUnderTest>(Pkcs11Tap::module()); }

}  // namespace devid::test
