#include "agent/pki/revocation_statement.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ocsp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "agent/pki/asn1_time.h"
#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

using PssParameters = Owned<RSA_PSS_PARAMS, RSA_PSS_PARAMS_free>;

constexpr Seconds oldest_without_end = std::chrono::days(1);
constexpr Seconds validity_without_end = std::chrono::hours(1);

/// RSA-PSS names its digest in its parameters; none there means SHA-1 (RFC 4055 3.1).
int digest_of_pss(const X509_ALGOR* algorithm) {
  const PssParameters parameters(
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): the type that the item stands for
      static_cast<RSA_PSS_PARAMS*>(ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter)));
  ERR_clear_error();
  if (!parameters) return NID_undef;
  return parameters->hashAlgorithm == nullptr ? NID_sha1 : OBJ_obj2nid(parameters->hashAlgorithm->algorithm);
}

/// The digest of a signature algorithm; the algorithm itself if it has none apart from it, as Ed25519.
int digest_of(const X509_ALGOR* algorithm) {
  const int nid = OBJ_obj2nid(algorithm->algorithm);
  if (nid == NID_rsassaPss) return digest_of_pss(algorithm);
  int digest = NID_undef;
  if (OBJ_find_sigid_algs(nid, &digest, nullptr) != 1) return NID_undef;
  return digest == NID_undef ? nid : digest;
}

}  // namespace

Error unusable_statement(std::string reason) {
  return {.code = Errc::revocation_unknown,
          .retry = Retry::later,
          .what = "what the CA says on revocation cannot be used",
          .reason = std::move(reason)};
}

Result<Time> valid_until(const ASN1_TIME* this_update, const ASN1_TIME* next_update, Time now) {
  const auto since = to_time(this_update);
  const auto end = next_update == nullptr ? std::nullopt : to_time(next_update);
  if (!since || (next_update != nullptr && !end)) return fail(unusable_statement("its dates are none"));
  if (*since > now + clock_skew) return fail(unusable_statement("it is of the future: " + utc_text(*since)));
  if (!end) {
    if (*since + oldest_without_end + clock_skew < now)
      return fail(unusable_statement("it has no end, and is too old: " + utc_text(*since)));
    return now + validity_without_end;
  }
  if (*end < *since) return fail(unusable_statement("it ends before it begins"));
  if (*end + clock_skew < now) return fail(unusable_statement("it has expired on " + utc_text(*end)));
  return std::min(*end, now + longest_statement);
}

Result<> check_digest(const X509_ALGOR* algorithm) {
  constexpr std::array strong = {NID_sha224,   NID_sha256,   NID_sha384,   NID_sha512,   NID_sha512_224, NID_sha512_256,
                                 NID_sha3_224, NID_sha3_256, NID_sha3_384, NID_sha3_512, NID_ED25519,    NID_ED448};
  if (std::ranges::find(strong, digest_of(algorithm)) != strong.end()) return {};
  return fail(unusable_statement("its signature algorithm is weak or not known: " + oid_name(algorithm->algorithm)));
}

Result<> check_critical(X509_EXTENSION* extension, std::span<const int> known) {
  if (X509_EXTENSION_get_critical(extension) == 0) return {};
  ASN1_OBJECT* const type = X509_EXTENSION_get_object(extension);
  if (std::ranges::find(known, OBJ_obj2nid(type)) != known.end()) return {};
  return fail(unusable_statement("it has a critical extension that devid does not know: " + oid_name(type)));
}

Result<> check_critical(const X509_EXTENSIONS* extensions, std::span<const int> known) {
  for (int i = 0; i < X509v3_get_ext_count(extensions); ++i)
    if (auto checked = check_critical(X509v3_get_ext(extensions, i), known); !checked) return checked;
  return {};
}

std::string revocation_detail(const ASN1_TIME* since, long reason) {
  const auto time = to_time(since);
  std::string text = "since " + (time ? utc_text(*time) : std::string("an unreadable date"));
  if (reason >= 0) text.append(", ").append(OCSP_crl_reason_str(reason));
  return text;
}

}  // namespace devid::pki
