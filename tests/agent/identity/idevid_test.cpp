#include "agent/identity/idevid.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "agent/identity/idevid_memory.h"
#include "base/file.h"
#include "tests/agent/identity/idevid_fixture.h"

namespace devid::test {
namespace {

using identity::IdevidLocation;
using identity::InFile;
using identity::InToken;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Listener final : public JobObserver {
 public:
  void entered(Phase) override {}
  void noticed(const Notice& notice) override { notices.push_back(notice.sentence); }
  void spent(const est::Traffic&) override {}
  [[nodiscard]] bool cancelled() const override { return false; }
  std::vector<std::string> notices;
};

/// A device whose IDevID is where the TCG puts it.
class TheIdevidOfAJob : public ADevice {
 protected:
  TheIdevidOfAJob() { put(tpm_, "handle:0x81020000", "nv:0x01c90200", "SN-1"); }

  [[nodiscard]] std::filesystem::path memory() const { return directory_.path() / "idevid.json"; }

  Result<identity::Credential> open(IdevidLocation wanted = {}) {
    listener_.notices.clear();
    const identity::Search looked = search(std::move(wanted));
    return open_idevid(looked, memory(), listener_);
  }
  std::string subject(IdevidLocation wanted = {}) {
    const auto opened = open(std::move(wanted));
    return opened ? opened->certificate.subject() : opened.error().sentence();
  }
  /// How often tokens were asked to list what they have.
  [[nodiscard]] unsigned sweeps() const { return tpm_.count(Operation::list_certificates); }

  Listener listener_;
};

TEST_F(TheIdevidOfAJob, IsLookedForOnceAndThenOpenedDirectly) {
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  EXPECT_EQ(sweeps(), 1U);
  const unsigned before = tpm_.operations();
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  EXPECT_EQ(sweeps(), 1U);
  EXPECT_EQ(tpm_.operations(), before + 2) << "the key and the certificate";
  EXPECT_EQ(hsm_.operations(), 2U);
  EXPECT_THAT(listener_.notices, IsEmpty());
}

TEST_F(TheIdevidOfAJob, IsNotLookedForWhereTheProfileSaysWhereItIs) {
  const IdevidLocation exactly{.token = "tpm", .key = "handle:0x81020000", .certificate = InToken{"nv:0x01c90200"}};
  EXPECT_EQ(subject(exactly), "serialNumber=SN-1");
  EXPECT_EQ(sweeps(), 0U);
  EXPECT_EQ(tpm_.operations(), 2U);
  EXPECT_FALSE(std::filesystem::exists(memory()));
}

TEST_F(TheIdevidOfAJob, IsLookedForAgainWhereTheProfileHasChanged) {
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert", "SN-2");
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  EXPECT_EQ(subject({.token = "hsm"}), "serialNumber=SN-2");
  EXPECT_THAT(listener_.notices, IsEmpty()) << "that is what was asked for";
  EXPECT_EQ(subject({.token = "hsm"}), "serialNumber=SN-2");
  EXPECT_EQ(hsm_.count(Operation::list_certificates), 2U);
  files_ = {write("new.pem", certificate_for(tpm_.put_key("handle:0x81020009", KeyAlgorithm::ec_p256), "SN-3"))};
  EXPECT_EQ(subject(), "serialNumber=SN-3");
}

TEST_F(TheIdevidOfAJob, IsNoticedWhereItHasBecomeAnotherOne) {
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  tpm_.remove_key("handle:0x81020000");
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert", "SN-2");
  EXPECT_EQ(subject(), "serialNumber=SN-2");
  EXPECT_THAT(
      listener_.notices,
      ElementsAre(AllOf(HasSubstr("no longer what it was, key handle:0x81020000 in token 'tpm' with certificate "
                                  "nv:0x01c90200: "),
                        HasSubstr("from now on it is the key pkcs11:id=%01 in token 'hsm'"),
                        HasSubstr("serialNumber=SN-2"))));
  EXPECT_EQ(subject(), "serialNumber=SN-2");
  EXPECT_THAT(listener_.notices, IsEmpty()) << "once is enough";
  EXPECT_EQ(sweeps(), 2U);
}

TEST_F(TheIdevidOfAJob, IsNoticedWhereItsCertificateWasReplaced) {
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  const auto key = tokens_.at("tpm")->open_key_at("handle:0x81020000");
  tpm_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(certificate_for((*key)->public_key(), "SN-1b"))));
  EXPECT_EQ(subject(), "serialNumber=SN-1b");
  EXPECT_THAT(listener_.notices, ElementsAre(HasSubstr("its certificate is another one")));
  EXPECT_EQ(subject(), "serialNumber=SN-1b");
  EXPECT_THAT(listener_.notices, IsEmpty());
}

TEST_F(TheIdevidOfAJob, IsNoticedWhereItIsGone) {
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  tpm_.remove_certificate("nv:0x01c90200");
  const auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::idevid_missing);
  EXPECT_THAT(listener_.notices, ElementsAre(HasSubstr("no other was found")));
}

