#include <gmock/gmock.h>

#include <chrono>

#include "tests/agent/identity/site.h"
#include "tests/support/loopback.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::SizeIs;

/// Its EST server's certificate names responders and lists behind a firewall that drops what is sent there.
class ADeviceBehindAFirewall : public Site {
 protected:
  ADeviceBehindAFirewall() {
    const auto& authorities = Authorities::get();
    const std::string place = "URI:http://127.0.0.1:" + std::to_string(silent_.port);
    auto spec = EstServerSpec{.manufacturer_ca = authorities.manufacturer.certificate,
                              .issuer = {.certificate = authorities.operator_ca.certificate,
                                         .key = authorities.operator_ca.key,
                                         .not_after = std::chrono::hours(24)}};
    const auto server = Authorities::get().pki.issue(
        {.issuer = "operator",
         .subject = "/CN=localhost",
         .alternative_names = {"DNS:localhost"},
         .extended_key_usage = "serverAuth",
         .more_extensions = {"authorityInfoAccess=OCSP;" + place + "/1,OCSP;" + place + "/2",
                             "crlDistributionPoints=" + place + "/3," + place + "/4"}});
    spec.certificate = server.full_chain;
    spec.key = server.key;
    server_ = std::make_unique<EstServer>(std::move(spec));
  }
  void write(const std::string& revocation) {
    write_file(etc() / "identities.d/gateway.toml",
               "[server]\nurl = \"" + server_->url("localhost") + "\"\ntrust_anchors = \"" +
                   Authorities::get().operator_ca.certificate.string() +
                   "\"\nconnect_timeout = \"2s\"\ntimeout = \"5s\"\nrevocation = \"" + revocation + "\"\n" + idevid_ +
                   "[renewal]\nprove = false\n");
    load();
  }

  PortPair silent_ = listen_on_port_pair();
};

TEST_F(ADeviceBehindAFirewall, EnrollsUnderTheSoftPolicyAndSaysOnceWhatItCouldNotFindOut) {
  write("soft");
  const auto began = std::chrono::steady_clock::now();
  enroll();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 3s) << "the check takes a part of what connecting may take";
  ASSERT_THAT(observer_.notices, SizeIs(1));
  EXPECT_THAT(observer_.notices[0].sentence,
              testing::AllOf(HasSubstr("goes on without knowing"), HasSubstr("CN=localhost is revoked")));
  EXPECT_THAT(observer_.notices[0].fields, Contains(Field(&Notice::Field::value, std::string("RevocationUnknown"))));
}

TEST_F(ADeviceBehindAFirewall, SaysUnderTheHardPolicyThatItCannotBeFoundOut) {
  write("hard");
  const auto result = run(JobKind::enroll);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::revocation_unknown) << result.error().sentence();
  EXPECT_THAT(result.error().reason, HasSubstr("/1: "));
}

}  // namespace
}  // namespace devid::test
