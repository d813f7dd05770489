// What devid sends, in the eyes of the openssl command: the request as it came over the wire, and the channel binding
// of the connection as the other end has it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"
#include "tests/support/command.h"
#include "tests/support/openssl_request.h"
#include "tests/support/openssl_server.h"

namespace devid::est::test {
namespace {

using devid::test::OpensslServer;
using devid::test::output_of;
using devid::test::verified_request_text;
using testing::HasSubstr;
using testing::Not;

/// The first group of the first match.
std::string found(const std::string& text, const std::string& pattern) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(pattern))) throw std::runtime_error("no " + pattern + " in: " + text);
  return match[1];
}

/// The body of the request that arrived, as soon as all of it is there.
std::optional<std::string> body_in(const std::string& log) {
  const std::string text = std::regex_replace(log, std::regex("(<<<|>>>) [^\n]*\n(    [0-9a-f ]+\n)+"), "");
  const auto begin = text.find("POST /.well-known/est/simpleenroll HTTP/1.1\r\n");
  const auto end = text.find("\r\n\r\n", begin);
  if (begin == std::string::npos || end == std::string::npos) return std::nullopt;
  const std::size_t size = std::stoul(found(text.substr(begin, end - begin), "Content-Length: ([0-9]+)"));
  const std::string body = text.substr(end + 4, size);
  return body.size() == size ? std::optional(body) : std::nullopt;
}

std::string base64_of_digits(std::string digits) {
  std::erase_if(digits, [](char c) { return c == ' ' || c == '\n'; });
  std::string octets;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    octets += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return output_of({.argv = {"openssl", "base64", "-A"}, .input = octets});
}

/// What a request holds as `openssl asn1parse` dumps it, without offsets and lengths.
std::string structure_of(const std::string& der) {
  std::string dump = output_of({.argv = {"openssl", "asn1parse", "-inform", "DER"}, .input = der});
  dump =
      std::regex_replace(dump, std::regex(" *[0-9]+:d=[0-9]+ +hl=[0-9]+ l= *[0-9]+ (prim|cons): ([^\n]*)\n"), "$2\n");
  dump = std::regex_replace(dump, std::regex(" +:"), " :");
  return std::regex_replace(dump, std::regex(" +\n"), "\n");
}

class ARequestOnTheWire : public testing::Test {
 protected:
  /// Enrolls at a server that never answers. Returns what that has seen.
  std::string seen_by_openssl(const std::vector<std::string>& options, std::optional<BindingKind> binding) {
    const auto& cas = Cas::instance();
    const OpensslServer server(cas.server.certificate, cas.server.key, cas.pki.ca("manufacturer").certificate, options);
    const auto session = need(Session::create({
        .endpoint = need(Endpoint::parse("https://127.0.0.1:" + std::to_string(server.port()))),
        .anchors = certificates(cas.pki.ca("operator").certificate_pem),
        .client = device.credential(),
        .authentication = {},
        .proxy = {},
        .tls = {},
        .binding = binding,
        .check_server = {},
        .limits = {.connect_timeout = Seconds(10), .request_timeout = Seconds(10)},
        .cancelled = [&server] { return body_in(server.log()).has_value(); },
    }));
    const auto answer = session->simple_enroll(requests.source());
    if (answer) throw std::runtime_error("openssl s_server has issued a certificate");
    EXPECT_EQ(answer.error().code, Errc::cancelled) << answer.error().sentence() << server.log();
    return server.log();
  }
  static std::string request_in(const std::string& log) {
    return output_of({.argv = {"openssl", "base64", "-d"}, .input = body_in(log).value()});
  }
  static std::string password_in(const std::string& text) { return found(text, "challengePassword *:([^\n]*)\n"); }

  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
  Requests requests{new_key.signing_key()};
};

TEST_F(ARequestOnTheWire, HoldsTheTlsUniqueThatOpensslHasSeen) {
  const std::string log = seen_by_openssl({"-tls1_2"}, BindingKind::tls_unique);
  // The first Finished of a full handshake is the client's: 20, three octets of length, verify_data (RFC 5929 3.1).
  const std::string finished =
      found(log, "<<< TLS 1\\.2, Handshake \\[length 0010\\], Finished\n +14 00 00 0c ([0-9a-f ]+)\n");
  const std::string text = verified_request_text(request_in(log));
  EXPECT_EQ(password_in(text), base64_of_digits(finished));
  EXPECT_EQ(password_in(text).size(), 16U);
}

TEST_F(ARequestOnTheWire, HoldsTheExportedValueThatOpensslHasSeen) {
  for (const std::string version : {"-tls1_2", "-tls1_3"}) {
    const std::string log = seen_by_openssl(
        {version, "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"}, BindingKind::tls_exporter);
    const std::string exported = found(log, "Keying material: ([0-9A-F]{64})\n");
    EXPECT_EQ(password_in(verified_request_text(request_in(log))), base64_of_digits(exported)) << version;
  }
}

TEST_F(ARequestOnTheWire, HoldsNoPasswordWhereNobodyAsksForOne) {
  const std::string text = verified_request_text(request_in(seen_by_openssl({}, std::nullopt)));
  EXPECT_THAT(text, Not(HasSubstr("challengePassword")));
  EXPECT_THAT(text, HasSubstr("Subject: CN=gateway,O=Example\n"));
  EXPECT_THAT(text, HasSubstr("DNS:gateway.example\n"));
}

TEST_F(ARequestOnTheWire, HasEachAttributeOnceAndInItsPlace) {
  const std::string der = request_in(seen_by_openssl({"-tls1_2"}, BindingKind::tls_unique));
  EXPECT_EQ(structure_of(der),
            "SEQUENCE\nSEQUENCE\nINTEGER :00\n"
            "SEQUENCE\n"
            "SET\nSEQUENCE\nOBJECT :organizationName\nUTF8STRING :Example\n"
            "SET\nSEQUENCE\nOBJECT :commonName\nUTF8STRING :gateway\n"
            "SEQUENCE\nSEQUENCE\nOBJECT :id-ecPublicKey\nOBJECT :prime256v1\nBIT STRING\n"
            "cont [ 0 ]\n"
            "SEQUENCE\nOBJECT :challengePassword\nSET\nPRINTABLESTRING :" +
                password_in(verified_request_text(der)) +
                "\n"
                "SEQUENCE\nOBJECT :Extension Request\nSET\nSEQUENCE\n"
                "SEQUENCE\nOBJECT :X509v3 Key Usage\nBOOLEAN :255\nOCTET STRING      [HEX DUMP]:03020780\n"
                "SEQUENCE\nOBJECT :X509v3 Extended Key Usage\nOCTET STRING      [HEX DUMP]:300A06082B06010505070302\n"
                "SEQUENCE\nOBJECT :X509v3 Subject Alternative Name\n"
                "OCTET STRING      [HEX DUMP]:3011820F676174657761792E6578616D706C65\n"
                "SEQUENCE\nOBJECT :ecdsa-with-SHA256\nBIT STRING\n");
}

TEST(TheEyesOfOpenssl, SeeASignatureThatIsWrong) {
  Key key(KeyAlgorithm::ec_p256);
  std::string der(as_text(request_of(key.signing_key())));
  EXPECT_THAT(verified_request_text(der), HasSubstr("gateway"));
  der.replace(der.find("gateway"), 7, "geteway");
  EXPECT_THROW(static_cast<void>(verified_request_text(der)), std::runtime_error);
}

}  // namespace
}  // namespace devid::est::test
