#include "agent/pki/csr_wishes.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/pki/der.h"
#include "agent/pki/extension_template.h"
#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

constexpr std::size_t most_texts = 16;
constexpr std::size_t most_keys = 32;

/// serialNumber, macAddress (RFC 2307), and the IMEI, MEID and device id of Hotspot 2.0.
constexpr std::array<std::string_view, 5> fact_oids = {"2.5.4.5", "1.3.6.1.1.1.1.22", "1.3.6.1.4.1.40808.1.1.3",
                                                       "1.3.6.1.4.1.40808.1.1.4", "1.3.6.1.4.1.40808.1.1.5"};

constexpr std::array curve_nids = std::to_array<std::pair<int, KeyAlgorithm>>({
    {NID_X9_62_prime256v1, KeyAlgorithm::ec_p256},
    {NID_secp384r1, KeyAlgorithm::ec_p384},
    {NID_secp521r1, KeyAlgorithm::ec_p521},
});

std::vector<KeyAlgorithm> algorithms_where(auto fits) {
  std::vector<KeyAlgorithm> algorithms;
  std::ranges::copy_if(all_key_algorithms(), std::back_inserter(algorithms), fits);
  return algorithms;
}

bool is_curve(int nid) {
  std::vector<EC_builtin_curve> curves(EC_get_builtin_curves(nullptr, 0));
  EC_get_builtin_curves(curves.data(), curves.size());
  return std::ranges::any_of(curves, [&](const EC_builtin_curve& curve) { return curve.nid == nid; });
}

std::optional<Digest> digest_of(int nid) {
  switch (nid) {
    case NID_sha256: return Digest::sha256;
    case NID_sha384: return Digest::sha384;
    case NID_sha512: return Digest::sha512;
    default: return std::nullopt;
  }
}

/// All of ours of a kind; none for kinds that are not ours.
KeyTemplate any_key(const ASN1_OBJECT* kind) {
  const int nid = OBJ_obj2nid(kind);
  KeyTemplate key{.text = oid_name(kind), .algorithms = {}};
  if (nid == NID_X9_62_id_ecPublicKey) key.algorithms = algorithms_where([](KeyAlgorithm a) { return !is_rsa(a); });
  if (nid == NID_rsaEncryption) key.algorithms = algorithms_where(is_rsa);
  return key;
}

/// 0 for what is no size.
std::size_t rsa_size(const ASN1_INTEGER* integer) {
  std::uint64_t size = 0;
  if (ASN1_INTEGER_get_uint64(&size, integer) != 1 || size > 1U << 20U) size = 0;
  ERR_clear_error();
  return size;
}

}  // namespace

Error malformed_attributes(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read the CSR attributes that the server asks for",
          .reason = std::move(reason),
          .hint = "correct the CSR attributes in the EST server's configuration (RFC 8951 4, RFC 9908)"};
}

void add_bounded(std::vector<std::string>& list, std::string text) {
  if (list.size() < most_texts)
    list.push_back(std::move(text));
  else if (list.size() == most_texts)
    list.emplace_back("more that is not listed");
}

void CsrWishes::add_key(std::vector<KeyTemplate>& to, KeyTemplate key) {
  if (std::ranges::find(to, key) != to.end()) return;
  if (to.size() < most_keys)
    to.push_back(std::move(key));
  else
    ignore(key.text);
}

bool CsrWishes::take_fact(const ASN1_OBJECT* oid) {
  const auto digits = dotted(oid);
  if (!digits || std::ranges::find(fact_oids, *digits) == fact_oids.end()) return false;
  if (std::ranges::find(wanted_.facts, *digits) == wanted_.facts.end()) wanted_.facts.push_back(*digits);
  return true;
}

void CsrWishes::want_digest(int nid) {
  const auto digest = digest_of(nid);
  if (!digest)
    ignore(std::string(OBJ_nid2sn(nid)) + ": requests are signed with SHA-256, SHA-384 or SHA-512");
  else if (std::ranges::find(wanted_.digests, *digest) == wanted_.digests.end())
    wanted_.digests.push_back(*digest);
}

bool CsrWishes::take_algorithm(const ASN1_OBJECT* oid) {
  const int nid = OBJ_obj2nid(oid);
  if (nid == NID_X9_62_id_ecPublicKey || nid == NID_rsaEncryption) {
    add_key(wanted_.keys, any_key(oid));
    return true;
  }
  if (is_curve(nid)) {
    want_curve(oid, "");
    return true;
  }
  int digest = NID_undef;
  int key = NID_undef;
  if (OBJ_find_sigid_algs(nid, &digest, &key) == 1 && digest != NID_undef) {
    add_key(signers_, any_key(OBJ_nid2obj(key)));
    want_digest(digest);
    return true;
  }
  if (EVP_get_digestbynid(nid) == nullptr) return false;
  want_digest(nid);
  return true;
}

