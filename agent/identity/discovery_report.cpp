#include "agent/identity/discovery_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace devid::identity {
namespace {

constexpr const char* doctor = "devidctl doctor shows where devid looked";

std::size_t certificates_in(const Candidates& candidates, std::string_view token) {
  return static_cast<std::size_t>(std::ranges::count_if(candidates.certificates, [&](const auto& certificate) {
    return certificate.token == token && certificate.certificates.has_value();
  }));
}

std::size_t keys_in(const Candidates& candidates, std::string_view token) {
  return static_cast<std::size_t>(std::ranges::count_if(
      candidates.keys, [&](const auto& key) { return key.token == token && key.public_key.has_value(); }));
}

bool has_certificate(const Findings& findings) {
  return std::ranges::any_of(findings.candidates.certificates,
                             [](const auto& certificate) { return certificate.certificates.has_value(); });
}

bool has_key(const Findings& findings) {
  return std::ranges::any_of(findings.candidates.keys, [](const auto& key) { return key.public_key.has_value(); });
}

/// "token 'tpm' (2 certificates, 3 keys)", "/etc/devid/idevid.pem": what was looked at.
std::vector<std::string> places_of(const Findings& findings) {
  const Candidates& candidates = findings.candidates;
  std::vector<std::string> places;
  places.reserve(candidates.asked.size() + candidates.failures.size() + candidates.certificates.size() + 1);
  for (const std::string& token : candidates.asked) {
    places.push_back(fmt::format("token '{}' (certificates: {}, keys: {})", token, certificates_in(candidates, token),
                                 keys_in(candidates, token)));
  }
  if (findings.derived > 0) places.push_back(fmt::format("keys derived from templates ({})", findings.derived));
  for (const auto& failure : candidates.failures)
    places.push_back(fmt::format("token '{}' (could not be asked: {})", failure.token, failure.error.sentence()));
  for (const auto& certificate : candidates.certificates)
    if (certificate.token.empty()) places.push_back(printable(certificate.location));
  return places;
}

/// "make token 'hsm' work: …": what is in a token that could not be asked is not known.
std::string make_work(const FailedToken& failure) {
  return fmt::format("make token '{}' work{}", failure.token,
                     failure.error.hint.empty() ? "" : ": " + printable(failure.error.hint));
}

std::string hint_of(const Findings& findings) {
  std::string hint;
  for (const auto& failure : findings.candidates.failures) hint += make_work(failure) + "; ";
  return fmt::format(
      "{}{}; say where it is with [idevid] in the profile, or name the file of its certificate in "
      "[idevid] certificates of devid.toml",
      hint, doctor);
}

std::string reason_of(const Findings& findings) {
  return fmt::format("{}{}looked at {}", findings.nearest, findings.nearest.empty() ? "" : "; ",
                     fmt::join(places_of(findings), ", "));
}

bool has_any(const Candidates& candidates, std::string_view token) {
  const auto is_in = [&](const auto& candidate) { return candidate.token == token; };
  return std::ranges::any_of(candidates.certificates, is_in) || std::ranges::any_of(candidates.keys, is_in);
}

bool is_listed(const Candidates& candidates, std::string_view token, std::string_view location) {
  const auto is_at = [&](const auto& candidate) { return candidate.token == token && candidate.location == location; };
  return std::ranges::any_of(candidates.certificates, is_at) || std::ranges::any_of(candidates.keys, is_at);
}

/// Where the TCG puts it.
void add_empty_places_of_tpm(std::vector<Evidence>& places, const std::string& token, const IdevidLocation& wanted,
                             const Findings& findings) {
  const auto add = [&](const char* location, const char* why) {
    if (!is_listed(findings.candidates, token, location))
      places.push_back({.token = token, .location = location, .found = "nothing", .why = why});
  };
  if (!wanted.certificate) {
    add("nv:0x01c90200", "no certificate of the IDevID in NV");
    add("nv:0x01c90000", "nor where older devices have it");
    add("nv:0x01c90100", "nor one of the attestation key (IAK)");
  }
  if (wanted.key.empty()) add("handle:0x81020000", "no key of the IDevID at its handle; every other one was looked at");
  if (findings.derived == 0 && (wanted.key.empty() || is_open_template(wanted.key)))
    add("template:H-1 to H-4", "a key is derived only for a certificate that has no other key");
}

}  // namespace

Error why_nothing_was_found(const Findings& findings) {
  if (findings.expired) return *findings.expired;
  if (findings.unproven) return while_doing("use the IDevID", *findings.unproven);
  const auto& failures = findings.candidates.failures;
  if (findings.candidates.asked.empty() && !failures.empty())
    return while_doing("look for the IDevID", failures.front().error);
  const bool may_pass =
      std::ranges::any_of(failures, [](const FailedToken& failure) { return failure.error.retry == Retry::later; });
  return {.code = Errc::idevid_missing,
          .retry = may_pass ? Retry::later : Retry::after_operator,
          .what = "this device has no IDevID that devid finds",
          .reason = reason_of(findings),
          .hint = hint_of(findings)};
}

std::vector<Evidence> empty_places(const Search& search, const Findings& findings) {
  std::vector<Evidence> places;
  for (const std::string& token : findings.candidates.asked) {
    if (search.tokens.at(token)->description().kind == "tpm2") {
      add_empty_places_of_tpm(places, token, search.wanted, findings);
    } else if (!has_any(findings.candidates, token)) {
      places.push_back({.token = token,
                        .location = "pkcs11:",
                        .found = "nothing",
                        .why = "neither a certificate nor a key is in the token"});
    }
  }
  return places;
}

std::vector<std::string> advice_for(const Findings& findings) {
  std::vector<std::string> advice;
  if (findings.expired) advice.push_back(fmt::format("{}: {}", findings.expired->what, findings.expired->hint));
  if (findings.unproven && !findings.unproven->hint.empty()) advice.push_back(printable(findings.unproven->hint));
  for (const auto& failure : findings.candidates.failures) {
    advice.push_back(fmt::format("make token '{}' work: {}{}", failure.token, failure.error.sentence(),
                                 failure.error.hint.empty() ? "" : "; " + printable(failure.error.hint)));
  }
  if (findings.expired || findings.unproven) return advice;
  const bool certificates = has_certificate(findings);
  const bool keys = has_key(findings);
  if (certificates) {
    advice.emplace_back(
        "there are certificates without a key that devid finds: if you know where the key is, name it with key = "
        "\"handle:…\", \"template:…\" or \"pkcs11:…\" below [idevid] in the profile");
  }
  if (keys) {
    advice.emplace_back(
        "there are keys without a certificate: if the manufacturer gave you one as a file, name it in [idevid] "
        "certificates = [\"/path\"] of devid.toml");
  }
  if (!certificates && !keys && !findings.candidates.asked.empty()) {
    advice.emplace_back(
        "neither a certificate nor a key of an IDevID was found: ask the manufacturer whether this device has one; if "
        "it is in a PKCS#11 token, describe that below [pkcs11.NAME] in devid.toml");
  }
  return advice;
}

}  // namespace devid::identity
