#include "agent/pki/acceptance.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "agent/pki/chain.h"
#include "agent/pki/encoded_name.h"
#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

/// So many certificates for the requested key are judged. One is honest, a few may be a CA in change.
constexpr std::size_t most_candidates = 4;

/// So far the clock of a device may be behind that of the CA, which may date a certificate to the second of its issue.
constexpr Seconds most_skew{60};

Error refusal(Errc code, std::string_view what, std::string reason) {
  return {.code = code, .retry = Retry::later, .what = std::string(what), .reason = std::move(reason)};
}

// --- use ---

/// A certificate counts as a CA if any part of it says so, even where another part takes it back.
Result<> check_is_no_ca(const Certificate& leaf) {
  const std::uint32_t flags = X509_get_extension_flags(leaf.get());
  const bool may_sign = (flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(leaf.get()) & KU_KEY_CERT_SIGN) != 0;
  if ((flags & EXFLAG_INVALID) != 0) {
    Error error =
        refusal(Errc::certificate_untrusted, "the certificate is damaged", "an extension is malformed or there twice");
    error.hint = "correct the extensions in the profile that the CA issues by";
    return fail(std::move(error));
  }
  if ((flags & EXFLAG_CA) == 0 && !may_sign && X509_check_ca(leaf.get()) == 0) return {};
  Error error = refusal(Errc::certificate_is_ca, "the certificate is a CA's",
                        may_sign ? "its keyUsage has keyCertSign" : "its basicConstraints say CA");
  error.hint = "choose a profile for end entities at the CA";
  return fail(std::move(error));
}

Result<> check_usage(const Certificate& leaf) {
  const std::uint32_t flags = X509_get_extension_flags(leaf.get());
  const auto refuse = [](std::string reason) {
    Error error = refusal(Errc::certificate_wrong_usage, "the certificate does not allow its use", std::move(reason));
    error.hint = "let the CA issue with keyUsage digitalSignature and extendedKeyUsage clientAuth";
    return fail(std::move(error));
  };
  if ((flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(leaf.get()) & KU_DIGITAL_SIGNATURE) == 0)
    return refuse("its keyUsage lacks digitalSignature");
  // anyExtendedKeyUsage alone is not enough: TLS servers look for clientAuth (RFC 5280 4.2.1.12 lets them).
  if ((flags & EXFLAG_XKUSAGE) != 0 && (X509_get_extended_key_usage(leaf.get()) & XKU_SSL_CLIENT) == 0)
    return refuse("its extendedKeyUsage lacks clientAuth");
  return {};
}

// --- names ---

/// "OID=value": attributes of equal type and UTF-8 value are equal, in whatever string type they are encoded.
std::vector<std::string> attributes_of(const X509_NAME* name) {
  std::vector<std::string> attributes;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
    attributes.push_back(dotted(X509_NAME_ENTRY_get_object(entry)).value_or("\xff") + "=" +
                         utf8(X509_NAME_ENTRY_get_data(entry)).value_or("\xff unreadable"));
  }
  std::ranges::sort(attributes);
  return attributes;
}

/// Host names are equal without regard to case (RFC 4343).
std::string folded(std::string name) {
  if (name.starts_with("DNS:"))
    for (char& c : name | std::views::drop(4))
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return name;
}

std::vector<std::string> as_set(std::vector<std::string> names) {
  for (std::string& name : names) name = folded(std::move(name));
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

/// What `left` has and `right` lacks, for a person. Both are sorted.
std::string difference(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  std::vector<std::string> only;
  std::ranges::set_difference(left, right, std::back_inserter(only));
  std::string text;
  for (const std::string& each : only) text += (text.empty() ? "" : ", ") + printable(each, 200);
  return printable(text);
}

Result<> compare(std::string_view kind, const std::vector<std::string>& asked, const std::vector<std::string>& got) {
  if (asked == got) return {};
  const std::string missing = difference(asked, got);
  const std::string more = difference(got, asked);
  std::string reason(kind);
  if (!missing.empty()) reason += " missing: " + missing;
  if (!more.empty()) reason += (missing.empty() ? " not asked for: " : "; not asked for: ") + more;
  Error error =
      refusal(Errc::certificate_wrong_name, "the certificate has other names than were asked for", std::move(reason));
  error.hint = "let the CA keep the requested names, or let the profile say that the CA may change them";
  return fail(std::move(error));
}

Result<> check_names(const Certificate& leaf, const Names& names) {
  auto subject = encode_subject(names.subject);
  if (!subject) return fail(std::move(subject.error()));
  if (auto same = compare("subject attributes", attributes_of(subject->get()),
                          attributes_of(X509_get_subject_name(leaf.get())));
      !same)
    return same;
  std::vector<std::string> asked;
  asked.reserve(names.alternatives.size());
  for (const AlternativeName& name : names.alternatives) asked.push_back(name.text());
  return compare("alternative names", as_set(std::move(asked)), as_set(leaf.alternative_names()));
}

// --- all together ---

Result<> check_validity(const Certificate& leaf, Time now) {
  if (leaf.not_before() <= now + most_skew && now <= leaf.not_after()) return {};
  Error error = refusal(Errc::certificate_not_valid_now, "the certificate is not valid now",
                        "it is valid from " + utc_text(leaf.not_before()) + " to " + utc_text(leaf.not_after()) +
                            ", and here it is " + utc_text(now));
  error.hint = "check the clock of this device, then that of the CA";
  return fail(std::move(error));
}

Result<Accepted> judge(const Certificate& leaf, const std::vector<Certificate>& pool, const Expectation& expectation,
                       Time now) {
  if (auto checked = check_is_no_ca(leaf); !checked) return fail(std::move(checked.error()));
  if (auto checked = check_usage(leaf); !checked) return fail(std::move(checked.error()));
  if (expectation.name_policy == NamePolicy::exact)
    if (auto checked = check_names(leaf, expectation.names); !checked) return fail(std::move(checked.error()));
  if (auto checked = check_validity(leaf, now); !checked) return fail(std::move(checked.error()));
  auto chain = build_chain(leaf, pool, expectation.anchors, std::max(now, leaf.not_before()));
  if (!chain) return fail(std::move(chain.error()));
  return Accepted{.leaf = leaf, .chain = std::move(*chain)};
}

}  // namespace

Result<Accepted> accept(const std::vector<Certificate>& returned, const Expectation& expectation, Time now) {
  ERR_clear_error();
  std::vector<Certificate> candidates;
  std::vector<Certificate> pool;
  for (const Certificate& certificate : returned) {
    const auto key = certificate.public_key();
    auto& place = key && *key == expectation.public_key ? candidates : pool;
    if (std::ranges::find(place, certificate) == place.end()) place.push_back(certificate);
  }
  if (candidates.empty()) {
    Error error = refusal(Errc::certificate_wrong_key, "the CA returned no certificate for the requested key",
                          std::to_string(returned.size()) + " certificates, all for other keys");
    error.hint = "see the CA's log: it must certify the key in the request, and not answer with an earlier certificate";
    return fail(std::move(error));
  }
  pool.insert(pool.end(), expectation.intermediates.begin(), expectation.intermediates.end());
  std::vector<Error> errors;
  for (const Certificate& candidate : candidates | std::views::take(most_candidates)) {
    auto accepted = judge(candidate, pool, expectation, now);
    if (accepted) return accepted;
    errors.push_back(std::move(accepted.error()));
  }
  return fail(std::move(errors.front()));
}

}  // namespace devid::pki
