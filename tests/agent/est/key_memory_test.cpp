// A private key that a server made, in the memory of the process that asked for it. The server is another process.

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <chrono>
#include <fstream>
#include <thread>

#include "agent/pki/server_key.h"
#include "base/openssl_memory.h"
#include "tests/agent/est/device.h"
#include "tests/support/background.h"
#include "tests/support/copies_in_memory.h"

namespace devid::est::test {
namespace {

using devid::test::BackgroundProcess;
using devid::test::copies_in_memory;
using devid::test::TemporaryDirectory;
using devid::test::trace_of;

/// Before anything else in this process: that OpenSSL has not allocated yet is the condition.
const bool openssl_wipes = wipe_openssl_memory();

class AServerElsewhere {
 public:
  AServerElsewhere() {
    for (int i = 0; i < 500 && port_.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      std::ifstream(directory_.path() / "port") >> port_;
    }
  }
  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + port_; }

 private:
  std::vector<std::string> command_line() {
    const auto spec = server_spec();
    return {DEVID_TEST_EST_SERVER, "--die-with-parent",  "--port-file",   directory_.path() / "port",
            "--server-cert",       spec.certificate,     "--server-key",  spec.key,
            "--manufacturer-ca",   spec.manufacturer_ca, "--issuer-cert", spec.issuer.certificate,
            "--issuer-key",        spec.issuer.key};
  }

  TemporaryDirectory directory_;
  BackgroundProcess process_{command_line(), {}, directory_.path() / "log"};
  std::string port_;
};

/// Where a part of the secret is in a PKCS#8 key, so that its base64 is within one line of the answer.
std::size_t place_in(KeyAlgorithm algorithm) { return algorithm == KeyAlgorithm::ec_p256 ? 36 : 390; }

/// Of a part of the key as it is on the wire.
std::string trace_of_base64(BytesView part) {
  std::array<unsigned char, 17> digits{};  // and a NUL
  EVP_EncodeBlock(digits.data(), as_uchar(part), static_cast<int>(part.size()));
  std::string trace = trace_of(std::as_bytes(std::span(digits).first<16>()));
  wipe(std::as_writable_bytes(std::span(digits)));
  return trace;
}

struct Traces {
  std::string octets;
  std::string base64;
};

class AKeyOnItsWay : public testing::TestWithParam<KeyAlgorithm> {
 protected:
  /// One exchange from its beginning to its end; nothing of it is kept.
  Traces exchange() {
    auto session = need(Session::create({.endpoint = need(Endpoint::parse(server_.url())),
                                         .anchors = certificates(Cas::instance().pki.ca("operator").certificate_pem),
                                         .client = device_.credential(),
                                         .authentication = {},
                                         .proxy = {},
                                         .tls = {},
                                         .binding = {},
                                         .check_server = {},
                                         .limits = {},
                                         .cancelled = {}}));
    const auto answer = need(session->server_keygen(Requests(new_key_.signing_key()).source()));
    const auto& generated = std::get<GeneratedKey>(answer);
    const BytesView der = generated.key.reveal();
    Traces traces{.octets = trace_of(der.subspan(place_in(GetParam()), 16)),
                  .base64 = trace_of_base64(der.subspan(place_in(GetParam()), 12))};
    session.reset();
    EXPECT_EQ(copies_in_memory(traces.octets), 1U) << "that of the answer";
    EXPECT_EQ(copies_in_memory(traces.base64), 0U) << "what was received is gone";
    const auto key = need(pki::read_server_key(generated.form, der, {}));
    EXPECT_EQ(key.public_key.algorithm, GetParam());
    EXPECT_GE(copies_in_memory(traces.octets), 2U) << "it is found while it is there";
    return traces;
  }

  AServerElsewhere server_;
  Device device_;
  Key new_key_{GetParam()};
};

TEST_P(AKeyOnItsWay, IsNowhereOnceItIsForgotten) {
  ASSERT_TRUE(openssl_wipes);
  const Traces traces = exchange();
  EXPECT_EQ(copies_in_memory(traces.octets), 0U);
  EXPECT_EQ(copies_in_memory(traces.base64), 0U);
}

INSTANTIATE_TEST_SUITE_P(OfEachKind, AKeyOnItsWay, testing::Values(KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048),
                         [](const auto& each) { return each.param == KeyAlgorithm::ec_p256 ? "ec" : "rsa"; });

}  // namespace
}  // namespace devid::est::test
