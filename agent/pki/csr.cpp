#include "agent/pki/csr.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>

#include "agent/pki/encoded_name.h"
#include "tokens/public_key.h"

namespace devid::pki {
namespace {

using Request = Owned<X509_REQ, X509_REQ_free>;
using Extension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using Extensions = Owned<STACK_OF(X509_EXTENSION), [](STACK_OF(X509_EXTENSION) * stack) {
  sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
}>;

constexpr std::string_view doing = "cannot make the certificate request";

Error failed() { return openssl_error(Errc::internal, Retry::later, doing); }

bool push(STACK_OF(X509_EXTENSION) * stack, Extension extension) {
  if (!extension || sk_X509_EXTENSION_push(stack, extension.get()) <= 0) return false;
  std::ignore = extension.release();
  return true;
}

/// What the certificate shall allow and name, as an extensionRequest (RFC 2985 5.4.2).
Result<> add_extensions(X509_REQ* request, const Names& names) {
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  const auto from_text = [&](int nid, const char* value) {
    return push(extensions.get(), Extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value)));
  };
  if (!extensions || !from_text(NID_key_usage, "critical,digitalSignature") ||
      !from_text(NID_ext_key_usage, "clientAuth"))
    return fail(failed());
  if (!names.alternatives.empty()) {
    auto alternatives = encode_alternatives(names.alternatives);
    if (!alternatives) return fail(std::move(alternatives.error()));
    const int critical = names.subject.empty() ? 1 : 0;  // RFC 5280 4.2.1.6
    if (!push(extensions.get(), Extension(X509V3_EXT_i2d(NID_subject_alt_name, critical, alternatives->get()))))
      return fail(failed());
  }
  if (X509_REQ_add_extensions(request, extensions.get()) != 1) return fail(failed());
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

Result<Request> unsigned_request(const PublicKey& key, const CsrSpec& spec) {
  auto subject = encode_subject(spec.names.subject);
  if (!subject) return fail(std::move(subject.error()));
  auto public_key = to_evp_public(key);
  if (!public_key) return fail(std::move(public_key.error()));
  Request request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name(request.get(), subject->get()) != 1 ||
      X509_REQ_set_pubkey(request.get(), public_key->get()) != 1)
    return fail(failed());
  if (auto added = add_extensions(request.get(), spec.names); !added) return fail(std::move(added.error()));
  if (spec.challenge_password)
    if (auto added = add_challenge_password(request.get(), *spec.challenge_password); !added)
      return fail(std::move(added.error()));
  return request;
}

Result<> sign(X509_REQ* request, SigningKey& key) {
  std::ignore = key.take_error();
  if (X509_REQ_sign(request, key.get(), message_digest(digest_for(key.public_key().algorithm))) > 0) return {};
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
  ERR_clear_error();
  if (auto checked = check(spec.names); !checked) return fail(std::move(checked.error()));
  auto request = unsigned_request(key.public_key(), spec);
  if (!request) return fail(std::move(request.error()));
  if (auto done = sign(request->get(), key); !done) return fail(std::move(done.error()));
  auto der = encode(request->get());
  if (!der) return der;
  if (auto verified = verify_own_signature(*der, key.public_key()); !verified) return fail(std::move(verified.error()));
  return der;
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

}  // namespace devid::pki
