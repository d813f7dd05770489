#include "agent/identity/rotation.h"

#include <fmt/format.h>
#include <openssl/obj_mac.h>

#include <utility>

#include "agent/identity/anchors.h"
#include "agent/identity/idevid.h"
#include "agent/pki/acceptance.h"
#include "agent/pki/csr.h"

namespace devid::identity {
namespace {

/// So often in a row a request is presented while the server, that has answered what came before it, gives no usable
/// answer: then it may be the request itself. Over the waits between them these are hours.
constexpr std::uint32_t most_unanswered = 10;

/// Tells the observer where the job is; a job can stop there without harm.
Result<> enter(const Workplace& place, Phase phase) {
  if (place.observer.cancelled())
    return fail({.code = Errc::cancelled, .retry = Retry::later, .what = "the job was cancelled"});
  place.observer.entered(phase);
  return {};
}

Result<Token*> find_token(const Tokens& tokens, const std::string& name) {
  if (const auto found = tokens.find(name); found != tokens.end()) return found->second.get();
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = fmt::format("there is no token '{}'", name),
               .hint = "check the profile, and the tokens in devid.toml"});
}

/// What one job holds while it runs, in the order in which it is made.
struct Job {
  JobKind kind;
  Token* token;  ///< where the new key is
  Credential credential;
  std::unique_ptr<SigningKey> signing_key;
  std::vector<pki::Certificate> anchors;  ///< for the certificate
  pki::Names names;
  std::uint64_t next_generation;
  std::unique_ptr<est::Session> session;
  std::vector<pki::Certificate> ca_certificates;
};

/// The names to ask for. The default for the subject is the serial number that the IDevID has, and that a renewal finds
/// in the current certificate. Where the CA chooses the names, a renewal asks for those that it has chosen: they must
/// not differ (RFC 7030 4.2.2). What devid cannot ask for again is as in the profile.
Result<pki::Names> names_for(const Profile& profile, JobKind kind, const pki::Certificate& client) {
  pki::Names names = profile.names;
  if (kind == JobKind::renew && profile.name_policy == pki::NamePolicy::ca_may_change) {
    auto subject = pki::subject_of(client);
    auto alternatives = pki::alternatives_of(client);
    if (alternatives) names.alternatives = std::move(*alternatives);
    if (subject) names.subject = std::move(*subject);
    if (subject && !names.alternatives.empty()) return names;
  }
  if (!names.subject.empty()) return names;
  auto serial = client.subject_attribute(NID_serialNumber);
  if (!serial || serial->empty()) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "there is no name to ask for: the profile has no [subject], and the subject of the device's "
                         "certificate has no serialNumber",
                 .reason = client.subject(),
                 .hint = "give the identity a [subject] in " + profile.file.string()});
  }
  names.subject.push_back({.type = "serialNumber", .value = std::move(*serial)});
  return names;
}

/// Opens the IDevID, or the current credential, in the token that holds it.
Result<Credential> open_credential(const Workplace& place, JobKind kind, const std::optional<Generation>& current) {
  if (kind == JobKind::renew && !current)
    return fail({.code = Errc::wrong_state, .retry = Retry::never, .what = "there is no credential to renew"});
  if (kind == JobKind::enroll) {
    auto wanted = resolve_token(place.tokens, place.profile.idevid, place.profile.token);
    if (!wanted) return fail(std::move(wanted.error()));
    return open_idevid({.tokens = place.tokens,
                        .wanted = std::move(*wanted),
                        .files = place.idevid_certificates,
                        .now = place.clock.now()},
                       place.idevid_memory, place.observer);
  }
  auto token = find_token(place.tokens, current->provenance.token);
  if (!token) return fail(std::move(token.error()));
  return open_ldevid(**token, *current);
}

Result<std::unique_ptr<est::Session>> open_session(const Workplace& place, const Credential& credential,
                                                   SigningKey& key) {
  const Profile& profile = place.profile;
  auto anchors = read_anchors(profile.server.trust_anchors);
  if (!anchors) return fail(std::move(anchors.error()));
  return est::Session::create(
      {.endpoint = profile.server.endpoint,
       .anchors = std::move(*anchors),
       .client = {.certificate = credential.certificate, .chain = credential.chain, .key = &key},
       .limits = {.connect_timeout = profile.server.connect_timeout, .request_timeout = profile.server.timeout},
       .cancelled = [&observer = place.observer] { return observer.cancelled(); }});
}

