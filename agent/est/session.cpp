#include "agent/est/session.h"

#include "agent/est/body.h"
#include "agent/est/certificates_answer.h"
#include "agent/est/cmc_answer.h"
#include "agent/est/media_type.h"
#include "agent/est/refusal.h"

namespace devid::est {
namespace {

constexpr std::string_view attributes_type = "application/csrattrs";
constexpr std::string_view request_type = "application/pkcs10";
constexpr std::string_view keygen_type = "multipart/mixed";

/// 202, and 503 that names a time.
bool is_pending(const Answer& answer) {
  return answer.status == 202 || (answer.status == 503 && retry_after_of(answer));
}

/// What can be known to be wrong before there is a connection.
Result<> check(const SessionSpec& spec) {
  if (spec.anchors.empty() && !spec.system_anchors) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "there is no trust anchor for the EST server",
                 .hint = "name the CA of its certificate in the profile's trust_anchors"});
  }
  if (auto good = check(spec.tls); !good) return good;
  if (auto good = check(spec.authentication); !good) return good;
  return spec.proxy ? check(*spec.proxy) : Result<>();
}

}  // namespace

/// What a POST asks for, and how.
struct Posting {
  std::string_view operation;
  std::string_view type;    ///< of what is sent
  std::string_view accept;  ///< of what is expected
  BodyEnd body_end = BodyEnd::announced;
};

struct Session::State {
  Endpoint endpoint;
  Introduction::Login login{};
  std::function<void(const std::string&)> on_remark;
  std::unique_ptr<Connection> connection;

  Result<Answer> get(std::string_view operation, std::string_view accept) const;
  Result<std::variant<Answer, Pending>> post(const Posting& posting, const CsrSource& source) const;
  [[nodiscard]] Introduction introduction() const;
  Result<Enrollment> enroll(std::string_view operation, const CsrSource& source) const;
  template <class T>
  Result<T> named(std::string_view verb, std::string_view operation, Result<T> result) const;
  [[nodiscard]] std::string url(std::string_view operation) const;
};

std::string Session::State::url(std::string_view operation) const {
  return std::string(endpoint.base).append("/").append(operation);
}

Result<Answer> Session::State::get(std::string_view operation, std::string_view accept) const {
  return connection->ask({.url = url(operation), .accept = std::string(accept), .content = {}});
}

/// The answer, of status 200, or when to come back.
Result<std::variant<Answer, Pending>> Session::State::post(const Posting& posting, const CsrSource& source) const {
  auto answer = connection->ask({.url = url(posting.operation),
                                 .accept = std::string(posting.accept),
                                 .content = Content{.type = std::string(posting.type), .source = source},
                                 .body_end = posting.body_end});
  if (!answer) return fail(std::move(answer.error()));
  if (is_pending(*answer))
    return Pending{.retry_after = retry_after_of(*answer).value_or(Seconds(0)),
                   .text = text_of(*answer),
                   .accepted = answer->status == 202};
  if (answer->status != 200) return fail(refusal(*answer, introduction()));
  return std::move(*answer);
}

Introduction Session::State::introduction() const {
  using Certificate = Introduction::Certificate;
  const Tls& tls = connection->tls();
  const Certificate used = tls.authenticated() ? Certificate::shown : Certificate::unused;
  return {.login = login, .certificate = tls.has_client() ? used : Certificate::none, .binding = connection->binding()};
}

template <class T>
Result<T> Session::State::named(std::string_view verb, std::string_view operation, Result<T> result) const {
  if (result) return result;
  return fail(while_doing(std::string(verb).append(" ").append(url(operation)), std::move(result.error())));
}

