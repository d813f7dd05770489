// What EST servers demand of a device before they issue, and devices of their servers: with the real devidd.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dbus/device.h"
#include "tests/support/asn1_text.h"
#include "tests/support/certificate_of.h"

namespace devid::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class ADeviceAtItsServer : public testing::Test {
 protected:
  /// Writes the profile with other lines in [server] than usual, and lets devidd read it.
  void write(const std::string& server, const std::string& more = {}) {
    device_.write_configuration("identities.d/gateway.toml", "[server]\n" + server + "\n" + more);
    ASSERT_EQ(device_.ctl({"reload"}).status, 0) << device_.bus().log();
  }
  [[nodiscard]] std::string url() { return "https://127.0.0.1:" + std::to_string(device_.server().port()); }
  [[nodiscard]] std::string anchors() const { return "trust_anchors = \"" + device_.operator_root().string() + "\"\n"; }

  void expect_enrolled() {
    const auto outcome = device_.ctl({"enroll", "gateway"});
    ASSERT_EQ(outcome.status, 0) << outcome.errors << device_.bus().log();
    EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
    EXPECT_EQ(flaw_of_key(device_.current(), device_.swtpm().tcti()), "");
  }
  void expect_refused(const std::string& code, const std::string& text) {
    const auto outcome = device_.ctl({"enroll", "gateway", "--json"});
    EXPECT_EQ(outcome.status, 1) << outcome.output << outcome.errors;
    const auto job = nlohmann::json::parse(outcome.output)["jobs"][0];
    EXPECT_EQ(job["error"]["code"], code) << job;
    EXPECT_THAT(job["error"]["text"].get<std::string>(), HasSubstr(text));
  }
  [[nodiscard]] std::vector<SeenRequest> posts() {
    auto all = device_.server().requests();
    std::erase_if(all, [](const SeenRequest& request) { return request.method != "POST"; });
    return all;
  }

  Device device_;
};

// --- csrattrs ---

TEST_F(ADeviceAtItsServer, FindsInTheRequestWhatItAsksForInCsrattrs) {
  Asn1Text text;
  const Bytes attributes = to_bytes(
      as_bytes(text.der(text.sequence({"OID:2.5.4.5",                                              // serialNumber
                                       "OID:1.3.6.1.1.1.1.22",                                     // macAddress
                                       text.attribute("1.2.840.10045.2.1", {"OID:1.3.132.0.34"}),  // a key on secp384r1
                                       "OID:1.2.840.10045.4.3.3",                                  // ecdsa-with-SHA384
                                       "OID:2.999.1"}))));
  device_.change_server([&](EstServerSpec& spec) { spec.csr_attributes = attributes; });
  write("url = \"" + url() + "\"\n" + anchors(),
        "[subject]\nCN = \"gateway-17\"\n[facts]\nserialNumber = \"4711\"\nmacAddress = \"02:00:5e:00:53:01\"\n");
  const auto enrolled = device_.ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << enrolled.errors << device_.bus().log();
  ASSERT_EQ(posts().size(), 1U);
  const auto request =
      run({.argv = {"openssl", "req", "-inform", "DER", "-verify", "-noout", "-text", "-nameopt", "RFC2253"},
           .input = output_of({.argv = {"openssl", "base64", "-d"}, .input = posts()[0].body})});
  EXPECT_THAT(request.errors, HasSubstr("verify OK"));
  EXPECT_THAT(request.output,
              AllOf(HasSubstr("Subject: CN=gateway-17\n"), HasSubstr("4711"), HasSubstr("02:00:5e:00:53:01"),
                    HasSubstr("secp384r1"), HasSubstr("ecdsa-with-SHA384")));
  const auto certificate =
      output_of({.argv = {"openssl", "x509", "-noout", "-text", "-in", device_.current() / "certificate.pem"}});
  EXPECT_THAT(certificate, HasSubstr("secp384r1"));
  EXPECT_EQ(device_.status()["key_algorithm"], "ec-p384");
  EXPECT_THAT(device_.bus().log(), HasSubstr("2.999.1")) << "what it does not know it leaves out, and says so";
}

TEST_F(ADeviceAtItsServer, IsToldOfAKeyThatItsProfileDoesNotAllow) {
  Asn1Text text;
  const Bytes attributes =
      to_bytes(as_bytes(text.der(text.sequence({text.attribute("1.2.840.10045.2.1", {"OID:1.3.132.0.34"})}))));
  device_.change_server([&](EstServerSpec& spec) { spec.csr_attributes = attributes; });
  write("url = \"" + url() + "\"\n" + anchors(), "[key]\nalgorithm = \"ec-p256\"\n");
  expect_refused("DemandUnmet", "secp384r1");
  EXPECT_THAT(posts(), IsEmpty());
  EXPECT_EQ(count_handles(device_.swtpm().tcti(), "transient"), 0U);
}

