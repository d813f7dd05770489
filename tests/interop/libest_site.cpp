#include "tests/interop/libest_site.h"

#include <gtest/gtest.h>

#include <exception>
#include <fstream>
#include <iostream>
#include <utility>

#include "tests/support/own_network.h"

namespace devid::test {
namespace {

/// Before anything of a test starts, this process leaves the network of others: libest's server binds every address.
class OwnNetwork : public ::testing::Environment {
 public:
  void SetUp() override { leave_the_network_of_others(); }
};

[[maybe_unused]] const auto* const own_network = ::testing::AddGlobalTestEnvironment(new OwnNetwork);

}  // namespace

std::string name_of(InteropToken token) { return token == InteropToken::swtpm ? "swtpm" : "SoftHSM"; }

void PrintTo(InteropToken token, std::ostream* out) { *out << name_of(token); }

LibestSite::LibestSite(InteropToken token) : token_(token) {
  if (token == InteropToken::swtpm) {
    device_ = std::make_unique<Device>();
  } else {
    hsm_device_ = std::make_unique<HsmDevice>(HsmDevice::Idevid::in_hsm);
  }
  server_credential_ = device().pki().issue_server("operator issuing");
}

void LibestSite::serve(LibestHabits habits, const std::string& more) {
  // Its own wishes are for a P-384 key, whose certificate its TLS does not take in a renewal.
  if (!habits.csr_attributes && !habits.own_csr_attributes) habits.csr_attributes = "MAkGBysGAQEBARY=";
  const TestCredential& root = device().pki().ca("operator root");
  const TestCredential& issuing = device().pki().ca("operator issuing");
  const std::uint16_t port = server_ ? server_->port() : 0;
  server_.reset();
  server_ = std::make_unique<LibestServer>(
      LibestPki{.server = server_credential_,
                .issuer = issuing,
                .cas = {issuing.certificate, root.certificate},
                .trusted = {issuing.certificate, root.certificate, device().manufacturers()}},
      habits, port);
  const std::string top = token_ == InteropToken::softhsm ? "token = \"hsm\"\n" : "";
  device().write_configuration("identities.d/gateway.toml",
                               top + "[server]\nurl = \"" + server_->url() + "\"\ntrust_anchors = \"" +
                                   device().operator_root().string() + "\"\n" + more + "[renewal]\nprove = false\n");
}

std::vector<std::filesystem::path> LibestSite::revoke(const std::filesystem::path& certificate) {
  std::vector<std::filesystem::path> crls;
  for (const char* name : {"operator issuing", "operator root"}) {
    const TestCredential& ca = device().pki().ca(name);
    const std::filesystem::path place = directory_.path() / name;
    std::filesystem::create_directory(place);
    std::ofstream(place / "index.txt").flush();
    std::ofstream(place / "ca.cnf") << "[ca]\ndefault_ca=this\n[this]\ndatabase=" << (place / "index.txt").string()
                                    << "\ndefault_md=sha256\ndefault_crl_days=30\n";
    std::vector<std::string> openssl = {"openssl", "ca",           "-config",  place / "ca.cnf",
                                        "-cert",   ca.certificate, "-keyfile", ca.key};
    const auto with = [&openssl](std::vector<std::string> more) {
      more.insert(more.begin(), openssl.begin(), openssl.end());
      output_of({.argv = std::move(more)});
    };
    if (crls.empty()) with({"-revoke", certificate});
    crls.push_back(place / "crl.pem");
    with({"-gencrl", "-out", crls.back()});
  }
  return crls;
}

std::string LibestSite::flaw_of_credential() {
  std::string flaw = flaw_of_current(device().current(), device().operator_root());
  if (!flaw.empty()) return flaw;
  if (hsm_device_) return hsm_device_->flaw_of_key(device().current());
  return flaw_of_key(device().current(), device().swtpm().tcti());
}

InteropRow::InteropRow(std::string peer, std::string what, std::string token)
    : line_("interop | " + std::move(peer) + " | " + std::move(what) + " | " + std::move(token) + " | ") {}

InteropRow::~InteropRow() {
  const bool passed = !::testing::Test::HasFailure() && std::uncaught_exceptions() == 0;
  std::cout << line_ << (passed ? "yes" : "no") << '\n' << std::flush;
}

}  // namespace devid::test
