#include "agent/est/connection.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "agent/est/binding.h"
#include "agent/est/curl_error.h"
#include "agent/est/curl_library.h"
#include "agent/est/curl_options.h"
#include "agent/est/proxy_error.h"
#include "agent/est/reception.h"
#include "agent/est/redirect.h"
#include "agent/est/upload.h"
#include "base/owned.h"

namespace devid::est {
namespace {

using Lines = Owned<curl_slist, curl_slist_free_all>;
using std::chrono::milliseconds;

constexpr int most_redirects = 3;
constexpr long longest_idle = 600;  // seconds: a slow token may make a key between two requests

/// CURLOPT_HEADERFUNCTION.
std::size_t receive_head(const char* data, std::size_t one, std::size_t size, void* context) {
  static_cast<void>(one);
  return static_cast<Reception*>(context)->take_head({data, size}) ? size : CURL_WRITEFUNC_ERROR;
}

/// CURLOPT_WRITEFUNCTION.
std::size_t receive_body(const char* data, std::size_t one, std::size_t size, void* context) {
  static_cast<void>(one);
  return static_cast<Reception*>(context)->take_body({data, size}) ? size : CURL_WRITEFUNC_ERROR;
}

/// CURLOPT_XFERINFOFUNCTION: about once a second while nothing comes. Anything but 0 ends the exchange.
int on_progress(void* context, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent) {
  static_cast<void>(to_receive + received + to_send + sent);
  const auto& cancelled = *static_cast<const std::function<bool()>*>(context);
  return cancelled && cancelled() ? 1 : 0;
}

/// CURLOPT_DEBUGFUNCTION, for the sizes alone. libcurl's own sums have a body once or twice, by how it was sent.
int count_octets(CURL* /*easy*/, curl_infotype type, char* /*data*/, std::size_t size, void* context) {
  auto& traffic = *static_cast<Traffic*>(context);
  if (type == CURLINFO_HEADER_OUT || type == CURLINFO_DATA_OUT) traffic.sent += size;
  if (type == CURLINFO_HEADER_IN || type == CURLINFO_DATA_IN) traffic.received += size;
  return 0;
}

void append(Lines& lines, const std::string& line) {
  if (lines) {
    curl_slist_append(lines.get(), line.c_str());
  } else {
    lines.reset(curl_slist_append(nullptr, line.c_str()));
  }
}

template <class Number>
Number info(CURL* easy, CURLINFO which) {
  Number number = 0;
  curl_easy_getinfo(easy, which, &number);
  return number;
}

/// A request whose content is made while it is sent.
struct Posting {
  CURL* easy = nullptr;
  Upload upload;
  BindingKind kind{};
  std::optional<Error> error;
};

/// The channel binding of the connection that libcurl is sending over: the inner one, where it goes through another.
Result<std::string> live_binding(CURL* easy, BindingKind kind) {
  curl_tlssessioninfo* session = nullptr;
  curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session);
  if (session == nullptr || session->backend != CURLSSLBACKEND_OPENSSL || session->internals == nullptr)
    return fail({.code = Errc::internal, .retry = Retry::later, .what = "libcurl sends over no TLS connection"});
  return channel_binding(static_cast<SSL*>(session->internals), kind);
}

/// CURLOPT_READFUNCTION: libcurl wants the body, so that the connection is up.
std::size_t send_body(char* room, std::size_t one, std::size_t size, void* context) {
  auto& posting = *static_cast<Posting*>(context);
  const auto binding = live_binding(posting.easy, posting.kind);
  auto count = binding ? posting.upload.read(std::span(room, one * size), *binding) : fail(binding.error());
  if (count) return *count;
  posting.error = std::move(count.error());
  return CURL_READFUNC_ABORT;
}

/// CURLOPT_SEEKFUNCTION: libcurl starts over, on a new connection or after a challenge.
int rewind_body(void* context, curl_off_t offset, int origin) {
  if (offset != 0 || origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Posting*>(context)->upload.rewind();
  return CURL_SEEKFUNC_OK;
}

Error redirects_too_often() {
  return {.code = Errc::server_protocol,
          .retry = Retry::after_operator,
          .what = "the server redirects more than " + std::to_string(most_redirects) + " times",
          .hint = "see the server's configuration"};
}

}  // namespace

struct Connection::State {
  explicit State(ConnectionSpec all) : host(all.tls.host), tls(std::move(all.tls)), spec(std::move(all)) {}

