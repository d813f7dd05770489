#include "agent/identity/rotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/identity/application.h"
#include "agent/identity/decryption.h"
#include "agent/identity/submission.h"
#include "agent/pki/acceptance.h"
#include "agent/pki/server_key.h"

namespace devid::identity {
namespace {

using std::chrono::steady_clock;

/// So often in a row a request is presented while the server, that has answered what came before it, gives no usable
/// answer: then it may be the request itself. Over the waits between them these are hours.
constexpr std::uint32_t most_unanswered = 10;

/// Puts the certificate beside its key in the token, for other applications, where the token was told to do so.
void store_in_token(const Workplace& place, Token& token, const std::string& pem, BytesView certificate) {
  const auto stored = token.store_certificate(pem, certificate);
  if (stored) return;
  notice(place,
         fmt::format("the certificate is in place, but not beside its key in token '{}': {}", place.profile.token,
                     stored.error().sentence()),
         {{.name = "DEVID_TOKEN", .value = place.profile.token},
          {.name = "DEVID_ERROR", .value = std::string(code_name(stored.error().code))}});
}

/// Judges what the CA returned for a key. No more cancelling: the CA may not issue a second time.
Result<pki::Accepted> accept(const Workplace& place, const Application& application, const PublicKey& key,
                             const std::vector<pki::Certificate>& issued) {
  place.observer.entered(Phase::verifying);
  return pki::accept(issued,
                     {.public_key = key,
                      .names = application.plan.csr.names,
                      .name_policy = place.profile.name_policy,
                      .anchors = application.contact.anchors,
                      .intermediates = application.contact.intermediates},
                     place.clock.now());
}

/// Proves that the key signs for the certificate, and makes both current.
Result<Rotation> install(const Workplace& place, const Application& application, const std::string& token_key_pem,
                         Provenance provenance, pki::Accepted accepted) {
  if (auto proven = prove_possession(*application.token, token_key_pem, accepted.leaf); !proven)
    return fail(std::move(proven.error()));
  place.observer.entered(Phase::installing);
  provenance.created = place.clock.now();
  provenance.server = application.contact.server;
  const Bytes certificate = accepted.leaf.der();
  const auto number = identity::install(place, {.token_key_pem = token_key_pem,
                                                .leaf = std::move(accepted.leaf),
                                                .chain = std::move(accepted.chain),
                                                .anchors = application.contact.anchors,
                                                .provenance = std::move(provenance)});
  if (!number) return fail(number.error());
  store_in_token(place, *application.token, token_key_pem, certificate);
  return Rotated{.generation = *number};
}

Result<Rotation> take_issued(const Workplace& place, const Application& application, const Submission& submission,
                             const est::Issued& issued) {
  const Provenance& provenance = submission.request().provenance;
  auto accepted = accept(place, application, provenance.public_key, issued.certificates);
  if (!accepted) return fail(std::move(accepted.error()));
  // What counts is what is on disk: that is what will be loaded from now on.
  const auto read = place.store.request();
  if (!read) return fail(read.error());
  const std::optional<Request>& written = *read;
  if (!written) return fail({.code = Errc::storage_failed, .retry = Retry::later, .what = "the request has vanished"});
  auto rotation = install(place, application, written->token_key_pem, provenance, std::move(*accepted));
  // What stays of the request here goes at the next clean_up: its key is in a generation.
  if (rotation) static_cast<void>(place.store.discard_request());
  return rotation;
}

// --- a key that the server made ---

std::string names_of(const std::vector<KeyAlgorithm>& algorithms) {
  std::vector<std::string_view> names;
  names.reserve(algorithms.size());
  for (const KeyAlgorithm algorithm : algorithms) names.push_back(algorithm_name(algorithm));
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<pki::ServerKey> read_server_key(const Workplace& place, const est::GeneratedKey& generated) {
  const auto decryption = read_decryption_key(place.profile.key.from_server.value_or(KeyFromServer{}));
  if (!decryption) return fail(decryption.error());
  auto key = pki::read_server_key(generated.form, generated.key.reveal(), *decryption);
  if (!key) return key;
  const auto& allowed = place.profile.key.algorithms;
  if (std::ranges::find(allowed, key->public_key.algorithm) != allowed.end()) return key;
  return fail({.code = Errc::demand_unmet,
               .retry = Retry::after_operator,
               .what = fmt::format("the server has made a key of the kind {}, and the profile allows {}",
                                   algorithm_name(key->public_key.algorithm), names_of(allowed)),
               .hint = "see key.algorithm in " + place.profile.file.string() +
                       ", and which kind the server makes: it need not be that of the request"});
}

/// The token's own hint is for a key that is to be made in it.
Error not_taken(Error error) {
  if (error.code == Errc::token_unsupported)
    error.hint =
        "let the server make a key of a kind that the token takes (devidctl tokens), or let the token make it: without "
        "key.generated_by";
  return while_doing("take the server's key into the token", std::move(error));
}

Result<Rotation> take_generated(const Workplace& place, const Application& application, const Submission& submission,
                                const est::GeneratedKey& generated) {
  auto key = read_server_key(place, generated);
  if (!key) return fail(std::move(key.error()));
  Provenance provenance = submission.request().provenance;
  provenance.public_key = key->public_key;
  auto imported = application.token->import_key(
      {.algorithm = key->public_key.algorithm,
       .label = fmt::format("devid:{}:{}", place.profile.name, application.next_generation),
       .authorization = provenance.authorization},
      key->pkcs8);
  key->pkcs8 = Secret();
  if (!imported) return fail(not_taken(std::move(imported.error())));
  const std::string pem = (*imported)->pem();
  place.abandoned_keys.add({.token = place.profile.token, .token_key_pem = pem});  // until it is in use
  auto accepted = accept(place, application, provenance.public_key, generated.certificates);
  Result<Rotation> rotation = fail(Error{});
  if (accepted) {
    rotation = install(place, application, pem, std::move(provenance), std::move(*accepted));
  } else {
    rotation = fail(std::move(accepted.error()));
  }
  imported->reset();
  if (rotation) {
    place.abandoned_keys.keep(pem);
    // The key of the request was only there to sign it.
    static_cast<void>(abandon(place, submission.request()));
  } else {
    place.abandoned_keys.destroy(place.tokens);
  }
  return rotation;
}

// --- what becomes of a request ---

/// Whether a failure leaves a request, that the CA may have accepted, as good as it was. It does not where the CA has
/// refused the request, or has issued what cannot be used.
bool leaves_request_alive(Errc code) {
  switch (code) {
    case Errc::config_missing:
    case Errc::config_invalid:
    case Errc::token_unreachable:
    case Errc::token_not_ready:
    case Errc::token_locked_out:
    case Errc::token_auth_failed:
    case Errc::token_failed:
    case Errc::token_module:
    case Errc::token_ambiguous:
    case Errc::idevid_missing:
    case Errc::idevid_expired:
    case Errc::idevid_mismatch:
    case Errc::network_unreachable:
    case Errc::network_timeout:
    case Errc::tls_untrusted:
    case Errc::tls_failed:
    case Errc::proxy_failed:
    case Errc::trust_missing:
    case Errc::certificate_revoked:
    case Errc::revocation_unknown:
    case Errc::server_unavailable:
    case Errc::server_unauthorized:
    case Errc::server_protocol:
    case Errc::answer_too_large:
    case Errc::answer_malformed:
    case Errc::demand_unmet:
    case Errc::storage_failed:
    case Errc::cancelled:
    case Errc::internal: return true;
    default: return false;
  }
}

/// Sends the request, and takes what comes.
Result<Rotation> present(const Workplace& place, const Application& application, Submission& submission) {
  const auto outcome = submission.send();
  if (!outcome) {
    if (outcome.error().code != Errc::cancelled) ++place.unanswered;
    return fail(outcome.error());
  }
  if (const auto* issued = std::get_if<est::Issued>(&*outcome))
    return take_issued(place, application, submission, *issued);
  if (const auto* generated = std::get_if<est::GeneratedKey>(&*outcome))
    return take_generated(place, application, submission, *generated);
  place.observer.entered(Phase::pending);
  const auto& pending = std::get<est::Pending>(*outcome);
  return Deferred{.retry_after = pending.retry_after, .accepted = pending.accepted};
}

/// Destroys the key of a request that was never kept, or drops one that a failure has made useless. What cannot be
/// removed is presented again by the next job.
void drop_if_useless(const Workplace& place, Submission& submission, const Result<Rotation>& rotation) {
  submission.close_key();
  if (rotation) return;
  if (!submission.is_kept()) {
    place.abandoned_keys.destroy(place.tokens);
  } else if (!leaves_request_alive(rotation.error().code) || place.unanswered >= most_unanswered) {
    static_cast<void>(abandon(place, submission.request()));
  }
}

/// A token may take minutes to make a key: the network's time does not pass meanwhile.
void put_off_deadline(const Workplace& place, const Application& application, steady_clock::duration by) {
  application.contact.session->put_off_deadline(by);
  if (place.memory.deadline) *place.memory.deadline += by;
}

Result<Rotation> begin(const Workplace& place, const Application& application) {
  const auto began = steady_clock::now();
  if (auto entered = enter(place, Phase::creating_key); !entered) return fail(std::move(entered.error()));
  auto submission = Submission::begin(place, application);
  put_off_deadline(place, application, steady_clock::now() - began);
  if (!submission) return fail(std::move(submission.error()));
  if (auto entered = enter(place, Phase::requesting); !entered) {
    submission->close_key();
    if (submission->is_kept()) {
      static_cast<void>(abandon(place, submission->request()));
    } else {
      place.abandoned_keys.destroy(place.tokens);
    }
    return fail(std::move(entered.error()));
  }
  auto rotation = present(place, application, *submission);
  drop_if_useless(place, *submission, rotation);
  return rotation;
}

/// Whether a request asks for what is wanted now.
bool is_still_wanted(const Application& application, const Request& request) {
  return pki::asks_for(request.csr, application.plan.csr.names) &&
         request.provenance.public_key.algorithm == application.plan.algorithm;
}

}  // namespace

Result<Rotation> rotate(const Workplace& place, JobKind kind) {
  const auto application = apply(place, kind, nullptr);
  if (!application) return fail(application.error());
  return begin(place, *application);
}

Result<Rotation> resume(const Workplace& place, const Request& request) {
  const auto application = apply(place, request.provenance.method, &request);
  if (!application) return fail(application.error());
  if (!is_still_wanted(*application, request)) {
    if (auto abandoned = abandon(place, request); !abandoned) return fail(std::move(abandoned.error()));
    return begin(place, *application);
  }
  if (auto entered = enter(place, Phase::requesting); !entered) return fail(std::move(entered.error()));
  auto submission = Submission::resume(place, *application, request);
  auto rotation = present(place, *application, submission);
  drop_if_useless(place, submission, rotation);
  return rotation;
}

Result<> abandon(const Workplace& place, const Request& request) {
  const std::string& name = request.provenance.token;
  if (const auto token = find_token(place.tokens, name)) {
    destroy_key(place, **token, name, request.token_key_pem);
  } else {
    place.abandoned_keys.add({.token = name, .token_key_pem = request.token_key_pem});
  }
  return place.store.discard_request();
}

}  // namespace devid::identity
