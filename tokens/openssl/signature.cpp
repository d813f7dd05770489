#include "tokens/openssl/signature.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/openssl.h"
#include "tokens/openssl/algorithm_identifier.h"
#include "tokens/openssl/dispatch.h"
#include "tokens/openssl/keymgmt.h"
#include "tokens/openssl/provider.h"
#include "tokens/openssl/shared_key.h"

namespace devid::provider {
namespace {

using MessageDigest = Owned<EVP_MD, EVP_MD_free>;

/// One signature in the making.
struct Signing {
  KeyReference key;
  MessageDigest hash;
  SignatureScheme scheme;
};

Signing* signing(void* context) { return static_cast<Signing*>(context); }

/// Refuses, with a text in OpenSSL's queue.
int refuse(int reason, std::string_view text) {
  ERR_raise_data(ERR_LIB_PROV, reason, "%.*s", static_cast<int>(text.size()), text.data());
  return 0;
}

std::optional<Digest> digest_of(const EVP_MD* hash) {
  if (EVP_MD_is_a(hash, "SHA2-256") == 1) return Digest::sha256;
  if (EVP_MD_is_a(hash, "SHA2-384") == 1) return Digest::sha384;
  if (EVP_MD_is_a(hash, "SHA2-512") == 1) return Digest::sha512;
  return std::nullopt;
}

MessageDigest fetch(const char* name) {
  const auto context = private_context();
  return MessageDigest(context ? EVP_MD_fetch(*context, name, default_property) : nullptr);
}

/// A parameter that OpenSSL gives as a number or as a word.
struct Choice {
  std::optional<int> number;
  std::string_view word;
};

Choice choice(const OSSL_PARAM* param) {
  int number = 0;
  const char* word = nullptr;
  if (OSSL_PARAM_get_int(param, &number) == 1) return {.number = number};
  if (OSSL_PARAM_get_utf8_string_ptr(param, &word) == 0 || word == nullptr) return {};
  const std::string_view text(word);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) return {.number = number};
  return {.word = text};
}

int set_padding(Signing& of, const OSSL_PARAM* param) {
  const auto [number, word] = choice(param);
  if (number == RSA_PKCS1_PADDING || word == OSSL_PKEY_RSA_PAD_MODE_PKCSV15) {
    of.scheme.padding = Padding::rsa_pkcs1;
  } else if (number == RSA_PKCS1_PSS_PADDING || word == OSSL_PKEY_RSA_PAD_MODE_PSS) {
    of.scheme.padding = Padding::rsa_pss;
  } else {
    return refuse(PROV_R_INVALID_PADDING_MODE, "a key of a token signs with PKCS#1 v1.5 or PSS padding only");
  }
  return 1;
}

int check_salt_length(const Signing& of, const OSSL_PARAM* param) {
  const auto [number, word] = choice(param);
  const auto length = static_cast<int>(digest_size(of.scheme.digest));
  if (number == length || number == RSA_PSS_SALTLEN_DIGEST || word == OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) return 1;
  return refuse(PROV_R_INVALID_SALT_LENGTH, "a key of a token signs with a PSS salt as long as the digest only (" +
                                                std::to_string(length) + " bytes)");
}

/// The digest was chosen when signing began; naming it again is no harm.
int check_digest(const Signing& of, const OSSL_PARAM* param, int reason) {
  const char* name = nullptr;
  if (OSSL_PARAM_get_utf8_string_ptr(param, &name) == 1 && name != nullptr && EVP_MD_is_a(of.hash.get(), name) == 1)
    return 1;
  return refuse(reason, "a key of a token signs with one digest for everything");
}

int set_ctx_params(void* context, const OSSL_PARAM params[]) noexcept {
  Signing& of = *signing(context);
  if (params == nullptr) return 1;
  if (of.key == nullptr) return refuse(PROV_R_MISSING_KEY, "signing has not begun");
  if (const OSSL_PARAM* digest = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST))
    if (check_digest(of, digest, PROV_R_INVALID_DIGEST) == 0) return 0;
  if (!is_rsa(of.key->algorithm())) return 1;
  if (const OSSL_PARAM* padding = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE))
    if (set_padding(of, padding) == 0) return 0;
  if (const OSSL_PARAM* salt = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN))
    if (check_salt_length(of, salt) == 0) return 0;
  if (const OSSL_PARAM* mask = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST))
    if (check_digest(of, mask, PROV_R_INVALID_MGF1_MD) == 0) return 0;
  return 1;
}

const OSSL_PARAM* settable_ctx_params(void* /*context*/, void* /*provider*/) noexcept {
  static const OSSL_PARAM types[] = {
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, nullptr, 0),
      OSSL_PARAM_END,
  };
  return types;
}

