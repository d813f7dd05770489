#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "tests/support/command.h"
#include "tokens/key.h"

namespace devid::test {

/// What `openssl genpkey` takes for a kind of key of devid's.
inline std::string genpkey_options(KeyAlgorithm algorithm) {
  const std::string bits = std::to_string(key_bits(algorithm));
  return is_rsa(algorithm) ? "-algorithm RSA -pkeyopt rsa_keygen_bits:" + bits
                           : "-algorithm EC -pkeyopt ec_paramgen_curve:P-" + bits;
}

/// What a shell command writes, to the octet.
inline std::string shell(const std::string& command, const std::string& input = {}) {
  return output_of({.argv = {"bash", "-o", "pipefail", "-c", command}, .input = input});
}

/// A private key as an EST server makes it: a DER PrivateKeyInfo by the openssl command.
inline std::string made_outside(const std::string& options) {
  return shell("openssl genpkey -quiet " + options + " 2>/dev/null | openssl pkcs8 -topk8 -nocrypt -outform DER");
}
inline std::string made_outside(KeyAlgorithm algorithm) { return made_outside(genpkey_options(algorithm)); }

inline Secret secret(std::string_view octets) { return Secret(as_bytes(octets)); }

/// Its SubjectPublicKeyInfo, as openssl computes it.
inline Bytes public_key_outside(const std::string& pkcs8) {
  return to_bytes(as_bytes(shell("openssl pkey -inform DER -pubout -outform DER", pkcs8)));
}

/// The octets of one of its numbers, of which openssl prints the digits: "priv", "prime1".
inline std::string number_of(const std::string& pkcs8, const std::string& name) {
  const std::string digits =
      shell("openssl pkey -inform DER -noout -text | sed -n '/^" + name + ":/,/^[^ ]/{/^ /p}' | tr -d ' :\\n'", pkcs8);
  std::string octets;
  for (std::size_t at = 0; at + 1 < digits.size(); at += 2)
    octets.push_back(static_cast<char>(std::stoi(digits.substr(at, 2), nullptr, 16)));
  return octets;
}

}  // namespace devid::test
