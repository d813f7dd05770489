#include "tests/support/http_server.h"

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <map>
#include <mutex>
#include <sstream>

#include "tests/support/connection_threads.h"
#include "tests/support/seen_headers.h"

namespace devid::test {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr std::size_t request_limit = 1U << 20U;
constexpr std::size_t chunk_size = 1000;

HttpRequest seen(const http::request<http::string_body>& request) {
  return {.method = text_of(request.method_string()),
          .target = text_of(request.target()),
          .headers = seen_headers(request),
          .body = request.body()};
}

std::string in_chunks(const std::string& body) {
  std::ostringstream out;
  for (std::size_t at = 0; at < body.size(); at += chunk_size) {
    const std::string chunk = body.substr(at, chunk_size);
    out << std::hex << chunk.size() << "\r\n" << chunk << "\r\n";
  }
  out << "0\r\n\r\n";
  return out.str();
}

/// The whole answer, cut as the page wants it.
std::string bytes_of(const HttpPage& page, const std::string& body) {
  std::ostringstream out;
  out << "HTTP/1.1 " << page.status << " " << http::obsolete_reason(http::int_to_status(page.status))
      << "\r\nConnection: close\r\nContent-Type: " << page.media_type << "\r\n";
  for (const auto& [name, value] : page.headers) out << name << ": " << value << "\r\n";
  if (page.chunked) {
    out << "Transfer-Encoding: chunked\r\n\r\n";
  } else {
    out << "Content-Length: " << body.size() << "\r\n\r\n";
  }
  const std::string framed = page.chunked ? in_chunks(body) : body;
  out << framed.substr(0, page.cut_after.value_or(framed.size()));
  return out.str();
}

}  // namespace

std::optional<std::string> HttpRequest::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, [](const auto& each) { return std::string_view(each.first); });
  return found == headers.end() ? std::nullopt : std::optional(found->second);
}

struct HttpServer::State {
  mutable std::mutex mutex;  ///< for the next two
  std::map<std::string, HttpPage> pages;
  std::vector<HttpRequest> requests;
  ConnectionThreads threads{"127.0.0.1", 0, [this](Tcp::socket& socket) { serve(socket); }};

  void serve(Tcp::socket& socket);
  void converse(Tcp::socket& socket);
  HttpPage page_for(const HttpRequest& request);
};

void HttpServer::State::serve(Tcp::socket& socket) {
  converse(socket);
  ErrorCode ignored;
  static_cast<void>(socket.shutdown(Tcp::socket::shutdown_send, ignored));
}

void HttpServer::State::converse(Tcp::socket& socket) {
  ErrorCode error;
  boost::beast::flat_buffer buffer;
  http::request_parser<http::string_body> parser;
  parser.body_limit(request_limit);
  http::read(socket, buffer, parser, error);
  if (error) return;
  const HttpRequest request = seen(parser.get());
  HttpPage page = page_for(request);
  std::string body = page.body;
  try {
    if (page.answer) body = page.answer(request);
  } catch (const std::exception& failure) {
    page.status = 500;
    body = failure.what();
  }
  threads.pause(page.delay);
  asio::write(socket, asio::buffer(bytes_of(page, body)), error);
}

HttpPage HttpServer::State::page_for(const HttpRequest& request) {
  const std::scoped_lock lock(mutex);
  requests.push_back(request);
  const auto found = pages.find(request.target);
  if (found == pages.end()) return {.status = 404, .media_type = "text/plain", .body = "there is nothing here\n"};
  return found->second;
}

HttpServer::HttpServer() : state_(std::make_unique<State>()) {}

HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const { return state_->threads.port(); }

std::string HttpServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port()) + path;
}

void HttpServer::serve(const std::string& path, HttpPage page) {
  const std::scoped_lock lock(state_->mutex);
  state_->pages.insert_or_assign(path, std::move(page));
}

void HttpServer::remove(const std::string& path) {
  const std::scoped_lock lock(state_->mutex);
  state_->pages.erase(path);
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->requests;
}

void HttpServer::forget() {
  const std::scoped_lock lock(state_->mutex);
  state_->requests.clear();
}

}  // namespace devid::test