void CsrWishes::want(const ASN1_OBJECT* oid) {
  const int nid = OBJ_obj2nid(oid);
  if (nid == NID_pkcs9_challengePassword)
    wanted_.challenge_password = true;
  else if (nid != NID_ext_req && !take_fact(oid) && (nid == NID_undef || !take_algorithm(oid)))  // each request has one
    ignore(oid_name(oid));
}

void CsrWishes::want_curve(const ASN1_OBJECT* curve, const std::string& kind) {
  const auto* const known =
      std::ranges::find(curve_nids, OBJ_obj2nid(curve), [](const auto& each) { return each.first; });
  KeyTemplate key{.text = kind + oid_name(curve), .algorithms = {}};
  if (known != curve_nids.end()) key.algorithms.push_back(known->second);
  names_curve_ = true;
  add_key(wanted_.keys, std::move(key));
}

void CsrWishes::want_rsa(std::size_t bits) {
  add_key(wanted_.keys,
          {.text = "rsaEncryption " + (bits == 0 ? "of an unknown size" : std::to_string(bits)),
           .algorithms = algorithms_where([&](KeyAlgorithm a) { return is_rsa(a) && key_bits(a) == bits; })});
}

void CsrWishes::want_key(const ASN1_OBJECT* kind, const ASN1_TYPE* parameter) {
  const int nid = OBJ_obj2nid(kind);
  const int type = parameter == nullptr ? V_ASN1_NULL : parameter->type & ~V_ASN1_NEG;
  if (nid == NID_X9_62_id_ecPublicKey && type == V_ASN1_OBJECT) {
    want_curve(parameter->value.object, oid_name(kind) + " ");
  } else if (nid == NID_rsaEncryption && type == V_ASN1_INTEGER) {
    want_rsa(rsa_size(parameter->value.integer));
  } else {
    if (type != V_ASN1_NULL) ignore("a parameter of " + oid_name(kind));
    add_key(wanted_.keys, any_key(kind));
  }
}

void CsrWishes::want(X509_ATTRIBUTE* attribute) {
  const ASN1_OBJECT* const type = X509_ATTRIBUTE_get0_object(attribute);
  const int nid = OBJ_obj2nid(type);
  const int values = X509_ATTRIBUTE_count(attribute);
  if (nid == NID_pkcs9_challengePassword) {
    wanted_.challenge_password = true;
  } else if (nid == NID_X9_62_id_ecPublicKey || nid == NID_rsaEncryption) {
    if (values == 0) want_key(type, nullptr);
    for (int i = 0; i < values; ++i) want_key(type, X509_ATTRIBUTE_get0_type(attribute, i));
  } else if (values > 0 || !take_fact(type)) {
    ignore(oid_name(type) + (values > 0 ? " with values" : ""));
  }
}

/// As in the example of RFC 7030 4.5.2, which RFC 9908 takes back: an OID in the place of the extensions.
void CsrWishes::want_valueless_extension(const ASN1_OBJECT* oid) {
  if (take_fact(oid)) return;
  const auto digits = dotted(oid);
  const bool known = std::ranges::any_of(wanted_.extensions, [&](const auto& each) { return each.oid == digits; });
  if (!digits || wanted_.extensions.size() >= most_keys)
    ignore(oid_name(oid));
  else if (!known)
    wanted_.extensions.push_back({.oid = *digits, .critical = false, .value = std::nullopt});
}

Result<> CsrWishes::want_extensions(X509_ATTRIBUTE* attribute, bool is_template) {
  const int values = X509_ATTRIBUTE_count(attribute);
  const ASN1_TYPE* const first = X509_ATTRIBUTE_get0_type(attribute, 0);
  if (first != nullptr && first->type == V_ASN1_OBJECT && !is_template) {
    for (int i = 0; i < values; ++i) {
      const ASN1_TYPE* const value = X509_ATTRIBUTE_get0_type(attribute, i);
      if (value->type != V_ASN1_OBJECT) return fail(malformed_attributes("an extension request has mixed values"));
      want_valueless_extension(value->value.object);
    }
    return {};
  }
  if (first == nullptr || values != 1 || first->type != V_ASN1_SEQUENCE)
    return fail(malformed_attributes("an extension request does not hold one list of extensions"));
  auto extensions = read_extension_templates(octets(first->value.sequence));
  if (!extensions) return fail(std::move(extensions.error()));
  if (!is_template && std::ranges::any_of(*extensions, [](const auto& each) { return !each.value; }))
    return fail(malformed_attributes("an extension has no value"));
  wanted_.extensions = std::move(*extensions);
  return {};
}

CsrAttributes CsrWishes::take() {
  // "id-ecPublicKey, secp384r1", one by one, mean the one key.
  if (names_curve_)
    std::erase_if(wanted_.keys, [](const KeyTemplate& key) { return key.text == SN_X9_62_id_ecPublicKey; });
  if (wanted_.keys.empty()) wanted_.keys = std::move(signers_);
  return std::move(wanted_);
}

}  // namespace devid::pki
