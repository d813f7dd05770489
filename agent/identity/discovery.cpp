#include "agent/identity/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "agent/identity/candidates.h"
#include "agent/identity/discovery_report.h"
#include "agent/identity/token_uri.h"

namespace devid::identity {
namespace {

/// One run of discover(): the candidates, and a line of evidence for each of them, at the same index.
class Sweep {
 public:
  explicit Sweep(const Search& search) : search_(search), candidates_(collect(search)) { describe_all(); }

  Discovery run() {
    const std::vector<std::size_t> order = order_of_certificates();
    for (const std::size_t certificate : order) match_listed(certificate);
    if (search_.wanted.key.empty() || is_open_template(search_.wanted.key))
      for (const std::size_t certificate : order) match_derived(certificate);
    return report();
  }

 private:
  struct DerivedKey {
    CandidateKey key;
    Evidence row;
  };

  const pki::Certificate& leaf(std::size_t certificate) const {
    return candidates_.certificates[certificate].certificates->front();
  }
  bool is_valid(std::size_t certificate) const { return check_validity(leaf(certificate), search_.now).has_value(); }
  Evidence& row_of_key(std::size_t key) { return rows_[candidates_.certificates.size() + key]; }

  void describe_all();
  void describe(const CandidateCertificate& certificate);
  void describe(const CandidateKey& key);
  std::vector<std::size_t> order_of_certificates();
  void match_listed(std::size_t certificate);
  void match_derived(std::size_t certificate);
  bool match_derived_in(std::size_t certificate, const std::string& token, const PublicKey& public_key);
  DerivedKey& derive(const std::string& token, const std::string& location);
  Result<> prove(CandidateKey& key, const pki::Certificate& certificate);
  bool match(std::size_t certificate, CandidateKey& key, Evidence& key_row);
  Discovery report();
  [[nodiscard]] std::string nearest() const;

