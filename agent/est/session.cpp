#include "agent/est/session.h"

#include <chrono>

#include "agent/est/body.h"
#include "agent/est/connection.h"
#include "agent/est/media_type.h"
#include "agent/est/redirect.h"
#include "agent/est/refusal.h"
#include "agent/pki/cms.h"

namespace devid::est {
namespace {

constexpr int most_redirects = 3;
constexpr std::string_view certs_only = "application/pkcs7-mime";
constexpr std::string_view attributes = "application/csrattrs";

Error wrong_media_type(const Answer& answer) {
  const std::string_view type = answer.header("content-type");
  return {.code = Errc::server_protocol,
          .retry = Retry::after_operator,
          .what = type.empty() ? "the server's answer has no media type"
                               : "the server's answer is of the wrong media type: " + printable(type, 100),
          .reason = type.empty() ? "" : text_of(answer),
          .hint = "is this the URL of an EST server?"};
}

Result<std::vector<pki::Certificate>> read_certificates(const Answer& answer) {
  const auto type = MediaType::parse(answer.header("content-type"));
  if (!type || !is_certs_only(*type)) return fail(wrong_media_type(answer));
  const auto der = decode_body(answer.body);
  if (!der) return tl::unexpected(der.error());
  return pki::read_certs_only(*der);
}

/// 202, and 503 that names a time.
bool is_pending(const Answer& answer) {
  return answer.status == 202 || (answer.status == 503 && retry_after_of(answer));
}

}  // namespace

struct Session::State {
  Endpoint endpoint;
  Limits limits;
  std::unique_ptr<Connection> connection;

  Result<Answer> ask(Request request) const;
  Error refused(const Answer& answer) const;
  template <class T>
  Result<T> named(std::string_view verb, std::string_view operation, Result<T> result) const;
  Result<Enrollment> enroll(std::string_view operation, BytesView csr) const;
  [[nodiscard]] std::string url(std::string_view operation) const;
};

std::string Session::State::url(std::string_view operation) const {
  return std::string(endpoint.base).append("/").append(operation);
}

/// The answer to a request, after the redirects that may be followed; all of it within one time limit.
Result<Answer> Session::State::ask(Request request) const {
  using std::chrono::milliseconds;
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + limits.request_timeout;
  for (int redirects = 0;; ++redirects) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    auto answer = connection->exchange(request, std::max(left, milliseconds(1)));
    if (!answer || !is_redirect(*answer)) return answer;
    if (redirects == most_redirects) {
      return fail({.code = Errc::server_protocol,
                   .retry = Retry::after_operator,
                   .what = "the server redirects more than " + std::to_string(most_redirects) + " times",
                   .hint = "see the server's configuration"});
    }
    auto next = follow(request, *answer);
    if (!next) return tl::unexpected(std::move(next.error()));
    request = std::move(*next);
  }
}

Error Session::State::refused(const Answer& answer) const {
  Error error = refusal(answer);
  const bool may_lack_certificate = answer.status == 400 || answer.status == 401 || answer.status == 403;
  if (may_lack_certificate && !connection->authenticated()) {
    error.hint =
        "no client certificate was used: the server did not ask for one, or the device's does not fit what it "
        "asks for";
  }
  return error;
}

template <class T>
Result<T> Session::State::named(std::string_view verb, std::string_view operation, Result<T> result) const {
  if (result) return result;
  return fail(while_doing(std::string(verb).append(" ").append(url(operation)), std::move(result.error())));
}

Result<Enrollment> Session::State::enroll(std::string_view operation, BytesView csr) const {
  auto answer = ask({.url = url(operation), .accept = std::string(certs_only), .body = encode_body(csr)});
  if (!answer) return tl::unexpected(std::move(answer.error()));
  if (is_pending(*answer)) {
    return Pending{.retry_after = retry_after_of(*answer).value_or(Seconds(0)), .text = text_of(*answer)};
  }
  if (answer->status != 200) return fail(refused(*answer));
  auto certificates = read_certificates(*answer);
  if (!certificates) return tl::unexpected(std::move(certificates.error()));
  return Issued{.certificates = std::move(*certificates)};
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(SessionSpec spec) {
  if (spec.anchors.empty()) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "there is no trust anchor for the EST server",
                 .hint = "name the CA of its certificate in the profile's trust_anchors"});
  }
  auto tls = std::make_unique<Tls>(spec.endpoint.host, std::move(spec.anchors), std::move(spec.client));
  auto connection = Connection::prepare(std::move(tls), spec.limits, std::move(spec.cancelled));
  if (!connection) return tl::unexpected(std::move(connection.error()));
  auto state = std::make_unique<State>(
      State{.endpoint = std::move(spec.endpoint), .limits = spec.limits, .connection = std::move(*connection)});
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

Result<std::vector<pki::Certificate>> Session::ca_certificates() {
  const auto ask = [this]() -> Result<std::vector<pki::Certificate>> {
    const auto answer = state_->ask({.url = state_->url("cacerts"), .accept = std::string(certs_only)});
    if (!answer) return tl::unexpected(answer.error());
    if (answer->status != 200) return fail(state_->refused(*answer));
    return read_certificates(*answer);
  };
  return state_->named("get", "cacerts", ask());
}

Result<Bytes> Session::csr_attributes() {
  const auto ask = [this]() -> Result<Bytes> {
    const auto answer = state_->ask({.url = state_->url("csrattrs"), .accept = std::string(attributes)});
    if (!answer) return tl::unexpected(answer.error());
    if (answer->status == 204 || answer->status == 404 || answer->status == 501) return Bytes{};
    if (answer->status != 200) return fail(state_->refused(*answer));
    const auto type = MediaType::parse(answer->header("content-type"));
    if (!type || type->name != attributes) return fail(wrong_media_type(*answer));
    return decode_body(answer->body);
  };
  return state_->named("get", "csrattrs", ask());
}

Result<Enrollment> Session::simple_enroll(BytesView csr) {
  return state_->named("post to", "simpleenroll", state_->enroll("simpleenroll", csr));
}

Result<Enrollment> Session::simple_reenroll(BytesView csr) {
  return state_->named("post to", "simplereenroll", state_->enroll("simplereenroll", csr));
}

unsigned Session::connections() const { return state_->connection->opened(); }

}  // namespace devid::est