TEST_F(TheIdevidOfAJob, IsNotGivenUpForATokenThatIsAway) {
  put(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert", "SN-2");
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  for (const Errc code : {Errc::token_unreachable, Errc::token_locked_out, Errc::token_not_ready}) {
    tpm_.fail_all({.code = code, .retry = Retry::later, .what = "not now"});
    EXPECT_EQ(open().error().code, code);
  }
  tpm_.recover();
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  EXPECT_EQ(sweeps(), 1U);
}

TEST_F(TheIdevidOfAJob, IsLookedForAgainWhereItsMemoryIsDamaged) {
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  const std::string good = *read_file(memory(), 10000);
  unsigned expected = sweeps();
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& damaged :
       {std::string(), std::string("{}"), std::string("[]"), std::string(100, '\0'), good.substr(0, good.size() / 2),
        replaced("\"version\": 1", "\"version\": 2"), replaced("\"tpm\"", "7"), replaced("\"key\"", "\"kex\""),
        replaced("\"certificate\"", "\"certificate_file\""), replaced("{", "{\"more\": 1,"),
        std::string(100000, 'x')}) {
    std::ofstream(memory()) << damaged;
    EXPECT_EQ(subject(), "serialNumber=SN-1");
    EXPECT_EQ(sweeps(), ++expected) << damaged;
    EXPECT_THAT(listener_.notices, IsEmpty());
    EXPECT_EQ(*read_file(memory(), 10000), good);
  }
}

TEST_F(TheIdevidOfAJob, IsUsedAlsoWhereItCannotBeRemembered) {
  std::filesystem::create_directories(memory() / "in the way");
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  EXPECT_THAT(listener_.notices, ElementsAre(HasSubstr("cannot be remembered")));
}

TEST_F(TheIdevidOfAJob, ThatIsExpiredIsNoticed) {
  EXPECT_EQ(subject(), "serialNumber=SN-1");
  now_ += std::chrono::years(200);
  EXPECT_EQ(open().error().code, Errc::idevid_expired);
  EXPECT_EQ(subject({.allow_expired = true}), "serialNumber=SN-1");
  EXPECT_THAT(listener_.notices, ElementsAre(AllOf(HasSubstr("expired on"), HasSubstr("the profile allows it"))));
  EXPECT_EQ(subject({.allow_expired = true}), "serialNumber=SN-1");
  EXPECT_THAT(listener_.notices, ElementsAre(HasSubstr("expired on"))) << "each time";
  IdevidLocation exactly{.token = "tpm", .key = "handle:0x81020000", .certificate = InToken{"nv:0x01c90200"}};
  EXPECT_EQ(open(exactly).error().code, Errc::idevid_expired);
  exactly.allow_expired = true;
  EXPECT_EQ(subject(exactly), "serialNumber=SN-1");
}

TEST(TheMemoryOfAnIdevid, IsReadAsItWasWritten) {
  const std::string fingerprint(64, 'a');
  for (const auto& certificate : std::vector<identity::CertificateLocation>{InToken{"nv:0x01c90200"}, InFile{"/a b"}}) {
    const identity::IdevidMemory memory{
        .wanted = "token auto",
        .place = {.token = "pkcs11:token=x", .key = "pkcs11:id=%01", .certificate = certificate},
        .fingerprint = fingerprint};
    EXPECT_EQ(identity::parse_idevid_memory(to_json(memory)), memory);
  }
}

TEST(TheMemoryOfAnIdevid, IsNoneInEveryOtherForm) {
  using Json = nlohmann::json;
  const Json good = Json::parse(to_json(identity::IdevidMemory{
      .wanted = "token auto",
      .place = {.token = "tpm", .key = "handle:0x81020000", .certificate = InToken{"nv:0x01c90200"}},
      .fingerprint = std::string(64, 'a')}));
  ASSERT_TRUE(identity::parse_idevid_memory(good.dump()));
  for (const auto& [key, value] : good.items()) {
    for (const Json& wrong : {Json(), Json(true), Json(-1), Json(1.5), Json::array(), Json::object(), Json("")}) {
      Json json = good;
      json[key] = wrong;
      EXPECT_FALSE(identity::parse_idevid_memory(json.dump())) << json;
    }
    Json json = good;
    json.erase(key);
    EXPECT_FALSE(identity::parse_idevid_memory(json.dump())) << json;
  }
  for (const std::string& fingerprint : {std::string(63, 'a'), std::string(64, 'A'), std::string(65, 'a')}) {
    Json json = good;
    json["fingerprint"] = fingerprint;
    EXPECT_FALSE(identity::parse_idevid_memory(json.dump())) << json;
  }
  Json json = good;
  json["key"] = std::string(100000, 'x');
  EXPECT_FALSE(identity::parse_idevid_memory(json.dump()));
}

}  // namespace
}  // namespace devid::test
