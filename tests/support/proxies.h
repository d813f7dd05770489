#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/background.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {

/// A proxy of somebody else's on a port of 127.0.0.1, as a process that ends with the object. Throws std::runtime_error
/// if it does not listen within seconds.
class ProxyProcess {
 public:
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// What it has written.
  [[nodiscard]] std::string log() const;

  struct Login {
    std::string user;
    std::string password;
  };
  /// tinyproxy: http, CONNECT, with HTTP Basic if there is a login; only to the port, if one is given.
  static ProxyProcess tinyproxy(const Login& login = {}, std::uint16_t only_port = 0);
  /// microsocks: SOCKS 5 with user and password.
  static ProxyProcess microsocks(const Login& login);
  /// nghttpx with TLS, before tinyproxy: an https proxy.
  static ProxyProcess https(const ProxyProcess& behind, const std::filesystem::path& certificate,
                            const std::filesystem::path& key);
  /// nghttpx that speaks HTTP/2 with the client, and HTTP/1.1 over TLS with the server behind it.
  static ProxyProcess http_2(std::uint16_t server, const std::filesystem::path& certificate,
                             const std::filesystem::path& key);

 private:
  explicit ProxyProcess(std::uint16_t port) : port_(port) {}
  static std::uint16_t free_port();
  void start(std::vector<std::string> argv);

  std::uint16_t port_;
  std::unique_ptr<TemporaryDirectory> directory_ = std::make_unique<TemporaryDirectory>();
  std::unique_ptr<BackgroundProcess> process_;
};

}  // namespace devid::test
