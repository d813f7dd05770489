#include "agent/identity/idevid.h"

#include <fmt/format.h>

#include <utility>

#include "agent/identity/candidates.h"
#include "agent/identity/idevid_certificate.h"
#include "agent/identity/idevid_memory.h"

namespace devid::identity {
namespace {

/// What is not there is the operator's, or the manufacturer's, to put right.
Error missing(Error error) {
  if (error.code == Errc::token_no_such_key) {
    error.code = Errc::idevid_missing;
    error.retry = Retry::after_operator;
    error.hint.clear();  // it is about a key of devid's own
  }
  if (error.code == Errc::idevid_missing && error.hint.empty())
    error.hint =
        "check [idevid] in the profile, and whether this device was given an IDevID; devidctl doctor shows what "
        "is there";
  return error;
}

Result<IdevidCertificates> read_certificates(Token& token, const CertificateLocation& location) {
  if (const auto* file = std::get_if<InFile>(&location)) return read_idevid_certificates(file->path);
  const auto stored = token.read_certificate(std::get<InToken>(location).location);
  if (!stored) return fail(stored.error());
  return parse_idevid_certificates(*stored);
}

/// Whether there is no IDevID any more where it was. Other errors may pass.
bool is_gone(Errc code) {
  switch (code) {
    case Errc::config_invalid:
    case Errc::token_wrong_key:
    case Errc::token_unsupported:
    case Errc::token_ambiguous:
    case Errc::idevid_missing:
    case Errc::idevid_expired:
    case Errc::idevid_mismatch: return true;
    default: return false;
  }
}

Notice changed(const IdevidPlace& before, const std::string& why, const Result<FoundIdevid>& now) {
  Notice notice{.sentence = fmt::format("the IDevID is no longer what it was, {}: {}; ", place_text(before), why)};
  notice.fields = {{.name = "DEVID_IDEVID_BEFORE", .value = place_text(before)}};
  if (now) {
    notice.sentence +=
        fmt::format("from now on it is the {}, of {}", place_text(now->place), now->credential.certificate.subject());
    notice.fields.push_back({.name = "DEVID_IDEVID", .value = place_text(now->place)});
  } else {
    notice.sentence += "no other was found";
  }
  return notice;
}

Notice not_remembered(const Error& error) {
  return {.sentence = fmt::format("the place of the IDevID cannot be remembered, so that each job looks for it: {}",
                                  error.sentence())};
}

Result<Credential> look(const Search& search, const std::filesystem::path& file,
                        const std::optional<IdevidMemory>& before, const std::string& why, JobObserver& observer) {
  auto found = discover(search).idevid;
  const bool same = found && before && before->place == found->place &&
                    before->fingerprint == found->credential.certificate.fingerprint();
  if (before && !same) observer.noticed(changed(before->place, why, found));
  if (!found) return fail(std::move(found.error()));
  if (auto written = write_idevid_memory(file, {.wanted = wanted_text(search),
                                                .place = found->place,
                                                .fingerprint = found->credential.certificate.fingerprint()});
      !written)
    observer.noticed(not_remembered(written.error()));
  return std::move(found->credential);
}

Result<Credential> recall_or_look(const Search& search, const std::filesystem::path& file, JobObserver& observer) {
  const IdevidLocation& wanted = search.wanted;
  if (!wanted.token.empty() && !wanted.key.empty() && !is_open_template(wanted.key) && wanted.certificate)
    return open_idevid_at(search, {.token = wanted.token, .key = wanted.key, .certificate = *wanted.certificate});
  auto memory = read_idevid_memory(file);
  if (!memory || memory->wanted != wanted_text(search)) return look(search, file, std::nullopt, {}, observer);
  auto opened = open_idevid_at(search, memory->place);
  if (opened && opened->certificate.fingerprint() == memory->fingerprint) return opened;
  if (!opened && !is_gone(opened.error().code)) return opened;
  const std::string why = opened ? "its certificate is another one" : opened.error().sentence();
  opened = fail(Error{});  // a token holds few keys at once
  return look(search, file, memory, why, observer);
}

}  // namespace

Result<Credential> open_idevid_at(const Search& search, const IdevidPlace& place) {
  const auto token = search.tokens.find(place.token);
  if (token == search.tokens.end()) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = fmt::format("there is no token '{}' with the IDevID", place.token),
                 .hint = "check [idevid] in the profile, and the tokens in devid.toml"});
  }
  auto key = token->second->open_key_at(place.key);
  if (!key) return fail(while_doing("open the key of the IDevID", missing(std::move(key.error()))));
  auto certificates = read_certificates(*token->second, place.certificate);
  if (!certificates)
    return fail(while_doing("read the certificate of the IDevID", missing(std::move(certificates.error()))));
  pki::Certificate certificate = std::move(certificates->front());
  certificates->erase(certificates->begin());
  if (const auto public_key = certificate.public_key(); !public_key || *public_key != (*key)->public_key()) {
    return fail({.code = Errc::idevid_mismatch,
                 .retry = Retry::after_operator,
                 .what = "the certificate of the IDevID is not for its key",
                 .reason = "the certificate's subject is " + certificate.subject(),
                 .hint = "check that idevid.key and idevid.certificate in the profile belong together"});
  }
  if (auto valid = check_validity(certificate, search.now); !valid && !search.wanted.allow_expired)
    return fail(std::move(valid.error()));
  return Credential{.key = std::move(*key), .certificate = std::move(certificate), .chain = std::move(*certificates)};
}

Result<Credential> open_idevid(const Search& search, const std::filesystem::path& memory, JobObserver& observer) {
  auto credential = recall_or_look(search, memory, observer);
  if (!credential) return credential;
  if (const auto valid = check_validity(credential->certificate, search.now); !valid) {
    observer.noticed({.sentence = fmt::format("{}; it is used because the profile allows it", valid.error().what),
                      .fields = {{.name = "DEVID_IDEVID", .value = credential->certificate.subject()}}});
  }
  return credential;
}

}  // namespace devid::identity