  std::string host;
  Tls tls;
  ConnectionSpec spec;  ///< without `tls`, which has moved
  Traffic traffic;
  Traffic current;  ///< of the exchange that is on: its octets
  std::array<char, CURL_ERROR_SIZE> text{};
  Lines lines;
  Easy easy;  // goes first: it writes into what is above

  static CURLcode on_context(CURL* easy, void* context, void* self);
  Result<> open();
  Result<> address(const Request& request, milliseconds time, Reception& reception);
  Result<> load(const Request& request, Posting& posting) const;
  Result<Answer> exchange(const Request& request, milliseconds time, Posting* posting);
  void count();
  Error explain(CURLcode code, const Reception& reception, unsigned configured_before);
};

/// CURLOPT_SSL_CTX_FUNCTION: once a connection, before its handshake.
CURLcode Connection::State::on_context(CURL* easy, void* context, void* self) {
  static_cast<void>(easy);
  if (is_to_proxy(context)) return CURLE_OK;
  auto& state = *static_cast<State*>(self);
  return state.tls.configure(static_cast<SSL_CTX*>(context)) ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

/// A handle of libcurl with what is the same for every exchange, and no connection yet.
Result<> Connection::State::open() {
  easy = make_easy();
  if (!easy) return fail(curl_error({.code = CURLE_FAILED_INIT}));
  const char* none = nullptr;
  return CurlOptions(easy.get())
      .set(CURLOPT_ERRORBUFFER, text.data())
      .set(CURLOPT_NOSIGNAL, 1L)
      .set(CURLOPT_PROTOCOLS_STR, "https")
      .set(CURLOPT_REDIR_PROTOCOLS_STR, "https")
      .set(CURLOPT_FOLLOWLOCATION, 0L)
      .set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED))
      .set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2))
      .set(CURLOPT_SSL_VERIFYPEER, tls.verifies() ? 1L : 0L)
      .set(CURLOPT_SSL_VERIFYHOST, tls.verifies() ? 2L : 0L)
      .set(CURLOPT_CAINFO, none)
      .set(CURLOPT_CAPATH, none)
      .set(CURLOPT_CA_CACHE_TIMEOUT, 0L)
      .set(CURLOPT_SSL_CTX_FUNCTION, &State::on_context)
      .set(CURLOPT_SSL_CTX_DATA, static_cast<void*>(this))
      .set(CURLOPT_MAXAGE_CONN, longest_idle)
      .set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(spec.limits.connect_timeout.count()))
      .set(CURLOPT_USERAGENT, "devid/" DEVID_VERSION)
      .set(CURLOPT_HEADERFUNCTION, &receive_head)
      .set(CURLOPT_WRITEFUNCTION, &receive_body)
      .set(CURLOPT_XFERINFOFUNCTION, &on_progress)
      .set(CURLOPT_XFERINFODATA, static_cast<void*>(&spec.cancelled))
      .set(CURLOPT_NOPROGRESS, 0L)
      .set(CURLOPT_DEBUGFUNCTION, &count_octets)
      .set(CURLOPT_DEBUGDATA, static_cast<void*>(&current))
      .set(CURLOPT_VERBOSE, 1L)
      .set_proxy(spec.proxy, host)
      .set_authentication(spec.authentication)
      .done();
}

