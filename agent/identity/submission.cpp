#include "agent/identity/submission.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/est/introduction.h"
#include "agent/identity/decryption.h"
#include "agent/pki/cmc.h"
#include "agent/pki/csr.h"

namespace devid::identity {
namespace {

/// The longest of the channel bindings in base64: 32 octets of the exporter.
constexpr std::size_t longest_binding = 44;

/// Whether the server misses the proof of possession.
bool misses_binding(const Error& error) {
  return (error.code == Errc::server_refused || error.code == Errc::server_unauthorized) &&
         est::speaks_of_binding(error.reason);
}

/// Whether it goes by a Full PKI Request, which is signed by the current credential.
bool is_full_cmc(const Workplace& place, const Application& application) {
  return application.kind == JobKind::renew && place.profile.server.renewal_operation == RenewalOperation::full_cmc;
}

/// Whether requests are tied to their connection from the beginning.
bool is_bound_from_the_beginning(const Workplace& place, const Application& application) {
  const Server& server = place.profile.server;
  if (is_full_cmc(place, application)) return false;
  const bool wanted = application.plan.wants_binding;
  switch (server.channel_binding) {
    case ChannelBinding::tls_unique:
    case ChannelBinding::tls_exporter: return true;
    case ChannelBinding::automatic: break;
    case ChannelBinding::off:
      if (wanted) notice(place, "the server asks for proof of possession, which the profile has turned off");
      return false;
  }
  const bool possible = server.tls.minimum == est::TlsOptions::Version::tls_1_2;
  if (wanted && !possible)
    notice(place, "the server asks for proof of possession, which cannot be given with TLS 1.3 alone");
  return wanted && possible;
}

/// What goes into the request but for the binding.
Result<pki::CsrSpec> spec_of(const Workplace& place, const Application& application) {
  pki::CsrSpec spec = application.plan.csr;
  if (!place.profile.key.from_server) return spec;
  const auto decryption = read_decryption_key(*place.profile.key.from_server);
  if (!decryption) return fail(decryption.error());
  auto attributes = pki::decryption_attributes(*decryption);
  if (!attributes) return fail(std::move(attributes.error()));
  std::ranges::move(*attributes, std::back_inserter(spec.attributes));
  return spec;
}

template <class Answer>
Result<Outcome> outcome_of(Result<Answer> answer) {
  if (!answer) return fail(std::move(answer.error()));
  return std::visit([](auto&& each) { return Outcome(std::forward<decltype(each)>(each)); }, std::move(*answer));
}

}  // namespace

Submission::Submission(const Workplace& place, const Application& application, Request request)
    : place_(place),
      application_(application),
      request_(std::move(request)),
      bound_(is_bound_from_the_beginning(place, application)) {
  if (bound_ && place.profile.server.channel_binding == ChannelBinding::automatic)
    application.contact.session->bind(est::BindingKind::tls_unique);
}

Result<Submission> Submission::begin(const Workplace& place, const Application& application) {
  const Profile& profile = place.profile;
  auto key =
      application.token->create_key({.algorithm = application.plan.algorithm,
                                     .label = fmt::format("devid:{}:{}", profile.name, application.next_generation),
                                     .authorization = profile.key.authorization,
                                     .announce = [&](const std::string& pem) {
                                       place.abandoned_keys.add({.token = profile.token, .token_key_pem = pem});
                                     }});
  if (!key) return fail(while_doing("create a key", std::move(key.error())));
  Submission submission(place, application,
                        {.token_key_pem = (*key)->pem(),
                         .csr = {},
                         .provenance = {.token = profile.token,
                                        .key_protection = application.token->description().kind,
                                        .public_key = (*key)->public_key(),
                                        .authorization = profile.key.authorization,
                                        .server = application.contact.server,
                                        .method = application.kind,
                                        .created = place.clock.now()}});
  submission.key_ = std::move(*key);
  if (submission.bound_) {
    // It becomes a request when the connection is up that carries it.
    place.abandoned_keys.add({.token = profile.token, .token_key_pem = submission.request_.token_key_pem});
    return submission;
  }
  if (auto made = submission.make(std::nullopt); !made) {
    submission.close_key();
    place.abandoned_keys.add({.token = profile.token, .token_key_pem = submission.request_.token_key_pem});
    place.abandoned_keys.destroy(place.tokens);
    return fail(std::move(made.error()));
  }
  return submission;
}

Result<Submission> Submission::begin_with_current_key(const Workplace& place, const Application& application) {
  const std::optional<Generation>& current = application.current;
  if (!current) return fail({.code = Errc::internal, .what = "there is no current key"});
  const auto certificates = place.store.certificates_of(current->token_key_pem);
  if (!certificates) return fail(certificates.error());
  Provenance provenance = current->provenance;
  provenance.server = application.contact.server;
  provenance.method = application.kind;
  provenance.created = place.clock.now();
  provenance.certificates = *certificates + 1;
  Submission submission(place, application,
                        {.token_key_pem = current->token_key_pem, .csr = {}, .provenance = std::move(provenance)});
  if (submission.bound_) return submission;
  if (auto made = submission.make(std::nullopt); !made) return fail(std::move(made.error()));
  return submission;
}

Submission Submission::resume(const Workplace& place, const Application& application, Request request) {
  Submission submission(place, application, std::move(request));
  submission.kept_ = true;
  submission.free_of_other_connections();
  return submission;
}

/// A server that checks the binding refuses one of another connection: the request is tied to this one, as the server
/// wished before, or to none where the profile will have none.
void Submission::free_of_other_connections() {
  if (bound_ || !pki::has_challenge_password(request_.csr)) return;
  if (may_bind()) {
    application_.contact.session->bind(est::BindingKind::tls_unique);
    bound_ = true;
  } else {
    stale_ = true;
  }
}

/// Whether a request that is not tied to its connection from the beginning may be later.
bool Submission::may_bind() const {
  const Server& server = place_.profile.server;
  return server.channel_binding == ChannelBinding::automatic &&
         server.tls.minimum == est::TlsOptions::Version::tls_1_2 && !is_full_cmc(place_, application_);
}

void Submission::close_key() {
  signing_key_.reset();
  key_.reset();
}

/// The current key, where the request is for it, is open already.
Result<SigningKey*> Submission::open_key() {
  const bool is_current = application_.kind == JobKind::renew && application_.current && application_.signing_key &&
                          application_.current->token_key_pem == request_.token_key_pem;
  if (is_current) return application_.signing_key.get();
  if (!key_) {
    auto opened = application_.token->open_key(request_.token_key_pem);
    if (!opened) return fail(while_doing("open the key of the request", std::move(opened.error())));
    key_ = std::move(*opened);
  }
  if (signing_key_) return signing_key_.get();
  auto wrapped = SigningKey::wrap(*key_);
  if (!wrapped) return fail(std::move(wrapped.error()));
  signing_key_ = std::move(*wrapped);
  return signing_key_.get();
}

/// The request for this connection, on disk before it is sent.
Result<Bytes> Submission::make(const std::optional<std::string>& binding) {
  if (kept_ && !binding && !stale_) return request_.csr;
  auto spec = spec_of(place_, application_);
  if (!spec) return fail(std::move(spec.error()));
  spec->challenge_password = binding;
  const auto key = open_key();
  if (!key) return fail(key.error());
  auto csr = pki::make_csr(**key, *spec);
  if (!csr) return csr;
  request_.csr = *csr;
  const auto saved = kept_ ? place_.store.replace_request(request_) : place_.store.save_request(request_);
  if (!saved) return fail(saved.error());
  kept_ = true;
  stale_ = false;
  place_.abandoned_keys.keep(request_.token_key_pem);
  return csr;
}

Result<est::CsrSource> Submission::source() {
  std::size_t most = request_.csr.size();
  if (bound_ || stale_) {
    auto spec = spec_of(place_, application_);
    if (!spec) return fail(std::move(spec.error()));
    if (bound_) spec->challenge_password = std::string(longest_binding, '=');
    const auto largest = pki::largest_csr(request_.provenance.public_key, *spec);
    if (!largest) return fail(largest.error());
    most = *largest;
  }
  return est::CsrSource{.most_bytes = most, .make = [this](const auto& binding) { return make(binding); }};
}

Result<Outcome> Submission::post() {
  if (is_full_cmc(place_, application_)) return post_cmc();
  const bool renews = application_.kind == JobKind::renew;
  const auto source = this->source();
  if (!source) return fail(source.error());
  est::Session& session = *application_.contact.session;
  if (place_.profile.key.from_server) return outcome_of(session.server_keygen(*source));
  return outcome_of(renews ? session.simple_reenroll(*source) : session.simple_enroll(*source));
}

/// A Full PKI Request is signed by the current credential, and so is not tied to its connection besides.
Result<Outcome> Submission::post_cmc() {
  const std::optional<Credential>& credential = application_.credential;
  if (!credential) return fail({.code = Errc::internal, .what = "a renewal has no credential"});
  const auto csr = make(std::nullopt);
  if (!csr) return fail(csr.error());
  auto message = pki::make_cmc_request(
      *csr, {.certificate = credential->certificate, .chain = credential->chain, .key = *application_.signing_key});
  if (!message) return fail(std::move(message.error()));
  return outcome_of(application_.contact.session->full_cmc(*message, application_.contact.anchors, place_.clock.now()));
}

Result<Outcome> Submission::send() {
  auto outcome = post();
  if (outcome || bound_ || !may_bind() || !misses_binding(outcome.error())) return outcome;
  notice(place_, "the server misses the proof of possession; it gets one: " + outcome.error().sentence());
  application_.contact.session->bind(est::BindingKind::tls_unique);
  bound_ = true;
  return post();
}

}  // namespace devid::identity
