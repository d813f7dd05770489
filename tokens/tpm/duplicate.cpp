#include "tokens/tpm/duplicate.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include "base/openssl.h"
#include "tokens/public_key.h"
#include "tokens/tpm/auth_value.h"
#include "tokens/tpm/hash.h"
#include "tokens/tpm/kdf.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/rc.h"

namespace devid::tpm {
namespace {

using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using CipherContext = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

struct FreeMemory {
  void operator()(void* memory) const noexcept { OPENSSL_free(memory); }
};
using Memory = std::unique_ptr<void, FreeMemory>;

constexpr TPMA_OBJECT born_here = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN;
constexpr std::string_view duplicate_label = "DUPLICATE";

Error cannot_wrap() { return openssl_error(Errc::internal, Retry::later, "cannot encrypt a key to the TPM"); }

Error unusable_parent(const char* why) {
  return {.code = Errc::token_unsupported,
          .retry = Retry::after_operator,
          .what = "devid cannot encrypt a key to this storage root key",
          .reason = why,
          .hint = "give srk in [tpm] of devid.toml a handle where nothing is: devid makes a storage root key there"};
}

template <class Buffer>
BytesView octets(const Buffer& sized) {
  return std::as_bytes(std::span(sized.buffer, sized.size));
}

template <class Buffer>
void fill(Buffer& sized, BytesView value) {
  const BytesView fitting = value.first(std::min(value.size(), sizeof(sized.buffer)));
  sized.size = static_cast<UINT16>(fitting.size());
  std::ranges::copy(fitting, std::as_writable_bytes(std::span(sized.buffer)).begin());
}

/// TPM2B_SENSITIVE, marshalled.
Result<Secret> write_sensitive(const OutsideKey& key, const Secret& auth_value) {
  TPM2B_SENSITIVE sensitive{};
  TPMT_SENSITIVE& area = sensitive.sensitiveArea;
  const TpmAuth auth(auth_value);
  area.authValue = auth.get();
  if (const auto* ec = std::get_if<EcNumbers>(&key.numbers)) {
    area.sensitiveType = TPM2_ALG_ECC;
    fill(area.sensitive.ecc, ec->scalar.reveal());
  } else {
    area.sensitiveType = TPM2_ALG_RSA;
    fill(area.sensitive.rsa, std::get<RsaNumbers>(key.numbers).prime_1.reveal());
  }
  std::array<unsigned char, sizeof(TPM2B_SENSITIVE)> buffer{};
  std::size_t size = 0;
  const Call marshal{.name = "Tss2_MU_TPM2B_SENSITIVE_Marshal",
                     .rc = Tss2_MU_TPM2B_SENSITIVE_Marshal(&sensitive, buffer.data(), buffer.size(), &size)};
  Secret written(std::as_bytes(std::span(buffer)).first(size));
  wipe(std::as_writable_bytes(std::span(buffer)));
  wipe(std::as_writable_bytes(std::span(&sensitive, 1)));
  if (!marshal.ok()) return fail(to_error(marshal));
  return written;
}

/// nameAlg ‖ H(public area) (TPM 2.0 Part 1, 16).
Result<Bytes> name_of(const TPM2B_PUBLIC& area) {
  const auto bytes = write_public(area);
  if (!bytes) return fail(bytes.error());
  const TPMI_ALG_HASH algorithm = area.publicArea.nameAlg;
  const Bytes hash = hash_of(algorithm, {BytesView(*bytes).subspan(sizeof(UINT16))});
  Bytes name{static_cast<std::byte>(algorithm >> 8U), static_cast<std::byte>(algorithm & 0xFFU)};
  name.insert(name.end(), hash.begin(), hash.end());
  return name;
}

/// What both sides derive the keys of the wrap from, and how the parent gets to know it.
struct Seed {
  Secret value;
  TPM2B_ENCRYPTED_SECRET encrypted{};
};

Result<Bytes> x_of(EVP_PKEY* key, std::size_t size, const char* name) {
  BIGNUM* number = nullptr;
  const bool got = EVP_PKEY_get_bn_param(key, name, &number) == 1;
  Bytes bytes(size);
  const bool written = got && BN_bn2binpad(number, as_uchar(std::span(bytes)), static_cast<int>(size)) >= 0;
  BN_free(number);
  if (!written) return fail(cannot_wrap());
  return bytes;
}

/// The x coordinate of the common point.
Result<Secret> agree(EVP_PKEY* ours, EVP_PKEY* theirs, std::size_t size) {
  const PkeyContext context(EVP_PKEY_CTX_new(ours, nullptr));
  Bytes buffer(size);
  std::size_t got = buffer.size();
  const bool agreed = context && EVP_PKEY_derive_init(context.get()) == 1 &&
                      EVP_PKEY_derive_set_peer(context.get(), theirs) == 1 &&
                      EVP_PKEY_derive(context.get(), as_uchar(std::span(buffer)), &got) == 1 && got == size;
  Secret z{BytesView(buffer)};
  wipe(buffer);
  if (!agreed) return fail(cannot_wrap());
  return z;
}

/// TPM 2.0 Part 1, C.6.3: ECDH with a key for this once.
Result<Seed> seed_by_ecdh(EVP_PKEY* theirs, KeyAlgorithm algorithm, TPMI_ALG_HASH hash, std::size_t seed_size) {
  const std::size_t size = key_bytes(algorithm);
  const Pkey ours(EVP_EC_gen(("P-" + std::to_string(key_bits(algorithm))).c_str()));
  if (!ours) return fail(cannot_wrap());
  const auto x = x_of(ours.get(), size, OSSL_PKEY_PARAM_EC_PUB_X);
  const auto y = x_of(ours.get(), size, OSSL_PKEY_PARAM_EC_PUB_Y);
  const auto their_x = x_of(theirs, size, OSSL_PKEY_PARAM_EC_PUB_X);
  if (!x || !y || !their_x) return fail(cannot_wrap());
  const auto z = agree(ours.get(), theirs, size);
  if (!z) return fail(z.error());
  auto value = kdf_e(hash, *z, duplicate_label, *x, *their_x, seed_size);
  if (!value) return fail(std::move(value.error()));
  Seed seed{.value = std::move(*value)};
  TPMS_ECC_POINT point{};
  fill(point.x, *x);
  fill(point.y, *y);
  std::size_t written = 0;
  const Call marshal{
      .name = "Tss2_MU_TPMS_ECC_POINT_Marshal",
      .rc = Tss2_MU_TPMS_ECC_POINT_Marshal(&point, seed.encrypted.secret, sizeof(seed.encrypted.secret), &written)};
  if (!marshal.ok()) return fail(to_error(marshal));
  seed.encrypted.size = static_cast<UINT16>(written);
  return seed;
}

/// TPM 2.0 Part 1, B.10.4: a random seed, by RSAES-OAEP with the label and its zero octet.
Result<Seed> seed_by_oaep(EVP_PKEY* theirs, TPMI_ALG_HASH hash, std::size_t seed_size) {
  Bytes random(seed_size);
  const bool made = RAND_priv_bytes(as_uchar(std::span(random)), static_cast<int>(random.size())) == 1;
  Seed seed{.value = Secret(BytesView(random))};
  wipe(random);
  const PkeyContext context(EVP_PKEY_CTX_new(theirs, nullptr));
  Memory label(OPENSSL_memdup(duplicate_label.data(), duplicate_label.size() + 1));  // a literal ends in a zero octet
  const std::string name = hash_name(hash);
  std::size_t size = sizeof(seed.encrypted.secret);
  if (!made || !context || !label || EVP_PKEY_encrypt_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
      EVP_PKEY_CTX_set_rsa_oaep_md_name(context.get(), name.c_str(), nullptr) != 1 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md_name(context.get(), name.c_str(), nullptr) != 1 ||
      EVP_PKEY_CTX_set0_rsa_oaep_label(context.get(), label.get(), static_cast<int>(duplicate_label.size() + 1)) != 1)
    return fail(cannot_wrap());
  std::ignore = label.release();  // set0 took it
  if (EVP_PKEY_encrypt(context.get(), seed.encrypted.secret, &size, as_uchar(seed.value.reveal()), seed.value.size()) !=
      1)
    return fail(cannot_wrap());
  seed.encrypted.size = static_cast<UINT16>(size);
  return seed;
}

Result<Seed> make_seed(const TPMT_PUBLIC& parent) {
  const auto known = public_key_from(parent);
  if (!known) return fail(unusable_parent("it is of another kind than P-256, P-384, P-521 or RSA"));
  const auto key = to_evp_public(*known);
  if (!key) return fail(key.error());
  const std::size_t size = hash_of(parent.nameAlg, {}).size();
  if (size == 0) return fail(unusable_parent("its Name has another hash than those of SHA-1 and SHA-2"));
  return is_rsa(known->algorithm) ? seed_by_oaep(key->get(), parent.nameAlg, size)
                                  : seed_by_ecdh(key->get(), known->algorithm, parent.nameAlg, size);
}

const EVP_CIPHER* aes_cfb(UINT16 bits) {
  switch (bits) {
    case 128: return EVP_aes_128_cfb128();
    case 192: return EVP_aes_192_cfb128();
    case 256: return EVP_aes_256_cfb128();
    default: return nullptr;
  }
}

Result<Bytes> encrypt(const EVP_CIPHER* cipher, const Secret& key, const Secret& plain) {
  const CipherContext context(EVP_CIPHER_CTX_new());
  const std::array<unsigned char, EVP_MAX_IV_LENGTH> no_iv{};  // the key is for this once
  Bytes encrypted(plain.size());
  int size = 0;
  if (!context || EVP_EncryptInit_ex(context.get(), cipher, nullptr, as_uchar(key.reveal()), no_iv.data()) != 1 ||
      EVP_EncryptUpdate(context.get(), as_uchar(std::span(encrypted)), &size, as_uchar(plain.reveal()),
                        static_cast<int>(plain.size())) != 1 ||
      static_cast<std::size_t>(size) != plain.size())
    return fail(cannot_wrap());
  return encrypted;
}

Result<TPM2B_DIGEST> hmac(TPMI_ALG_HASH hash, const Secret& key, BytesView encrypted, BytesView name) {
  Bytes data = to_bytes(encrypted);
  data.insert(data.end(), name.begin(), name.end());
  TPM2B_DIGEST mac{};
  std::size_t size = 0;
  const std::string digest = hash_name(hash);
  if (EVP_Q_mac(nullptr, OSSL_MAC_NAME_HMAC, nullptr, digest.c_str(), nullptr, as_uchar(key.reveal()), key.size(),
                as_uchar(BytesView(data)), data.size(), mac.buffer, sizeof(mac.buffer), &size) == nullptr)
    return fail(cannot_wrap());
  mac.size = static_cast<UINT16>(size);
  return mac;
}

/// TPM2B_DIGEST outerHMAC ‖ encrypted TPM2B_SENSITIVE (TPM 2.0 Part 1, 23.3.2.3).
Result<TPM2B_PRIVATE> wrap(const TPMT_PUBLIC& parent, const Secret& seed, const Secret& sensitive, BytesView name) {
  const TPMT_SYM_DEF_OBJECT& symmetric =
      parent.type == TPM2_ALG_RSA ? parent.parameters.rsaDetail.symmetric : parent.parameters.eccDetail.symmetric;
  const bool is_aes = symmetric.algorithm == TPM2_ALG_AES && symmetric.mode.aes == TPM2_ALG_CFB;
  const EVP_CIPHER* cipher = is_aes ? aes_cfb(symmetric.keyBits.aes) : nullptr;
  if (cipher == nullptr) return fail(unusable_parent("its symmetric algorithm is not AES in CFB mode"));
  const auto key = kdf_a(parent.nameAlg, seed, "STORAGE", name, symmetric.keyBits.aes / 8U);
  if (!key) return fail(key.error());
  const auto encrypted = encrypt(cipher, *key, sensitive);
  if (!encrypted) return fail(encrypted.error());
  const auto mac_key = kdf_a(parent.nameAlg, seed, "INTEGRITY", {}, hash_of(parent.nameAlg, {}).size());
  if (!mac_key) return fail(mac_key.error());
  const auto mac = hmac(parent.nameAlg, *mac_key, *encrypted, name);
  if (!mac) return fail(mac.error());
  TPM2B_PRIVATE wrapped{};
  std::size_t size = 0;
  const Call marshal{.name = "Tss2_MU_TPM2B_DIGEST_Marshal",
                     .rc = Tss2_MU_TPM2B_DIGEST_Marshal(&*mac, wrapped.buffer, sizeof(wrapped.buffer), &size)};
  if (!marshal.ok()) return fail(to_error(marshal));
  const auto rest = std::as_writable_bytes(std::span(wrapped.buffer)).subspan(size);
  if (encrypted->size() > rest.size()) return fail(cannot_wrap());
  std::ranges::copy(*encrypted, rest.begin());
  wrapped.size = static_cast<UINT16>(size + encrypted->size());
  return wrapped;
}

}  // namespace

TPM2B_PUBLIC imported_area(const TPM2B_PUBLIC& form, const OutsideKey& key) {
  TPM2B_PUBLIC result = form;
  TPMT_PUBLIC& area = result.publicArea;
  area.objectAttributes &= ~born_here;
  if (const auto* ec = std::get_if<EcNumbers>(&key.numbers)) {
    fill(area.unique.ecc.x, ec->x);
    fill(area.unique.ecc.y, ec->y);
  } else {
    fill(area.unique.rsa, std::get<RsaNumbers>(key.numbers).modulus);
  }
  return result;
}

Result<Duplicate> duplicate_for(const TPMT_PUBLIC& parent, const OutsideKey& key, const TPM2B_PUBLIC& area,
                                const Secret& auth_value) {
  const auto name = name_of(area);
  if (!name) return fail(name.error());
  const auto sensitive = write_sensitive(key, auth_value);
  if (!sensitive) return fail(sensitive.error());
  const auto seed = make_seed(parent);
  if (!seed) return fail(seed.error());
  const auto wrapped = wrap(parent, seed->value, *sensitive, *name);
  if (!wrapped) return fail(wrapped.error());
  return Duplicate{.wrapped = *wrapped, .seed = seed->encrypted};
}

}  // namespace devid::tpm
