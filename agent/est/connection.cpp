#include "agent/est/connection.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>

#include "agent/est/ascii.h"
#include "agent/est/curl_error.h"
#include "base/owned.h"

namespace devid::est {
namespace {

using Easy = Owned<CURL, curl_easy_cleanup>;
using Lines = Owned<curl_slist, curl_slist_free_all>;

constexpr std::size_t head_limit = 65536;
constexpr long longest_idle = 600;  // seconds: a slow token may make a key between two requests
constexpr std::array<std::string_view, 4> kept_headers = {"content-type", "date", "location", "retry-after"};

/// What has come of an answer so far.
struct Reception {
  CURL* easy = nullptr;
  std::size_t limit = 0;
  std::size_t head_bytes = 0;
  bool head_complete = false;
  bool head_too_large = false;
  Answer answer;
};

void keep_header(Answer& answer, std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name = ascii::lower(line.substr(0, colon));
  if (std::ranges::find(kept_headers, name) == kept_headers.end()) return;
  answer.headers.try_emplace(std::move(name), ascii::trim(line.substr(colon + 1)));
}

/// CURLOPT_HEADERFUNCTION: a line at a time; a new status line starts over, after 1xx.
std::size_t receive_head(const char* data, std::size_t one, std::size_t size, void* context) {
  static_cast<void>(one);
  auto& reception = *static_cast<Reception*>(context);
  reception.head_bytes += size;
  reception.head_too_large = reception.head_bytes > head_limit;
  if (reception.head_too_large) return CURL_WRITEFUNC_ERROR;
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    reception.answer.headers.clear();
    reception.head_complete = false;
  } else if (ascii::trim(line).empty()) {
    reception.head_complete = true;
  } else {
    keep_header(reception.answer, line);
  }
  return size;
}

/// CURLOPT_WRITEFUNCTION.
std::size_t receive_body(const char* data, std::size_t one, std::size_t size, void* context) {
  static_cast<void>(one);
  auto& reception = *static_cast<Reception*>(context);
  auto& answer = reception.answer;
  const std::size_t room = reception.limit - answer.body.size();
  answer.body.append(data, std::min(size, room));
  answer.cut = size > room;
  return answer.cut ? CURL_WRITEFUNC_ERROR : size;
}

/// CURLOPT_XFERINFOFUNCTION: about once a second while nothing comes. Anything but 0 ends the exchange.
int on_progress(void* context, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent) {
  static_cast<void>(to_receive + received + to_send + sent);
  const auto& cancelled = *static_cast<const std::function<bool()>*>(context);
  return cancelled && cancelled() ? 1 : 0;
}

/// Applies options until one fails.
class Options {
 public:
  explicit Options(CURL* easy) : easy_(easy) {}
  template <class Value>
  Options& set(CURLoption option, Value value) {
    if (code_ == CURLE_OK) code_ = curl_easy_setopt(easy_, option, value);
    return *this;
  }
  [[nodiscard]] Result<> done() const {
    if (code_ == CURLE_OK) return {};
    return fail(curl_error({.code = code_, .text = std::string("cannot set an option: ") + curl_easy_strerror(code_)}));
  }

 private:
  CURL* easy_;
  CURLcode code_ = CURLE_OK;
};

}  // namespace

struct Connection::State {
  std::unique_ptr<Tls> tls;
  std::optional<Error> tls_error;
  std::function<bool()> cancelled;
  std::array<char, CURL_ERROR_SIZE> text{};
  Lines lines;
  std::size_t answer_bytes = 0;
  unsigned opened = 0;
  Easy easy;  // goes first: it writes into what is above

  static CURLcode on_context(CURL* easy, void* context, void* self);
  Result<> set_up(const Limits& limits);
  Result<> address(const Request& request, std::chrono::milliseconds time, Reception& reception);
  Error explain(CURLcode code, const Reception& reception);
};

/// CURLOPT_SSL_CTX_FUNCTION: once a connection, before its handshake.
CURLcode Connection::State::on_context(CURL* easy, void* context, void* self) {
  static_cast<void>(easy);
  auto& state = *static_cast<State*>(self);
  auto configured = state.tls->configure(static_cast<SSL_CTX*>(context));
  if (configured) return CURLE_OK;
  state.tls_error = std::move(configured.error());
  return CURLE_SSL_CERTPROBLEM;
}