int get_ctx_params(void* context, OSSL_PARAM params[]) noexcept {
  const Signing& of = *signing(context);
  OSSL_PARAM* identifier = params == nullptr ? nullptr : OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
  if (identifier == nullptr) return 1;
  // Answering 1 without a value would make X509_REQ_sign abort the process.
  if (of.hash == nullptr) return refuse(PROV_R_MISSING_KEY, "signing has not begun");
  const auto der = algorithm_identifier(of.scheme);
  if (!der) return refuse(PROV_R_FAILED_TO_SIGN, der.error().sentence());
  return OSSL_PARAM_set_octet_string(identifier, der->data(), der->size());
}

const OSSL_PARAM* gettable_ctx_params(void* /*context*/, void* /*provider*/) noexcept {
  static const OSSL_PARAM types[] = {
      OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, nullptr, 0),
      OSSL_PARAM_END,
  };
  return types;
}

void* create(void* /*provider*/, const char* /*properties*/) noexcept { return std::make_unique<Signing>().release(); }

void destroy(void* context) noexcept { const std::unique_ptr<Signing> last(signing(context)); }

int begin(void* context, const char* digest_name, void* keydata, const OSSL_PARAM params[]) noexcept {
  Signing& of = *signing(context);
  if (SharedKey* shared = shared_key_of(keydata)) of.key = shared->retain();
  if (of.key == nullptr) return refuse(PROV_R_MISSING_KEY, "there is no key to sign with");
  of.hash = digest_name == nullptr ? nullptr : fetch(digest_name);
  const auto digest = of.hash ? digest_of(of.hash.get()) : std::nullopt;
  if (!digest) return refuse(PROV_R_INVALID_DIGEST, "a key of a token signs SHA-256, SHA-384 and SHA-512 only");
  of.scheme = {.digest = *digest, .padding = is_rsa(of.key->algorithm()) ? Padding::rsa_pkcs1 : Padding::none};
  return set_ctx_params(context, params);
}

int sign(void* context, unsigned char* signature, std::size_t* length, std::size_t capacity, const unsigned char* data,
         std::size_t size) noexcept {
  const Signing& of = *signing(context);
  if (of.hash == nullptr) return refuse(PROV_R_MISSING_KEY, "signing has not begun");
  *length = of.key->signature_size();
  if (signature == nullptr) return 1;
  if (capacity < *length) return refuse(PROV_R_OUTPUT_BUFFER_TOO_SMALL, "there is no room for the signature");
  std::array<std::byte, EVP_MAX_MD_SIZE> room{};
  const std::span<std::byte> digest(room);
  unsigned digest_length = 0;
  if (EVP_Digest(data, size, as_uchar(digest), &digest_length, of.hash.get(), nullptr) == 0) return 0;
  const auto made = of.key->sign(digest.first(digest_length), of.scheme);
  if (!made) return refuse(PROV_R_FAILED_TO_SIGN, made.error().sentence());
  std::ranges::copy(*made, std::as_writable_bytes(std::span(signature, capacity)).begin());
  *length = made->size();
  return 1;
}

}  // namespace

const OSSL_ALGORITHM* signature_algorithms() {
  static const std::array functions{
      dispatch<OSSL_FUNC_signature_newctx_fn>(OSSL_FUNC_SIGNATURE_NEWCTX, create),
      dispatch<OSSL_FUNC_signature_freectx_fn>(OSSL_FUNC_SIGNATURE_FREECTX, destroy),
      dispatch<OSSL_FUNC_signature_digest_sign_init_fn>(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, begin),
      dispatch<OSSL_FUNC_signature_digest_sign_fn>(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign),
      dispatch<OSSL_FUNC_signature_get_ctx_params_fn>(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, get_ctx_params),
      dispatch<OSSL_FUNC_signature_gettable_ctx_params_fn>(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS,
                                                           gettable_ctx_params),
      dispatch<OSSL_FUNC_signature_set_ctx_params_fn>(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, set_ctx_params),
      dispatch<OSSL_FUNC_signature_settable_ctx_params_fn>(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS,
                                                           settable_ctx_params),
      end_of_dispatch,
  };
  static const std::array algorithms{
      OSSL_ALGORITHM{
          .algorithm_names = "ECDSA", .property_definition = our_property, .implementation = functions.data()},
      OSSL_ALGORITHM{.algorithm_names = "RSA:rsaEncryption:1.2.840.113549.1.1.1",
                     .property_definition = our_property,
                     .implementation = functions.data()},
      OSSL_ALGORITHM{},
  };
  return algorithms.data();
}

}  // namespace devid::provider
