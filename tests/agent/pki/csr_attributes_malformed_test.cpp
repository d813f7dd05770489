#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pki/csr_attributes.h"
#include "tests/support/asn1_text.h"

namespace devid::pki {
namespace {

using test::wrap_der;
using testing::HasSubstr;

const std::string template_oid = "1.2.840.113549.1.9.16.2.61";
const std::string extension_template_oid = "1.2.840.113549.1.9.16.2.62";

class DamagedCsrAttributes : public testing::Test {
 protected:
  static void expect_malformed(const std::string& der, const std::string& reason) {
    const auto wanted = read_csr_attributes(as_bytes(der));
    ASSERT_FALSE(wanted) << reason;
    EXPECT_EQ(wanted.error().code, Errc::answer_malformed);
    EXPECT_EQ(wanted.error().retry, Retry::later);
    EXPECT_THAT(wanted.error().reason, HasSubstr(reason));
    EXPECT_THAT(wanted.error().hint, HasSubstr("RFC 9908"));
  }

  void expect_malformed_elements(const std::vector<std::string>& elements, const std::string& reason) {
    expect_malformed(text.der(text.sequence(elements)), reason);
  }

  std::string request_template(const std::vector<std::string>& parts) {
    return text.attribute(template_oid, {text.sequence(parts)});
  }

  std::string extension(const std::string& oid, const std::string& value = "FORMAT:HEX,OCT:0500") {
    return text.sequence({"OID:" + oid, value});
  }

