#include "tokens/tpm/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/owned.h"

namespace devid::tpm {
namespace {

const EVP_MD* message_digest(TPMI_ALG_HASH algorithm) {
  switch (algorithm) {
    case TPM2_ALG_SHA1: return EVP_sha1();
    case TPM2_ALG_SHA256: return EVP_sha256();
    case TPM2_ALG_SHA384: return EVP_sha384();
    case TPM2_ALG_SHA512: return EVP_sha512();
    default: return nullptr;
  }
}

}  // namespace

TPMI_ALG_HASH hash_algorithm(Digest digest) {
  switch (digest) {
    case Digest::sha256: return TPM2_ALG_SHA256;
    case Digest::sha384: return TPM2_ALG_SHA384;
    case Digest::sha512: return TPM2_ALG_SHA512;
  }
  return TPM2_ALG_NULL;
}

std::string hash_name(TPMI_ALG_HASH algorithm) {
  switch (algorithm) {
    case TPM2_ALG_SHA1: return "sha1";
    case TPM2_ALG_SHA256: return "sha256";
    case TPM2_ALG_SHA384: return "sha384";
    case TPM2_ALG_SHA512: return "sha512";
    case TPM2_ALG_SM3_256: return "sm3-256";
    case TPM2_ALG_SHA3_256: return "sha3-256";
    case TPM2_ALG_SHA3_384: return "sha3-384";
    case TPM2_ALG_SHA3_512: return "sha3-512";
    default: return fmt::format("0x{:x}", algorithm);
  }
}

Bytes hash_of(TPMI_ALG_HASH algorithm, std::initializer_list<BytesView> parts) {
  const EVP_MD* digest = message_digest(algorithm);
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  const bool hashed =
      digest != nullptr && context && EVP_DigestInit_ex(context.get(), digest, nullptr) == 1 &&
      std::ranges::all_of(
          parts, [&](BytesView part) { return EVP_DigestUpdate(context.get(), as_uchar(part), part.size()) == 1; }) &&
      EVP_DigestFinal_ex(context.get(), hash.data(), &size) == 1;
  return hashed ? to_bytes(hash.data(), size) : Bytes{};
}

}  // namespace devid::tpm
