#include "agent/pki/csr.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "agent/pki/encoded_name.h"
#include "agent/pki/oid.h"
#include "tokens/public_key.h"

namespace devid::pki {
namespace {

using Request = Owned<X509_REQ, X509_REQ_free>;
using Attribute = Owned<X509_ATTRIBUTE, X509_ATTRIBUTE_free>;
using Octets = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using Value = Owned<ASN1_TYPE, ASN1_TYPE_free>;
using Extension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using Extensions = Owned<STACK_OF(X509_EXTENSION), [](STACK_OF(X509_EXTENSION) * stack) {
  sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
}>;

constexpr std::string_view doing = "cannot make the certificate request";
constexpr std::string_view key_usage_oid = "2.5.29.15";
constexpr std::string_view extended_key_usage_oid = "2.5.29.37";

Error failed() { return openssl_error(Errc::internal, Retry::later, doing); }

bool push(STACK_OF(X509_EXTENSION) * stack, Extension extension) {
  if (!extension || sk_X509_EXTENSION_push(stack, extension.get()) <= 0) return false;
  std::ignore = extension.release();
  return true;
}

bool has_extension(const CsrSpec& spec, std::string_view oid) {
  return std::ranges::any_of(spec.extensions, [&](const RequestedExtension& each) { return each.oid == oid; });
}

/// devid's own, where the spec has none.
bool push_usages(STACK_OF(X509_EXTENSION) * stack, const CsrSpec& spec) {
  const auto push_text = [&](int nid, const char* value) {
    return push(stack, Extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value)));
  };
  return (has_extension(spec, key_usage_oid) || push_text(NID_key_usage, "critical,digitalSignature")) &&
         (has_extension(spec, extended_key_usage_oid) || push_text(NID_ext_key_usage, "clientAuth"));
}

bool push_requested(STACK_OF(X509_EXTENSION) * stack, const RequestedExtension& extension) {
  const Oid oid = oid_of(extension.oid);
  const Octets value(ASN1_OCTET_STRING_new());
  if (!oid || !value ||
      ASN1_OCTET_STRING_set(value.get(), as_uchar(BytesView(extension.value)),
                            static_cast<int>(extension.value.size())) != 1)
    return false;
  return push(stack,
              Extension(X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), extension.critical ? 1 : 0, value.get())));
}

/// What the certificate shall allow and name, as an extensionRequest (RFC 2985 5.4.2).
Result<> add_extensions(X509_REQ* request, const CsrSpec& spec) {
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  if (!extensions || !push_usages(extensions.get(), spec)) return fail(failed());
  for (const RequestedExtension& extension : spec.extensions)
    if (!push_requested(extensions.get(), extension)) return fail(failed());
  if (!spec.names.alternatives.empty()) {
    auto alternatives = encode_alternatives(spec.names.alternatives);
    if (!alternatives) return fail(std::move(alternatives.error()));
    const int critical = spec.critical_alternatives || spec.names.subject.empty() ? 1 : 0;  // RFC 5280 4.2.1.6
    if (!push(extensions.get(), Extension(X509V3_EXT_i2d(NID_subject_alt_name, critical, alternatives->get()))))
      return fail(failed());
  }
  if (X509_REQ_add_extensions(request, extensions.get()) != 1) return fail(failed());
  return {};
}

Result<> add_attribute(X509_REQ* request, const RequestAttribute& attribute) {
  const Oid oid = oid_of(attribute.oid);
  const Attribute made(X509_ATTRIBUTE_new());
  if (!oid || !made || attribute.values.empty() || X509_ATTRIBUTE_set1_object(made.get(), oid.get()) != 1)
    return fail(failed());
  for (const Bytes& der : attribute.values) {
    const unsigned char* position = as_uchar(BytesView(der));
    const unsigned char* const end = position + der.size();
    const Value value(d2i_ASN1_TYPE(nullptr, &position, static_cast<long>(der.size())));
    if (!value || position != end ||
        X509_ATTRIBUTE_set1_data(made.get(), ASN1_TYPE_get(value.get()), value->value.ptr, -1) != 1)
      return fail(failed());
  }
  if (X509_REQ_add1_attr(request, made.get()) != 1) return fail(failed());
  return {};
}

Result<> add_challenge_password(X509_REQ* request, const std::string& password) {
  const BytesView bytes = as_bytes(password);
  const int size = static_cast<int>(bytes.size());
  // PrintableString wherever it can be (RFC 2985 5.4.1); the channel binding always can.
  const bool plain = ASN1_PRINTABLE_type(as_uchar(bytes), size) == V_ASN1_PRINTABLESTRING;
  if (X509_REQ_add1_attr_by_NID(request, NID_pkcs9_challengePassword, plain ? V_ASN1_PRINTABLESTRING : MBSTRING_UTF8,
                                as_uchar(bytes), size) != 1)
    return fail(failed());
  return {};
}

Digest digest_of(const PublicKey& key, const CsrSpec& spec) { return spec.digest.value_or(digest_for(key.algorithm)); }

Result<Request> unsigned_request(const PublicKey& key, const CsrSpec& spec) {
  ERR_clear_error();
  if (auto checked = check(spec.names); !checked) return fail(std::move(checked.error()));
  auto subject = encode_subject(spec.names.subject);
  if (!subject) return fail(std::move(subject.error()));
  auto public_key = to_evp_public(key);
  if (!public_key) return fail(std::move(public_key.error()));
  Request request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name(request.get(), subject->get()) != 1 ||
      X509_REQ_set_pubkey(request.get(), public_key->get()) != 1)
    return fail(failed());
  if (auto added = add_extensions(request.get(), spec); !added) return fail(std::move(added.error()));
  for (const RequestAttribute& attribute : spec.attributes)
    if (auto added = add_attribute(request.get(), attribute); !added) return fail(std::move(added.error()));
  if (spec.challenge_password)
    if (auto added = add_challenge_password(request.get(), *spec.challenge_password); !added)
      return fail(std::move(added.error()));
  return request;
}