  test::Asn1Text text;
};

const std::string unknown_oid = "\x06\x03\x2a\x03\x04";

TEST_F(DamagedCsrAttributes, AreRefusedIfTheyAreSomethingElse) {
  expect_malformed("<html>not found</html>", "");
  expect_malformed(std::string(1000, '\0'), "");
  expect_malformed(text.der("SET"), "");
  expect_malformed(text.der("OID:challengePassword"), "");
  expect_malformed(text.der("NULL"), "");
}

TEST_F(DamagedCsrAttributes, AreRefusedIfAnElementIsNeitherAnOidNorAnAttribute) {
  for (const std::string& element :
       std::vector<std::string>{"NULL", "INTEGER:1", "SET", "UTF8:x", "IMPLICIT:0,OID:2.5.4.5"})
    expect_malformed_elements({"OID:challengePassword", element}, "neither an OID nor an attribute");
  for (const auto& attribute :
       {text.sequence({}), text.sequence({"OID:2.5.4.5"}), text.sequence({"UTF8:x", text.set({})}),
        text.sequence({"OID:2.5.4.5", text.sequence({})}), text.sequence({"OID:2.5.4.5", text.set({}), "NULL"})})
    expect_malformed_elements({attribute}, "");
}

TEST_F(DamagedCsrAttributes, AreRefusedIfSomethingFollows) {
  const std::string der = text.der(text.sequence({"OID:challengePassword"}));
  expect_malformed(der + '\0', "1 bytes follow");
  expect_malformed(der + der, "bytes follow");
}

TEST_F(DamagedCsrAttributes, AreRefusedIfTheyAreCutAnywhere) {
  const std::string der = text.der(
      text.sequence({"OID:challengePassword", text.attribute("extReq", {text.sequence({extension("2.5.29.17")})})}));
  for (std::size_t size = 1; size < der.size(); ++size) expect_malformed(der.substr(0, size), "");
}

TEST_F(DamagedCsrAttributes, NeverCrashOnADamagedByte) {
  const std::string der = text.der(text.sequence(
      {text.attribute("id-ecPublicKey", {"OID:prime256v1"}),
       request_template({"INTEGER:0", text.sequence({text.set({text.sequence({"OID:2.5.4.3", "UTF8:x"})})}),
                         "IMPLICIT:1," + text.set({text.attribute(extension_template_oid,
                                                                  {text.sequence({extension("2.5.29.17")})})})})}));
  for (std::size_t i = 0; i < der.size(); ++i)
    for (const unsigned change : {0x01U, 0x20U, 0x80U, 0xffU}) {
      std::string damaged = der;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ change);
      const auto wanted = read_csr_attributes(as_bytes(damaged));
      EXPECT_TRUE(wanted || wanted.error().code == Errc::answer_malformed) << i;
    }
}

TEST_F(DamagedCsrAttributes, AreRefusedIfTheyAreNotDer) {
  expect_malformed(std::string("\x30\x80\x06\x03\x2a\x03\x04\0\0", 9), "not DER");
  expect_malformed("\x30\x81\x05" + unknown_oid, "not DER");
  // The SET within an attribute, and its element, of indefinite length.
  expect_malformed(std::string("\x30\x0b\x30\x09\x06\x03\x2a\x03\x04\x31\x80\0\0", 13), "not DER");
  expect_malformed(std::string("\x30\x80\x30\x80\x06\x03\x2a\x03\x04\x31\x80\0\0\0\0\0\0", 17), "not DER");
}

TEST_F(DamagedCsrAttributes, AreReadInWhateverOrderASetIs) {
  const std::string der = std::string("\x30\x17\x30\x15\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x31\x0a\x05\x00", 17) +
                          std::string("\x06\x06\x2a\x03\x04\x05\x06\x07", 8);
  EXPECT_TRUE(read_csr_attributes(as_bytes(der)));
}

TEST_F(DamagedCsrAttributes, AreRefusedIfAnOidIsPadded) {
  expect_malformed("\x30\x05\x06\x03\x2a\x80\x04", "");
  expect_malformed("\x30\x04\x06\x02\x2a\x83", "");
  expect_malformed(std::string("\x30\x02\x06\x00", 4), "");
}

TEST_F(DamagedCsrAttributes, MayNameAnOidOfAnyLengthThatIsNotUnderstood) {
  const std::string oid = wrap_der('\x06', "\x2a" + std::string(20000, '\x81') + "\x01");
  const auto wanted = read_csr_attributes(as_bytes(wrap_der('\x30', oid)));
  ASSERT_TRUE(wanted) << wanted.error().sentence();
  EXPECT_THAT(wanted->ignored, testing::ElementsAre("an OID of 20002 bytes"));
}

TEST_F(DamagedCsrAttributes, AreRefusedIfThereAreTwoOfWhatThereIsOneOf) {
  const auto request = text.attribute("extReq", {text.sequence({extension("2.5.29.17")})});
  expect_malformed_elements({request, request}, "more than one request for extensions");
  const auto empty_template = request_template({"INTEGER:0"});
  expect_malformed_elements({empty_template, empty_template}, "more than one template");
  expect_malformed_elements({empty_template, request, request}, "more than one request for extensions");
  expect_malformed_elements(
      {request_template(
          {"INTEGER:0",
           "IMPLICIT:1," + text.set({request, text.attribute(extension_template_oid,
                                                             {text.sequence({extension("2.5.29.17")})})})})},
      "more than one request for extensions");
}

TEST_F(DamagedCsrAttributes, AreRefusedIfAnExtensionRequestIsNotOneListOfExtensions) {
  const auto list = text.sequence({extension("2.5.29.17")});
  const auto other_list = text.sequence({extension("2.5.29.15")});
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "one list of extensions"},
      {{"NULL"}, "one list of extensions"},
      {{list, other_list}, "one list of extensions"},
      {{"OID:2.5.29.17", list}, "mixed values"},
      {{text.sequence({})}, "is empty"},
      {{text.sequence({"OID:2.5.29.17"})}, ""},
      {{text.sequence({text.sequence({"OID:2.5.29.17"})})}, "has no value"},
      {{text.sequence({text.sequence({"OID:2.5.29.17", "UTF8:x"})})}, ""},
      {{text.sequence({extension("2.5.29.17"), extension("2.5.29.17")})}, "2.5.29.17 is there twice"},
  };
  for (const auto& [values, reason] : cases) expect_malformed_elements({text.attribute("extReq", values)}, reason);
}

