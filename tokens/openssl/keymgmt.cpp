#include "tokens/openssl/keymgmt.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

#include <array>
#include <memory>

#include "tokens/openssl/dispatch.h"
#include "tokens/openssl/provider.h"

namespace devid::provider {
namespace {

struct KeyData {
  KeyReference key;
};

KeyData* key_data(void* keydata) { return static_cast<KeyData*>(keydata); }

void* create(void* /*provider*/) noexcept { return std::make_unique<KeyData>().release(); }

void destroy(void* keydata) noexcept { const std::unique_ptr<KeyData> last(key_data(keydata)); }

int has(const void* keydata, int /*selection*/) noexcept {
  return static_cast<const KeyData*>(keydata)->key != nullptr ? 1 : 0;
}

int import_key(void* keydata, int /*selection*/, const OSSL_PARAM params[]) noexcept {
  const OSSL_PARAM* param = OSSL_PARAM_locate_const(params, shared_key_parameter);
  const void* pointer = nullptr;
  std::size_t size = 0;
  if (param == nullptr || OSSL_PARAM_get_octet_ptr(param, &pointer, &size) == 0 || size != sizeof(SharedKey)) return 0;
  auto* shared =
      const_cast<SharedKey*>(static_cast<const SharedKey*>(pointer));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  key_data(keydata)->key = shared->retain();
  return 1;
}

const OSSL_PARAM* import_types(int /*selection*/) noexcept {
  static const OSSL_PARAM types[] = {OSSL_PARAM_octet_ptr(shared_key_parameter, nullptr, 0), OSSL_PARAM_END};
  return types;
}

/// Gives the public part away. The refusal of the private one is what sends OpenSSL to our signature.
int export_key(void* keydata, int selection, OSSL_CALLBACK* callback, void* argument) noexcept {
  const SharedKey* shared = shared_key_of(keydata);
  if (shared == nullptr || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) return 0;
  return EVP_PKEY_export(shared->public_part(), selection, callback, argument);
}

/// The answers of the public part, but for the digest to sign with: OpenSSL says SHA-256 whatever the curve.
int get_params(void* keydata, OSSL_PARAM params[]) noexcept {
  const SharedKey* shared = shared_key_of(keydata);
  if (shared == nullptr || EVP_PKEY_get_params(shared->public_part(), params) == 0) return 0;
  OSSL_PARAM* digest = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST);
  const bool sha384 = digest_for(shared->algorithm()) == Digest::sha384;
  return digest == nullptr ? 1 : OSSL_PARAM_set_utf8_string(digest, sha384 ? "SHA384" : "SHA256");
}

/// Two keys of ours are equal if their public parts are.
int match(const void* one, const void* other, int selection) noexcept {
  const auto& a = static_cast<const KeyData*>(one)->key;
  const auto& b = static_cast<const KeyData*>(other)->key;
  if (!a || !b) return 0;
  if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
    return EVP_PKEY_parameters_eq(a->public_part(), b->public_part()) == 1 ? 1 : 0;
  return EVP_PKEY_eq(a->public_part(), b->public_part()) == 1 ? 1 : 0;
}

/// What OpenSSL may ask of any key. Without max-size and, for EC, group, TLS 1.3 quietly sends no certificate.
const OSSL_PARAM* gettable_ec(void* /*provider*/) noexcept {
  static const OSSL_PARAM types[] = {
      OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, nullptr, 0),
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_X, nullptr, 0),
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_Y, nullptr, 0),
      OSSL_PARAM_END,
  };
  return types;
}

const OSSL_PARAM* gettable_rsa(void* /*provider*/) noexcept {
  static const OSSL_PARAM types[] = {
      OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, nullptr, 0),
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, nullptr, 0),
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, nullptr, 0),
      OSSL_PARAM_END,
  };
  return types;
}

const OSSL_PARAM* export_types_ec(int selection) noexcept {
  static const OSSL_PARAM types[] = {
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
      OSSL_PARAM_END,
  };
  return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? nullptr : types;
}

const OSSL_PARAM* export_types_rsa(int selection) noexcept {
  static const OSSL_PARAM types[] = {
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, nullptr, 0),
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, nullptr, 0),
      OSSL_PARAM_END,
  };
  return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? nullptr : types;
}

/// The signature algorithm of an EC key is not called EC.
const char* operation_name_ec(int operation) noexcept { return operation == OSSL_OP_SIGNATURE ? "ECDSA" : "EC"; }

const char* operation_name_rsa(int /*operation*/) noexcept { return "RSA"; }

auto functions(OSSL_FUNC_keymgmt_gettable_params_fn* gettable, OSSL_FUNC_keymgmt_export_types_fn* export_types,
               OSSL_FUNC_keymgmt_query_operation_name_fn* operation_name) {
  return std::array{
      dispatch<OSSL_FUNC_keymgmt_new_fn>(OSSL_FUNC_KEYMGMT_NEW, create),
      dispatch<OSSL_FUNC_keymgmt_free_fn>(OSSL_FUNC_KEYMGMT_FREE, destroy),
      dispatch<OSSL_FUNC_keymgmt_has_fn>(OSSL_FUNC_KEYMGMT_HAS, has),
      dispatch<OSSL_FUNC_keymgmt_match_fn>(OSSL_FUNC_KEYMGMT_MATCH, match),
      dispatch<OSSL_FUNC_keymgmt_import_fn>(OSSL_FUNC_KEYMGMT_IMPORT, import_key),
      dispatch<OSSL_FUNC_keymgmt_import_types_fn>(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, import_types),
      dispatch<OSSL_FUNC_keymgmt_export_fn>(OSSL_FUNC_KEYMGMT_EXPORT, export_key),
      dispatch(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, export_types),
      dispatch<OSSL_FUNC_keymgmt_get_params_fn>(OSSL_FUNC_KEYMGMT_GET_PARAMS, get_params),
      dispatch(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, gettable),
      dispatch(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, operation_name),
      end_of_dispatch,
  };
}

}  // namespace

SharedKey* shared_key_of(void* keydata) { return keydata == nullptr ? nullptr : key_data(keydata)->key.get(); }

const OSSL_ALGORITHM* keymgmt_algorithms() {
  static const auto ec = functions(gettable_ec, export_types_ec, operation_name_ec);
  static const auto rsa = functions(gettable_rsa, export_types_rsa, operation_name_rsa);
  static const std::array algorithms{
      OSSL_ALGORITHM{.algorithm_names = "EC:id-ecPublicKey:1.2.840.10045.2.1",
                     .property_definition = our_property,
                     .implementation = ec.data()},
      OSSL_ALGORITHM{.algorithm_names = "RSA:rsaEncryption:1.2.840.113549.1.1.1",
                     .property_definition = our_property,
                     .implementation = rsa.data()},
      OSSL_ALGORITHM{},
  };
  return algorithms.data();
}

}  // namespace devid::provider
