#include "tokens/pkcs11/key.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tokens/pkcs11/ckr.h"
#include "tokens/pkcs11/pss.h"
#include "tokens/pkcs11/public_object.h"
#include "tokens/public_key.h"

namespace devid::pkcs11 {
namespace {

constexpr std::size_t most_of_one_label = 64;

// The DER of DigestInfo up to the digest (RFC 8017 9.2, note 1).
constexpr auto sha256_info = std::to_array<unsigned char>(
    {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20});
constexpr auto sha384_info = std::to_array<unsigned char>(
    {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30});
constexpr auto sha512_info = std::to_array<unsigned char>(
    {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40});

BytesView digest_info(Digest digest) {
  switch (digest) {
    case Digest::sha256: return std::as_bytes(std::span(sha256_info));
    case Digest::sha384: return std::as_bytes(std::span(sha384_info));
    case Digest::sha512: return std::as_bytes(std::span(sha512_info));
  }
  return {};
}

CK_RSA_PKCS_PSS_PARAMS pss_parameters(Digest digest) {
  const CK_ULONG salt = digest_size(digest);
  switch (digest) {
    case Digest::sha256: return {.hashAlg = CKM_SHA256, .mgf = CKG_MGF1_SHA256, .sLen = salt};
    case Digest::sha384: return {.hashAlg = CKM_SHA384, .mgf = CKG_MGF1_SHA384, .sLen = salt};
    case Digest::sha512: return {.hashAlg = CKM_SHA512, .mgf = CKG_MGF1_SHA512, .sLen = salt};
  }
  return {};
}

Result<> check_request(const PublicKey& key, BytesView digest, SignatureScheme scheme) {
  if (digest.size() != digest_size(scheme.digest)) {
    return fail({.code = Errc::usage,
                 .retry = Retry::never,
                 .what = "the digest to sign has " + std::to_string(digest.size()) + " bytes, not " +
                         std::to_string(digest_size(scheme.digest))});
  }
  if (is_rsa(key.algorithm) == (scheme.padding == Padding::none)) {
    return fail({.code = Errc::token_unsupported,
                 .retry = Retry::never,
                 .what = "the signature scheme does not fit the key",
                 .reason = std::string(algorithm_name(key.algorithm))});
  }
  return {};
}

Result<> check_length(const PublicKey& key, BytesView signature) {
  const std::size_t expected = key_bytes(key.algorithm) * (is_rsa(key.algorithm) ? 1 : 2);
  if (signature.size() == expected) return {};
  return fail({.code = Errc::token_failed,
               .retry = Retry::later,
               .what = "the token returned a signature of " + std::to_string(signature.size()) + " bytes, not " +
                       std::to_string(expected)});
}

Error no_such_key() {
  return {.code = Errc::token_no_such_key,
          .retry = Retry::after_operator,
          .what = "the key is not in the token",
          .hint = "if it was deleted, enroll again: devid makes a new key"};
}

/// One signature by one private key object: what PKCS#11 has for a scheme.
class Signing {
 public:
  Signing(Hsm& hsm, Session& session, const Object& key, bool authenticate_always)
      : hsm_(hsm), session_(session), key_(key.handle), authenticate_always_(authenticate_always) {}

  /// ECDSA takes as much of a digest as the order has bits (FIPS 186-4 6.4); tokens need not do that themselves.
  Result<Bytes> ecdsa(KeyAlgorithm algorithm, BytesView digest) {
    return sign({.mechanism = CKM_ECDSA, .pParameter = nullptr, .ulParameterLen = 0},
                digest.first(std::min(digest.size(), key_bytes(algorithm))));
  }
  Result<Bytes> pkcs1(Digest algorithm, BytesView digest) {
    Bytes data = to_bytes(digest_info(algorithm));
    data.insert(data.end(), digest.begin(), digest.end());
    return sign({.mechanism = CKM_RSA_PKCS, .pParameter = nullptr, .ulParameterLen = 0}, data);
  }
  /// By raw RSA where the token has no RSA-PSS.
  Result<Bytes> pss(const PublicKey& key, Digest algorithm, BytesView digest) {
    if (!session_.lacks_pss) {
      CK_RSA_PKCS_PSS_PARAMS parameters = pss_parameters(algorithm);
      auto signature =
          sign({.mechanism = CKM_RSA_PKCS_PSS, .pParameter = &parameters, .ulParameterLen = sizeof parameters}, digest);
      if (signature || !refuses_mechanism(session_.last())) return signature;
    }
    const auto encoded = encode_pss(key, digest, algorithm);
    if (!encoded) return fail(encoded.error());
    auto signature = sign({.mechanism = CKM_RSA_X_509, .pParameter = nullptr, .ulParameterLen = 0}, *encoded);
    session_.lacks_pss = signature.has_value();
    return signature;
  }

 private:
  Result<Bytes> sign(CK_MECHANISM mechanism, BytesView data) {
    return session_.sign(mechanism, key_, data,
                         [this] { return authenticate_always_ ? hsm_.authenticate_use() : Result<>(); });
  }

