// A profile by which the server makes the keys, and encrypts them.

#include <gmock/gmock.h>

#include "tests/agent/identity/site.h"
#include "tests/support/certificate_of.h"
#include "tests/support/command.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;

class AServerThatMakesTheKeys : public Site {
 protected:
  AServerThatMakesTheKeys() {
    const auto& others = decryption_keys();
    start_server(std::chrono::hours(24),
                 {{.identifier = bytes("shared"), .secret = Bytes(32, std::byte{0x17}), .certificate = {}},
                  {.identifier = bytes("rsa"), .secret = {}, .certificate = others.rsa.certificate},
                  {.identifier = bytes("ec"), .secret = {}, .certificate = others.ec.certificate}});
    good_secret_ = write_secret("good", "1717171717171717171717171717171717171717171717171717171717171717\n");
  }

  struct DecryptionKeys {
    TestPki pki;
    TestCredential rsa = pki.issue({.key_usage = "", .key = TestKey::rsa_2048});
    TestCredential ec = pki.issue({.key_usage = ""});
    TestCredential another = pki.issue({.key_usage = "", .key = TestKey::rsa_2048});
  };
  /// Made once: RSA keys take their time.
  static const DecryptionKeys& decryption_keys() {
    static const DecryptionKeys all;
    return all;
  }

  static Bytes bytes(std::string_view text) { return to_bytes(as_bytes(text)); }

  /// A file that only its owner can read.
  [[nodiscard]] fs::path write_secret(const std::string& name, const std::string& content) const {
    const fs::path file = etc() / "secrets" / name;
    write_file(file, content);
    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
    return file;
  }
  [[nodiscard]] fs::path copy_of(const fs::path& key) const {
    return write_secret(key.parent_path().filename(), output_of({.argv = {"cat", key}}));
  }

  void use(const std::string& decryption, const std::string& key = {}) {
    const std::string table = decryption.empty() ? "" : "[key.decryption]\n" + decryption;
    // An RSA key can take the server seconds.
    write_file(etc() / "identities.d/gateway.toml",
               "[server]\nurl = \"" + server_->url("localhost") + "\"\ntrust_anchors = \"" +
                   Authorities::get().operator_ca.certificate.string() + "\"\ntimeout = \"30s\"\n" + idevid_ +
                   "[key]\ngenerated_by = \"server\"\n" + key + table + "[renewal]\nprove = false\n");
    load();
  }
  static std::string shared(const fs::path& secret, const std::string& identifier = "shared") {
    return "identifier = \"" + identifier + "\"\nsecret = \"" + secret.string() + "\"\n";
  }
  static std::string pair(const std::string& identifier, const fs::path& key, const fs::path& certificate = {}) {
    const std::string named = certificate.empty() ? "" : "certificate = \"" + certificate.string() + "\"\n";
    return "identifier = \"" + identifier + "\"\nprivate_key = \"" + key.string() + "\"\n" + named;
  }

  /// A renewal that fails, and leaves all as it was.
  void expect_kept(Errc code, const std::string& reason) {
    const auto before = current_files();
    const auto keys = hardware_.made_keys();
    const auto result = run(JobKind::renew);
    ASSERT_FALSE(result) << reason;
    EXPECT_EQ(result.error().code, code) << result.error().sentence();
    EXPECT_THAT(result.error().sentence() + result.error().hint, HasSubstr(reason));
    EXPECT_EQ(current_files(), before);
    expect_usable_current();
    EXPECT_EQ(hardware_.made_keys(), keys + (has_request() ? 1 : 0)) << "no key of the server's is left in the token";
    drop_request();
  }

  fs::path good_secret_;
};

TEST_F(AServerThatMakesTheKeys, IsAskedAtEachRenewalAndItsKeysAreTakenIntoTheToken) {
  use("");
  for (const JobKind kind : {JobKind::enroll, JobKind::renew}) {
    const auto done = run(kind);
    ASSERT_TRUE(done) << done.error().sentence();
    expect_usable_current();
    EXPECT_FALSE(has_request());
    EXPECT_THAT(server_->requests().back().target, HasSubstr("/serverkeygen"));
  }
  EXPECT_EQ(hardware_.count(Operation::import_key), 2U);
}

TEST_F(AServerThatMakesTheKeys, EncryptsThemForASharedSecret) {
  use(shared(good_secret_));
  enroll();
  expect_usable_current();
  renew();
  expect_usable_current();
}

TEST_F(AServerThatMakesTheKeys, EncryptsThemForAKeyPair) {
  const auto& keys = decryption_keys();
  for (const auto& [name, credential] : {std::pair("rsa", keys.rsa), std::pair("ec", keys.ec)}) {
    for (const bool with_certificate : {true, false}) {
      use(pair(name, copy_of(credential.key), with_certificate ? credential.certificate : ""));
      ASSERT_TRUE(run(status().generation == 0 ? JobKind::enroll : JobKind::renew));
      expect_usable_current();
    }
  }
}