/// Opens everything that a job needs, up to the session, which has not connected yet.
Result<Job> prepare(const Workplace& place, JobKind kind) {
  const Profile& profile = place.profile;
  auto token = find_token(place.tokens, profile.token);
  if (!token) return fail(std::move(token.error()));
  auto anchors = read_anchors(profile.trust_anchors);
  if (!anchors) return fail(std::move(anchors.error()));
  const auto read = place.store.current();
  if (!read) return fail(read.error());
  const std::optional<Generation>& current = *read;
  auto credential = open_credential(place, kind, current);
  if (!credential) return fail(std::move(credential.error()));
  auto names = names_for(profile, kind, credential->certificate);
  if (!names) return fail(std::move(names.error()));
  auto signing_key = SigningKey::wrap(*credential->key);
  if (!signing_key) return fail(std::move(signing_key.error()));
  auto session = open_session(place, *credential, **signing_key);
  if (!session) return fail(std::move(session.error()));
  return Job{.kind = kind,
             .token = *token,
             .credential = std::move(*credential),
             .signing_key = std::move(*signing_key),
             .anchors = std::move(*anchors),
             .names = std::move(*names),
             .next_generation = (current ? current->number : 0) + 1,
             .session = std::move(*session)};
}

/// /csrattrs is optional (RFC 7030 2.6): a server that answers nonsense there may enroll well. A connection that is
/// broken or a server that is no longer trusted is another matter.
bool is_dispensable(Errc code) {
  switch (code) {
    case Errc::server_unavailable:
    case Errc::server_refused:
    case Errc::server_unauthorized:
    case Errc::server_protocol:
    case Errc::answer_malformed: return true;
    default: return false;
  }
}

/// Connects, and asks what the CA has to say before a request.
Result<Job> connect(const Workplace& place, JobKind kind) {
  if (auto entered = enter(place, Phase::connecting); !entered) return fail(std::move(entered.error()));
  auto job = prepare(place, kind);
  if (!job) return job;
  if (auto entered = enter(place, Phase::ca_certificates); !entered) return fail(std::move(entered.error()));
  auto certificates = job->session->ca_certificates();
  if (!certificates) return fail(std::move(certificates.error()));
  job->ca_certificates = std::move(*certificates);
  if (auto attributes = job->session->csr_attributes(); !attributes && !is_dispensable(attributes.error().code))
    return fail(std::move(attributes.error()));
  return job;
}

Result<Bytes> sign_request(PrivateKey& key, const pki::Names& names) {
  auto signing_key = SigningKey::wrap(key);
  if (!signing_key) return fail(std::move(signing_key.error()));
  return pki::make_csr(**signing_key, {.names = names});
}

void destroy(const Workplace& place, Token& token, const std::string& name, const std::string& pem) {
  if (!token.destroy_key(pem)) place.abandoned_keys.add({.token = name, .token_key_pem = pem});
}

/// A request that was just made. Its key stays open: a token that still has it loaded need not load it for the proof.
struct FreshRequest {
  Request request;
  std::unique_ptr<PrivateKey> key;
};

/// Makes a key and the request for it, and keeps both. Nothing stays of them on an error.
Result<FreshRequest> make_request(const Workplace& place, const Job& job) {
  if (auto entered = enter(place, Phase::creating_key); !entered) return fail(std::move(entered.error()));
  const Profile& profile = place.profile;
  auto key = job.token->create_key({.algorithm = profile.algorithm,
                                    .label = fmt::format("devid:{}:{}", profile.name, job.next_generation),
                                    .authorization = profile.authorization});
  if (!key) return fail(while_doing("create a key", std::move(key.error())));
  Request request{.token_key_pem = (*key)->pem(),
                  .provenance = {.token = profile.token,
                                 .key_protection = job.token->description().kind,
                                 .public_key = (*key)->public_key(),
                                 .authorization = profile.authorization,
                                 .server = profile.server.endpoint.base,
                                 .method = job.kind,
                                 .created = place.clock.now()}};
  auto csr = sign_request(**key, job.names);
  Result<> saved = csr ? Result<>() : fail(std::move(csr.error()));
  if (saved) {
    request.csr = std::move(*csr);
    saved = place.store.save_request(request);
  }
  if (saved) return FreshRequest{.request = std::move(request), .key = std::move(*key)};
  key->reset();
  destroy(place, *job.token, profile.token, request.token_key_pem);
  return fail(std::move(saved.error()));
}

/// Puts the certificate beside its key in the token, for other applications, where the token was told to do so.
void store_in_token(const Workplace& place, const Job& job, const std::string& pem, BytesView certificate) {
  const auto stored = job.token->store_certificate(pem, certificate);
  if (stored) return;
  place.observer.noticed(
      {.sentence = fmt::format("the certificate is in place, but not beside its key in token '{}': {}",
                               place.profile.token, stored.error().sentence()),
       .fields = {{.name = "DEVID_TOKEN", .value = place.profile.token},
                  {.name = "DEVID_ERROR", .value = std::string(code_name(stored.error().code))}}});
}