  const Search& search_;
  Candidates candidates_;
  std::vector<Evidence> rows_;
  std::vector<bool> matched_;  ///< of the certificates: a key fits, whether it was taken or not
  /// Keys that were derived, and their evidence: none is derived twice.
  std::map<std::pair<std::string, std::string>, DerivedKey> derived_;
  std::optional<FoundIdevid> found_;
  std::optional<Error> expired_;
  std::optional<Error> unproven_;
};

void Sweep::describe_all() {
  for (const auto& certificate : candidates_.certificates) describe(certificate);
  for (const auto& key : candidates_.keys) describe(key);
  matched_.resize(candidates_.certificates.size());
}

void Sweep::describe(const CandidateCertificate& certificate) {
  Evidence row{.token = certificate.token, .location = printable(certificate.location)};
  if (!certificate.certificates) {
    row.found = "no certificate of an IDevID";
    row.why = printable(certificate.certificates.error().reason.empty() ? certificate.certificates.error().what
                                                                        : certificate.certificates.error().reason);
  } else {
    row.found = certificate_text(certificate.certificates->front());
    row.why = is_attestation_index(certificate)
                  ? "no key for it that may sign for an IDevID: that of this index (IAK) is restricted to attestation"
                  : "no key for it";
  }
  rows_.push_back(std::move(row));
}

void Sweep::describe(const CandidateKey& key) {
  Evidence row{.token = key.token, .location = printable(key.location)};
  row.found = key.public_key ? fmt::format("{} key", algorithm_name(key.public_key->algorithm)) : "no key to use";
  row.why = key.public_key ? "no certificate for it" : key.public_key.error().sentence();
  rows_.push_back(std::move(row));
}

/// Those that can be used, the ones that are valid now first.
std::vector<std::size_t> Sweep::order_of_certificates() {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < candidates_.certificates.size(); ++i) {
    if (!candidates_.certificates[i].certificates) continue;
    if (const auto key = leaf(i).public_key(); !key) {
      rows_[i].why = key.error().sentence();
    } else {
      order.push_back(i);
    }
  }
  std::ranges::stable_partition(order, [this](std::size_t i) { return is_valid(i); });
  return order;
}

void Sweep::match_listed(std::size_t certificate) {
  const std::string& token = candidates_.certificates[certificate].token;
  const auto public_key = leaf(certificate).public_key();
  for (std::size_t i = 0; i < candidates_.keys.size(); ++i) {
    CandidateKey& key = candidates_.keys[i];
    const bool same_token = token.empty() || token == key.token;
    if (same_token && key.public_key && *key.public_key == *public_key && match(certificate, key, row_of_key(i)))
      return;
  }
}

void Sweep::match_derived(std::size_t certificate) {
  const CandidateCertificate& candidate = candidates_.certificates[certificate];
  if (found_ || matched_[certificate] || is_attestation_index(candidate)) return;
  const auto public_key = leaf(certificate).public_key();
  for (const std::string& token : candidates_.asked)
    if ((candidate.token.empty() || candidate.token == token) && match_derived_in(certificate, token, *public_key))
      return;
}

bool Sweep::match_derived_in(std::size_t certificate, const std::string& token, const PublicKey& public_key) {
  const std::string& wanted = search_.wanted.key;
  const auto fits = [&](const std::string& location) {
    if (!wanted.empty() && !location.starts_with(wanted + "/")) return false;
    auto& [key, row] = derive(token, location);
    if (key.public_key && *key.public_key == public_key && match(certificate, key, row)) return true;
    key.opened.reset();  // a token holds few at once
    return false;
  };
  return std::ranges::any_of(search_.tokens.at(token)->derivable_keys(public_key.algorithm), fits);
}

Sweep::DerivedKey& Sweep::derive(const std::string& token, const std::string& location) {
  const auto known = derived_.find({token, location});
  if (known != derived_.end()) return known->second;
  auto opened = search_.tokens.at(token)->open_key_at(location);
  CandidateKey key{.token = token,
                   .location = location,
                   .public_key = opened ? Result<PublicKey>((*opened)->public_key()) : fail(opened.error()),
                   .opened = opened ? std::move(*opened) : nullptr};
  Evidence row{.token = token, .location = printable(location)};
  row.found =
      key.public_key ? fmt::format("derived {} key", algorithm_name(key.public_key->algorithm)) : "no key to use";
  row.why = key.public_key ? "no certificate for it" : key.public_key.error().sentence();
  return derived_.emplace(std::pair(token, location), DerivedKey{.key = std::move(key), .row = std::move(row)})
      .first->second;
}

/// A key that has failed once is not asked again: somebody may count the failures.
Result<> Sweep::prove(CandidateKey& key, const pki::Certificate& certificate) {
  if (key.failure) return fail(*key.failure);
  if (!key.opened) {
    auto opened = search_.tokens.at(key.token)->open_key_at(key.location);
    if (opened) key.opened = std::move(*opened);
    if (!opened) key.failure = std::move(opened.error());
  }
  if (key.opened) {
    if (auto proven = prove_possession(*key.opened, certificate); !proven) key.failure = std::move(proven.error());
  }
  if (!key.failure) return {};
  key.opened.reset();
  return fail(*key.failure);
}

/// What becomes of a key and the certificate for it. False if another key may do better.
bool Sweep::match(std::size_t certificate, CandidateKey& key, Evidence& key_row) {
  Evidence& row = rows_[certificate];
  const std::string key_text = place_text(key.token, key_row.location);
  const std::string certificate_place = place_text(row.token, row.location);
  matched_[certificate] = true;
  if (auto valid = check_validity(leaf(certificate), search_.now); !valid && !search_.wanted.allow_expired) {
    row.why = fmt::format("{}; allow_expired is not set", valid.error().what);
    if (key_row.verdict == Verdict::rejected)
      key_row.why = fmt::format("its certificate, {}, is not valid now", certificate_place);
    if (!expired_) expired_ = std::move(valid.error());
    return true;
  }
  if (found_) {
    row.verdict = Verdict::usable;
    row.why = fmt::format("its key is {}; another place comes first", key_text);
    if (key_row.verdict == Verdict::rejected) {
      key_row.verdict = Verdict::usable;
      key_row.why = fmt::format("for the certificate {}; another place comes first", certificate_place);
    }
    return true;
  }
  if (auto proven = prove(key, leaf(certificate)); !proven) {
    key_row.why = proven.error().sentence();
    row.why = fmt::format("its key {} does not sign", key_text);
    unproven_ = std::move(proven.error());
    return false;
  }
  row.verdict = key_row.verdict = Verdict::taken;
  row.why = fmt::format("its key {} signs", key_text);
  key_row.why = fmt::format("signs for the certificate {}", certificate_place);
  IdevidCertificates chain = *candidates_.certificates[certificate].certificates;
  pki::Certificate certificate_of_key = std::move(chain.front());
  chain.erase(chain.begin());
  found_ = FoundIdevid{
      .place = {.token = key.token,
                .key = key.location,
                .certificate = location_of(candidates_.certificates[certificate])},
      .credential = {
          .key = std::move(key.opened), .certificate = std::move(certificate_of_key), .chain = std::move(chain)}};
  return true;
}

Discovery Sweep::report() {
  Discovery discovery{.idevid = fail(Error{})};
  if (found_) {
    discovery.idevid = std::move(*found_);
  } else {
    const Findings findings{.candidates = candidates_,
                            .derived = derived_.size(),
                            .nearest = nearest(),
                            .expired = std::move(expired_),
                            .unproven = std::move(unproven_)};
    discovery.idevid = fail(why_nothing_was_found(findings));
    discovery.advice = advice_for(findings);
    std::ranges::move(empty_places(search_, findings), std::back_inserter(rows_));
  }
  for (auto& [place, derived] : derived_) rows_.push_back(std::move(derived.row));
  for (const auto& failure : candidates_.failures) {
    rows_.push_back(
        {.token = failure.token, .found = "nothing: it could not be asked", .why = failure.error.sentence()});
  }
  discovery.evidence = ranked(std::move(rows_));
  return discovery;
}

/// Of the first certificate that could be the IDevID's.
std::string Sweep::nearest() const {
  for (std::size_t i = 0; i < candidates_.certificates.size(); ++i)
    if (candidates_.certificates[i].certificates)
      return fmt::format("{}: {}", place_text(rows_[i].token, rows_[i].location), rows_[i].why);
  return {};
}

bool names_pkcs11(const IdevidLocation& wanted) {
  const auto* certificate = wanted.certificate ? std::get_if<InToken>(&*wanted.certificate) : nullptr;
  return is_token_uri(wanted.key) || (certificate != nullptr && is_token_uri(certificate->location));
}

bool names_tpm(const IdevidLocation& wanted) {
  const auto* certificate = wanted.certificate ? std::get_if<InToken>(&*wanted.certificate) : nullptr;
  return wanted.key.starts_with("handle:") || wanted.key.starts_with("template:") ||
         (certificate != nullptr && certificate->location.starts_with("nv:"));
}

Result<std::string> pkcs11_token(const Tokens& tokens, const std::string& profile_token) {
  std::vector<std::string> names;
  for (const auto& [name, token] : tokens)
    if (token->description().kind == "pkcs11") names.push_back(name);
  if (std::ranges::find(names, profile_token) != names.end()) return profile_token;
  if (names.size() == 1) return names.front();
  if (names.empty()) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "the IDevID is in a PKCS#11 token, and there is none",
                 .hint = "describe it below [pkcs11.NAME] in devid.toml"});
  }
  return fail({.code = Errc::token_ambiguous,
               .retry = Retry::after_operator,
               .what = "the IDevID may be in more than one PKCS#11 token",
               .reason = fmt::format("there are {}", fmt::join(names, ", ")),
               .hint = "name the one: token = \"NAME\" below [idevid] in the profile"});
}

}  // namespace

std::string place_text(const IdevidPlace& place) {
  const auto* file = std::get_if<InFile>(&place.certificate);
  const std::string certificate = file != nullptr ? file->path.string() : std::get<InToken>(place.certificate).location;
  return fmt::format("key {} with certificate {}", place_text(place.token, printable(place.key)),
                     printable(certificate));
}

Result<IdevidLocation> resolve_token(const Tokens& tokens, IdevidLocation wanted, const std::string& profile_token) {
  if (wanted.token.empty() && names_tpm(wanted)) wanted.token = "tpm";
  if (wanted.token.empty() && names_pkcs11(wanted)) {
    auto token = pkcs11_token(tokens, profile_token);
    if (!token) return fail(std::move(token.error()));
    wanted.token = std::move(*token);
  }
  if (wanted.token.empty() || tokens.contains(wanted.token)) return wanted;
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = fmt::format("there is no token '{}' to look for the IDevID in", wanted.token),
               .hint = "check [idevid] in the profile, and the tokens in devid.toml"});
}

Discovery discover(const Search& search) { return Sweep(search).run(); }

}  // namespace devid::identity
