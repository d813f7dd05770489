#include "agent/identity/server_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/identity/profile_parser.h"

namespace devid::identity {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string url = "[server]\nurl = \"https://est.example.net\"\n";
const std::string anchors = "trust_anchors = \"/a.pem\"\n";

ProfileFile parse(const std::string& text) {
  return parse_profile(text, "/etc/devid/identities.d/gateway.toml", {"tpm", "hsm"});
}

Profile parsed(const std::string& text) {
  auto file = parse(text);
  EXPECT_TRUE(file.profile) << file.profile.error().sentence();
  return file.profile ? std::move(*file.profile) : Profile();
}

TEST(AServerOfTheLeast, HasADefaultForEverythingElse) {
  const Server server = parsed(url).server;
  ASSERT_EQ(server.endpoints.size(), 1U);
  EXPECT_EQ(server.endpoints[0].host, "est.example.net");
  EXPECT_EQ(server.trust, ServerTrust(FirstContact{}));
  EXPECT_EQ(server.authentication, Authentication());
  EXPECT_FALSE(server.proxy);
  EXPECT_EQ(server.tls, est::TlsOptions());
  EXPECT_EQ(server.revocation, pki::RevocationPolicy::soft);
  EXPECT_EQ(server.channel_binding, ChannelBinding::automatic);
  EXPECT_EQ(server.renewal_operation, RenewalOperation::simple);
  EXPECT_EQ(server.cacerts_interval, std::chrono::days(1));
  EXPECT_EQ(server.connect_timeout, Seconds(15));
  EXPECT_EQ(server.timeout, Seconds(60));
  EXPECT_EQ(server.deadline, std::chrono::minutes(5));
}

TEST(AServerWithEverything, IsParsedIntoTypes) {
  const Server server = parsed(R"([server]
urls = ["https://a.example", "https://[2001:db8::7]:8443/.well-known/est/x"]
trust_anchors = "system"
cacerts_interval = "12h"
revocation = "hard"
channel_binding = "off"
renewal_operation = "full-cmc"
connect_timeout = "5s"
timeout = "2min"
deadline = "10min"
[server.authentication]
user = "gateway"
password = "credential:est"
scheme = "digest"
idevid = false
[server.proxy]
url = "http://proxy.example:3128"
user = "p"
password = "/run/p"
exceptions = [".example.net", "10.0.0.0/8"]
[server.tls]
minimum = "1.3"
groups = "P-384"
)")
                            .server;
  ASSERT_EQ(server.endpoints.size(), 2U);
  EXPECT_EQ(server.endpoints[1].host, "2001:db8::7");
  EXPECT_EQ(server.trust, ServerTrust(SystemAnchors{}));
  EXPECT_EQ(server.cacerts_interval, std::chrono::hours(12));
  EXPECT_EQ(server.revocation, pki::RevocationPolicy::hard);
  EXPECT_EQ(server.channel_binding, ChannelBinding::off);
  EXPECT_EQ(server.renewal_operation, RenewalOperation::full_cmc);
  EXPECT_EQ(server.deadline, std::chrono::minutes(10));
  EXPECT_EQ(server.authentication.login, (Login{.user = "gateway", .password = SystemdCredential{"est"}}));
  EXPECT_EQ(server.authentication.scheme, est::PasswordLogin::Scheme::digest);
  EXPECT_FALSE(server.authentication.with_idevid);
  const ProxySettings proxy = server.proxy.value_or(ProxySettings());
  EXPECT_EQ(proxy.url, "http://proxy.example:3128");
  EXPECT_EQ(proxy.login, (Login{.user = "p", .password = SecretFile{"/run/p"}}));
  EXPECT_THAT(proxy.exceptions, ElementsAre(".example.net", "10.0.0.0/8"));
  EXPECT_EQ(server.tls.minimum, est::TlsOptions::Version::tls_1_3);
  EXPECT_EQ(server.tls.groups, "P-384");
}

TEST(AServer, IsTrustedByAFingerprintInAnyForm) {
  const std::string hex(64, 'a');
  std::string colons;
  for (int i = 0; i < 32; ++i) colons += colons.empty() ? "AA" : ":AA";
  for (const std::string& text : {hex, colons})
    EXPECT_EQ(parsed(url + "trust_fingerprint = \"" + text + "\"\n").server.trust, ServerTrust(FirstContact{hex}));
}

TEST(AKeyThatTheServerMakes, IsDecryptedByOneOfTwoMeans) {
  const std::string key = url + "[key]\ngenerated_by = \"server\"\nalgorithm = [\"ec-p384\", \"rsa-2048\"]\n";
  EXPECT_EQ(parsed(key).key.from_server, KeyFromServer());
  EXPECT_THAT(parsed(key).key.algorithms, ElementsAre(KeyAlgorithm::ec_p384, KeyAlgorithm::rsa_2048));
  const auto shared = parsed(key + "[key.decryption]\nidentifier = \"k\"\nsecret = \"/k\"\n").key.from_server;
  EXPECT_EQ(shared, (KeyFromServer{SharedSecret{.identifier = "k", .key = SecretFile{"/k"}}}));
  EXPECT_FALSE(parsed(url).key.from_server);
}

struct Wrong {
  std::string text;
  std::string complaint;
};

TEST(AWrongServer, IsComplainedAboutWhereItIsWritten) {
  const std::string least = url + anchors;
  const std::string login = "[server.authentication]\n";
  const std::string key = "[key]\n";
  const std::vector<Wrong> all = {
      {"[server]\n" + anchors, "1:1: server.url is missing"},
      {"[server]\nurls = []\n", "2:8: server.urls names no server"},
      {"[server]\nurl = \"https://a\"\nurls = [\"https://b\"]\n", "3:8: server.url and server.urls are both there"},
      {"[server]\nurls = [\"https://a\", \"https://a\"]\n", "2:8: server.urls names https://a"},
      {"[server]\nurl = \"http://est.example.net\"\n", "2:7: server.url: "},
      {"[server]\nurl = \"https://user@est.example.net\"\n", "2:7: server.url: "},
      {url + "trust_anchors = \"a.pem\"\n", "3:17: server.trust_anchors must be an absolute path"},
      {least + "trust_fingerprint = \"" + std::string(64, 'a') + "\"\n",
       "4:21: server.trust_fingerprint is without use"},
      {url + "trust_fingerprint = \"abc\"\n", "3:21: server.trust_fingerprint is no SHA-256"},
      {least + "connect_timeout = \"soon\"\n", "4:19: server.connect_timeout must be a duration, not 'soon'"},
      {least + "connect_timeout = \"0s\"\n", "4:19: server.connect_timeout must be from 1s to 10min"},
      {least + "timeout = \"2h\"\n", "4:11: server.timeout must be from 1s to 1h"},
      {least + "timeout = \"5s\"\n", "4:11: server.timeout (5s) must not be shorter than server.connect_timeout (15s)"},
      {least + "connect_timeout = \"5min\"\n", "4:19: server.timeout (1min) must not be shorter than"},
      {least + "deadline = \"30s\"\n", "4:12: server.deadline (30s) must not be shorter than server.timeout (1min)"},
      {least + "cacerts_interval = \"1s\"\n", "4:20: server.cacerts_interval must be from 10min to 366d"},
      {least + "revocation = \"maybe\"\n", "4:14: server.revocation cannot be 'maybe'"},
      {least + "channel_binding = \"yes\"\n", "4:19: server.channel_binding cannot be 'yes'"},
      {least + "channel_binding = \"tls-unique\"\n[server.tls]\nminimum = \"1.3\"\n",
       "4:19: server.channel_binding cannot be 'tls-unique' with"},
      {least + "channel_binding = \"tls-exporter\"\nrenewal_operation = \"full-cmc\"\n",
       "4:19: server.channel_binding cannot be demanded with"},
      {least + "renewal_operation = \"full-cmc\"\n" + key + "generated_by = \"server\"\n",
       "4:21: server.renewal_operation cannot be \"full-cmc\" with key.generated_by"},
      {least + "[server.proxy]\nurl = \"http://a:1\"\nexceptions = [\"a.example\", \"10.0.0.0/99\"]\n",
       "6:14: server.proxy.exceptions: '10.0.0.0/99' is no host"},
      {least + "renewal_operation = \"cmc\"\n", "4:21: server.renewal_operation cannot be 'cmc'"},
      {least + login + "user = \"a\"\n", "5:8: server.authentication.password is missing"},
      {least + login + "password = \"/p\"\n", "5:12: server.authentication.user is missing"},
      {least + login + "user = \"a:b\"\npassword = \"/p\"\n", "5:8: server.authentication.user has a colon in it"},
      {least + login + "user = \"a\"\npassword = \"secret\"\n", "6:12: server.authentication.password: "},
      {least + login + "user = \"a\"\npassword = \"/p\"\nbearer = \"/b\"\n",
       "7:10: server.authentication has a bearer"},
      {least + login + "scheme = \"basic\"\n", "5:10: server.authentication.scheme is without a user"},
      {least + login + "idevid = false\n", "5:10: server.authentication leaves the device without any"},
      {least + "[server.proxy]\n", "4:1: server.proxy.url is missing"},
      {least + "[server.proxy]\nurl = \"ftp://a:1\"\n", "5:7: server.proxy.url: "},
      {least + "[server.proxy]\nurl = \"https://a:1\"\n", "server.proxy.trust_anchors is missing"},
      {least + "[server.tls]\nminimum = \"1.1\"\n", "5:11: server.tls.minimum cannot be '1.1'"},
      {least + "[server.tls]\nciphers = \"NOTHING-LIKE-IT\"\n", "5:11: server.tls: "},
      {least + "[server.tls]\ngroups = \"P-1\"\n", "5:10: server.tls: "},
      {least + key + "algorithm = \"dsa\"\n", "5:13: key.algorithm cannot be 'dsa'"},
      {least + key + "algorithm = [\"ec-p256\", \"ec-p256\"]\n", "5:13: key.algorithm names 'ec-p256' twice"},
      {least + key + "generated_by = \"me\"\n", "5:16: key.generated_by cannot be 'me'"},
      {least + "[key.decryption]\nidentifier = \"k\"\nsecret = \"/k\"\n",
       "[key.decryption] is without key.generated_by"},
  };
  for (const auto& [text, complaint] : all) {
    const ProfileFile file = parse(text);
    ASSERT_FALSE(file.profile) << text;
    EXPECT_EQ(file.profile.error().code, Errc::config_invalid);
    EXPECT_THAT(file.profile.error().sentence(), HasSubstr(complaint)) << text;
    EXPECT_EQ(file.profile.error().sentence().find("secret\""), std::string::npos);
  }
}

}  // namespace
}  // namespace devid::identity
