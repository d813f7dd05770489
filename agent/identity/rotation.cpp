#include "agent/identity/rotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/identity/application.h"
#include "agent/identity/decryption.h"
#include "agent/identity/disposal.h"
#include "agent/identity/proof.h"
#include "agent/identity/submission.h"
#include "agent/pki/acceptance.h"
#include "agent/pki/server_key.h"

namespace devid::identity {
namespace {

using std::chrono::steady_clock;

/// So often in a row a request is presented while the server, that has answered what came before it, gives no usable
/// answer: then it may be the request itself. Over the waits between them these are hours.
constexpr std::uint32_t most_unanswered = 10;

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

/// Keeps what was accepted, before it is proved.
Result<Generation> keep(const Workplace& place, const Application& application, const std::string& token_key_pem,
                        Provenance provenance, pki::Accepted accepted) {
  if (application.current && application.current->leaf == accepted.leaf) {
    return fail({.code = Errc::certificate_unchanged,
                 .retry = Retry::later,
                 .what = "the CA has returned the certificate that is to be replaced",
                 .hint = "does it issue a second one for the same key? If not, set renewal.rekey = \"always\""});
  }
  provenance.created = place.clock.now();
  provenance.server = application.contact.server;
  Generation candidate{.token_key_pem = token_key_pem,
                       .leaf = std::move(accepted.leaf),
                       .chain = std::move(accepted.chain),
                       .anchors = application.contact.anchors,
                       .provenance = std::move(provenance)};
  if (auto kept = place.store.save_candidate(candidate); !kept) return fail(std::move(kept.error()));
  return candidate;
}

Result<Generation> take_issued(const Workplace& place, const Application& application, const Submission& submission,
                               const est::Issued& issued) {
  const Provenance& provenance = submission.request().provenance;
  auto accepted = accept(place, application, provenance.public_key, issued.certificates);
  if (!accepted) return fail(std::move(accepted.error()));
  // What counts is what is on disk: that is what will be loaded from now on.
  const auto read = place.store.request();
  if (!read) return fail(read.error());
  const std::optional<Request>& written = *read;
  if (!written) return fail({.code = Errc::storage_failed, .retry = Retry::later, .what = "the request has vanished"});
  const std::string& made = submission.request().token_key_pem;
  if (written->token_key_pem != made) place.abandoned_keys.add({.token = provenance.token, .token_key_pem = made});
  auto candidate = keep(place, application, written->token_key_pem, provenance, std::move(*accepted));
  // What stays of the request here goes at the next clean_up: it was granted.
  if (candidate) static_cast<void>(place.store.discard_request());
  return candidate;
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

Result<Generation> take_generated(const Workplace& place, const Application& application, const Submission& submission,
                                  const est::GeneratedKey& generated) {
  auto key = read_server_key(place, generated);
  if (!key) return fail(std::move(key.error()));
  Provenance provenance = submission.request().provenance;
  provenance.public_key = key->public_key;
  auto imported = application.token->import_key(
      {.algorithm = key->public_key.algorithm,
       .label = fmt::format("devid:{}:{}", place.profile.name, application.next_generation),
       .authorization = provenance.authorization,
       .announce =
           [&](const std::string& pem) {
             place.abandoned_keys.add({.token = place.profile.token, .token_key_pem = pem});
           }},
      key->pkcs8);
  key->pkcs8 = Secret();
  if (!imported) return fail(not_taken(std::move(imported.error())));
  const std::string pem = (*imported)->pem();
  place.abandoned_keys.add({.token = place.profile.token, .token_key_pem = pem});  // until it is in use
  auto accepted = accept(place, application, provenance.public_key, generated.certificates);
  imported->reset();
  auto candidate = accepted ? keep(place, application, pem, std::move(provenance), std::move(*accepted))
                            : Result<Generation>(fail(std::move(accepted.error())));
  if (!candidate) {
    place.abandoned_keys.destroy(place.tokens);
    return candidate;
  }
  place.abandoned_keys.keep(pem);
  // The key of the request was only there to sign it.
  static_cast<void>(abandon(place, submission.request()));
  return candidate;
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

/// A certificate that is kept and not proved yet, or none so far.
using Reply = std::variant<Generation, Deferred>;

/// While its key is still open: that spares the token to load it once more.
Result<Reply> reply_of(const Workplace& place, Result<Generation> candidate) {
  if (!candidate) return fail(std::move(candidate.error()));
  if (auto proven = prove_key(place, *candidate); !proven) return fail(std::move(proven.error()));
  return Reply(std::move(*candidate));
}

/// Sends the request, and takes what comes.
Result<Reply> present(const Workplace& place, const Application& application, Submission& submission) {
  const auto outcome = submission.send();
  if (!outcome) {
    if (outcome.error().code != Errc::cancelled) ++place.unanswered;
    return fail(outcome.error());
  }
  place.unanswered = 0;
  if (const auto* issued = std::get_if<est::Issued>(&*outcome))
    return reply_of(place, take_issued(place, application, submission, *issued));
  if (const auto* generated = std::get_if<est::GeneratedKey>(&*outcome))
    return reply_of(place, take_generated(place, application, submission, *generated));
  place.observer.entered(Phase::pending);
  const auto& pending = std::get<est::Pending>(*outcome);
  return Reply(Deferred{.retry_after = pending.retry_after, .accepted = pending.accepted});
}

/// Destroys the key of a request that was never kept, or drops one that a failure has made useless. What cannot be
/// removed is presented again by the next job.
void drop_if_useless(const Workplace& place, Submission& submission, const Result<Reply>& reply) {
  submission.close_key();
  if (reply) return;
  if (!submission.is_kept()) {
    place.abandoned_keys.destroy(place.tokens);
  } else if (!leaves_request_alive(reply.error().code) || place.unanswered >= most_unanswered) {
    static_cast<void>(abandon(place, submission.request()));
  }
}

/// A token may take minutes to make a key: the network's time does not pass meanwhile.
void put_off_deadline(const Workplace& place, const Application& application, steady_clock::duration by) {
  application.contact.session->put_off_deadline(by);
  if (place.memory.deadline) *place.memory.deadline += by;
}

/// Whether a renewal goes on with the current key.
bool keeps_key(const Workplace& place, const Application& application, std::optional<bool> rekey) {
  const auto& current = application.current;
  const Profile& profile = place.profile;
  if (application.kind != JobKind::renew || !current || profile.key.from_server) return false;
  const Provenance& provenance = current->provenance;
  if (rekey.value_or(is_rekey_due(profile.renewal, provenance.certificates))) return false;
  const bool fits = provenance.token == profile.token && provenance.authorization == profile.key.authorization &&
                    provenance.public_key.algorithm == application.plan.algorithm;
  if (!fits) notice(place, "makes a new key, as the current one is not what profile and server ask for now");
  return fits;
}

Result<Reply> begin(const Workplace& place, const Application& application, std::optional<bool> rekey) {
  const auto began = steady_clock::now();
  const bool keeps = keeps_key(place, application, rekey);
  if (auto entered = keeps ? Result<>() : enter(place, Phase::creating_key); !entered)
    return fail(std::move(entered.error()));
  auto submission =
      keeps ? Submission::begin_with_current_key(place, application) : Submission::begin(place, application);
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
  auto reply = present(place, application, *submission);
  drop_if_useless(place, *submission, reply);
  return reply;
}

/// Whether a request asks for what is wanted now.
bool is_still_wanted(const Application& application, const Request& request) {
  return pki::asks_for(request.csr, application.plan.csr.names) &&
         request.provenance.public_key.algorithm == application.plan.algorithm;
}

Result<Reply> go_on(const Workplace& place, const Request& request, std::optional<bool> rekey) {
  const auto application = apply(place, request.provenance.method, &request);
  if (!application) return fail(application.error());
  if (!is_still_wanted(*application, request)) {
    if (auto abandoned = abandon(place, request); !abandoned) return fail(std::move(abandoned.error()));
    return begin(place, *application, rekey);
  }
  if (auto entered = enter(place, Phase::requesting); !entered) return fail(std::move(entered.error()));
  auto submission = Submission::resume(place, *application, request);
  auto reply = present(place, *application, submission);
  drop_if_useless(place, submission, reply);
  return reply;
}

/// With every key closed again, and the line to the server.
Result<Rotation> conclude(const Workplace& place, const Result<Reply>& reply) {
  if (!reply) return fail(reply.error());
  if (const auto* deferred = std::get_if<Deferred>(&*reply)) return *deferred;
  return prove_and_install(place, std::get<Generation>(*reply));
}

}  // namespace

Result<Rotation> rotate(const Workplace& place, JobKind kind, std::optional<bool> rekey) {
  const auto ask = [&]() -> Result<Reply> {
    const auto application = apply(place, kind, nullptr);
    if (!application) return fail(application.error());
    return begin(place, *application, rekey);
  };
  return conclude(place, ask());
}

Result<Rotation> resume(const Workplace& place, const Request& request, std::optional<bool> rekey) {
  return conclude(place, go_on(place, request, rekey));
}

bool fits(const Provenance& provenance, const Profile& profile) {
  const auto& algorithms = profile.key.algorithms;
  const auto& endpoints = profile.server.endpoints;
  return provenance.token == profile.token && provenance.authorization == profile.key.authorization &&
         std::ranges::find(algorithms, provenance.public_key.algorithm) != algorithms.end() &&
         std::ranges::find(endpoints, provenance.server, &est::Endpoint::base) != endpoints.end();
}

}  // namespace devid::identity
