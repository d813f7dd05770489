// Answers as real servers were seen to give them, byte for byte over TLS: the heads were recorded, the certificates are
// made when the test runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"
#include "tests/support/proxies.h"

namespace devid::est::test {
namespace {

using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::to_base64;
using testing::HasSubstr;
using namespace std::string_literals;

const std::string issued_type = "application/pkcs7-mime; smime-type=certs-only";
const std::string key_type = "multipart/mixed; boundary=4d0fd2ac8b";

/// A head as libest 3.2.0 writes it.
std::string libest_head(const std::string& type, std::size_t size) {
  return "HTTP/1.0 200 OK\r\nStatus: 200 OK\r\nContent-Type: " + type +
         "\r\nContent-Transfer-Encoding: base64\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

/// The plainest answer that there can be.
std::string plain(const std::string& type, const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string in_chunks(const std::string& body, const std::string& extension = {}, const std::string& trailer = {}) {
  constexpr std::size_t size = 0x40;
  std::string out;
  std::size_t at = 0;
  for (; at + size < body.size(); at += size) out.append("40" + extension + "\r\n" + body.substr(at, size) + "\r\n");
  constexpr std::string_view digits = "0123456789abcdef";
  const std::size_t rest = body.size() - at;
  return out + digits[rest / 16] + digits[rest % 16] + "\r\n" + body.substr(at) + "\r\n0\r\n" + trailer + "\r\n";
}

/// One body in base64 as servers write it.
std::vector<std::pair<std::string, std::string>> spellings(const std::string& lines) {
  return {
      {"lines", lines},
      {"lines that end in CR LF", replaced(lines, "\n", "\r\n")},
      {"lines that end in CR", replaced(lines, "\n", "\r")},
      {"one line", replaced(lines, "\n", "")},
      {"a trailing NUL", lines + '\0'},
      {"one line and a trailing NUL", replaced(lines, "\n", "") + '\0'},
      {"blanks around it", " \t\r\n" + lines + "\r\n \r\n"},
      {"indented lines", replaced("\n" + lines, "\n", "\n  ")},
      {"PEM armour", "-----BEGIN PKCS7-----\n" + lines + "-----END PKCS7-----\n"},
      {"PEM armour, CR LF and a NUL",
       replaced("-----BEGIN CMS-----\n" + lines + "-----END CMS-----\n", "\n", "\r\n") + '\0'},
  };
}

class ARecordedAnswer : public testing::Test {
 protected:
  ARecordedAnswer() {
    devid::test::make_key(directory.path() / "key.pem", devid::test::TestKey::ec_p256);
    std::ifstream stream(directory.path() / "key.pem");
    key = devid::test::pem_to_der({std::istreambuf_iterator<char>(stream), {}});
  }

  std::unique_ptr<Session> open() {
    auto spec = session_spec(server, device);
    spec.binding = binding;
    if (front) spec.endpoint = need(Endpoint::parse("https://" + front->address()));
    return need(Session::create(std::move(spec)));
  }
  void plan(EstOperation operation, const std::string& bytes) {
    server.behave();
    server.misbehave(operation, {.raw = bytes});
  }
  Result<std::vector<pki::Certificate>> ca_certificates(const std::string& bytes) {
    plan(EstOperation::cacerts, bytes);
    return open()->ca_certificates();
  }
  Result<Bytes> attributes(const std::string& bytes) {
    plan(EstOperation::csrattrs, bytes);
    return open()->csr_attributes();
  }
  Result<Enrollment> enroll(const std::string& bytes) {
    plan(EstOperation::simpleenroll, bytes);
    return open()->simple_enroll(requests.source());
  }
  Result<KeyGeneration> generate(const std::string& bytes) {
    plan(EstOperation::serverkeygen, bytes);
    return open()->server_keygen(requests.source());
  }
  [[nodiscard]] std::string lines_of_key() const { return to_base64(as_bytes(key)); }
  [[nodiscard]] std::string key_parts(const std::string& key_lines, const std::string& certificate_lines,
                                      const std::string& end = "\r\n") const {
    return replaced("--4d0fd2ac8b\nContent-Transfer-Encoding: base64\nContent-Type: application/pkcs8\n\n", "\n", end) +
           key_lines +
           replaced("\n--4d0fd2ac8b\nContent-Transfer-Encoding: base64\nContent-Type: " + issued_type + "\n\n", "\n",
                    end) +
           certificate_lines + end + "--4d0fd2ac8b--" + end;
  }

  void expect_certificates(const std::string& bytes, const std::string& what) {
    const auto found = ca_certificates(bytes);
    ASSERT_TRUE(found) << what << ": " << found.error().sentence();
    EXPECT_EQ(*found, cas) << what;
  }
  void expect_attributes(const std::string& bytes, const std::string& what) {
    const auto found = attributes(bytes);
    ASSERT_TRUE(found) << what << ": " << found.error().sentence();
    EXPECT_EQ(*found, csr_attributes) << what;
  }
  void expect_issued(const std::string& bytes, const std::string& what) {
    const auto found = enroll(bytes);
    ASSERT_TRUE(found) << what << ": " << found.error().sentence();
    ASSERT_TRUE(std::holds_alternative<Issued>(*found)) << what;
    EXPECT_EQ(std::get<Issued>(*found).certificates, cas) << what;
  }
  void expect_key(const std::string& bytes, const std::string& what) {
    const auto found = generate(bytes);
    ASSERT_TRUE(found) << what << ": " << found.error().sentence();
    const auto& generated = std::get<GeneratedKey>(*found);
    EXPECT_EQ(as_text(generated.key.reveal()), key) << what;
    EXPECT_EQ(generated.certificates, cas) << what;
  }
  template <class T>
  static Error error_of(const Result<T>& answer, Errc code) {
    if (answer) throw std::runtime_error("there is no error");
    EXPECT_EQ(code_name(answer.error().code), code_name(code)) << answer.error().sentence();
    return answer.error();
  }

  devid::test::TemporaryDirectory directory;
  std::string key;
  EstServer server{server_spec()};
  std::optional<devid::test::ProxyProcess> front;
  std::optional<BindingKind> binding;
  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
  Requests requests{new_key.signing_key()};
  const std::string ca_pem = Cas::instance().pki.ca("operator").certificate_pem;
  const std::vector<pki::Certificate> cas = certificates(ca_pem);
  const std::string lines = to_base64(as_bytes(Cas::instance().pki.certs_only({ca_pem})));
  const std::string attribute_line = "MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==";  // as libest has them
  const Bytes csr_attributes = devid::test::from_base64(attribute_line);
};

TEST_F(ARecordedAnswer, OfLibestIsUnderstood) {
  expect_certificates(libest_head("application/pkcs7-mime", lines.size()) + lines, "/cacerts without smime-type");
  expect_attributes(libest_head("application/csrattrs", 57) + attribute_line + '\0', "/csrattrs with a NUL");
  expect_issued(libest_head(issued_type, lines.size()) + lines, "/simpleenroll");
  const auto pending = enroll("HTTP/1.0 202 Accepted\r\nStatus: 202 Accepted\r\nRetry-After: 60\r\n\r\n");
  ASSERT_TRUE(pending) << pending.error().sentence();
  EXPECT_EQ(std::get<Pending>(*pending).retry_after, Seconds(60));
}

TEST_F(ARecordedAnswer, OfLibestThatRefusesIsQuoted) {
  const std::string nothing_there =
      "HTTP/1.1 404 Not Found\r\nContent-Length: 59\r\nConnection: close\r\n\r\n"
      "Error 404: Not Found\nThe path specified is not recognized.\n";
  const Error no_label = error_of(ca_certificates(nothing_there), Errc::server_refused);
  EXPECT_EQ(no_label.reason, "Error 404: Not Found The path specified is not recognized.");
  EXPECT_THAT(no_label.hint, HasSubstr("label"));
  EXPECT_EQ(need(attributes(nothing_there)), Bytes{});

  const Error missing = error_of(enroll("HTTP/1.1 400 Bad Request\r\nContent-Length: 58\r\nConnection: close\r\n\r\n"
                                        "Error 400: Bad Request\nCSR Attributes missing in request.\n"),
                                 Errc::server_refused);
  EXPECT_EQ(missing.reason, "Error 400: Bad Request CSR Attributes missing in request.");

  for (const std::string challenge :
       {"Basic realm=\"devices\"", "Digest qop=\"auth\", realm=\"devices\", nonce=\"1795612854\""}) {
    const Error login = error_of(
        enroll("HTTP/1.0 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: " + challenge + "\r\n\r\n"),
        Errc::server_unauthorized);
    EXPECT_THAT(login.hint, HasSubstr("wants a user and a password"));
  }
}

TEST_F(ARecordedAnswer, OfLibestThatMissesTheProofOfPossessionHintsAtIt) {
  const std::string mismatch =
      "HTTP/1.1 401 Unauthorized\r\nContent-Length: 54\r\nConnection: close\r\n\r\n"
      "Error 401: Unauthorized\nProof of Possession Mismatch.\n";
  EXPECT_THAT(error_of(enroll(mismatch), Errc::server_unauthorized).hint, HasSubstr("set channel_binding"));
  binding = BindingKind::tls_unique;
  const Error error = error_of(enroll(mismatch), Errc::server_unauthorized);
  EXPECT_THAT(error.hint, HasSubstr("load balancer"));
  EXPECT_EQ(error.reason, "Error 401: Unauthorized Proof of Possession Mismatch.");
}

TEST_F(ARecordedAnswer, OfAServerInGoIsUnderstood) {
  const std::string parts = key_parts(lines_of_key(), lines);
  expect_key("HTTP/1.1 200 OK\r\nContent-Type: " + key_type +
                 "\r\nDate: Wed, 25 Nov 2026 13:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n" + in_chunks(parts),
             "chunked multipart");
  expect_issued("HTTP/1.1 200 OK\r\nContent-Transfer-Encoding: base64\r\nContent-Type: " + issued_type +
                    "\r\nTransfer-Encoding: chunked\r\n\r\n" + in_chunks(lines),
                "chunked certificates");
  const auto status = [](const std::string& line, const std::string& type, const std::string& body) {
    return "HTTP/1.1 " + line + "\r\nContent-Type: " + type +
           "\r\nX-Content-Type-Options: nosniff\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  const std::string json = R"({"status":403,"message":"not allowed to renew"})";
  const Error forbidden = error_of(enroll(status("403 Forbidden", "application/json; charset=utf-8", json + "\n")),
                                   Errc::server_unauthorized);
  EXPECT_EQ(forbidden.reason, json);
  const Error type = error_of(
      enroll(status("415 Unsupported Media Type", "text/plain; charset=utf-8", "415 Unsupported Media Type\n")),
      Errc::server_refused);
  EXPECT_EQ(type.reason, "415 Unsupported Media Type");
}

TEST_F(ARecordedAnswer, MayBeFramedInEveryWayThatHttpHas) {
  const std::string type = "Content-Type: " + issued_type + "\r\n";
  const std::string length = "Content-Length: " + std::to_string(lines.size());
  const std::string chunked = "Transfer-Encoding: chunked\r\n\r\n";
  const std::vector<std::pair<std::string, std::string>> table = {
      {"HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n" + type + "\r\n" + lines},
      {"HTTP/1.0 that keeps the connection",
       "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + type + length + "\r\n\r\n" + lines},
      {"HTTP/1.1 without a length", "HTTP/1.1 200 OK\r\nConnection: close\r\n" + type + "\r\n" + lines},
      {"no reason", "HTTP/1.1 200\r\n" + type + length + "\r\n\r\n" + lines},
      {"head lines that end in LF", replaced("HTTP/1.1 200 OK\r\n" + type + length + "\r\n\r\n", "\r\n", "\n") + lines},
      {"names in capitals", "HTTP/1.1 200 OK\r\nCONTENT-TYPE:" + issued_type +
                                "\r\nCONTENT-LENGTH:" + std::to_string(lines.size()) + "\r\n\r\n" + lines},
      {"a folded type", "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime;\r\n smime-type=certs-only\r\n" +
                            length + "\r\n\r\n" + lines},
      {"a type folded twice",
       "HTTP/1.1 200 OK\r\nContent-Type:\r\n application/pkcs7-mime;\r\n\tsmime-type=\"certs-only\"\r\n" + length +
           "\r\n\r\n" + lines},
      {"another header that is folded",
       "HTTP/1.1 200 OK\r\nServer: a\r\n Content-Type: text/html\r\n" + type + length + "\r\n\r\n" + lines},
      {"an interim answer",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nContent-Type: a/b\r\n\r\n"
       "HTTP/1.1 200 OK\r\n" +
           type + length + "\r\n\r\n" + lines},
      {"chunks", "HTTP/1.1 200 OK\r\n" + type + chunked + in_chunks(lines)},
      {"chunks with extensions", "HTTP/1.1 200 OK\r\n" + type + chunked + in_chunks(lines, ";name=\"value\"")},
      {"chunks with a trailer",
       "HTTP/1.1 200 OK\r\n" + type + chunked + in_chunks(lines, "", "Content-Type: text/html\r\n")},
      {"no Content-Transfer-Encoding", plain(issued_type, lines)},
      {"one of another name",
       "HTTP/1.1 200 OK\r\nContent-Transfer-Encoding: binary\r\n" + type + length + "\r\n\r\n" + lines},
  };
  for (const auto& [what, bytes] : table) expect_issued(bytes, what);
}

TEST_F(ARecordedAnswer, HasItsBase64InEverySpelling) {
  for (const auto& [what, body] : spellings(lines)) {
    expect_certificates(plain("application/pkcs7-mime", body), what);
    expect_issued(plain(issued_type, body), what);
  }
  for (const auto& [what, body] : spellings(attribute_line + "\n"))
    expect_attributes(plain("application/csrattrs", body), what);
  for (const auto& [what, body] : spellings(lines_of_key()))
    for (const std::string end : {"\n", "\r\n"}) expect_key(plain(key_type, key_parts(body, lines, end)), what);
}

TEST_F(ARecordedAnswer, HasItsMediaTypeInEverySpelling) {
  for (const std::string type :
       {"application/pkcs7-mime", "APPLICATION/PKCS7-MIME", "application/pkcs7-mime;", "application/pkcs7-mime ; ; ",
        "application/pkcs7-mime; smime-type=certs-only; name=smime.p7c",
        "application/pkcs7-mime;name=a;smime-type=certs-only", "application/pkcs7-mime; SMIME-Type=\"CERTS-ONLY\"",
        "application/pkcs7-mime; name=\"a;smime-type=b\"", "application/pkcs7-mime; charset",
        "application/pkcs7-mime; smime-type = certs-only"}) {
    expect_certificates(plain(type, lines), type);
    expect_issued(plain(type, lines), type);
  }
  for (const std::string type :
       {"application/csrattrs", "Application/CSRAttrs; charset=utf-8", "application/csrattrs;"})
    expect_attributes(plain(type, attribute_line), type);
  for (const std::string type :
       {"multipart/mixed; boundary=4d0fd2ac8b", "Multipart/Mixed;charset=x;BOUNDARY=\"4d0fd2ac8b\"",
        "multipart/mixed; boundary = 4d0fd2ac8b ; boundary=other", "multipart/mixed;\r\n\tboundary=4d0fd2ac8b"})
    expect_key(plain(type, key_parts(lines_of_key(), lines)), type);

  for (const std::string type : {"text/html; charset=utf-8", "application/pkcs7-signature", "application/pkcs7",
                                 "application/pkcs7-mime; smime-type=enveloped-data", "application/x-pkcs7-mime",
                                 "application", "/", ";application/pkcs7-mime", "application/pkcs7-mime/x"}) {
    const Error error = error_of(ca_certificates(plain(type, lines)), Errc::server_protocol);
    EXPECT_THAT(error.what, HasSubstr(type)) << "names what came";
    error_of(enroll(plain(type, lines)), Errc::server_protocol);
  }
  error_of(ca_certificates(plain("application/pkcs7-mime;\r\n smime-type=enveloped-data", lines)),
           Errc::server_protocol);
  error_of(attributes(plain("application/pkcs7-mime", attribute_line)), Errc::server_protocol);
  error_of(generate(plain("multipart/alternative; boundary=4d0fd2ac8b", key_parts(lines_of_key(), lines))),
           Errc::server_protocol);
}

TEST_F(ARecordedAnswer, MayComeOverHttp2) {
  const auto& files = Cas::instance().server;
  front = devid::test::ProxyProcess::http_2(server.port(), files.certificate, files.key);
  expect_certificates(libest_head("application/pkcs7-mime", lines.size()) + lines, "no smime-type");
  expect_attributes(libest_head("application/csrattrs", 57) + attribute_line + '\0', "a trailing NUL");
  expect_issued(plain(issued_type, lines), "certificates");
  expect_key("HTTP/1.1 200 OK\r\nContent-Type: " + key_type + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
                 in_chunks(key_parts(lines_of_key(), lines)),
             "chunked multipart");
  const std::string json = R"({"message":"the subject is not in the inventory"})";
  const Error error =
      error_of(enroll(replaced(plain("application/json", json), "200 OK", "400 Bad Request")), Errc::server_refused);
  EXPECT_EQ(error.reason, json);
  const auto pending = enroll("HTTP/1.1 202 Accepted\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(pending) << pending.error().sentence();
  EXPECT_EQ(std::get<Pending>(*pending).retry_after, Seconds(60));
  EXPECT_TRUE(server.requests().back().header("via").value_or("").starts_with("2 ")) << "this was not HTTP/2";
}

TEST_F(ARecordedAnswer, ThatMakesWaitNeedNotSayHowLong) {
  const std::vector<std::pair<std::string, Seconds>> table = {
      {"", Seconds(0)},
      {"Retry-After: 120\r\n", Seconds(120)},
      {"Retry-After: -1\r\n", Seconds(0)},
      {"Retry-After: -99999999999999999999\r\n", Seconds(0)},
      {"Retry-After: 0\r\n", Seconds(1)},
      {"Retry-After: 99999999999999999999\r\n", std::chrono::days(30)},
      {"Retry-After: soon\r\n", Seconds(0)},
      {"Retry-After:\r\n", Seconds(0)},
      {"Retry-After: 60, 90\r\n", Seconds(0)},
      {"Retry-After: 60\r\nRetry-After: 90\r\n", Seconds(60)},
      {"Date: Wed, 25 Nov 2026 13:00:00 GMT\r\nRetry-After: Wed, 25 Nov 2026 13:02:00 GMT\r\n", Seconds(120)},
      {"Date: Wed, 25 Nov 2026 13:00:00 GMT\r\nRetry-After: Wed, 25 Nov 2020 13:02:00 GMT\r\n", Seconds(1)},
      {"Retry-After: Wed, 25 Nov 2026 13:02:00 GMT\r\n", Seconds(0)},
      {"retry-after:\r\n 45\r\n", Seconds(45)},
  };
  for (const auto& [head, wait] : table) {
    const auto answer = enroll("HTTP/1.1 202 Accepted\r\n" + head + "Content-Length: 0\r\n\r\n");
    ASSERT_TRUE(answer) << head << answer.error().sentence();
    EXPECT_EQ(std::get<Pending>(*answer).retry_after, wait) << head;
  }
}

TEST_F(ARecordedAnswer, ThatRefusesMayHaveAnyBody) {
  const std::vector<std::tuple<std::string, std::string, std::string>> table = {
      {"application/json", R"({"message": )", R"({"message":)"},
      {"application/json", std::string(100'000, '['), std::string(500, '[') + "…"},
      {"application/problem+json; charset=utf-8", R"({"title":"no"})", R"({"title":"no"})"},
      {"text/html", "<html><title>502</title><p>Bad <b>gateway", "502 Bad gateway"},
      {"text/html", std::string(100'000, '<'), ""},
      {"text/plain", "a\0b"s, "a\\x00b"},
      {"text/plain", "no\0\0"s, "no"},
      {"text/plain", "\x1b]0;owned\x07\x1b[2J", "\\x1b]0;owned\\x07\\x1b[2J"},
      {"text/plain; charset=iso-8859-1", "\xff\xfe\x80", "\\xff\\xfe\\x80"},
      {"text/plain", "\xe2\x80\xaegnp.exe", "\\xe2\\x80\\xaegnp.exe"},
      {"image/png", "\x89PNG\r\n\x1a\n", ""},
      {"", "no type", "no type"},
  };
  for (const auto& [type, body, reason] : table) {
    const Error error = error_of(enroll(replaced(plain(type, ""), "Content-Length: 0\r\n\r\n",
                                                 "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n")
                                            .replace(9, 6, "400 No") +
                                        body),
                                 Errc::server_refused);
    EXPECT_EQ(error.reason, reason) << type;
  }
}

TEST_F(ARecordedAnswer, WithAMalformedHeadIsRefused) {
  const std::string rest = "Content-Type: " + issued_type + "\r\n";
  const std::string length = "Content-Length: " + std::to_string(lines.size());
  const std::vector<std::pair<std::string, Errc>> table = {
      {"", Errc::network_unreachable},
      {"\r\n\r\n", Errc::server_protocol},
      {"HTTP/9.9 200 OK\r\n" + rest + length + "\r\n\r\n" + lines, Errc::server_protocol},
      {"ICY 200 OK\r\n" + rest + length + "\r\n\r\n" + lines, Errc::server_protocol},
      {"HTTP/1.1 2000 OK\r\n" + rest + length + "\r\n\r\n" + lines, Errc::server_protocol},
      {"HTTP/1.1 200 OK\r\n" + rest + "Content-Length: -5\r\n\r\n" + lines, Errc::server_protocol},
      {"HTTP/1.1 200 OK\r\n" + rest + "Content-Length: 100000\r\n\r\n" + lines, Errc::network_unreachable},
      {"HTTP/1.1 200 OK\r\n" + rest + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + lines, Errc::network_unreachable},
      {"HTTP/1.1 200 OK\r\n" + rest + "Transfer-Encoding: chunked\r\n\r\n40\r\n" + lines.substr(0, 64),
       Errc::network_unreachable},
  };
  for (const auto& [bytes, code] : table) {
    const auto answer = enroll(bytes);
    ASSERT_FALSE(answer) << bytes.substr(0, 100);
    EXPECT_EQ(code_name(answer.error().code), code_name(code)) << bytes.substr(0, 100) << "\n"
                                                               << answer.error().sentence();
  }
}

}  // namespace
}  // namespace devid::est::test