// --- passwords ---

class ADeviceWithAPassword : public ADeviceAtItsServer {
 protected:
  ADeviceWithAPassword() {
    device_.change_server([](EstServerSpec& spec) {
      spec.login = EstLogin{.scheme = EstLogin::Scheme::basic, .user = "device", .password = word};
      spec.client_auth = ClientAuth::ignore;
    });
  }
  void write_password(const std::string& password) {
    const auto file = device_.configuration() / "password";
    std::filesystem::remove(file);
    device_.write_configuration("password", password + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_read);
    write("url = \"" + url() + "\"\n" + anchors(),
          "[server.authentication]\nidevid = false\nuser = \"device\"\n"
          "password = \"" +
              file.string() + "\"\n[subject]\nCN = \"gateway-17\"\n");
  }
  static constexpr const char* word = "correct horse battery";
};

TEST_F(ADeviceWithAPassword, EnrollsByBasicAloneAndTellsNobodyThePassword) {
  write_password(word);
  expect_enrolled();
  for (const auto& post : posts()) {
    EXPECT_EQ(post.client, "") << "the profile keeps the IDevID out of it";
    EXPECT_THAT(post.header("authorization").value_or("Basic "), StartsWith("Basic "));
  }
  EXPECT_EQ(posts().back().header("authorization"), "Basic ZGV2aWNlOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==");
  EXPECT_THAT(device_.bus().log(), Not(HasSubstr(word)));
}

TEST_F(ADeviceWithAPassword, IsRefusedWithAnotherOne) {
  write_password("wrong horse");
  expect_refused("ServerUnauthorized", "a user and a password are wanted");
  EXPECT_THAT(device_.server().issued(), IsEmpty());
  EXPECT_THAT(device_.bus().log(), Not(HasSubstr("wrong horse")));
}

TEST_F(ADeviceWithAPassword, SendsItToNobodyWhomItDoesNotTrust) {
  device_.pki().make_ca("somebody else");
  const auto credential = device_.pki().issue_server("somebody else");
  device_.change_server([&](EstServerSpec& spec) {
    spec.certificate = credential.full_chain;
    spec.key = credential.key;
  });
  write_password(word);
  expect_refused("TlsUntrusted", "");
  EXPECT_THAT(device_.server().requests(), IsEmpty());
}

// --- several servers, and unknown ones ---

TEST_F(ADeviceAtItsServer, GoesToTheSecondServerWhereTheFirstIsDead) {
  write("urls = [\"https://127.0.0.1:1\", \"" + url() + "\"]\n" + anchors());
  expect_enrolled();
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  EXPECT_EQ(posts().size(), 2U);
  device_.stop_server();
  const auto outcome = device_.ctl({"renew", "gateway"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.errors, AllOf(HasSubstr("127.0.0.1:1/"), HasSubstr("and then ")));
  EXPECT_EQ(device_.status()["generation"], 2);
}

TEST_F(ADeviceAtItsServer, IsMetAcceptedAndEnrolledAtByItsFingerprint) {
  write("url = \"" + url() + "\"");
  const std::string fingerprint = certificate_of(device_.pki().ca("operator root").certificate_pem).fingerprint();
  expect_refused("TrustMissing", fingerprint);
  EXPECT_EQ(device_.status()["state"], "blocked");
  EXPECT_EQ(device_.ctl({"run-due"}).output, "nothing is due\n") << "it waits for the operator, not for luck";
  for (const auto& request : device_.server().requests()) {
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.client, "") << "nothing of the device was shown";
  }
  EXPECT_THAT(device_.ctl({"trust", "gateway"}).output, HasSubstr(fingerprint));
  EXPECT_EQ(device_.ctl({"trust", "gateway", "--fingerprint", std::string(64, 'a')}).status, 1);
  ASSERT_EQ(device_.ctl({"trust", "gateway", "--fingerprint", fingerprint}).status, 0);
  const auto due = device_.ctl({"run-due"});
  ASSERT_EQ(due.status, 0) << due.errors << device_.bus().log();
  EXPECT_THAT(due.output, HasSubstr("gateway: done, generation 1"));
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  EXPECT_THAT(device_.status()["pending_trust"], IsEmpty());
  device_.server().forget();
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  EXPECT_EQ(device_.server().connections(), 2U) << "to renew and to prove what came: it is known now";
}

}  // namespace
}  // namespace devid::test
