#include "tests/support/est_server.h"

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "tests/support/connection_threads.h"
#include "tests/support/cut_socket.h"
#include "tests/support/est_binding.h"
#include "tests/support/seen_headers.h"

namespace devid::test {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;
using Tcp = asio::ip::tcp;
using Stream = asio::ssl::stream<CutSocket>;
using Certificate = Owned<X509, X509_free>;

constexpr std::size_t request_limit = 1U << 20U;

/// RFC 6066 8. OpenSSL takes the copy.
int put_staple(SSL* ssl, void* response) {
  const auto& bytes = *static_cast<const Bytes*>(response);
  auto* copy = static_cast<unsigned char*>(OPENSSL_memdup(bytes.data(), bytes.size()));
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(bytes.size()));
  return SSL_TLSEXT_ERR_OK;
}

void staple(SSL_CTX* context, const Bytes& response) {
  if (response.empty()) return;
  SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, reinterpret_cast<void (*)()>(&put_staple));
  SSL_CTX_set_tlsext_status_arg(context, const_cast<Bytes*>(&response));
}

asio::ssl::context make_context(const EstServerSpec& spec, const EstService& service) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) throw std::runtime_error("cannot make a TLS context: " + openssl_reason());
  asio::ssl::context owner(context);
  const bool old_only = spec.tls == TlsVersion::tls_1_2;
  const bool new_only = spec.tls == TlsVersion::tls_1_3;
  SSL_CTX_set_security_level(context, 0);          // it is the client that has to be strict
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);  // each handshake shows the client's certificate
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  staple(context, spec.stapled);
  if (SSL_CTX_set_min_proto_version(context, new_only ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(context, old_only ? TLS1_2_VERSION : 0) != 1 ||
      SSL_CTX_use_certificate_chain_file(context, spec.certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, spec.key.c_str(), SSL_FILETYPE_PEM) != 1)
    throw std::runtime_error("cannot use " + spec.certificate.string() + ": " + openssl_reason());
  service.trust_clients(context);
  return owner;
}

SeenRequest seen(const http::request<http::string_body>& request) {
  return {.method = text_of(request.method_string()),
          .target = text_of(request.target()),
          .version = request.version() == 10 ? "HTTP/1.0" : "HTTP/1.1",
          .headers = seen_headers(request),
          .body = request.body()};
}

}  // namespace

struct EstServer::State {
  explicit State(EstServerSpec server_spec)
      : spec(std::move(server_spec)), service(spec), context(make_context(spec, service)) {}

  struct Planned {
    Misbehaviour misbehaviour;
    unsigned left;
  };

  EstServerSpec spec;
  EstService service;
  asio::ssl::context context;

  mutable std::mutex mutex;  ///< for all that follows but the threads
  std::map<EstOperation, std::deque<Planned>> plans;
  std::optional<std::size_t> handshake_cut;
  std::chrono::milliseconds handshake_drip{0};
  std::size_t connections = 0;
  std::size_t handshakes = 0;
  std::vector<SeenRequest> requests;
  ConnectionThreads threads{spec.address, spec.port, [this](Tcp::socket& socket) { serve(socket); }};

  void serve(Tcp::socket& socket);
  void converse(Stream& stream, std::size_t number);
  bool reply_to(Stream& stream, SeenRequest request);
  bool send(Stream& stream, const std::string& bytes, const Misbehaviour& misbehaviour);
  bool drip(Stream& stream, const std::string& bytes, std::chrono::milliseconds interval);
  Misbehaviour next_plan(std::optional<EstOperation> operation);
};

void EstServer::State::serve(Tcp::socket& socket) {
  std::size_t number = 0;
  {
    const std::scoped_lock lock(mutex);
    number = ++connections;
  }
  ErrorCode ignored;
  static_cast<void>(socket.set_option(Tcp::no_delay(true), ignored));
  Stream stream(CutSocket(socket), context);
  converse(stream, number);
}

void EstServer::State::converse(Stream& stream, std::size_t number) {
  ErrorCode error;
  {
    const std::scoped_lock lock(mutex);
    stream.next_layer().cut_after(handshake_cut);
    stream.next_layer().drip(handshake_drip);
  }
  static_cast<void>(stream.handshake(Stream::server, error));
  if (error) return;
  stream.next_layer().cut_after(std::nullopt);
  stream.next_layer().drip(std::chrono::milliseconds(0));
  {
    const std::scoped_lock lock(mutex);
    ++handshakes;
  }
  boost::beast::flat_buffer buffer;
  for (bool open = true; open;) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(request_limit);
    http::read(stream, buffer, parser, error);
    if (error) return;
    SeenRequest request = seen(parser.get());
    request.connection = number;
    request.wants_more = parser.get().keep_alive();
    open = reply_to(stream, std::move(request));
  }
  static_cast<void>(stream.shutdown(error));
}

