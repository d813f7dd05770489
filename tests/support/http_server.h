#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace devid::test {

/// A request as it came.
struct HttpRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;

  /// The value of a header, or nothing.
  [[nodiscard]] std::optional<std::string> header(std::string_view name) const;
};

/// What is at a path.
struct HttpPage {
  unsigned status = 200;
  std::string media_type = "application/octet-stream";
  std::string body;
  std::chrono::milliseconds delay{0};                        ///< before anything is sent
  bool chunked = false;                                      ///< in chunks, without a Content-Length
  std::vector<std::pair<std::string, std::string>> headers;  ///< more of them: {"Location", "http://…"}
  std::optional<std::size_t> cut_after;                      ///< the connection ends after so many bytes of the body
  /// Makes the body, if it is given: it depends on the request then. Called from a thread of the server. What it throws
  /// becomes status 500.
  std::function<std::string(const HttpRequest&)> answer = nullptr;
};

/// A plain HTTP server on 127.0.0.1, at a free port, for what certificates name: OCSP responders, CRLs, CA
/// certificates. A thread per connection, one request per connection. A path that it does not know is 404. Throws
/// std::runtime_error if it cannot start.
class HttpServer {
 public:
  HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  HttpServer(HttpServer&&) = delete;
  HttpServer& operator=(HttpServer&&) = delete;
  /// Cuts every connection and waits for its threads.
  ~HttpServer();

  [[nodiscard]] std::uint16_t port() const;
  /// "http://127.0.0.1:PORT/PATH"; the path starts with "/".
  [[nodiscard]] std::string url(const std::string& path = "/") const;

  /// Puts a page at a path, in place of what was there. The query of a request counts as part of its path.
  void serve(const std::string& path, HttpPage page);
  /// Takes a page away.
  void remove(const std::string& path);

  /// What was asked for so far, in order, unknown paths too.
  [[nodiscard]] std::vector<HttpRequest> requests() const;
  /// Forgets what was asked for.
  void forget();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace devid::test
