#include "agent/pki/request_plan.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "agent/pki/csr_wishes.h"
#include "agent/pki/der.h"
#include "agent/pki/oid.h"
#include "agent/pki/request_names.h"

namespace devid::pki {
namespace {

constexpr std::string_view mac_address = "1.3.6.1.1.1.1.22";
constexpr std::size_t longest_fact = 256;
constexpr int bit_digital_signature = 0;  // RFC 5280 4.2.1.3
constexpr int bit_key_cert_sign = 5;

std::string joined(const std::vector<std::string>& texts, std::string_view separator) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : std::string(separator)) + text;
  return all;
}

// --- key ---

Result<KeyAlgorithm> choose_key(const std::vector<KeyTemplate>& wanted, const std::vector<KeyAlgorithm>& allowed) {
  const auto fits = [&](KeyAlgorithm algorithm) {
    return wanted.empty() || std::ranges::any_of(wanted, [&](const KeyTemplate& key) {
             return std::ranges::find(key.algorithms, algorithm) != key.algorithms.end();
           });
  };
  const auto found = std::ranges::find_if(allowed, fits);
  if (found != allowed.end()) return *found;
  std::vector<std::string> texts;
  std::vector<std::string> names;
  texts.reserve(wanted.size());
  names.reserve(allowed.size());
  for (const KeyTemplate& key : wanted) texts.push_back(key.text);
  for (const KeyAlgorithm algorithm : allowed) names.emplace_back(algorithm_name(algorithm));
  return fail(unmet("it wants a key of " + joined(texts, " or ") + ", and the profile allows " + joined(names, ", ")));
}

/// That of the key if the CA takes it; else the shortest. A token does not say which it has, but every one has SHA-256,
/// and few TPMs have SHA-512.
std::optional<Digest> choose_digest(const std::vector<Digest>& wanted, KeyAlgorithm algorithm) {
  if (wanted.empty()) return std::nullopt;
  const Digest usual = digest_for(algorithm);
  if (std::ranges::find(wanted, usual) != wanted.end()) return usual;
  return *std::ranges::min_element(wanted, {}, digest_size);
}

// --- extensions ---

template <class T>
Result<Item<T>> content_of(BytesView value, const ASN1_ITEM* type, const std::string& name) {
  auto content = decode<T>(value, type, unmet({}), Form::any);
  if (!content) return fail(unmet("it wants a " + name + " that cannot be read: " + content.error().reason));
  return content;
}

Result<> check_key_usage(BytesView value) {
  const auto usage = content_of<ASN1_BIT_STRING>(value, ASN1_ITEM_rptr(ASN1_BIT_STRING), "keyUsage");
  if (!usage) return fail(usage.error());
  if (ASN1_BIT_STRING_get_bit(usage->get(), bit_digital_signature) == 0)
    return fail(unmet("it wants a keyUsage without digitalSignature, which is what the key is for"));
  if (ASN1_BIT_STRING_get_bit(usage->get(), bit_key_cert_sign) != 0)
    return fail(unmet("it wants a keyUsage with keyCertSign, and this is no CA"));
  return {};
}

Result<> check_extended_key_usage(BytesView value) {
  const auto usages = content_of<EXTENDED_KEY_USAGE>(value, ASN1_ITEM_rptr(EXTENDED_KEY_USAGE), "extendedKeyUsage");
  if (!usages) return fail(usages.error());
  for (int i = 0; i < sk_ASN1_OBJECT_num(usages->get()); ++i)
    if (OBJ_obj2nid(sk_ASN1_OBJECT_value(usages->get(), i)) == NID_client_auth) return {};
  return fail(unmet("it wants an extendedKeyUsage without clientAuth, which is what the certificate is for"));
}

Result<> check_basic_constraints(BytesView value) {
  const auto constraints = content_of<BASIC_CONSTRAINTS>(value, ASN1_ITEM_rptr(BASIC_CONSTRAINTS), "basicConstraints");
  if (!constraints) return fail(constraints.error());
  if ((*constraints)->ca != 0) return fail(unmet("it wants basicConstraints that say CA, and this is none"));
  return {};
}