bool EstServer::State::reply_to(Stream& stream, SeenRequest request) {
  const Certificate certificate(SSL_get1_peer_certificate(stream.native_handle()));
  request.tls_version = SSL_get_version(stream.native_handle());
  if (certificate) request.client = subject_text(certificate.get());

  const Misbehaviour plan = next_plan(service.operation_of(request.target));
  const TlsPeer peer{.certificate = certificate.get(),
                     .chain = SSL_get_peer_cert_chain(stream.native_handle()),
                     .bindings = bindings_of(stream.native_handle())};
  const Reply reply = service.answer(request, peer, plan);
  const bool goes_on = request.wants_more || plan.stays_open;
  request.status = reply.status;
  if (spec.on_request) spec.on_request(request);
  {
    const std::scoped_lock lock(mutex);
    requests.push_back(std::move(request));
  }
  threads.pause(plan.delay);
  return send(stream, answer_bytes(reply, plan), plan) && goes_on;
}

/// Returns whether the connection goes on.
bool EstServer::State::send(Stream& stream, const std::string& bytes, const Misbehaviour& misbehaviour) {
  ErrorCode error;
  if (misbehaviour.drip.count() > 0) return drip(stream, bytes, misbehaviour.drip);
  const std::size_t size = std::min(bytes.size(), misbehaviour.cut_after.value_or(bytes.size()));
  asio::write(stream, asio::buffer(bytes.data(), size), error);
  while (!error && !misbehaviour.endless.empty()) asio::write(stream, asio::buffer(misbehaviour.endless), error);
  if (error) return false;
  const bool cut = size < bytes.size();
  if (cut && misbehaviour.ending == Ending::stall) threads.pause_until_stopped();
  if (cut && misbehaviour.ending == Ending::abrupt) {
    static_cast<void>(stream.lowest_layer().shutdown(Tcp::socket::shutdown_both, error));
    return false;
  }
  return !cut && !misbehaviour.raw && misbehaviour.form != HttpForm::http_1_0;
}

bool EstServer::State::drip(Stream& stream, const std::string& bytes, std::chrono::milliseconds interval) {
  ErrorCode error;
  for (const char& byte : bytes) {
    asio::write(stream, asio::buffer(&byte, 1), error);
    if (error) return false;
    threads.pause(interval);
  }
  return true;
}

Misbehaviour EstServer::State::next_plan(std::optional<EstOperation> operation) {
  const std::scoped_lock lock(mutex);
  if (!operation || plans[*operation].empty()) return {};
  auto& queue = plans[*operation];
  const Misbehaviour next = queue.front().misbehaviour;
  if (queue.front().left != always) --queue.front().left;
  if (queue.front().left == 0) queue.pop_front();
  return next;
}

EstServer::EstServer(EstServerSpec spec) : state_(std::make_unique<State>(std::move(spec))) {}

EstServer::~EstServer() = default;

std::uint16_t EstServer::port() const { return state_->threads.port(); }

std::string EstServer::url(const std::string& host) const { return "https://" + host + ":" + std::to_string(port()); }

void EstServer::misbehave(EstOperation operation, Misbehaviour misbehaviour, unsigned times) {
  const std::scoped_lock lock(state_->mutex);
  state_->plans[operation].push_back({std::move(misbehaviour), times});
}

void EstServer::cut_handshakes(std::size_t after_bytes) {
  const std::scoped_lock lock(state_->mutex);
  state_->handshake_cut = after_bytes;
}

void EstServer::drip_handshakes(std::chrono::milliseconds interval) {
  const std::scoped_lock lock(state_->mutex);
  state_->handshake_drip = interval;
}

void EstServer::behave() {
  const std::scoped_lock lock(state_->mutex);
  state_->plans.clear();
  state_->handshake_cut.reset();
  state_->handshake_drip = {};
}

std::size_t EstServer::connections() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->connections;
}

std::size_t EstServer::handshakes() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->handshakes;
}

std::vector<SeenRequest> EstServer::requests() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->requests;
}

std::vector<std::string> EstServer::issued() const { return state_->service.issued(); }

void EstServer::forget() {
  state_->service.forget();
  const std::scoped_lock lock(state_->mutex);
  state_->connections = 0;
  state_->handshakes = 0;
  state_->requests.clear();
}

}  // namespace devid::test
