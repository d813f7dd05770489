#include "tests/support/softhsm.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "tests/support/command.h"
#include "tests/support/own_mounts.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

/// Digits only: every tool and every module takes them.
std::string random_pin() {
  std::array<unsigned char, 12> random{};
  if (RAND_bytes(random.data(), random.size()) != 1) throw std::runtime_error("no random PIN");
  std::string pin;
  for (const unsigned char octet : random) pin += static_cast<char>('0' + octet % 10);
  return pin;
}

/// Not by fs::permissions after the fact: nobody else may ever read it.
void write_private(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::app).flush();
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  std::ofstream(file, std::ios::trunc) << text;
}

std::string serial_number_in(const std::string& slots, const std::string& slot) {
  const auto at = slots.find("Slot " + slot + "\n");
  const std::string name = "Serial number:";
  const auto line = at == std::string::npos ? at : slots.find(name, at);
  if (line == std::string::npos) throw std::runtime_error("softhsm2-util does not list slot " + slot + ":\n" + slots);
  const auto start = slots.find_first_not_of(' ', line + name.size());
  return slots.substr(start, slots.find_first_of(" \n", start) - start);
}

/// "The token has been initialized and is reassigned to slot 1894569636".
std::string slot_in(const std::string& initialised) {
  const std::string words = "reassigned to slot ";
  const auto at = initialised.find(words);
  if (at == std::string::npos) throw std::runtime_error("softhsm2-util names no slot: " + initialised);
  const auto start = at + words.size();
  return initialised.substr(start, initialised.find_first_not_of("0123456789", start) - start);
}

}  // namespace

SoftHsm::SoftHsm(const std::string& label) {
  fs::create_directory(token_directory());
  const fs::path configuration = directory_.path() / "softhsm2.conf";
  std::ofstream(configuration) << "directories.tokendir = " << token_directory().string()
                               << "\nobjectstore.backend = file\nlog.level = ERROR\n";
  // SoftHSM has no other way to learn where its configuration is.
  ::setenv("SOFTHSM2_CONF", configuration.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): before any thread begins
  add_token(label);
}

fs::path SoftHsm::module() { return DEVID_SOFTHSM_MODULE; }
fs::path SoftHsm::p11_kit_proxy() { return DEVID_P11_KIT_PROXY; }
fs::path SoftHsm::spy() { return DEVID_PKCS11_SPY; }

fs::path SoftHsm::copy_of_module() const {
  const fs::path copy = directory_.path() / "another-libsofthsm2.so";
  fs::copy_file(module(), copy, fs::copy_options::skip_existing);
  return copy;
}

void SoftHsm::configure_p11_kit(const fs::path& only_module) {
  leave_the_mounts_of_others();
  mount_empty_directory(DEVID_P11_KIT_MODULES);
  std::ofstream(fs::path(DEVID_P11_KIT_MODULES) / "only.module") << "module: " << only_module.string() << "\n";
}

std::string SoftHsm::environment() const { return "SOFTHSM2_CONF=" + (directory_.path() / "softhsm2.conf").string(); }

const HsmToken& SoftHsm::add_token(const std::string& label) {
  HsmToken token{.label = label, .serial_number = {}, .pin = random_pin(), .so_pin = random_pin(), .pin_file = {}};
  const std::string slot = slot_in(output_of({.argv = {"softhsm2-util", "--init-token", "--free", "--label", label,
                                                       "--so-pin", token.so_pin, "--pin", token.pin},
                                              .environment = {environment()}}));
  token.serial_number =
      serial_number_in(output_of({.argv = {"softhsm2-util", "--show-slots"}, .environment = {environment()}}), slot);
  token.pin_file = directory_.path() / ("pin-" + token.serial_number);
  write_pin_file(token, token.pin);
  tokens_.push_back(token);
  return tokens_.back();
}

void SoftHsm::write_pin_file(const HsmToken& token, const std::string& pin) {
  write_private(token.pin_file, pin + "\n");
}

std::string SoftHsm::tool(const HsmToken& token, std::vector<std::string> arguments) const {
  // pkcs11-tool takes no serial number, and two tokens may have one label; the slot's number ends the serial number.
  const std::string slot = std::to_string(std::stoul(token.serial_number.substr(8), nullptr, 16) & 0x7fffffffUL);
  std::vector<std::string> argv{"pkcs11-tool", "--module", module(), "--slot", slot, "--login", "--pin", token.pin};
  std::ranges::move(arguments, std::back_inserter(argv));
  return output_of({.argv = argv, .environment = {environment()}});
}

std::string SoftHsm::public_key_pem_of(const HsmToken& token, const std::string& id) const {
  const fs::path der = directory_.path() / "public-key.der";
  (void)tool(token, {"--read-object", "--type", "pubkey", "--id", id, "--output-file", der});
  return output_of({.argv = {"openssl", "pkey", "-pubin", "-inform", "DER", "-in", der}});
}

ManufacturedHsm SoftHsm::manufacture(TestPki& pki, const std::string& issuer, const FactoryKey& key) {
  return manufacture(token(), pki, issuer, key);
}

ManufacturedHsm SoftHsm::manufacture(const HsmToken& token, TestPki& pki, const std::string& issuer,
                                     const FactoryKey& key) {
  (void)tool(token, {"--keypairgen", "--key-type", key.type, "--id", key.id, "--label", "idevid", "--sensitive"});
  const auto certificate = pki.issue({.issuer = issuer,
                                      .subject = "/O=Example Devices/CN=Device/serialNumber=DEV-0001",
                                      .extended_key_usage = "",
                                      .public_key = public_key_pem_of(token, key.id)});
  if (key.certificate_object) {
    const fs::path der = directory_.path() / "certificate.der";
    std::ofstream(der, std::ios::binary) << pem_to_der(certificate.certificate_pem);
    put_certificate(token, key.id, der);
  }
  if (!key.public_object) delete_object(token, "pubkey", key.id);
  return {.location = hsm_location(key.id), .certificate = certificate};
}

void SoftHsm::put_certificate(const HsmToken& token, const std::string& id, const fs::path& der) {
  (void)tool(token, {"--write-object", der, "--type", "cert", "--id", id, "--label", "idevid"});
}

std::string SoftHsm::listing(const HsmToken& token) const { return tool(token, {"--list-objects"}); }

std::size_t SoftHsm::count(const HsmToken& token, const std::string& kind) const {
  const std::string text = "\n" + listing(token);
  const std::string heading = "\n" + kind + " Object";
  std::size_t found = 0;
  for (auto at = text.find(heading); at != std::string::npos; at = text.find(heading, at + 1)) ++found;
  return found;
}

void SoftHsm::delete_object(const HsmToken& token, const std::string& type, const std::string& id) {
  (void)tool(token, {"--delete-object", "--type", type, "--id", id});
}

void SoftHsm::change_pin(const std::string& pin) {
  (void)tool(token(), {"--change-pin", "--new-pin", pin});
  tokens_.front().pin = pin;
}

std::string hsm_location(const std::string& id) {
  std::string location = "pkcs11:id=";
  for (std::size_t at = 0; at + 1 < id.size(); at += 2) {
    location += '%';
    for (const char digit : id.substr(at, 2)) location += static_cast<char>(std::toupper(digit));
  }
  return location;
}

}  // namespace devid::test
