#include "tokens/tpm/public_area.h"

#include <tss2/tss2_mu.h>

#include <array>
#include <string>

#include "tokens/public_key.h"
#include "tokens/tpm/idevid_policy.h"
#include "tokens/tpm/rc.h"

namespace devid::tpm {
namespace {

constexpr unsigned long default_exponent = 65537;  // what an exponent of 0 stands for (TPM 2.0 Part 2, 12.2.3.5)

Error malformed(std::string reason) {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "the public area of the key is malformed",
          .reason = std::move(reason)};
}

Error wrong_key(std::string what) {
  return {.code = Errc::token_wrong_key, .retry = Retry::after_operator, .what = std::move(what)};
}

Error unsupported(std::string what) {
  return {.code = Errc::token_unsupported,
          .retry = Retry::after_operator,
          .what = std::move(what),
          .hint = "use an EC key on P-256, P-384 or P-521, or an RSA key of 2048, 3072 or 4096 bits"};
}

template <class Buffer>
BytesView octets(const Buffer& sized) {
  return std::as_bytes(std::span(sized.buffer, sized.size));
}

bool has(const TPMT_PUBLIC& area, TPMA_OBJECT attributes) { return (area.objectAttributes & attributes) == attributes; }

}  // namespace

Result<TPM2B_PUBLIC> parse_public(BytesView bytes) {
  TPM2B_PUBLIC area{};
  std::size_t offset = 0;
  const Call unmarshal{.name = "Tss2_MU_TPM2B_PUBLIC_Unmarshal",
                       .rc = Tss2_MU_TPM2B_PUBLIC_Unmarshal(as_uchar(bytes), bytes.size(), &offset, &area)};
  if (!unmarshal.ok()) return fail(malformed(to_error(unmarshal).reason));
  if (offset != bytes.size()) return fail(malformed("there are bytes after its end"));
  // One structure has one encoding: this also finds a size field that disagrees with what follows.
  const auto again = write_public(area);
  if (!again) return fail(again.error());
  if (*again != to_bytes(bytes)) return fail(malformed("its size field is wrong"));
  return area;
}

Result<Bytes> write_public(const TPM2B_PUBLIC& area) {
  std::array<unsigned char, sizeof(TPM2B_PUBLIC)> buffer{};
  std::size_t offset = 0;
  const Call marshal{.name = "Tss2_MU_TPM2B_PUBLIC_Marshal",
                     .rc = Tss2_MU_TPM2B_PUBLIC_Marshal(&area, buffer.data(), buffer.size(), &offset)};
  if (!marshal.ok()) return fail(malformed(to_error(marshal).reason));
  return to_bytes(buffer.data(), offset);
}

Result<PublicKey> public_key_from(const TPMT_PUBLIC& area) {
  if (area.type == TPM2_ALG_ECC) {
    const TPMS_ECC_POINT& point = area.unique.ecc;
    switch (area.parameters.eccDetail.curveID) {
      case TPM2_ECC_NIST_P256: return ec_public_key(KeyAlgorithm::ec_p256, octets(point.x), octets(point.y));
      case TPM2_ECC_NIST_P384: return ec_public_key(KeyAlgorithm::ec_p384, octets(point.x), octets(point.y));
      case TPM2_ECC_NIST_P521: return ec_public_key(KeyAlgorithm::ec_p521, octets(point.x), octets(point.y));
      default: return fail(unsupported("the key is on a curve that devid does not use"));
    }
  }
  if (area.type == TPM2_ALG_RSA) {
    const UINT32 exponent = area.parameters.rsaDetail.exponent;
    return rsa_public_key(octets(area.unique.rsa), exponent == 0 ? default_exponent : exponent);
  }
  return fail(unsupported("the key is neither an EC nor an RSA key"));
}

Result<> require_signing_kind(const TPMT_PUBLIC& area) {
  if (!has(area, TPMA_OBJECT_SIGN_ENCRYPT)) {
    return fail(wrong_key(has(area, TPMA_OBJECT_DECRYPT) ? "it is a decryption or storage key, not a signing key"
                                                         : "it is not a signing key"));
  }
  if (has(area, TPMA_OBJECT_RESTRICTED)) {
    return fail(wrong_key("it is a restricted key, which signs only what the TPM itself made (an attestation key)"));
  }
  if (has(area, TPMA_OBJECT_X509SIGN)) return fail(wrong_key("it signs certificates only (x509sign)"));
  return {};
}

Result<> require_signing_key(const TPMT_PUBLIC& area) {
  if (auto kind = require_signing_kind(area); !kind) return kind;
  if (!has(area, TPMA_OBJECT_USERWITHAUTH) && !endorsement_policy_of(area)) {
    return fail({.code = Errc::token_unsupported,
                 .retry = Retry::after_operator,
                 .what = "it can be used with a policy only (userWithAuth is clear), and devid does not know its "
                         "authPolicy",
                 .hint = "devid knows the authPolicy that the TCG gives to IDevID keys, and TPM2_PolicySecret with the "
                         "endorsement hierarchy alone"});
  }
  return {};
}

Result<> require_storage_key(const TPMT_PUBLIC& area) {
  const char* problem = nullptr;
  if (area.type != TPM2_ALG_ECC && area.type != TPM2_ALG_RSA) problem = "it is neither an EC nor an RSA key";
  if (!has(area, TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT)) problem = "it may leave the TPM (fixedTPM is clear)";
  if (!has(area, TPMA_OBJECT_USERWITHAUTH)) problem = "it can be used with a policy only (userWithAuth is clear)";
  if (!has(area, TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)) problem = "it is not a restricted decryption key";
  if (has(area, TPMA_OBJECT_SIGN_ENCRYPT)) problem = "it is a signing key";
  if (problem == nullptr) return {};
  return fail(wrong_key(problem));
}

}  // namespace devid::tpm