/// Those whose value accept() looks at in the certificate.
Result<> check_value(int nid, BytesView value) {
  switch (nid) {
    case NID_key_usage: return check_key_usage(value);
    case NID_ext_key_usage: return check_extended_key_usage(value);
    case NID_basic_constraints: return check_basic_constraints(value);
    default: return {};
  }
}

Result<> plan_extension(const ExtensionTemplate& extension, const RequestWish& wish, RequestPlan& plan) {
  const Oid oid = oid_of(extension.oid);
  const int nid = OBJ_obj2nid(oid.get());
  if (nid == NID_subject_alt_name) return plan_alternatives(extension, wish, plan);
  if (extension.value) {
    if (auto checked = check_value(nid, *extension.value); !checked) return checked;
    plan.csr.extensions.push_back({.oid = extension.oid, .critical = extension.critical, .value = *extension.value});
  } else if (nid != NID_key_usage && nid != NID_ext_key_usage) {  // make_csr has a value for these
    add_bounded(plan.remarks, "extension " + oid_name(oid.get()) + ": its value is not known here");
  }
  return {};
}

// --- facts ---

/// IA5String for a MAC address (RFC 2307), for others PrintableString where it can be (RFC 5280 appendix A.1 for
/// serialNumber), else UTF8String. DER; empty if it is no text.
Bytes encode_fact(const std::string& oid, const std::string& text) {
  const BytesView bytes = as_bytes(text);
  const int kind = ASN1_PRINTABLE_type(as_uchar(bytes), static_cast<int>(bytes.size()));
  unsigned long mask = B_ASN1_UTF8STRING;
  if (kind == V_ASN1_PRINTABLESTRING) mask = B_ASN1_PRINTABLESTRING;
  if (oid == mac_address && kind != V_ASN1_T61STRING) mask = B_ASN1_IA5STRING;
  ASN1_STRING* made = nullptr;
  ASN1_mbstring_ncopy(&made, as_uchar(bytes), static_cast<int>(bytes.size()), MBSTRING_UTF8, mask, 1, longest_fact);
  const Owned<ASN1_STRING, ASN1_STRING_free> string(made);
  ASN1_TYPE value{};
  if (string) value = {.type = ASN1_STRING_type(made), .value = {.asn1_string = made}};
  unsigned char* data = nullptr;
  const int size = string ? i2d_ASN1_TYPE(&value, &data) : 0;
  Bytes der = size > 0 ? to_bytes(data, static_cast<std::size_t>(size)) : Bytes();
  OPENSSL_free(data);
  ERR_clear_error();
  return der;
}

void plan_fact(const std::string& oid, const RequestWish& wish, RequestPlan& plan) {
  const auto& subject = plan.csr.names.subject;
  if (std::ranges::any_of(subject, [&](const NameAttribute& each) { return dotted(each.type) == oid; })) return;
  const auto fact = wish.facts.find(oid);
  Bytes value = fact == wish.facts.end() ? Bytes() : encode_fact(oid, fact->second);
  if (value.empty())
    add_bounded(plan.remarks, oid_name(oid_of(oid).get()) + ": it is not known here");
  else
    plan.csr.attributes.push_back({.oid = oid, .values = {std::move(value)}});
}

}  // namespace

Result<RequestPlan> plan_request(const CsrAttributes& wanted, const RequestWish& wish) {
  RequestPlan plan{.csr = {.names = wish.names, .challenge_password = std::nullopt, .digest = std::nullopt}};
  plan.wants_binding = wanted.challenge_password;
  const auto algorithm = choose_key(wanted.keys, wish.algorithms);
  if (!algorithm) return fail(algorithm.error());
  plan.algorithm = *algorithm;
  plan.csr.digest = choose_digest(wanted.digests, *algorithm);
  if (auto planned = plan_subject(wanted.subject.value_or(std::vector<SubjectAttributeTemplate>()), wish, plan);
      !planned)
    return fail(std::move(planned.error()));
  for (const ExtensionTemplate& extension : wanted.extensions)
    if (auto planned = plan_extension(extension, wish, plan); !planned) return fail(std::move(planned.error()));
  for (const std::string& fact : wanted.facts) plan_fact(fact, wish, plan);
  for (const std::string& each : wanted.ignored) add_bounded(plan.remarks, "not understood: " + printable(each, 200));
  return plan;
}

}  // namespace devid::pki
