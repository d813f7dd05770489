#include "agent/identity/submission.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/identity/decryption.h"
#include "agent/pki/cmc.h"
#include "agent/pki/csr.h"

namespace devid::identity {
namespace {

/// The longest of the channel bindings in base64: 32 octets of the exporter.
constexpr std::size_t longest_binding = 44;

/// How servers say that they miss the proof of possession: in their own words, as no standard gives any.
bool misses_binding(const Error& error) {
  constexpr std::array<std::string_view, 8> words{"challengepassword",   "challenge password", "proof of possession",
                                                  "proof-of-possession", "tls-unique",         "tls unique id",
                                                  "channel binding",     "pop check"};
  if (error.code != Errc::server_refused && error.code != Errc::server_unauthorized) return false;
  std::string text = error.reason;
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

/// Whether requests are tied to their connection from the beginning.
bool is_bound_from_the_beginning(const Workplace& place, const Application& application) {
  const Server& server = place.profile.server;
  // A Full PKI Request is signed by the current credential instead.
  if (application.kind == JobKind::renew && server.renewal_operation == RenewalOperation::full_cmc) return false;
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
  return submission;
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
  if (kept_ && !binding) return request_.csr;
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
  place_.abandoned_keys.keep(request_.token_key_pem);
  return csr;
}

Result<est::CsrSource> Submission::source() {
  std::size_t most = request_.csr.size();
  if (bound_) {
    auto spec = spec_of(place_, application_);
    if (!spec) return fail(std::move(spec.error()));
    spec->challenge_password = std::string(longest_binding, '=');
    const auto largest = pki::largest_csr(request_.provenance.public_key, *spec);
    if (!largest) return fail(largest.error());
    most = *largest;
  }
  return est::CsrSource{.most_bytes = most, .make = [this](const auto& binding) { return make(binding); }};
}

Result<Outcome> Submission::post() {
  const bool renews = application_.kind == JobKind::renew;
  if (renews && place_.profile.server.renewal_operation == RenewalOperation::full_cmc) return post_cmc();
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
  auto message = pki::make_cmc_request(
      request_.csr,
      {.certificate = credential->certificate, .chain = credential->chain, .key = *application_.signing_key});
  if (!message) return fail(std::move(message.error()));
  return outcome_of(application_.contact.session->full_cmc(*message, application_.contact.anchors, place_.clock.now()));
}

Result<Outcome> Submission::send() {
  auto outcome = post();
  const bool may_bind = !bound_ && place_.profile.server.channel_binding == ChannelBinding::automatic &&
                        place_.profile.server.tls.minimum == est::TlsOptions::Version::tls_1_2;
  if (outcome || !may_bind || !misses_binding(outcome.error())) return outcome;
  notice(place_, "the server misses the proof of possession; it gets one: " + outcome.error().sentence());
  application_.contact.session->bind(est::BindingKind::tls_unique);
  bound_ = true;
  return post();
}

}  // namespace devid::identity