Result<Enrollment> Session::State::enroll(std::string_view operation, const CsrSource& source) const {
  auto answer = post({.operation = operation, .type = request_type, .accept = certs_only_type}, source);
  if (!answer) return fail(std::move(answer.error()));
  if (auto* pending = std::get_if<Pending>(&*answer)) return std::move(*pending);
  auto certificates = read_certificates(std::get<Answer>(*answer));
  if (!certificates) return fail(std::move(certificates.error()));
  return Issued{.certificates = std::move(*certificates)};
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(SessionSpec spec) {
  if (auto good = check(spec); !good) return fail(std::move(good.error()));
  const Introduction::Login login = sent_login(spec.authentication);
  auto connection = Connection::prepare(
      {.tls = {.host = spec.endpoint.host,
               .anchors = std::move(spec.anchors),
               .trust = spec.system_anchors ? TlsSpec::Trust::anchors_and_system : TlsSpec::Trust::anchors,
               .client = std::move(spec.client),
               .options = std::move(spec.tls),
               .check_server = std::move(spec.check_server)},
       .authentication = std::move(spec.authentication),
       .proxy = std::move(spec.proxy),
       .binding = spec.binding,
       .limits = spec.limits,
       .cancelled = std::move(spec.cancelled),
       .meter = spec.meter});
  if (!connection) return fail(std::move(connection.error()));
  auto state = std::make_unique<State>(State{.endpoint = std::move(spec.endpoint),
                                             .login = login,
                                             .on_remark = std::move(spec.on_remark),
                                             .connection = std::move(*connection)});
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

Result<std::vector<pki::Certificate>> Session::ca_certificates() {
  const auto ask = [this]() -> Result<std::vector<pki::Certificate>> {
    const auto answer = state_->get("cacerts", certs_only_type);
    if (!answer) return fail(answer.error());
    if (answer->status != 200) return fail(refusal(*answer, state_->introduction()));
    return read_ca_certificates(*answer, state_->on_remark);
  };
  return state_->named("get", "cacerts", ask());
}

Result<Bytes> Session::csr_attributes() {
  const auto ask = [this]() -> Result<Bytes> {
    const auto answer = state_->get("csrattrs", attributes_type);
    if (!answer) return fail(answer.error());
    if (answer->status == 204 || answer->status == 404 || answer->status == 501) return Bytes{};
    if (answer->status != 200) return fail(refusal(*answer, state_->introduction()));
    const auto type = MediaType::parse(answer->header("content-type"));
    if (!type || type->name != attributes_type) return fail(wrong_media_type(*answer));
    return decode_body(answer->body);
  };
  return state_->named("get", "csrattrs", ask());
}

Result<Enrollment> Session::simple_enroll(const CsrSource& source) {
  return state_->named("post to", "simpleenroll", state_->enroll("simpleenroll", source));
}

Result<Enrollment> Session::simple_reenroll(const CsrSource& source) {
  return state_->named("post to", "simplereenroll", state_->enroll("simplereenroll", source));
}

Result<KeyGeneration> Session::server_keygen(const CsrSource& source) {
  constexpr std::string_view operation = "serverkeygen";
  const auto ask = [&]() -> Result<KeyGeneration> {
    auto answer = state_->post(
        {.operation = operation, .type = request_type, .accept = keygen_type, .body_end = BodyEnd::last_boundary},
        source);
    if (!answer) return fail(std::move(answer.error()));
    if (auto* pending = std::get_if<Pending>(&*answer)) return std::move(*pending);
    auto generated = read_server_keygen(std::get<Answer>(*answer));
    if (!generated) return fail(std::move(generated.error()));
    return std::move(*generated);
  };
  return state_->named("post to", operation, ask());
}

Result<Enrollment> Session::full_cmc(const pki::CmcRequest& request, const std::vector<pki::Certificate>& anchors,
                                     Time now) {
  constexpr std::string_view operation = "fullcmc";
  const auto ask = [&]() -> Result<Enrollment> {
    const auto came = state_->connection->ask(
        {.url = state_->url(operation),
         .accept = std::string(cmc_response_type),
         .content = Content{.type = std::string(cmc_request_type), .source = ready_made(request.der)}});
    if (!came) return fail(came.error());
    auto answer = read_full_cmc(*came, request, anchors, now, state_->introduction());
    if (!answer) return fail(std::move(answer.error()));
    if (auto* pending = std::get_if<pki::CmcPending>(&*answer))
      return Pending{.retry_after = pending->retry_after, .text = std::move(pending->text)};
    return Issued{.certificates = std::move(std::get<pki::CmcIssued>(*answer).certificates)};
  };
  return state_->named("post to", operation, ask());
}

void Session::put_off_deadline(std::chrono::steady_clock::duration by) { state_->connection->put_off_deadline(by); }

void Session::bind(BindingKind kind) { state_->connection->bind(kind); }

std::optional<TlsOptions::Version> Session::tls_version() const { return state_->connection->tls().version(); }

const Traffic& Session::traffic() const { return state_->connection->traffic(); }

}  // namespace devid::est
