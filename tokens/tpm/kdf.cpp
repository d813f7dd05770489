#include "tokens/tpm/kdf.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>
#include <span>
#include <string>

#include "base/openssl.h"
#include "tokens/tpm/hash.h"

namespace devid::tpm {
namespace {

using Kdf = Owned<EVP_KDF, EVP_KDF_free>;
using KdfContext = Owned<EVP_KDF_CTX, EVP_KDF_CTX_free>;

// OSSL_PARAM has no pointers to const, and nothing is written there.
OSSL_PARAM octets(const char* name, BytesView value) {
  auto* data = const_cast<unsigned char*>(as_uchar(value));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  return OSSL_PARAM_construct_octet_string(name, data, value.size());
}
OSSL_PARAM text(const char* name, std::string& value) {
  return OSSL_PARAM_construct_utf8_string(name, value.data(), 0);
}

Result<Secret> derive(const char* algorithm, std::span<const OSSL_PARAM> parameters, std::size_t size) {
  const Kdf kdf(EVP_KDF_fetch(nullptr, algorithm, nullptr));
  const KdfContext context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  Bytes buffer(size);
  const bool derived =
      context && EVP_KDF_derive(context.get(), as_uchar(std::span(buffer)), buffer.size(), parameters.data()) == 1;
  Secret secret{BytesView(buffer)};
  wipe(buffer);
  if (!derived) return fail(openssl_error(Errc::internal, Retry::later, "cannot derive a key for the TPM"));
  return secret;
}

}  // namespace

Result<Secret> kdf_a(TPMI_ALG_HASH hash, const Secret& key, std::string_view label, BytesView context,
                     std::size_t size) {
  // SP 800-108 in counter mode with HMAC, counter and length of 32 bits, and a zero octet after the label.
  std::string digest = hash_name(hash);
  std::string mac = OSSL_MAC_NAME_HMAC;
  std::string mode = "counter";
  const std::array parameters{text(OSSL_KDF_PARAM_MODE, mode),
                              text(OSSL_KDF_PARAM_MAC, mac),
                              text(OSSL_KDF_PARAM_DIGEST, digest),
                              octets(OSSL_KDF_PARAM_KEY, key.reveal()),
                              octets(OSSL_KDF_PARAM_SALT, as_bytes(label)),
                              octets(OSSL_KDF_PARAM_INFO, context),
                              OSSL_PARAM_construct_end()};
  return derive(OSSL_KDF_NAME_KBKDF, parameters, size);
}

Result<Secret> kdf_e(TPMI_ALG_HASH hash, const Secret& z, std::string_view label, BytesView party_u, BytesView party_v,
                     std::size_t size) {
  // SP 800-56A: a hash of counter, Z and OtherInfo, which is the label with its zero octet, and the parties.
  std::string digest = hash_name(hash);
  Bytes info = to_bytes(as_bytes(label));
  info.push_back(std::byte{0});
  info.insert(info.end(), party_u.begin(), party_u.end());
  info.insert(info.end(), party_v.begin(), party_v.end());
  const std::array parameters{text(OSSL_KDF_PARAM_DIGEST, digest), octets(OSSL_KDF_PARAM_KEY, z.reveal()),
                              octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  return derive(OSSL_KDF_NAME_SSKDF, parameters, size);
}

}  // namespace devid::tpm