TEST_F(DamagedCsrAttributes, AreRefusedIfTheTemplateIsNone) {
  const auto subject = [&](const std::string& value) {
    return text.sequence({text.set({text.sequence({"OID:2.5.4.3", value})})});
  };
  const auto extensions = [&](const std::vector<std::string>& values) {
    return "IMPLICIT:1," + text.set({text.attribute(extension_template_oid, values)});
  };
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, ""},
      {{"INTEGER:1"}, "another version"},
      {{"INTEGER:-1"}, "another version"},
      {{"INTEGER:0x10000000000000000"}, "another version"},
      {{"INTEGER:0", "UTF8:x"}, ""},
      {{"INTEGER:0", subject("IMPLICIT:12U,FORMAT:HEX,OCT:610062")}, "subject attribute CN has a value"},
      {{"INTEGER:0", subject("IMPLICIT:19U,FORMAT:HEX,OCT:610A")}, "subject attribute CN has a value"},
      {{"INTEGER:0", subject("IMPLICIT:30U,FORMAT:HEX,OCT:0061000000620063")}, "subject attribute CN has a value"},
      {{"INTEGER:0", text.sequence({text.set({})})}, "is empty"},
      {{"INTEGER:0", text.sequence({text.sequence({"OID:2.5.4.3"})})}, ""},
      {{"INTEGER:0", "IMPLICIT:0," + text.sequence({"OID:id-ecPublicKey"})}, ""},
      {{"INTEGER:0", extensions({})}, "one list of extensions"},
      {{"INTEGER:0", extensions({"OID:2.5.29.17"})}, "one list of extensions"},
      {{"INTEGER:0", extensions({text.sequence({"OID:2.5.29.17"})})}, ""},
  };
  for (const auto& [parts, reason] : cases) expect_malformed_elements({request_template(parts)}, reason);
  const auto good = text.sequence({"INTEGER:0"});
  const auto other = text.sequence({"INTEGER:0", subject("UTF8:x")});
  expect_malformed_elements({text.attribute(template_oid, {})}, "one template");
  expect_malformed_elements({text.attribute(template_oid, {good, other})}, "one template");
  expect_malformed_elements({text.attribute(template_oid, {"NULL"})}, "one template");
}

TEST_F(DamagedCsrAttributes, AreRefusedIfTheyAreLongerThan64KiB) {
  const auto of_size = [](std::size_t size) {  // of one OID after the other
    std::string content;
    while (content.size() + 5 <= size - 4) content += unknown_oid;
    const std::size_t rest = size - 4 - content.size();
    if (rest > 0) content.replace(0, 5, wrap_der('\x06', std::string(3 + rest, '\x2a')));
    return wrap_der('\x30', content);
  };
  const std::string most = of_size(64UL * 1024 - 1);
  ASSERT_EQ(most.size(), 64UL * 1024 - 1);
  EXPECT_TRUE(read_csr_attributes(as_bytes(most)));
  expect_malformed(wrap_der('\x30', std::string(70UL * 1024, '\x2a')), "longer than 64 KiB");
}

TEST_F(DamagedCsrAttributes, ListOnlySoMuchOfWhatIsIgnored) {
  std::string many;
  for (int i = 0; i < 10000; ++i) many += unknown_oid;
  const auto wanted = read_csr_attributes(as_bytes(wrap_der('\x30', many)));
  ASSERT_TRUE(wanted) << wanted.error().sentence();
  EXPECT_EQ(wanted->ignored.size(), 17U);
  EXPECT_EQ(wanted->ignored.front(), "1.2.3.4");
  EXPECT_EQ(wanted->ignored.back(), "more that is not listed");
}

TEST_F(DamagedCsrAttributes, MayWantOnlySoManyKeys) {
  std::string sizes;
  for (int i = 0; i < 200; ++i) sizes += std::string("\x02\x02\x10") + static_cast<char>(i % 128);
  for (int i = 0; i < 100; ++i) sizes += std::string("\x02\x02\x20") + static_cast<char>(i);
  const auto attribute = wrap_der('\x30', "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" + wrap_der('\x31', sizes));
  const auto wanted = read_csr_attributes(as_bytes(wrap_der('\x30', attribute)));
  ASSERT_TRUE(wanted) << wanted.error().sentence();
  EXPECT_EQ(wanted->keys.size(), 32U);
  EXPECT_EQ(wanted->ignored.size(), 17U);
}

TEST_F(DamagedCsrAttributes, AreNoDangerWhenTheyAreDeep) {
  std::string deep = unknown_oid;
  for (int i = 0; i < 1000; ++i) deep = wrap_der('\x30', deep);
  expect_malformed(deep, "");
  const auto holding = [&](const std::string& oid) {
    return wrap_der('\x30', wrap_der('\x30', oid + wrap_der('\x31', deep)));
  };
  const auto unknown = read_csr_attributes(as_bytes(holding(unknown_oid)));
  ASSERT_TRUE(unknown) << unknown.error().sentence();
  EXPECT_THAT(unknown->ignored, testing::ElementsAre("1.2.3.4 with values"));
  expect_malformed(holding("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"), "");
  std::string endless;
  for (int i = 0; i < 1000; ++i) endless += "\x30\x80";
  expect_malformed(endless, "");
  expect_malformed(endless + std::string(2000, '\0'), "");
}

}  // namespace
}  // namespace devid::pki
