#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "agent/est/session.h"
#include "agent/pki/csr.h"
#include "tests/support/est_server.h"
#include "tests/support/fake_token.h"
#include "tests/support/test_pki.h"

namespace devid::est::test {

/// The value of a result, or the end of the test.
template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().sentence() + " hint: " + result.error().hint);
  return std::move(*result);
}

/// The CAs of all these tests, made once: "manufacturer"; "operator", a root, with "issuing" below it; "stranger".
class Cas {
 public:
  static Cas& instance();
  devid::test::TestPki pki;
  devid::test::TestCredential server;  ///< of "operator", for localhost, 127.0.0.1 and ::1

 private:
  Cas();
};

/// The certificates of a PEM text.
std::vector<pki::Certificate> certificates(const std::string& pem);

/// A key in a token in memory, wrapped for OpenSSL.
class Key {
 public:
  explicit Key(KeyAlgorithm algorithm);
  [[nodiscard]] SigningKey& signing_key() { return *wrapped_; }
  devid::test::FakeHardware hardware;

 private:
  devid::test::FakeToken token_;
  std::unique_ptr<PrivateKey> key_;
  std::unique_ptr<SigningKey> wrapped_;
};

/// A device with an IDevID of `manufacturer`.
class Device {
 public:
  explicit Device(KeyAlgorithm algorithm = KeyAlgorithm::ec_p256, const std::string& manufacturer = "manufacturer");
  [[nodiscard]] ClientCredential credential();
  Key key;
  pki::Certificate certificate;
};

/// A request for O=Example, CN=gateway and DNS:gateway.example.
Bytes request_of(SigningKey& key);

/// The same made when it is needed, with the channel binding; remembers for which.
class Requests {
 public:
  explicit Requests(SigningKey& key) : key_(&key) {}
  [[nodiscard]] CsrSource source();
  std::vector<std::optional<std::string>> bindings;

 private:
  SigningKey* key_;
};

Secret secret(std::string_view text);

/// A server for all of "operator"; the file names and CAs are filled in.
devid::test::EstServerSpec server_spec();

/// What a session with that server needs, with short limits.
SessionSpec session_spec(const devid::test::EstServer& server, Device& device, const std::string& path = {});

}  // namespace devid::est::test