/// Verifies what the CA returned, and makes it current. No more cancelling: the CA may not issue a second time.
Result<Rotation> take(const Workplace& place, const Job& job, const Request& request, const est::Issued& issued) {
  place.observer.entered(Phase::verifying);
  auto accepted = pki::accept(issued.certificates,
                              {.public_key = request.provenance.public_key,
                               .names = job.names,
                               .name_policy = place.profile.name_policy,
                               .anchors = job.anchors,
                               .intermediates = job.ca_certificates},
                              place.clock.now());
  if (!accepted) return fail(std::move(accepted.error()));
  // What counts is what is on disk: that is what will be loaded from now on.
  const auto read = place.store.request();
  if (!read) return fail(read.error());
  const std::optional<Request>& written = *read;
  if (!written) return fail({.code = Errc::storage_failed, .retry = Retry::later, .what = "the request has vanished"});
  if (auto proven = prove_possession(*job.token, written->token_key_pem, accepted->leaf); !proven)
    return fail(std::move(proven.error()));
  place.observer.entered(Phase::installing);
  Provenance provenance = request.provenance;
  provenance.created = place.clock.now();
  const Bytes certificate = accepted->leaf.der();
  const auto number = place.store.install({.token_key_pem = written->token_key_pem,
                                           .leaf = std::move(accepted->leaf),
                                           .chain = std::move(accepted->chain),
                                           .anchors = job.anchors,
                                           .provenance = std::move(provenance)});
  if (!number) return fail(number.error());
  store_in_token(place, job, written->token_key_pem, certificate);
  // What stays of the request here goes at the next clean_up: its key is in a generation.
  static_cast<void>(place.store.discard_request());
  return Rotated{.generation = *number};
}

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
    case Errc::server_unavailable:
    case Errc::server_unauthorized:
    case Errc::server_protocol:
    case Errc::answer_too_large:
    case Errc::answer_malformed:
    case Errc::storage_failed:
    case Errc::cancelled:
    case Errc::internal: return true;
    default: return false;
  }
}

/// Sends the request, and takes what comes.
Result<Rotation> present(const Workplace& place, const Job& job, const Request& request) {
  auto enrollment =
      job.kind == JobKind::renew ? job.session->simple_reenroll(request.csr) : job.session->simple_enroll(request.csr);
  if (!enrollment) {
    if (enrollment.error().code != Errc::cancelled) ++place.unanswered;
    return fail(std::move(enrollment.error()));
  }
  if (const auto* issued = std::get_if<est::Issued>(&*enrollment)) return take(place, job, request, *issued);
  place.observer.entered(Phase::pending);
  return Deferred{.retry_after = std::get<est::Pending>(*enrollment).retry_after};
}

/// Drops a request that a failure has made useless. One that cannot be removed is presented again by the next job.
void drop_if_useless(const Workplace& place, const Request& request, const Result<Rotation>& rotation) {
  if (rotation) return;
  if (!leaves_request_alive(rotation.error().code) || place.unanswered >= most_unanswered)
    static_cast<void>(abandon(place, request));
}

Result<Rotation> begin(const Workplace& place, const Job& job) {
  auto fresh = make_request(place, job);
  if (!fresh) return fail(std::move(fresh.error()));
  if (auto entered = enter(place, Phase::requesting); !entered) {
    fresh->key.reset();
    static_cast<void>(abandon(place, fresh->request));
    return fail(std::move(entered.error()));
  }
  auto rotation = present(place, job, fresh->request);
  fresh->key.reset();
  drop_if_useless(place, fresh->request, rotation);
  return rotation;
}

}  // namespace

Result<Rotation> rotate(const Workplace& place, JobKind kind) {
  const auto job = connect(place, kind);
  if (!job) return fail(job.error());
  return begin(place, *job);
}

Result<Rotation> resume(const Workplace& place, const Request& request) {
  const auto job = connect(place, request.provenance.method);
  if (!job) return fail(job.error());
  if (!pki::asks_for(request.csr, job->names)) {
    if (auto abandoned = abandon(place, request); !abandoned) return fail(std::move(abandoned.error()));
    return begin(place, *job);
  }
  if (auto entered = enter(place, Phase::requesting); !entered) return fail(std::move(entered.error()));
  auto rotation = present(place, *job, request);
  drop_if_useless(place, request, rotation);
  return rotation;
}

Result<> abandon(const Workplace& place, const Request& request) {
  const std::string& name = request.provenance.token;
  if (const auto token = find_token(place.tokens, name)) {
    destroy(place, **token, name, request.token_key_pem);
  } else {
    place.abandoned_keys.add({.token = name, .token_key_pem = request.token_key_pem});
  }
  return place.store.discard_request();
}

}  // namespace devid::identity