Result<> Connection::State::address(const Request& request, milliseconds time, Reception& reception) {
  lines.reset();
  append(lines, "Accept: " + request.accept);
  if (request.content) {
    append(lines, "Content-Type: " + request.content->type);
    append(lines, "Content-Transfer-Encoding: base64");
    append(lines, "Expect:");
  }
  const bool to_last_boundary = request.body_end == BodyEnd::last_boundary;
  if (to_last_boundary) append(lines, "Connection: close");
  return CurlOptions(easy.get())
      .set(CURLOPT_HTTPGET, 1L)
      .set(CURLOPT_URL, request.url.c_str())
      .set(CURLOPT_HTTPHEADER, lines.get())
      .set(CURLOPT_TIMEOUT_MS, static_cast<long>(time.count()))
      .set(CURLOPT_IGNORE_CONTENT_LENGTH, to_last_boundary ? 1L : 0L)
      .set(CURLOPT_HEADERDATA, static_cast<void*>(&reception))
      .set(CURLOPT_WRITEDATA, static_cast<void*>(&reception))
      // With a binding each connection has a handshake of its own: a resumed one may be somebody else's (RFC 7627 1).
      .set(CURLOPT_SSL_SESSIONID_CACHE, spec.binding ? 0L : 1L)
      .done();
}

/// Makes it a POST: of a body that is there, or, with a binding, of one that is made when the connection is up.
Result<> Connection::State::load(const Request& request, Posting& posting) const {
  if (!request.content) return {};
  CurlOptions options(easy.get());
  const char* none = nullptr;
  options.set(CURLOPT_POST, 1L);
  if (spec.binding) {
    posting.easy = easy.get();
    posting.kind = *spec.binding;
    return options.set(CURLOPT_POSTFIELDS, none)
        .set(CURLOPT_POSTFIELDSIZE, static_cast<long>(posting.upload.size()))
        .set(CURLOPT_READFUNCTION, &send_body)
        .set(CURLOPT_READDATA, static_cast<void*>(&posting))
        .set(CURLOPT_SEEKFUNCTION, &rewind_body)
        .set(CURLOPT_SEEKDATA, static_cast<void*>(&posting))
        .done();
  }
  const auto body = posting.upload.text();
  if (!body) return fail(body.error());
  return options.set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()))
      .set(CURLOPT_COPYPOSTFIELDS, body->c_str())
      .done();
}

void Connection::State::count() {
  current.connections = static_cast<unsigned>(info<long>(easy.get(), CURLINFO_NUM_CONNECTS));
  current.handshakes = tls.handshakes() - traffic.handshakes;
  current.requests = 1;
  traffic += current;
  if (spec.meter != nullptr) *spec.meter += current;
}

/// What has gone wrong, by whoever knows it best: this side, what was received, the proxy, TLS, libcurl.
Error Connection::State::explain(CURLcode code, const Reception& reception, unsigned configured_before) {
  if (code == CURLE_ABORTED_BY_CALLBACK)
    return {.code = Errc::cancelled, .retry = Retry::later, .what = "the job was cancelled"};
  if (auto error = tls.take_error()) return std::move(*error);
  if (reception.answer.cut || reception.head_too_large()) {
    return {.code = Errc::answer_too_large,
            .retry = Retry::later,
            .what = "the server's answer is too large",
            .reason = reception.head_too_large()
                          ? "its head is longer than " + std::to_string(Reception::head_limit) + " bytes"
                          : "it is longer than " + std::to_string(spec.limits.answer_bytes) + " bytes",
            .hint = "is this the URL of an EST server?"};
  }
  const bool has_proxy = spec.proxy && !is_excepted(*spec.proxy, host);
  const bool was_reached =
      tls.configured() != configured_before || info<curl_off_t>(easy.get(), CURLINFO_PRETRANSFER_TIME_T) > 0;
  if (has_proxy && !was_reached) {
    return proxy_error({.code = code,
                        .text = text.data(),
                        .connect_status = info<long>(easy.get(), CURLINFO_HTTP_CONNECTCODE),
                        .socks_code = static_cast<CURLproxycode>(info<long>(easy.get(), CURLINFO_PROXY_ERROR))});
  }
  if (tls.verify_error() != X509_V_OK && code != CURLE_PEER_FAILED_VERIFICATION) {  // lost within an https proxy's TLS
    return curl_error({.code = CURLE_PEER_FAILED_VERIFICATION,
                       .text = X509_verify_cert_error_string(tls.verify_error()),
                       .verify_result = tls.verify_error()});
  }
  return curl_error({.code = code, .text = text.data(), .verify_result = tls.verify_error(), .alert = tls.alert()});
}