  Hsm& hsm_;
  Session& session_;
  CK_OBJECT_HANDLE key_;
  bool authenticate_always_;
};

}  // namespace

HsmKey::HsmKey(Hsm& hsm, ObjectName name, KeyFacts facts, std::string pem)
    : hsm_(hsm), name_(std::move(name)), facts_(std::move(facts)), pem_(std::move(pem)) {}

Result<Bytes> HsmKey::sign(BytesView digest, SignatureScheme scheme) {
  if (auto fits = check_request(facts_.public_key, digest, scheme); !fits) return fail(std::move(fits.error()));
  auto signature = hsm_.run(Login::needed, [&](Session& session) { return sign_in(session, digest, scheme); });
  const std::string doing = "sign with the key " + object_location(name_);
  if (!signature) return fail(while_doing(doing, std::move(signature.error())));
  if (auto fits = check_length(facts_.public_key, *signature); !fits)
    return fail(while_doing(doing, std::move(fits.error())));
  if (auto checked = verify(facts_.public_key, digest, scheme, *signature); !checked) {
    Error error = while_doing(doing, std::move(checked.error()));
    error.code = Errc::token_wrong_key;
    return fail(std::move(error));
  }
  return signature;
}

Result<Bytes> HsmKey::sign_in(Session& session, BytesView digest, SignatureScheme scheme) {
  const auto objects = objects_named(session, name_);
  if (!objects) return fail(objects.error());
  const auto key = the_object(*objects, CKO_PRIVATE_KEY, name_, Errc::token_no_such_key);
  if (!key) return fail(key.error().code == Errc::token_no_such_key ? no_such_key() : key.error());
  Signing signing(hsm_, session, *key, facts_.authenticate_always);
  switch (scheme.padding) {
    case Padding::none: return signing.ecdsa(facts_.public_key.algorithm, digest);
    case Padding::rsa_pkcs1: return signing.pkcs1(scheme.digest, digest);
    case Padding::rsa_pss: return signing.pss(facts_.public_key, scheme.digest, digest);
  }
  return fail({.code = Errc::internal, .retry = Retry::never, .what = "there is no such padding"});
}

Result<std::vector<Object>> objects_named(Session& session, const ObjectName& name) {
  if (!name.id.empty()) return session.objects_of(name.id);
  auto labelled = session.find(std::move(Template().add(CKA_LABEL, as_bytes(name.label))), most_of_one_label);
  if (!labelled) return labelled;
  const Object* key = object_of(*labelled, CKO_PRIVATE_KEY);
  // Its public key and certificate may have other labels.
  if (key == nullptr || key->name.id.empty()) return labelled;
  auto others = session.objects_of(key->name.id);
  if (!others) return others;
  const auto known = [&](const Object& object) {
    return std::ranges::find(*labelled, object.handle, &Object::handle) != labelled->end();
  };
  for (Object& other : *others)
    if (!known(other)) labelled->push_back(std::move(other));
  return labelled;
}

namespace {

/// From what is beside a private key, if that is of a kind that can tell it.
Result<PublicKey> public_half(Session& session, const Object& private_key, const Attributes& own,
                              std::span<const Object> objects) {
  const auto beside = [&](CK_OBJECT_CLASS type) {
    const auto found = std::ranges::find_if(
        objects, [&](const Object& object) { return object.type == type && object.name.id == private_key.name.id; });
    return found == objects.end() ? nullptr : &*found;
  };
  if (const Object* object = beside(CKO_PUBLIC_KEY); object != nullptr) {
    const auto attributes = session.read(object->handle, public_attributes);
    return attributes ? public_key_in(*attributes) : Result<PublicKey>(fail(attributes.error()));
  }
  auto from_itself = public_key_in(own);
  if (from_itself || from_itself.error().code == Errc::token_unsupported) return from_itself;
  if (const Object* object = beside(CKO_CERTIFICATE); object != nullptr) {
    constexpr std::array<CK_ATTRIBUTE_TYPE, 1> value{CKA_VALUE};
    const auto attributes = session.read(object->handle, value);
    return attributes ? public_key_of_certificate(attributes->bytes(CKA_VALUE))
                      : Result<PublicKey>(fail(attributes.error()));
  }
  return from_itself;
}

}  // namespace

Result<KeyFacts> facts_of(Session& session, const Object& private_key, std::span<const Object> objects) {
  std::vector<CK_ATTRIBUTE_TYPE> asked(public_attributes.begin(), public_attributes.end());
  asked.insert(asked.end(), {CKA_SIGN, CKA_ALWAYS_AUTHENTICATE});
  const auto own = session.read(private_key.handle, asked);
  if (!own) return fail(own.error());
  if (!own->flag(CKA_SIGN).value_or(true)) {
    return fail({.code = Errc::token_wrong_key,
                 .retry = Retry::after_operator,
                 .what = "the key may not sign",
                 .reason = "its CKA_SIGN is false",
                 .hint = "it is of no use to devid: take another key"});
  }
  auto key = public_half(session, private_key, *own, objects);
  if (!key) return fail(std::move(key.error()));
  return KeyFacts{.public_key = std::move(*key),
                  .authenticate_always = own->flag(CKA_ALWAYS_AUTHENTICATE).value_or(false)};
}

}  // namespace devid::pkcs11
