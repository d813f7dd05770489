#include "tests/dbus/hsm_device.h"

#include <fstream>
#include <iterator>
#include <regex>

namespace devid::test {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// How pkcs11-tool signs a digest as it is with such a key.
std::string mechanism_for(const fs::path& public_key) {
  const std::string text = output_of({.argv = {"openssl", "pkey", "-pubin", "-noout", "-text", "-in", public_key}});
  return text.find("Modulus") == std::string::npos ? "ECDSA" : "RSA-PKCS";
}

}  // namespace

HsmDevice::HsmDevice(Idevid idevid, const fs::path& module)
    : device_({.has_idevid = idevid == Idevid::in_tpm,
               .configuration = "[pkcs11.hsm]\nuri = \"" + hsm_.token().uri() + "\"\nmodule = \"" + module.string() +
                                "\"\npin = \"" + hsm_.token().pin_file.string() + "\"\n"}) {
  if (idevid == Idevid::in_hsm) hsm_.manufacture(device_.pki(), "hsm manufacturer");
}

std::string HsmDevice::key_id(const fs::path& current) {
  static const std::regex form("id=((%[0-9A-Fa-f]{2}|[^;%?])+)");
  const std::string der = pem_to_der(content_of(current / "token-key.pem"));
  std::smatch found;
  if (!std::regex_search(der, found, form)) return {};
  const std::string encoded = found[1];
  std::string hex;
  constexpr std::string_view digits = "0123456789abcdef";
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%') {
      hex += encoded.substr(i + 1, 2);
      i += 2;
    } else {
      const auto octet = static_cast<unsigned char>(encoded[i]);
      hex += digits[octet >> 4U];
      hex += digits[octet & 0xfU];
    }
  }
  return hex;
}

std::string HsmDevice::flaw_of_key(const fs::path& current) const {
  const std::string id = key_id(current);
  if (id.empty()) return "token-key.pem names no key of an HSM";
  const TemporaryDirectory work;
  const std::string place = work.path();
  std::ofstream(work.path() / "message") << "proof of possession";
  const auto hash =
      run({.argv = {"openssl", "dgst", "-sha256", "-binary", "-out", place + "/digest", place + "/message"}});
  if (!hash.ok()) return "openssl dgst: " + hash.errors;
  const auto key = run({.argv = {"openssl", "x509", "-in", current / "certificate.pem", "-noout", "-pubkey", "-out",
                                 place + "/public"}});
  if (!key.ok()) return "openssl x509: " + key.errors;
  const auto signing = run(
      {.argv = {"pkcs11-tool", "--module", SoftHsm::module(), "--token-label", hsm_.token().label, "--login", "--pin",
                hsm_.token().pin, "--sign", "--mechanism", mechanism_for(place + "/public"), "--signature-format",
                "openssl", "--id", id, "--input-file", place + "/digest", "--output-file", place + "/signature"},
       .environment = {hsm_.environment()}});
  if (!signing.ok()) return "pkcs11-tool: " + signing.output + signing.errors;
  const auto proof = run({.argv = {"openssl", "pkeyutl", "-verify", "-pubin", "-inkey", place + "/public", "-sigfile",
                                   place + "/signature", "-in", place + "/digest"}});
  return proof.ok() ? "" : "the key does not match the certificate: " + proof.output + proof.errors;
}

std::string HsmDevice::flaw_of_stored_certificate(const fs::path& current) const {
  const TemporaryDirectory work;
  const fs::path der = work.path() / "certificate.der";
  const auto reading = run({.argv = {"pkcs11-tool", "--module", SoftHsm::module(), "--token-label", hsm_.token().label,
                                     "--read-object", "--type", "cert", "--id", key_id(current), "--output-file", der},
                            .environment = {hsm_.environment()}});
  if (!reading.ok()) return "pkcs11-tool: " + reading.output + reading.errors;
  return content_of(der) == pem_to_der(content_of(current / "certificate.pem")) ? "" : "it is another certificate";
}

}  // namespace devid::test