Result<Answer> Connection::State::exchange(const Request& request, milliseconds time, Posting* posting) {
  Reception reception(spec.limits.answer_bytes, request.body_end);
  Result<> ready;
  if (!tls.suits_binding()) ready = open();
  if (ready) ready = address(request, time, reception);
  if (ready && posting != nullptr) ready = load(request, *posting);
  if (!ready) return fail(std::move(ready.error()));
  text.fill('\0');
  current = {};
  tls.begin_exchange();
  const unsigned configured = tls.configured();

  const CURLcode code = curl_easy_perform(easy.get());
  count();
  reception.answer.status = info<long>(easy.get(), CURLINFO_RESPONSE_CODE);

  if (posting != nullptr && posting->error) return fail(std::move(*posting->error));
  const bool cut_refusal = code == CURLE_WRITE_ERROR && reception.answer.cut && reception.answer.status != 200;
  const bool ended_here = code == CURLE_WRITE_ERROR && reception.body_ended();
  if (code != CURLE_OK && !cut_refusal && !ended_here) return fail(explain(code, reception, configured));
  // curl takes a connection that ends within the head for an answer without a body.
  if (!reception.head_complete()) return fail(explain(CURLE_PARTIAL_FILE, reception, configured));
  return std::move(reception.answer);
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::prepare(ConnectionSpec spec) {
  auto state = std::make_unique<State>(std::move(spec));
  if (const auto binding = state->spec.binding) state->tls.bind(*binding);
  if (auto opened = state->open(); !opened) return fail(std::move(opened.error()));
  return std::unique_ptr<Connection>(new Connection(std::move(state)));
}

Result<Answer> Connection::ask(Request request) {
  using std::chrono::steady_clock;
  std::optional<FipsMode> fips;
  if (state_->tls.options().fips) {
    auto entered = FipsMode::enter();
    if (!entered) return fail(std::move(entered.error()));
    fips.emplace(std::move(*entered));
  }
  std::optional<Posting> posting;
  const std::optional<Content> content = request.content;
  if (content) posting.emplace(Posting{.upload = Upload(content->source)});
  const Limits& limits = state_->spec.limits;
  const auto own_deadline = steady_clock::now() + limits.request_timeout;
  const auto deadline = std::min(own_deadline, limits.deadline.value_or(own_deadline));
  for (int redirects = 0;; ++redirects) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (posting) posting->upload.rewind();
    auto answer = state_->exchange(request, std::max(left, milliseconds(1)), posting ? &*posting : nullptr);
    if (!answer || !is_redirect(*answer)) return answer;
    if (redirects == most_redirects) return fail(redirects_too_often());
    auto next = follow(request, *answer);
    if (!next) return fail(std::move(next.error()));
    request = std::move(*next);
  }
}

void Connection::put_off_deadline(std::chrono::steady_clock::duration by) {
  if (auto& deadline = state_->spec.limits.deadline) *deadline += by;
}

void Connection::bind(BindingKind kind) {
  state_->spec.binding = kind;
  state_->tls.bind(kind);
}

std::optional<BindingKind> Connection::binding() const { return state_->spec.binding; }

const Traffic& Connection::traffic() const { return state_->traffic; }

const Tls& Connection::tls() const { return state_->tls; }

}  // namespace devid::est