Result<> Connection::State::set_up(const Limits& limits) {
  answer_bytes = limits.answer_bytes;
  const char* none = nullptr;
  return Options(easy.get())
      .set(CURLOPT_ERRORBUFFER, text.data())
      .set(CURLOPT_NOSIGNAL, 1L)
      .set(CURLOPT_PROTOCOLS_STR, "https")
      .set(CURLOPT_REDIR_PROTOCOLS_STR, "https")
      .set(CURLOPT_FOLLOWLOCATION, 0L)
      .set(CURLOPT_PROXY, "")
      .set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED))
      .set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2))
      .set(CURLOPT_SSL_VERIFYPEER, 1L)
      .set(CURLOPT_SSL_VERIFYHOST, 2L)
      .set(CURLOPT_CAINFO, none)
      .set(CURLOPT_CAPATH, none)
      .set(CURLOPT_CA_CACHE_TIMEOUT, 0L)
      .set(CURLOPT_SSL_CTX_FUNCTION, &State::on_context)
      .set(CURLOPT_SSL_CTX_DATA, static_cast<void*>(this))
      .set(CURLOPT_MAXAGE_CONN, longest_idle)
      .set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(limits.connect_timeout.count()))
      .set(CURLOPT_USERAGENT, "devid/" DEVID_VERSION)
      .set(CURLOPT_HEADERFUNCTION, &receive_head)
      .set(CURLOPT_WRITEFUNCTION, &receive_body)
      .set(CURLOPT_XFERINFOFUNCTION, &on_progress)
      .set(CURLOPT_XFERINFODATA, static_cast<void*>(&cancelled))
      .set(CURLOPT_NOPROGRESS, 0L)
      .done();
}

Result<> Connection::State::address(const Request& request, std::chrono::milliseconds time, Reception& reception) {
  lines.reset();
  const auto add = [this](const std::string& line) {
    if (lines) {
      curl_slist_append(lines.get(), line.c_str());
    } else {
      lines.reset(curl_slist_append(nullptr, line.c_str()));
    }
  };
  add("Accept: " + request.accept);
  Options options(easy.get());
  if (request.body) {
    add("Content-Type: application/pkcs10");
    add("Content-Transfer-Encoding: base64");
    add("Expect:");
    options.set(CURLOPT_POST, 1L)
        .set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body->size()))
        .set(CURLOPT_POSTFIELDS, request.body->c_str());
  } else {
    options.set(CURLOPT_HTTPGET, 1L);
  }
  return options.set(CURLOPT_URL, request.url.c_str())
      .set(CURLOPT_HTTPHEADER, lines.get())
      .set(CURLOPT_TIMEOUT_MS, static_cast<long>(time.count()))
      .set(CURLOPT_HEADERDATA, static_cast<void*>(&reception))
      .set(CURLOPT_WRITEDATA, static_cast<void*>(&reception))
      .done();
}

Error Connection::State::explain(CURLcode code, const Reception& reception) {
  if (code == CURLE_ABORTED_BY_CALLBACK)
    return {.code = Errc::cancelled, .retry = Retry::later, .what = "the job was cancelled"};
  auto key_error = tls->take_key_error();
  if (key_error) return std::move(*key_error);
  if (tls_error) return std::move(*tls_error);
  if (reception.answer.cut || reception.head_too_large) {
    return {.code = Errc::answer_too_large,
            .retry = Retry::later,
            .what = "the server's answer is too large",
            .reason = reception.head_too_large ? "its head is longer than " + std::to_string(head_limit) + " bytes"
                                               : "it is longer than " + std::to_string(answer_bytes) + " bytes",
            .hint = "is this the URL of an EST server?"};
  }
  long verify_result = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_SSL_VERIFYRESULT, &verify_result);
  return curl_error({.code = code, .text = text.data(), .verify_result = verify_result, .alert = tls->alert()});
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::prepare(std::unique_ptr<Tls> tls, const Limits& limits,
                                                        std::function<bool()> cancelled) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  auto state = std::make_unique<State>();
  state->tls = std::move(tls);
  state->cancelled = std::move(cancelled);
  if (started == CURLE_OK) state->easy.reset(curl_easy_init());
  if (!state->easy) return fail(curl_error({.code = CURLE_FAILED_INIT}));
  if (auto ready = state->set_up(limits); !ready) return tl::unexpected(std::move(ready.error()));
  return std::unique_ptr<Connection>(new Connection(std::move(state)));
}

Result<Answer> Connection::exchange(const Request& request, std::chrono::milliseconds time) {
  Reception reception{.limit = state_->answer_bytes};
  if (auto ready = state_->address(request, time, reception); !ready) return tl::unexpected(std::move(ready.error()));
  state_->text.fill('\0');
  state_->tls_error.reset();
  state_->tls->begin_exchange();

  const CURLcode code = curl_easy_perform(state_->easy.get());
  long opened = 0;
  curl_easy_getinfo(state_->easy.get(), CURLINFO_NUM_CONNECTS, &opened);
  state_->opened += static_cast<unsigned>(opened);
  curl_easy_getinfo(state_->easy.get(), CURLINFO_RESPONSE_CODE, &reception.answer.status);

  const bool cut_refusal = code == CURLE_WRITE_ERROR && reception.answer.cut && reception.answer.status != 200;
  if (code != CURLE_OK && !cut_refusal) return fail(state_->explain(code, reception));
  // curl takes a connection that ends within the head for an answer without a body.
  if (!reception.head_complete) return fail(state_->explain(CURLE_PARTIAL_FILE, reception));
  return std::move(reception.answer);
}

unsigned Connection::opened() const { return state_->opened; }

bool Connection::authenticated() const { return state_->tls->authenticated(); }

}  // namespace devid::est
