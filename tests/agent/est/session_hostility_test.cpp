#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"
#include "tests/support/command.h"
#include "tests/support/forked_child.h"

namespace devid::est::test {
namespace {

using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::Misbehaviour;
using devid::test::TlsVersion;
using std::chrono::milliseconds;

constexpr long most_kilobytes = 32L * 1024;
constexpr std::string_view good_head = "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\n";

/// The most memory that this process has had, in kB.
long peak() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  throw std::runtime_error("no VmHWM");
}

class AHostileServer : public testing::Test {
 protected:
  static Result<std::vector<pki::Certificate>> ask(const EstServer& server, Device& device,
                                                   Seconds time = Seconds(20)) {
    auto spec = session_spec(server, device);
    spec.limits.request_timeout = time;
    return need(Session::create(std::move(spec)))->ca_certificates();
  }
  /// In a process of its own, whose memory has not been used before. Returns the code of the error.
  std::string code_within_memory(const EstServer& server, const EstServer& warm_up) {
    const std::string report = devid::test::in_a_child([&]() -> std::string {
      static_cast<void>(need(ask(warm_up, device)));
      const long before = peak();
      const auto answer = ask(server, device, Seconds(3));
      const long growth = peak() - before;
      if (growth > most_kilobytes) return "it took " + std::to_string(growth) + " kB";
      return std::string(answer ? "no error" : code_name(answer.error().code)) + " " + std::to_string(growth);
    });
    const auto blank = report.rfind(' ');
    std::cout << "[ numbers  ] " << report << " kB\n";
    return report.substr(0, blank);
  }

  Device device;
};

TEST_F(AHostileServer, CannotFillTheMemory) {
  const EstServer good(server_spec());
  EstServer server(server_spec());
  const std::string filler(1000, 'x');
  const struct {
    const char* name;
    std::string raw;
    std::string endless;
    Errc code;
  } table[] = {
      {"headers", std::string(good_head), "X-Filler: " + filler + "\r\n", Errc::answer_too_large},
      {"one header", std::string(good_head) + "X-Filler: ", filler, Errc::answer_too_large},
      {"status line", "HTTP/1.1 200 ", filler, Errc::answer_too_large},
      {"1xx", "", "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n", Errc::answer_too_large},
      {"body", std::string(good_head) + "\r\n", filler, Errc::answer_too_large},
      {"body that says so", std::string(good_head) + "Content-Length: 99999999999\r\n\r\n", filler,
       Errc::answer_too_large},
      {"chunks", std::string(good_head) + "Transfer-Encoding: chunked\r\n\r\n", "3e8\r\n" + filler + "\r\n",
       Errc::answer_too_large},
      {"a huge chunk", std::string(good_head) + "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", filler,
       Errc::answer_too_large},
      {"a chunk beyond numbers", std::string(good_head) + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n",
       filler, Errc::network_unreachable},
      {"a chunk's extension", std::string(good_head) + "Transfer-Encoding: chunked\r\n\r\n1;", filler,
       Errc::network_timeout},
      {"trailers", std::string(good_head) + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-Filler: " + filler + "\r\n",
       Errc::answer_too_large},
      {"compression that nobody asked for", std::string(good_head) + "Content-Encoding: gzip\r\n\r\n\x1f\x8b", filler,
       Errc::answer_too_large},
  };
  for (const auto& row : table) {
    server.behave();
    server.misbehave(EstOperation::cacerts, {.endless = row.endless, .raw = row.raw});
    EXPECT_EQ(code_within_memory(server, good), code_name(row.code)) << row.name;
  }
}

TEST_F(AHostileServer, CannotFillTheMemoryWithTenThousandCertificates) {
  const EstServer good(server_spec());
  EstServer server(server_spec());
  const std::string& certificate = Cas::instance().pki.ca("operator").certificate_pem;
  for (const auto& [count, code] :
       {std::pair(10'000U, Errc::answer_too_large), std::pair(65U, Errc::answer_malformed)}) {
    const std::string message = devid::test::certs_only_of_many(certificate, count);
    server.behave();
    server.misbehave(EstOperation::cacerts,
                     {.raw = std::string(good_head) + "\r\n" + devid::test::to_base64(as_bytes(message))});
    EXPECT_EQ(code_within_memory(server, good), code_name(code)) << count;
  }
}

TEST_F(AHostileServer, CannotFillTheMemoryBeforeThereIsATlsConnection) {
  const EstServer good(server_spec());
  const devid::test::TemporaryDirectory directory;
  const auto file = directory.path() / "chain.pem";
  const std::string large =
      Cas::instance()
          .pki.issue({.issuer = "operator", .more_extensions = {"1.2.3.4=ASN1:UTF8String:" + std::string(60'000, 'x')}})
          .certificate_pem;
  std::ofstream out(file);
  out << Cas::instance().server.certificate_pem;
  for (int i = 0; i < 270; ++i) out << large;  // 16 MB
  out.close();
  for (const auto tls : {TlsVersion::tls_1_2, TlsVersion::tls_1_3}) {
    auto spec = server_spec();
    spec.certificate = file;
    spec.tls = tls;
    const EstServer server(std::move(spec));
    EXPECT_EQ(code_within_memory(server, good), code_name(Errc::tls_failed));
  }
}

TEST_F(AHostileServer, CannotHoldAConnectionForLongerThanTheTimeLimit) {
  EstServer server(server_spec());
  const auto expect_timeout = [&](const char* name) {
    const auto begin = std::chrono::steady_clock::now();
    const auto answer = ask(server, device, Seconds(1));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1900)) << name;
    ASSERT_FALSE(answer) << name;
    EXPECT_EQ(answer.error().code, Errc::network_timeout) << name << ": " << answer.error().sentence();
  };
  server.misbehave(EstOperation::cacerts, {.drip = milliseconds(100)});
  expect_timeout("a byte at a time");
  server.behave();
  server.misbehave(EstOperation::cacerts,
                   {.drip = milliseconds(100), .raw = std::string(good_head) + "\r\n" + std::string(1000, 'A')});
  expect_timeout("an odd answer, a byte at a time");
  server.behave();
  server.drip_handshakes(milliseconds(20));
  expect_timeout("a handshake, a byte at a time");
}

TEST_F(AHostileServer, IsNotAskedToCompress) {
  const EstServer server(server_spec());
  static_cast<void>(need(ask(server, device)));
  EXPECT_FALSE(server.requests().at(0).header("accept-encoding"));
  EXPECT_FALSE(server.requests().at(0).header("te"));
}

}  // namespace
}  // namespace devid::est::test
