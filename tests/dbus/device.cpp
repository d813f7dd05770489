#include "tests/dbus/device.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace devid::test {
namespace {

namespace fs = std::filesystem;

const std::string devidd = DEVID_BINARY_DIR "/devidd";
const std::string devidctl = DEVID_BINARY_DIR "/devidctl";

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

Device::Device(DeviceSpec spec)
    : spec_(std::move(spec)), tap_(swtpm_), manufacturers_(directory_.path() / "manufacturers.pem") {
  pki_.make_ca("hsm manufacturer");
  std::string manufacturers = content_of(pki_.ca("hsm manufacturer").certificate);
  if (spec_.has_idevid)
    manufacturers += content_of(manufacture(swtpm_, directory_.path() / "factory", spec_.factory).manufacturer_ca);
  std::ofstream(manufacturers_) << manufacturers;
  pki_.make_ca("operator root");
  pki_.make_ca("operator issuing", "operator root");
  fs::create_directories(configuration() / "identities.d");
  fs::create_directories(state());
  start_server();
  write_configuration(
      "devid.toml", "[tpm]\ntcti = \"" + (spec_.use_tap ? tap_.tcti() : swtpm_.tcti()) + "\"\n" + spec_.configuration);
  write_profile("gateway");
  std::vector<std::string> command{devidd,
                                   "--configuration-directory",
                                   configuration(),
                                   "--vendor-directory",
                                   directory_.path() / "usr",
                                   "--state-directory",
                                   state(),
                                   "--idle-timeout",
                                   std::to_string(spec_.idle_timeout)};
  command.insert(command.end(), spec_.options.begin(), spec_.options.end());
  if (!spec_.environment.empty()) {
    command.insert(command.begin(), spec_.environment.begin(), spec_.environment.end());
    command.insert(command.begin(), "/usr/bin/env");
  }
  bus_ = std::make_unique<PrivateBus>(command);
}

Device::~Device() {
  if (!bus_) return;
  bus_->kill_owner(SIGTERM);
  const std::string log = bus_->log();
  for (const char* complaint : {"AddressSanitizer", "ThreadSanitizer", "runtime error:"})
    EXPECT_EQ(log.find(complaint), std::string::npos) << log;
}

void Device::start_server() {
  static constexpr const char* issuing = "operator issuing";
  const auto server = pki_.issue_server(issuing, spec_.server_address);
  const auto& ca = pki_.ca(issuing);
  const auto make = [&] {
    EstServerSpec spec{.certificate = server.full_chain,
                       .key = server.key,
                       .manufacturer_ca = manufacturers_,
                       .issuer = {.certificate = ca.certificate, .key = ca.key, .not_after = spec_.lifetime},
                       .issuer_chain = pki_.ca("operator root").certificate,
                       .port = server_port_,
                       .tls = spec_.tls,
                       .address = spec_.server_address};
    if (change_) change_(spec);
    server_ = std::make_unique<EstServer>(std::move(spec));
  };
  spec_.where_the_server_is(make);
  server_port_ = server_->port();
}

void Device::change_server(std::function<void(EstServerSpec&)> change) {
  change_ = std::move(change);
  stop_server();
  start_server();
}

void Device::write_configuration(const std::string& file, const std::string& content) const {
  std::ofstream stream(configuration() / file);
  stream << content;
  if (!stream.flush()) throw std::runtime_error("cannot write " + file);
}

void Device::write_profile(const std::string& name, const std::string& more, const std::string& top) const {
  write_configuration("identities.d/" + name + ".toml",
                      top + "[server]\nurl = \"https://" + spec_.server_address + ":" + std::to_string(server_port_) +
                          "\"\ntrust_anchors = \"" + operator_root().string() + "\"\n" + more);
}

Outcome Device::ctl(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), devidctl);
  return run(
      {.argv = std::move(arguments), .environment = {bus_->environment()}, .timeout = std::chrono::seconds(120)});
}

nlohmann::json Device::status(const std::string& name) const {
  const Outcome outcome = ctl({"status", "--json"});
  auto json = nlohmann::json::parse(outcome.output, nullptr, false);
  if (json.is_discarded()) throw std::runtime_error("devidctl status: " + outcome.output + outcome.errors);
  for (const auto& identity : json["identities"])
    if (identity["name"] == name) return identity;
  throw std::runtime_error("no identity " + name + " in " + outcome.output);
}

std::string flaw_of_current(const fs::path& current, const fs::path& root) {
  const std::string certificate = current / "certificate.pem";
  const std::string chain = current / "chain.pem";
  const auto verified = run({.argv = {"openssl", "verify", "-CAfile", root, "-untrusted", chain, certificate}});
  if (!verified.ok()) return "openssl verify: " + verified.output + verified.errors;
  if (content_of(current / "certificate-chain.pem") != content_of(certificate) + content_of(chain))
    return "certificate-chain.pem is not certificate.pem and chain.pem";
  if (pem_to_der(content_of(current / "trust-anchors.pem")) != pem_to_der(content_of(root)))
    return "trust-anchors.pem is not what the certificate chains to";
  const std::string token_key = content_of(current / "token-key.pem");
  if (token_key.find("BEGIN TSS2 PRIVATE KEY") == std::string::npos) return {};  // what it names is not in it
  const std::string key = pem_to_der(token_key);
  // The coordinates of the certificate's point end its SubjectPublicKeyInfo, and stand in the TPM's public area.
  const std::string spki = pem_to_der(public_key_of_certificate(content_of(certificate)));
  constexpr std::size_t coordinate = 32;
  if (spki.size() < 2 * coordinate) return "certificate.pem has no P-256 key";
  if (key.find(spki.substr(spki.size() - 2 * coordinate, coordinate)) == std::string::npos ||
      key.find(spki.substr(spki.size() - coordinate)) == std::string::npos)
    return "token-key.pem is not the key of certificate.pem";
  return {};
}

std::string flaw_of_key(const fs::path& current, const std::string& tcti) {
  const std::string certificate = current / "certificate.pem";
  const TemporaryDirectory work;
  const std::string place = work.path();
  std::ofstream(work.path() / "message") << "proof of possession";
  try {
    // What a devidd that was killed left behind would be in the way of tpm2-tools.
    run_tpm2(tcti, "tpm2_flushcontext -Q -t && tpm2_flushcontext -Q -l && tpm2_load -Q -r " +
                       (current / "token-key.pem").string() + " -c " + place +
                       "/key.ctx && tpm2_flushcontext -Q -t && " + "tpm2_sign -Q -c " + place +
                       "/key.ctx -g sha256 -f plain -o " + place + "/signature " + place +
                       "/message && tpm2_flushcontext -Q -t");
  } catch (const std::runtime_error& error) {
    return std::string("token-key.pem does not sign: ") + error.what();
  }
  const auto key =
      run({.argv = {"openssl", "x509", "-in", certificate, "-noout", "-pubkey", "-out", place + "/public"}});
  if (!key.ok()) return "openssl x509: " + key.errors;
  const auto proof = run({.argv = {"openssl", "dgst", "-sha256", "-verify", place + "/public", "-signature",
                                   place + "/signature", place + "/message"}});
  return proof.ok() ? "" : "the key does not match the certificate: " + proof.output + proof.errors;
}

}  // namespace devid::test
