#include "agent/identity/provenance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/fake_token.h"

namespace devid::identity {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;

class TheRecordOfAKey : public testing::Test {
 protected:
  TheRecordOfAKey() {
    test::FakeHardware hardware;
    provenance = {.token = "tpm",
                  .key_protection = "tpm2",
                  .public_key = hardware.put_key("fake:key", KeyAlgorithm::ec_p384),
                  .server = "https://est.example/.well-known/est",
                  .method = JobKind::renew,
                  .created = Time(Seconds(1772366400))};
  }

  Provenance provenance;
};

TEST_F(TheRecordOfAKey, IsReadAsItWasWritten) {
  const auto read = parse_provenance(to_json(provenance));
  ASSERT_TRUE(read) << read.error().sentence();
  EXPECT_EQ(*read, provenance);
}

TEST_F(TheRecordOfAKey, HasAFormThatOtherProgramsCanRead) {
  const Json json = Json::parse(to_json(provenance));
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["key_algorithm"], "ec-p384");
  EXPECT_EQ(json["method"], "renew");
  EXPECT_EQ(json["created"], 1772366400);
  EXPECT_THAT(json["public_key"].get<std::string>(), HasSubstr("-----BEGIN PUBLIC KEY-----\n"));
}

TEST_F(TheRecordOfAKey, IsCorruptInEveryOtherForm) {
  const Json good = Json::parse(to_json(provenance));
  std::vector<std::string> bad = {"", "null", "[]", "1", "{}", "{\"version\": 1}", to_json(provenance) + "x"};
  for (const auto& [key, value] : good.items()) {
    for (const Json& wrong : {Json(), Json(true), Json(-1), Json("x"), Json(1.5), Json::array(), Json(2)}) {
      if (wrong.type() == value.type() && (key == "token" || key == "key_protection" || key == "server")) continue;
      if ((key == "created" || key == "version") && wrong.is_number_integer() && wrong >= 0) continue;
      Json json = good;
      json[key] = wrong;
      bad.push_back(json.dump(-1, ' ', false, Json::error_handler_t::ignore));
    }
    Json json = good;
    json.erase(key);
    bad.push_back(json.dump());
  }
  Json json = good;
  json["version"] = 0;
  bad.push_back(json.dump());
  json = good;
  json["created"] = 253402300800;  // the year 10000
  bad.push_back(json.dump());
  json = good;
  json["key_algorithm"] = "ec-p256";
  bad.push_back(json.dump());
  for (const std::string& text : bad) {
    const auto read = parse_provenance(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::state_corrupt) << text;
  }
}

TEST_F(TheRecordOfAKey, IsCorruptAndAsksForNoPassphraseWhereItSaysThatItIsEncrypted) {
  Json json = Json::parse(to_json(provenance));
  auto pem = json["public_key"].get<std::string>();
  pem.insert(pem.find('\n') + 1, "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n");
  json["public_key"] = pem;
  const auto read = parse_provenance(json.dump());
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().reason, HasSubstr("interrupted or cancelled"));
}

TEST_F(TheRecordOfAKey, IsCorruptWhenItIsCutAnywhere) {
  const std::string text = to_json(provenance);
  for (std::size_t size = 0; size + 1 < text.size(); ++size)  // the last byte is the end of the line
    EXPECT_FALSE(parse_provenance(std::string_view(text).substr(0, size))) << size;
}

TEST_F(TheRecordOfAKey, SaysWhatTheKeyAsksForWhereItAsksForSomething) {
  EXPECT_THAT(to_json(provenance), testing::Not(testing::HasSubstr("key_authorization")));
  for (const auto& [authorization, text] : std::vector<std::pair<KeyAuthorization, std::string>>{
           {AuthValue{}, "value"},
           {PcrPolicy{.registers = {0, 7}}, "pcr:sha256:0,7"},
           {PcrPolicy{.bank = Digest::sha512, .registers = {23}}, "pcr:sha512:23"}}) {
    provenance.authorization = authorization;
    EXPECT_EQ(Json::parse(to_json(provenance))["key_authorization"], text);
    const auto read = parse_provenance(to_json(provenance));
    ASSERT_TRUE(read) << read.error().sentence();
    EXPECT_EQ(*read, provenance);
  }
  for (const char* wrong : {"", "pcr", "pcr:", "pcr:sha256:", "pcr:sha256:24", "pcr:sha1:0", "values"}) {
    Json json = Json::parse(to_json(provenance));
    json["key_authorization"] = wrong;
    EXPECT_FALSE(parse_provenance(json.dump())) << wrong;
  }
}

TEST_F(TheRecordOfAKey, CountsItsCertificates) {
  EXPECT_THAT(to_json(provenance), testing::Not(testing::HasSubstr("certificates"))) << "the first says nothing";
  provenance.certificates = 17;
  const auto read = parse_provenance(to_json(provenance));
  ASSERT_TRUE(read) << read.error().sentence();
  EXPECT_EQ(*read, provenance);
  for (const Json& wrong : {Json(), Json(0), Json(-1), Json("2"), Json(1.5), Json(4294967296)}) {
    Json json = Json::parse(to_json(provenance));
    json["certificates"] = wrong;
    EXPECT_FALSE(parse_provenance(json.dump())) << wrong;
  }
}

TEST_F(TheRecordOfAKey, OfANewerDevidIsReadForWhatIsKnownOfIt) {
  Json json = Json::parse(to_json(provenance));
  json["more"] = {{"nested", 1}};
  for (const int version : {1, 2, 1000}) {
    json["version"] = version;
    const auto read = parse_provenance(json.dump());
    ASSERT_TRUE(read) << read.error().sentence();
    EXPECT_EQ(*read, provenance);
  }
  json.erase("token");
  EXPECT_EQ(parse_provenance(json.dump()).error().code, Errc::state_corrupt);
}

}  // namespace
}  // namespace devid::identity
