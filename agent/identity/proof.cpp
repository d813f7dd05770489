#include "agent/identity/proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/identity/contact.h"
#include "agent/identity/credential.h"
#include "agent/identity/disposal.h"

namespace devid::identity {
namespace {

constexpr Seconds longest_doubt = std::chrono::hours(1);
constexpr Seconds longest_wait = std::chrono::days(1);
constexpr Seconds skew = std::chrono::minutes(1);

/// The server has looked at the certificate, and does not want it. What else goes wrong is not the certificate's fault.
bool is_refusal(const Error& error) {
  if (error.code == Errc::server_unauthorized) return true;
  return error.code == Errc::tls_failed && error.retry != Retry::later;
}

Error refused(Error error) {
  return {.code = Errc::certificate_refused,
          .retry = Retry::later,
          .what = "the server does not accept the new certificate: " + error.what,
          .reason = std::move(error.reason),
          .hint =
              "the current one stays; does the server trust the CA that issues? Its log says why; to do without "
              "this proof, set renewal.prove = false"};
}

/// The new key is lost, or another one. That says nothing of the current one, as the token's own error would.
Result<> check_key(Token& token, const Generation& candidate) {
  auto proven = prove_possession(token, candidate.token_key_pem, candidate.leaf);
  if (proven) return proven;
  switch (proven.error().code) {
    case Errc::token_no_such_key:
    case Errc::token_wrong_key:
    case Errc::token_auth_failed:
    case Errc::token_unsupported:
      proven.error().code = Errc::certificate_wrong_key;
      proven.error().retry = Retry::later;
      return proven;
    default: return proven;
  }
}

/// Lets the new credential authenticate to the server once.
Result<> prove_by_use(const Workplace& place, Token& token, const Generation& candidate) {
  auto credential = open_ldevid(token, candidate);
  if (!credential) return fail(std::move(credential.error()));
  auto key = SigningKey::wrap(*credential->key);
  if (!key) return fail(std::move(key.error()));
  auto reached = contact(
      place, est::ClientCredential{.certificate = credential->certificate, .chain = credential->chain, .key = &**key},
      candidate.provenance.server);
  if (reached) {
    reached->session.reset();  // before the key that it borrows
    return {};
  }
  if (is_refusal(reached.error())) return fail(refused(std::move(reached.error())));
  return fail(while_doing("prove the new certificate at the server", std::move(reached.error())));
}

Result<> prove_at_server(const Workplace& place, Token& token, const Generation& candidate) {
  if (!place.profile.renewal.prove) return {};
  place.observer.entered(Phase::proving);
  auto proven = prove_by_use(place, token, candidate);
  const bool is_final =
      proven || proven.error().code == Errc::certificate_refused || proven.error().code == Errc::cancelled;
  if (is_final) return proven;
  const auto read = place.store.current();
  const Generation* current = read && *read ? &**read : nullptr;
  if (!may_go_unproven(candidate, current, place.clock.now())) return proven;
  notice(place, "the new certificate becomes current although it could not be proved: " + proven.error().sentence(),
         {{.name = "DEVID_ERROR", .value = std::string(code_name(proven.error().code))}});
  return {};
}

/// While it waited, it may have expired.
Result<> check_validity(const Generation& candidate, Time now) {
  if (now <= candidate.leaf.not_after() + skew) return {};
  return fail({.code = Errc::certificate_not_valid_now,
               .retry = Retry::later,
               .what = "the new certificate has expired before it could be used"});
}

/// Puts the certificate beside its key in the token, for other applications, where the token was told to do so.
void store_in_token(const Workplace& place, Token& token, const Generation& generation) {
  const auto stored = token.store_certificate(generation.token_key_pem, generation.leaf.der());
  if (stored) return;
  const std::string& name = generation.provenance.token;
  notice(place,
         fmt::format("the certificate is in place, but not beside its key in token '{}': {}", name,
                     stored.error().sentence()),
         {{.name = "DEVID_TOKEN", .value = name},
          {.name = "DEVID_ERROR", .value = std::string(code_name(stored.error().code))}});
}

/// devid-run-due.timer comes every 15 minutes, and a renewal may fail once.
void warn_of_short_life(const Workplace& place, const Generation& generation) {
  constexpr Seconds two_runs = std::chrono::minutes(30);
  const Seconds left = generation.leaf.not_after() - place.clock.now();
  if (left >= two_runs) return;
  notice(place, fmt::format("the new certificate lasts for {} minutes more, less than two runs of devid-run-due.timer: "
                            "it may expire before it is renewed; have the CA issue for longer, or let the timer come "
                            "more often",
                            std::max<std::int64_t>(left.count() / 60, 0)));
}

Result<Rotation> attempt(const Workplace& place, const Generation& candidate) {
  auto token = find_token(place.tokens, candidate.provenance.token);
  if (!token) return fail(std::move(token.error()));
  if (auto valid = check_validity(candidate, place.clock.now()); !valid) return fail(std::move(valid.error()));
  if (auto proven = prove_at_server(place, **token, candidate); !proven) return fail(std::move(proven.error()));
  place.observer.entered(Phase::installing);
  const auto number = install(place, candidate);
  if (!number) return fail(number.error());
  store_in_token(place, **token, candidate);
  warn_of_short_life(place, candidate);
  // What stays of it there goes at the next clean_up.
  static_cast<void>(place.store.discard_candidate());
  return Rotated{.generation = *number};
}

/// Whether another attempt with the same certificate can only fail, or has failed for too long.
bool is_spoilt(const Workplace& place, const Generation& candidate, Errc code) {
  switch (code) {
    case Errc::certificate_wrong_key:
    case Errc::certificate_not_valid_now:
    case Errc::certificate_refused:
    case Errc::state_corrupt: return true;
    case Errc::cancelled: return false;
    default: return place.clock.now() - candidate.provenance.created >= longest_wait;
  }
}

}  // namespace

bool may_go_unproven(const Generation& candidate, const Generation* current, Time now) {
  if (current == nullptr || now > current->leaf.not_after()) return true;
  const Time obtained = candidate.provenance.created;
  const Seconds left = current->leaf.not_after() - obtained;
  return now - obtained >= std::min(longest_doubt, left / 4);
}

Result<> prove_key(const Workplace& place, const Generation& candidate) {
  auto token = find_token(place.tokens, candidate.provenance.token);
  if (!token) return fail(std::move(token.error()));
  auto proven = check_key(**token, candidate);
  if (!proven && is_spoilt(place, candidate, proven.error().code)) static_cast<void>(abandon(place, candidate));
  return proven;
}

Result<Rotation> prove_and_install(const Workplace& place, const Generation& candidate) {
  auto rotation = attempt(place, candidate);
  if (!rotation && is_spoilt(place, candidate, rotation.error().code)) static_cast<void>(abandon(place, candidate));
  return rotation;
}

}  // namespace devid::identity
