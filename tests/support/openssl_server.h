#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/background.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {

/// `openssl s_server` on a port of 127.0.0.1: takes connections one after the other, answers nothing, and writes down
/// what it sees of them. Throws std::runtime_error if it does not listen within seconds.
class OpensslServer {
 public:
  /// PEM files of its certificate, of its key, and of the CA from which it demands a client certificate; more of its
  /// options ("-tls1_2").
  OpensslServer(const std::filesystem::path& certificate, const std::filesystem::path& key,
                const std::filesystem::path& client_ca, const std::vector<std::string>& options);

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// What it has written: the handshake messages in hexadecimal, what it says of the connection, the bytes it received.
  [[nodiscard]] std::string log() const;

 private:
  TemporaryDirectory directory_;
  std::uint16_t port_;
  BackgroundProcess process_;
};

}  // namespace devid::test
