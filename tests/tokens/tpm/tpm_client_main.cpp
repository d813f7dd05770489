// devid-test-tpm-client TCTI ROUNDS: makes a key in the TPM and signs with it, again and again, as one process of
// several. Says what failed and ends with 1 at the first failure.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "tokens/public_key.h"
#include "tokens/tpm/tpm_token.h"

namespace devid {
namespace {

Result<> sign(PrivateKey& key) {
  const Bytes digest(32, std::byte{0x42});
  const SignatureScheme ecdsa{.digest = Digest::sha256};
  const auto signature = key.sign(digest, ecdsa);
  if (!signature) return fail(signature.error());
  return verify(key.public_key(), digest, ecdsa, *signature);
}

Result<> work(Token& token) {
  const auto key = token.create_key({});
  if (!key) return fail(key.error());
  const auto again = token.open_key((*key)->pem());
  if (!again) return fail(again.error());
  const auto other = token.create_key({});
  if (!other) return fail(other.error());
  for (PrivateKey* one : {key->get(), other->get(), again->get()}) {
    if (auto signed_by = sign(*one); !signed_by) return signed_by;
  }
  return {};
}

}  // namespace
}  // namespace devid

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::unique_ptr<devid::Token> token = std::make_unique<devid::TpmToken>(devid::TpmSpec{.tcti = argv[1]});
  for (int round = std::atoi(argv[2]); round > 0; --round) {
    if (const auto worked = devid::work(*token); !worked) {
      std::fprintf(stderr, "%s\n", worked.error().sentence().c_str());
      return 1;
    }
  }
  return 0;
}