TEST_F(AServerThatMakesTheKeys, IsNotUnderstoodWithAnotherDecryptionKeyAndTheCredentialStays) {
  use("");
  enroll();
  const auto& keys = decryption_keys();
  use(shared(write_secret("wrong", std::string(64, '2'))));
  expect_kept(Errc::answer_malformed, "it is not encrypted for the decryption key");
  use(pair("rsa", copy_of(keys.another.key)));
  expect_kept(Errc::answer_malformed, "");
  use(pair("rsa", copy_of(keys.ec.key), keys.ec.certificate));
  expect_kept(Errc::answer_malformed, "");
  use(shared(good_secret_));
  renew();
  expect_usable_current();
}

TEST_F(AServerThatMakesTheKeys, IsNotAskedWhereTheDecryptionKeyCannotBeUsed) {
  use("");
  enroll();
  server_->forget();
  const auto& keys = decryption_keys();
  use(shared("/nowhere/secret"));
  expect_kept(Errc::config_missing, "/nowhere/secret");
  use(shared(write_secret("short", "1111")));
  expect_kept(Errc::config_invalid, "is no AES key");
  use(pair("rsa", write_secret("garbage", "garbage")));
  expect_kept(Errc::config_invalid, "see the profile's decryption key");
  use(pair("rsa", copy_of(keys.rsa.key), keys.ec.certificate));
  expect_kept(Errc::config_invalid, "its certificate is for another key");
  use(pair("rsa", copy_of(keys.rsa.key), "/nowhere/certificate"));
  expect_kept(Errc::config_missing, "/nowhere/certificate");
  EXPECT_TRUE(posted().empty());
}

TEST_F(AServerThatMakesTheKeys, SaysThatItDoesNotKnowTheDecryptionKey) {
  use("");
  enroll();
  use(shared(good_secret_, "unknown"));
  expect_kept(Errc::server_refused, "the decryption key is not known here");
}

TEST_F(AServerThatMakesTheKeys, IsNotBelievedWhereItLeavesTheEncryptionOut) {
  use("");
  enroll();
  server_->misbehave(EstOperation::serverkeygen, {.keygen = KeygenHabit::not_encrypted});
  use(shared(good_secret_));
  expect_kept(Errc::server_protocol, "the server has not encrypted the private key");
}

TEST_F(AServerThatMakesTheKeys, MayAnswerAsLibestDoes) {
  use("");
  server_->misbehave(EstOperation::serverkeygen, {.form = HttpForm::short_length, .keygen = KeygenHabit::libest});
  for (const JobKind kind : {JobKind::enroll, JobKind::renew}) {
    const auto done = run(kind);
    ASSERT_TRUE(done) << done.error().sentence();
    expect_usable_current();
    EXPECT_EQ(status().key_algorithm, "rsa-2048");
  }
}

TEST_F(AServerThatMakesTheKeys, MakesAKindOfKeyThatTheProfileDoesNotAllow) {
  use("", "algorithm = \"ec-p384\"\n");
  enroll();
  EXPECT_EQ(status().key_algorithm, "ec-p384");
  server_->misbehave(EstOperation::serverkeygen, {.keygen = KeygenHabit::libest});
  expect_kept(Errc::demand_unmet, "the server has made a key of the kind rsa-2048, and the profile allows ec-p384");
}

TEST_F(AServerThatMakesTheKeys, MakesAKeyThatTheTokenDoesNotTake) {
  use("");
  enroll();
  hardware_.fail_each(Operation::import_key, {.code = Errc::token_unsupported,
                                              .retry = Retry::after_operator,
                                              .what = "cannot import it",
                                              .hint = "make another one"});
  expect_kept(Errc::token_unsupported, "let the server make a key of a kind that the token takes");
}

TEST_F(AServerThatMakesTheKeys, MayCutItsAnswerOrIssueWhatIsOfNoUse) {
  use("");
  enroll();
  for (const std::size_t size : {200U, 500U, 1000U}) {
    server_->misbehave(EstOperation::serverkeygen, {.cut_after = size, .ending = Ending::close_notify}, 1);
    expect_kept(Errc::answer_malformed, "");
  }
  server_->misbehave(EstOperation::serverkeygen, misbehaviour("wrong-key"), 1);
  expect_kept(Errc::certificate_wrong_key, "");
  server_->misbehave(EstOperation::serverkeygen, misbehaviour("wrong-chain"), 1);
  expect_kept(Errc::certificate_untrusted, "");
  renew();
  expect_usable_current();
}

}  // namespace
}  // namespace devid::test