/// Bytes of the AlgorithmIdentifier of a signature: without parameters for ECDSA (RFC 5758 3.2), with NULL for RSA (RFC
/// 4055 5). 0 if there is none.
int algorithm_size(const PublicKey& key, Digest digest) {
  const bool rsa = is_rsa(key.algorithm);
  const Owned<X509_ALGOR, X509_ALGOR_free> algorithm(X509_ALGOR_new());
  int nid = NID_undef;
  if (!algorithm ||
      OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(message_digest(digest)),
                             rsa ? NID_rsaEncryption : NID_X9_62_id_ecPublicKey) != 1 ||
      X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(nid), rsa ? V_ASN1_NULL : V_ASN1_UNDEF, nullptr) != 1)
    return 0;
  return i2d_X509_ALGOR(algorithm.get(), nullptr);
}

Result<> sign(X509_REQ* request, SigningKey& key, Digest digest) {
  std::ignore = key.take_error();
  if (X509_REQ_sign(request, key.get(), message_digest(digest)) > 0) return {};
  Error error = openssl_error(Errc::token_failed, Retry::later, "cannot sign the certificate request");
  if (auto told = key.take_error()) error = while_doing("sign the certificate request", std::move(*told));
  return fail(std::move(error));
}

Result<Bytes> encode(X509_REQ* request) {
  unsigned char* data = nullptr;
  const int size = i2d_X509_REQ(request, &data);
  if (size <= 0) return fail(failed());
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

/// Verifies what will be sent: the DER, parsed anew, with the public key in the default provider.
Result<> verify_own_signature(BytesView der, const PublicKey& key) {
  const unsigned char* position = as_uchar(der);
  const Request request(d2i_X509_REQ(nullptr, &position, static_cast<long>(der.size())));
  auto public_key = to_evp_public(key);
  if (!public_key) return fail(std::move(public_key.error()));
  if (request && X509_REQ_verify(request.get(), public_key->get()) == 1) return {};
  Error error = openssl_error(Errc::token_wrong_key, Retry::after_operator,
                              "the token's signature on the certificate request is not by the key that it names");
  error.hint = "find out whether the token was cleared, replaced or provisioned again";
  return fail(std::move(error));
}

/// DER; empty for none.
Bytes der_of(const X509_NAME* name) {
  unsigned char* data = nullptr;
  const int size = i2d_X509_NAME(name, &data);
  Bytes der = size > 0 ? to_bytes(data, static_cast<std::size_t>(size)) : Bytes();
  OPENSSL_free(data);
  return der;
}

/// DER; empty for none.
Bytes der_of(const GENERAL_NAMES* names) {
  unsigned char* data = nullptr;
  const int size = sk_GENERAL_NAME_num(names) > 0 ? i2d_GENERAL_NAMES(names, &data) : 0;
  Bytes der = size > 0 ? to_bytes(data, static_cast<std::size_t>(size)) : Bytes();
  OPENSSL_free(data);
  return der;
}

}  // namespace

Result<Bytes> make_csr(SigningKey& key, const CsrSpec& spec) {
  auto request = unsigned_request(key.public_key(), spec);
  if (!request) return fail(std::move(request.error()));
  if (auto done = sign(request->get(), key, digest_of(key.public_key(), spec)); !done)
    return fail(std::move(done.error()));
  auto der = encode(request->get());
  if (!der) return der;
  if (auto verified = verify_own_signature(*der, key.public_key()); !verified) return fail(std::move(verified.error()));
  return der;
}

Result<std::size_t> largest_csr(const PublicKey& key, const CsrSpec& spec) {
  auto request = unsigned_request(key, spec);
  if (!request) return fail(std::move(request.error()));
  auto verifier = to_evp_public(key);
  if (!verifier) return fail(std::move(verifier.error()));
  const int algorithm = algorithm_size(key, digest_of(key, spec));
  const int body = i2d_re_X509_REQ_tbs(request->get(), nullptr);
  const int signature = EVP_PKEY_get_size(verifier->get());  // the most that it can come to
  if (algorithm <= 0 || body <= 0 || signature <= 0) return fail(failed());
  const int unused_bits = 1;  // the first octet of a BIT STRING
  const int content = body + algorithm + ASN1_object_size(0, unused_bits + signature, V_ASN1_BIT_STRING);
  return static_cast<std::size_t>(ASN1_object_size(1, content, V_ASN1_SEQUENCE));
}

bool asks_for(BytesView csr, const Names& names) {
  const unsigned char* position = as_uchar(csr);
  const Request request(d2i_X509_REQ(nullptr, &position, static_cast<long>(csr.size())));
  const auto subject = encode_subject(names.subject);
  const auto alternatives = encode_alternatives(names.alternatives);
  if (!request || !subject || !alternatives) {
    ERR_clear_error();
    return false;
  }
  const Extensions extensions(X509_REQ_get_extensions(request.get()));
  const GeneralNames asked(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  return der_of(X509_REQ_get_subject_name(request.get())) == der_of(subject->get()) &&
         der_of(asked.get()) == der_of(alternatives->get());
}

bool has_challenge_password(BytesView csr) {
  const unsigned char* position = as_uchar(csr);
  const Request request(d2i_X509_REQ(nullptr, &position, static_cast<long>(csr.size())));
  const bool has = request && X509_REQ_get_attr_by_NID(request.get(), NID_pkcs9_challengePassword, -1) >= 0;
  ERR_clear_error();
  return has;
}

}  // namespace devid::pki
